//! What a sensor gives can be seen, and recorded so that it can be played again.

use edgerun::clock::Stopwatch;
use edgerun::data::Picture;
use edgerun::pictures;
use serde_json::Value;
use std::process::Output;

use crate::sinks::until;
use crate::support::PATIENCE;
use crate::support::daemon::Board;

/// Two segments with a gap between them and a missing value, at 500 Hz.
const RECORDING: &str =
    "time_s,accel_x [m/s²],level\n0,0.5,1\n0.002,-1.25,\n0.004,2,3\n0.5,9.81,4\n0.502,0,5\n";

const CONFIG: &str = r#"
[[sensor]]
name = "imu"
driver = "replay"
path = "recording.csv"
rate = "500 Hz"

[[sensor]]
name = "air"
driver = "bme280"
bus = "/dev/i2c-none"
rate = "2 Hz"

[[pipeline]]
name = "p"
sensor = "imu"
model = "none"
window = { length = 2, stride = 2 }
json_lines = "-"
"#;

fn board() -> Board {
    let board = Board::new(CONFIG);
    std::fs::write(board.path("recording.csv"), RECORDING).unwrap();
    board
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn good(board: &Board, arguments: &[&str]) -> String {
    let output = board.output(&[&["sensors"], arguments].concat());
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_recording_of_a_recording_is_the_same() {
    let board = board();
    let file = |name: &str| board.path(name).to_str().unwrap().to_owned();
    let (first, second) = (file("first.csv"), file("second.csv"));
    let said = good(&board, &["record", "imu", "--output", &first]);
    assert!(said.contains("5 frames of imu at 500 Hz, 1 gaps"), "{said}");
    let recorded = std::fs::read_to_string(&first).unwrap();
    let lines: Vec<&str> = recorded.lines().collect();
    assert_eq!(lines[0], "time_s,accel_x [m/s²],level");
    let values: Vec<&str> = lines[1..].iter().map(|line| line.split_once(',').unwrap().1).collect();
    assert_eq!(values, ["0.5,1", "-1.25,", "2,3", "9.81,4", "0,5"]);
    // Played from the recording, it still has its gap and its values.
    std::fs::copy(&first, board.path("recording.csv")).unwrap();
    let said = good(&board, &["record", "imu", "-o", &second, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["frames"], &said["gaps"]), (&5.into(), &1.into()));
    let again = std::fs::read_to_string(&second).unwrap();
    let again: Vec<&str> =
        again.lines().skip(1).map(|line| line.split_once(',').unwrap().1).collect();
    assert_eq!(again, values);

    let npy = file("third.npy");
    good(&board, &["record", "imu", "-o", &npy, "--frames", "3"]);
    let arrays = edgerun::arrays::read(board.path("third.npy").as_path()).unwrap();
    assert_eq!(arrays[0].tensor.shape(), [3, 2]);
    assert!(!board.path("first.csv.part").exists());
}

#[test]
fn what_is_there_is_not_written_over_and_mistakes_are_named() {
    let board = board();
    let file = |name: &str| board.path(name).to_str().unwrap().to_owned();
    let taken = file("recording.csv");
    std::fs::create_dir(board.path("folder.csv")).unwrap();
    for (arguments, words) in [
        (&["record", "imu", "-o", &taken][..], "is there already"),
        (&["record", "imu", "-o", &file("folder.csv"), "--force"], "folder.csv is a folder"),
        (&["record", "-o", "x.csv"], "say which sensor"),
        (&["record", "imu", "-o", &file("x.txt")], "is neither .csv nor .npy"),
        (&["read", "imo"], "there is no sensor \"imo\"; there are: imu, air"),
    ] {
        let output = board.output(&[&["sensors"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output).contains(words), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn a_recording_of_pictures_is_a_folder_that_is_played_again() {
    let board = Board::new(
        r#"
[[sensor]]
name = "eye"
driver = "pictures"
path = "seen"
rate = "200 Hz"

[[sensor]]
name = "again"
driver = "pictures"
path = "recorded"
rate = "200 Hz"

[[pipeline]]
name = "wine"
model = "{models}/wine-tree"

[http]
listen = "127.0.0.1:0"
"#,
    );
    std::fs::create_dir(board.path("seen")).unwrap();
    let picture = |n: u8| Picture::new(2, 1, vec![n, 0, 255, 1, n, 128]).unwrap();
    for n in 0..3 {
        let file = board.path(&format!("seen/{n}.png"));
        std::fs::write(file, pictures::encode(&picture(n)).unwrap()).unwrap();
    }
    let recorded = |folder: &str| -> Vec<Picture> {
        let file = |n| board.path(&format!("{folder}/{n:06}.png"));
        let files = (0..3).map(|n| std::fs::read(file(n)).unwrap());
        files.map(|bytes| pictures::decode(&bytes, Vec::new()).unwrap()).collect()
    };
    let to = |folder: &str| board.path(folder).to_str().unwrap().to_owned();
    let said = good(&board, &["record", "eye", "-o", &to("recorded")]);
    assert!(said.contains("recorded: 3 frames of eye at 200 Hz, 0 gaps"), "{said}");
    assert_eq!(recorded("recorded"), [0, 1, 2].map(picture));
    good(&board, &["record", "again", "-o", &to("twice")]);
    assert_eq!(recorded("twice"), [0, 1, 2].map(picture));
    // An older recording goes, other files stay.
    std::fs::write(board.path("twice/notes"), "").unwrap();
    good(&board, &["record", "eye", "-o", &to("twice"), "--frames", "1", "--force"]);
    let mut names: Vec<_> = std::fs::read_dir(board.path("twice"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["000000.png", "notes"]);
    for (output, words) in [
        (to("twice"), "has something in it already; use another name or --force"),
        (to("film.csv"), "must be a folder's name, without an extension"),
    ] {
        let refused = board.output(&["sensors", "record", "eye", "-o", &output]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused).contains(words), "{}", text(&refused));
    }
}

#[test]
fn frames_are_lines_of_json() {
    let board = board();
    let said = good(&board, &["read", "imu", "--json", "--frames", "4"]);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["values"], serde_json::json!({"accel_x": 0.5, "level": 1.0}));
    assert_eq!(lines[1]["values"]["level"], Value::Null);
    let gaps: Vec<bool> = lines.iter().map(|line| line["gap_before"] == true).collect();
    assert_eq!(gaps, [true, false, false, true]);
}

#[test]
fn a_sensor_that_is_away_is_shown_with_its_reason_and_fails() {
    let board = board();
    let output = board.output(&["sensors", "read", "air", "--for", "0.3"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("air: lost") && said.contains("/dev/i2c-none"), "{said}");
    assert!(said.contains("of 2 Hz"), "{said}");
}

#[test]
fn sensors_and_drivers_are_listed_without_being_opened() {
    let board = board();
    let said = good(&board, &["list"]);
    assert!(said.contains("air: bme280, 2 Hz\n  temperature       -40 to 85 °C\n"), "{said}");
    let said: Value = serde_json::from_str(&good(&board, &["list", "--json"])).unwrap();
    assert_eq!(said["sensors"][0]["channels"][0]["unit"], "m/s²");
    let drivers: Value =
        serde_json::from_str(&good(&board, &["list", "--drivers", "--json"])).unwrap();
    assert!(drivers["drivers"].as_array().unwrap().iter().any(|d| d["driver"] == "registers"));
    assert!(good(&board, &["list", "--drivers"]).contains("sht3x"));
}

/// 3000 rows, so that a daemon is in the middle of them for a minute.
fn played() -> String {
    let rows = (0..3000).map(|row| format!("{row},0,9.81,0,0,0\n"));
    let names = "accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z\n".to_owned();
    names + &rows.collect::<String>()
}

#[test]
fn beside_a_running_daemon_its_own_values_and_counters_are_shown() {
    let board = Board::new(
        r#"
[[sensor]]
name = "imu"
driver = "replay"
path = "recording.csv"
rate = "10 Hz"

[[pipeline]]
name = "p"
sensor = "imu"
model = "{models}/gestures"
window = { length = 40, stride = 10 }
json_lines = "results"
"#,
    );
    std::fs::write(board.path("recording.csv"), played()).unwrap();
    let mut daemon = board.run_until_ready(&[]);
    let watch = Stopwatch::start();
    let counted = loop {
        let said: Value = serde_json::from_str(&good(&board, &["list", "--json"])).unwrap();
        let counted = said["sensors"][0]["daemon"].clone();
        if counted["frames"].as_u64() > Some(1) {
            break counted;
        }
        assert!(watch.elapsed() < PATIENCE, "{said}");
    };
    assert_eq!((&counted["state"], &counted["errors"]), (&"running".into(), &0.into()));
    assert!(good(&board, &["list"]).contains("in the daemon: running, "));

    let said = good(&board, &["read", "imu", "--json", "--frames", "3"]);
    let rows: Vec<f64> = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["values"]["accel_x"].clone())
        .map(|value| value.as_f64().unwrap())
        .collect();
    // Not from the beginning: that would be a reader of its own.
    assert!(rows[0] >= 2.0 && rows[1..] == [rows[0] + 1.0, rows[0] + 2.0], "{rows:?}");

    let file = board.path("part.csv").to_str().unwrap().to_owned();
    let said = good(&board, &["record", "imu", "-o", &file, "--frames", "4"]);
    assert!(said.contains("4 frames of imu at 10 Hz, 0 gaps"), "{said}");
    let text = std::fs::read_to_string(&file).unwrap();
    let first = text.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    assert!(first.parse::<f64>().unwrap() > rows[2], "{text}");
    assert_eq!(daemon.terminate(), Some(0));

    // Without it they read by themselves, from the beginning.
    let said = good(&board, &["read", "imu", "--json", "--frames", "1"]);
    assert!(said.contains("\"accel_x\":0.0") || said.contains("\"accel_x\":0,"), "{said}");
}

/// Two halves of the recording as two sensors, joined again: the model finds what it finds in one.
#[test]
fn sensors_that_are_joined_feed_one_pipeline() {
    let board = Board::new(
        r#"
        [[sensor]]
        name = "wrist"
        driver = "join"
        sensors = ["accel", "gyro"]
        rate = "10 Hz"
        [[sensor]]
        name = "accel"
        driver = "replay"
        path = "accel.csv"
        rate = "10 Hz"
        [[sensor]]
        name = "gyro"
        driver = "replay"
        path = "gyro.csv"
        rate = "10 Hz"
        [[pipeline]]
        name = "gestures"
        sensor = "wrist"
        model = "{models}/gestures"
        window = { length = 40, stride = 1 }
        json_lines = { path = "out.jsonl", commit = "100 ms" }
        "#,
    );
    board.record("gestures");
    let rows = std::fs::read_to_string(board.path("recording.csv")).unwrap();
    let half = |take: fn(&[&str]) -> String| {
        let rows =
            rows.lines().take(60).map(|row| take(&row.split(',').collect::<Vec<_>>()) + "\n");
        rows.collect::<String>()
    };
    std::fs::write(board.path("accel.csv"), half(|row| row[..3].join(","))).unwrap();
    std::fs::write(board.path("gyro.csv"), half(|row| row[3..].join(","))).unwrap();
    let checked = board.output(&["check"]);
    assert!(
        text(&checked).contains("joins accel, gyro: 6 channels at 10 Hz"),
        "{}",
        text(&checked)
    );
    let mut daemon = board.run(&[]);
    let text = until(&board.path("out.jsonl"), |text| results(text).len() >= 3);
    daemon.kill();
    for line in results(&text) {
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["window"]["frames"], 40);
    }
}

#[test]
fn what_cannot_be_joined_is_named() {
    let refused = |sensors: &str| {
        let joined = format!(
            "[[sensor]]\nname = \"both\"\ndriver = \"join\"\nrate = \"10 Hz\"\nsensors = {sensors}\n"
        );
        let board = Board::new(&(joined + CONFIG));
        let output = board.output(&["check"]);
        assert_eq!(output.status.code(), Some(78), "{}", text(&output));
        text(&output)
    };
    assert!(refused("[\"imu\"]").contains("needs 2 to 16 sensors, has 1"));
    assert!(refused("[\"imu\", \"imu\"]").contains("\"imu\" is there twice"));
    let joined_again = refused("[\"imu\", \"both\"]");
    assert!(
        joined_again.contains("there is no [[sensor]] called \"both\" that can be joined"),
        "{joined_again}"
    );
}

/// The results in a file that is being written; events stand between them.
fn results(text: &str) -> Vec<String> {
    let whole = text.lines().take(text.matches('\n').count());
    whole.filter(|line| line.contains("\"seq\"")).map(str::to_owned).collect()
}
