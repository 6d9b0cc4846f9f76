//! The daemon does its work whatever becomes of the broker, and no result is ever numbered twice.

use std::cell::RefCell;
use std::collections::HashSet;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::daemon::{Board, http, root};
use crate::support::mosquitto::{Mosquitto, Plan, free_port};
use crate::support::subscriber::{Subscriber, publish_retained};

const RESULT: &str = "edgerun/board-1/result/linear";

/// A board that runs a linear regression on a recording, 100 rows a second, for ever.
fn board(broker: &str, more: &str) -> Board {
    let board = Board::new(&format!(
        r#"
        [device]
        id = "board-1"
        [mqtt]
        url = "{broker}"
        [[sensor]]
        name = "table"
        driver = "replay"
        path = "recording.csv"
        rate = "100 Hz"
        repeat = true
        [[pipeline]]
        name = "linear"
        sensor = "table"
        model = "{{models}}/diabetes-linear"
        window = {{ length = 1, stride = 1 }}
        publish = "every"
        {more}
        "#
    ));
    board.record("diabetes-linear");
    board
}

/// A board that runs the native engine on a recording, 10 rows a second, with `mqtt` as further keys of `[mqtt]`.
fn gestures(port: u16, mqtt: &str) -> Board {
    let board = Board::new(&format!(
        r#"
        [device]
        id = "board-1"
        [mqtt]
        url = "mqtt://127.0.0.1:{port}"
        {mqtt}
        [[sensor]]
        name = "imu"
        driver = "replay"
        path = "recording.csv"
        rate = "10 Hz"
        repeat = true
        [[pipeline]]
        name = "gestures"
        sensor = "imu"
        model = "{{models}}/gestures"
        window = {{ length = 40, stride = 40 }}
        "#
    ));
    board.record("gestures");
    board
}

#[test]
fn a_daemon_says_who_and_how_it_is_what_it_finds_and_when_it_goes() {
    let Some(broker) = Mosquitto::start() else { return };
    let subscriber = Subscriber::new(broker.port(), "edgerun/board-1/#");
    let board = board(&format!("mqtt://127.0.0.1:{}", broker.port()), "");
    let manager = UnixDatagram::bind(board.path("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let socket = board.path("notify").display().to_string();
    let variables = [("NOTIFY_SOCKET", socket.as_str()), ("WATCHDOG_USEC", "400000")];
    let mut daemon = board.run(&variables);

    let told = |wanted: &str| {
        let mut buffer = [0; 512];
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            if String::from_utf8_lossy(&buffer[..length]).contains(wanted) {
                return;
            }
        }
    };
    told("READY=1");
    told("WATCHDOG=1");
    let status = subscriber.on("edgerun/board-1/status");
    assert_eq!(status.payload["state"], "online");
    let info = subscriber.on("edgerun/board-1/info");
    assert_eq!(info.payload["pipelines"][0]["model"], "diabetes-linear");
    assert_eq!(info.payload["sensors"][0]["driver"], "replay");
    let result = subscriber.on(RESULT);
    assert_eq!(result.payload["pipeline"], "linear");
    assert_eq!(result.payload["session"], status.payload["session"]);
    assert!(result.payload["result"]["value"].is_number(), "{:?}", result.payload);
    let healths = Subscriber::new(broker.port(), "edgerun/board-1/health");
    // Whether it is `ok` depends on the machine: its clock, its disk, what else runs there.
    let health = healths.until(|m| m.payload["pipelines"][0]["state"] != "failing");
    assert_eq!(health.payload["pipelines"][0]["engine"], "tract");
    assert!(health.payload["process"]["rss_bytes"].as_u64().unwrap() > 1 << 20);

    assert_eq!(daemon.terminate(), Some(0));
    told("STOPPING=1");
    let last = subscriber.until(|m| m.topic.ends_with("/status"));
    assert_eq!(last.payload["state"], "stopping");
}

#[test]
fn health_says_how_often_it_was_started_and_how_the_run_before_ended() {
    let Some(broker) = Mosquitto::start() else { return };
    let board = gestures(broker.port(), "");
    let healths = Subscriber::new(broker.port(), "edgerun/board-1/health");
    let sessions = RefCell::new(HashSet::new());
    let health = || {
        let is_new = |session: &str| sessions.borrow_mut().insert(session.to_owned());
        healths.until(|m| is_new(m.payload["session"].as_str().unwrap())).payload
    };
    let says = |health: &serde_json::Value, code: &str| {
        health["problems"].as_array().unwrap().iter().any(|problem| problem["code"] == code)
    };
    let mut daemon = board.run(&[]);
    let first = health();
    assert_eq!(
        (&first["process"]["restarts"], first["process"].get("last_stop")),
        (&0.into(), None)
    );
    assert_eq!(daemon.terminate(), Some(0));

    let mut daemon = board.run(&[]);
    let second = health();
    assert_eq!(second["process"]["last_stop"], "clean");
    assert!(!says(&second, "unclean_stop"));
    daemon.kill();

    let mut daemon = board.run(&[]);
    let third = health();
    assert_eq!(third["process"]["last_stop"], "crash");
    assert!(says(&third, "unclean_stop"));
    daemon.kill();

    // What systemd would do after its watchdog has struck.
    let unit = std::fs::read_to_string(root().join("systemd/edgerun.service")).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStopPost=-/bin/sh -c '"));
    let script = line.unwrap().trim_end_matches('\'').replace("$$", "$").replace("%%", "%");
    let mut shell = std::process::Command::new("/bin/sh");
    let shell = shell.args(["-c", &script]).env("SERVICE_RESULT", "watchdog");
    assert!(shell.env("STATE_DIRECTORY", board.path("state")).status().unwrap().success());
    let mut daemon = board.run(&[]);
    let fourth = health();
    let fourth = &fourth["process"];
    assert_eq!((&fourth["last_stop"], &fourth["restarts"]), (&"watchdog".into(), &3.into()));
    assert_eq!(fourth["unclean_stops"], 2);
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn no_two_results_share_a_number_also_after_sigkill() {
    let Some(broker) = Mosquitto::start() else { return };
    let subscriber = Subscriber::new(broker.port(), RESULT);
    let board = board(&format!("mqtt://127.0.0.1:{}", broker.port()), "");
    let mut seen = HashSet::new();
    let mut sessions = HashSet::new();
    for _ in 0..3 {
        let mut daemon = board.run(&[]);
        let mut fresh = 0;
        while fresh < 20 {
            let result = subscriber.next().payload;
            // What was in flight at the kill is another session's and counts, too.
            fresh += u32::from(!sessions.contains(&result["session"].to_string()));
            assert!(seen.insert(result["seq"].as_u64().unwrap()), "twice: {result}");
            if fresh == 20 {
                sessions.insert(result["session"].to_string());
            }
        }
        daemon.kill();
    }
    assert_eq!(sessions.len(), 3);
}

#[test]
fn a_broker_that_goes_and_comes_back_stops_neither_sampling_nor_inference() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let http_port = free_port();
    let board = board(
        &format!("mqtt://127.0.0.1:{}", broker.port()),
        &format!("[http]\nlisten = \"127.0.0.1:{http_port}\""),
    );
    let _daemon = board.run(&[]);
    let subscriber = Subscriber::new(broker.port(), "edgerun/board-1/#");
    let before = subscriber.on(RESULT).payload["seq"].as_u64().unwrap();
    broker.stop();
    // The daemon's own door tells that it goes on, and that it knows.
    let windows = |text: &str| metric(text, "edgerun_windows_total");
    let away = until(http_port, |text| metric(text, "edgerun_mqtt_connected") == 0.0);
    until(http_port, |text| windows(text) > windows(&away) + 20.0);
    broker.start_again();
    let subscriber = Subscriber::new(broker.port(), "edgerun/board-1/#");
    let status = subscriber.on("edgerun/board-1/status");
    assert_eq!(status.payload["state"], "online");
    // What the broker took and did not acknowledge before it went comes once more.
    subscriber.until(|m| m.topic == RESULT && m.payload["seq"].as_u64() > Some(before));
}

#[test]
fn the_broker_may_refuse_the_password_and_check_says_so() {
    let Some(broker) = Plan::default()
        .user("board-1", "right")
        .guarded("password_file {folder}/passwords\nallow_anonymous false")
        .start()
    else {
        return;
    };
    let config = format!(
        "mqtt://127.0.0.1:{}\"\nusername = \"board-1\"\npassword = \"credential:mqtt-password",
        broker.guarded_port()
    );
    let board = board(&config, "");
    std::fs::write(board.path("mqtt-password"), "hunter2").unwrap();
    let credentials = board.dir.path().display().to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_edgerun"))
        .args(["check", "--config"])
        .arg(board.path("edgerun.toml"))
        .env("CREDENTIALS_DIRECTORY", &credentials)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("check [mqtt] username and password"), "{text}");
    assert!(!text.contains("hunter2"), "the password is never shown: {text}");
}

/// A port that was free a moment ago.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Asks for `/metrics` until they are as wanted; gives up when the test's patience is over.
fn until(port: u16, wanted: impl Fn(&str) -> bool) -> String {
    let asked = |_: u32| http(port, "GET", "/metrics", "", "").1;
    let bound =
        u32::try_from(PATIENCE.as_micros() / Duration::from_micros(200).as_micros()).unwrap();
    (0..bound).map(asked).find(|text| wanted(text)).expect("the metrics never were as wanted")
}

#[test]
fn warnings_come_on_the_topic_of_the_log_where_that_is_wanted() {
    let Some(broker) = Mosquitto::start() else { return };
    let subscriber = Subscriber::new(broker.port(), "edgerun/board-1/log");
    // A command is never retained: one that is gets ignored, with a warning.
    publish_retained(broker.port(), "edgerun/board-1/cmd/health", "{}");
    let board = gestures(broker.port(), "log = \"warn\"");
    let _daemon = board.run(&[]);
    let line = subscriber.until(|m| m.payload["message"].to_string().contains("cmd/health"));
    assert_eq!((&line.payload["level"], line.qos), (&"warning".into(), 0));
}
