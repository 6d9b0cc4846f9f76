//! What is known durably of one model's versions on this board, and every way in which that may change. Pure:
//! no disk, no clock.

use std::collections::{BTreeSet, VecDeque};
use std::io;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::failure::{Code, Failure};
use crate::model::{Bundle, Digest};
use crate::storage::{FileName, Storage};

/// Crashes of the process, within one boot of the board, that a bundle on trial is forgiven. A single one may
/// be another part's fault.
const CRASHES_FORGIVEN: u32 = 1;
/// Starts of the board during one trial before the bundle is blamed: power cuts are common, but a bundle can
/// take the whole board down as well.
const BOOTS_FORGIVEN: u32 = 4;
/// Refused bundles and past updates that are remembered.
const REMEMBERED: usize = 32;
/// Versions of a model that an operator may keep: the store is bounded.
pub const PINNED_MAX: usize = 4;

/// The record of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// What serves; during a trial the new one.
    pub current: Option<Installed>,
    /// What served before; what a roll-back returns to.
    pub previous: Option<Installed>,
    /// What the operator went back from: not taken again until something else is wished or it is asked for.
    pub held: Option<Digest>,
    /// Kept in the store whatever happens; at most [`PINNED_MAX`].
    pub pinned: Vec<Installed>,
    /// The update that is under way.
    pub update: Option<Underway>,
    /// Bundles that failed here and are not tried again, the newest last.
    pub rejected: VecDeque<Rejected>,
    /// How updates ended, the newest last.
    pub history: VecDeque<Past>,
}

/// A bundle in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The manifest's version.
    pub version: Version,
    /// The bundle file's.
    pub digest: Digest,
    /// Where it came from.
    pub origin: Origin,
}

impl Installed {
    /// `bundle`, from there.
    pub fn of(bundle: &Bundle, origin: Origin) -> Self {
        let version = bundle.manifest.version.clone();
        Self { version, digest: bundle.digest.clone(), origin }
    }
}

/// Where a bundle came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The signed repository.
    Repository,
    /// An administrator of this board; not signed.
    Local,
}

impl Origin {
    /// As it is published.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Local => "local",
        }
    }
}

/// A bundle that is to serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// What it is.
    #[serde(flatten)]
    pub bundle: Installed,
    /// Bytes of the bundle file.
    pub length: u64,
}

/// An update between its first and its last step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underway {
    /// What is to serve.
    pub candidate: Candidate,
    /// The step that has begun.
    pub phase: Phase,
    /// The kernel's id of the boot in which the step began, or was gone on with.
    pub boot: String,
    /// Whether edgerun was stopped in an orderly way since.
    pub stopped: bool,
    /// Ends of the process that were neither a stop nor a power cut, in this step.
    pub crashes: u32,
    /// Starts of the board in this step.
    pub boots: u32,
    /// During a trial: what was the previous bundle before it, and is again if it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<Installed>,
}

/// The steps of an update, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its bytes arrive.
    Fetching,
    /// Its bytes, manifest and fitness for this board are looked at.
    Verifying,
    /// Its golden windows run in a limited child.
    SelfTesting,
    /// It runs on live windows beside what serves.
    Shadowing,
    /// It takes over.
    Activating,
    /// It serves, and is watched.
    Trial,
}

/// A bundle that failed here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Which.
    pub digest: Digest,
    /// Why.
    pub failure: Failure,
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The bundle.
    pub bundle: Installed,
    /// The end.
    pub outcome: Outcome,
    /// When, RFC 3339; as far as the clock could be trusted.
    pub time: String,
    /// Why, where it did not go through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
}

/// The ends that an update may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It serves.
    Committed,
    /// It never served.
    Rejected,
    /// It served on trial; what served before serves again.
    Reverted,
    /// The operator went back to the version before.
    RolledBack,
}

/// What a start of the process finds to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Resume {
    /// Nothing is under way.
    Nothing,
    /// The update goes on with this step.
    From(Phase),
    /// The update ended before the process did its work again; this is why.
    Ended(Outcome, Failure),
}

impl Record {
    /// What `storage` has of `model`; nothing is known of one that it does not have.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(storage: &dyn Storage, model: &str) -> Result<Self, Failure> {
        let internal = |error: String| {
            Failure::new(Code::Internal, format!("the record of model {model}: {error}"))
        };
        let read =
            storage.read(&Self::file(model)?).map_err(|error| internal(error.to_string()))?;
        let Some(bytes) = read else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes).map_err(|error| internal(error.to_string()))
    }

    /// Makes it what `storage` has of `model`, durably.
    ///
    /// # Errors
    /// [`Code::NoSpace`] on a full disk; what was kept before stays.
    pub fn keep(&self, storage: &dyn Storage, model: &str) -> Result<(), Failure> {
        let json = serde_json::to_vec(self).map_err(|error| Failure::new(Code::Internal, error))?;
        storage.replace(&Self::file(model)?, &json).map_err(|error| {
            let full = error.source.kind() == io::ErrorKind::StorageFull;
            Failure::new(if full { Code::NoSpace } else { Code::Internal }, error)
        })
    }

    /// Where the record of `model` is kept.
    fn file(model: &str) -> Result<FileName, Failure> {
        FileName::new(format!("model-{model}.json"))
            .ok_or_else(|| Failure::new(Code::Internal, format!("{model:?} is no name of a model")))
    }

    /// Begins an update.
    pub fn begin(&mut self, candidate: Candidate, boot: &str) {
        self.held = None;
        self.update = Some(Underway {
            candidate,
            phase: Phase::Fetching,
            boot: boot.to_owned(),
            stopped: false,
            crashes: 0,
            boots: 0,
            older: None,
        });
    }

    /// Goes on to the next step. At [`Phase::Trial`] the candidate becomes the current bundle.
    pub fn enter(&mut self, phase: Phase, boot: &str) {
        let Some(update) = &mut self.update else { return };
        update.phase = phase;
        (update.crashes, update.boots, update.stopped) = (0, 0, false);
        boot.clone_into(&mut update.boot);
        if phase == Phase::Trial {
            let new = update.candidate.bundle.clone();
            update.older = std::mem::replace(&mut self.previous, self.current.replace(new));
        }
    }

    /// The process starts, in the boot of this id: what becomes of an update that was under way.
    ///
    /// Steps that run nothing of the bundle in this process are simply done again. In the others a crash or
    /// too many boots are the bundle's fault.
    pub fn resume(&mut self, boot: &str, time: &str) -> Resume {
        let Some(update) = &mut self.update else { return Resume::Nothing };
        let same_boot = update.boot == boot;
        match (update.stopped, same_boot) {
            (true, _) => {}
            (false, true) => update.crashes += 1,
            (false, false) => update.boots += 1,
        }
        update.stopped = false;
        boot.clone_into(&mut update.boot);
        let phase = update.phase;
        let (crashes, boots) = (update.crashes, update.boots);
        let runs_here = matches!(phase, Phase::Shadowing | Phase::Activating | Phase::Trial);
        if boots > BOOTS_FORGIVEN || (runs_here && crashes > CRASHES_FORGIVEN) {
            let doing = phase.as_str();
            let message = if boots > BOOTS_FORGIVEN {
                format!("the board started {boots} times while this bundle was {doing}")
            } else {
                format!("edgerun crashed {crashes} times while this bundle was {doing}")
            };
            let failure = Failure::new(Code::TrialFailed, message);
            let outcome = self.fail(failure.clone(), time);
            return Resume::Ended(outcome, failure);
        }
        // Nothing of a shadow run is kept.
        Resume::From(phase)
    }

    /// The update does not go through. From the trial on the bundle before serves again.
    pub fn fail(&mut self, failure: Failure, time: &str) -> Outcome {
        let Some(update) = self.update.take() else { return Outcome::Rejected };
        let bundle = update.candidate.bundle;
        let outcome = match update.phase {
            Phase::Trial => {
                // Without one before there is nothing to return to; the model then has no version.
                self.current = std::mem::replace(&mut self.previous, update.older);
                Outcome::Reverted
            }
            _ => Outcome::Rejected,
        };
        if failure.condemns() {
            self.forgive(&bundle.digest);
            let digest = bundle.digest.clone();
            remember(&mut self.rejected, Rejected { digest, failure: failure.clone() });
        }
        let failure = Some(failure);
        remember(&mut self.history, Past { bundle, outcome, time: time.to_owned(), failure });
        outcome
    }

    /// The bundle may be tried again.
    pub fn forgive(&mut self, digest: &Digest) {
        self.rejected.retain(|rejected| rejected.digest != *digest);
    }

    /// The trial is over, and good.
    pub fn commit(&mut self, time: &str) {
        let Some(update) = self.update.take() else { return };
        let bundle = update.candidate.bundle;
        let outcome = Outcome::Committed;
        remember(&mut self.history, Past { bundle, outcome, time: time.to_owned(), failure: None });
    }

    /// The operator goes back to the bundle before, or to the version `to` that is before or pinned; a trial that
    /// runs ends with that.
    ///
    /// # Errors
    /// When there is none.
    pub fn roll_back(&mut self, to: Option<&Version>, time: &str) -> Result<(), Failure> {
        let kept = self.previous.iter().chain(&self.pinned);
        let found = match to {
            None => self.previous.clone(),
            Some(version) => kept.clone().find(|bundle| bundle.version == *version).cloned(),
        };
        let Some(previous) = found else {
            let message = match to {
                None => "there is no previous version to return to".to_owned(),
                Some(version) => {
                    let kept: Vec<_> = kept.map(|bundle| bundle.version.to_string()).collect();
                    let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
                    format!("version {version} is not kept; there is: {kept}")
                }
            };
            return Err(Failure::new(Code::NotFound, message));
        };
        if self.current.as_ref() == Some(&previous) {
            let message = format!("version {} serves already", previous.version);
            return Err(Failure::new(Code::BadRequest, message));
        }
        self.update = None;
        // The version that is left is kept: a roll-back can be taken back.
        self.previous = self.current.replace(previous.clone());
        self.held = self.previous.as_ref().map(|left| left.digest.clone());
        let outcome = Outcome::RolledBack;
        let past = Past { bundle: previous, outcome, time: time.to_owned(), failure: None };
        remember(&mut self.history, past);
        Ok(())
    }

    /// Keeps `version`, or what serves, whatever comes after it.
    ///
    /// # Errors
    /// When it is not in the store, or enough are kept.
    pub fn pin(&mut self, version: Option<&Version>) -> Result<Installed, Failure> {
        let there = self.current.iter().chain(&self.previous).chain(&self.pinned);
        let wanted = |bundle: &&Installed| version.is_none_or(|wanted| bundle.version == *wanted);
        let Some(bundle) = there.into_iter().find(wanted).cloned() else {
            let version = version.map(|version| format!("version {version}"));
            let what = version.unwrap_or_else(|| "any version".to_owned());
            let message = format!("this board does not have {what}, so it cannot be kept");
            return Err(Failure::new(Code::NotFound, message));
        };
        if !self.pinned.contains(&bundle) {
            if self.pinned.len() >= PINNED_MAX {
                let pinned: Vec<_> = self.pinned.iter().map(|b| b.version.to_string()).collect();
                let message =
                    format!("{} are pinned, and no more can be; unpin one", pinned.join(", "));
                return Err(Failure::new(Code::NoSpace, message));
            }
            self.pinned.push(bundle.clone());
        }
        Ok(bundle)
    }

    /// Keeps `version`, or what serves, no longer than any other.
    ///
    /// # Errors
    /// When it is not pinned.
    pub fn unpin(&mut self, version: Option<&Version>) -> Result<Installed, Failure> {
        let version = version.or(self.current.as_ref().map(|current| &current.version));
        let place = self.pinned.iter().position(|bundle| Some(&bundle.version) == version);
        let what = version.map_or("no version".to_owned(), |version| format!("version {version}"));
        let none = || Failure::new(Code::NotFound, format!("{what} is not pinned"));
        place.map(|place| self.pinned.remove(place)).ok_or_else(none)
    }

    /// An orderly stop is no crash. Whether that changes anything.
    pub fn stop(&mut self) -> bool {
        match &mut self.update {
            Some(update) if !update.stopped => {
                update.stopped = true;
                true
            }
            _ => false,
        }
    }

    /// Why `digest` is not tried again.
    pub fn rejection(&self, digest: &Digest) -> Option<&Failure> {
        self.rejected.iter().find(|rejected| rejected.digest == *digest).map(|r| &r.failure)
    }

    /// The bundles that must stay in the store.
    pub fn kept(&self) -> BTreeSet<Digest> {
        let update = self.update.as_ref();
        let candidate = update.map(|update| &update.candidate.bundle);
        let older = update.and_then(|update| update.older.as_ref());
        let bundles = [self.current.as_ref(), self.previous.as_ref(), candidate, older];
        let kept = bundles.into_iter().flatten().map(|bundle| bundle.digest.clone());
        kept.chain(self.pinned.iter().map(|bundle| bundle.digest.clone())).collect()
    }

    /// The bundle that is being received.
    pub fn receiving(&self) -> Option<&Digest> {
        let update = self.update.as_ref().filter(|update| update.phase == Phase::Fetching)?;
        Some(&update.candidate.bundle.digest)
    }
}

fn remember<T>(list: &mut VecDeque<T>, new: T) {
    while list.len() >= REMEMBERED {
        list.pop_front();
    }
    list.push_back(new);
}

impl Outcome {
    /// As it is reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Rejected => "rejected",
            Self::Reverted => "reverted",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl Phase {
    /// As it is reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Verifying => "verifying",
            Self::SelfTesting => "self-testing",
            Self::Shadowing => "shadowing",
            Self::Activating => "activating",
            Self::Trial => "trial",
        }
    }
}

#[cfg(test)]
mod tests;
