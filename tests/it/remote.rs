//! Whoever may say so on the broker tells a board what to do: once, in time, and nothing that the board does not
//! allow; and no payload takes it down.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::daemon::Board;
use crate::support::mosquitto::Mosquitto;
use crate::support::subscriber::{Received, Subscriber, publish_retained};

const RESULT: &str = "edgerun/board-1/result/gestures";
const ALL: &str = r#"["health","infer","capture","pause","resume","reload","update","rollback","restart","log-level"]"#;

/// A board that looks at ten windows a second, for ever.
fn board(id: &str, port: u16, commands: &str) -> Board {
    let board = Board::new(&format!(
        r#"
        [device]
        id = "{id}"
        groups = ["line-3"]
        [mqtt]
        url = "mqtt://127.0.0.1:{port}"
        {commands}
        [[sensor]]
        name = "wrist"
        driver = "replay"
        path = "recording.csv"
        rate = "10 Hz"
        repeat = true
        [[pipeline]]
        name = "gestures"
        sensor = "wrist"
        model = "{{models}}/gestures"
        window = {{ length = 40, stride = 1 }}
        publish = "every"
        "#
    ));
    board.record("gestures");
    board
}

fn with_all(id: &str, port: u16) -> Board {
    board(id, port, &format!("commands = {ALL}"))
}

/// `edgerun cmd`.
fn cmd(port: u16, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
    command.arg("cmd").args(args).args(["--mqtt", &format!("mqtt://127.0.0.1:{port}")]);
    command.env_remove("EDGERUN_LOG").output().unwrap()
}

/// Its answer, and whether that was a good one.
fn ask(port: u16, args: &[&str]) -> (Value, bool) {
    let output = cmd(port, &[args, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{said}"));
    let good = output.status.code() == Some(0);
    assert!(good || output.status.code() == Some(1), "{said}");
    assert_eq!(answer["ok"], good);
    (answer, good)
}

fn good(port: u16, args: &[&str]) -> Value {
    let (answer, good) = ask(port, args);
    assert!(good, "{answer}");
    answer["result"].clone()
}

fn code(port: u16, args: &[&str]) -> String {
    let (answer, good) = ask(port, args);
    assert!(!good, "{answer}");
    answer["error"]["code"].as_str().unwrap().to_owned()
}

/// Publishes through a client that is not ours.
fn publish(port: u16, topic: &str, payload: &[u8], more: &[&str]) {
    let mut child = Command::new("mosquitto_pub")
        .args(["-V", "5", "-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic])
        // It takes an empty payload in a way of its own.
        .arg(if payload.is_empty() { "-n" } else { "-s" })
        .args(more)
        .stdin(Stdio::piped())
        .spawn()
        .expect("no mosquitto_pub on this machine: apt-get install mosquitto-clients");
    child.stdin.take().unwrap().write_all(payload).unwrap();
    assert!(child.wait().unwrap().success(), "mosquitto_pub failed");
}

/// Waits until the board has subscribed: a retained message on a topic of its commands is refused in its log.
fn wait_until_it_hears(board: &Board, port: u16) {
    publish_retained(port, "edgerun/board-1/cmd/health", "{}");
    let start = edgerun::clock::Stopwatch::start();
    while !std::fs::read_to_string(board.path("log")).unwrap().contains("a retained command") {
        assert!(start.elapsed() < PATIENCE, "it does not hear");
        std::thread::yield_now();
    }
    publish_retained(port, "edgerun/board-1/cmd/health", "");
}

/// Waits until `health` says so, which the broker keeps.
fn in_health(port: u16, paused: bool) {
    let healths = Subscriber::new(port, "edgerun/board-1/health");
    healths.until(|message: &Received| message.payload["pipelines"][0]["paused"] == paused);
}

/// What it says of itself at this moment.
fn is_paused(port: u16) -> bool {
    good(port, &["board-1", "health"])["pipelines"][0]["paused"] == true
}

#[test]
fn a_pause_lasts_over_a_power_cut_and_a_command_that_comes_again_is_answered_again() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = broker.port();
    let board = with_all("board-1", port);
    let mut daemon = board.run(&[]);
    wait_until_it_hears(&board, port);
    let seen = Subscriber::new(port, "edgerun/board-1/#");
    seen.on(RESULT);
    let pause = br#"{"id":"p-1","args":{"pipeline":"gestures"}}"#;
    publish(port, "edgerun/board-1/cmd/pause", pause, &[]);
    let first = seen.on("edgerun/board-1/cmd/pause/response");
    assert_eq!((first.qos, first.retained), (1, false));
    let expected = json!({
        "id": "p-1", "device": "board-1", "ok": true, "result": {"paused": ["gestures"]}
    });
    assert_eq!(first.payload, expected);
    in_health(port, true);
    daemon.kill();

    let mut daemon = board.run(&[]);
    wait_until_it_hears(&board, port);
    assert!(is_paused(port), "still");
    assert_eq!(good(port, &["board-1", "resume"]), json!({"paused": []}));
    in_health(port, false);
    Subscriber::new(port, RESULT).next();
    daemon.kill();

    let _daemon = board.run(&[]);
    wait_until_it_hears(&board, port);
    publish(port, "edgerun/board-1/cmd/pause", pause, &[]);
    assert_eq!(seen.on("edgerun/board-1/cmd/pause/response").payload, expected);
    assert!(!is_paused(port), "it was answered, and not carried out again");
}

#[test]
fn each_verb_does_what_it_says() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = broker.port();
    let board = with_all("board-1", port);
    let mut daemon = board.run(&[]);
    wait_until_it_hears(&board, port);
    let info = Subscriber::new(port, "edgerun/board-1/info").next();
    let allowed: Vec<String> = serde_json::from_str(ALL).unwrap();
    assert_eq!(info.payload["commands"], json!(allowed));

    let health = good(port, &["board-1", "health"]);
    assert_eq!(health["pipelines"][0]["name"], "gestures");
    let captured = good(port, &["board-1", "capture", "windows=2"]);
    assert_eq!(captured["channels"].as_array().unwrap().len(), 6);
    let windows = captured["windows"].as_array().unwrap();
    assert_eq!((windows.len(), windows[0].as_array().unwrap().len()), (2, 40));
    assert_eq!(windows[0][1], windows[1][0], "one after the other");
    // What was captured is what can be asked about.
    let input = json!({"pipeline": "gestures", "input": windows[0]}).to_string();
    let found = good(port, &["board-1", "infer", &input]);
    assert!(found["prediction"][0].is_string(), "{found}");
    assert_eq!(code(port, &["board-1", "infer", "input=[1]"]), "bad_request");
    assert_eq!(code(port, &["board-1", "update", "version=1.2.3"]), "not_found");
    assert_eq!(code(port, &["board-1", "rollback"]), "not_found");
    assert_eq!(code(port, &["board-1", "dance"]), "unknown_verb");
    assert_eq!(good(port, &["board-1", "log-level", "level=debug"]), json!({"level": "debug"}));

    let file = board.path("edgerun.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("stride = 1", "stride = 0")).unwrap();
    assert_eq!(code(port, &["board-1", "reload"]), "bad_request");
    std::fs::write(&file, text.replace("commands = [", "commands = [ ").replace("\"infer\",", ""))
        .unwrap();
    let infos = Subscriber::new(port, "edgerun/board-1/info");
    assert_eq!(good(port, &["board-1", "reload"]), json!({"reloading": true}));
    infos.until(|m| !m.payload["commands"].as_array().unwrap().contains(&json!("infer")));
    assert_eq!(code(port, &["board-1", "infer", "input=[]"]), "not_allowed");

    assert_eq!(good(port, &["board-1", "restart"]), json!({"restarting": true}));
    assert_eq!(daemon.wait(), Some(75), "systemd starts it again");
}

#[test]
fn a_group_answers_board_by_board_and_a_board_that_is_away_is_said_to_be() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = broker.port();
    let boards = [board("board-1", port, ""), board("board-2", port, "")];
    let infos = Subscriber::new(port, "edgerun/+/info");
    let _daemons = [boards[0].run(&[]), boards[1].run(&[])];
    wait_until_it_hears(&boards[0], port);
    for _ in 0..2 {
        infos.next();
    }
    let said = || {
        let output =
            cmd(port, &["group/line-3", "pause", "--jitter", "1", "--timeout", "4", "--json"]);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    // The second board may still be about to subscribe.
    let start = edgerun::clock::Stopwatch::start();
    let mut text = said();
    while text.lines().count() < 2 {
        assert!(start.elapsed() < PATIENCE, "{text}");
        text = said();
    }
    let devices: Vec<Value> =
        text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["device"].clone()).collect();
    assert_eq!(devices, ["board-1", "board-2"]);

    let away = cmd(port, &["board-9", "health", "--timeout", "1"]);
    assert_eq!(away.status.code(), Some(1));
    let said = String::from_utf8_lossy(&away.stderr).into_owned();
    assert!(said.contains("no answer within 1s: is board-9 online"), "{said}");
    assert_eq!(code(port, &["board-1", "restart"]), "not_allowed");
    let shown = cmd(port, &["board-1", "resume"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(text, "board-1: resume: done\n{\n  \"paused\": []\n}\n");
    for wrong in [&["board-1"][..], &["a/b", "health"], &["board-1", "Health"]] {
        assert_eq!(cmd(port, wrong).status.code(), Some(2), "{wrong:?}");
    }
    let nobody = cmd(1, &["board-1", "health", "--timeout", "1"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("Connection refused"));
}

#[test]
fn answers_go_where_they_are_asked_to_and_nowhere_that_a_board_could_do_harm() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = broker.port();
    let board = with_all("board-1", port);
    let _daemon = board.run(&[]);
    wait_until_it_hears(&board, port);
    let seen = Subscriber::new(port, "edgerun/#");
    let properties = |topic: &'static str| {
        ["-D", "publish", "response-topic", topic, "-D", "publish", "correlation-data", "c7"]
    };
    publish(port, "edgerun/board-1/cmd/health", b"{}", &properties("edgerun/reply/me/1"));
    let answer = seen.on("edgerun/reply/me/1");
    assert_eq!((&answer.payload["ok"], &answer.payload["id"]), (&json!(true), &Value::Null));
    assert_eq!(answer.properties["correlation-data"], "c7");
    publish(port, "edgerun/board-1/cmd/health", b"{}", &properties("edgerun/board-2/cmd/restart"));
    let answer = seen.until(|m| m.topic.contains("/cmd/"));
    let answer = if answer.topic.ends_with("/response") {
        answer
    } else {
        seen.until(|m| m.topic.ends_with("/response"))
    };
    assert_eq!(answer.topic, "edgerun/board-1/cmd/health/response");
    assert_eq!(answer.payload["error"]["code"], "bad_request");
    // A message whose count has ended is not even delivered; one that says so itself is refused.
    let expired = br#"{"id":"e","expires":"2001-01-01T00:00:00Z"}"#;
    publish(port, "edgerun/board-1/cmd/pause", expired, &[]);
    let answer = seen.on("edgerun/board-1/cmd/pause/response");
    assert_eq!(answer.payload["error"]["code"], "expired");
}

#[test]
fn hostile_payloads_are_answered_or_ignored_and_the_board_goes_on() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = broker.port();
    let board = with_all("board-1", port);
    let mut daemon = board.run(&[]);
    wait_until_it_hears(&board, port);
    let seen = Subscriber::new(port, "edgerun/board-1/cmd/+/response");
    let deep = "[".repeat(20_000);
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(40_000));
    // Beyond what we take at all: the broker keeps it.
    let huge = vec![b'x'; 100_000];
    let odd: [(&str, &[u8], Option<&str>); 12] = [
        ("pause", b"", Some("bad_request")),
        ("pause", b"{", Some("bad_request")),
        ("pause", b"\xff\xfe\x00", Some("bad_request")),
        ("pause", b"null", Some("bad_request")),
        ("pause", br#"{"id":{"a":1}}"#, Some("bad_request")),
        ("pause", br#"{"id":"+/#/../","args":{"pipeline":"+/#"}}"#, Some("not_found")),
        ("pause", deep.as_bytes(), Some("bad_request")),
        ("pause", long.as_bytes(), Some("too_large")),
        ("infer", br#"{"args":{"input":1e999}}"#, Some("bad_request")),
        ("infer", br#"{"args":{"input":[[1,2],[3]]}}"#, Some("bad_request")),
        ("x%s", b"{}", None),
        ("pause", &huge, None),
    ];
    for (verb, payload, code) in odd {
        publish(port, &format!("edgerun/board-1/cmd/{verb}"), payload, &[]);
        if let Some(code) = code {
            let answer = seen.next();
            assert_eq!(answer.payload["error"]["code"], code, "{verb} {}", answer.payload);
        }
    }
    // What is retained comes with every connection, and is never carried out.
    publish(port, "edgerun/board-1/cmd/restart", br#"{"id":"r"}"#, &["-r"]);
    publish(port, "edgerun/group/line-3/cmd/pause", b"\xff", &["-r"]);
    let healths = Subscriber::new(port, "edgerun/board-1/health");
    assert_eq!(good(port, &["board-1", "health"])["pipelines"][0]["paused"], false);
    drop(healths);
    daemon.kill();
    let mut daemon = board.run(&[]);
    let start = edgerun::clock::Stopwatch::start();
    while !std::fs::read_to_string(board.path("log")).unwrap().contains("a retained command") {
        assert!(start.elapsed() < PATIENCE, "it is not said");
        std::thread::yield_now();
    }
    assert_eq!(good(port, &["board-1", "health"])["pipelines"][0]["paused"], false);
    assert_eq!(daemon.terminate(), Some(0));
}

/// `edgerun watch`, and what it prints.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_edgerun"))
            .arg("watch")
            .args(args)
            .env_remove("EDGERUN_LOG")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::sync_channel(65_536);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn until(&self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("a line in time");
            if wanted(&line) {
                return line;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn watch_shows_boards_as_lines_and_nothing_that_steers_a_terminal() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = broker.port();
    let board = board("board-1", port, "");
    let _daemon = board.run(&[]);
    let url = format!("mqtt://127.0.0.1:{port}");
    let json = Watch::start(&["--mqtt", &url, "--json"]);
    let line = json.until(|line| line.contains("\"topic\":\"result/gestures\""));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["device"], &line["retained"]), (&json!("board-1"), &json!(false)));
    assert!(line["payload"]["result"]["label"].is_string() || line["payload"]["seq"].is_u64());

    // The board's own broker, from its own configuration.
    let file = board.path("edgerun.toml").display().to_string();
    let text = Watch::start(&["--config", &file, "--device", "evil"]);
    publish(port, "edgerun/evil/status", b"{\"state\":\"\\u001b[2J\xc2\x9b1m\"}", &["-r"]);
    let line = text.until(|line| line.contains("status"));
    assert_eq!(line, "evil status \\u{1b}[2J\\u{9b}1m");
    json.until(|line| {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        line.contains("\\u001b[2J\\u009b1m")
    });
    let wrong = Command::new(env!("CARGO_BIN_EXE_edgerun"))
        .args(["watch", "--device", "+"])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
