//! A repository in memory, signed for real, whose files a test changes at will; and a board.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tough::async_trait;
use tough::editor::signed::SignedRole;
use tough::key_source::KeySource;
use tough::schema::{
    Hashes, KeyHolder, Metafile, Role, RoleKeys, RoleType, Root, Signed, Snapshot, Target, Targets,
    Timestamp as TimestampRole,
};
use tough::sign::{Sign, parse_keypair};

use crate::clock::ManualClock;
use crate::data::{ClockState, Timestamp};
use crate::model::release::hex;
use crate::storage::{MemoryStorage, Storage};
use crate::trust::{
    Body, Checked, FetchError, Patience, RepositoryPath, Source, TrustError, TrustStore, Verdict,
};

pub(super) const DAY: u64 = 24 * 60 * 60;
/// When the board was built.
pub(super) const BUILD: u64 = 1_800_000_000;
/// When the tests happen.
pub(super) const NOW: u64 = BUILD + 30 * DAY;

pub(super) const V1: &str = "gestures-1.0.0.edge";
pub(super) const V2: &str = "gestures-1.1.0.edge";

#[derive(Clone, Debug)]
pub(super) struct Key(Vec<u8>);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[async_trait]
impl KeySource for Key {
    async fn as_sign(&self) -> Result<Box<dyn Sign>, AnyError> {
        Ok(Box::new(parse_keypair(&self.0)?))
    }

    async fn write(&self, _: &str, _: &str) -> Result<(), AnyError> {
        Err("read only".into())
    }
}

impl Key {
    /// Always the same.
    fn of_seed(seed: u8) -> Self {
        // PKCS#8 around a bare Ed25519 key.
        let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
        Self([&head[..], &[seed; 32]].concat())
    }

    pub(super) fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("random numbers");
        Self(pkcs8.as_ref().to_vec())
    }
}

/// All private keys.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) root: Vec<Key>,
    pub(super) targets: Vec<Key>,
    pub(super) snapshot: Vec<Key>,
    pub(super) timestamp: Vec<Key>,
}

impl Keys {
    pub(super) fn new() -> Self {
        let one = || vec![Key::new()];
        let root = vec![Key::new(), Key::new(), Key::new()];
        Self { root, targets: one(), snapshot: one(), timestamp: one() }
    }

    /// Those of every [`World::new`].
    fn first() -> Self {
        let [a, b, c, targets, snapshot, timestamp] = [1, 2, 3, 4, 5, 6].map(Key::of_seed);
        let [targets, snapshot, timestamp] = [targets, snapshot, timestamp].map(|key| vec![key]);
        Self { root: vec![a, b, c], targets, snapshot, timestamp }
    }
}

pub(super) fn at(seconds: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds.cast_signed()).expect("a year below 9999")
}

fn nonzero(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).expect("versions begin with 1")
}

const SPEC: &str = "1.0.0";

/// A root of `keys` whose own threshold is 2.
pub(super) fn root(keys: &Keys, version: u64, expires: u64) -> Root {
    let mut root = Root {
        spec_version: SPEC.into(),
        consistent_snapshot: true,
        version: nonzero(version),
        expires: at(expires),
        keys: HashMap::new(),
        roles: HashMap::new(),
        _extra: HashMap::new(),
    };
    let roles = [
        (RoleType::Root, &keys.root, 2),
        (RoleType::Targets, &keys.targets, 1),
        (RoleType::Snapshot, &keys.snapshot, 1),
        (RoleType::Timestamp, &keys.timestamp, 1),
    ];
    for (role, keys, threshold) in roles {
        let mut keyids = Vec::new();
        for key in keys {
            let key = parse_keypair(&key.0).expect("our own key").tuf_key();
            let id = key.key_id().expect("a key has an id");
            keyids.push(id.clone());
            root.keys.insert(id, key);
        }
        let threshold = nonzero(threshold);
        root.roles.insert(role, RoleKeys { keyids, threshold, _extra: HashMap::new() });
    }
    root
}

/// Signs with those of `keys` that `under` has for the role.
pub(super) fn sign<R: Role + Serialize + Clone>(
    role: R,
    under: &Root,
    keys: &[Key],
) -> SignedRole<R> {
    try_sign(role, under, keys).expect("signed")
}

/// The same of a role that may say anything; `None` where it cannot be signed.
pub(super) fn try_sign<R: Role + Serialize + Clone>(
    role: R,
    under: &Root,
    keys: &[Key],
) -> Option<SignedRole<R>> {
    let sources: Vec<_> = keys.iter().map(|key| Box::new(key.clone()) as _).collect();
    let holder = KeyHolder::Root(under.clone());
    let random = SystemRandom::new();
    let signing = SignedRole::new(role, &holder, &sources, &random);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(signing).ok()
}

/// The next root, signed by `old_keys` of the old one and `new_keys` of its own.
pub(super) fn cross(
    old: &Root,
    old_keys: &[Key],
    new: &Root,
    new_keys: &[Key],
) -> SignedRole<Root> {
    let by_old = sign(new.clone(), old, old_keys);
    let by_new = sign(new.clone(), new, new_keys);
    by_new.add_old_signatures(by_old.signed().signatures.clone()).expect("signatures")
}

pub(super) fn meta<R: Role + Serialize>(role: &SignedRole<R>, version: u64) -> Metafile {
    let hashes = Hashes { sha256: role.sha256().to_vec().into(), _extra: HashMap::new() };
    Metafile {
        length: Some(*role.length()),
        hashes: Some(hashes),
        version: nonzero(version),
        _extra: HashMap::new(),
    }
}

pub(super) fn target(name: &str, bytes: &[u8]) -> Target {
    let digest = Sha256::digest(bytes);
    let version = name.trim_start_matches("gestures-").trim_end_matches(".edge");
    let custom = json!({
        "name": "gestures", "version": version, "edgerun": "0.1.0", "engine": ["native"],
        "needs": { "peak_bytes": 1000 }, "model_bytes": 10, "digest": hex(&digest)
    });
    Target {
        length: bytes.len() as u64,
        hashes: Hashes { sha256: digest.to_vec().into(), _extra: HashMap::new() },
        custom: HashMap::from([("edgerun".to_owned(), custom)]),
        _extra: HashMap::new(),
    }
}

pub(super) fn timestamp(
    version: u64,
    expires: u64,
    issued: u64,
    snapshot: Metafile,
) -> TimestampRole {
    let mut role = TimestampRole::new(SPEC.into(), nonzero(version), at(expires));
    role.meta.insert("snapshot.json".into(), snapshot);
    role._extra.insert("x-edgerun-issued".into(), at(issued).to_string().into());
    role
}

pub(super) fn snapshot(version: u64, expires: u64, targets: Metafile) -> Snapshot {
    let mut role = Snapshot::new(SPEC.into(), nonzero(version), at(expires));
    role.meta.insert("targets.json".into(), targets);
    role
}

pub(super) fn targets(version: u64, expires: u64, items: &[(&str, Vec<u8>)]) -> Targets {
    let mut role = Targets::new(SPEC.into(), nonzero(version), at(expires));
    role.delegations = None;
    for (name, bytes) in items {
        let named = tough::TargetName::new(*name).expect("a name that tough takes");
        role.targets.insert(named, target(name, bytes));
    }
    role
}

/// What goes wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It never ends.
    Endless,
    /// The network is down.
    Down,
    /// One byte a minute.
    Drip,
    /// Cut after that many bytes, each time.
    Cut(usize),
    /// The other side always begins with the first byte.
    NoRanges,
}

/// The files, as a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    pub(super) faults: Arc<Mutex<Vec<(String, Fault)>>>,
    /// What was opened, and from where.
    pub(super) opened: Arc<Mutex<Vec<(String, u64)>>>,
    pub(super) served: Arc<Mutex<u64>>,
    pub(super) clock: Arc<ClockOf>,
}

/// A clock that can be printed.
#[derive(Default)]
pub(super) struct ClockOf(pub(super) Arc<ManualClock>);

impl std::fmt::Debug for ClockOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClockOf")
    }
}

struct Reader {
    bytes: Vec<u8>,
    at: usize,
    fault: Option<Fault>,
    files: Files,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let left = &self.bytes[self.at.min(self.bytes.len())..];
        let count = match self.fault {
            Some(Fault::Endless) => {
                out.fill(b' ');
                *self.files.served.lock().expect("a lock") += out.len() as u64;
                return Ok(out.len());
            }
            Some(Fault::Drip) => {
                self.files.clock.0.advance(Duration::from_secs(20));
                left.len().min(1)
            }
            Some(Fault::Cut(after)) => out.len().min(left.len()).min(after.saturating_sub(self.at)),
            _ => out.len().min(left.len()).min(10_000),
        };
        out[..count].copy_from_slice(&left[..count]);
        self.at += count;
        *self.files.served.lock().expect("a lock") += count as u64;
        Ok(count)
    }
}

impl Source for Files {
    fn open(&self, path: &RepositoryPath, offset: u64) -> Result<Body, FetchError> {
        let path = path.as_str().to_owned();
        self.opened.lock().expect("a lock").push((path.clone(), offset));
        let faults = self.faults.lock().expect("a lock");
        let fault = faults.iter().find(|(end, _)| path.ends_with(end)).map(|(_, fault)| *fault);
        drop(faults);
        if fault == Some(Fault::Down) {
            return Err(FetchError::Failed("the network is down".into()));
        }
        let found = self.files.lock().expect("a lock").get(&path).cloned();
        let Some(bytes) = found.or((fault == Some(Fault::Endless)).then(Vec::new)) else {
            return Err(FetchError::NotFound);
        };
        let offset = if fault == Some(Fault::NoRanges) { 0 } else { offset };
        let bytes =
            bytes.get(usize::try_from(offset).expect("small")..).unwrap_or_default().to_vec();
        let endless = fault == Some(Fault::Endless);
        let length = (!endless).then_some(bytes.len() as u64);
        let reader = Box::new(Reader { bytes, at: 0, fault, files: self.clone() });
        Ok(Body { offset, length, reader })
    }
}

/// A publisher, what it published, and a board.
pub(super) struct World {
    pub(super) keys: Keys,
    pub(super) root: Root,
    pub(super) shipped: Vec<u8>,
    pub(super) files: Files,
    pub(super) storage: Arc<dyn Storage>,
}

impl World {
    /// Generation 1 with [`V1`] is published; always the same bytes.
    pub(super) fn new() -> Self {
        Self::of(Keys::first())
    }

    /// The same by another publisher.
    pub(super) fn of(keys: Keys) -> Self {
        let root = root(&keys, 1, NOW + 365 * DAY);
        let signed = sign(root.clone(), &root, &keys.root);
        let files = Files::default();
        let shipped = signed.buffer().clone();
        let storage = Arc::new(MemoryStorage::default());
        let world = Self { keys, root, shipped, files, storage };
        world.put("metadata/1.root.json", signed.buffer());
        world.publish(1, &[(V1, vec![1; 100_000])]);
        world
    }

    /// Generations 1 and 2 are published, and the board has seen both.
    pub(super) fn seen() -> Self {
        let world = Self::new();
        world.publish(2, &[(V1, vec![1; 100_000]), (V2, vec![2; 100_000])]);
        world.good();
        world
    }

    pub(super) fn put(&self, path: &str, bytes: &[u8]) {
        self.files.files.lock().expect("a lock").insert(path.to_owned(), bytes.to_vec());
    }

    /// A whole generation that expires in a week.
    pub(super) fn publish(&self, version: u64, items: &[(&str, Vec<u8>)]) {
        self.publish_until(version, NOW + 7 * DAY, NOW, items);
    }

    pub(super) fn publish_until(
        &self,
        version: u64,
        expires: u64,
        issued: u64,
        items: &[(&str, Vec<u8>)],
    ) {
        let role = sign(targets(version, expires, items), &self.root, &self.keys.targets);
        for (name, bytes) in items {
            self.put(&format!("targets/{}.{name}", hex(&Sha256::digest(bytes))), bytes);
        }
        self.publish_targets(version, expires, issued, &role);
    }

    pub(super) fn publish_targets(
        &self,
        version: u64,
        expires: u64,
        issued: u64,
        role: &SignedRole<Targets>,
    ) {
        self.put(&format!("metadata/{version}.targets.json"), role.buffer());
        let snapshot = snapshot(version, expires, meta(role, version));
        self.publish_snapshot(version, expires, issued, snapshot);
    }

    pub(super) fn publish_snapshot(&self, version: u64, expires: u64, issued: u64, role: Snapshot) {
        let named = role.version.get();
        let role = sign(role, &self.root, &self.keys.snapshot);
        self.put(&format!("metadata/{named}.snapshot.json"), role.buffer());
        let role = timestamp(version, expires, issued, meta(&role, named));
        let role = sign(role, &self.root, &self.keys.timestamp);
        self.put("metadata/timestamp.json", role.buffer());
    }

    /// The next root, with `keys`, properly signed.
    pub(super) fn rotate(&mut self, keys: Keys) {
        let version = self.root.version.get() + 1;
        let new = root(&keys, version, NOW + 365 * DAY);
        let signed = cross(&self.root, &self.keys.root, &new, &keys.root);
        self.put(&format!("metadata/{version}.root.json"), signed.buffer());
        (self.root, self.keys) = (new, keys);
    }

    /// Changes the one file whose path ends with `end`.
    pub(super) fn edit(&self, end: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut files = self.files.files.lock().expect("a lock");
        let (_, bytes) = files.iter_mut().find(|(path, _)| path.ends_with(end)).expect(end);
        edit(bytes);
    }

    pub(super) fn replace_text(&self, end: &str, from: &str, to: &str) {
        self.edit(end, |bytes| {
            let text = String::from_utf8(bytes.clone()).expect("text");
            assert!(text.contains(from), "{end} does not say {from}");
            *bytes = text.replace(from, to).into_bytes();
        });
    }

    pub(super) fn fault(&self, end: &str, fault: Fault) {
        self.files.faults.lock().expect("a lock").push((end.to_owned(), fault));
    }

    pub(super) fn all_files(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.files.lock().expect("a lock").clone()
    }

    pub(super) fn serve(&self, files: &BTreeMap<String, Vec<u8>>) {
        self.files.files.lock().expect("a lock").clone_from(files);
    }

    pub(super) fn store(&self) -> TrustStore {
        let build = Duration::from_secs(BUILD);
        TrustStore::new(self.storage.clone(), &self.shipped, build).expect("a good root")
    }

    pub(super) fn check_at(&self, now: Timestamp) -> Result<Checked, TrustError> {
        self.check_with(now, self.patience())
    }

    pub(super) fn patience(&self) -> Patience {
        Patience { pause: Duration::ZERO, ..Patience::new(self.files.clock.0.clone()) }
    }

    pub(super) fn check_with(
        &self,
        now: Timestamp,
        patience: Patience,
    ) -> Result<Checked, TrustError> {
        self.store().check(Arc::new(self.files.clone()), patience, now)
    }

    pub(super) fn check(&self) -> Result<Checked, TrustError> {
        self.check_at(synced(NOW))
    }

    pub(super) fn good(&self) -> Checked {
        let checked = self.check().expect("nothing is wrong");
        assert_eq!(checked.verdict, Verdict::Fresh);
        checked
    }

    /// The code of the error that the board's whole update ends with, or what it got.
    pub(super) fn update(&self, name: &str) -> Result<Vec<u8>, TrustError> {
        let checked = self.check()?;
        let target = checked.targets.iter().find(|target| target.name.to_string() == name);
        let target = target.ok_or(TrustError::NotFound { name: name.to_owned() })?;
        let mut bytes = Vec::new();
        checked.fetch(target, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn code(&self, name: &str) -> &'static str {
        self.update(name).map_or_else(|error| error.code(), |_| "accepted")
    }
}

pub(super) fn synced(seconds: u64) -> Timestamp {
    Timestamp { since_epoch: Duration::from_secs(seconds), clock: ClockState::Synced }
}

pub(super) fn unsynced(seconds: u64) -> Timestamp {
    Timestamp { clock: ClockState::Unsynced, ..synced(seconds) }
}

/// A role's text with `change` made to it, its signatures left as they are.
pub(super) fn changed(text: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(text).expect("JSON");
    change(&mut json);
    serde_json::to_vec(&json).expect("JSON")
}

/// The version in a signed role's text.
pub(super) fn signed_root(text: &[u8]) -> Signed<Root> {
    serde_json::from_slice(text).expect("a root")
}
