//! `edgerun check`: messages, exit codes, and the files that a configuration names.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// [`super::GOOD`] with an id, since a machine that runs tests may have no machine-id.
fn good() -> String {
    format!("device.id = \"bench\"{}", super::GOOD)
}

/// `edgerun check --config FILE` with more arguments; no credential of this machine is seen.
fn check(file: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edgerun"))
        .args(["check", "--config"])
        .arg(file)
        .args(more)
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("EDGERUN_LOG")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn files_that_are_no_configuration_are_named_and_end_with_78() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let file = dir.path().join(name);
        fs::write(&file, bytes).unwrap();
        file
    };
    let missing = dir.path().join("missing.toml");
    let large = vec![b'#'; (1 << 20) + 1];
    for (file, expected) in [
        (missing, ": there is no such file; give another with --config"),
        (dir.path().to_owned(), ": is a folder; give the file in it"),
        (
            file("latin1.toml", b"[device]\nid = \"b\xe4nk\"\n"),
            ":2: is not UTF-8 text here; save the file as UTF-8",
        ),
        (file("large.toml", &large), ": is larger than 1 MiB, so it is no configuration"),
    ] {
        let output = check(&file, &[]);
        assert_eq!(output.status.code(), Some(78));
        assert_eq!(stderr(&output), format!("{}{expected}\n", file.display()));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn check_prints_all_that_is_wrong_for_people_and_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("e.toml");
    fs::write(&file, good().replace("10 Hz", "10").replace("\"imu\"\nmodel", "\"imo\"\nmodel"))
        .unwrap();
    let output = check(&file, &[]);
    assert_eq!(output.status.code(), Some(78));
    let shown = file.display();
    assert_eq!(
        stderr(&output),
        format!(
            "{shown}:8: sensor[0].rate: \"10\" is not a rate; write it as \"10 Hz\"\n\
             {shown}:11: pipeline[0].sensor: there is no sensor \"imo\"; did you mean \"imu\"?\n"
        )
    );
    let output = check(&file, &["--json"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(78), ""));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["errors"][0]["line"], 8);
    assert_eq!(report["errors"][0]["key"], "sensor[0].rate");
    assert_eq!(report["errors"][1]["key"], "pipeline[0].sensor");
}

#[test]
fn check_looks_at_the_files_that_the_configuration_names() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("e.toml");
    let text = "[mqtt]\nurl = \"mqtts://localhost\"\nca = \"ca.pem\"\n\
                client_cert = \"board.pem\"\nclient_key = \"credential:key\"\n";
    let text = good().replace("[mqtt]\nurl = \"mqtt://localhost\"\n", text);
    fs::write(&file, format!("{text}[state]\ndir = \"state\"\n")).unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(dir.path().join("ca.pem"), issued.cert.pem()).unwrap();
    fs::write(dir.path().join("board.pem"), "no certificate").unwrap();
    fs::write(dir.path().join("key"), issued.signing_key.serialize_pem()).unwrap();
    let found = |credentials: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_edgerun"))
            .args(["check", "--json", "--config"])
            .arg(&file)
            .env("CREDENTIALS_DIRECTORY", credentials)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        move |name: &str| {
            let checks = report["checks"].as_array().unwrap();
            let step = checks.iter().find(|step| step["name"] == name).unwrap();
            let detail = step["detail"].as_str().unwrap().to_owned();
            (step["ok"] == true, detail)
        }
    };
    let shown = dir.path().display();
    let step = found(dir.path());
    assert_eq!(step("mqtt.ca"), (true, format!("1 certificate in {shown}/ca.pem")));
    assert_eq!(step("mqtt.client_key"), (true, "credential key is a private key".into()));
    let no_certificate =
        format!("{shown}/board.pem holds no certificate; it must be PEM, with BEGIN CERTIFICATE");
    assert_eq!(step("mqtt.client_cert"), (false, no_certificate));
    assert_eq!(step("state"), (true, format!("{shown}/state is made when edgerun starts")));
    let empty = tempfile::tempdir().unwrap();
    let (ok, detail) = found(empty.path())("mqtt.client_key");
    assert!(!ok && detail.starts_with("credential key is not there; put it into "), "{detail}");
}

#[test]
fn wrong_usage_ends_with_2_and_wrong_log_rules_say_which() {
    let edgerun = || Command::new(env!("CARGO_BIN_EXE_edgerun"));
    let output = edgerun().args(["check", "--confg", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--config"), "{}", stderr(&output));
    let output = edgerun().arg("check").env("EDGERUN_LOG", "loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("EDGERUN_LOG: \"loud\" is no level; write off, error"));
    let output = edgerun().arg("--version").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, format!("edgerun {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("e.toml");
    fs::write(&file, good()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_edgerun"))
        .args(["check", "--config"])
        .arg(&file)
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}
