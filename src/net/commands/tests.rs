use std::sync::mpsc::{Receiver, sync_channel};

use rumqttc::v5::mqttbytes::QoS;
use serde_json::{Value, json};

use super::*;

const OWN: &str = "edgerun/bench-07/cmd/";
const LIMITS: Limits = Limits {
    receive_max: 10,
    qos_max: QoS::AtLeastOnce,
    retain: true,
    wildcards: true,
    packet_max: 2000,
};

fn commands() -> Commands {
    let topics = Topics::new(None, "bench-07");
    Commands::new("bench-07", &["line-3".to_owned()], &Verb::USUAL, &topics)
}

/// Whoever carries out, with room for `room`.
fn served(commands: &Commands, room: usize) -> Receiver<Order> {
    let (sender, orders) = sync_channel(room);
    commands.serve(move |order| {
        use std::sync::mpsc::TrySendError::{Disconnected, Full};
        match sender.try_send(order) {
            Ok(()) => None,
            Err(Full(order) | Disconnected(order)) => Some(order),
        }
    });
    orders
}

fn said(topic: &str, payload: &[u8]) -> Heard {
    let (topic, payload) = (topic.to_owned(), payload.to_vec());
    Heard { topic, payload, retained: false, envelope: Envelope::default() }
}

fn answer(commands: &Commands) -> Option<(String, Value, Envelope)> {
    let Say { topic, payload, envelope } = commands.next(&LIMITS)?;
    Some((topic, serde_json::from_slice(&payload).unwrap(), envelope))
}

fn code(commands: &Commands) -> String {
    answer(commands).unwrap().1["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_command_is_handed_on_with_where_its_answer_goes() {
    let commands = commands();
    commands.hear(said(&format!("{OWN}pause"), br#"{"id":"1"}"#));
    let orders = served(&commands, 4);
    let first = orders.try_recv().expect("what came before somebody served");
    assert_eq!((first.verb, first.to_group, first.deadline), (Verb::Pause, false, None));
    assert_eq!(first.route.topic, "edgerun/bench-07/cmd/pause/response");

    let mut heard = said("edgerun/group/line-3/cmd/health", b"{}");
    heard.envelope = Envelope {
        response_topic: Some("edgerun/reply/me/7".to_owned()),
        correlation: Some(vec![0, 255]),
        user: vec![("trace".to_owned(), "9".to_owned())],
        expiry_s: Some(60),
    };
    commands.hear(heard);
    let second = orders.try_recv().unwrap();
    assert!(second.to_group && second.deadline > Some(SystemClock.monotonic()));
    commands.answer(&second.route, Some("2"), &Ok(json!({"a": 1})));
    let (topic, payload, envelope) = answer(&commands).unwrap();
    assert_eq!(topic, "edgerun/reply/me/7");
    assert_eq!(payload, json!({"id": "2", "device": "bench-07", "ok": true, "result": {"a": 1}}));
    assert_eq!(envelope.correlation, Some(vec![0, 255]));
    assert_eq!(envelope.user.len(), 1);
    assert!(commands.all_said() && commands.ignored() == 0);
}

#[test]
fn a_response_topic_elsewhere_is_refused_where_answers_usually_go() {
    let commands = commands();
    let orders = served(&commands, 4);
    let long = format!("edgerun/reply/{}", "x".repeat(300));
    for topic in [
        "edgerun/bench-08/cmd/pause",
        "edgerun/reply/",
        "edgerun/reply",
        "edgerun/reply/+",
        "edgerun/reply/a/#",
        "tenant/edgerun/reply/a",
        "edgerun/reply/a\u{7}",
        "",
        &long,
    ] {
        let mut heard = said(&format!("{OWN}pause"), br#"{"id":"1"}"#);
        heard.envelope.response_topic = Some(topic.to_owned());
        commands.hear(heard);
        let (topic, payload, _) = answer(&commands).unwrap();
        assert_eq!(topic, "edgerun/bench-07/cmd/pause/response");
        assert_eq!(payload["error"]["code"], "bad_request");
    }
    let mut heard = said(&format!("{OWN}pause"), b"{}");
    heard.envelope.correlation = Some(vec![0; 300]);
    commands.hear(heard);
    assert_eq!(code(&commands), "bad_request");
    let mut heard = said(&format!("{OWN}pause"), b"{}");
    heard.envelope.user = vec![("k".repeat(2000), String::new())];
    commands.hear(heard);
    assert_eq!(code(&commands), "bad_request");
    assert!(orders.try_recv().is_err(), "and nothing was carried out");
}

#[test]
fn what_is_no_command_or_not_allowed_gets_its_code() {
    let commands = commands();
    let orders = served(&commands, 4);
    for (verb, payload, wanted) in [
        ("dance", &b"{}"[..], "unknown_verb"),
        ("restart", b"{}", "not_allowed"),
        ("pause", b"{", "bad_request"),
        ("pause", b"\xff\xfe", "bad_request"),
        ("pause", &[b'['; 40_000], "too_large"),
        ("pause", &[b'['; 100], "bad_request"),
    ] {
        commands.hear(said(&format!("{OWN}{verb}"), payload));
        assert_eq!(code(&commands), wanted, "{verb}");
    }
    assert!(orders.try_recv().is_err());
}

#[test]
fn retained_ones_and_names_that_are_none_are_ignored_and_counted() {
    let commands = commands();
    let orders = served(&commands, 4);
    commands.hear(Heard { retained: true, ..said(&format!("{OWN}pause"), b"{}") });
    assert_eq!(commands.ignored(), 1);
    commands.hear(Heard { retained: true, ..said(&format!("{OWN}pause"), b"") });
    assert_eq!(commands.ignored(), 1, "an empty one clears");
    for verb in ["", "pause/response", "+", "é", "a b", "\u{1b}[2J", &"x".repeat(65)] {
        commands.hear(said(&format!("{OWN}{verb}"), b"{}"));
    }
    assert_eq!(commands.ignored(), 8);
    assert!(commands.all_said() && orders.try_recv().is_err());
    for other in ["edgerun/bench-07/model/a/desired", "edgerun/group/line-4/cmd/pause", ""] {
        assert!(!commands.are_on(other), "{other}");
    }
}

#[test]
fn a_flood_is_answered_busy_and_no_more_than_a_few_times() {
    let commands = commands();
    let orders = served(&commands, 1000);
    for _ in 0..500 {
        commands.hear(said(&format!("{OWN}health"), br#"{"id":"1"}"#));
    }
    let taken = orders.try_iter().count();
    assert!((20..100).contains(&taken), "{taken}");
    let answers = std::iter::from_fn(|| answer(&commands)).count();
    assert_eq!(answers, ANSWERS / 2);
    assert!(commands.ignored() >= 400);
}

#[test]
fn where_nobody_has_time_it_is_busy() {
    let commands = commands();
    let orders = served(&commands, 1);
    for _ in 0..2 {
        commands.hear(said(&format!("{OWN}health"), br#"{"id":"1"}"#));
    }
    assert_eq!(code(&commands), "busy");
    drop(orders);
    commands.hear(said(&format!("{OWN}health"), b"{}"));
    assert_eq!(code(&commands), "busy");
}

#[test]
fn an_answer_that_the_broker_does_not_take_says_so() {
    let commands = commands();
    let orders = served(&commands, 1);
    commands.hear(said(&format!("{OWN}health"), br#"{"id":"1"}"#));
    let route = orders.try_recv().unwrap().route;
    commands.answer(&route, Some("1"), &Ok(json!("x".repeat(3000))));
    assert_eq!(code(&commands), "too_large");
    commands.answer(&route, Some("1"), &Ok(json!("x".repeat(3000))));
    let tiny = Limits { packet_max: 50, ..LIMITS };
    assert_eq!(commands.next(&tiny), None);
    assert_eq!(commands.ignored(), 1);
}

#[test]
fn a_broker_without_wildcards_is_asked_for_each_verb_and_nothing_allowed_asks_for_none() {
    let filters = |commands: &Commands, wildcards| -> Vec<String> {
        commands.subscriptions(wildcards).into_iter().map(|one| one.filter).collect()
    };
    let some = commands();
    assert_eq!(filters(&some, true), ["edgerun/bench-07/cmd/+", "edgerun/group/line-3/cmd/+"]);
    assert_eq!(filters(&some, false).len(), 2 * Verb::ALL.len());
    let none = Commands::new("a", &[], &[], &Topics::new(None, "a"));
    assert!(filters(&none, true).is_empty());
}
