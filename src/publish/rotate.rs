//! New keys for a role, and new dates for the root: what needs the root's keys.

use std::path::{Path, PathBuf};

use tough::editor::signed::SignedRole;
use tough::schema::{Root, Targets};

use super::chain::{self, Chain};
use super::settings::KeyEntry;
use super::signer::Signer;
use super::stage::Stage;
use super::update::check_clock;
use super::{PublishError, Publisher, Role, durable, keys_dir, sign};
use crate::data::Secret;

/// The keys that a role gets.
pub enum NewKeys<'a> {
    /// Made here, in files.
    Files {
        /// How many.
        count: u32,
        /// How many of them must sign.
        threshold: u32,
        /// Seals them.
        passphrase: Option<&'a Secret>,
    },
    /// One key that a command signs with.
    Command {
        /// For the shell: bytes on standard input, signature in hex or base64 on standard output.
        command: &'a str,
        /// The public key's file.
        public: &'a Path,
    },
}

/// What `rotate` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The new root's version.
    pub root: u64,
    /// Files of keys that sign nothing any more.
    pub obsolete: Vec<PathBuf>,
}

impl Publisher {
    /// Gives `role` new keys, and signs with them what the old ones signed. Boards follow by
    /// themselves: a new root is signed by the old one's keys, too.
    ///
    /// # Errors
    /// When keys are missing or something cannot be written. Once the new root is out, `publish`
    /// completes what was interrupted.
    pub fn rotate(
        &mut self,
        role: Role,
        new: &NewKeys<'_>,
        now: u64,
    ) -> Result<Rotated, PublishError> {
        let chain = Chain::read(&self.dir)?;
        check_clock(&chain, now)?;
        let before = &chain.root().signed;
        let old_signers = self.signers(&chain, Role::Root)?;
        let (made, threshold) = self.new_signers(role, new)?;
        // Known from here on, used by nobody yet: an interruption loses no key.
        self.settings.write(&self.dir)?;

        let mut root = before.clone();
        sign::set_keys(&mut root, role, &made, threshold)?;
        let own_signers = if role == Role::Root { &made } else { &old_signers };
        self.put_root(root, before, own_signers, &old_signers, now, |publisher, root| {
            publisher.sign_below(&chain, root, role, now)
        })?;

        let named: Vec<_> = made.iter().map(Signer::id).collect();
        let obsolete = |entry: &KeyEntry| entry.role == role && !named.contains(&entry.id);
        let files = self.settings.keys.iter().filter(|entry| obsolete(entry));
        let files = files.filter_map(|entry| entry.file.clone());
        let files: Vec<_> = files.map(|file| keys_dir(&self.dir).join(file)).collect();
        self.settings.keys.retain(|entry| !obsolete(entry));
        self.settings.write(&self.dir)?;
        let root = before.version.get() + 1;
        Ok(Rotated { root, obsolete: files.into_iter().filter(|file| file.exists()).collect() })
    }

    /// From now on signatures of `role` last `days`. The root is signed again at once, targets by the
    /// next `publish`, as are snapshot and timestamp.
    ///
    /// # Errors
    /// As [`Publisher::rotate`].
    pub fn set_lifetime(&mut self, role: Role, days: u32, now: u64) -> Result<(), PublishError> {
        if !(1..=36_500).contains(&days) {
            return Err(PublishError::Value("a signature lasts 1 to 36500 days".to_owned()));
        }
        *self.settings.lifetime_days.of(role) = days;
        match role {
            Role::Root => {
                let chain = Chain::read(&self.dir)?;
                check_clock(&chain, now)?;
                let before = &chain.root().signed;
                let signers = self.signers(&chain, Role::Root)?;
                self.put_root(before.clone(), before, &signers, &signers, now, |_, _| Ok(vec![]))?;
            }
            Role::Targets => {
                let stage = Stage { renew_targets: true, ..Stage::read(&self.dir)? };
                stage.write(&self.dir)?;
            }
            Role::Snapshot | Role::Timestamp => {}
        }
        self.settings.write(&self.dir)
    }

    fn new_signers(
        &mut self,
        role: Role,
        new: &NewKeys<'_>,
    ) -> Result<(Vec<Signer>, u32), PublishError> {
        match *new {
            NewKeys::Files { count, threshold, passphrase } => {
                if !(1..=count).contains(&threshold) || count > 32 {
                    return Err(PublishError::Value(format!(
                        "{threshold} of {count} keys is not possible: 1 to 32 keys, at least one \
                         signs"
                    )));
                }
                Ok((self.make_keys(role, count, passphrase)?, threshold))
            }
            NewKeys::Command { command, public } => {
                let (signer, public) = Signer::command(command, public)?;
                let entry = KeyEntry {
                    id: signer.id(),
                    role,
                    file: None,
                    command: Some(command.to_owned()),
                    public: Some(public),
                };
                self.settings.keys.retain(|known| known.id != entry.id);
                self.settings.keys.push(entry);
                Ok((vec![signer], 1))
            }
        }
    }

    /// Signs `root` as the next version, then what hangs on it, and only then writes it all.
    fn put_root(
        &self,
        mut root: Root,
        before: &Root,
        own: &[Signer],
        old: &[Signer],
        now: u64,
        below: impl FnOnce(&Self, &Root) -> Result<Vec<(String, Vec<u8>)>, PublishError>,
    ) -> Result<(), PublishError> {
        let number = before.version.get() + 1;
        root.version = sign::version(number);
        root.expires = sign::expiry(now, self.settings.lifetime_days.root)?;
        let signed = sign::sign_root(&root, own, Some((before, old)))?;
        let below = below(self, &root)?;
        let metadata = chain::metadata(&self.dir);
        // Boards find the others by the timestamp, which is last: between it and the root they see a
        // generation that the new root does not know, and come back later.
        let (timestamp, others) = match below.split_last() {
            Some((last, others)) => (Some(last), others),
            None => (None, &below[..]),
        };
        for (name, bytes) in others {
            durable::replace(&metadata.join(name), bytes)?;
        }
        durable::replace(&metadata.join(format!("{number}.root.json")), signed.buffer())?;
        if let Some((name, bytes)) = timestamp {
            durable::replace(&metadata.join(name), bytes)?;
        }
        durable::replace(&self.root_file(), signed.buffer())
    }

    /// Signs again what the keys of `role` signed, and all that hangs on it, under the new `root`.
    fn sign_below(
        &self,
        chain: &Chain,
        root: &Root,
        role: Role,
        now: u64,
    ) -> Result<Vec<(String, Vec<u8>)>, PublishError> {
        let days = self.settings.lifetime_days;
        let signers = |role: Role| self.keyring.signers(&self.dir, &self.settings, root, role);
        let mut files = Vec::new();
        if role == Role::Root {
            return Ok(files);
        }
        let mut targets: Option<SignedRole<Targets>> = None;
        if role == Role::Targets {
            let mut next = chain.targets.signed.clone();
            let number = next.version.get() + 1;
            next.version = sign::version(number);
            next.expires = sign::expiry(now, days.targets)?;
            let signed = sign::sign_checked(next, root, &signers(Role::Targets)?)?;
            files.push((format!("{number}.targets.json"), signed.buffer().clone()));
            targets = Some(signed);
        }
        let mut snapshot = chain.snapshot.signed.clone();
        let number = snapshot.version.get() + 1;
        let expires = sign::expiry(now, days.snapshot)?;
        match &targets {
            Some(targets) => snapshot = sign::snapshot_of(targets, number, expires),
            None => (snapshot.version, snapshot.expires) = (sign::version(number), expires),
        }
        let snapshot = sign::sign_checked(snapshot, root, &signers(Role::Snapshot)?)?;
        files.push((format!("{number}.snapshot.json"), snapshot.buffer().clone()));

        let number = chain.timestamp.signed.version.get() + 1;
        let meta = sign::snapshot_meta(&snapshot);
        let timestamp = sign::timestamp_of(meta, number, now, sign::expiry(now, days.timestamp)?)?;
        let timestamp = sign::sign_checked(timestamp, root, &signers(Role::Timestamp)?)?;
        files.push(("timestamp.json".to_owned(), timestamp.buffer().clone()));
        Ok(files)
    }
}
