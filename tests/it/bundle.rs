//! `edgerun bundle`: from a model file to a bundle that every command takes, and what is refused on the way.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use edgerun::arrays;
use edgerun::data::{Tensor, TensorData};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::root;
use crate::support::is_installed;

fn edgerun(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edgerun")).current_dir(folder).args(args).output().unwrap()
}

fn good(folder: &Path, args: &[&str]) -> String {
    let output = edgerun(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that must fail says.
fn bad(folder: &Path, args: &[&str]) -> String {
    let output = edgerun(folder, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A copy of the shipped gesture bundle's folder, to be spoilt.
fn gestures() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("gestures");
    fs::create_dir(&copy).unwrap();
    for file in ["manifest.toml", "gestures.tflite", "golden.npz", "metrics.json"] {
        fs::copy(root().join("models/gestures").join(file), copy.join(file)).unwrap();
    }
    folder
}

fn edit(folder: &Path, from: &str, to: &str) {
    let path = folder.join("gestures/manifest.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_model_becomes_a_bundle_in_three_commands() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::copy(root().join("models/gestures/gestures.tflite"), here.join("Wrist 1.tflite")).unwrap();
    let said = good(here, &["bundle", "init", "Wrist 1.tflite", "--name", "wrist"]);
    assert!(said.starts_with("wrist/manifest.toml: edit what is marked with EDIT"), "{said}");
    let again = bad(here, &["bundle", "init", "Wrist 1.tflite", "--name", "wrist"]);
    assert!(again.contains("wrist/manifest.toml is there already"), "{again}");

    let refused = bad(here, &["bundle", "pack", "wrist"]);
    assert!(refused.contains("wrist has no golden.npz"), "{refused}");
    let rows = (0..3 * 240).map(|i| (i % 17) as f32 - 8.0).collect();
    let x = Tensor::new(vec![3, 40, 6], TensorData::F32(rows)).unwrap();
    arrays::write(&here.join("rows.npy"), &[("x", &x)]).unwrap();
    let said = good(here, &["bundle", "golden", "wrist", "--input", "rows.npy"]);
    assert_eq!(said, "wrist/golden.npz: 3 windows\n");

    let packed: Value =
        serde_json::from_str(&good(here, &["bundle", "pack", "wrist", "--json"])).unwrap();
    assert_eq!(
        (&packed["file"], &packed["version"]),
        (&"wrist-0.1.0.edge".into(), &"0.1.0".into())
    );
    let said = good(here, &["bundle", "verify", "wrist-0.1.0.edge"]);
    let wanted = "wrist 0.1.0 is good: engine native, 3 golden windows, largest difference 0\n";
    assert_eq!(said, wanted);
    let shown: Value =
        serde_json::from_str(&good(here, &["bundle", "show", "wrist-0.1.0.edge", "--json"]))
            .unwrap();
    assert_eq!(shown["digest"], packed["digest"]);
    // The folder has the digest of the file that it is packed to.
    let folder: Value =
        serde_json::from_str(&good(here, &["bundle", "show", "wrist", "--json"])).unwrap();
    assert_eq!(shown, folder);
    good(here, &["inspect", "wrist-0.1.0.edge"]);
    good(here, &["bench", "wrist-0.1.0.edge", "--runs", "1"]);
}

#[test]
fn the_same_input_gives_the_same_bytes_and_a_version_never_changes() {
    let folder = gestures();
    let here = folder.path();
    good(here, &["bundle", "pack", "gestures"]);
    let first = fs::read(here.join("gestures-1.0.0.edge")).unwrap();
    good(here, &["bundle", "pack", "gestures", "--output", "again.edge"]);
    assert!(first == fs::read(here.join("again.edge")).unwrap());

    edit(here, "threshold = 0.5", "threshold = 0.6");
    let refused = bad(here, &["bundle", "pack", "gestures"]);
    assert!(refused.contains("holds something else; raise `version`"), "{refused}");
    assert!(first == fs::read(here.join("gestures-1.0.0.edge")).unwrap());
    good(here, &["bundle", "pack", "gestures", "--force"]);
    assert!(first != fs::read(here.join("gestures-1.0.0.edge")).unwrap());
}

#[test]
fn other_tools_read_it_as_a_plain_archive() {
    if !is_installed("tar", "tar") {
        return;
    }
    let folder = gestures();
    let here = folder.path();
    good(here, &["bundle", "pack", "gestures"]);
    let listed = Command::new("tar").current_dir(here).args(["tf", "gestures-1.0.0.edge"]).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    assert_eq!(listed, "manifest.toml\ngestures.tflite\ngolden.npz\nmetrics.json\n");
    // What another tool packs has owners and times, so it has no one digest.
    let status = Command::new("tar")
        .current_dir(here.join("gestures"))
        .args(["--format=ustar", "-cf", "../other.edge"])
        .args(["manifest.toml", "gestures.tflite"])
        .status();
    assert!(status.unwrap().success());
    let refused = bad(here, &["bundle", "show", "other.edge"]);
    let wanted = "other.edge: not a bundle as `edgerun bundle pack` writes it: \
        the header of manifest.toml holds more than name and size";
    assert!(refused.contains(wanted), "{refused}");
}

#[test]
fn what_would_answer_wrongly_is_not_packed() {
    let folder = gestures();
    let here = folder.path();
    edit(here, "mean = [2.5527596", "mean = [9.5527596");
    let refused = bad(here, &["bundle", "pack", "gestures"]);
    assert!(
        refused.contains(
            "gestures: the self-test fails: golden window 6: output `y` is -76 where -128"
        ),
        "{refused}"
    );
    assert!(!here.join("gestures-1.0.0.edge").exists());

    let folder = gestures();
    let here = folder.path();
    edit(here, "shape = [1, 4]", "shape = [1, 5]");
    edit(here, "\"badminton\"]", "\"badminton\", \"more\"]");
    let refused = bad(here, &["bundle", "verify", "gestures"]);
    assert!(refused.contains("[[output]] says `y` int8 [1, 5]"), "{refused}");
    fs::write(here.join("gestures/golden.npz"), vec![0; (64 << 20) + 1]).unwrap();
    let refused = bad(here, &["bundle", "show", "gestures"]);
    assert!(refused.contains("golden.npz: 67108865 bytes, more than the 67108864"), "{refused}");
}

/// Features and an autoencoder: what training computed in NumPy, a board computes.
#[test]
fn the_gait_monitor_meets_its_golden_vectors() {
    let said = good(root(), &["bundle", "verify", "models/gait"]);
    assert!(said.starts_with("gait 1.0.0 is good: engine native, 24 golden windows"), "{said}");
}
