//! Finds the keys that a signature needs, and says which are missing.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tough::schema::Root;

use super::settings::{KeyEntry, Settings};
use super::signer::Signer;
use super::{PublishError, Role, durable, key};
use crate::data::Secret;
use crate::model::release::hex;

/// Asks for the passphrase of the key file that is named.
pub type Ask = dyn Fn(&Path) -> Result<Secret, String>;

/// Where keys are looked for, and who knows passphrases.
pub struct Keyring {
    folders: Vec<PathBuf>,
    ask: Box<Ask>,
    /// Those that opened a key already.
    known: RefCell<Vec<Secret>>,
}

impl Keyring {
    /// Key files are looked for in `folders` beside the publisher's own.
    pub fn new(folders: Vec<PathBuf>, ask: Box<Ask>) -> Self {
        Self { folders, ask, known: RefCell::default() }
    }

    /// As many keys of `role` as `root` wants for it.
    pub(super) fn signers(
        &self,
        dir: &Path,
        settings: &Settings,
        root: &Root,
        role: Role,
    ) -> Result<Vec<Signer>, PublishError> {
        let Some(wanted) = root.roles.get(&role.tuf()) else {
            return Err(PublishError::Value(format!("the root has no keys for {role}")));
        };
        let need = wanted.threshold.get();
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in wanted.keyids.iter().map(|id| hex(id)) {
            if found.len() as u64 == need {
                break;
            }
            match settings.keys.iter().find(|entry| entry.id == id) {
                None => missing.push(format!("key {}, which publisher.toml lacks", &id[..8])),
                Some(entry) => match self.signer(dir, entry)? {
                    Some(signer) => found.push(signer),
                    None => missing.extend(entry.file.clone()),
                },
            }
        }
        if (found.len() as u64) < need {
            let (have, missing) = (found.len(), missing.join(", "));
            return Err(PublishError::KeysMissing { role, need, have, missing });
        }
        Ok(found)
    }

    /// The key of `entry`; `None` where its file is nowhere.
    fn signer(&self, dir: &Path, entry: &KeyEntry) -> Result<Option<Signer>, PublishError> {
        if let (Some(command), Some(public)) = (&entry.command, &entry.public) {
            let key = serde_json::from_str(public).map_err(|error| PublishError::Damaged {
                path: Settings::path(dir),
                why: format!("public of key {}: {error}", entry.id),
            })?;
            return Ok(Some(Signer::Command { command: command.clone(), key }));
        }
        let Some(name) = entry.file.as_deref().filter(|name| !name.contains('/')) else {
            return Ok(None);
        };
        let own = super::keys_dir(dir);
        let found = [&own].into_iter().chain(&self.folders).map(|folder| folder.join(name));
        let Some(path) = found.into_iter().find(|path| path.exists()) else { return Ok(None) };
        if path.starts_with(&own) {
            durable::check_private(&own)?;
        }
        let pair = key::read(&path, &mut self.known.borrow_mut(), &|path| {
            (self.ask)(path)
                .map_err(|why| PublishError::NoPassphrase { path: path.to_owned(), why })
        })?;
        let signer = Signer::Pair(Arc::new(pair));
        if signer.id() != entry.id {
            let why = format!("it is another key than {}", entry.id);
            return Err(PublishError::Key { path, why });
        }
        Ok(Some(signer))
    }
}
