//! `publisher.toml`: how long each role's signature lasts, and where the keys are.
//!
//! Which keys a role has, and how many must sign, says the newest root alone; this only finds them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{PublishError, Role, durable};

const HEAD: &str = "# Written by `edgerun repo`. How many days each signature lasts, and where keys \
                    are found.\n# A file lies in keys/ or in a folder named with --keys.\n\n";

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) lifetime_days: Lifetimes,
    #[serde(default, rename = "key")]
    pub(super) keys: Vec<KeyEntry>,
}

/// Days that a role's signature lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetimes {
    /// Root: renewed by people with offline keys.
    pub root: u32,
    /// Targets: renewed whenever something is added.
    pub targets: u32,
    /// Snapshot: renewed by `publish` after half of it.
    pub snapshot: u32,
    /// Timestamp: renewed by each `publish`; as long as a board believes in a silent publisher.
    pub timestamp: u32,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { root: 730, targets: 365, snapshot: 90, timestamp: 14 }
    }
}

impl Lifetimes {
    /// Those of one role.
    pub fn of(&mut self, role: Role) -> &mut u32 {
        match role {
            Role::Root => &mut self.root,
            Role::Targets => &mut self.targets,
            Role::Snapshot => &mut self.snapshot,
            Role::Timestamp => &mut self.timestamp,
        }
    }
}

/// Where one key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    /// TUF's id of it, in hex.
    pub(super) id: String,
    pub(super) role: Role,
    /// A file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// Or a shell command that signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<String>,
    /// The public key that belongs to the command, as TUF's JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) public: Option<String>,
}

impl Settings {
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join("publisher.toml")
    }

    pub(super) fn read(dir: &Path) -> Result<Self, PublishError> {
        let path = Self::path(dir);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(PublishError::NoPublisher { dir: dir.to_owned() });
            }
            Err(error) => return Err(PublishError::io("read", &path)(error)),
        };
        toml::from_str(&text).map_err(|error| {
            let why = error.to_string().trim_end().to_owned();
            PublishError::Damaged { path, why }
        })
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), PublishError> {
        let body = toml::to_string(self).map_err(|error| PublishError::Value(error.to_string()))?;
        durable::replace(&Self::path(dir), format!("{HEAD}{body}").as_bytes())
    }
}
