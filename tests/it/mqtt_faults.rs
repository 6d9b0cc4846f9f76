//! A broker that stalls, cuts off or sets narrow limits is survived, and its limits are kept.

use std::time::Duration;

use edgerun::clock::Stopwatch;
use edgerun::net::{self, Subscriptions};
use edgerun::sink::{Qos, Sink};

use crate::support::PATIENCE;
use crate::support::device::{identity, inference, label_changed, settings};
use crate::support::proxy::{Proxy, Weather};
use crate::support::scripted_broker::{Peer, ScriptedBroker, maximum_packet_size, receive_maximum};

/// A fast broker's round trip is far below this: what has not come by then is not coming.
const SILENCE: Duration = Duration::from_millis(150);

fn take_birth(peer: &mut Peer) {
    let birth = peer.publish();
    assert!(birth.topic.ends_with("/status"), "{birth:?}");
    peer.puback(birth.packet_id);
}

#[test]
fn a_broker_that_accepts_and_never_answers_is_given_up_and_tried_again() {
    let broker = ScriptedBroker::new();
    let mut hasty = settings(broker.port());
    hasty.timing.connect = Duration::from_millis(200);
    let net = net::start(hasty, identity(), Subscriptions::default()).unwrap();
    net.publisher().publish(inference(1)).unwrap();

    let silent = broker.accept();
    let mut peer = broker.welcome(&[]);
    drop(silent);
    take_birth(&mut peer);
    assert_eq!(peer.publish_on("result").payload["seq"], 1);
}

#[test]
fn publishes_that_are_never_acknowledged_end_the_connection_and_go_again() {
    let broker = ScriptedBroker::new();
    let mut hasty = settings(broker.port());
    hasty.timing.ack = Duration::from_millis(300);
    let net = net::start(hasty, identity(), Subscriptions::default()).unwrap();
    net.publisher().publish(inference(1)).unwrap();

    let mut stalled = broker.welcome(&[]);
    while !stalled.publish().topic.contains("result") {}
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    let again = peer.publish_on("result");
    assert_eq!((&again.payload["seq"], &again.payload["replayed"]), (&1.into(), &true.into()));
    peer.puback(again.packet_id);
    assert!(net.link().wait(PATIENCE, |state| state.acked == 1));
    assert_eq!(net.state().reconnects, 1);
}

#[test]
fn a_line_that_only_looks_alive_is_found_by_its_unanswered_pings() {
    let broker = ScriptedBroker::new();
    let mut impatient = settings(broker.port());
    impatient.keep_alive = Duration::from_secs(5); // the least that the library takes
    let net = net::start(impatient, identity(), Subscriptions::default()).unwrap();
    let mut dead = broker.welcome(&[]);
    take_birth(&mut dead);
    // Nobody reads from `dead` any more, and it stays open.
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    assert!(net.link().wait(PATIENCE, |state| state.reconnects == 1));
    drop(dead);
}

#[test]
fn after_a_cut_the_oldest_unacknowledged_comes_first_and_the_order_holds() {
    let broker = ScriptedBroker::new();
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    assert!(net.link().wait(PATIENCE, |state| state.connected));
    for seq in 0..40 {
        sink.publish(inference(seq)).unwrap();
    }
    // Acknowledges 0, 1 and, out of turn, 4.
    let ids: Vec<u16> = (0..8).map(|_| peer.publish_on("result").packet_id).collect();
    for seq in [0, 4, 1] {
        peer.puback(ids[seq]);
    }
    assert!(net.link().wait(PATIENCE, |state| state.acked == 3));
    drop(peer);

    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    for expected in (2..40).filter(|seq| *seq != 4) {
        let published = peer.publish_on("result");
        assert_eq!(published.payload["seq"], expected);
        peer.puback(published.packet_id);
    }
    assert!(net.link().wait(PATIENCE, |state| state.acked == 40));
    assert_eq!((net.state().dropped, net.state().queue), (0, 0));
}

#[test]
fn never_more_is_under_way_than_the_broker_s_receive_maximum() {
    for (properties, window) in [(receive_maximum(3), 3), (receive_maximum(1), 1), (vec![], 16)] {
        let broker = ScriptedBroker::new();
        let net =
            net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
        let mut sink = net.publisher();
        for seq in 0..60 {
            sink.publish(inference(seq)).unwrap();
        }
        let mut peer = broker.welcome(&properties);
        take_birth(&mut peer);
        let mut open = std::collections::VecDeque::new();
        for expected in 0..60 {
            let published = peer.publish_on("result");
            assert_eq!(published.payload["seq"], expected);
            open.push_back(published.packet_id);
            if open.len() == window {
                if expected < window + 2 {
                    let more = peer.publish_within(SILENCE);
                    assert!(more.is_none(), "{window} are open, and here comes {more:?}");
                }
                peer.puback(open.pop_front().unwrap());
            }
        }
    }
}

#[test]
fn a_limit_that_shrinks_over_a_reconnect_is_kept() {
    let broker = ScriptedBroker::new();
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    for seq in 0..30 {
        sink.publish(inference(seq)).unwrap();
    }
    let mut peer = broker.welcome(&receive_maximum(20));
    take_birth(&mut peer);
    (0..10).for_each(|_| drop(peer.publish_on("result")));
    drop(peer);
    let mut peer = broker.welcome(&receive_maximum(2));
    take_birth(&mut peer);
    let first = peer.publish_on("result");
    let second = peer.publish_on("result");
    assert_eq!((&first.payload["seq"], &second.payload["seq"]), (&0.into(), &1.into()));
    assert!(peer.publish_within(SILENCE).is_none(), "two are open");
    peer.puback(first.packet_id);
    assert_eq!(peer.publish().payload["seq"], 2);
}

#[test]
fn a_message_that_is_too_large_for_the_broker_is_dropped_alone() {
    let broker = ScriptedBroker::new();
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    let mut peer = broker.welcome(&maximum_packet_size(600));
    take_birth(&mut peer);
    sink.event(label_changed(&"x".repeat(2000))).unwrap();
    sink.publish(inference(1)).unwrap();
    let published = peer.publish();
    assert_eq!(published.payload["seq"], 1);
    peer.puback(published.packet_id);
    assert!(net.link().wait(PATIENCE, |state| state.acked == 1));
    let state = net.state();
    assert_eq!((state.dropped, state.queue, state.reconnects), (1, 0, 0));
}

#[test]
fn nothing_goes_above_the_broker_s_qos_or_retained_where_it_keeps_nothing() {
    // Maximum QoS 0, retain not available: MQTT 5 section 3.2.2.3.
    for (properties, qos, retain) in [(&[0x24, 0, 0x25, 0][..], 0, false), (&[], 1, true)] {
        let broker = ScriptedBroker::new();
        let net =
            net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
        net.publisher().publish(inference(1)).unwrap();
        let mut peer = broker.welcome(properties);
        let birth = peer.publish();
        assert_eq!((birth.qos, birth.retain), (qos, retain));
        let result = peer.publish();
        assert_eq!((result.qos, result.retain), (qos, false));
        assert_eq!(result.payload["seq"], 1);
    }
}

#[test]
fn two_hundred_lost_connections_leave_no_thread_and_no_socket_behind() {
    let broker = ScriptedBroker::new();
    let mut hasty = settings(broker.port());
    hasty.timing.backoff_first = Duration::from_millis(1);
    hasty.timing.backoff_cap = Duration::from_millis(1);
    let net = net::start(hasty, identity(), Subscriptions::default()).unwrap();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let mut before = (0, 0);
    for round in 0..200 {
        let mut peer = broker.welcome(&[]);
        take_birth(&mut peer);
        if round == 10 {
            before = (open(), threads());
        }
    }
    let peer = broker.welcome(&[]);
    assert!(net.link().wait(PATIENCE, |state| state.connected));
    let after = (open(), threads());
    assert!(after.0 <= before.0 + 2 && after.1 <= before.1 + 1, "{before:?} became {after:?}");
    drop(peer);
}

#[test]
fn late_acknowledgements_and_a_cut_in_the_middle_lose_nothing() {
    let broker = ScriptedBroker::new();
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    let mut peer = broker.welcome(&receive_maximum(20));
    take_birth(&mut peer);
    let link = net.link();
    let flood = std::thread::spawn(move || {
        for seq in 0..400 {
            sink.publish(inference(seq)).unwrap();
            // The queue to the network's thread has places for 256.
            if seq % 100 == 99 {
                let taken = |state: &net::NetState| state.queue as u64 + state.acked > seq;
                assert!(link.wait(PATIENCE, taken));
            }
        }
    });
    // Each is acknowledged when fifteen more have come.
    let mut open = std::collections::VecDeque::new();
    for _ in 0..60 {
        open.push_back(peer.publish_on("result").packet_id);
        if open.len() == 16 {
            peer.puback(open.pop_front().unwrap());
        }
    }
    drop(peer);
    let mut peer = broker.welcome(&receive_maximum(20));
    take_birth(&mut peer);
    flood.join().unwrap();
    let mut last = None;
    while last != Some(399) {
        let result = peer.publish_on("result");
        peer.puback(result.packet_id);
        let seq = result.payload["seq"].as_u64().unwrap();
        assert!(last.map_or(seq <= 45, |last| seq == last + 1), "{seq} after {last:?}");
        last = Some(seq);
    }
    assert!(net.link().wait(PATIENCE, |state| state.queue == 0));
    assert_eq!((net.state().dropped, net.state().reconnects), (0, 1));
}

#[test]
fn a_packet_id_that_is_never_acknowledged_is_not_used_again_and_its_message_goes_once_more() {
    let broker = ScriptedBroker::new();
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    for seq in 0..40 {
        sink.publish(inference(seq)).unwrap();
    }
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    let ids: Vec<u16> = (0..16).map(|_| peer.publish_on("result").packet_id).collect();
    ids[1..].iter().for_each(|id| peer.puback(*id));
    assert!(net.link().wait(PATIENCE, |state| state.acked == 15));
    assert!(peer.publish_within(SILENCE).is_none(), "the window waits for the first");
    drop(peer);
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    for expected in [0].into_iter().chain(16..40) {
        let result = peer.publish_on("result");
        assert_eq!(result.payload["seq"], expected);
        peer.puback(result.packet_id);
    }
    assert!(net.link().wait(PATIENCE, |state| state.acked == 40 && state.queue == 0));
}

#[test]
fn a_peer_that_stops_reading_is_left_also_while_best_effort_results_pour_in() {
    let broker = ScriptedBroker::new();
    let mut impatient = settings(broker.port());
    impatient.keep_alive = Duration::from_secs(5); // the least that the library takes
    impatient.timing.ack = Duration::from_millis(300);
    let net = net::start(impatient, identity(), Subscriptions::default()).unwrap();
    let mut dead = broker.welcome(&[]);
    take_birth(&mut dead);
    let link = net.link();
    let flood = std::thread::spawn(move || {
        let mut sink = link.publisher().with_qos(Qos::AtMostOnce);
        // Until another connection stands. What the queue has no room for is dropped, as it should be.
        for seq in 0.. {
            if link.state().reconnects > 0 {
                return;
            }
            sink.publish(inference(seq)).ok();
            std::thread::yield_now();
        }
    });
    let mut peer = broker.welcome(&[]);
    take_birth(&mut peer);
    flood.join().unwrap();
    drop(dead);
}

#[test]
fn a_broker_that_is_away_is_tried_with_growing_pauses() {
    let proxy = Proxy::new(1, Weather::Down);
    let watch = Stopwatch::start();
    let _net = net::start(settings(proxy.port()), identity(), Subscriptions::default()).unwrap();
    while proxy.accepted() < 6 {
        std::thread::yield_now();
    }
    // At least the half of 20, 40, 80, 160 and 200 ms.
    assert!(watch.elapsed() >= Duration::from_millis(250), "{:?}", watch.elapsed());
}
