//! One check of a repository: what it offers, by everything that this board knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tough::{ExpirationEnforcement, Repository, RepositoryLoader};

use super::state::{self, State};
use super::transport::{Adapter, LIMITS, Patience, Source};
use super::unpacked::Unpacked;
use super::{RootInfo, TrustError, TrustStore, Verdict, clock, timestamp_keys};
use crate::data::{ClockState, Timestamp};
use crate::model::release::{CUSTOM_KEY, ISSUED_KEY, Release, TargetName, hex};

/// A bundle that the repository offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// `NAME-VERSION.edge`.
    pub name: TargetName,
    /// What the publisher says of it.
    pub release: Release,
    /// Bytes of the bundle file.
    pub length: u64,
    /// SHA-256 over it, in hex; the same as the release's digest.
    pub sha256: String,
}

/// A repository that was verified.
pub struct Checked {
    /// What it offers, by name and version.
    pub targets: Vec<Target>,
    /// Entries that are no bundles of ours, each with the reason.
    pub ignored: Vec<(String, String)>,
    /// What the clock was worth.
    pub verdict: Verdict,
    /// The root that counts now.
    pub root: RootInfo,
    /// When the newest timestamp was signed, in seconds since 1970.
    pub issued: Option<u64>,
    /// Whether something new was written to storage.
    pub wrote: bool,
    /// Whether what was kept turned out damaged, so that trust began anew with the shipped root.
    pub state_was_lost: bool,
    pub(super) repository: Repository,
    pub(super) adapter: Adapter,
}

impl Checked {
    /// What is offered under `name`, highest version first.
    pub fn versions_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Target> {
        self.targets.iter().rev().filter(move |target| target.name.name() == name)
    }

    /// When the first of the roles expires, since 1970.
    pub fn expires(&self) -> Duration {
        let repository = &self.repository;
        let all = [
            repository.root().signed.expires,
            repository.targets().signed.expires,
            repository.snapshot().signed.expires,
            repository.timestamp().signed.expires,
        ];
        let seconds = all.iter().map(|at| at.as_second()).min().unwrap_or(0);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }
}

impl TrustStore {
    /// Asks `source` what is new; `now` is the wall clock's word. Each step that was verified is kept,
    /// also when a later one fails.
    ///
    /// # Errors
    /// Any [`TrustError`]: nothing is offered then.
    pub fn check(
        &self,
        source: Arc<dyn Source>,
        patience: Patience,
        now: Timestamp,
    ) -> Result<Checked, TrustError> {
        let (kept, state_was_lost) = self.read()?;
        if state_was_lost {
            log::warn!("update: trust.json is damaged; trust begins again with the shipped root");
        }
        let before = self.begin(&kept);
        let copy = Unpacked::new(&before.roles)
            .map_err(|error| TrustError::Machine { why: format!("no private folder: {error}") })?;
        let adapter = Adapter::new(source, patience);
        let loaded = load(&before, &copy, adapter.clone());

        let mut after = State { roles: copy.read(&before.roles), ..before.clone() };
        self.move_floors(&before, &mut after, now);
        let wrote = state_was_lost || kept.differs(&after);
        if wrote {
            let bytes = after.encode().ok_or_else(|| TrustError::Machine {
                why: "the repository's metadata is too large to keep".to_owned(),
            })?;
            self.storage.replace(&self.file, &bytes)?;
        }

        let repository = loaded?;
        let delegations = repository.targets().signed.delegations.as_ref();
        if delegations.is_some_and(|delegations| !delegations.roles.is_empty()) {
            let why = "it leaves bundles to other signers, which no repository of edgerun does";
            return Err(TrustError::Signature { what: "targets".into(), why: why.into() });
        }
        let verdict = judge(&after, now, &repository)?;
        let (targets, ignored) = offers(&repository);
        let root = state::describe(&repository.root().signed);
        let issued = after.issued(ISSUED_KEY);
        Ok(Checked {
            targets,
            ignored,
            verdict,
            root,
            issued,
            wrote,
            state_was_lost,
            repository,
            adapter,
        })
    }

    fn move_floors(&self, before: &State, after: &mut State, now: Timestamp) {
        let keys = |state: &State| state.root().map(|root| timestamp_keys(&root.signed));
        if keys(before) != keys(after) {
            // A thief of the old key may have signed a far future; the new key starts afresh.
            after.floors.hard = self.build;
        }
        if let Some(issued) = after.issued(ISSUED_KEY) {
            after.floors.prove(issued);
        }
        after.floors.see(now);
    }
}

/// Runs tough on the private copy, from the newest root, with expiry left to [`clock::judge`].
fn load(state: &State, copy: &Unpacked, adapter: Adapter) -> Result<Repository, TrustError> {
    let root = state.roles.get("root.json").map(String::as_bytes).unwrap_or_default();
    let (metadata, targets) = Adapter::bases();
    let loader = RepositoryLoader::new(&root, metadata, targets)
        .transport(adapter)
        .limits(LIMITS)
        .datastore(copy.path())
        .expiration_enforcement(ExpirationEnforcement::Unsafe);
    Ok(runtime()?.block_on(loader.load())?)
}

/// For one call of tough: its files are read by the runtime's own helper threads.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, TrustError> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| TrustError::Machine { why: error.to_string() })
}

fn judge(state: &State, now: Timestamp, repository: &Repository) -> Result<Verdict, TrustError> {
    let expiries = [
        ("root", repository.root().signed.expires),
        ("targets", repository.targets().signed.expires),
        ("snapshot", repository.snapshot().signed.expires),
        ("timestamp", repository.timestamp().signed.expires),
    ]
    .map(|(role, at)| (role, u64::try_from(at.as_second()).unwrap_or(0)));
    clock::judge(state.floors, now, &expiries).map_err(|(role, at)| {
        let at = Timestamp { since_epoch: at, clock: ClockState::Synced };
        TrustError::Expired { role, expired: at.rfc3339() }
    })
}

type Offers = (Vec<Target>, Vec<(String, String)>);

/// The bundles among the targets. What is none, or says things that do not fit, is left out: one entry
/// of a later edgerun must not hide the others.
fn offers(repository: &Repository) -> Offers {
    let mut targets = BTreeMap::new();
    let mut ignored = Vec::new();
    // Not `all_targets`, which has those of delegated roles, too.
    for (name, target) in &repository.targets().signed.targets {
        match offer(name.raw(), target) {
            Ok(target) => {
                targets.insert(target.name.clone(), target);
            }
            Err(why) => ignored.push((name.raw().to_owned(), why)),
        }
    }
    ignored.sort();
    (targets.into_values().collect(), ignored)
}

fn offer(name: &str, target: &tough::schema::Target) -> Result<Target, String> {
    let name: TargetName = name.parse().map_err(|error| format!("{error}"))?;
    let custom = target.custom.get(CUSTOM_KEY).ok_or("it says nothing for edgerun")?;
    let release = Release::from_json(custom).map_err(|error| error.to_string())?;
    let sha256 = hex(&target.hashes.sha256);
    if release.target_name().ok().as_ref() != Some(&name) {
        return Err(format!("it calls itself {}-{}", release.name, release.version));
    }
    if release.digest != sha256 {
        return Err("its digest is not that of the target".to_owned());
    }
    Ok(Target { name, release, length: target.length, sha256 })
}
