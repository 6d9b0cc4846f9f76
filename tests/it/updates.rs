//! Models of the store are updated while they serve, by an operator on the board: tested in a confined child,
//! compared on live windows, watched at work, and taken back.

mod brought;
mod https;
mod over_broker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use edgerun::arrays;
use edgerun::clock::Stopwatch;
use edgerun::data::{Tensor, TensorData};
use edgerun::model::{Bundle, archive};
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::daemon::{Board, Daemon, root};
use crate::support::mosquitto::Mosquitto;
use crate::support::subscriber::{Subscriber, publish_retained};

const MANIFEST: &str = include_str!("../../models/gestures/manifest.toml");

/// A board whose model lies in the store, fed with 1000 rows a second, so 25 windows; a result may take 41 ms, which it
/// does on a busy machine.
fn board(ota: &str) -> Board {
    let board = Board::new(&format!(
        r#"
        [device]
        id = "board-1"
        [[sensor]]
        name = "wrist"
        driver = "replay"
        path = "recording.csv"
        rate = "1 kHz"
        repeat = true
        [[pipeline]]
        name = "gestures"
        sensor = "wrist"
        model = "gestures"
        window = {{ length = 40, stride = 40 }}
        publish = "every"
        json_lines = "results.jsonl"
        [ota]
        shadow_windows = 10
        trial = "500 ms"
        {ota}
        "#
    ));
    board.record("gestures");
    // The folder has its name only now.
    let file = board.path("edgerun.toml");
    let text = fs::read_to_string(&file).unwrap();
    let here = board.dir.path().display().to_string();
    fs::write(&file, text.replace("{here}", &here)).unwrap();
    board
}

/// The shipped gesture model as another version, for any rate; `change` may spoil its manifest.
fn bundle(board: &Board, version: &str, change: impl Fn(String) -> String) -> PathBuf {
    with_golden(board, version, change, |_| {})
}

fn with_golden(
    board: &Board,
    version: &str,
    change: impl Fn(String) -> String,
    spoil: impl Fn(&mut Vec<i8>),
) -> PathBuf {
    let folder = root().join("models/gestures");
    let text = MANIFEST
        .replace("version = \"1.0.0\"", &format!("version = \"{version}\""))
        .replace("rate = \"10 Hz\"\n", "");
    let mut golden = arrays::read(&folder.join("golden.npz")).unwrap();
    for array in &mut golden {
        if let TensorData::I8(values) = array.tensor.data_mut() {
            spoil(values);
        }
    }
    let named: Vec<_> = golden.iter().map(|a| (a.name.as_str(), &a.tensor)).collect();
    let model = fs::read(folder.join("gestures.tflite")).unwrap();
    let golden = arrays::pack(&named).unwrap();
    let bundle = Bundle::new(&change(text), model, Some(golden)).unwrap();
    let path = board.path(&bundle.file_name());
    let mut bytes = Vec::new();
    archive::write(&bundle, &mut bytes).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn same(text: String) -> String {
    text
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn apply(board: &Board, file: &Path) -> (bool, String) {
    let output = board.output(&["ota", "apply", file.to_str().unwrap()]);
    (output.status.success(), said(&output))
}

fn status(board: &Board) -> Value {
    let output = board.output(&["ota", "status", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["models"][0].clone()
}

/// Looks until there is something to see.
fn wait<T>(board: &Board, mut look: impl FnMut() -> Result<T, String>) -> T {
    let watch = Stopwatch::start();
    loop {
        let missing = match look() {
            Ok(found) => return found,
            Err(missing) => missing,
        };
        let log = fs::read_to_string(board.path("log")).unwrap_or_default();
        assert!(watch.elapsed() < PATIENCE, "{missing}\n{log}");
    }
}

/// Asks until the model's updates stand as `wanted`.
fn until(board: &Board, wanted: impl Fn(&Value) -> bool) -> Value {
    wait(board, || {
        let status = status(board);
        if wanted(&status) { Ok(status) } else { Err(status.to_string()) }
    })
}

/// Waits until results of these versions, in this order, are there.
fn until_results(board: &Board, versions: &[&str]) {
    wait(board, || {
        let found = board.path("results.jsonl").exists().then(|| results(board).0);
        if found.as_deref().is_some_and(|found| found == versions) {
            return Ok(());
        }
        Err(format!("{found:?}"))
    });
}

/// A board on which 1.0.0 serves.
fn serving(ota: &str) -> (Board, Daemon) {
    let board = board(ota);
    let first = bundle(&board, "1.0.0", same);
    let (good, text) = apply(&board, &first);
    assert!(good, "{text}");
    assert!(text.contains("no daemon runs; the bundle is tested and put into the store"), "{text}");
    let daemon = board.run_until_ready(&[]);
    until(&board, |status| status["state"] == "committed");
    (board, daemon)
}

/// Versions in the order of the results, and whether no window between the first and the last is missing.
fn results(board: &Board) -> (Vec<String>, bool) {
    let text = fs::read_to_string(board.path("results.jsonl")).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let results: Vec<Value> = lines.filter(|line| line["seq"].is_u64()).collect();
    let seqs: Vec<u64> = results.iter().map(|result| result["seq"].as_u64().unwrap()).collect();
    let complete = seqs.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let mut versions: Vec<String> =
        results.iter().map(|result| result["version"].as_str().unwrap().to_owned()).collect();
    versions.dedup();
    (versions, complete)
}

#[test]
fn a_better_version_takes_over_between_two_windows_and_can_be_taken_back() {
    let (board, mut daemon) = serving("");
    let second = bundle(&board, "1.1.0", same);
    let (good, text) = apply(&board, Path::new(&format!("file://{}", second.display())));
    assert!(good, "{text}");
    assert!(text.contains("model gestures: version 1.1.0 serves"), "{text}");
    let status = until(&board, |status| status["state"] == "committed");
    assert_eq!(
        (&status["running"]["version"], &status["running"]["origin"]),
        (&"1.1.0".into(), &"local".into())
    );
    assert_eq!(status["previous"]["version"], "1.0.0");

    let output = board.output(&["ota", "pin"]);
    assert_eq!(said(&output), "model gestures: version 1.1.0 is kept\n");
    let output = board.output(&["ota", "rollback"]);
    assert_eq!(said(&output), "model gestures: version 1.0.0 serves again\n");
    let output = board.output(&["ota", "unpin", "--version", "1.1.0"]);
    assert_eq!(said(&output), "model gestures: version 1.1.0 is kept no longer than others\n");
    let output = board.output(&["ota", "rollback", "--to", "0.9.0"]);
    assert!(
        said(&output).contains("version 0.9.0 is not kept; there is: 1.1.0"),
        "{}",
        said(&output)
    );
    let history = said(&board.output(&["ota", "history"]));
    let ends: Vec<_> = history.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let wanted =
        ["gestures 1.0.0  committed", "gestures 1.1.0  committed", "gestures 1.0.0  rolled_back"];
    assert_eq!(ends, wanted);
    // Results of the old version again, then the end.
    until_results(&board, &["1.0.0", "1.1.0", "1.0.0"]);
    assert_eq!(daemon.terminate(), Some(0));
    assert!(results(&board).1, "a window is missing");
}

#[test]
fn a_version_that_answers_wrongly_never_serves() {
    let (board, _daemon) = serving("");
    let wrong = with_golden(&board, "1.1.0", same, |values| values[5] = values[5].wrapping_add(9));
    let (good, text) = apply(&board, &wrong);
    assert!(!good);
    assert!(text.contains("version 1.1.0 is rejected: golden window 1: output `y` is"), "{text}");
    let status = status(&board);
    assert_eq!(
        (&status["running"]["version"], &status["failure"]["code"]),
        (&"1.0.0".into(), &"self_test_failed".into())
    );
    // An operator who insists may try the same bundle again.
    assert!(apply(&board, &wrong).1.contains("rejected"));
}

#[test]
fn a_version_for_other_sensors_or_windows_is_refused_with_the_reason() {
    let (board, _daemon) = serving("");
    let other = bundle(&board, "1.1.0", |text| text.replace("gyro_x", "gyro_q"));
    let (_, text) = apply(&board, &other);
    assert!(
        text.contains("pipeline gestures: model gestures takes channel gyro_q, the sensor has"),
        "{text}"
    );
    let stranger =
        bundle(&board, "1.1.0", |text| text.replace("name = \"gestures\"", "name = \"stranger\""));
    let (_, text) = apply(&board, &stranger);
    assert!(text.contains("no pipeline of this board runs a model called stranger"), "{text}");
    let elsewhere =
        |text: String| text.replacen("model = ", "targets = [\"riscv64\"]\nmodel = ", 1);
    let (_, text) = apply(&board, &bundle(&board, "1.1.0", elsewhere));
    let wanted = "model gestures is for riscv64, this machine is";
    assert!(text.contains(wanted), "{text}");
    let torn = board.path("torn.edge");
    fs::write(&torn, &fs::read(bundle(&board, "1.2.0", same)).unwrap()[..5000]).unwrap();
    let (_, text) = apply(&board, &torn);
    assert!(
        text.contains(
            "torn.edge: not a bundle as `edgerun bundle pack` writes it: it ends in the middle"
        ),
        "{text}"
    );
}

#[test]
fn a_version_that_disagrees_on_live_windows_does_not_take_over() {
    // With the labels in another order every finding differs.
    let swapped = |text: String| {
        text.replace(
            "[\"standing\", \"running\", \"walking\", \"badminton\"]",
            "[\"running\", \"walking\", \"badminton\", \"standing\"]",
        )
    };
    let (board, _daemon) = serving("");
    let (good, text) = apply(&board, &bundle(&board, "1.1.0", swapped));
    assert!(!good);
    assert!(text.contains("live windows it agreed with the version that serves"), "{text}");
    assert_eq!(status(&board)["running"]["version"], "1.0.0");
    // The file is written by a thread of its own, so there may be nothing yet.
    until_results(&board, &["1.0.0"]);
}

#[test]
fn a_publisher_says_how_far_a_version_may_differ_and_the_boards_own_word_comes_first() {
    let other = |text: String| {
        let swapped = text.replace(
            "[\"standing\", \"running\", \"walking\", \"badminton\"]",
            "[\"running\", \"walking\", \"badminton\", \"standing\"]",
        );
        swapped + "\n[update]\nagreement = 0.0\nwindows = 3\n"
    };
    let (board, mut daemon) = serving("");
    let (good, text) = apply(&board, &bundle(&board, "1.1.0", other));
    assert!(good, "{text}");
    until(&board, |status| status["state"] == "committed");
    assert_eq!(daemon.terminate(), Some(0));

    let (board, _daemon) = serving("agreement = 0.9");
    let (good, text) = apply(&board, &bundle(&board, "1.1.0", other));
    assert!(!good && text.contains("of 10 live windows it agreed"), "{text}");
    assert!(text.contains("at least 90 % must"), "{text}");
    let slow = |text: String| text + "\n[update]\nlatency = \"0.001 ms\"\n";
    let (good, text) = apply(&board, &bundle(&board, "1.2.0", slow));
    assert!(!good && text.contains("took it longer than the 1µs of its limit"), "{text}");
}

#[test]
fn a_recipe_alone_is_an_update_like_any_other() {
    let (board, _daemon) = serving("");
    let threshold = |text: String| text.replace("threshold = 0.5", "threshold = 0.51");
    let (good, text) = apply(&board, &bundle(&board, "1.0.1", threshold));
    assert!(good, "{text}");
    until(&board, |status| status["state"] == "committed");
}

/// SIGKILL at moments all over an update, update after update: the daemon always starts, with the old or the new
/// version, and ends with the new one and nothing else in its store. `EDGERUN_FULL` kills 500 times.
#[test]
fn a_killed_daemon_starts_with_a_version_that_is_whole_and_goes_on() {
    let kills = if std::env::var_os("EDGERUN_FULL").is_some() { 500 } else { 8 };
    let (board, mut daemon) = serving("");
    for kill in 1..=kills {
        let (old, new) = (format!("1.{}.0", kill - 1), format!("1.{kill}.0"));
        let file = bundle(&board, &new, same);
        // The command ends with the daemon that it talks to.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_edgerun"));
        command.args(["ota", "apply"]).arg(&file).arg("--config").arg(board.path("edgerun.toml"));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut asking = command.spawn().unwrap();
        // Each look takes a few milliseconds, so kills fall on all steps and between them.
        for _ in 0..(kill * 7) % 13 {
            status(&board);
        }
        daemon.kill();
        asking.wait().unwrap();
        fs::remove_file(board.path("notify")).unwrap();
        daemon = board.run_until_ready(&[]);
        let running = status(&board)["running"]["version"].clone();
        assert!(running == old.as_str() || running == new.as_str(), "kill {kill}: {running}");
        let end = until(&board, |status| status["target"] == Value::Null);
        if end["running"]["version"] != new.as_str() {
            // The kill came before the bundle was there.
            assert_eq!(
                (&end["failure"], &end["running"]["version"]),
                (&Value::Null, &old.as_str().into())
            );
            let (good, text) = apply(&board, &file);
            assert!(good, "kill {kill}: {text}");
        }
        let end = until(&board, |status| status["state"] == "committed");
        assert_eq!(end["running"]["version"], new.as_str(), "kill {kill}");
        assert_eq!(end["previous"]["version"], old.as_str(), "kill {kill}");
        let count = |folder| fs::read_dir(board.path("state/models").join(folder)).unwrap().count();
        assert_eq!((count("objects"), count("partial")), (2, 0), "kill {kill}");
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn without_a_version_the_daemon_waits_and_takes_the_first() {
    let board = board("");
    let _daemon = board.run_until_ready(&[]);
    assert_eq!(status(&board)["running"], Value::Null);
    let (good, text) = apply(&board, &bundle(&board, "1.0.0", same));
    assert!(good, "{text}");
    until(&board, |status| status["state"] == "committed");
    until_results(&board, &["1.0.0"]);
}

#[test]
fn a_version_that_cannot_serve_at_the_start_gives_way_to_the_one_before_or_the_next() {
    let board = board("");
    let misfit = |version: &str| bundle(&board, version, |text| text.replace("gyro_x", "gyro_q"));
    // At rest nobody knows the sensors yet.
    assert!(apply(&board, &misfit("1.0.0")).0);
    let mut daemon = board.run_until_ready(&[]);
    let status = until(&board, |status| status["state"] == "reverted");
    let message = status["failure"]["message"].as_str().unwrap();
    assert!(message.contains("model gestures takes channel gyro_q, the sensor has"), "{message}");
    assert_eq!(status["running"], Value::Null);
    assert!(apply(&board, &bundle(&board, "1.1.0", same)).0);
    until(&board, |status| status["state"] == "committed");
    until_results(&board, &["1.1.0"]);
    assert_eq!(daemon.terminate(), Some(0));

    assert!(apply(&board, &misfit("1.2.0")).0);
    fs::remove_file(board.path("notify")).unwrap();
    let _daemon = board.run_until_ready(&[]);
    let status = until(&board, |status| status["state"] == "reverted");
    assert_eq!(status["running"]["version"], "1.1.0");
    until_results(&board, &["1.1.0"]);
}

#[test]
fn two_daemons_cannot_have_one_store() {
    let (board, _daemon) = serving("");
    let output = board.output(&["run"]);
    assert!(said(&output).contains("is in use by another edgerun"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_bundle_that_takes_too_much_harms_only_its_own_child() {
    let (board, mut daemon) = serving("memory = \"8 MiB\"");
    let file = bundle(&board, "1.1.0", same);
    let mut greedy = Bundle::open(&file).unwrap();
    // 19 MB of windows, and as much again for each step of reading them.
    let windows = 20_000;
    let x = Tensor::new(vec![windows, 40, 6], TensorData::F32(vec![0.0; windows * 240])).unwrap();
    let y = Tensor::new(vec![windows, 4], TensorData::I8(vec![0; windows * 4])).unwrap();
    greedy.golden = Some(arrays::pack(&[("x", &x), ("y_0", &y)]).unwrap());
    let mut bytes = Vec::new();
    archive::write(&greedy, &mut bytes).unwrap();
    fs::write(&file, bytes).unwrap();
    let (good, text) = apply(&board, &file);
    assert!(!good);
    let wanted = "ran out of its 8 MiB of memory ([ota] memory)";
    assert!(text.contains(wanted), "{text}");
    assert_eq!(daemon.terminate(), Some(0));
}

/// A publisher's folder beside the board's.
struct Publisher<'a> {
    board: &'a Board,
}

impl Publisher<'_> {
    fn repo(&self, args: &[&str]) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_edgerun"));
        let output = command.current_dir(self.board.dir.path()).arg("repo").args(args).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn publish(&self, version: &str, change: impl Fn(String) -> String) {
        let file = bundle(self.board, version, change);
        self.repo(&["add", "repo", file.to_str().unwrap()]);
        self.repo(&["publish", "repo"]);
    }
}

const REPOSITORY: &str = r#"repository = "file://{here}/repo/repository"
        root = "repo/root.json""#;

#[test]
fn the_newest_signed_version_is_followed_and_anything_else_is_not() {
    let board = board(&format!("{REPOSITORY}\nfollow = \"latest\""));
    let publisher = Publisher { board: &board };
    let init: Value = serde_json::from_str(&publisher.repo(&["init", "repo", "--json"])).unwrap();
    publisher.publish("1.0.0", same);
    let text = said(&board.output(&["check"]));
    let root = format!("fingerprint {}", init["fingerprint"].as_str().unwrap());
    assert!(text.contains("ota.root") && text.contains(&root), "{text}");
    let _daemon = board.run_until_ready(&[]);
    let status = until(&board, |status| status["state"] == "committed");
    assert_eq!(
        (&status["running"]["version"], &status["running"]["origin"]),
        (&"1.0.0".into(), &"repository".into())
    );
    let whole = board.output(&["ota", "status", "--json"]);
    let whole: Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!(whole["root"], init["fingerprint"]);

    publisher.publish("1.1.0", same);
    assert!(board.output(&["ota", "check"]).status.success());
    until(&board, |status| {
        status["running"]["version"] == "1.1.0" && status["state"] == "committed"
    });

    // Forged: other bytes under a signed name.
    publisher.publish("1.2.0", same);
    let targets = board.path("repo/repository/targets");
    let forged = fs::read_dir(&targets).unwrap().map(|entry| entry.unwrap().path());
    let forged = forged.filter(|path| path.to_str().unwrap().ends_with("gestures-1.2.0.edge"));
    for path in forged {
        let mut bytes = fs::read(&path).unwrap();
        bytes[2000] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    assert!(board.output(&["ota", "check"]).status.success());
    let status = until(&board, |status| status["state"] == "rejected");
    assert_eq!(
        (&status["failure"]["code"], &status["running"]["version"]),
        (&"bad_signature".into(), &"1.1.0".into())
    );
}

#[test]
fn a_version_is_wished_for_over_the_broker_and_every_step_is_reported() {
    let Some(broker) = Mosquitto::start() else { return };
    let board = board(REPOSITORY);
    let text = fs::read_to_string(board.path("edgerun.toml")).unwrap();
    let mqtt = format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n[[sensor]]", broker.port());
    fs::write(board.path("edgerun.toml"), text.replacen("[[sensor]]", &mqtt, 1)).unwrap();
    let publisher = Publisher { board: &board };
    publisher.repo(&["init", "repo"]);
    publisher.publish("1.0.0", same);
    publisher.publish("1.1.0", same);
    let topic = |name: &str| format!("edgerun/board-1/model/gestures/{name}");
    let wish = |version: &str| {
        let payload = format!("{{\"version\":\"{version}\"}}");
        publish_retained(broker.port(), &topic("desired"), &payload);
    };
    wish("1.0.0");
    let reports = Subscriber::new(broker.port(), &topic("reported"));
    let _daemon = board.run_until_ready(&[]);
    reports.until(|m| m.payload["state"] == "committed");
    wish("1.1.0");
    let states = std::cell::RefCell::new(Vec::new());
    reports.until(|m| {
        states.borrow_mut().push(m.payload["state"].as_str().unwrap().to_owned());
        m.payload["state"] == "committed" && m.payload["running"]["version"] == "1.1.0"
    });
    let mut states = states.into_inner();
    states.dedup();
    let steps =
        ["fetching", "verifying", "self-testing", "shadowing", "activating", "trial", "committed"];
    assert!(states.ends_with(&steps.map(str::to_owned)), "{states:?}");
    wish("3.0.0");
    let refused = reports.until(|m| m.payload["failure"].is_object());
    assert_eq!(refused.payload["failure"]["code"], "not_found");
    assert_eq!(refused.payload["running"]["version"], "1.1.0");
    wish("1.0.0");
    let refused = reports.until(|m| m.payload["failure"]["code"] == "incompatible");
    let message = refused.payload["failure"]["message"].as_str().unwrap();
    assert!(message.ends_with("say allow_downgrade if that is meant"), "{message}");
}
