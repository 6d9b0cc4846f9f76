//! What the machine of updates stands in, what it tells, and what is wished of it.

use std::path::Path;
use std::time::Duration;

use semver::Version;

use super::failure::Failure;
use super::judge::Verdict;
use super::record::{Candidate, Installed, Record};
use crate::model::Bundle;
use crate::store::Receiving;

/// Everything around the machine: the repository, the child for self-tests, the pipelines.
pub trait World {
    /// Time since some start; only ever grows.
    fn now(&self) -> Duration;

    /// The wall clock for people, RFC 3339.
    fn time(&self) -> String;

    /// The kernel's id of this boot.
    fn boot(&self) -> &str;

    /// The repository's bundle of this version, or its newest, if this board can run it.
    ///
    /// # Errors
    /// When there is none, it is not for this board, or the repository cannot be believed or reached.
    fn find(&mut self, model: &str, version: Option<&Version>) -> Result<Candidate, Failure>;

    /// Receives the rest of a bundle, and reports `report` with its progress now and then.
    ///
    /// # Errors
    /// When it does not come whole, or [`World::interrupted`]; what has come is kept.
    fn fetch(
        &mut self,
        model: &str,
        candidate: &Candidate,
        into: &mut Receiving,
        report: &Report,
    ) -> Result<(), Failure>;

    /// Whether the bundle fits the pipelines that run the model, and their sensors.
    ///
    /// # Errors
    /// Says what does not fit.
    fn verify(&mut self, model: &str, bundle: &Bundle) -> Result<(), Failure>;

    /// Runs the golden windows of the candidate, whose bundle lies at `file`, away from what serves.
    ///
    /// # Errors
    /// When they are not met.
    fn self_test(&mut self, model: &str, candidate: &Candidate, file: &Path)
    -> Result<(), Failure>;

    /// Loads the bundle beside what serves.
    ///
    /// # Errors
    /// When there is no memory for both.
    fn stage(&mut self, model: &str, bundle: &Bundle) -> Result<(), Failure>;

    /// How the staged bundle does on live windows; `None` while it is too early to say.
    fn shadow(&mut self, model: &str) -> Option<Result<(), Failure>>;

    /// The staged bundle takes over between two windows. Returns when it has.
    ///
    /// # Errors
    /// When a pipeline does not take it; what served before then still does.
    fn activate(&mut self, model: &str) -> Result<(), Failure>;

    /// How the bundle that took over does at work; the first call begins the watch.
    fn trial(&mut self, model: &str) -> Verdict;

    /// Lets go of whatever was staged or watched for the model.
    fn clear(&mut self, model: &str);

    /// Serves `bundle` instead of what does, between two windows; nothing at all with `None`.
    ///
    /// # Errors
    /// When it cannot be loaded.
    fn serve(&mut self, model: &str, bundle: Option<&Bundle>) -> Result<(), Failure>;

    /// Tells the outside how it stands; what it says is durable.
    fn report(&mut self, model: &str, report: &Report);

    /// Whether the process is to stop, or a wish has come in that changes things.
    fn interrupted(&self) -> bool;
}

/// How a model's updates stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `idle`, a step of an update, or how the last one ended.
    pub state: &'static str,
    /// What serves.
    pub running: Option<Installed>,
    /// What a roll-back returns to.
    pub previous: Option<Installed>,
    /// The version that is on its way.
    pub target: Option<Version>,
    /// Bytes that have arrived, of how many.
    pub progress: Option<(u64, u64)>,
    /// Why the last update did not go through, and which version it was.
    pub failure: Option<(Option<Version>, Failure)>,
}

impl Report {
    /// As far as the record alone tells.
    pub fn of(record: &Record) -> Self {
        let Record { current, previous, update, history, .. } = record;
        let state = match (update, history.back()) {
            (Some(update), _) => update.phase.as_str(),
            (None, Some(past)) => past.outcome.as_str(),
            (None, None) => "idle",
        };
        let failure = history
            .back()
            .filter(|_| update.is_none())
            .and_then(|past| Some((Some(past.bundle.version.clone()), past.failure.clone()?)));
        Self {
            state,
            running: current.clone(),
            previous: previous.clone(),
            target: update.as_ref().map(|update| update.candidate.bundle.version.clone()),
            progress: None,
            failure,
        }
    }
}

/// What is wished for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing: what runs stays.
    Keep,
    /// This version; below the one that runs only if that is meant.
    Version {
        /// Which.
        version: Version,
        /// Whether an older one than runs is meant.
        allow_downgrade: bool,
    },
    /// The newest in the repository.
    Newest,
}
