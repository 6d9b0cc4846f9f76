//! The public interface on the broker: topics, and the payloads that concern the device or a model as a whole.
//!
//! Results and events are written by [`crate::data::payload`]. Keys and topics are versioned by
//! `CHANGELOG.md`, described in `docs/mqtt.md` and checked against `docs/schema/`.

pub mod command;
mod desired;
mod discovery;
mod fetch;
mod health;
mod info;
mod log_line;
mod reported;
mod status;

pub use desired::{DESIRED_BYTES_MAX, Desired, Effective, NotDesired, Said, effective};
pub use discovery::{Discovery, Platforms, topic as discovery_topic};
pub use fetch::{CHUNK_BYTES_MAX, Chunk, FetchRequest, NoPart, Part};
pub use health::{
    Board, Health, MqttHealth, PipelineHealth, ProblemHealth, Process, SensorHealth, SensorState,
    SinkHealth, Verdict, ZoneHealth,
};
pub use info::{ChannelInfo, Hardware, Info, PipelineInfo, SensorInfo};
pub use log_line::LogLine;
pub use reported::{Progress, Reported, ReportedBundle, ReportedFailure};
pub use status::{DeviceState, Status};

use serde::Serialize;

/// The topics of one device: `[PREFIX/]edgerun/DEVICE/…`, and of groups: `[PREFIX/]edgerun/group/GROUP/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    base: String,
    root: String,
}

impl Topics {
    /// The topics of `device`, below `prefix` where brokers are shared between tenants.
    pub fn new(prefix: Option<&str>, device: &str) -> Self {
        let base = match prefix.map(|prefix| prefix.trim_matches('/')) {
            None | Some("") => "edgerun".to_owned(),
            Some(prefix) => format!("{prefix}/edgerun"),
        };
        Self { root: format!("{base}/{device}"), base }
    }

    /// Retained: whether the device is there. Also the last will.
    pub fn status(&self) -> String {
        self.of_device("status")
    }

    /// Retained: what the device is and can do.
    pub fn info(&self) -> String {
        self.of_device("info")
    }

    /// Retained: how it is doing.
    pub fn health(&self) -> String {
        self.of_device("health")
    }

    /// Retained, from outside: which version of `model` the device is to run. `+` for every model.
    pub fn desired(&self, model: &str) -> String {
        format!("{}/model/{model}/desired", self.root)
    }

    /// Retained, from outside: which version of `model` every device of `group` is to run.
    pub fn group_desired(&self, group: &str, model: &str) -> String {
        format!("{}/group/{group}/model/{model}/desired", self.base)
    }

    /// Retained: which version of `model` runs, and how its updates go.
    pub fn reported(&self, model: &str) -> String {
        format!("{}/model/{model}/reported", self.root)
    }

    /// Which part of a file of the update repository the device asks for.
    pub fn fetch_request(&self) -> String {
        self.of_device("fetch/request")
    }

    /// From outside: parts of such files.
    pub fn fetch_chunk(&self) -> String {
        self.of_device("fetch/chunk")
    }

    /// From outside: that the device is to do what `verb` says. `+` for every verb.
    pub fn command(&self, verb: &str) -> String {
        format!("{}/cmd/{verb}", self.root)
    }

    /// From outside: that every device of `group` is to do what `verb` says.
    pub fn group_command(&self, group: &str, verb: &str) -> String {
        format!("{}/group/{group}/cmd/{verb}", self.base)
    }

    /// What came of a command, where it named no other topic.
    pub fn command_response(&self, verb: &str) -> String {
        format!("{}/cmd/{verb}/response", self.root)
    }

    /// What the response topics of commands begin with.
    pub fn replies(&self) -> String {
        format!("{}/reply/", self.base)
    }

    /// Warnings and errors, where that is configured.
    pub fn log(&self) -> String {
        self.of_device("log")
    }

    /// A topic of the device as a whole.
    pub(super) fn of_device(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    /// What `pipeline` finds.
    pub fn result(&self, pipeline: &str) -> String {
        format!("{}/result/{pipeline}", self.root)
    }

    /// What changes at `pipeline`.
    pub fn event(&self, pipeline: &str) -> String {
        format!("{}/event/{pipeline}", self.root)
    }
}

/// The JSON of one of this module's payloads.
pub fn json(payload: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(payload).expect("payloads are plain structs with string keys")
}

/// Adds `"replayed":true` to a payload that is sent again, or late because the broker was away.
///
/// `payload` is a JSON object, as all of ours are; anything else is left as it is.
pub fn mark_replayed(payload: &mut Vec<u8>) {
    if payload.last() != Some(&b'}') {
        return;
    }
    payload.pop();
    let separator = if payload.last() == Some(&b'{') { "" } else { "," };
    payload.extend_from_slice(separator.as_bytes());
    payload.extend_from_slice(br#""replayed":true}"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_stand_below_the_device_and_an_optional_prefix() {
        let topics = Topics::new(None, "bench-07");
        assert_eq!(topics.status(), "edgerun/bench-07/status");
        assert_eq!(topics.result("gestures"), "edgerun/bench-07/result/gestures");
        let tenant = Topics::new(Some("tenant-a/"), "bench-07");
        assert_eq!(tenant.event("gestures"), "tenant-a/edgerun/bench-07/event/gestures");
        assert_eq!(topics.desired("+"), "edgerun/bench-07/model/+/desired");
        assert_eq!(topics.reported("gestures"), "edgerun/bench-07/model/gestures/reported");
        assert_eq!(
            tenant.group_desired("line-3", "gestures"),
            "tenant-a/edgerun/group/line-3/model/gestures/desired"
        );
    }

    #[test]
    fn a_replayed_payload_says_so_and_stays_json() {
        let mut payload = br#"{"seq":1}"#.to_vec();
        mark_replayed(&mut payload);
        assert_eq!(payload, br#"{"seq":1,"replayed":true}"#);
        let mut empty = b"{}".to_vec();
        mark_replayed(&mut empty);
        assert_eq!(empty, br#"{"replayed":true}"#);
    }
}
