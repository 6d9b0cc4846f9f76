//! The publisher's side of signed updates: a TUF repository as plain files for any web server.
//!
//! A publisher's folder holds `repository/` (what is served), `keys/`, `publisher.toml`, `stage.json`
//! (what waits for `publish`) and `root.json` (for boards). Files that are served are written whole and
//! the timestamp last, so that a reader sees the old generation or the new one.
//! `docs/decisions/0015-trust.md` says why.

mod chain;
mod durable;
mod encoding;
mod error;
mod key;
mod keyring;
mod rotate;
mod settings;
mod sign;
mod signer;
mod stage;
#[cfg(test)]
mod tests;
mod update;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tough::schema::{RoleType, Root};

pub use error::PublishError;
pub use keyring::{Ask, Keyring};
pub use rotate::{NewKeys, Rotated};
pub use settings::Lifetimes;
pub use update::{Added, Published};

use crate::data::Secret;
use crate::model::release::{CUSTOM_KEY, Release, fingerprint, hex};
use chain::Chain;
use settings::{KeyEntry, Settings};
use signer::Signer;
use stage::Stage;

/// One of TUF's four roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Says whose keys count; keys offline.
    Root,
    /// Says which bundles there are; key offline.
    Targets,
    /// Says which targets are the newest; key online.
    Snapshot,
    /// Says that all this is still so; key online.
    Timestamp,
}

impl Role {
    /// All, in the order in which they trust each other.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// Its name, as TUF has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    fn tuf(self) -> RoleType {
        match self {
            Self::Root => RoleType::Root,
            Self::Targets => RoleType::Targets,
            Self::Snapshot => RoleType::Snapshot,
            Self::Timestamp => RoleType::Timestamp,
        }
    }

    /// Whether its keys are used by people and not by machines.
    fn offline(self) -> bool {
        matches!(self, Self::Root | Self::Targets)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| "is one of root, targets, snapshot, timestamp".to_owned())
    }
}

/// How a new repository is made.
pub struct Plan {
    /// How many root keys.
    pub root_keys: u32,
    /// How many of them must sign.
    pub root_threshold: u32,
    /// Seals the keys of root and targets.
    pub offline_passphrase: Option<Secret>,
    /// Seals those of snapshot and timestamp, too: then each `publish` needs it.
    pub online_passphrase: Option<Secret>,
    /// How long signatures last.
    pub lifetimes: Lifetimes,
}

impl Default for Plan {
    /// Three root keys of which two must sign: one may be lost, one may be stolen.
    fn default() -> Self {
        let lifetimes = Lifetimes::default();
        let (offline_passphrase, online_passphrase) = (None, None);
        Self { root_keys: 3, root_threshold: 2, offline_passphrase, online_passphrase, lifetimes }
    }
}

/// What `list` shows of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// `NAME-VERSION.edge`.
    pub name: String,
    /// What boards are told of it; `None` where an entry is none of ours.
    pub release: Option<Release>,
    /// Bytes of the bundle.
    pub length: u64,
    /// Where it stands.
    pub state: ListState,
}

/// Where a bundle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListState {
    /// Boards can have it.
    Published,
    /// Boards can have it after the next `publish`.
    Added,
    /// Boards can have it until the next `publish`.
    Retired,
}

/// When a role's signature ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The role.
    pub role: Role,
    /// Its version.
    pub version: u64,
    /// Seconds since 1970.
    pub expires: u64,
    /// Days that its next signature will last.
    pub lifetime_days: u32,
    /// Its keys, and how many of them must sign.
    pub keys: (usize, u64),
}

/// A publisher's folder, locked against others.
pub struct Publisher {
    dir: PathBuf,
    settings: Settings,
    keyring: Keyring,
    _lock: File,
}

fn keys_dir(dir: &Path) -> PathBuf {
    dir.join("keys")
}

fn targets_dir(dir: &Path) -> PathBuf {
    dir.join("repository/targets")
}

fn lock(dir: &Path) -> Result<File, PublishError> {
    let file = File::open(dir).map_err(PublishError::io("open", dir))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(PublishError::Busy { dir: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(PublishError::io("lock", dir)(error)),
    }
}

impl Publisher {
    /// Makes a repository in the new or empty folder `dir`: keys, and a published, empty generation.
    /// `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When the folder is not empty or cannot be written; begin again with another one.
    pub fn init(dir: &Path, plan: &Plan, keyring: Keyring, now: u64) -> Result<Self, PublishError> {
        if !(1..=plan.root_keys).contains(&plan.root_threshold) || plan.root_keys > 32 {
            let (keys, threshold) = (plan.root_keys, plan.root_threshold);
            return Err(PublishError::Value(format!(
                "{threshold} of {keys} root keys is not possible: 1 to 32 keys, at least one signs"
            )));
        }
        std::fs::create_dir_all(dir).map_err(PublishError::io("make", dir))?;
        let mut entries = std::fs::read_dir(dir).map_err(PublishError::io("read", dir))?;
        if entries.next().is_some() {
            return Err(PublishError::NotEmpty { dir: dir.to_owned() });
        }
        let lock = lock(dir)?;
        durable::private_dir(&keys_dir(dir))?;
        for folder in [chain::metadata(dir), targets_dir(dir)] {
            std::fs::create_dir_all(&folder).map_err(PublishError::io("make", &folder))?;
        }
        let settings = Settings { lifetime_days: plan.lifetimes, keys: Vec::new() };
        let mut publisher = Self { dir: dir.to_owned(), settings, keyring, _lock: lock };
        publisher.found(plan, now)?;
        // Last: only now it is a publisher's folder.
        publisher.settings.write(dir)?;
        Ok(publisher)
    }

    /// The first generation.
    fn found(&mut self, plan: &Plan, now: u64) -> Result<(), PublishError> {
        let mut root = sign::empty_root(sign::expiry(now, plan.lifetimes.root)?);
        let mut signers = Vec::new();
        for role in Role::ALL {
            let (count, threshold) = match role {
                Role::Root => (plan.root_keys, plan.root_threshold),
                _ => (1, 1),
            };
            let passphrase =
                if role.offline() { &plan.offline_passphrase } else { &plan.online_passphrase };
            let made = self.make_keys(role, count, passphrase.as_ref())?;
            sign::set_keys(&mut root, role, &made, threshold)?;
            signers.push(made);
        }
        let days = plan.lifetimes;
        let signed = sign::sign_root(&root, &signers[0], None)?;
        let targets = sign::empty_targets(sign::expiry(now, days.targets)?);
        let targets = sign::sign_checked(targets, &root, &signers[1])?;
        let snapshot = sign::snapshot_of(&targets, 1, sign::expiry(now, days.snapshot)?);
        let snapshot = sign::sign_checked(snapshot, &root, &signers[2])?;
        let meta = sign::snapshot_meta(&snapshot);
        let timestamp = sign::timestamp_of(meta, 1, now, sign::expiry(now, days.timestamp)?)?;
        let timestamp = sign::sign_checked(timestamp, &root, &signers[3])?;
        let files = [
            ("1.root.json", signed.buffer()),
            ("1.targets.json", targets.buffer()),
            ("1.snapshot.json", snapshot.buffer()),
            ("timestamp.json", timestamp.buffer()),
        ];
        for (name, bytes) in files {
            durable::replace(&chain::metadata(&self.dir).join(name), bytes)?;
        }
        durable::replace(&self.root_file(), signed.buffer())
    }

    /// Opens the publisher's folder `dir`.
    ///
    /// # Errors
    /// When it is none, or another program works on it.
    pub fn open(dir: &Path, keyring: Keyring) -> Result<Self, PublishError> {
        let settings = Settings::read(dir)?;
        let lock = lock(dir)?;
        Ok(Self { dir: dir.to_owned(), settings, keyring, _lock: lock })
    }

    /// Where the `root.json` for boards lies.
    pub fn root_file(&self) -> PathBuf {
        self.dir.join("root.json")
    }

    /// The root's version and fingerprint.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn root(&self) -> Result<(u64, String), PublishError> {
        let chain = Chain::read(&self.dir)?;
        let root = &chain.root().signed;
        Ok((root.version.get(), fingerprint_of(root)))
    }

    /// What is published, and what the next `publish` changes.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, PublishError> {
        let (chain, stage) = (Chain::read(&self.dir)?, Stage::read(&self.dir)?);
        let mut listed = Vec::new();
        for (name, target) in &chain.targets.signed.targets {
            let name = name.raw().to_owned();
            let custom = target.custom.get(CUSTOM_KEY);
            let release = custom.and_then(|json| Release::from_json(json).ok());
            let state = match stage.retire.contains(&name) {
                true => ListState::Retired,
                false => ListState::Published,
            };
            listed.push(Listed { name, release, length: target.length, state });
        }
        for (name, staged) in &stage.add {
            if listed.iter().all(|listed| listed.name != *name) {
                let (name, length) = (name.clone(), staged.length);
                let release = Release::from_json(&staged.release).ok();
                listed.push(Listed { name, release, length, state: ListState::Added });
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// When each role's signature ends.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn expiries(&self) -> Result<[Expiry; 4], PublishError> {
        let chain = Chain::read(&self.dir)?;
        let root = &chain.root().signed;
        let of = |role: Role| match role {
            Role::Root => (root.version, root.expires),
            Role::Targets => (chain.targets.signed.version, chain.targets.signed.expires),
            Role::Snapshot => (chain.snapshot.signed.version, chain.snapshot.signed.expires),
            Role::Timestamp => (chain.timestamp.signed.version, chain.timestamp.signed.expires),
        };
        Ok(Role::ALL.map(|role| {
            let (version, expires) = of(role);
            let mut lifetimes = self.settings.lifetime_days;
            let keys = root.roles.get(&role.tuf());
            Expiry {
                role,
                version: version.get(),
                expires: u64::try_from(expires.as_second()).unwrap_or(0),
                lifetime_days: *lifetimes.of(role),
                keys: keys.map_or((0, 0), |keys| (keys.keyids.len(), keys.threshold.get())),
            }
        }))
    }

    /// New key files for `role`; they are known from here on, and used once a root names them.
    fn make_keys(
        &mut self,
        role: Role,
        count: u32,
        passphrase: Option<&Secret>,
    ) -> Result<Vec<Signer>, PublishError> {
        let mut signers = Vec::new();
        for _ in 0..count {
            let pkcs8 = key::generate()?;
            let pair = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(&pkcs8)
                .map_err(|error| PublishError::Value(error.to_string()))?;
            let signer = Signer::Pair(std::sync::Arc::new(pair));
            let id = signer.id();
            let file = format!("{role}-{}.key", &id[..8]);
            key::write(&keys_dir(&self.dir).join(&file), &pkcs8, passphrase)?;
            let (command, public) = (None, None);
            self.settings.keys.push(KeyEntry { id, role, file: Some(file), command, public });
            signers.push(signer);
        }
        Ok(signers)
    }
}

fn fingerprint_of(root: &Root) -> String {
    let role = root.roles.get(&RoleType::Root);
    let ids = role.into_iter().flat_map(|role| role.keyids.iter().map(|id| hex(id)));
    fingerprint(role.map_or(0, |role| role.threshold.get()), ids)
}
