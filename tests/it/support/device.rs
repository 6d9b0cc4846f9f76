//! A device with a pipeline, as the network room sees it.

use std::time::Duration;

use edgerun::data::{
    ClockState, Event, EventKind, Finding, Inference, ScoredLabel, Timestamp, WindowSpan,
};
use edgerun::net::{Identity, MqttSettings, Timing, new_session};

/// A moment of the recording, in ms after its start.
pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp {
        since_epoch: Duration::from_millis(1_795_600_000_000 + ms),
        clock: ClockState::Synced,
    }
}

/// The device `bench-07` in a new run.
pub(crate) fn identity() -> Identity {
    Identity {
        device: "bench-07".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        session: new_session().expect("random bits"),
        since: at(0),
    }
}

/// A broker on loopback, with pauses short enough for tests.
pub(crate) fn settings(port: u16) -> MqttSettings {
    let mut settings = MqttSettings::new("127.0.0.1", port, "bench-07");
    settings.timing = Timing {
        backoff_first: Duration::from_millis(20),
        backoff_cap: Duration::from_millis(200),
        ..Timing::default()
    };
    settings
}

/// Result number `seq` of the pipeline `gestures`.
pub(crate) fn inference(seq: u64) -> Inference {
    Inference {
        pipeline: "gestures".into(),
        seq,
        model: "gestures".into(),
        version: "1.0.0".into(),
        latency: Duration::from_micros(412),
        window: WindowSpan { start: at(seq * 100), end: at(seq * 100 + 3900), frames: 40 },
        finding: Finding::Classification {
            label: Some("walking".into()),
            score: 0.97,
            top: vec![
                ScoredLabel { label: "walking".into(), score: 0.97 },
                ScoredLabel { label: "running".into(), score: 0.03 },
            ],
        },
    }
}

/// The pipeline's label becomes `to`.
pub(crate) fn label_changed(to: &str) -> Event {
    Event {
        pipeline: "gestures".into(),
        time: at(3900),
        kind: EventKind::LabelChanged { from: None, to: Some(to.into()) },
    }
}
