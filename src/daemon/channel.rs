//! The way to the signed repository: what it offers this board, and the bytes of a bundle.

use std::collections::HashMap;
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
pub(crate) struct Channel {
    trust: TrustStore,
    /// Or why the configured repository cannot be asked; a medium that somebody brings still can.
    source: Result<Arc<dyn Source>, Failure>,
    /// Media with the bundle that is fetched for a model.
    brought: HashMap<String, Arc<dyn Source>>,
    patience: Patience,
    /// The process is to stop.
    stop: Arc<AtomicBool>,
    board: BoardKind,
    clock: Arc<dyn Clock>,
    unsynced: config::Unsynced,
    checked: Option<Checked>,
    fingerprint: Option<String>,
}

impl Channel {
    /// The repository of the configuration. `stops`: the process is to stop; somebody called, and a download gives
    /// way.
    ///
    /// # Errors
    /// When its root of trust cannot be used.
    pub(crate) fn new(
        settings: &config::Repository,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        files: Option<Files>,
        (stop, called): (Arc<AtomicBool>, Arc<AtomicBool>),
    ) -> Result<Self, Failure> {
        let root = std::fs::read(&settings.root).map_err(|error| {
            let message = format!("[ota] root: {}: {error}", settings.root.display());
            Failure::new(Code::Internal, message)
        })?;
        let trust = TrustStore::new(storage, &root, build_time())?;
        let source = configured(settings, files, &called);
        let patience = Patience {
            bytes_per_s: settings.bandwidth,
            stop: called,
            ..Patience::new(clock.clone())
        };
        let mut channel = Self {
            trust,
            source: source.map_err(|why| Failure::new(Code::Internal, why)),
            brought: HashMap::new(),
            patience,
            stop,
            board: this_board(),
            clock,
            unsynced: settings.unsynced,
            checked: None,
            fingerprint: None,
        };
        channel.remember_root();
        Ok(channel)
    }

    /// Why the configured repository cannot be asked.
    pub(super) fn unusable(&self) -> Option<&Failure> {
        self.source.as_ref().err()
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
    pub(crate) fn find(
        &mut self,
        model: &str,
        version: Option<&Version>,
    ) -> Result<Candidate, Failure> {
        let asked = self.source.clone().and_then(|source| self.ask(source, self.patience.clone()));
        self.remember_root();
        let checked = self.checked.insert(asked?);
        choose(checked, &self.board, model, version)
    }

    /// The same of the repository on a medium that somebody brought. It is believed no more and no less than the
    /// configured one, by the same root and the same memory; the bundle is fetched from there.
    pub(crate) fn find_on(
        &mut self,
        medium: Arc<dyn Source>,
        model: &str,
        version: Option<&Version>,
    ) -> Result<Candidate, Failure> {
        // Somebody waits for the answer: only a stop comes first.
        let patience = Patience { stop: self.stop.clone(), ..self.local() };
        let asked = self.ask(medium.clone(), patience);
        self.remember_root();
        let checked = asked.map_err(|failure| match failure.code {
            Code::RolledBackMetadata | Code::ExpiredMetadata => Failure::new(
                failure.code,
                format!("{failure}. The medium holds an older copy: bring a new one"),
            ),
            _ => failure,
        })?;
        let candidate = choose(&checked, &self.board, model, version)?;
        self.brought.insert(model.to_owned(), medium);
        Ok(candidate)
    }

    /// Nothing more is fetched for `model` from a medium.
    pub(crate) fn forget_medium(&mut self, model: &str) {
        self.brought.remove(model);
    }

    /// Receives the rest of the bundle.
    pub(crate) fn fetch(
        &mut self,
        model: &str,
        candidate: &Candidate,
        into: &mut Receiving,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let checked = match self.brought.get(model) {
            Some(medium) => self.ask(medium.clone(), self.local())?,
            // After a restart the repository is asked anew: what it has taken back is not taken.
            None => match self.checked.take() {
                Some(checked) => checked,
                None => self.ask(self.source.clone()?, self.patience.clone())?,
            },
        };
        let digest = candidate.bundle.digest.as_str();
        let target = checked.targets.iter().find(|target| target.sha256 == digest);
        let Some(target) = target else {
            let message =
                format!("version {} is not in the repository any more", candidate.bundle.version);
            return Err(Failure::new(Code::NotFound, message));
        };
        let (path, have) = (into.path().to_owned(), into.length());
        checked.receive(target, &path, have, into, progress)?;
        self.forget_medium(model);
        Ok(())
    }

    /// A medium takes nothing of the network's bandwidth.
    fn local(&self) -> Patience {
        Patience { bytes_per_s: None, ..self.patience.clone() }
    }

    fn ask(&self, source: Arc<dyn Source>, patience: Patience) -> Result<Checked, Failure> {
        let now = self.clock.wall();
        let checked = self.trust.check(source, patience, now)?;
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

/// Without one nothing says whom to believe.
pub(crate) fn no_repository() -> Failure {
    let message = "no [ota] repository is configured, so nothing signed can be believed; \
                   `edgerun ota apply FILE` takes a bundle file of your own";
    Failure::new(Code::NotFound, message)
}

/// The way to the configured repository.
fn configured(
    settings: &config::Repository,
    files: Option<Files>,
    called: &Arc<AtomicBool>,
) -> Result<Arc<dyn Source>, String> {
    let url = &settings.url;
    if url == config::OVER_BROKER {
        let files = files.ok_or("there is no broker")?;
        return Ok(Arc::new(OverBroker::new(files, called.clone())));
    }
    let authorities = match url.starts_with("https:") {
        true => tls::authorities("[ota] ca", settings.ca.as_deref())
            .map_err(|error| error.to_string())?,
        false => Vec::new(),
    };
    let proxy = settings.proxy.clone();
    trust::source(url, &HttpSettings { authorities, proxy, ..HttpSettings::default() })
}

/// Of what the repository offers under `model`: this version, or the newest that this board can run.
fn choose(
    checked: &Checked,
    board: &BoardKind,
    model: &str,
    version: Option<&Version>,
) -> Result<Candidate, Failure> {
    let mut misfit = None;
    for target in checked.versions_of(model) {
        if version.is_some_and(|wanted| *wanted != target.release.version) {
            continue;
        }
        match target.release.fits(board) {
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
        Channel::new(&settings, storage, Arc::new(clock), None, Default::default()).unwrap()
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
