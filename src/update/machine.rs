//! The updates of all models, one step at a time. Each step is durable before the next begins, and nothing is
//! reported that is not durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use semver::Version;

use super::failure::{Code, Failure};
use super::judge::Verdict;
use super::record::{Candidate, Installed, Origin, Outcome, Phase, Record, Resume};
use super::world::{Report, Wish, World};
use crate::model::Bundle;
use crate::storage::Storage;
use crate::store::Store;

/// How soon a poll of a shadow run or a trial is worth it.
const POLL: Duration = Duration::from_millis(200);
/// After a failure that may pass the next try waits this long, then twice as long, up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// What a turn leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next step, at once.
    AtOnce,
    /// Something, after this long.
    After(Duration),
    /// Nothing, until a wish comes.
    Nothing,
}

struct Model {
    record: Record,
    wish: Wish,
    staged: bool,
    failure: Option<(Option<Version>, Failure)>,
    /// When a wish is looked at again, and how long the wait after the next failure is.
    due: Option<Duration>,
    retry: Duration,
    reported: Option<Report>,
}

/// All models of the store, and their updates.
pub struct Updates {
    models: BTreeMap<String, Model>,
    store: Store,
    storage: Arc<dyn Storage>,
    /// How often the repository is asked again for what is wished.
    check: Duration,
}

impl Updates {
    /// Reads the records of `models`, and makes up for whatever was under way when the process ended: after
    /// this [`Updates::current`] says what to serve.
    ///
    /// # Errors
    /// When a name is not one of a model.
    pub fn open(
        models: &[String],
        store: Store,
        storage: Arc<dyn Storage>,
        check: Duration,
        world: &mut dyn World,
    ) -> Result<Self, Failure> {
        store.reserve();
        let mut updates = Self { models: BTreeMap::new(), store, storage, check };
        for name in models {
            let (mut record, failure) = match Record::of(updates.storage.as_ref(), name) {
                Ok(record) => (record, None),
                Err(error) => updates.recovered(name, &error),
            };
            let resumed = record.resume(world.boot(), &world.time());
            let mut failure: Option<(Option<Version>, Failure)> = failure.map(|f| (None, f));
            if let Resume::Ended(_, why) = &resumed {
                log::error!("model {name}: {why}; the version before serves");
                let version = record.history.back().map(|past| past.bundle.version.clone());
                failure = Some((version, why.clone()));
            }
            let model = Model {
                record,
                wish: Wish::Keep,
                staged: false,
                failure,
                due: None,
                retry: RETRY_FIRST,
                reported: None,
            };
            updates.models.insert(name.clone(), model);
            if resumed != Resume::Nothing {
                updates.keep(name)?;
            }
        }
        updates.collect();
        Ok(updates)
    }

    /// A record that cannot be read: whatever good bundle of the model is in the store serves, the newest.
    fn recovered(&self, name: &str, why: &Failure) -> (Record, Option<Failure>) {
        let bundles = self.store.list().unwrap_or_default().into_iter();
        let good = bundles.filter_map(|(digest, _)| self.store.read(&digest).ok());
        let mut good: Vec<_> = good
            .filter(|bundle| bundle.manifest.name == name)
            .map(|bundle| Installed::of(&bundle, Origin::Repository))
            .collect();
        good.sort_by(|a, b| a.version.cmp(&b.version));
        let record = Record { current: good.pop(), previous: good.pop(), ..Record::default() };
        let message = format!("{why}; the newest good bundle of the store serves");
        log::error!("{message}");
        (record, Some(Failure::new(Code::Internal, message)))
    }

    /// What is to serve for `model`, read from the store and checked. A damaged current bundle gives way to the
    /// one before.
    ///
    /// # Errors
    /// When there is none that is good.
    pub fn current(&mut self, model: &str) -> Result<Bundle, Failure> {
        let none = || {
            let words = format!(
                "model {model} has no version in the store yet: publish one, or `edgerun ota apply FILE`"
            );
            Failure::new(Code::NotFound, words)
        };
        let record = &mut self.models.get_mut(model).ok_or_else(none)?.record;
        let Some(current) = record.current.clone() else { return Err(none()) };
        match self.store.read(&current.digest) {
            Ok(bundle) => Ok(bundle),
            Err(error) => {
                let Some(previous) = record.previous.clone() else { return Err(error.into()) };
                log::error!("model {model}: {error}; version {} serves", previous.version);
                let bundle = self.store.read(&previous.digest)?;
                record.update = None;
                record.current = record.previous.take();
                self.fail_note(model, Some(current.version), Failure::from(error));
                self.keep(model)?;
                Ok(bundle)
            }
        }
    }

    /// What is to serve for `model` cannot, as the process starts. A trial ends with that; then the version before is
    /// to serve, and is returned. Otherwise the model waits for another version.
    pub fn cannot_serve(
        &mut self,
        model: &str,
        why: &str,
        world: &mut dyn World,
    ) -> Option<Bundle> {
        let update = self.models.get(model)?.record.update.as_ref()?;
        if update.phase < Phase::Trial {
            return None;
        }
        let message = format!("it cannot serve: {why}");
        self.fail(model, Failure::new(Code::TrialFailed, message), world);
        self.current(model).ok()
    }

    /// What is known of `model`.
    pub fn record(&self, model: &str) -> Option<&Record> {
        self.models.get(model).map(|model| &model.record)
    }

    /// How `model` stands.
    pub fn report(&self, model: &str) -> Option<Report> {
        self.models.get(model).map(Model::report)
    }

    /// The names of all models.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A wish has come in, or is gone. An update that has not begun to take over gives way to another one.
    pub fn wish(&mut self, model: &str, wish: Wish, world: &mut dyn World) {
        let Some(known) = self.models.get_mut(model) else { return };
        if known.wish == wish {
            return;
        }
        let underway = known.record.update.as_ref();
        let gives_way = underway.is_some_and(|update| {
            let bundle = &update.candidate.bundle;
            let same = matches!(&wish, Wish::Version { version, .. } if *version == bundle.version);
            update.phase < Phase::Activating && !same && bundle.origin == Origin::Repository
        });
        known.wish = wish;
        known.due = Some(Duration::ZERO);
        known.retry = RETRY_FIRST;
        known.failure = None;
        if gives_way {
            known.record.update = None;
            known.staged = false;
            world.clear(model);
            if let Err(error) = self.keep(model) {
                log::error!("model {model}: {error}");
            }
            self.collect();
        }
        self.tell(model, world);
    }

    /// Tells the outside how every model stands.
    pub fn tell_all(&mut self, world: &mut dyn World) {
        let names: Vec<String> = self.models.keys().cloned().collect();
        for name in names {
            self.tell(&name, world);
        }
    }

    /// What is wished cannot be followed: somebody should be told.
    pub fn remark(&mut self, model: &str, failure: Failure, world: &mut dyn World) {
        if let Some(known) = self.models.get_mut(model)
            && known.failure.is_none()
        {
            known.failure = Some((None, failure));
            self.tell(model, world);
        }
    }

    /// The repository may have something new.
    pub fn look_again(&mut self) {
        for model in self.models.values_mut() {
            model.due = Some(Duration::ZERO);
        }
    }

    /// Takes the operator's own bundle, not signed, whatever version runs.
    ///
    /// # Errors
    /// When an update is under way, or the store has no room.
    pub fn apply(&mut self, bundle: &Bundle, world: &mut dyn World) -> Result<(), Failure> {
        self.is_free(&bundle.manifest.name)?;
        let length = self.store.import(bundle)?;
        let (name, bundle) = (&bundle.manifest.name, Installed::of(bundle, Origin::Local));
        self.begin(name, Candidate { bundle, length }, world)
    }

    /// Takes a version that was found in a repository because the operator says so, whatever is wished. Whether an
    /// update began: nothing is to do where that version serves.
    ///
    /// # Errors
    /// When an update is under way, or the version is older than the one that serves and that is not meant.
    pub fn take(
        &mut self,
        model: &str,
        candidate: Candidate,
        allow_downgrade: bool,
        world: &mut dyn World,
    ) -> Result<bool, Failure> {
        self.is_free(model)?;
        let current = self.record(model).and_then(|record| record.current.as_ref());
        let version = &candidate.bundle.version;
        match current {
            Some(current) if current.digest == candidate.bundle.digest => return Ok(false),
            Some(current) if *version < current.version && !allow_downgrade => {
                let message = format!(
                    "version {version} is older than {}, which serves; say --allow-downgrade if that is meant",
                    current.version
                );
                return Err(Failure::new(Code::Incompatible, message));
            }
            _ => {}
        }
        self.begin(model, candidate, world).map(|()| true)
    }

    /// Whether an update of `model` may begin.
    ///
    /// # Errors
    /// When one is under way, or there is no such model.
    pub fn is_free(&self, model: &str) -> Result<(), Failure> {
        let Some(known) = self.models.get(model) else {
            let message = format!("no pipeline of this board runs a model called {model}");
            return Err(Failure::new(Code::NotFound, message));
        };
        let Some(update) = &known.record.update else { return Ok(()) };
        let (version, phase) = (&update.candidate.bundle.version, update.phase.as_str());
        let message =
            format!("model {model}: version {version} is under way ({phase}); try again after it");
        Err(Failure::new(Code::Busy, message))
    }

    /// Begins what the operator wants, also where it failed before.
    fn begin(
        &mut self,
        name: &str,
        candidate: Candidate,
        world: &mut dyn World,
    ) -> Result<(), Failure> {
        let Some(model) = self.models.get_mut(name) else { return Ok(()) };
        model.record.forgive(&candidate.bundle.digest);
        model.record.begin(candidate, world.boot());
        self.keep(name).inspect_err(|_| {
            if let Some(model) = self.models.get_mut(name) {
                model.record.update = None;
            }
        })?;
        self.tell(name, world);
        Ok(())
    }

    /// Keeps a version of `model` in the store, or that no longer: the one that serves where none is named.
    ///
    /// # Errors
    /// When it is not there, or the record cannot be written.
    pub fn pin(
        &mut self,
        model: &str,
        version: Option<&Version>,
        pinned: bool,
    ) -> Result<Installed, Failure> {
        let none = || Failure::new(Code::NotFound, format!("no model is called {model}"));
        let known = self.models.get_mut(model).ok_or_else(none)?;
        let kept = known.record.clone();
        let bundle =
            if pinned { known.record.pin(version)? } else { known.record.unpin(version)? };
        self.keep(model).inspect_err(|_| {
            if let Some(known) = self.models.get_mut(model) {
                known.record = kept;
            }
        })?;
        self.collect();
        Ok(bundle)
    }

    /// Goes back to the version before, or to the one `to` that is kept, without any network.
    ///
    /// # Errors
    /// When there is none.
    pub fn roll_back(
        &mut self,
        model: &str,
        to: Option<&Version>,
        world: &mut dyn World,
    ) -> Result<Installed, Failure> {
        let none = || Failure::new(Code::NotFound, format!("no model is called {model}"));
        let known = self.models.get_mut(model).ok_or_else(none)?;
        let kept = known.record.clone();
        let goes_on = known.downloads_what_is_wished();
        let time = world.time();
        known.record.roll_back(to, &time)?;
        known.staged = false;
        known.failure = None;
        let current = known.record.current.clone().ok_or_else(none)?;
        // Read before anything changes: a damaged bundle is no place to return to.
        let bundle = self.store.read(&current.digest).inspect_err(|_| {
            if let Some(known) = self.models.get_mut(model) {
                known.record = kept;
            }
        })?;
        world.clear(model);
        self.keep(model)?;
        world.serve(model, Some(&bundle))?;
        if goes_on {
            // Begun again with the next turn, which needs what has come of it.
            if let Some(known) = self.models.get_mut(model) {
                known.due = Some(Duration::ZERO);
            }
        } else {
            self.collect();
        }
        self.tell(model, world);
        Ok(current)
    }

    /// An orderly stop: what is under way is gone on with, without blame, at the next start.
    pub fn stop(&mut self) {
        let names: Vec<String> = self.models.keys().cloned().collect();
        for name in names {
            let changed = self.models.get_mut(&name).is_some_and(|model| model.record.stop());
            if changed && let Err(error) = self.keep(&name) {
                log::warn!("model {name}: {error}");
            }
        }
    }

    /// One step of each model that has something to do.
    pub fn turn(&mut self, world: &mut dyn World) -> Next {
        let names: Vec<String> = self.models.keys().cloned().collect();
        let mut next = Next::Nothing;
        for name in names {
            let one = self.turn_of(&name, world);
            next = match (next, one) {
                (Next::AtOnce, _) | (_, Next::AtOnce) => Next::AtOnce,
                (Next::After(a), Next::After(b)) => Next::After(a.min(b)),
                (Next::After(a), Next::Nothing) | (Next::Nothing, Next::After(a)) => Next::After(a),
                (Next::Nothing, Next::Nothing) => Next::Nothing,
            };
        }
        next
    }

    fn turn_of(&mut self, name: &str, world: &mut dyn World) -> Next {
        let Some(model) = self.models.get(name) else { return Next::Nothing };
        let Some(phase) = model.record.update.as_ref().map(|update| update.phase) else {
            return self.consider(name, world);
        };
        self.tell(name, world);
        let done = match phase {
            Phase::Fetching => self.fetch(name, world),
            Phase::Verifying => self.verify(name, world),
            Phase::SelfTesting => self.self_test(name, world),
            Phase::Shadowing => self.shadow(name, world),
            Phase::Activating => self.activate(name, world),
            Phase::Trial => self.trial(name, world),
        };
        match done {
            Ok(next) => next,
            Err(failure) => {
                self.fail(name, failure, world);
                Next::AtOnce
            }
        }
    }

    /// Nothing is under way: is something wished that does not run yet?
    fn consider(&mut self, name: &str, world: &mut dyn World) -> Next {
        let now = world.now();
        let Some(model) = self.models.get_mut(name) else { return Next::Nothing };
        let (wanted, downgrade) = match &model.wish {
            Wish::Keep => return Next::Nothing,
            Wish::Version { version, allow_downgrade } => (Some(version.clone()), *allow_downgrade),
            Wish::Newest => (None, false),
        };
        let runs = model.record.current.as_ref().map(|current| current.version.clone());
        if wanted.is_some() && wanted == runs {
            model.due = None;
            return Next::Nothing;
        }
        match model.due {
            Some(due) if due > now => return Next::After(due - now),
            None => return Next::Nothing,
            Some(_) => {}
        }
        model.due = Some(now + self.check);
        let found = world.find(name, wanted.as_ref()).and_then(|candidate| {
            let version = &candidate.bundle.version;
            let older = runs.as_ref().is_some_and(|runs| version < runs);
            if wanted.is_none() && (older || runs.as_ref() == Some(version)) {
                return Ok(None);
            }
            if older && !downgrade {
                let message = format!(
                    "version {version} is older than the one that runs; say allow_downgrade if that is meant"
                );
                return Err(Failure::new(Code::Incompatible, message));
            }
            if model.record.held.as_ref() == Some(&candidate.bundle.digest) {
                return Ok(None);
            }
            if let Some(before) = model.record.rejection(&candidate.bundle.digest) {
                let message = format!("it was refused on this board before: {before}");
                return Err(Failure::new(before.code, message));
            }
            Ok(Some(candidate))
        });
        match found {
            Ok(None) => Next::After(self.check),
            Ok(Some(candidate)) => {
                model.failure = None;
                model.record.begin(candidate, world.boot());
                match self.keep(name) {
                    Ok(()) => Next::AtOnce,
                    Err(failure) => {
                        self.fail(name, failure, world);
                        Next::After(self.check)
                    }
                }
            }
            Err(_) if world.interrupted() => {
                model.due = Some(now);
                Next::AtOnce
            }
            Err(failure) => {
                // What the network or the repository lacks may be there soon; the rest only with a new wish or
                // another bundle.
                let wait = match failure.code {
                    Code::FetchFailed | Code::NotFound => model.retry.min(self.check),
                    _ => self.check,
                };
                model.retry = (model.retry * 2).min(RETRY_MAX);
                model.due = Some(now + wait);
                self.fail_note(name, wanted, failure);
                self.tell(name, world);
                Next::After(wait)
            }
        }
    }

    fn fetch(&mut self, name: &str, world: &mut dyn World) -> Result<Next, Failure> {
        let candidate = self.candidate(name)?;
        let digest = &candidate.bundle.digest;
        if !self.store.has(digest)? {
            let mut receiving = self.store.receive(digest, candidate.length)?;
            let report = self.report(name).unwrap_or_else(|| Report::of(&Record::default()));
            let fetched = world.fetch(name, &candidate, &mut receiving, &report);
            receiving.sync()?;
            drop(receiving);
            if world.interrupted() && fetched.is_err() {
                return Ok(Next::AtOnce);
            }
            fetched?;
            self.store.admit(digest)?;
        }
        self.enter(name, Phase::Verifying, world)
    }

    fn verify(&mut self, name: &str, world: &mut dyn World) -> Result<Next, Failure> {
        let candidate = self.candidate(name)?;
        let bundle = self.store.read(&candidate.bundle.digest)?;
        let (said, found) = (&candidate.bundle.version, &bundle.manifest.version);
        if bundle.manifest.name != name || said != found {
            let message = format!(
                "the bundle calls itself {} {found}, it was announced as {name} {said}",
                bundle.manifest.name
            );
            return Err(Failure::new(Code::Incompatible, message));
        }
        world.verify(name, &bundle)?;
        self.enter(name, Phase::SelfTesting, world)
    }

    fn self_test(&mut self, name: &str, world: &mut dyn World) -> Result<Next, Failure> {
        let candidate = self.candidate(name)?;
        world.self_test(name, &candidate, &self.store.path(&candidate.bundle.digest))?;
        let serves = self.models.get(name).is_some_and(|model| model.record.current.is_some());
        let next = if serves { Phase::Shadowing } else { Phase::Activating };
        self.enter(name, next, world)
    }

    fn shadow(&mut self, name: &str, world: &mut dyn World) -> Result<Next, Failure> {
        self.stage(name, world)?;
        match world.shadow(name) {
            None => Ok(Next::After(POLL)),
            Some(verdict) => {
                verdict?;
                self.enter(name, Phase::Activating, world)
            }
        }
    }

    fn activate(&mut self, name: &str, world: &mut dyn World) -> Result<Next, Failure> {
        self.stage(name, world)?;
        world.activate(name)?;
        self.enter(name, Phase::Trial, world)
    }

    fn trial(&mut self, name: &str, world: &mut dyn World) -> Result<Next, Failure> {
        match world.trial(name) {
            Verdict::Wait => Ok(Next::After(POLL)),
            Verdict::Bad(failure) => Err(failure),
            Verdict::Good => {
                let time = world.time();
                if let Some(model) = self.models.get_mut(name) {
                    model.record.commit(&time);
                    model.staged = false;
                    model.failure = None;
                }
                self.keep(name)?;
                world.clear(name);
                self.collect();
                self.tell(name, world);
                Ok(Next::AtOnce)
            }
        }
    }

    fn stage(&mut self, name: &str, world: &mut dyn World) -> Result<(), Failure> {
        if self.models.get(name).is_some_and(|model| model.staged) {
            return Ok(());
        }
        let candidate = self.candidate(name)?;
        let bundle = self.store.read(&candidate.bundle.digest)?;
        world.stage(name, &bundle)?;
        if let Some(model) = self.models.get_mut(name) {
            model.staged = true;
        }
        Ok(())
    }

    fn candidate(&self, name: &str) -> Result<Candidate, Failure> {
        let update = self.models.get(name).and_then(|model| model.record.update.as_ref());
        update
            .map(|update| update.candidate.clone())
            .ok_or_else(|| Failure::new(Code::Internal, "no update is under way"))
    }

    fn enter(&mut self, name: &str, phase: Phase, world: &mut dyn World) -> Result<Next, Failure> {
        if let Some(model) = self.models.get_mut(name) {
            model.record.enter(phase, world.boot());
        }
        self.keep(name)?;
        self.tell(name, world);
        Ok(Next::AtOnce)
    }

    /// The update does not go through; from the moment on that the new bundle took over, the one before is
    /// loaded again.
    fn fail(&mut self, name: &str, failure: Failure, world: &mut dyn World) {
        let time = world.time();
        let now = world.now();
        let Some(model) = self.models.get_mut(name) else { return };
        let phase = model.record.update.as_ref().map(|update| update.phase);
        let version =
            model.record.update.as_ref().map(|update| update.candidate.bundle.version.clone());
        let outcome = model.record.fail(failure.clone(), &time);
        model.staged = false;
        let wait = if failure.condemns() { self.check } else { model.retry.min(self.check) };
        model.retry = (model.retry * 2).min(RETRY_MAX);
        model.due = Some(now + wait);
        let shown = version.as_ref().map(Version::to_string).unwrap_or_default();
        log::warn!("model {name}: version {shown} is {}: {failure}", outcome.as_str());
        self.fail_note(name, version, failure);
        if let Err(error) = self.keep(name) {
            log::error!("model {name}: {error}");
        }
        world.clear(name);
        if matches!(phase, Some(Phase::Activating | Phase::Trial)) {
            self.serve_current(name, world);
        }
        self.collect();
        self.tell(name, world);
    }

    fn serve_current(&mut self, name: &str, world: &mut dyn World) {
        let bundle = self.current(name);
        if let Err(error) = &bundle {
            log::error!("model {name}: {error}");
        }
        if let Err(error) = world.serve(name, bundle.ok().as_ref()) {
            log::error!("model {name}: the version before cannot serve: {error}");
        }
    }

    fn fail_note(&mut self, name: &str, version: Option<Version>, failure: Failure) {
        if let Some(model) = self.models.get_mut(name) {
            model.failure = Some((version, failure));
        }
    }

    /// Makes the record durable. On a full disk the reserve is given back first.
    fn keep(&self, name: &str) -> Result<(), Failure> {
        let Some(model) = self.models.get(name) else { return Ok(()) };
        let keep = || model.record.keep(self.storage.as_ref(), name);
        match keep() {
            Err(failure) if failure.code == Code::NoSpace && self.store.spend_reserve() => keep(),
            kept => kept,
        }
    }

    /// Removes what no record names.
    fn collect(&self) {
        let mut kept = BTreeSet::new();
        let mut receiving = BTreeSet::new();
        for model in self.models.values() {
            kept.extend(model.record.kept());
            receiving.extend(model.record.receiving().cloned());
        }
        if let Err(error) = self.store.collect(&kept, &receiving) {
            log::warn!("the store cannot be tidied: {error}");
        }
        self.store.reserve();
    }

    fn tell(&mut self, name: &str, world: &mut dyn World) {
        let Some(model) = self.models.get_mut(name) else { return };
        let report = model.report();
        if model.reported.as_ref() != Some(&report) {
            world.report(name, &report);
            model.reported = Some(report);
        }
    }
}

impl Model {
    /// Whether the wish stands whatever becomes of this download.
    fn downloads_what_is_wished(&self) -> bool {
        let update = self.record.update.as_ref();
        update.is_some_and(|update| {
            let wished = match &self.wish {
                Wish::Keep => false,
                Wish::Version { version, .. } => *version == update.candidate.bundle.version,
                Wish::Newest => true,
            };
            update.phase == Phase::Fetching && wished
        })
    }

    fn report(&self) -> Report {
        let mut report = Report::of(&self.record);
        if report.target.is_none() {
            // A wish that never became an update has no place in the record.
            if self.failure.is_some() && report.failure.is_none() {
                report.state = Outcome::Rejected.as_str();
            }
            report.failure.clone_from(&self.failure);
        }
        report
    }
}

#[cfg(test)]
mod tests;
