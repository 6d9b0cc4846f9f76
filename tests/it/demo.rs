//! `edgerun demo` shows the whole system on one machine, with the accuracy that the model card states.

use std::process::Command;

use serde_json::Value;

#[test]
fn every_window_of_the_test_recordings_arrives_from_the_broker_and_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_edgerun"))
        .args(["demo", "--speed", "100", "--no-updates", "--json"])
        .env_remove("EDGERUN_LOG")
        .current_dir(folder.path()) // it runs from any folder and leaves nothing in it
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "", "a log line would stand in the middle of the view");
    let text = String::from_utf8(output.stdout).unwrap();
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(summary["windows"], 280);
    assert_eq!(summary["accuracy"].as_f64().unwrap(), 279.0 / 280.0);
    assert_eq!(summary["dropped"], 0);
    assert_eq!(summary["updates"], serde_json::json!([]));
    assert!(summary["messages"].as_u64().unwrap() > 280, "{summary}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_model_is_updated_over_the_air_once_well_and_three_times_not() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_edgerun"))
        .args(["demo", "--speed", "30", "--json"])
        .env_remove("EDGERUN_LOG")
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "", "a log line would stand in the middle of the view");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Each version with its end, and the code of why.
    let updates = summary["updates"].as_array().unwrap().iter();
    let told: Vec<[&str; 3]> = updates
        .map(|update| {
            let word = |key: &str| update[key].as_str().unwrap_or_default();
            let code = word("reason").split_once(':').map_or("", |(code, _)| code);
            [word("bundle"), word("outcome"), code]
        })
        .collect();
    assert_eq!(
        told,
        [
            ["gestures-1.1.0", "committed", ""],
            ["gestures-1.2.0", "rejected", "self_test_failed"],
            ["gestures-1.3.0", "rejected", "bad_signature"],
            ["gestures-1.4.0", "reverted", "trial_failed"],
        ]
    );
    assert!(summary["windows"].as_u64().unwrap() > 300, "{summary}");
    assert!(summary["accuracy"].as_f64().unwrap() >= 0.99, "{summary}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn a_speed_that_makes_no_sense_is_wrong_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_edgerun"))
        .args(["demo", "--speed", "0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("must be 0.1 to 200"));
}
