//! The access rules of `examples/mosquitto.acl`: a board can do all that it must, and nothing for others.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edgerun::data::{Secret, Verb};
use edgerun::net::wire::{Chunk, FetchRequest, NoPart};
use edgerun::net::{self, MqttSettings, NotGiven, Subscriptions};
use edgerun::sink::Sink;

use crate::support::PATIENCE;
use crate::support::daemon::root;
use crate::support::device::{identity, inference, settings};
use crate::support::mosquitto::{Mosquitto, Plan};
use crate::support::subscriber::{Subscriber, publish_retained};

/// Guarded as the example says, with one user; the other port is the test's own.
fn guarded(user: &str) -> Option<Mosquitto> {
    let rules = fs::read_to_string(root().join("examples/mosquitto.acl")).unwrap();
    Plan::default()
        .guarded("allow_anonymous false\npassword_file {folder}/passwords\nacl_file {folder}/acl")
        .file("acl", &rules)
        .user(user, "secret")
        .start()
}

fn login(broker: &Mosquitto, user: &str) -> MqttSettings {
    MqttSettings {
        username: Some(user.to_owned()),
        password: Some(Secret::new("secret")),
        ..settings(broker.guarded_port())
    }
}

#[test]
fn a_board_may_do_all_that_it_must() {
    let Some(broker) = guarded("bench-07") else { return };
    let seen = Subscriber::new(broker.port(), "edgerun/bench-07/#");
    let subscriptions = Subscriptions {
        models: vec!["gestures".to_owned()],
        groups: vec!["line-3".to_owned()],
        files: true,
        commands: Verb::USUAL.to_vec(),
        inputs: Vec::new(),
    };
    let board = net::start(login(&broker, "bench-07"), identity(), subscriptions).unwrap();
    seen.on("edgerun/bench-07/status");
    let home_assistant = Subscriber::new(broker.port(), "homeassistant/#");
    board.link().publish_discovery("homeassistant/device/bench-07/config", b"{}".to_vec());
    home_assistant.on("homeassistant/device/bench-07/config");
    board.publisher().publish(inference(1)).unwrap();
    seen.on("edgerun/bench-07/result/gestures");
    let wishes = board.link().wishes();
    for (topic, version) in [("group/line-3", "1.0.0"), ("bench-07", "1.1.0")] {
        let seen = wishes.changes();
        let wish = format!("{{\"version\":\"{version}\"}}");
        publish_retained(broker.port(), &format!("edgerun/{topic}/model/gestures/desired"), &wish);
        assert!(wishes.wait(seen, PATIENCE) > seen, "{topic} is not heard");
    }

    // Somebody who serves the repository, from the test's own port.
    let (stop, stopped) = (Arc::new(AtomicBool::new(false)), settings(broker.port()));
    let serving = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let settings = MqttSettings { client_id: "models".to_owned(), ..stopped };
            let mut answer = |topic: &str, payload: &[u8]| {
                let FetchRequest { id, .. } = FetchRequest::parse(payload)?;
                let board = topic.strip_suffix("/fetch/request")?;
                let none = Chunk { id, part: Err(NoPart::NotFound) };
                Some((format!("{board}/fetch/chunk"), none.encode()))
            };
            net::respond(settings, "edgerun/+/fetch/request", &mut answer, &stop)
        }
    });
    let answered = board.link().files().ask("metadata/2.root.json", 0, 100, PATIENCE, &|| false);
    assert_eq!(answered, Err(NotGiven::Refused(NoPart::NotFound)));
    stop.store(true, Ordering::Release);
    serving.join().unwrap().unwrap();
    let state = board.state();
    assert_eq!((state.last_error, state.refused), (None, 0));
}

#[test]
fn a_board_may_say_and_hear_nothing_for_another() {
    let Some(broker) = guarded("bench-08") else { return };
    // A stolen board that says it is another one.
    let subscriptions = Subscriptions { models: vec!["gestures".to_owned()], ..Default::default() };
    let liar = net::start(login(&broker, "bench-08"), identity(), subscriptions).unwrap();
    assert!(liar.link().wait(PATIENCE, |state| state.last_error.is_some()));
    let said = liar.state().last_error.unwrap();
    assert!(said.contains("refused") && said.contains("NotAuthorized"), "{said}");
    // What it hears of others: mosquitto takes a subscription that it will not serve from its command line
    // client, and says nothing on it.
    publish_retained(broker.port(), "edgerun/bench-07/model/gestures/desired", "{}");
    publish_retained(broker.port(), "edgerun/bench-08/model/gestures/desired", "{}");
    let heard = Command::new("mosquitto_sub")
        .args(["-V", "5", "-h", "127.0.0.1", "-p", &broker.guarded_port().to_string()])
        .args(["-u", "bench-08", "-P", "secret", "-t", "edgerun/bench-07/model/+/desired"])
        .args(["-t", "edgerun/bench-08/model/+/desired", "-F", "%t", "-C", "1"])
        .args(["-W", &Duration::from_secs(30).as_secs().to_string()])
        .output()
        .unwrap();
    let heard = String::from_utf8_lossy(&heard.stdout);
    assert_eq!(heard.trim(), "edgerun/bench-08/model/gestures/desired");
}
