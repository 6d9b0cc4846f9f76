//! `stage.json`: what the next `publish` adds and takes back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tough::schema::{Hashes, Target, Targets};

use super::encoding::unhex;
use super::{PublishError, durable};
use crate::model::release::{CUSTOM_KEY, Release};

/// What waits, by target name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stage {
    pub(super) add: BTreeMap<String, Staged>,
    pub(super) retire: BTreeSet<String>,
    /// Targets shall be signed again although nothing changes.
    pub(super) renew_targets: bool,
    /// What was taken back, with its digest: its name is never given to other bytes.
    pub(super) retired: BTreeMap<String, String>,
}

/// One bundle that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Staged {
    pub(super) length: u64,
    pub(super) sha256: String,
    /// As [`Release::to_json`] wrote it.
    pub(super) release: Value,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("stage.json")
}

impl Stage {
    pub(super) fn read(dir: &Path) -> Result<Self, PublishError> {
        let path = path(dir);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| PublishError::Damaged { path, why: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(PublishError::io("read", &path)(error)),
        }
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), PublishError> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| PublishError::Value(error.to_string()))?;
        durable::replace(&path(dir), &text)
    }

    /// Whether targets must be signed.
    pub(super) fn wants_targets(&self) -> bool {
        self.renew_targets || !self.add.is_empty() || !self.retire.is_empty()
    }

    /// Makes the changes in `targets`; doing it twice changes nothing more.
    pub(super) fn apply(&self, targets: &mut Targets) -> Result<(), PublishError> {
        for (name, staged) in &self.add {
            targets.targets.insert(tough_name(name)?, staged.target()?);
        }
        for name in &self.retire {
            targets.targets.remove(&tough_name(name)?);
        }
        Ok(())
    }

    /// What is left once this was published: only the memory.
    pub(super) fn published(&self) -> Self {
        Self { retired: self.retired.clone(), ..Self::default() }
    }
}

pub(super) fn tough_name(name: &str) -> Result<tough::TargetName, PublishError> {
    tough::TargetName::new(name).map_err(|error| PublishError::Value(error.to_string()))
}

impl Staged {
    fn target(&self) -> Result<Target, PublishError> {
        // It lay in a file meanwhile.
        let release = Release::from_json(&self.release)?;
        let sha256 = unhex(&self.sha256).ok_or_else(|| {
            PublishError::Value(format!("stage.json: {} is no digest", self.sha256))
        })?;
        Ok(Target {
            length: self.length,
            hashes: Hashes { sha256: sha256.into(), _extra: HashMap::new() },
            custom: HashMap::from([(CUSTOM_KEY.to_owned(), release.to_json())]),
            _extra: HashMap::new(),
        })
    }
}
