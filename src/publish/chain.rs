//! What is published now, read back from the folder that a web server serves.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tough::schema::{RoleType, Root, Signed, Snapshot, Targets, Timestamp};

use super::PublishError;

/// More is no metadata of ours.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The newest file of each role. Signatures are checked where something is signed over them.
pub(super) struct Chain {
    /// All roots, oldest first; never empty.
    roots: Vec<Signed<Root>>,
    /// The newest root's file.
    pub(super) root_text: Vec<u8>,
    pub(super) timestamp: Signed<Timestamp>,
    pub(super) snapshot: Signed<Snapshot>,
    pub(super) targets: Signed<Targets>,
}

pub(super) fn metadata(dir: &Path) -> PathBuf {
    dir.join("repository/metadata")
}

impl Chain {
    pub(super) fn read(dir: &Path) -> Result<Self, PublishError> {
        let metadata = metadata(dir);
        let (mut roots, mut root_text) = (Vec::new(), Vec::new());
        loop {
            let path = metadata.join(format!("{}.root.json", roots.len() + 1));
            if !path.exists() && !roots.is_empty() {
                break;
            }
            let (root, text): (Signed<Root>, _) = read(&path)?;
            root.signed.verify_role(&root).map_err(|error| damaged(&path, &error.to_string()))?;
            roots.push(root);
            root_text = text;
        }
        let (timestamp, _): (Signed<Timestamp>, _) = read(&metadata.join("timestamp.json"))?;
        let newest = |meta: Option<&tough::schema::Metafile>| meta.map_or(0, |m| m.version.get());
        let version = newest(timestamp.signed.meta.get("snapshot.json"));
        let (snapshot, _): (Signed<Snapshot>, _) =
            read(&metadata.join(format!("{version}.snapshot.json")))?;
        let version = newest(snapshot.signed.meta.get("targets.json"));
        let path = metadata.join(format!("{version}.targets.json"));
        let (targets, _): (Signed<Targets>, _) = read(&path)?;
        // What stands there is signed over again: it must have been signed by a targets key once, an
        // earlier one where a rotation was interrupted.
        if !roots.iter().any(|root| root.signed.verify_role(&targets).is_ok()) {
            return Err(damaged(&path, "it is not signed by a targets key of this repository"));
        }
        Ok(Self { roots, root_text, timestamp, snapshot, targets })
    }

    /// The newest root.
    pub(super) fn root(&self) -> &Signed<Root> {
        self.roots.last().expect("reading stops only after the first root")
    }

    /// Whether the keys of the newest root signed what is there for `role`.
    pub(super) fn holds(&self, role: RoleType) -> bool {
        let root = &self.root().signed;
        match role {
            RoleType::Targets => root.verify_role(&self.targets).is_ok(),
            RoleType::Snapshot => root.verify_role(&self.snapshot).is_ok(),
            _ => root.verify_role(&self.timestamp).is_ok(),
        }
    }
}

fn damaged(path: &Path, why: &str) -> PublishError {
    PublishError::Damaged { path: path.to_owned(), why: why.to_owned() }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, Vec<u8>), PublishError> {
    let length = std::fs::metadata(path).map_err(PublishError::io("read", path))?.len();
    if length > FILE_BYTES_MAX {
        return Err(damaged(path, "it is too long"));
    }
    let text = std::fs::read(path).map_err(PublishError::io("read", path))?;
    let role = serde_json::from_slice(&text).map_err(|e| damaged(path, &e.to_string()))?;
    Ok((role, text))
}
