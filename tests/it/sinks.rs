//! Results reach files and servers, outputs are safe when they should be, and nothing of it holds the daemon up.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use edgerun::clock::Stopwatch;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::daemon::{Board, metrics};
use crate::support::mosquitto::free_port;

/// A server that answers each request with the next of `statuses`, and with 200 after those; what it was sent.
fn server(statuses: &'static [u16]) -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, bodies) = sync_channel(1024);
    thread::spawn(move || {
        let mut statuses = statuses.iter();
        for stream in listener.incoming().map_while(Result::ok) {
            let Some(body) = body(&stream) else { continue };
            if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
            let status = statuses.next().unwrap_or(&200);
            let answer =
                format!("HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            (&stream).write_all(answer.as_bytes()).ok();
        }
    });
    (port, bodies)
}

fn body(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn board(port: u16, outputs: &str) -> Board {
    let board = Board::new(&format!(
        r#"
        [http]
        listen = "127.0.0.1:{port}"
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
        window = {{ length = 40, stride = 1 }}
        {outputs}
        "#
    ));
    board.record("gestures");
    board
}

/// Waits until a file says what is wanted.
pub(crate) fn until(path: &Path, wanted: impl Fn(&str) -> bool) -> String {
    let watch = Stopwatch::start();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if wanted(&text) {
            return text;
        }
        assert!(watch.elapsed() < PATIENCE, "{}: {text}", path.display());
        thread::yield_now();
    }
}

/// A folder as the kernel shows a PWM channel.
fn channel(board: &Board) {
    let folder = board.path("pwmchip0/pwm0");
    fs::create_dir_all(&folder).unwrap();
    for (file, text) in
        [("period", "0"), ("duty_cycle", "0"), ("polarity", "normal"), ("enable", "0")]
    {
        fs::write(folder.join(file), text).unwrap();
    }
}

#[test]
fn lines_are_whole_whatever_becomes_of_the_process() {
    let board = board(free_port(), "json_lines = { path = \"out.jsonl\", commit = \"100 ms\" }");
    let path = board.path("out.jsonl");
    let mut daemon = board.run(&[]);
    until(&path, |text| text.lines().count() > 5);
    daemon.kill();
    let before = fs::read_to_string(&path).unwrap();
    // What a write that the kill cut in the middle leaves.
    fs::write(&path, format!("{before}{{\"time\":\"2026-")).unwrap();
    let mut daemon = board.run(&[]);
    until(&path, |text| text.lines().count() > before.lines().count() + 5);
    assert_eq!(daemon.terminate(), Some(0));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&before) && text.ends_with('\n'));
    let mut last = None;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect(line);
        let Some(seq) = line["seq"].as_u64() else { continue };
        assert!(last < Some(seq), "{last:?}, {seq}");
        last = Some(seq);
    }
}

#[test]
fn a_disk_that_takes_nothing_is_a_reason_and_the_pipeline_runs_on() {
    let port = free_port();
    let board = board(port, "json_lines = { path = \"nowhere/out.jsonl\", commit = \"100 ms\" }");
    let mut daemon = board.run_until_ready(&[]);
    let trouble = r#"edgerun_sink_up{pipeline="gestures",sink="json_lines"} 0"#;
    let text = metrics(port, |text| text.contains(trouble) && windows(text) > 2.0);
    assert!(text.contains("edgerun_state 1"), "{text}");
    fs::create_dir(board.path("nowhere")).unwrap();
    until(&board.path("nowhere/out.jsonl"), |text| !text.is_empty());
    assert_eq!(daemon.terminate(), Some(0));
}

fn windows(metrics: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with("edgerun_windows_total{"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

#[test]
fn a_server_that_fails_is_asked_again_and_one_that_refuses_is_not() {
    let (server, bodies) = server(&[500, 200, 400]);
    let url = format!("webhook = {{ url = \"http://127.0.0.1:{server}/in\" }}");
    let port = free_port();
    let board = board(port, &url);
    let mut daemon = board.run_until_ready(&[]);
    let got: Vec<Value> = (0..4).map(|_| bodies.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(got[0], got[1], "after the 500 the same again");
    assert_ne!(got[2], got[3], "after the 400 the next");
    assert_eq!(got[0]["pipeline"], "gestures");
    metrics(port, |text| {
        text.contains(r#"edgerun_sink_dropped_total{pipeline="gestures",sink="webhook"}"#)
    });
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn a_server_that_hangs_holds_neither_the_pipeline_nor_the_stop_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().port();
    let port = free_port();
    let board = board(
        port,
        &format!("webhook = {{ url = \"http://127.0.0.1:{server}/\", timeout = \"5 min\" }}"),
    );
    let mut daemon = board.run_until_ready(&[]);
    let (_held, _) = listener.accept().unwrap();
    metrics(port, |text| windows(text) > 3.0);
    assert_eq!(daemon.terminate(), Some(0));
    let log = fs::read_to_string(board.path("log")).unwrap();
    assert!(log.contains("sink webhook: it did not end in time"), "{log}");
}

#[test]
fn a_channel_follows_findings_and_is_safe_after_the_stop_and_by_hand_after_a_kill() {
    let port = free_port();
    let board = board(port, "");
    channel(&board);
    let chip = board.path("pwmchip0").display().to_string();
    let text = fs::read_to_string(board.path("edgerun.toml")).unwrap();
    let pwm = format!(
        "[[pipeline.pwm]]\nchip = \"{chip}\"\nchannel = 0\nfrequency = \"50 Hz\"\nduty = [0.5, 1.0]\nsafe = 0.25\n\
         stale_after = \"24 h\"\n[state]"
    );
    fs::write(board.path("edgerun.toml"), text.replace("[state]", &pwm)).unwrap();
    let file = |name: &str| board.path("pwmchip0/pwm0").join(name);
    let duty = || fs::read_to_string(file("duty_cycle")).unwrap();
    let follows = |text: &str| text.parse::<u64>().is_ok_and(|on| on >= 10_000_000);

    let mut daemon = board.run(&[]);
    until(&file("duty_cycle"), follows);
    assert_eq!(daemon.terminate(), Some(0));
    assert_eq!(
        (duty().as_str(), fs::read_to_string(file("period")).unwrap().as_str()),
        ("5000000", "20000000")
    );

    let mut daemon = board.run(&[]);
    until(&file("duty_cycle"), follows);
    daemon.kill();
    assert!(follows(&duty()), "nobody was there to make it safe");
    let made = board.output(&["outputs", "--safe"]);
    assert_eq!(String::from_utf8_lossy(&made.stdout), "pwm pwmchip0:0: safe\n");
    assert_eq!(duty(), "5000000");
}

#[test]
fn a_line_that_is_not_there_is_a_reason_and_the_pipeline_runs_on() {
    let port = free_port();
    let gpio = "[[pipeline.gpio]]\nchip = \"/dev/gpiochip-none\"\nline = 1\nlabel = \"walking\"\nstale_after = \"1 s\"";
    let board = board(port, gpio);
    let mut daemon = board.run_until_ready(&[]);
    let trouble = r#"edgerun_sink_up{pipeline="gestures",sink="gpio gpiochip-none:1"} 0"#;
    metrics(port, |text| text.contains(trouble) && windows(text) > 2.0);
    assert_eq!(daemon.terminate(), Some(0));
    let listed = board.output(&["outputs"]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "gpio gpiochip-none:1\n");
}
