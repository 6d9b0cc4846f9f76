//! Home Assistant finds a board, its pipelines come and go there with the configuration, and a board that is not to
//! be found any more is forgotten.

use serde_json::{Value, json};

use crate::support::daemon::Board;
use crate::support::mosquitto::Mosquitto;
use crate::support::subscriber::Subscriber;

const TOPIC: &str = "homeassistant/device/board-1/config";

fn config(port: u16, discovery: bool, pipelines: &[&str]) -> String {
    let mut text = format!(
        r#"
        [device]
        id = "board-1"
        [mqtt]
        url = "mqtt://127.0.0.1:{port}"
        discovery = {discovery}
        [[sensor]]
        name = "imu"
        driver = "replay"
        path = "recording.csv"
        rate = "10 Hz"
        repeat = true
        "#
    );
    for name in pipelines {
        text += &format!(
            r#"
            [[pipeline]]
            name = "{name}"
            sensor = "imu"
            model = "{{models}}/gestures"
            window = {{ length = 40, stride = 40 }}
            "#
        );
    }
    text
}

#[test]
fn home_assistant_is_told_what_there_is_and_what_is_gone() {
    let Some(broker) = Mosquitto::start() else { return };
    let board = Board::new(&config(broker.port(), true, &["gestures", "rehearsal"]));
    board.record("gestures");
    let mut daemon = board.run(&[]);
    let home_assistant = Subscriber::new(broker.port(), "homeassistant/#");
    let first = home_assistant.on(TOPIC);
    assert_eq!(first.qos, 1);
    let entity = |payload: &Value, id: &str| payload["components"][id].clone();
    for name in ["gestures", "rehearsal"] {
        let result = entity(&first.payload, &format!("result-{name}"));
        assert_eq!(result["state_topic"], format!("edgerun/board-1/result/{name}"));
        assert_eq!(result["options"][0], "standing");
    }
    assert_eq!(first.payload["availability"][0]["topic"], "edgerun/board-1/status");
    assert_eq!(daemon.terminate(), Some(0));
    let late = Subscriber::new(broker.port(), "homeassistant/#");
    assert!(late.on(TOPIC).retained);

    board.configure(&config(broker.port(), true, &["gestures"]));
    let mut daemon = board.run(&[]);
    let gone = json!({ "platform": "sensor" });
    let second = home_assistant
        .until(|m| m.topic == TOPIC && m.payload["components"]["result-rehearsal"] == gone);
    assert_eq!(entity(&second.payload, "result-gestures")["name"], "gestures");
    assert_eq!(daemon.terminate(), Some(0));

    board.configure(&config(broker.port(), false, &["gestures"]));
    let mut daemon = board.run(&[]);
    // An empty payload clears the topic.
    home_assistant.until(|m| m.topic == TOPIC && m.payload.is_null());
    assert_eq!(daemon.terminate(), Some(0));
}
