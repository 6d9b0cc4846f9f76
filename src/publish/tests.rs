//! What a publisher does, and what boards see of it at each moment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use semver::Version;
use tempfile::TempDir;

use super::*;
use crate::model::release::{Needs, TargetName};

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;

fn silent() -> Keyring {
    Keyring::new(Vec::new(), Box::new(|_| Err("nobody is asked".to_owned())))
}

fn telling(passphrase: &'static str, folders: Vec<PathBuf>) -> Keyring {
    Keyring::new(folders, Box::new(move |_| Ok(Secret::new(passphrase))))
}

struct Desk {
    _temp: TempDir,
    dir: PathBuf,
    bundles: PathBuf,
}

impl Desk {
    fn with(plan: &Plan) -> Self {
        let temp = tempfile::tempdir().expect("a folder");
        let dir = temp.path().join("models");
        Publisher::init(&dir, plan, silent(), NOW).expect("made");
        let bundles = temp.path().to_owned();
        Self { _temp: temp, dir, bundles }
    }

    fn new() -> Self {
        Self::with(&Plan::default())
    }

    fn open(&self) -> Publisher {
        Publisher::open(&self.dir, silent()).expect("opened")
    }

    /// A file that stands for a bundle, and what is said of it.
    fn bundle(&self, version: u64, bytes: &[u8]) -> (PathBuf, Release) {
        use sha2::{Digest, Sha256};
        let path = self.bundles.join(format!("b{version}.edge"));
        fs::write(&path, bytes).expect("written");
        let release = Release {
            name: "gestures".into(),
            version: Version::new(version, 0, 0),
            edgerun: Version::new(0, 1, 0),
            engine: vec!["native".into()],
            needs: Needs::default(),
            model_bytes: 1,
            digest: hex(&Sha256::digest(bytes)),
            retired: false,
        };
        (path, release)
    }

    fn publish(&self, version: u64, now: u64) {
        let (path, release) = self.bundle(version, format!("bundle {version}").as_bytes());
        let mut publisher = self.open();
        publisher.add(&path, &release).expect("added");
        publisher.publish(now).expect("published");
    }

    /// Moves the key files of `roles` elsewhere, and gives that folder.
    fn take_away(&self, roles: &[&str]) -> PathBuf {
        let away = self.bundles.join("stick");
        fs::create_dir_all(&away).expect("made");
        for entry in fs::read_dir(keys_dir(&self.dir)).expect("there") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if roles.iter().any(|role| name.starts_with(role)) {
                fs::copy(&path, away.join(&name)).expect("copied");
                fs::remove_file(path).expect("removed");
            }
        }
        away
    }

    fn names(&self) -> Vec<String> {
        self.open().list().expect("listed").into_iter().map(|listed| listed.name).collect()
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for folder in [chain::metadata(&self.dir), targets_dir(&self.dir)] {
            for entry in fs::read_dir(folder).expect("there") {
                let path = entry.expect("an entry").path();
                files.insert(path.clone(), fs::read(&path).expect("readable"));
            }
        }
        files
    }
}

fn target(version: u64) -> TargetName {
    TargetName::new("gestures", &Version::new(version, 0, 0)).expect("a name")
}

#[test]
fn what_is_added_is_published_and_what_is_retired_is_gone() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    desk.publish(2, NOW);
    assert_eq!(desk.names(), ["gestures-1.0.0.edge", "gestures-2.0.0.edge"]);
    let mut publisher = desk.open();
    publisher.retire(&target(1)).expect("published");
    assert_eq!(publisher.list().expect("listed")[0].state, ListState::Retired);
    let done = publisher.publish(NOW).expect("published");
    assert_eq!((done.targets, done.retired), (Some(1), vec!["gestures-1.0.0.edge".to_owned()]));
    drop(publisher);
    assert_eq!(desk.names(), ["gestures-2.0.0.edge"]);
    let files = desk.files();
    assert!(!files.keys().any(|path| path.to_string_lossy().contains("gestures-1.0.0")));
    assert!(matches!(desk.open().retire(&target(1)), Err(PublishError::NotListed { .. })));
}

#[test]
fn a_name_and_version_mean_the_same_bytes_for_ever() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    let (path, release) = desk.bundle(1, b"other bytes");
    let error = desk.open().add(&path, &release).expect_err("taken");
    assert!(error.to_string().contains("give the bundle a new version"), "{error}");
    let (path, release) = desk.bundle(1, b"bundle 1");
    let again = desk.open().add(&path, &release).expect("the same");
    assert_eq!(again, Added::Already("gestures-1.0.0.edge".into()));
    // Also once it was taken back; the same bytes may return.
    let mut publisher = desk.open();
    publisher.retire(&target(1)).expect("published");
    publisher.publish(NOW).expect("published");
    let (path, release) = desk.bundle(1, b"other bytes");
    publisher.add(&path, &release).expect_err("taken");
    let (path, release) = desk.bundle(1, b"bundle 1");
    publisher.add(&path, &release).expect("the same");
    publisher.publish(NOW).expect("published");
    drop(publisher);
    assert_eq!(desk.names(), ["gestures-1.0.0.edge"]);
}

#[test]
fn what_waits_can_be_taken_back_before_anybody_sees_it() {
    let desk = Desk::new();
    let (path, release) = desk.bundle(1, b"a slip");
    let publisher = desk.open();
    publisher.add(&path, &release).expect("added");
    publisher.retire(&target(1)).expect("waiting");
    assert_eq!(publisher.list().expect("listed"), []);
    let (path, release) = desk.bundle(1, b"the right one");
    publisher.add(&path, &release).expect("nobody has seen the slip");
}

/// Trap 6: tough's own editor would want all keys.
#[test]
fn a_refresh_needs_neither_root_nor_targets_keys() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    let stick = desk.take_away(&["root", "targets"]);
    let mut publisher = desk.open();
    for week in 1..30 {
        let done = publisher.publish(NOW + week * 7 * DAY).expect("online keys are enough");
        assert_eq!(done.targets, None);
    }
    let (path, release) = desk.bundle(2, b"bundle 2");
    publisher.add(&path, &release).expect("adding signs nothing");
    let error = publisher.publish(NOW + 210 * DAY).expect_err("targets are missing");
    let said = error.to_string();
    assert!(
        said.starts_with("targets needs 1 of its keys, here are 0; missing: targets-"),
        "{said}"
    );
    assert!(said.contains("--keys"), "{said}");
    drop(publisher);
    let mut publisher = Publisher::open(&desk.dir, telling("", vec![stick])).expect("opened");
    publisher.publish(NOW + 210 * DAY).expect("the stick has it");
}

#[test]
fn an_interrupted_publish_leaves_the_old_generation_and_the_next_one_completes_it() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    let old = desk.files();
    let (path, release) = desk.bundle(2, b"bundle 2");
    desk.open().add(&path, &release).expect("added");
    // The timestamp cannot be put in place.
    let blocked = chain::metadata(&desk.dir).join("timestamp.json.new");
    fs::create_dir(&blocked).expect("made");
    desk.open().publish(NOW).expect_err("interrupted");
    for (path, bytes) in &old {
        assert_eq!(&fs::read(path).expect("still there"), bytes, "{}", path.display());
    }
    assert_eq!(desk.open().list().expect("readable").len(), 2);
    fs::remove_dir(&blocked).expect("removed");
    let done = desk.open().publish(NOW).expect("published");
    assert_eq!(done.added, ["gestures-2.0.0.edge"]);
}

#[test]
fn each_role_gets_new_keys_and_the_repository_holds() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    let before = desk.open().root().expect("readable");
    for (index, role) in Role::ALL.into_iter().enumerate() {
        let new = NewKeys::Files { count: 2, threshold: 2, passphrase: None };
        let mut publisher = desk.open();
        let done = publisher.rotate(role, &new, NOW).expect("rotated");
        assert_eq!(done.root, index as u64 + 2);
        assert_eq!(done.obsolete.len(), if role == Role::Root { 3 } else { 1 }, "{role}");
        for file in done.obsolete {
            fs::remove_file(file).expect("obsolete");
        }
        publisher.publish(NOW).expect("published with the new keys");
        let chain = Chain::read(&desk.dir).expect("readable");
        for role in [RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp] {
            assert!(chain.holds(role), "{role}");
        }
        let file = fs::read(publisher.root_file()).expect("there");
        assert_eq!(file, chain.root_text);
    }
    let after = desk.open().root().expect("readable");
    assert_eq!(after.0, 5);
    assert_ne!(before.1, after.1, "root has other keys");
}

#[test]
fn a_rotation_interrupted_before_its_timestamp_is_completed_by_publish() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    let blocked = chain::metadata(&desk.dir).join("timestamp.json.new");
    fs::create_dir(&blocked).expect("made");
    let new = NewKeys::Files { count: 1, threshold: 1, passphrase: None };
    for role in [Role::Targets, Role::Timestamp] {
        desk.open().rotate(role, &new, NOW).expect_err("interrupted");
    }
    fs::remove_dir(&blocked).expect("removed");
    desk.open().publish(NOW).expect("completed");
    let chain = Chain::read(&desk.dir).expect("readable");
    for role in [RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp] {
        assert!(chain.holds(role), "{role}");
    }
    let root = fs::read(desk.open().root_file()).expect("there");
    assert_eq!(root, chain.root_text);
}

#[test]
fn a_command_can_hold_a_key() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    // The key lies in a file that only the command knows.
    let pkcs8 = key::generate().expect("random numbers");
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(&pkcs8).expect("a key");
    let public = desk.bundles.join("public.hex");
    let digits = hex(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref());
    fs::write(&public, digits).expect("written");
    let liar = format!("cat >/dev/null; echo {}", "00".repeat(64));
    let new = NewKeys::Command { command: &liar, public: &public };
    let error = desk.open().rotate(Role::Targets, &new, NOW).expect_err("it signs nothing");
    assert!(error.to_string().starts_with("cannot sign targets"), "{error}");
    assert_eq!(desk.open().root().expect("readable").0, 1);
    let new = NewKeys::Command { command: "exit 7", public: &public };
    let error = desk.open().rotate(Role::Targets, &new, NOW).expect_err("it fails");
    assert!(error.to_string().contains("exit 7"), "{error}");
}

#[test]
fn sealed_keys_open_by_the_passphrase_and_by_no_other() {
    let secret = Some(Secret::new("correct horse"));
    let desk = Desk::with(&Plan { offline_passphrase: secret, ..Plan::default() });
    let (path, release) = desk.bundle(1, b"bundle 1");
    desk.open().publish(NOW).expect("online keys are not sealed");
    desk.open().add(&path, &release).expect("added");
    let with = |keyring| Publisher::open(&desk.dir, keyring).expect("opened").publish(NOW);
    let said = with(silent()).expect_err("sealed").to_string();
    assert!(said.contains("needs a passphrase: nobody is asked"), "{said}");
    let said = with(telling("wrong", vec![])).expect_err("wrong").to_string();
    assert!(
        said.starts_with("the passphrase does not open ") && said.contains("targets-"),
        "{said}"
    );
    with(telling("correct horse", vec![])).expect("published");
}

#[test]
fn keys_that_others_can_get_at_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    let keys = keys_dir(&desk.dir);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&keys), 0o700);
    for entry in fs::read_dir(&keys).expect("there") {
        assert_eq!(mode(&entry.expect("an entry").path()), 0o600);
    }
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o755)).expect("changed");
    let error = desk.open().publish(NOW).expect_err("exposed");
    assert!(error.to_string().starts_with("others can get at "), "{error}");
}

#[test]
fn targets_that_nobody_signed_are_not_signed_over() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    let path = chain::metadata(&desk.dir).join("2.targets.json");
    let text = fs::read_to_string(&path).expect("there").replace("gestures", "trojan");
    fs::write(&path, text).expect("written");
    let error = desk.open().publish(NOW).expect_err("altered");
    assert!(error.to_string().contains("not signed by a targets key"), "{error}");
}

#[test]
fn a_clock_that_went_back_is_refused() {
    let desk = Desk::new();
    desk.open().publish(NOW - 60).expect("two machines differ a little");
    let error = desk.open().publish(NOW - 2 * DAY).expect_err("back");
    assert!(error.to_string().contains("set the clock"), "{error}");
}

#[test]
fn lifetimes_can_be_changed_and_old_generations_go() {
    let desk = Desk::new();
    desk.publish(1, NOW);
    let mut publisher = desk.open();
    publisher.set_lifetime(Role::Root, 1_000, NOW).expect("signed again");
    publisher.set_lifetime(Role::Targets, 100, NOW).expect("staged");
    publisher.set_lifetime(Role::Timestamp, 3, NOW).expect("kept");
    for _ in 0..6 {
        publisher.set_lifetime(Role::Targets, 100, NOW).expect("staged");
        publisher.publish(NOW).expect("published");
    }
    let days = publisher.expiries().expect("readable").map(|e| (e.expires - NOW) / DAY);
    assert_eq!(days, [1_000, 100, 90, 3]);
    assert_eq!(publisher.root().expect("readable").0, 2);
    let mut left: Vec<_> =
        desk.files().into_keys().map(|p| p.file_name().expect("a name").to_owned()).collect();
    left.retain(|name| name.to_string_lossy().ends_with(".targets.json"));
    assert!(left.len() <= 4, "{left:?}");
    assert!(publisher.set_lifetime(Role::Root, 0, NOW).is_err());
}

#[test]
fn two_at_once_and_folders_that_are_none_are_refused() {
    let desk = Desk::new();
    let _first = desk.open();
    let error = Publisher::open(&desk.dir, silent()).map(|_| ()).expect_err("busy");
    assert!(matches!(error, PublishError::Busy { .. }), "{error}");
    let error = Publisher::open(&desk.bundles, silent()).map(|_| ()).expect_err("none");
    assert!(error.to_string().contains("edgerun repo init"), "{error}");
    let error = Publisher::init(&desk.dir, &Plan::default(), silent(), NOW).map(|_| ());
    assert!(matches!(error, Err(PublishError::NotEmpty { .. })));
    let plan = Plan { root_keys: 1, root_threshold: 2, ..Plan::default() };
    let error = Publisher::init(&desk.bundles.join("x"), &plan, silent(), NOW).map(|_| ());
    assert!(error.expect_err("impossible").to_string().contains("2 of 1 root keys"));
}
