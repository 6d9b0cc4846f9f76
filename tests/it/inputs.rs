//! Numbers from elsewhere: other devices' messages, rows over HTTP, lines of a program; and what becomes of a sensor when
//! they stop.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::support::daemon::{Board, http, metrics};
use crate::support::mosquitto::{Mosquitto, free_port};
use crate::support::subscriber::{Subscriber, publish_retained};

const CHANNELS: [&str; 6] = ["accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"];

/// A board whose gesture model is fed by `sensor`; `more` is the rest of the configuration.
fn board(sensor: &str, channel: impl Fn(usize) -> String, more: &str) -> Board {
    let each =
        |(index, name)| format!("[[sensor.channel]]\nname = \"{name}\"\n{}\n", channel(index));
    let channels: String = CHANNELS.iter().enumerate().map(each).collect();
    Board::new(&format!(
        "{more}\n[[sensor]]\nname = \"watch\"\nrate = \"10 Hz\"\n{sensor}\n{channels}\n[[pipeline]]\nname = \"gestures\"\n\
         sensor = \"watch\"\nmodel = \"{{models}}/gestures\"\nwindow = {{ length = 40, stride = 1 }}\njson_lines = \"-\"\n"
    ))
}

/// Somebody's device, which says something again and again until it is dropped.
struct Device {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    fn new(port: u16, topic: &'static str, payload: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let arguments = ["-p", &port.to_string(), "-t", topic, "-m", payload];
                // The broker may be away for a while.
                Command::new("mosquitto_pub").args(arguments).output().unwrap();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

const UP: &str = "edgerun_sensor_up{sensor=\"watch\"} 1";
const LOST: &str = "edgerun_sensor_up{sensor=\"watch\"} 0";

fn windows(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("edgerun_windows_total{") && !line.ends_with(" 0"))
}

#[test]
fn other_devices_messages_feed_a_model_and_their_silence_is_a_lost_sensor() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let port = free_port();
    let topic = "zigbee2mqtt/watch/1";
    // Of a device that has been gone for long: nobody knows how old it is.
    publish_retained(broker.port(), topic, "{\"v\":[9,9,9,9,9,9]}");
    let board = board(
        &format!("driver = \"mqtt\"\ntopic = \"{topic}\"\nstale_after = \"1 s\""),
        |index| format!("pointer = \"/v/{index}\""),
        &format!(
            "[device]\nid = \"board-1\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n[http]\nlisten = \"127.0.0.1:{port}\"",
            broker.port()
        ),
    );
    let events = Subscriber::new(broker.port(), "edgerun/board-1/event/gestures");
    let mut daemon = board.run_until_ready(&[]);
    let lost = events.until(|event| event.payload["event"] == "sensor_lost");
    let reason = lost.payload["reason"].as_str().unwrap();
    assert!(reason.contains("nothing on zigbee2mqtt/watch/1 yet"), "{reason}");

    let device = Device::new(broker.port(), topic, "{\"v\":[1,2,3,4,5,6],\"battery\":97}");
    events.until(|event| event.payload["event"] == "sensor_back");
    metrics(port, |text| text.contains(UP) && windows(text));
    broker.stop();
    metrics(port, |text| text.contains(LOST) && text.contains("edgerun_mqtt_connected 0"));
    broker.start_again();
    metrics(port, |text| text.contains(UP) && text.contains("edgerun_mqtt_connected 1"));
    drop(device);
    metrics(port, |text| text.contains(LOST));
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn rows_over_http_feed_a_model_and_what_is_no_row_is_told() {
    let port = free_port();
    let board = board(
        "driver = \"http\"\nstale_after = \"2 s\"",
        |_| String::new(),
        &format!("[http]\nlisten = \"127.0.0.1:{port}\""),
    );
    let checked = board.output(&["check"]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(
        checked.status.success() && said.contains("only the running daemon takes rows"),
        "{said}"
    );
    let mut daemon = board.run_until_ready(&[]);
    let post = |name: &str, body: &str| http(port, "POST", &format!("/sensors/{name}"), "", body);
    assert_eq!(post("none", "{}").0, 404);
    for (body, expected) in [
        ("{", "not JSON"),
        ("{\"speed\":1}", "there is no channel"),
        ("[[1,2]]", "row 0: must be an object, or a list of 6 numbers"),
    ] {
        let (status, said) = post("watch", body);
        assert_eq!(status, 400);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(post("watch", &format!("[{}]", " ".repeat(300 << 10))).0, 413);
    assert_eq!(http(port, "GET", "/sensors/watch", "", "").0, 405);
    let rows = |count: usize| format!("[{}]", vec!["[1,2,3,4,5,6]"; count].join(","));
    assert_eq!(post("watch", &rows(40)), (202, "{\"rows\":40}".to_owned()));
    metrics(port, |text| text.contains(UP) && windows(text));
    let (status, said) = post("watch", &rows(101));
    assert!(status == 400 && said.contains("101 rows at once; 100 at most"), "{status} {said}");
    // Nobody sends any more.
    metrics(port, |text| text.contains(LOST));
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn a_program_that_dies_is_started_anew_and_ended_with_the_daemon() {
    let port = free_port();
    let board = board(
        "driver = \"command\"\ncommand = [\"./device.sh\"]\nformat = \"json\"",
        |index| format!("pointer = \"/v/{index}\""),
        &format!("[http]\nlisten = \"127.0.0.1:{port}\""),
    );
    let (path, pid) = (board.path("device.sh"), board.path("pid"));
    let script = format!(
        "#!/bin/sh\necho $$ >{}\nwhile echo '{{\"v\":[1,2,3,4,5,6]}}'; do sleep 0.1; done\n",
        pid.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut daemon = board.run_until_ready(&[]);
    metrics(port, |text| text.contains(UP) && windows(text));
    let pid = || std::fs::read_to_string(&pid).unwrap().trim().to_owned();
    let first = pid();
    assert!(Command::new("kill").args(["-9", &first]).status().unwrap().success());
    let no_error = "edgerun_sensor_bus_errors_total{sensor=\"watch\"} 0";
    metrics(port, |text| text.contains(UP) && !text.contains(no_error));
    let second = pid();
    assert_ne!(first, second);
    assert_eq!(daemon.terminate(), Some(0));
    let stat = std::path::Path::new("/proc").join(&second).join("stat");
    let runs = std::fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(!runs, "the program is left behind");
}
