//! Updates of boards that reach nothing but their broker.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::*;

/// `edgerun repo serve`; what it writes must have somewhere to go.
struct Serving {
    child: Child,
    _output: BufReader<ChildStdout>,
}

impl Serving {
    fn start(board: &Board, port: u16) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
        command.current_dir(board.dir.path()).args(["repo", "serve", "repo", "--mqtt"]);
        command.arg(format!("mqtt://127.0.0.1:{port}")).args(["--prefix", "farm/north"]);
        command.stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(line.starts_with("serves repo/repository to boards on the broker at"), "{line}");
        Self { child, _output: output }
    }

    fn end(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A board with 1.0.0 in a repository that comes over a broker that others use as well.
fn over_broker(broker: &Mosquitto, more: &str) -> Board {
    let keys = format!("repository = \"mqtt:\"\nroot = \"repo/root.json\"\n{more}");
    let board = board(&keys);
    let text = fs::read_to_string(board.path("edgerun.toml")).unwrap();
    let url = format!("url = \"mqtt://127.0.0.1:{}\"", broker.port());
    let mqtt = format!("[mqtt]\n{url}\nprefix = \"farm/north\"\n[[sensor]]");
    fs::write(board.path("edgerun.toml"), text.replacen("[[sensor]]", &mqtt, 1)).unwrap();
    let publisher = Publisher { board: &board };
    publisher.repo(&["init", "repo"]);
    publisher.publish("1.0.0", same);
    board
}

/// A bundle of many chunks: the same golden windows again and again.
fn large(board: &Board, version: &str) -> u64 {
    let file = bundle(board, version, same);
    let mut bundle = Bundle::open(&file).unwrap();
    let golden = arrays::unpack(bundle.golden.as_ref().unwrap()).unwrap();
    let times = 12;
    let repeated = golden.iter().map(|array| {
        let mut shape = array.tensor.shape().to_vec();
        shape[0] *= times;
        let data = match array.tensor.data() {
            TensorData::F32(values) => TensorData::F32(values.repeat(times)),
            TensorData::I8(values) => TensorData::I8(values.repeat(times)),
            other => panic!("{other:?}"),
        };
        (array.name.as_str(), Tensor::new(shape, data).unwrap())
    });
    let repeated: Vec<_> = repeated.collect();
    let named: Vec<_> = repeated.iter().map(|(name, tensor)| (*name, tensor)).collect();
    bundle.golden = Some(arrays::pack(&named).unwrap());
    let mut bytes = Vec::new();
    archive::write(&bundle, &mut bytes).unwrap();
    fs::write(&file, &bytes).unwrap();
    let publisher = Publisher { board };
    publisher.repo(&["add", "repo", file.to_str().unwrap()]);
    publisher.repo(&["publish", "repo"]);
    bytes.len() as u64
}

fn desire(broker: &Mosquitto, version: &str) {
    let payload = format!("{{\"version\":\"{version}\"}}");
    publish_retained(broker.port(), "farm/north/edgerun/board-1/model/gestures/desired", &payload);
}

#[test]
fn a_board_that_reaches_only_its_broker_is_updated_over_it() {
    let Some(broker) = Mosquitto::start() else { return };
    let board = over_broker(&broker, "follow = \"latest\"");
    let serving = Serving::start(&board, broker.port());
    let mut daemon = board.run_until_ready(&[]);
    until(&board, |status| status["state"] == "committed");
    large(&board, "1.1.0");
    assert!(board.output(&["ota", "check"]).status.success());
    until(&board, |status| {
        status["running"]["version"] == "1.1.0" && status["state"] == "committed"
    });
    assert_eq!(serving.end(), Some(0));
    assert_eq!(daemon.terminate(), Some(0));
    assert!(results(&board).1, "a window is missing");
}

#[test]
fn a_broker_that_goes_away_in_the_middle_costs_no_more_than_what_was_on_its_way() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let board = over_broker(&broker, "bandwidth = \"128 KiB\"");
    let _serving = Serving::start(&board, broker.port());
    let _daemon = board.run_until_ready(&[]);
    let length = large(&board, "1.1.0");
    desire(&broker, "1.0.0");
    until(&board, |status| status["state"] == "committed");

    let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
    let mut count = |request: &Value| {
        if request["path"].as_str().unwrap().ends_with(".gestures-1.1.0.edge") {
            *asked.entry(request["offset"].as_u64().unwrap()).or_default() += 1;
        }
        asked.len()
    };
    let requests = Subscriber::new(broker.port(), "farm/north/edgerun/board-1/fetch/request");
    desire(&broker, "1.1.0");
    while count(&requests.next().payload) < 4 {}
    broker.stop();
    drop(requests);
    broker.start_again();
    // Nothing is said again by a broker that keeps nothing.
    desire(&broker, "1.1.0");
    let requests = Subscriber::new(broker.port(), "farm/north/edgerun/board-1/fetch/request");
    // The last part of the file, or what began after it: the one before is known to be there.
    while count(&requests.next().payload) as u64 * (16 << 10) < length {}
    until(&board, |status| {
        status["running"]["version"] == "1.1.0" && status["state"] == "committed"
    });
    let again: u64 = asked.values().map(|times| times - 1).sum();
    assert!(again <= 2, "{asked:?}");
}

#[test]
fn an_operator_is_answered_during_a_download_and_may_go_back() {
    let Some(broker) = Mosquitto::start() else { return };
    let board = over_broker(&broker, "bandwidth = \"8 KiB\"");
    let _serving = Serving::start(&board, broker.port());
    let _daemon = board.run_until_ready(&[]);
    for version in ["1.0.0", "1.1.0"] {
        let (good, text) = apply(&board, &bundle(&board, version, same));
        assert!(good, "{text}");
        until(&board, |status| status["state"] == "committed");
    }
    large(&board, "1.2.0");
    desire(&broker, "1.2.0");
    let fetching = until(&board, |status| status["progress"]["bytes"].as_u64() > Some(0));
    assert_eq!((&fetching["state"], &fetching["target"]), (&"fetching".into(), &"1.2.0".into()));
    let back = said(&board.output(&["ota", "rollback"]));
    assert_eq!(back, "model gestures: version 1.0.0 serves again\n");
    // The wish stands, so the download goes on.
    let status = until(&board, |status| status["state"] == "fetching");
    assert_eq!(
        (&status["running"]["version"], &status["target"]),
        (&"1.0.0".into(), &"1.2.0".into())
    );
    assert_eq!(status["history"].as_array().unwrap().last().unwrap()["outcome"], "rolled_back");
}

#[test]
fn without_anybody_who_serves_the_repository_the_board_says_so() {
    let Some(broker) = Mosquitto::start() else { return };
    let board = over_broker(&broker, "");
    let reports =
        Subscriber::new(broker.port(), "farm/north/edgerun/board-1/model/gestures/reported");
    // The file is not there.
    fs::remove_file(board.path("repo/repository/metadata/timestamp.json")).unwrap();
    let _serving = Serving::start(&board, broker.port());
    desire(&broker, "1.0.0");
    let _daemon = board.run_until_ready(&[]);
    let failed = reports.until(|m| m.payload["failure"].is_object()).payload;
    assert_eq!(failed["failure"]["code"], "fetch_failed", "{failed}");
}

#[test]
fn what_cannot_be_served_is_refused_with_the_reason() {
    let board = board("");
    let serve = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
        let output = command.current_dir(board.dir.path()).args(["repo", "serve"]).args(args);
        let output = output.output().unwrap();
        (output.status.code(), said(&output))
    };
    let (code, text) = serve(&["nothing", "--mqtt", "mqtt://127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("nothing is no repository: it has no folder metadata"), "{text}");
    let (code, text) = serve(&[".", "--mqtt", "http://127.0.0.1"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("mqtt"), "{text}");
}

#[test]
fn a_command_brings_a_version_and_takes_it_back() {
    let Some(broker) = Mosquitto::start() else { return };
    let board = over_broker(&broker, "");
    let _serving = Serving::start(&board, broker.port());
    let _daemon = board.run_until_ready(&[]);
    let cmd = |args: &[&str]| -> Option<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
        command.args(["cmd", "board-1"]).args(args).args(["--json", "--prefix", "farm/north"]);
        command.arg("--mqtt").arg(format!("mqtt://127.0.0.1:{}", broker.port()));
        serde_json::from_slice(&command.output().unwrap().stdout).ok()
    };
    let result = |args: &[&str]| {
        let answer = cmd(args).unwrap();
        assert_eq!(answer["ok"], true, "{answer}");
        answer["result"].clone()
    };
    let code = |args: &[&str]| cmd(args).unwrap()["error"]["code"].clone();
    // It listens a moment after it is ready.
    while cmd(&["health", "--timeout", "1"]).is_none() {}

    let begun = result(&["update", "version=1.0.0"]);
    assert_eq!((&begun["model"], &begun["running"]), (&"gestures".into(), &Value::Null));
    until(&board, |status| status["state"] == "committed");
    assert_eq!(code(&["update", "version=9.0.0"]), "not_found");
    Publisher { board: &board }.publish("1.1.0", same);
    result(&["update", "model=gestures", "version=latest"]);
    until(&board, |status| {
        status["running"]["version"] == "1.1.0" && status["state"] == "committed"
    });
    assert_eq!(code(&["update", "version=1.0.0"]), "incompatible", "an older one");
    let back = result(&["rollback", "model=gestures"]);
    assert_eq!(back["running"]["version"], "1.0.0");
    assert_eq!(code(&["rollback", "model=pump"]), "not_found");

    // What a topic says is to stay, so it wins.
    desire(&broker, "1.0.0");
    let refused = |answer: Value| answer["error"]["message"].to_string().contains("and wins");
    while !cmd(&["update", "version=1.1.0"]).is_some_and(refused) {}
}
