//! The way to the signed repository: what it offers this board, and the bytes of a bundle.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use semver::Version;

use super::over_broker::OverBroker;
use crate::clock::Clock;
use crate::config;
use crate::engine::EngineKind;
use crate::health;
use crate::model::Digest;
use crate::model::release::BoardKind;
use crate::net::{Files, tls};
use crate::storage::Storage;
use crate::store::Receiving;
use crate::trust::{
    self, Checked, HttpSettings, Patience, Source, Target, TrustError, TrustStore, Verdict,
    build_time,
};
use crate::update::failure::{Code, Failure};
use crate::update::record::{Candidate, Installed, Origin};

/// The repository, and what was last seen of it.
pub(super) struct Channel {
    trust: TrustStore,
    source: Arc<dyn Source>,
    patience: Patience,
    board: BoardKind,
    clock: Arc<dyn Clock>,
    unsynced: config::Unsynced,
    checked: Option<Checked>,
    fingerprint: Option<String>,
}

impl Channel {
    /// The repository of the configuration.
    ///
    /// # Errors
    /// When its root of trust or its address cannot be used.
    pub(super) fn new(
        settings: &config::Repository,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        files: Option<Files>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let internal = |why: String| Failure::new(Code::Internal, why);
        let root = std::fs::read(&settings.root).map_err(|error| {
            internal(format!("[ota] root: {}: {error}", settings.root.display()))
        })?;
        let trust = TrustStore::new(storage, &root, build_time())?;
        let url = &settings.url;
        let source: Arc<dyn Source> = if url == config::OVER_BROKER {
            let files = files.ok_or_else(|| internal("there is no broker".to_owned()))?;
            Arc::new(OverBroker::new(files, stop.clone()))
        } else {
            let authorities = match url.starts_with("https:") {
                true => tls::authorities("[ota] ca", settings.ca.as_deref())
                    .map_err(|error| internal(error.to_string()))?,
                false => Vec::new(),
            };
            let http = HttpSettings {
                authorities,
                proxy: settings.proxy.clone(),
                ..HttpSettings::default()
            };
            trust::source(url, &http).map_err(internal)?
        };
        let patience =
            Patience { bytes_per_s: settings.bandwidth, stop, ..Patience::new(clock.clone()) };
        let board = this_board();
        let (checked, fingerprint) = (None, None);
        let unsynced = settings.unsynced;
        let mut channel =
            Self { trust, source, patience, board, clock, unsynced, checked, fingerprint };
        channel.remember_root();
        Ok(channel)
    }

    /// What people compare with what `edgerun repo init` showed.
    pub(super) fn fingerprint(&self) -> Option<String> {
        self.fingerprint.clone()
    }

    /// The root may have changed.
    fn remember_root(&mut self) {
        self.fingerprint = self.trust.root().ok().map(|root| root.fingerprint);
    }

    /// Asks the repository for `model`: this version, or the newest that this board can run.
    pub(super) fn find(
        &mut self,
        model: &str,
        version: Option<&Version>,
    ) -> Result<Candidate, Failure> {
        let asked = self.ask();
        self.remember_root();
        let checked = self.checked.insert(asked?);
        let mut misfit = None;
        for target in checked.versions_of(model) {
            if version.is_some_and(|wanted| *wanted != target.release.version) {
                continue;
            }
            match target.release.fits(&self.board) {
                Ok(()) => return candidate(target),
                Err(why) => {
                    let version = &target.release.version;
                    let message = format!("version {version} is not for this board: {why}");
                    misfit.get_or_insert(Failure::new(Code::Incompatible, message));
                }
            }
        }
        let what = version.map_or("any version".to_owned(), |version| format!("version {version}"));
        Err(misfit.unwrap_or_else(|| {
            let message = format!("the repository does not have {what} of model {model}");
            Failure::new(Code::NotFound, message)
        }))
    }

    /// Receives the rest of the bundle.
    pub(super) fn fetch(
        &mut self,
        candidate: &Candidate,
        into: &mut Receiving,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        // After a restart the repository is asked anew: what it has taken back is not taken.
        let checked = self.checked.take().map_or_else(|| self.ask(), Ok)?;
        let digest = candidate.bundle.digest.as_str();
        let target = checked.targets.iter().find(|target| target.sha256 == digest);
        let Some(target) = target else {
            let message =
                format!("version {} is not in the repository any more", candidate.bundle.version);
            return Err(Failure::new(Code::NotFound, message));
        };
        let (path, have) = (into.path().to_owned(), into.length());
        checked.receive(target, &path, have, into, progress)?;
        Ok(())
    }

    fn ask(&self) -> Result<Checked, Failure> {
        let now = self.clock.wall();
        let checked = self.trust.check(self.source.clone(), self.patience.clone(), now)?;
        for (name, why) in &checked.ignored {
            log::debug!("the repository's {name} is no bundle: {why}");
        }
        if checked.verdict == Verdict::TimeUnknown {
            if self.unsynced == config::Unsynced::Wait {
                let message = "the clock is not synchronised, so nobody knows how old the repository's word is; \
                               [ota] unsynced says to wait";
                return Err(Failure::new(Code::FetchFailed, message));
            }
            log::info!(
                "the clock is not synchronised: the repository has surely not expired, no more is known"
            );
        }
        Ok(checked)
    }
}

fn candidate(target: &Target) -> Result<Candidate, Failure> {
    let digest = Digest::try_from(target.sha256.clone());
    let digest = digest.map_err(|error| Failure::new(Code::BadSignature, error))?;
    let version = target.release.version.clone();
    let bundle = Installed { version, digest, origin: Origin::Repository };
    Ok(Candidate { bundle, length: target.length })
}

fn this_board() -> BoardKind {
    BoardKind {
        edgerun: env!("CARGO_PKG_VERSION").parse().expect("cargo's version is semver"),
        engines: EngineKind::built().map(|engine| engine.to_string()).collect(),
        target: std::env::consts::ARCH.to_owned(),
        memory_bytes: health::memory_bytes(),
        ops: None,
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        // The names are the same closed list.
        let code = serde_json::from_value(error.code().into()).unwrap_or(Code::Internal);
        Self::new(code, error)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock::{ManualClock, SystemClock};
    use crate::config::Unsynced;
    use crate::data::{ClockState, Secret, Timestamp};
    use crate::publish::{Keyring, Plan, Publisher};
    use crate::storage::MemoryStorage;

    /// A board's channel to an empty repository, with a clock that is right and synchronised or not.
    fn channel(folder: &Path, unsynced: Unsynced, state: ClockState) -> Channel {
        let clock = ManualClock::new();
        clock.set_wall(Timestamp { clock: state, ..SystemClock.wall() });
        let settings = config::Repository {
            url: format!("file://{}", folder.join("repository").display()),
            root: folder.join("root.json"),
            ca: None,
            unsynced,
            bandwidth: None,
            proxy: None,
        };
        let storage = Arc::new(MemoryStorage::default());
        Channel::new(&settings, storage, Arc::new(clock), None, Arc::default()).unwrap()
    }

    #[test]
    fn an_update_waits_for_the_clock_only_where_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("publisher");
        let keyring = Keyring::new(Vec::new(), Box::new(|_: &Path| Ok(Secret::new(""))));
        let now = SystemClock.wall().since_epoch.as_secs();
        Publisher::init(&folder, &Plan::default(), keyring, now).unwrap();
        for (unsynced, state, code) in [
            (Unsynced::Wait, ClockState::Unsynced, Code::FetchFailed),
            (Unsynced::Wait, ClockState::Synced, Code::NotFound),
            (Unsynced::Take, ClockState::Unsynced, Code::NotFound),
        ] {
            let failure = channel(&folder, unsynced, state).find("gestures", None).unwrap_err();
            assert_eq!(failure.code, code, "{unsynced:?} {state:?}: {failure}");
        }
    }
}
