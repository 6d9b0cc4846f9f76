//! The promises that are kept with mosquitto, with brokers that differ: ejabberd (MQTT 5) and nats-server (MQTT 3.1.1
//! only).

use std::time::Duration;

use edgerun::data::Secret;
use edgerun::net::{self, MqttSettings, Protocol, SpoolSettings, Subscriptions, wire};
use edgerun::sink::Sink;

use crate::support::PATIENCE;
use crate::support::brokers::Broker;
use crate::support::device::{identity, inference, label_changed, settings};
use crate::support::subscriber::{Client, Subscriber};

fn with(port: u16, client: Client, dir: &tempfile::TempDir) -> MqttSettings {
    let mut settings = settings(port);
    settings.protocol = if client.version == "311" { Protocol::V311 } else { Protocol::V5 };
    settings.username = client.user.map(str::to_owned);
    settings.password = client.user.map(|_| Secret::new("any"));
    settings.spool = Some(SpoolSettings {
        dir: dir.path().to_owned(),
        bytes_max: 4 << 20,
        commit: Duration::from_secs(5),
        each: false,
    });
    settings
}

/// Says who it is, delivers in order, hears wishes; after the broker was killed, delivers what came meanwhile.
fn promises(mut broker: Broker, client: Client) {
    let dir = tempfile::tempdir().unwrap();
    let subscriptions =
        Subscriptions { models: vec!["gestures".to_owned()], ..Subscriptions::default() };
    let everything = Subscriber::of(client, broker.port(), "edgerun/bench-07/#");
    let settings = with(broker.port(), client, &dir);
    let net = net::start(settings, identity(), subscriptions).unwrap();
    let mut sink = net.publisher();
    assert!(net.link().wait(PATIENCE, |state| state.connected), "{:?}", net.state());
    net.link().publish_info(&wire::Info::default());
    assert_eq!(everything.on("edgerun/bench-07/status").payload["state"], "online");
    for seq in 0..40 {
        sink.publish(inference(seq)).unwrap();
    }
    sink.event(label_changed("walking")).unwrap();
    for seq in 0..40 {
        let result = everything.on("edgerun/bench-07/result/gestures");
        assert_eq!((&result.payload["seq"], result.qos), (&seq.into(), 1));
    }
    assert_eq!(everything.on("edgerun/bench-07/event/gestures").payload["to"], "walking");
    let link = net.link();
    let seen = link.wishes().changes();
    let wish = r#"{"version":"1.2.3"}"#;
    client.publish_retained(broker.port(), "edgerun/bench-07/model/gestures/desired", wish);
    assert_ne!(link.wishes().wait(seen, PATIENCE), seen);
    assert_eq!(link.wishes().of("gestures").desired.unwrap().version.unwrap().to_string(), "1.2.3");
    drop(everything);

    broker.kill();
    assert!(link.wait(PATIENCE, |state| !state.connected));
    for seq in 40..60 {
        sink.publish(inference(seq)).unwrap();
    }
    sink.event(label_changed("running")).unwrap();
    broker.start();
    assert!(link.wait(PATIENCE, |state| state.connected && state.queue == 0), "{:?}", net.state());
    let state = net.state();
    assert_eq!((state.acked, state.dropped), (40 + 1 + 20 + 1, 0));
    // The last will is the broker's to say when the line is cut.
    let status = Subscriber::of(client, broker.port(), "edgerun/bench-07/status");
    assert_eq!(status.next().payload["state"], "online");
    drop(net);
    assert_eq!(status.next().payload["state"], "offline");
}

#[test]
fn ejabberd_gets_everything() {
    let Some(broker) = Broker::ejabberd() else { return };
    promises(broker, Client { version: "5", user: Some("bench-07") });
}

#[test]
fn a_broker_that_speaks_mqtt_3_1_1_only_gets_everything() {
    let Some(broker) = Broker::nats() else { return };
    promises(broker, Client { version: "311", user: None });
}

#[test]
fn a_broker_of_the_other_protocol_is_named_with_the_key_to_set() {
    let Some(broker) = Broker::nats() else { return };
    let net = net::start(settings(broker.port()), identity(), Subscriptions::default()).unwrap();
    let said = |state: &net::NetState| {
        state.last_error.as_deref().is_some_and(|error| error.contains("[mqtt] protocol = 4"))
    };
    assert!(net.link().wait(PATIENCE, said), "{:?}", net.state().last_error);
}
