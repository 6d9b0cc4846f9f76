//! The operator's side where no daemon runs: on the store itself, under its lock.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use semver::Version;
use serde_json::{Value, json};

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::health;
use crate::model::Bundle;
use crate::selftest::child;
use crate::storage::{DirStorage, OsDisk};
use crate::store::{Receiving, Store};
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

/// The store, locked.
pub(super) struct Offline {
    updates: Updates,
    bench: Bench,
}

impl Offline {
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let store = Store::open(Arc::new(OsDisk), &Store::folder(&config.state))?;
        let storage = Arc::new(DirStorage::new(&config.state));
        let mut bench = Bench { boot: health::boot_id(), memory_bytes: config.ota.memory_bytes };
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
        let name = bundle.manifest.name.as_str();
        self.updates.apply(bundle, &mut self.bench)?;
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
        _: &str,
        _: &Candidate,
        _: &mut Receiving,
        _: &Report,
    ) -> Result<(), Failure> {
        Err(Failure::new(Code::NotFound, "no daemon runs that would ask a repository"))
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
