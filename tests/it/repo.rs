//! `edgerun repo`: from a bundle to a repository that a board trusts, by a few commands; and what a
//! publisher is told when something is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use edgerun::clock::{Clock, SystemClock};
use edgerun::model::Bundle;
use edgerun::model::release::BoardKind;
use edgerun::storage::DirStorage;
use edgerun::trust::{Checked, FileSource, Patience, TrustError, TrustStore};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::root;
use crate::support::is_installed;

/// A publisher's machine and a board.
struct Place {
    temp: TempDir,
}

impl Place {
    /// With the packed gesture bundle.
    fn new() -> Self {
        let place = Self { temp: tempfile::tempdir().unwrap() };
        let folder = root().join("models/gestures");
        place.good(&["bundle", "pack", folder.to_str().unwrap(), "-o", "gestures.edge"]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn run(&self, args: &[&str], passphrase: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
        command.current_dir(self.temp.path()).args(args).env_remove("EDGERUN_PASSPHRASE");
        if let Some(passphrase) = passphrase {
            command.env("EDGERUN_PASSPHRASE", passphrase);
        }
        command.output().unwrap()
    }

    fn good(&self, args: &[&str]) -> String {
        let output = self.run(args, None);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn bad(&self, args: &[&str]) -> String {
        let output = self.run(args, None);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The shipped bundle with another version.
    fn pack(&self, version: &str) -> String {
        let folder = self.path(&format!("gestures-{version}"));
        fs::create_dir(&folder).unwrap();
        for file in ["manifest.toml", "gestures.tflite", "golden.npz"] {
            fs::copy(root().join("models/gestures").join(file), folder.join(file)).unwrap();
        }
        let manifest = folder.join("manifest.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let line = text.lines().find(|line| line.starts_with("version")).unwrap();
        fs::write(&manifest, text.replace(line, &format!("version = \"{version}\""))).unwrap();
        let file = format!("{version}.edge");
        self.good(&["bundle", "pack", folder.to_str().unwrap(), "-o", &file]);
        file
    }

    /// What a board that has `root.json` from the beginning makes of the repository.
    fn board(&self, shipped: &[u8]) -> Result<Checked, TrustError> {
        let storage = Arc::new(DirStorage::new(&self.path("board")));
        let store = TrustStore::new(storage, shipped, Duration::ZERO)?;
        let source = Arc::new(FileSource::new(self.path("models/repository")));
        store.check(source, Patience::new(Arc::new(SystemClock)), SystemClock.wall())
    }
}

fn names(checked: &Checked) -> Vec<String> {
    checked.targets.iter().map(|target| target.name.to_string()).collect()
}

#[test]
fn a_first_model_is_published_in_three_commands_and_a_board_takes_it() {
    let place = Place::new();
    let said = place.good(&["repo", "init", "models"]);
    let fingerprint = said.lines().find(|line| line.contains("fingerprint")).unwrap();
    let fingerprint = fingerprint.split_whitespace().last().unwrap().to_owned();
    let expected = "models: a repository, published and empty
  fingerprint  FINGERPRINT
  for boards   models/root.json
  to serve     models/repository
  keys         models/keys: 3 of root, 2 of them sign; one each of targets, snapshot, timestamp
Next: edgerun repo add models BUNDLE.edge, then edgerun repo publish models.
Before boards trust it: copy the keys of root and targets to places of their own.
";
    assert_eq!(said.replace(&fingerprint, "FINGERPRINT"), expected);

    let said = place.good(&["repo", "add", "models", "gestures.edge"]);
    let name = said.split(':').next().unwrap().to_owned();
    assert!(said.contains(": added; runs on native, "), "{said}");
    assert!(said.ends_with("Boards see it after edgerun repo publish models.\n"), "{said}");
    let said = place.good(&["repo", "list", "models"]);
    assert!(said.contains("added, not yet published"), "{said}");
    let said = place.good(&["repo", "publish", "models"]);
    assert!(said.starts_with(&format!("+ {name}\npublished, generation 2; ")), "{said}");

    let shipped = fs::read(place.path("models/root.json")).unwrap();
    let checked = place.board(&shipped).unwrap();
    assert_eq!(names(&checked), [name]);
    assert_eq!(checked.root.fingerprint, fingerprint);
    let target = &checked.targets[0];
    let board = BoardKind {
        edgerun: env!("CARGO_PKG_VERSION").parse().unwrap(),
        engines: vec!["native".into()],
        target: std::env::consts::ARCH.into(),
        memory_bytes: Some(64 << 20),
        ops: None,
    };
    target.release.fits(&board).unwrap();
    assert!(!target.release.needs.ops.is_empty() && target.release.needs.peak_bytes > 1_000);
    fs::create_dir(place.path("downloads")).unwrap();
    let path = checked.download(target, &place.path("downloads"), &mut |_| ()).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle.digest.as_str(), target.release.digest);
    assert_eq!(fs::read(path).unwrap(), fs::read(place.path("gestures.edge")).unwrap());
    let kept = fs::metadata(place.path("board/trust.json")).unwrap().len();
    assert!(kept < 8_000, "{kept} bytes of trust");
}

#[test]
fn a_board_follows_new_versions_retired_ones_and_new_keys_of_every_role() {
    let place = Place::new();
    place.good(&["repo", "init", "models"]);
    let shipped = fs::read(place.path("models/root.json")).unwrap();
    for version in ["7.0.0", "7.1.0"] {
        let file = place.pack(version);
        place.good(&["repo", "add", "models", &file]);
    }
    place.good(&["repo", "publish", "models"]);
    let both = names(&place.board(&shipped).unwrap());
    assert_eq!(both, ["gestures-7.0.0.edge", "gestures-7.1.0.edge"]);
    for role in ["timestamp", "snapshot", "targets", "root", "root"] {
        let said = place.good(&["repo", "rotate", "models", role]);
        assert!(said.starts_with(&format!("{role}: new keys, by root ")), "{said}");
        for line in said.lines().filter(|line| line.contains("signs nothing any more")) {
            fs::remove_file(place.path(line.split(' ').next_back().unwrap())).unwrap();
        }
        assert_eq!(names(&place.board(&shipped).unwrap()), both, "{role}");
    }
    place.good(&["repo", "retire", "models", "gestures", "7.0.0"]);
    assert!(place.good(&["repo", "list", "models"]).contains("taken back, still published"));
    let said = place.good(&["repo", "publish", "models"]);
    assert!(said.starts_with("- gestures-7.0.0.edge\n"), "{said}");
    let checked = place.board(&shipped).unwrap();
    assert_eq!(names(&checked), ["gestures-7.1.0.edge"]);
    assert_eq!(checked.root.version, 6);
}

#[test]
fn expiries_are_shown_and_set() {
    let place = Place::new();
    place.good(&["repo", "init", "models"]);
    let said = place.good(&["repo", "expire", "models"]);
    let rows: Vec<Vec<_>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!((rows[1][0], &rows[1][6..]), ("root", &["2", "of", "3"][..]), "{said}");
    place.good(&["repo", "expire", "models", "--role", "root", "--days", "900"]);
    let said = place.good(&["repo", "expire", "models", "--role", "timestamp", "--days", "3"]);
    assert!(said.starts_with("It counts after edgerun repo publish models."), "{said}");
    let json: Value =
        serde_json::from_str(&place.good(&["repo", "expire", "models", "--json"])).unwrap();
    assert_eq!(
        (&json["root"]["version"], &json["root"]["lifetime_days"]),
        (&2.into(), &900.into())
    );
    assert_eq!(json["timestamp"]["lifetime_days"], 3);
}

#[test]
fn mistakes_name_the_file_and_what_to_do() {
    let place = Place::new();
    let said = place.bad(&["repo", "publish", "models"]);
    assert!(
        said.contains("models is no publisher's folder: make one with `edgerun repo init`"),
        "{said}"
    );
    place.good(&["repo", "init", "models"]);
    let said = place.bad(&["repo", "init", "models"]);
    assert!(said.contains("models is not empty: name a new folder"), "{said}");
    let model = root().join("models/gestures/gestures.tflite");
    let said = place.bad(&["repo", "add", "models", model.to_str().unwrap()]);
    assert!(said.contains("is a model and no bundle"), "{said}");
    let said = place.bad(&["repo", "retire", "models", "gestures", "9.9.9"]);
    assert!(said.contains("gestures-9.9.9.edge is not published"), "{said}");
    let output = place.run(&["repo", "rotate", "models", "mirror"], None);
    assert_eq!(output.status.code(), Some(2));

    use std::os::unix::fs::PermissionsExt as _;
    let keys = place.path("models/keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o750)).unwrap();
    let said = place.bad(&["repo", "publish", "models"]);
    assert!(said.contains("others can get at models/keys; run: chmod go= models/keys"), "{said}");
}

#[test]
fn a_passphrase_seals_the_offline_keys_and_comes_from_anywhere_but_the_arguments() {
    let place = Place::new();
    let output = place.run(&["repo", "init", "models", "--passphrase"], Some("correct horse"));
    assert!(output.status.success());
    place.good(&["repo", "publish", "models"]);
    place.good(&["repo", "add", "models", "gestures.edge"]);
    let output = place.run(&["repo", "publish", "models"], Some("wrong"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the passphrase does not open models/keys/targets-"), "{said}");
    fs::write(place.path("secret"), "correct horse\n").unwrap();
    let program = env!("CARGO_BIN_EXE_edgerun");
    let line = format!("'{program}' repo publish models --passphrase-fd 7 7< secret");
    let output =
        Command::new("sh").args(["-c", &line]).current_dir(place.temp.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for entry in fs::read_dir(place.path("models/keys")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let offline = ["root-", "targets-"].iter().any(|role| file_name(&path).starts_with(role));
        assert_eq!(text.contains("sealed"), offline, "{}", path.display());
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn another_program_can_hold_the_keys() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let place = Place::new();
    place.good(&["repo", "init", "models"]);
    let shipped = fs::read(place.path("models/root.json")).unwrap();
    let cases = [
        (
            "ed25519",
            "openssl genpkey -algorithm ed25519",
            "openssl pkeyutl -sign -rawin -inkey KEY -in m",
        ),
        (
            "p256",
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            "openssl dgst -sha256 -sign KEY m",
        ),
    ];
    for (index, (kind, make, sign)) in cases.into_iter().enumerate() {
        let make = format!(
            "{make} -out {kind}.pem && openssl pkey -in {kind}.pem -pubout -out {kind}.pub"
        );
        let made = Command::new("sh").args(["-c", &make]).current_dir(place.temp.path()).output();
        assert!(made.unwrap().status.success());
        let signer = format!("cat > m; {} | base64", sign.replace("KEY", &format!("{kind}.pem")));
        let public = format!("{kind}.pub");
        for role in ["targets", "root"] {
            let args =
                ["repo", "rotate", "models", role, "--signer", &signer, "--public-key", &public];
            place.good(&args);
        }
        let file = place.pack(&format!("8.{index}.0"));
        place.good(&["repo", "add", "models", &file]);
        place.good(&["repo", "publish", "models"]);
        assert_eq!(place.board(&shipped).unwrap().targets.len(), index + 1, "{kind}");
    }
}
