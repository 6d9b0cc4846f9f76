//! What a pipeline finds reaches the broker, in order and without loss, whenever the broker is there;
//! and everybody on the broker knows whether the device is.

use edgerun::data::{Rejected, Secret};
use edgerun::net::{self, NetHandle, Protocol, Stopped, Subscriptions, wire};
use edgerun::sink::{Qos, Sink};

use crate::support::PATIENCE;
use crate::support::device::{at, identity, inference, label_changed, settings};
use crate::support::mosquitto::{Mosquitto, Plan};
use crate::support::subscriber::Subscriber;

const ALL: &str = "edgerun/bench-07/#";

/// The broker keeps what a lasting subscriber has not seen over its own restarts.
const DATABASE: &str = "persistence true\npersistence_location {folder}/";

fn wait_connected(net: &NetHandle) {
    assert!(net.link().wait(PATIENCE, |state| state.connected), "{:?}", net.state());
}

fn wait_delivered(net: &NetHandle, count: u64) {
    assert!(net.link().wait(PATIENCE, |state| state.acked >= count), "{:?}", net.state());
}

#[test]
fn a_device_is_online_while_it_runs_and_stopping_when_it_was_stopped() {
    let Some(broker) = Mosquitto::start() else { return };
    let subscriber = Subscriber::new(broker.port(), ALL);
    let identity = identity();
    let net =
        net::start(settings(broker.port()), identity.clone(), Subscriptions::default()).unwrap();

    let birth = subscriber.next();
    assert_eq!(birth.topic, "edgerun/bench-07/status");
    assert_eq!(birth.qos, 1);
    assert_eq!(birth.payload["state"], "online");
    assert_eq!(birth.payload["session"], identity.session.as_str());
    assert_eq!(birth.payload["since"], at(0).rfc3339());
    assert_eq!(birth.payload["version"], env!("CARGO_PKG_VERSION"));

    assert_eq!(net.stop(PATIENCE), Stopped::Flushed);
    let farewell = subscriber.next();
    assert_eq!(farewell.payload["state"], "stopping");
    assert_eq!(farewell.payload["session"], identity.session.as_str());

    // The broker has forgotten the last will and keeps the farewell.
    let late = Subscriber::new(broker.port(), ALL).next();
    assert!(late.retained);
    assert_eq!(late.payload["state"], "stopping");
}

#[test]
fn a_device_that_vanishes_is_offline_in_the_name_of_its_session() {
    let Some(broker) = Mosquitto::start() else { return };
    let subscriber = Subscriber::new(broker.port(), ALL);
    let identity = identity();
    let net =
        net::start(settings(broker.port()), identity.clone(), Subscriptions::default()).unwrap();
    assert_eq!(subscriber.next().payload["state"], "online");

    // Cuts the line without a DISCONNECT, as the kernel does for a process that was killed.
    drop(net);
    let will = subscriber.next();
    assert_eq!(will.topic, "edgerun/bench-07/status");
    assert_eq!(will.payload["state"], "offline");
    assert_eq!(will.payload["session"], identity.session.as_str());
}

#[test]
fn results_events_info_and_health_arrive_on_their_topics() {
    let Some(broker) = Mosquitto::start() else { return };
    let subscriber = Subscriber::new(broker.port(), ALL);
    let identity = identity();
    let net =
        net::start(settings(broker.port()), identity.clone(), Subscriptions::default()).unwrap();
    wait_connected(&net);
    let link = net.link();
    link.publish_info(&wire::Info { device: "bench-07".to_owned(), ..wire::Info::default() });
    link.publish_health(&wire::Health::default());
    let mut sink = net.publisher();
    sink.publish(inference(1)).unwrap();
    sink.event(label_changed("walking")).unwrap();

    let info = subscriber.on("edgerun/bench-07/info");
    assert_eq!((info.qos, &info.payload["device"]), (1, &"bench-07".into()));
    let health = subscriber.on("edgerun/bench-07/health");
    assert_eq!(health.payload["state"], "ok");
    let result = subscriber.on("edgerun/bench-07/result/gestures");
    assert_eq!(result.qos, 1);
    assert_eq!(result.payload["seq"], 1);
    assert_eq!(result.payload["session"], identity.session.as_str());
    assert_eq!(result.payload["time"], at(4000).rfc3339());
    assert_eq!(result.payload["result"]["label"], "walking");
    assert_eq!(result.payload.get("replayed"), None);
    let event = subscriber.on("edgerun/bench-07/event/gestures");
    assert_eq!((event.qos, &event.payload["event"]), (1, &"label_changed".into()));

    let retained = Subscriber::new(broker.port(), ALL);
    let mut kept: Vec<String> = (0..3).map(|_| retained.next().topic).collect();
    kept.sort();
    let expected = ["health", "info", "status"].map(|name| format!("edgerun/bench-07/{name}"));
    assert_eq!(kept, expected);
}

#[test]
fn the_broker_may_be_away_at_the_start() {
    let Some(mut broker) = Mosquitto::start() else { return };
    broker.stop();
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    sink.publish(inference(1)).unwrap();
    assert!(net.link().wait(PATIENCE, |state| state.last_error.is_some()));
    let said = net.state().last_error.unwrap();
    assert!(said.starts_with("cannot reach the broker at 127.0.0.1:"), "{said}");

    broker.start_again();
    wait_delivered(&net, 1);
    let state = net.state();
    assert_eq!((state.connected, state.reconnects, state.last_error), (true, 0, None));
}

#[test]
fn nothing_is_lost_and_the_order_holds_when_the_broker_restarts_under_load() {
    let Some(mut broker) = Plan::default().global(DATABASE).start() else { return };
    let subscriber = Subscriber::lasting(broker.port(), "edgerun/bench-07/result/#");
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    let mut publish = |seqs: std::ops::Range<u64>| {
        for seq in seqs {
            // The queue to the network is short, and this loop is faster than any pipeline.
            sink.publish(inference(seq)).unwrap();
            assert!(net.link().wait(PATIENCE, |state| state.queue < 200 || !state.connected));
        }
    };
    publish(0..100);
    for round in 1..=3 {
        let first = round * 100;
        // It is back from the round before.
        wait_delivered(&net, first - 50);
        publish(first..first + 25);
        broker.stop();
        publish(first + 25..first + 75);
        broker.start_again();
        publish(first + 75..first + 100);
    }
    wait_delivered(&net, 400);

    // Repeats are allowed at QoS 1; a repeat is never the first of its kind.
    let mut expected = 0;
    while expected < 400 {
        let message = subscriber.next();
        let seq = message.payload["seq"].as_u64().unwrap();
        assert!(seq <= expected, "{expected} is missing before {seq}");
        expected += u64::from(seq == expected);
    }
    let state = net.state();
    assert_eq!((state.acked, state.dropped, state.queue), (400, 0, 0));
    assert_eq!(state.reconnects, 3);
}

#[test]
fn best_effort_does_not_wait_and_a_stop_without_a_broker_says_what_it_leaves() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    wait_connected(&net);
    broker.stop();
    assert!(net.link().wait(PATIENCE, |state| !state.connected));
    let mut sink = net.publisher();
    sink.publish(inference(1)).unwrap();
    sink.clone().with_qos(Qos::AtMostOnce).publish(inference(2)).unwrap();
    assert!(net.link().wait(PATIENCE, |state| state.dropped == 1 && state.queue == 1));
    assert_eq!(net.stop(PATIENCE), Stopped::Left(1), "and without waiting for the broker");
    assert_eq!(sink.publish(inference(3)), Err(Rejected::Closed));
}

#[test]
fn a_full_outbox_gives_up_the_oldest_results_and_counts_each() {
    let Some(mut broker) = Plan::default().global(DATABASE).start() else { return };
    let subscriber = Subscriber::lasting(broker.port(), ALL);
    broker.stop();
    let mut small = settings(broker.port());
    small.outbox_bytes = 20_000;
    let net = net::start(small, identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    sink.event(label_changed("walking")).unwrap();
    for seq in 0..200 {
        sink.publish(inference(seq)).unwrap();
        assert!(net.link().wait(PATIENCE, |state| state.queue as u64 + state.dropped == seq + 2));
    }
    let dropped = net.state().dropped;
    assert!(dropped > 100, "{dropped}");

    broker.start_again();
    let event = subscriber.on("edgerun/bench-07/event/gestures");
    assert_eq!(event.payload["to"], "walking", "events outlive results");
    for seq in dropped..200 {
        let message = subscriber.on("edgerun/bench-07/result/gestures");
        assert_eq!(message.payload["seq"], seq);
        assert_eq!(message.payload["replayed"], true);
    }
    wait_delivered(&net, 201 - dropped);
    assert_eq!(net.state().dropped, dropped);
}

#[test]
fn a_refused_password_is_said_plainly_and_never_shown() {
    let Some(broker) = Plan::default()
        .user("bench-07", "right")
        .guarded("password_file {folder}/passwords\nallow_anonymous false")
        .start()
    else {
        return;
    };
    let mut wrong = settings(broker.guarded_port());
    wrong.username = Some("bench-07".to_owned());
    wrong.password = Some(Secret::new("hunter2"));
    let net = net::start(wrong.clone(), identity(), Subscriptions::default()).unwrap();
    assert!(net.link().wait(PATIENCE, |state| state.last_error.is_some()));
    let state = net.state();
    assert_eq!(
        state.last_error.as_deref(),
        Some(&*format!(
            "the broker at 127.0.0.1:{} refused user bench-07: check [mqtt] username and password",
            broker.guarded_port()
        ))
    );
    assert!(!state.connected);
    let probed = net::probe(&wrong).unwrap_err().to_string();
    assert_eq!(Some(probed), state.last_error);
    assert!(!format!("{wrong:?}").contains("hunter2"));

    let mut right = wrong;
    right.password = Some(Secret::new("right"));
    assert_eq!(net::probe(&right).unwrap(), Vec::<String>::new());
    let net = net::start(right, identity(), Subscriptions::default()).unwrap();
    wait_connected(&net);
}

#[test]
fn a_topic_that_the_broker_forbids_is_counted_and_named() {
    let Some(broker) = Plan::default()
        .file("acl", "topic write edgerun/bench-07/status\ntopic write edgerun/bench-07/result/#\n")
        .guarded("allow_anonymous true\nacl_file {folder}/acl")
        .start()
    else {
        return;
    };
    let net =
        net::start(settings(broker.guarded_port()), identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    sink.event(label_changed("walking")).unwrap();
    sink.publish(inference(1)).unwrap();
    wait_delivered(&net, 1);
    let state = net.state();
    assert_eq!((state.acked, state.refused, state.dropped, state.queue), (1, 1, 1, 0));
    let said = state.last_error.unwrap();
    assert!(said.contains("NotAuthorized: allow this device to write its own topics"), "{said}");
}

#[test]
fn a_broker_without_qos_1_and_retained_messages_still_gets_everything() {
    let Some(broker) = Plan::default()
        .global("retain_available false")
        .guarded("allow_anonymous true\nmax_qos 0")
        .start()
    else {
        return;
    };
    let net =
        net::start(settings(broker.guarded_port()), identity(), Subscriptions::default()).unwrap();
    net.publisher().publish(inference(1)).unwrap();
    wait_delivered(&net, 1);
    let remarks = net::probe(&settings(broker.guarded_port())).unwrap();
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    assert_eq!(net.stop(PATIENCE), Stopped::Flushed);
}

#[test]
fn two_boards_with_one_id_notice_each_other_and_fight_no_war() {
    let Some(broker) = Mosquitto::start() else { return };
    let board = || {
        let settings = settings(broker.port());
        net::start(settings, identity(), Subscriptions::default()).unwrap()
    };
    let boards = [board(), board()];
    for board in &boards {
        assert!(board.link().wait(PATIENCE, |state| state.twin), "{:?}", board.state());
        let state = board.state();
        // From then on it waits for a minute after each lost connection.
        assert!(state.reconnects < 20, "{} reconnects", state.reconnects);
    }
    // A board alone that lost its connection says nothing of the kind.
    drop(boards);
}

#[test]
fn a_board_that_is_alone_takes_its_own_last_will_for_its_own() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    for reconnects in 1..=3 {
        assert!(net.link().wait(PATIENCE, |state| state.connected));
        broker.start_again();
        assert!(net.link().wait(PATIENCE, |state| state.reconnects == reconnects));
    }
    assert!(!net.state().twin);
}

#[test]
fn a_broker_behind_a_websocket_gets_everything() {
    let plan = Plan::default().guarded("protocol websockets\nallow_anonymous true");
    let Some(broker) = plan.start() else { return };
    let subscriber = Subscriber::new(broker.port(), "edgerun/bench-07/result/gestures");
    for protocol in [Protocol::V5, Protocol::V311] {
        let mut settings = settings(broker.guarded_port());
        settings.websocket = Some("/mqtt".to_owned());
        settings.protocol = protocol;
        let net = net::start(settings, identity(), Subscriptions::default()).unwrap();
        net.publisher().publish(inference(7)).unwrap();
        assert_eq!(subscriber.next().payload["seq"], 7);
        assert_eq!(net.stop(PATIENCE), Stopped::Flushed);
    }
}
