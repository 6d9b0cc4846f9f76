//! Whoever may write a board's or a group's retained wishes is heard, before and after every restart; and a broker
//! that does not let the board listen, or sends nonsense, stops nothing else.

use std::time::Duration;

use edgerun::net::{self, MqttSettings, NetHandle, Subscriptions, Wishes, wire};
use edgerun::sink::Sink;

use crate::support::PATIENCE;
use crate::support::device::{at, identity, inference, settings};
use crate::support::mosquitto::{Mosquitto, Plan};
use crate::support::scripted_broker::{NO_WILDCARDS, Peer, ScriptedBroker, receive_maximum};
use crate::support::subscriber::{Subscriber, publish_retained};

const OWN: &str = "edgerun/bench-07/model/gestures/desired";
const PUMP: &str = "edgerun/bench-07/model/pump/desired";
const GROUP: &str = "edgerun/group/line-3/model/gestures/desired";

fn subscriptions() -> Subscriptions {
    Subscriptions {
        models: vec!["gestures".to_owned(), "pump".to_owned()],
        groups: vec!["line-3".to_owned()],
        ..Subscriptions::default()
    }
}

fn start(settings: MqttSettings) -> NetHandle {
    net::start(settings, identity(), subscriptions()).unwrap()
}

/// Long enough for a broker on loopback, short enough for a test.
fn settling(port: u16, settle: Duration) -> MqttSettings {
    let mut settings = settings(port);
    settings.timing.settle = settle;
    settings
}

fn wish(version: &str) -> String {
    format!("{{\"version\":\"{version}\"}}")
}

fn wished(wishes: &Wishes, model: &str) -> Option<String> {
    wishes.of(model).desired?.version.map(|version| version.to_string())
}

fn wait_until(wishes: &Wishes, holds: impl Fn(&Wishes) -> bool) {
    let mut seen = wishes.changes();
    while !holds(wishes) {
        let now = wishes.wait(seen, PATIENCE);
        assert_ne!(now, seen, "{wishes:?}");
        seen = now;
    }
}

fn wait_wished(wishes: &Wishes, model: &str, version: Option<&str>) {
    wait_until(wishes, |wishes| wished(wishes, model).as_deref() == version);
}

#[test]
fn wishes_from_before_the_start_and_later_ones_arrive_and_cleared_ones_go() {
    let Some(broker) = Mosquitto::start() else { return };
    let publish = |topic: &str, payload: &str| publish_retained(broker.port(), topic, payload);
    publish(GROUP, &wish("1.0.0"));
    publish("edgerun/group/line-4/model/gestures/desired", &wish("9.0.0"));
    publish("edgerun/bench-08/model/gestures/desired", &wish("9.0.0"));
    publish("edgerun/bench-07/model/other/desired", &wish("9.0.0"));
    let net = start(settings(broker.port()));
    let wishes = net.link().wishes();
    wait_wished(&wishes, "gestures", Some("1.0.0"));
    publish(OWN, &wish("1.1.0"));
    wait_wished(&wishes, "gestures", Some("1.1.0"));
    publish(PUMP, "{\"version\":null}");
    wait_until(&wishes, |wishes| wishes.of("pump").desired.is_some());
    assert_eq!(wished(&wishes, "pump"), None, "what runs is to stay");
    publish(OWN, "");
    wait_wished(&wishes, "gestures", Some("1.0.0"));
    publish(GROUP, "");
    wait_wished(&wishes, "gestures", None);
    assert_eq!(wishes.changes(), 5, "and nobody else's");
    assert_eq!(net.state().last_error, None);
}

#[test]
fn after_a_restart_of_the_broker_it_is_subscribed_again() {
    let lasting = "persistence true\npersistence_location {folder}/";
    let Some(mut broker) = Plan::default().global(lasting).start() else { return };
    publish_retained(broker.port(), OWN, &wish("1.0.0"));
    let net = start(settling(broker.port(), Duration::from_secs(1)));
    let wishes = net.link().wishes();
    wait_wished(&wishes, "gestures", Some("1.0.0"));
    for round in 1..=2 {
        broker.start_again();
        let again = |state: &net::NetState| state.connected && state.reconnects == round;
        assert!(net.link().wait(PATIENCE, again), "{:?}", net.state());
        let next = format!("1.{round}.0");
        publish_retained(broker.port(), PUMP, &wish(&next));
        wait_wished(&wishes, "pump", Some(&next));
        assert_eq!(wished(&wishes, "gestures").as_deref(), Some("1.0.0"));
    }
    // The broker has it still, and has said so.
    assert_eq!(wishes.wait(wishes.changes(), Duration::from_millis(1500)), 3);
    assert_eq!(wished(&wishes, "gestures").as_deref(), Some("1.0.0"));
}

#[test]
fn nonsense_of_any_size_is_said_about_its_model_and_harms_no_other() {
    let Some(broker) = Mosquitto::start() else { return };
    // Above what we take in a packet: the broker keeps it to itself.
    publish_retained(broker.port(), GROUP, &"x".repeat(100_000));
    publish_retained(broker.port(), OWN, &format!("{{\"version\":\"{}\"}}", "1".repeat(5000)));
    publish_retained(broker.port(), PUMP, &wish("1.0.0"));
    let net = start(settings(broker.port()));
    let wishes = net.link().wishes();
    wait_wished(&wishes, "pump", Some("1.0.0"));
    wait_until(&wishes, |wishes| wishes.of("gestures").remark.is_some());
    let counts = wishes.of("gestures");
    assert_eq!(counts.desired, None);
    let remark = counts.remark.unwrap();
    assert!(remark.starts_with("this device's wish: 5014 bytes are no wish"), "{remark}");
    publish_retained(broker.port(), OWN, "{\"version\":\"newest\"}");
    wait_until(&wishes, |wishes| wishes.of("gestures").remark.unwrap().contains("\"newest\""));
    assert_eq!((net.state().connected, net.state().reconnects), (true, 0));
}

#[test]
fn what_each_model_reports_is_retained_and_said_again_to_a_broker_that_forgot() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let topic = "edgerun/bench-07/model/gestures/reported";
    let net = start(settings(broker.port()));
    let subscriber = Subscriber::new(broker.port(), topic);
    for state in ["fetching", "idle"] {
        let state = state.to_owned();
        let time = at(0).rfc3339();
        let reported = wire::Reported { time, state, ..wire::Reported::default() };
        net.link().publish_reported("gestures", &reported);
    }
    let last = subscriber.until(|message| message.payload["state"] == "idle");
    assert_eq!((last.qos, &*last.topic), (1, topic));
    broker.start_again();
    assert!(net.link().wait(PATIENCE, |state| state.connected && state.reconnects == 1));
    let kept = Subscriber::new(broker.port(), topic).next();
    assert_eq!(kept.payload["state"], "idle");
}

fn take_birth(peer: &mut Peer) {
    let birth = peer.publish();
    assert!(birth.topic.ends_with("/status"), "{birth:?}");
    peer.puback(birth.packet_id);
}

/// Takes the subscriptions of the device and its group, and answers them.
fn subscribe(peer: &mut Peer, codes: [u8; 2]) {
    let filters = ["edgerun/bench-07/model/+/desired", "edgerun/group/line-3/model/+/desired"];
    for (expected, code) in filters.into_iter().zip(codes) {
        let (id, filter) = peer.subscription();
        assert_eq!(filter, expected);
        peer.suback(id, code);
    }
}

#[test]
fn a_refused_subscription_is_told_and_stops_nothing_else() {
    let broker = ScriptedBroker::new();
    let net = start(settings(broker.port()));
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    // 0x87: not authorized.
    subscribe(&mut peer, [1, 0x87]);
    peer.say(OWN, &[], &wish("1.0.0"));
    wait_wished(&net.link().wishes(), "gestures", Some("1.0.0"));
    let said = net.state().last_error.unwrap();
    let expected = "refused to subscribe us to edgerun/group/line-3/model/+/desired: NotAuthorized";
    assert!(said.contains(expected), "{said}");
    net.publisher().publish(inference(1)).unwrap();
    let result = peer.publish_on("result");
    peer.puback(result.packet_id);
    assert!(net.link().wait(PATIENCE, |state| state.acked == 1));
    let state = net.state();
    assert_eq!((state.connected, state.reconnects, state.refused), (true, 0, 0));
}

#[test]
fn a_wish_that_was_cleared_while_the_board_was_away_is_gone_after_the_reconnect() {
    let broker = ScriptedBroker::new();
    let net = start(settling(broker.port(), Duration::from_millis(200)));
    let wishes = net.link().wishes();
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    subscribe(&mut peer, [1, 1]);
    peer.say(OWN, &[], &wish("1.0.0"));
    peer.say(PUMP, &[], &wish("2.0.0"));
    wait_wished(&wishes, "pump", Some("2.0.0"));
    drop(peer);

    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    peer.say(PUMP, &[], &wish("2.0.0"));
    subscribe(&mut peer, [1, 1]);
    wait_wished(&wishes, "gestures", None);
    assert_eq!(wished(&wishes, "pump").as_deref(), Some("2.0.0"));
    drop(peer);

    // One that retains nothing (property 0x25) cannot say anything again: the last word counts.
    let mut peer = broker.welcome(&[0x25, 0]);
    take_birth(&mut peer);
    subscribe(&mut peer, [1, 1]);
    assert_eq!(wishes.wait(3, Duration::from_millis(500)), 3);
}

#[test]
fn a_broker_without_wildcards_and_with_a_window_of_one_is_asked_topic_by_topic() {
    let broker = ScriptedBroker::new();
    let net = start(settings(broker.port()));
    net.publisher().publish(inference(1)).unwrap();
    let mut peer = broker.welcome(&[&NO_WILDCARDS[..], &receive_maximum(1)].concat());
    take_birth(&mut peer);
    let pump_group = "edgerun/group/line-3/model/pump/desired";
    for expected in [OWN, GROUP, PUMP, pump_group] {
        let (id, filter) = peer.subscription();
        assert_eq!((id, &*filter), (1, expected));
        let more = peer.publish_within(Duration::from_millis(50));
        assert!(more.is_none(), "its id is in use, and here comes {more:?}");
        peer.suback(id, 1);
    }
    assert_eq!(peer.publish().payload["seq"], 1);
}

#[test]
fn a_subscription_that_is_not_answered_ends_the_connection() {
    let broker = ScriptedBroker::new();
    let mut hasty = settings(broker.port());
    hasty.timing.ack = Duration::from_millis(300);
    let net = start(hasty);
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    assert!(net.link().wait(PATIENCE, |state| state.reconnects == 1));
}

#[test]
fn a_broker_that_makes_up_topic_aliases_is_left() {
    let broker = ScriptedBroker::new();
    let net = start(settings(broker.port()));
    // Property 0x23: a name for later, and one that was never given.
    for topic in [OWN, ""] {
        let mut peer = broker.welcome(&[]);
        take_birth(&mut peer);
        peer.say(topic, &[0x23, 0, 7], &wish("1.0.0"));
        assert!(net.link().wait(PATIENCE, |state| !state.connected || state.reconnects > 0));
    }
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    assert_eq!(net.link().wishes().changes(), 0);
}
