//! JSON of results and events, as every consumer sees it: the MQTT topics and JSON lines alike.
//!
//! It is a word and not part of `net`, because sinks write it too and no room imports `net`. Keys are a
//! public interface (`docs/mqtt.md`, `docs/schema/`): a number that is not finite becomes `null`.

use serde::Serialize;

use super::{ClassShare, DetectedObject, Event, EventKind, Finding, Inference, Keypoint, Session};

/// Appends the JSON object of `found` to `out`, without a line end.
pub fn write_result(found: &Inference, session: &Session, out: &mut Vec<u8>) {
    write(&ResultView::new(found, session), out);
}

/// The JSON value of a result's `result`.
pub fn result(finding: &Finding) -> serde_json::Value {
    serde_json::to_value(FindingView::new(finding)).unwrap_or_default()
}

/// Appends the JSON object of `event` to `out`, without a line end.
pub fn write_event(event: &Event, session: &Session, out: &mut Vec<u8>) {
    write(&EventView::new(event, session), out);
}

fn write(view: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, view)
        .expect("a Vec takes every byte, and the views have no key that is not a string");
}

#[derive(Serialize)]
struct ResultView<'a> {
    time: String,
    clock: &'static str,
    session: &'a str,
    seq: u64,
    pipeline: &'a str,
    model: &'a str,
    version: &'a str,
    latency_us: u64,
    window: SpanView,
    result: FindingView<'a>,
}

impl<'a> ResultView<'a> {
    fn new(found: &'a Inference, session: &'a Session) -> Self {
        Self {
            time: found.window.end.rfc3339(),
            clock: found.window.end.clock.as_str(),
            session: session.as_str(),
            seq: found.seq,
            pipeline: &found.pipeline,
            model: &found.model,
            version: &found.version,
            latency_us: u64::try_from(found.latency.as_micros()).unwrap_or(u64::MAX),
            window: SpanView {
                start: found.window.start.rfc3339(),
                end: found.window.end.rfc3339(),
                frames: found.window.frames,
            },
            result: FindingView::new(&found.finding),
        }
    }
}

#[derive(Serialize)]
struct SpanView {
    start: String,
    end: String,
    frames: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum FindingView<'a> {
    Classification { label: Option<&'a str>, score: f32, top: Vec<ScoreView<'a>> },
    Regression { value: f32, unit: &'a str },
    Anomaly { score: f32, limit: f32, anomalous: bool },
    Action { action: &'a str, value: f32, values: &'a [f32] },
    Cluster { cluster: Option<&'a str>, distance: f32 },
    Vector { vector: &'a [f32] },
    Detection { objects: Vec<ObjectView<'a>> },
    Keypoints { points: Vec<PointView<'a>> },
    Segmentation { shares: Vec<ShareView<'a>> },
}

#[derive(Serialize)]
struct ObjectView<'a> {
    label: &'a str,
    score: f32,
    r#box: [f32; 4],
}

#[derive(Serialize)]
struct PointView<'a> {
    label: &'a str,
    score: f32,
    at: [f32; 2],
}

#[derive(Serialize)]
struct ShareView<'a> {
    label: &'a str,
    share: f32,
}

#[derive(Serialize)]
struct ScoreView<'a> {
    label: &'a str,
    score: f32,
}

impl<'a> FindingView<'a> {
    fn new(finding: &'a Finding) -> Self {
        match finding {
            Finding::Classification { label, score, top } => Self::Classification {
                label: label.as_deref(),
                score: *score,
                top: top.iter().map(|s| ScoreView { label: &s.label, score: s.score }).collect(),
            },
            Finding::Regression { value, unit } => Self::Regression { value: *value, unit },
            Finding::Anomaly { score, limit, anomalous } => {
                Self::Anomaly { score: *score, limit: *limit, anomalous: *anomalous }
            }
            Finding::Action { action, value, values } => {
                Self::Action { action, value: *value, values }
            }
            Finding::Cluster { cluster, distance } => {
                Self::Cluster { cluster: cluster.as_deref(), distance: *distance }
            }
            Finding::Vector { vector } => Self::Vector { vector },
            Finding::Detection { objects } => {
                let view = |object: &'a DetectedObject| {
                    let DetectedObject { label, score, area } = object;
                    ObjectView { label, score: *score, r#box: *area }
                };
                Self::Detection { objects: objects.iter().map(view).collect() }
            }
            Finding::Keypoints { points } => {
                let view = |point: &'a Keypoint| {
                    let Keypoint { label, score, at } = point;
                    PointView { label, score: *score, at: *at }
                };
                Self::Keypoints { points: points.iter().map(view).collect() }
            }
            Finding::Segmentation { shares } => {
                let view =
                    |class: &'a ClassShare| ShareView { label: &class.label, share: class.share };
                Self::Segmentation { shares: shares.iter().map(view).collect() }
            }
        }
    }
}

#[derive(Serialize)]
struct EventView<'a> {
    time: String,
    clock: &'static str,
    session: &'a str,
    pipeline: &'a str,
    #[serde(flatten)]
    kind: KindView<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum KindView<'a> {
    LabelChanged { from: Option<&'a str>, to: Option<&'a str> },
    ValueOutOfLimits { value: f32 },
    ValueWithinLimits { value: f32 },
    ValueJumped { from: f32, to: f32 },
    AnomalyBegan { score: f32 },
    AnomalyEnded { score: f32 },
    SensorLost { sensor: &'a str, reason: &'a str },
    SensorBack { sensor: &'a str, after_ms: u64 },
    SensorStuck { sensor: &'a str, reason: &'a str },
    SensorOutOfRange { sensor: &'a str, channel: &'a str, value: f32 },
    SensorInRange { sensor: &'a str, channel: &'a str, after_ms: u64 },
    NumbersSkipped { resumes_at: u64 },
}

fn whole_ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl<'a> EventView<'a> {
    fn new(event: &'a Event, session: &'a Session) -> Self {
        let kind = match &event.kind {
            EventKind::LabelChanged { from, to } => {
                KindView::LabelChanged { from: from.as_deref(), to: to.as_deref() }
            }
            EventKind::ValueOutOfLimits { value } => KindView::ValueOutOfLimits { value: *value },
            EventKind::ValueWithinLimits { value } => KindView::ValueWithinLimits { value: *value },
            EventKind::ValueJumped { from, to } => KindView::ValueJumped { from: *from, to: *to },
            EventKind::AnomalyBegan { score } => KindView::AnomalyBegan { score: *score },
            EventKind::AnomalyEnded { score } => KindView::AnomalyEnded { score: *score },
            EventKind::SensorLost { sensor, reason } => KindView::SensorLost { sensor, reason },
            EventKind::SensorBack { sensor, after } => {
                KindView::SensorBack { sensor, after_ms: whole_ms(*after) }
            }
            EventKind::SensorStuck { sensor, reason } => KindView::SensorStuck { sensor, reason },
            EventKind::SensorOutOfRange { sensor, channel, value } => {
                KindView::SensorOutOfRange { sensor, channel, value: *value }
            }
            EventKind::SensorInRange { sensor, channel, after } => {
                KindView::SensorInRange { sensor, channel, after_ms: whole_ms(*after) }
            }
            EventKind::NumbersSkipped { resumes_at } => {
                KindView::NumbersSkipped { resumes_at: *resumes_at }
            }
        };
        Self {
            time: event.time.rfc3339(),
            clock: event.time.clock.as_str(),
            session: session.as_str(),
            pipeline: &event.pipeline,
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::data::{ClockState, ScoredLabel, Timestamp, WindowSpan};

    fn at(ms: u64) -> Timestamp {
        Timestamp {
            since_epoch: Duration::from_millis(1_700_000_000_000 + ms),
            clock: ClockState::Synced,
        }
    }

    fn inference(finding: Finding) -> Inference {
        Inference {
            pipeline: "gestures".into(),
            seq: 7,
            model: "gestures".into(),
            version: "1.0.0".into(),
            latency: Duration::from_micros(412),
            window: WindowSpan { start: at(0), end: at(3900), frames: 40 },
            finding,
        }
    }

    fn result_json(finding: Finding) -> String {
        let mut out = Vec::new();
        write_result(&inference(finding), &Session::from_bits([0xab; 16]), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn event_json(kind: EventKind) -> String {
        let event = Event { pipeline: "gestures".into(), time: at(0), kind };
        let mut out = Vec::new();
        write_event(&event, &Session::from_bits([0xab; 16]), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_classification_carries_the_contract_s_keys_in_order() {
        let finding = Finding::Classification {
            label: Some("walking".into()),
            score: 0.97,
            top: vec![ScoredLabel { label: "walking".into(), score: 0.97 }],
        };
        assert_eq!(
            result_json(finding),
            concat!(
                r#"{"time":"2023-11-14T22:13:23.900Z","clock":"synced","#,
                r#""session":"abababababababababababababababab","seq":7,"pipeline":"gestures","#,
                r#""model":"gestures","version":"1.0.0","latency_us":412,"#,
                r#""window":{"start":"2023-11-14T22:13:20.000Z","end":"2023-11-14T22:13:23.900Z","#,
                r#""frames":40},"result":{"label":"walking","score":0.97,"#,
                r#""top":[{"label":"walking","score":0.97}]}}"#
            )
        );
    }

    #[test]
    fn no_label_and_no_finite_number_are_null() {
        let none = Finding::Classification { label: None, score: f32::NAN, top: Vec::new() };
        assert!(result_json(none).ends_with(r#""result":{"label":null,"score":null,"top":[]}}"#));
        let value = Finding::Regression { value: f32::INFINITY, unit: "°C".into() };
        assert!(result_json(value).ends_with(r#""result":{"value":null,"unit":"°C"}}"#));
    }

    #[test]
    fn an_anomaly_says_score_limit_and_verdict() {
        let finding = Finding::Anomaly { score: 11.5, limit: 10.0, anomalous: true };
        assert!(
            result_json(finding)
                .ends_with(r#""result":{"score":11.5,"limit":10.0,"anomalous":true}}"#)
        );
    }

    #[test]
    fn a_detection_has_a_box_for_each_object() {
        let (label, area) = ("cup".into(), [0.25, 0.0, 0.5, 1.0]);
        let objects = vec![DetectedObject { label, score: 0.5, area }];
        assert!(result_json(Finding::Detection { objects }).ends_with(
            r#""result":{"objects":[{"label":"cup","score":0.5,"box":[0.25,0.0,0.5,1.0]}]}}"#
        ));
        let points = vec![Keypoint { label: "nose".into(), score: 0.5, at: [0.25, 0.75] }];
        assert!(
            result_json(Finding::Keypoints { points }).ends_with(
                r#""result":{"points":[{"label":"nose","score":0.5,"at":[0.25,0.75]}]}}"#
            )
        );
        let shares = vec![ClassShare { label: "road".into(), share: 0.5 }];
        assert!(
            result_json(Finding::Segmentation { shares })
                .ends_with(r#""result":{"shares":[{"label":"road","share":0.5}]}}"#)
        );
    }

    #[test]
    fn actions_clusters_and_vectors_have_their_own_keys() {
        let values = vec![-1.0, 2.0];
        let action = Finding::Action { action: "open".into(), value: 2.0, values };
        assert!(
            result_json(action)
                .ends_with(r#""result":{"action":"open","value":2.0,"values":[-1.0,2.0]}}"#)
        );
        let cluster = Finding::Cluster { cluster: None, distance: 3.5 };
        assert!(result_json(cluster).ends_with(r#""result":{"cluster":null,"distance":3.5}}"#));
        let vector = Finding::Vector { vector: vec![0.5, -0.25] };
        assert!(result_json(vector).ends_with(r#""result":{"vector":[0.5,-0.25]}}"#));
    }

    #[test]
    fn an_event_names_what_happened_beside_its_particulars() {
        let changed = EventKind::LabelChanged { from: None, to: Some("walking".into()) };
        assert!(event_json(changed).ends_with(
            r#""pipeline":"gestures","event":"label_changed","from":null,"to":"walking"}"#
        ));
        let back =
            EventKind::SensorBack { sensor: "imu".into(), after: Duration::from_millis(1500) };
        assert!(
            event_json(back).ends_with(r#""event":"sensor_back","sensor":"imu","after_ms":1500}"#)
        );
    }
}
