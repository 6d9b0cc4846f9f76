//! Adding, taking back, publishing: what happens every day.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use tough::schema::RoleType;

use super::chain::{self, Chain};
use super::stage::{Stage, Staged, tough_name};
use super::{PublishError, Publisher, Role, durable, sign, targets_dir};
use crate::model::release::{ISSUED_KEY, Release, TargetName, hex};

/// How far the clock may be behind the last signature: two machines of one publisher differ a little.
const SKEW_S: u64 = 60 * 60;
/// Generations that stay for boards that are just reading.
const KEPT: u64 = 3;

/// What `add` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It waits for `publish`.
    Staged(String),
    /// These bytes are published, or wait already.
    Already(String),
}

/// What `publish` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The new timestamp's version.
    pub timestamp: u64,
    /// Targets were signed, with this many bundles.
    pub targets: Option<usize>,
    /// Snapshot was signed.
    pub snapshot: bool,
    /// Names that boards can have now.
    pub added: Vec<String>,
    /// Names that they cannot have any more.
    pub retired: Vec<String>,
}

impl Publisher {
    /// Takes the bundle file `path` in, which is what `release` says; `publish` makes it known.
    ///
    /// # Errors
    /// When that name and version is taken by other bytes.
    pub fn add(&self, path: &Path, release: &Release) -> Result<Added, PublishError> {
        let name = release.target_name()?.to_string();
        let bytes = fs::read(path).map_err(PublishError::io("read", path))?;
        let (length, sha256) = (bytes.len() as u64, hex(&Sha256::digest(&bytes)));
        if release.digest != sha256 {
            return Err(PublishError::Value(format!(
                "{} changes while it is read",
                path.display()
            )));
        }
        let (chain, mut stage) = (Chain::read(&self.dir)?, Stage::read(&self.dir)?);
        let published = chain.targets.signed.targets.get(&tough_name(&name)?);
        let taken = [
            published.map(|target| hex(&target.hashes.sha256)),
            stage.add.get(&name).map(|staged| staged.sha256.clone()),
            stage.retired.get(&name).cloned(),
        ];
        if taken.iter().flatten().any(|digest| *digest != sha256) {
            return Err(PublishError::Conflict { name });
        }
        if stage.add.contains_key(&name) || (published.is_some() && !stage.retire.contains(&name)) {
            return Ok(Added::Already(name));
        }
        let file = targets_dir(&self.dir).join(format!("{sha256}.{name}"));
        durable::replace(&file, &bytes)?;
        stage.retire.remove(&name);
        stage.retired.remove(&name);
        let staged = Staged { length, sha256, release: release.to_json() };
        stage.add.insert(name.clone(), staged);
        stage.write(&self.dir)?;
        Ok(Added::Staged(name))
    }

    /// Takes a bundle back; `publish` makes that known.
    ///
    /// # Errors
    /// When it is neither published nor waiting.
    pub fn retire(&self, name: &TargetName) -> Result<(), PublishError> {
        let name = name.to_string();
        let (chain, mut stage) = (Chain::read(&self.dir)?, Stage::read(&self.dir)?);
        let waiting = stage.add.remove(&name);
        match chain.targets.signed.targets.get(&tough_name(&name)?) {
            Some(target) => {
                stage.retired.insert(name.clone(), hex(&target.hashes.sha256));
                stage.retire.insert(name);
            }
            None => {
                let staged = waiting.ok_or(PublishError::NotListed { name: name.clone() })?;
                remove(&targets_dir(&self.dir).join(format!("{}.{name}", staged.sha256)))?;
            }
        }
        stage.write(&self.dir)
    }

    /// Signs what waits, and a fresh timestamp. Without anything that waits, keys of snapshot and
    /// timestamp are enough. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When keys are missing or something cannot be written: the old generation stays.
    pub fn publish(&mut self, now: u64) -> Result<Published, PublishError> {
        let (chain, stage) = (Chain::read(&self.dir)?, Stage::read(&self.dir)?);
        let root = &chain.root().signed;
        check_clock(&chain, now)?;
        let days = self.settings.lifetime_days;

        let mut files = Vec::new();
        let mut signed_targets = None;
        if stage.wants_targets() || !chain.holds(RoleType::Targets) {
            let mut targets = chain.targets.signed.clone();
            stage.apply(&mut targets)?;
            let number = targets.version.get() + 1;
            targets.version = sign::version(number);
            targets.expires = sign::expiry(now, days.targets)?;
            let signed = sign::sign_checked(targets, root, &self.signers(&chain, Role::Targets)?)?;
            files.push((format!("{number}.targets.json"), signed.buffer().clone()));
            signed_targets = Some(signed);
        }

        let half = u64::from(days.snapshot) * 12 * 60 * 60;
        let old = seconds(chain.snapshot.signed.expires) < now + half;
        let mut meta = chain.timestamp.signed.meta.get("snapshot.json").cloned();
        let mut signed_snapshot = false;
        if signed_targets.is_some() || old || !chain.holds(RoleType::Snapshot) || meta.is_none() {
            let number = chain.snapshot.signed.version.get() + 1;
            let expires = sign::expiry(now, days.snapshot)?;
            let snapshot = match &signed_targets {
                Some(targets) => sign::snapshot_of(targets, number, expires),
                None => {
                    let mut snapshot = chain.snapshot.signed.clone();
                    (snapshot.version, snapshot.expires) = (sign::version(number), expires);
                    snapshot
                }
            };
            let signers = self.signers(&chain, Role::Snapshot)?;
            let signed = sign::sign_checked(snapshot, root, &signers)?;
            files.push((format!("{number}.snapshot.json"), signed.buffer().clone()));
            meta = Some(sign::snapshot_meta(&signed));
            signed_snapshot = true;
        }

        let number = chain.timestamp.signed.version.get() + 1;
        let meta = meta.ok_or_else(|| PublishError::Value("timestamp.json is empty".to_owned()))?;
        let timestamp = sign::timestamp_of(meta, number, now, sign::expiry(now, days.timestamp)?)?;
        let signers = self.signers(&chain, Role::Timestamp)?;
        let timestamp = sign::sign_checked(timestamp, root, &signers)?;
        files.push(("timestamp.json".to_owned(), timestamp.buffer().clone()));

        // Everything is signed. Now it becomes visible, the timestamp last.
        for (name, bytes) in &files {
            durable::replace(&chain::metadata(&self.dir).join(name), bytes)?;
        }
        stage.published().write(&self.dir)?;
        self.tidy(&stage, &chain)?;
        Ok(Published {
            timestamp: number,
            targets: signed_targets.map(|signed| signed.signed().signed.targets.len()),
            snapshot: signed_snapshot,
            added: stage.add.into_keys().collect(),
            retired: stage.retire.into_iter().collect(),
        })
    }

    pub(super) fn signers(
        &self,
        chain: &Chain,
        role: Role,
    ) -> Result<Vec<super::Signer>, PublishError> {
        self.keyring.signers(&self.dir, &self.settings, &chain.root().signed, role)
    }

    /// Removes what nothing refers to any more, and what an interrupted rotation left undone.
    fn tidy(&self, stage: &Stage, chain: &Chain) -> Result<(), PublishError> {
        for name in &stage.retire {
            if let Some(digest) = stage.retired.get(name) {
                remove(&targets_dir(&self.dir).join(format!("{digest}.{name}")))?;
            }
        }
        let old = [
            ("targets", chain.targets.signed.version.get()),
            ("snapshot", chain.snapshot.signed.version.get()),
        ];
        for (role, newest) in old {
            for number in (1..=newest.saturating_sub(KEPT)).rev() {
                let path = chain::metadata(&self.dir).join(format!("{number}.{role}.json"));
                if !path.exists() {
                    break;
                }
                remove(&path)?;
            }
        }
        if fs::read(self.root_file()).ok().as_ref() != Some(&chain.root_text) {
            durable::replace(&self.root_file(), &chain.root_text)?;
        }
        Ok(())
    }
}

/// Boards take the moment of issue as proof that it is not earlier: a clock that went back would make a
/// timestamp that looks replayed, and one far ahead could not be taken back.
pub(super) fn check_clock(chain: &Chain, now: u64) -> Result<(), PublishError> {
    let issued = chain.timestamp.signed._extra.get(ISSUED_KEY).and_then(|value| value.as_str());
    let Some(issued) = issued.and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
        return Ok(());
    };
    if now + SKEW_S < seconds(issued) {
        return Err(PublishError::ClockBack { issued: issued.to_string() });
    }
    Ok(())
}

pub(super) fn seconds(moment: jiff::Timestamp) -> u64 {
    u64::try_from(moment.as_second()).unwrap_or(0)
}

/// Removes a file; one that is gone is as good.
fn remove(path: &Path) -> Result<(), PublishError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PublishError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
