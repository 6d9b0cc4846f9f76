//! Every payload on the broker, and every example in the documentation, is what the published JSON
//! Schemas say; and the schemas say it all.

use std::fs;
use std::time::Duration;

use edgerun::data::{
    ClassShare, DetectedObject, Event, EventKind, Finding, Keypoint, Session, payload,
};
use edgerun::health::{Code, Stop};
use edgerun::net::wire::{
    self, Board, ChannelInfo, DeviceState, Hardware, Health, Info, PipelineHealth, PipelineInfo,
    ProblemHealth, Progress, Reported, ReportedBundle, ReportedFailure, SensorHealth, SensorInfo,
    SinkHealth, Status, ZoneHealth, command,
};
use edgerun::update::failure::Code as UpdateCode;
use edgerun::update::record::{Outcome, Phase};
use serde_json::{Map, Value, json};

use crate::support::device::{at, inference};

fn schema(name: &str) -> Value {
    let path = format!("{}/docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The schema with unknown keys forbidden everywhere. Consumers ignore unknown keys, and so do the
/// published schemas; what we send ourselves must be documented.
fn closed(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(map) => close(map),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    schema
}

fn close(map: &mut Map<String, Value>) {
    if map.contains_key("properties") {
        map.insert("additionalProperties".to_owned(), json!(false));
    }
    for value in map.values_mut() {
        match value {
            Value::Object(inner) => close(inner),
            Value::Array(items) => {
                items.iter_mut().filter_map(Value::as_object_mut).for_each(close)
            }
            _ => {}
        }
    }
}

fn complaints(schema: &Value, payload: &Value) -> Vec<String> {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap_or_else(|error| panic!("not a schema: {error}"));
    validator.iter_errors(payload).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// Keys that a payload may be without; all others are required.
const OPTIONAL: [(&str, &[&str]); 3] = [
    ("reported", &["running", "previous", "target", "progress", "failure"]),
    ("desired", &["allow_downgrade"]),
    ("command-request", &["id", "expires", "args", "jitter_s"]),
];

fn is_optional(name: &str, key: &str) -> bool {
    key == "replayed" || OPTIONAL.iter().any(|(of, keys)| *of == name && keys.contains(&key))
}

/// `payload` conforms, and would not without any one of its keys but the optional ones.
fn check(name: &str, bytes: &[u8]) {
    let payload: Value = serde_json::from_slice(bytes).unwrap();
    let schema = closed(schema(name));
    let wrong = complaints(&schema, &payload);
    assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{payload:#}");
    for key in payload.as_object().unwrap().keys().filter(|key| !is_optional(name, key)) {
        let mut less = payload.clone();
        less.as_object_mut().unwrap().shift_remove(key);
        assert!(!complaints(&schema, &less).is_empty(), "{name}: {key} is not required");
    }
}

fn session() -> Session {
    Session::from_bits([0xab; 16])
}

fn result(finding: Finding) -> Vec<u8> {
    let mut found = inference(7);
    found.finding = finding;
    let mut bytes = Vec::new();
    payload::write_result(&found, &session(), &mut bytes);
    bytes
}

#[test]
fn every_kind_of_result_conforms() {
    let found = [
        inference(0).finding,
        Finding::Classification { label: None, score: f32::NAN, top: Vec::new() },
        Finding::Regression { value: 21.5, unit: "°C".into() },
        Finding::Anomaly { score: 11.5, limit: 10.0, anomalous: true },
        Finding::Action { action: "open".into(), value: 2.0, values: vec![-1.0, 2.0] },
        Finding::Cluster { cluster: Some("idle".into()), distance: 0.5 },
        Finding::Cluster { cluster: None, distance: 9.5 },
        Finding::Vector { vector: vec![0.5, -0.25] },
        Finding::Detection {
            objects: vec![DetectedObject {
                label: "cup".into(),
                score: 0.5,
                area: [0.1, -0.1, 0.2, f32::NAN],
            }],
        },
        Finding::Keypoints {
            points: vec![Keypoint { label: "nose".into(), score: 0.5, at: [0.1, 0.2] }],
        },
        Finding::Segmentation { shares: vec![ClassShare { label: "road".into(), share: 0.5 }] },
    ];
    for finding in found {
        let mut bytes = result(finding);
        check("result", &bytes);
        wire::mark_replayed(&mut bytes);
        check("result", &bytes);
    }
}

#[test]
fn every_kind_of_event_conforms() {
    let kinds = [
        EventKind::LabelChanged { from: None, to: Some("walking".into()) },
        EventKind::ValueOutOfLimits { value: 61.5 },
        EventKind::ValueWithinLimits { value: 55.0 },
        EventKind::ValueJumped { from: 20.0, to: 31.0 },
        EventKind::AnomalyBegan { score: 11.5 },
        EventKind::AnomalyEnded { score: 2.0 },
        EventKind::SensorLost { sensor: "imu".into(), reason: "no answer at 0x68".to_owned() },
        EventKind::SensorBack { sensor: "imu".into(), after: Duration::from_secs(3) },
        EventKind::SensorStuck { sensor: "imu".into(), reason: "frozen".to_owned() },
        EventKind::SensorOutOfRange { sensor: "e".into(), channel: "t".into(), value: 99.5 },
        EventKind::SensorOutOfRange {
            sensor: "e".into(),
            channel: "t".into(),
            value: f32::INFINITY,
        },
        EventKind::SensorInRange { sensor: "e".into(), channel: "t".into(), after: Duration::ZERO },
        EventKind::NumbersSkipped { resumes_at: 8192 },
    ];
    for kind in kinds {
        let event = Event { pipeline: "gestures".into(), time: at(0), kind };
        let mut bytes = Vec::new();
        payload::write_event(&event, &session(), &mut bytes);
        check("event", &bytes);
        wire::mark_replayed(&mut bytes);
        check("event", &bytes);
    }
}

#[test]
fn log_lines_conform() {
    for level in [log::Level::Error, log::Level::Warn] {
        let (session, line) = (session(), "sensor imu lost: no acknowledge");
        check("log", &wire::json(&wire::LogLine::new(level, line, 3, &session, at(0))));
    }
}

#[test]
fn every_state_conforms() {
    for state in [DeviceState::Online, DeviceState::Offline, DeviceState::Stopping] {
        check("status", &wire::json(&Status::new(state, &session(), at(0), "0.1.0")));
    }
}

#[test]
fn info_conforms_with_and_without_what_a_board_may_not_tell() {
    let mut info = Info {
        time: at(0).rfc3339(),
        clock: "synced".to_owned(),
        session: session().to_string(),
        device: "bench-07".to_owned(),
        version: "0.1.0".to_owned(),
        hardware: Hardware {
            arch: "aarch64".to_owned(),
            os: "linux".to_owned(),
            cpus: 4,
            ..Hardware::default()
        },
        ..Info::default()
    };
    check("info", &wire::json(&info));
    info.groups.push("line-3".to_owned());
    info.hardware.board = Some("Raspberry Pi 4 Model B Rev 1.4".to_owned());
    info.hardware.memory_bytes = Some(4 << 30);
    info.engines.push("native".to_owned());
    info.sensors.push(SensorInfo {
        name: "imu".to_owned(),
        driver: "mpu6050".to_owned(),
        rate_hz: 10.0,
        channels: vec![ChannelInfo { name: "accel_x".to_owned(), unit: "m/s²".to_owned() }],
    });
    for (kind, labels) in [
        ("classification", vec!["walking".to_owned()]),
        ("anomaly", vec![]),
        ("regression", vec![]),
    ] {
        info.pipelines.push(PipelineInfo {
            name: "gestures".to_owned(),
            sensor: "imu".to_owned(),
            model: "gestures".to_owned(),
            version: "1.0.0".to_owned(),
            engine: "native".to_owned(),
            kind: kind.to_owned(),
            labels,
            unit: (kind == "regression").then(|| "°C".to_owned()),
        });
    }
    check("info", &wire::json(&info));
}

#[test]
fn health_conforms_with_and_without_what_a_board_may_not_tell() {
    let mut health = Health {
        time: at(0).rfc3339(),
        clock: "unsynced".to_owned(),
        session: session().to_string(),
        board: Board { clock: "unsynced".to_owned(), ..Board::default() },
        ..Health::default()
    };
    check("health", &wire::json(&health));
    health.reasons.push("sensor imu does not answer".to_owned());
    for code in Code::ALL {
        for part in ["", "imu"] {
            let (code, part) = (code.as_str(), part.to_owned());
            health.problems.push(ProblemHealth { code, part, message: "words".to_owned() });
        }
    }
    health.board = Board {
        clock: "unsynced".to_owned(),
        uptime_s: Some(1234),
        kernel: Some("6.6.31+rpt-rpi-v8".to_owned()),
        os: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
        cpu_percent: Some(3.5),
        load: Some([0.31, 1.2, 0.9]),
        memory_total_bytes: Some(4 << 30),
        memory_available_bytes: Some(3 << 30),
        disk_total_bytes: Some(8 << 30),
        disk_free_bytes: Some(1 << 30),
        disk_read_only: Some(false),
        disk_wear_percent: Some(10),
        temperature_c: Some(48.5),
        temperatures: vec![ZoneHealth { zone: "cpu-thermal".to_owned(), temperature_c: 48.5 }],
        throttled: Some(true),
        throttled_by: vec!["thermal-cpufreq-0".to_owned()],
        frequency_cap_percent: Some(75),
        under_voltage: Some(false),
    };
    health.mqtt.last_error = Some("refused".to_owned());
    for stop in [
        Stop::Clean,
        Stop::Failed,
        Stop::Reboot,
        Stop::Crash,
        Stop::Watchdog,
        Stop::OutOfMemory,
        Stop::Timeout,
        Stop::Unknown,
    ] {
        health.process.last_stop = Some(stop.as_str());
        check("health", &wire::json(&health));
    }
    let name = "gestures".to_owned();
    let last_error = Some("NaN in output y".to_owned());
    let sinks = [None, Some("the server answers 500".to_owned())].map(|last_error| SinkHealth {
        sink: "webhook".to_owned(),
        last_error,
        ..SinkHealth::default()
    });
    let rest = PipelineHealth::default();
    health.pipelines.push(PipelineHealth { name, last_error, sinks: sinks.into(), ..rest });
    health.sensors.push(SensorHealth { name: "imu".to_owned(), ..SensorHealth::default() });
    check("health", &wire::json(&health));
}

#[test]
fn every_state_of_a_model_conforms() {
    let mut reported = Reported {
        time: at(0).rfc3339(),
        clock: "synced".to_owned(),
        session: session().to_string(),
        state: "idle".to_owned(),
        ..Reported::default()
    };
    check("reported", &wire::json(&reported));
    let phases = [
        Phase::Fetching,
        Phase::Verifying,
        Phase::SelfTesting,
        Phase::Shadowing,
        Phase::Activating,
        Phase::Trial,
    ];
    let outcomes = [Outcome::Committed, Outcome::Rejected, Outcome::Reverted, Outcome::RolledBack];
    for state in phases.map(Phase::as_str).into_iter().chain(outcomes.map(Outcome::as_str)) {
        reported.state = state.to_owned();
        check("reported", &wire::json(&reported));
    }
    let bundle = |version: &str, origin: &str| {
        let (version, origin) = (version.to_owned(), origin.to_owned());
        Some(ReportedBundle { version, digest: "0".repeat(64), origin })
    };
    reported.running = bundle("1.2.0", "repository");
    reported.previous = bundle("1.2.0-rc.1+board", "local");
    reported.target = Some("1.3.0".to_owned());
    reported.progress = Some(Progress::new(1, 3));
    check("reported", &wire::json(&reported));
    for code in [
        UpdateCode::Busy,
        UpdateCode::TooLarge,
        UpdateCode::NoSpace,
        UpdateCode::NoMemory,
        UpdateCode::FetchFailed,
        UpdateCode::BadSignature,
        UpdateCode::ExpiredMetadata,
        UpdateCode::RolledBackMetadata,
        UpdateCode::Incompatible,
        UpdateCode::SelfTestFailed,
        UpdateCode::ShadowDisagreed,
        UpdateCode::TrialFailed,
        UpdateCode::NotFound,
        UpdateCode::Internal,
    ] {
        let code = serde_json::to_value(code).unwrap().as_str().unwrap().to_owned();
        let message = "no such version".to_owned();
        for version in [None, Some("1.3.0".to_owned())] {
            let failure = ReportedFailure { version, code: code.clone(), message: message.clone() };
            reported.failure = Some(failure);
            check("reported", &wire::json(&reported));
        }
    }
}

#[test]
fn what_the_schema_says_of_wishes_is_what_is_read() {
    for (payload, is_wish) in [
        (r#"{"version":"1.3.0"}"#, true),
        (r#"{"version":"1.3.0-rc.1+b7","allow_downgrade":true}"#, true),
        (r#"{"version":null}"#, true),
        (r#"{"version":null,"allow_downgrade":false,"by":"fleet tool"}"#, true),
        ("{}", false),
        (r#"["1.3.0",false]"#, false),
        (r#"{"version":"1.3"}"#, false),
        (r#"{"version":"01.3.0"}"#, false),
        (r#"{"version":""}"#, false),
        (r#"{"version":13}"#, false),
        (r#"{"version":"1.3.0","allow_downgrade":"yes"}"#, false),
        (r#"{"version":"1.3.0","allow_downgrade":null}"#, false),
    ] {
        let value: Value = serde_json::from_str(payload).unwrap();
        let complaints = complaints(&schema("desired"), &value);
        assert_eq!(complaints.is_empty(), is_wish, "{payload}: {complaints:?}");
        let read = wire::Desired::parse(payload.as_bytes());
        assert_eq!(read.is_ok(), is_wish, "{payload}: {read:?}");
    }
}

#[test]
fn the_schemas_refuse_what_they_should() {
    let good: Value = serde_json::from_slice(&result(inference(0).finding)).unwrap();
    let wrong: [(&str, Value); 6] = [
        ("/seq", json!(-1)),
        ("/seq", json!("7")),
        ("/time", json!("yesterday")),
        ("/clock", json!("maybe")),
        ("/session", json!("short")),
        ("/result", json!({"label": "walking"})),
    ];
    for (path, value) in wrong {
        let mut payload = good.clone();
        *payload.pointer_mut(path).unwrap() = value;
        assert!(!complaints(&schema("result"), &payload).is_empty(), "{path} passed");
    }
    let mut more = good;
    more["new_in_a_later_version"] = json!(1);
    assert!(complaints(&schema("result"), &more).is_empty(), "unknown keys are ignored");
}

#[test]
fn what_the_schema_says_of_commands_is_what_is_read() {
    for (payload, is_request) in [
        ("{}", true),
        (
            r#"{"id":"a/+/#","expires":"2026-11-23T09:41:07Z","args":{"x":[1]},"jitter_s":1.5,"by":7}"#,
            true,
        ),
        (r#"{"id":null,"expires":null,"args":null,"jitter_s":null}"#, true),
        (r#"{"expires":"2026-11-23T09:41:07.25-05:30"}"#, true),
        ("[]", false),
        ("7", false),
        (r#"{"id":7}"#, false),
        (r#"{"id":""}"#, false),
        (r#"{"id":"a\n"}"#, false),
        (r#"{"id":"a\u009b"}"#, false),
        (r#"{"expires":"tomorrow"}"#, false),
        (r#"{"expires":17}"#, false),
        (r#"{"jitter_s":-1}"#, false),
        (r#"{"jitter_s":3601}"#, false),
        (r#"{"args":[1]}"#, false),
    ] {
        let value: Value = serde_json::from_str(payload).unwrap();
        let complaints = complaints(&schema("command-request"), &value);
        assert_eq!(complaints.is_empty(), is_request, "{payload}: {complaints:?}");
        let read = command::Request::parse(payload.as_bytes());
        assert_eq!(read.is_ok(), is_request, "{payload}: {read:?}");
    }
}

#[test]
fn every_answer_conforms_and_so_does_each_code_of_an_update() {
    check("command-answer", &command::answer(None, "bench-07", &Ok(json!({}))));
    check("command-answer", &command::answer(Some("a"), "bench-07", &Ok(Value::Null)));
    let codes = schema("command-answer");
    let codes =
        codes.pointer("/properties/error/properties/code/enum").unwrap().as_array().unwrap();
    for name in codes {
        let code: command::Code = serde_json::from_value(name.clone()).unwrap();
        let refusal = command::Refusal::new(code, "no");
        check("command-answer", &command::answer(Some("a"), "bench-07", &Err(refusal)));
    }
    let of_updates = schema("reported");
    let of_updates = of_updates.pointer("/properties/failure/properties/code/enum").unwrap();
    for name in of_updates.as_array().unwrap() {
        assert!(codes.contains(name), "{name}");
    }
    let both = json!({"id": null, "device": "a", "ok": true, "result": 1, "error": {"code": "busy", "message": ""}});
    assert!(!complaints(&schema("command-answer"), &both).is_empty());
}

/// An example follows a line `<!-- schema: NAME -->`.
#[test]
fn every_example_in_the_documentation_conforms() {
    let read = |name: &str| {
        fs::read_to_string(format!("{}/docs/{name}.md", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let text = read("mqtt") + &read("commands");
    let mut checked = 0;
    for part in text.split("<!-- schema: ").skip(1) {
        let (name, rest) = part.split_once(" -->").unwrap();
        let example = rest.split("```json").nth(1).unwrap().split("```").next().unwrap();
        check(name, example.as_bytes());
        checked += 1;
    }
    assert_eq!(checked, text.matches("```json").count(), "an example names no schema");
    assert!(checked >= 5);
}
