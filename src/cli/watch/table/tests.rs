use proptest::prelude::*;
use serde_json::json;

use super::*;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fleet() -> Boards {
    let mut boards = Boards::default();
    let mut say = |device: &str, topic: &str, payload: Value, retained| {
        boards.hear(device, topic, &payload, retained, at(100));
    };
    say("bench-07", "status", json!({"state": "online", "session": "a"}), true);
    say(
        "bench-07",
        "health",
        json!({"state": "degraded", "reasons": ["no disk space"], "pipelines": [
            {"name": "gestures", "state": "ok", "paused": false, "model": "gestures", "version": "1.2.0",
             "rate_hz": 10.0, "latency_p99_us": 655},
            {"name": "pump", "state": "ok", "paused": true, "model": "vibration", "version": "2.1.0",
             "rate_hz": 0.0, "latency_p99_us": 12345}
        ]}),
        true,
    );
    say(
        "bench-07",
        "result/gestures",
        json!({"result": {"label": "walking", "score": 0.97}}),
        false,
    );
    say(
        "bench-07",
        "model/gestures/reported",
        json!({"state": "fetching", "target": "1.3.0", "progress": {"percent": 32}}),
        true,
    );
    say("door", "status", json!({"state": "offline", "session": "b"}), true);
    boards
}

#[test]
fn a_fleet_is_a_row_for_each_pipeline() {
    let lines = table(&fleet(), "connected to broker:1883", at(103), 120, 24);
    let expected = "\
1 of 2 boards online; connected to broker:1883
BOARD            STATE    HEALTH   PIPELINE       MODEL              RATE      P99       AGE   LAST
bench-07         online   degraded gestures       gestures 1.2.0     10.0 Hz   655 us    3 s   walking 97 %
                                   pump           vibration 2.1.0    0.0 Hz    12.3 ms         paused
  ! no disk space
  > gestures: fetching 1.3.0 32 %
door             offline  -";
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn what_does_not_fit_is_counted_and_no_line_is_wider_than_the_terminal() {
    let lines = table(&fleet(), "connected to broker:1883", at(103), 30, 5);
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line.chars().count() <= 30), "{lines:#?}");
    assert!(lines[4].starts_with("… 3 more lines"), "{lines:#?}");
    for (width, height) in [(0, 0), (1, 1), (5, 2)] {
        let lines = table(&fleet(), "x", at(0), width, height);
        assert!(lines.len() <= height && lines.iter().all(|line| line.chars().count() <= width));
    }
}

#[test]
fn a_late_last_will_of_an_earlier_run_changes_nothing() {
    let mut boards = fleet();
    let mut status = |state: &str, session: &str| {
        let payload = json!({"state": state, "session": session});
        boards.hear("bench-07", "status", &payload, false, at(101));
        boards.iter().next().unwrap().1.status.clone()
    };
    assert_eq!(status("offline", "before"), "online");
    assert_eq!(status("offline", "a"), "offline");
    assert_eq!(status("online", "c"), "online");
}

#[test]
fn results_and_events_are_few_words() {
    for (found, shown) in [
        (json!({"label": null, "score": null}), "none 0 %"),
        (json!({"value": 21.5, "unit": "°C"}), "21.500 °C"),
        (json!({"score": 11.5, "limit": 10.0, "anomalous": true}), "ANOMALY 11.500"),
        (json!({"objects": []}), "{\"objects\":[]}"),
        (json!("\u{1b}[2J"), "\"\\u001b[2J\""),
    ] {
        assert_eq!(boards::result(&found), shown);
    }
    let changed = json!({"event": "label_changed", "from": null, "to": "walking"});
    assert_eq!(boards::event(&changed), "label changed walking");
    assert_eq!(line("a", "event/x", &changed), "a event/x label changed walking");
}

#[test]
fn a_broker_that_makes_up_boards_fills_no_memory() {
    let mut boards = Boards::default();
    for n in 0..3000 {
        boards.hear(&format!("{n}"), "status", &json!({"state": "online"}), false, at(0));
    }
    for n in 0..100 {
        boards.hear("1", &format!("result/{n}"), &json!({}), false, at(0));
        boards.hear("1", &format!("model/{n}/reported"), &json!({"target": "x"}), false, at(0));
    }
    assert_eq!((boards.iter().count(), boards.left_out), (2000, 1000));
    let (_, one) = boards.iter().find(|(name, _)| *name == "1").unwrap();
    assert_eq!((one.pipelines.len(), one.updates.len()), (32, 32));
}

fn hostile() -> impl Strategy<Value = Value> {
    let text = "[\u{0}-\u{20}\u{7f}-\u{a0}\u{200b}-\u{206f}a-z]{0,20}|\\PC{0,80}";
    let leaf = prop_oneof![
        text.prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 32, 8, |inner| {
        let key = prop::sample::select(vec![
            "state",
            "session",
            "reasons",
            "pipelines",
            "name",
            "model",
            "version",
            "result",
            "label",
            "score",
            "value",
            "unit",
            "event",
            "to",
            "target",
            "progress",
            "percent",
            "failure",
            "code",
        ]);
        let object = prop::collection::hash_map(key, inner.clone(), 0..8).prop_map(|map| {
            map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Value>()
        });
        prop_oneof![prop::collection::vec(inner, 0..4).prop_map(Value::from), object]
    })
}

proptest! {
    #[test]
    fn whatever_a_broker_sends_steers_no_terminal(
        payloads in prop::collection::vec(hostile(), 1..6),
        device in "[\u{0}-\u{20}\u{7f}-\u{a0}a-z]{0,12}",
        width in 0usize..140,
    ) {
        let mut boards = Boards::default();
        for payload in &payloads {
            for topic in ["status", "health", "info", "result/a\u{1b}", "event/\u{9b}", "model/\r/reported"] {
                boards.hear(&device, topic, payload, false, at(1));
                let line = line(&device, topic, payload);
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
        for line in table(&boards, "x", at(5), width, 24) {
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            prop_assert!(line.chars().count() <= width);
        }
    }
}
