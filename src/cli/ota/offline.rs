//! The operator's side where no daemon runs: on the store itself, under its lock.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use semver::Version;
use serde_json::{Value, json};

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::daemon::channel::{Channel, no_repository};
use crate::health;
use crate::model::Bundle;
use crate::selftest::child;
use crate::storage::{DirStorage, OsDisk};
use crate::store::{Receiving, Store};
use crate::trust::FileSource;
use crate::update::failure::{Code, Failure};
use crate::update::judge::Verdict;
use crate::update::machine::{Next, Updates};
use crate::update::record::{Candidate, Phase, Record};
use crate::update::status;
use crate::update::world::{Report, World};

/// How all models stand, read from their records; nothing is locked or changed.
pub(super) fn status(config: &Config) -> anyhow::Result<Value> {
    let storage = DirStorage::new(&config.state);
    let mut models = Vec::new();
    for model in config.store_models() {
        let record = Record::of(&storage, &model)?;
        models.push(status::status(&model, &Report::of(&record), &record));
    }
    Ok(json!({ "models": models }))
}

/// A signed version that the operator wants.
pub(super) struct Wanted {
    pub(super) model: String,
    /// The newest that the board can run where none is named.
    pub(super) version: Option<Version>,
    pub(super) allow_downgrade: bool,
}

/// The store, locked.
pub(super) struct Offline {
    updates: Updates,
    bench: Bench,
}

impl Offline {
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let store = Store::open(Arc::new(OsDisk), &Store::folder(&config.state))?;
        let storage = Arc::new(DirStorage::new(&config.state));
        let memory_bytes = config.ota.memory_bytes;
        let mut bench = Bench { boot: health::boot_id(), memory_bytes, channel: None };
        let models = config.store_models();
        let updates = Updates::open(&models, store, storage, config.ota.check, &mut bench)?;
        Ok(Self { updates, bench })
    }

    /// What serves from the next start on.
    pub(super) fn roll_back(mut self, model: &str, to: Option<&Version>) -> anyhow::Result<Value> {
        let running = self.updates.roll_back(model, to, &mut self.bench)?;
        Ok(status::installed(&running))
    }

    /// Keeps a version, or that no longer.
    pub(super) fn pin(
        mut self,
        model: &str,
        version: Option<&Version>,
        pinned: bool,
    ) -> anyhow::Result<Value> {
        Ok(status::installed(&self.updates.pin(model, version, pinned)?))
    }

    /// Takes the bundle up to its trial, which the daemon watches over when it starts.
    pub(super) fn apply(mut self, bundle: &Bundle) -> anyhow::Result<Value> {
        self.updates.apply(bundle, &mut self.bench)?;
        self.go_on(&bundle.manifest.name)
    }

    /// The same with a signed version out of `medium`: which, whether there was anything to do, and how it stands.
    pub(super) fn bring(
        mut self,
        config: &Config,
        medium: FileSource,
        wanted: &Wanted,
    ) -> anyhow::Result<(String, bool, Value)> {
        let Some(repository) = &config.ota.repository else { return Err(no_repository().into()) };
        let storage = Arc::new(DirStorage::new(&config.state));
        let clock = Arc::new(SystemClock);
        let channel = Channel::new(repository, storage, clock, None, Default::default())?;
        let channel = self.bench.channel.insert(channel);
        let Wanted { model, version, allow_downgrade } = wanted;
        self.updates.is_free(model)?;
        let candidate = channel.find_on(Arc::new(medium), model, version.as_ref())?;
        let version = candidate.bundle.version.to_string();
        let begun = self.updates.take(model, candidate, *allow_downgrade, &mut self.bench)?;
        Ok((version, begun, self.go_on(model)?))
    }

    fn go_on(mut self, name: &str) -> anyhow::Result<Value> {
        loop {
            let update = self.updates.record(name).and_then(|record| record.update.as_ref());
            if update.is_none_or(|update| update.phase == Phase::Trial)
                || self.updates.turn(&mut self.bench) == Next::Nothing
            {
                break;
            }
        }
        self.updates.stop();
        let missing = || Failure::new(Code::Internal, "the record is gone");
        let report = self.updates.report(name).ok_or_else(missing)?;
        let record = self.updates.record(name).ok_or_else(missing)?;
        Ok(status::status(name, &report, record))
    }
}

/// A board at rest: no pipeline runs, so there is nothing to compare with and nothing to take over from.
struct Bench {
    boot: String,
    memory_bytes: u64,
    /// The way to a medium, while something is taken from it.
    channel: Option<Channel>,
}

impl World for Bench {
    fn now(&self) -> Duration {
        SystemClock.monotonic()
    }

    fn time(&self) -> String {
        SystemClock.wall().rfc3339()
    }

    fn boot(&self) -> &str {
        &self.boot
    }

    fn find(&mut self, _: &str, _: Option<&Version>) -> Result<Candidate, Failure> {
        Err(Failure::new(Code::NotFound, "no daemon runs that would ask a repository"))
    }

    fn fetch(
        &mut self,
        model: &str,
        candidate: &Candidate,
        into: &mut Receiving,
        _: &Report,
    ) -> Result<(), Failure> {
        match &mut self.channel {
            Some(channel) => channel.fetch(model, candidate, into, &mut |_| {}),
            None => Err(Failure::new(Code::NotFound, "no daemon runs that would ask a repository")),
        }
    }

    fn verify(&mut self, _: &str, _: &Bundle) -> Result<(), Failure> {
        Ok(())
    }

    fn self_test(&mut self, _: &str, _: &Candidate, file: &Path) -> Result<(), Failure> {
        let limits = child::Limits { memory_bytes: self.memory_bytes, ..child::Limits::default() };
        child::run(file, &limits, &AtomicBool::new(false)).map(drop)
    }

    fn stage(&mut self, _: &str, _: &Bundle) -> Result<(), Failure> {
        Ok(())
    }

    fn shadow(&mut self, _: &str) -> Option<Result<(), Failure>> {
        Some(Ok(()))
    }

    fn activate(&mut self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    fn trial(&mut self, _: &str) -> Verdict {
        Verdict::Wait
    }

    fn clear(&mut self, _: &str) {}

    fn serve(&mut self, _: &str, _: Option<&Bundle>) -> Result<(), Failure> {
        Ok(())
    }

    fn report(&mut self, _: &str, _: &Report) {}

    fn interrupted(&self) -> bool {
        false
    }
}
