//! What a pipeline finds: one inference a window, and events where something changes.

use std::sync::Arc;
use std::time::Duration;

use super::Timestamp;

/// The stretch of the stream that an inference was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpan {
    /// Wall-clock time of the first sample.
    pub start: Timestamp,
    /// Wall-clock time of the last sample.
    pub end: Timestamp,
    /// Number of frames.
    pub frames: usize,
}

/// A label with its score, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredLabel {
    /// The label's text.
    pub label: Arc<str>,
    /// 0 to 1.
    pub score: f32,
}

/// What postprocessing made of the model's output, by kind of task.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// One label of several. `label` is `None` while no class has reached the threshold.
    Classification {
        /// The label after threshold, hysteresis and hold.
        label: Option<Arc<str>>,
        /// The score of `label`, or the highest one without a label; 0 to 1.
        score: f32,
        /// The highest scores of this window, best first.
        top: Vec<ScoredLabel>,
    },
    /// A number.
    Regression {
        /// In `unit`.
        value: f32,
        /// SI symbol, empty when the model has none.
        unit: Arc<str>,
    },
    /// A distance from normal.
    Anomaly {
        /// 0 and above; the unit is the model's own.
        score: f32,
        /// Above it the window is anomalous.
        limit: f32,
        /// After hysteresis and hold.
        anomalous: bool,
    },
}

impl Finding {
    /// Whether label, value or alarm are those of `other`; scores may differ.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Classification { label: a, .. }, Self::Classification { label: b, .. }) => {
                a == b
            }
            (Self::Regression { value: a, .. }, Self::Regression { value: b, .. }) => a == b,
            (Self::Anomaly { anomalous: a, .. }, Self::Anomaly { anomalous: b, .. }) => a == b,
            (Self::Classification { .. } | Self::Regression { .. } | Self::Anomaly { .. }, _) => {
                false
            }
        }
    }

    /// Whether the score of its label, its value or its score is at least `limit`.
    pub fn reaches(&self, limit: f32) -> bool {
        match self {
            Self::Classification { label, score, .. } => label.is_some() && *score >= limit,
            Self::Regression { value, .. } => *value >= limit,
            Self::Anomaly { score, .. } => *score >= limit,
        }
    }
}

/// One result of one pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// Never used twice by this pipeline, also over restarts.
    pub seq: u64,
    /// The model's name.
    pub model: Arc<str>,
    /// The model's version.
    pub version: Arc<str>,
    /// Preprocess, engine and postprocess together.
    pub latency: Duration,
    /// What it was made from.
    pub window: WindowSpan,
    /// What was found.
    pub finding: Finding,
}

/// A transition or an alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The pipeline that it concerns.
    pub pipeline: Arc<str>,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// What an [`Event`] says.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// The classification's label is another one; `None` is "no class above the threshold".
    LabelChanged {
        /// Before.
        from: Option<Arc<str>>,
        /// Now.
        to: Option<Arc<str>>,
    },
    /// The anomaly score rose above its limit.
    AnomalyBegan {
        /// The score that did it.
        score: f32,
    },
    /// The anomaly score fell below its limit again.
    AnomalyEnded {
        /// The score that did it.
        score: f32,
    },
    /// A sensor stopped answering.
    SensorLost {
        /// Its name in the configuration.
        sensor: Arc<str>,
        /// What its bus or driver said.
        reason: String,
    },
    /// A lost sensor answers again.
    SensorBack {
        /// Its name in the configuration.
        sensor: Arc<str>,
        /// How long it was away.
        after: Duration,
    },
    /// A sensor answers with values that have not changed for too long.
    SensorStuck {
        /// Its name in the configuration.
        sensor: Arc<str>,
        /// What was seen.
        reason: String,
    },
    /// A sensor's channel is outside of what the device can measure.
    SensorOutOfRange {
        /// Its name in the configuration.
        sensor: Arc<str>,
        /// The channel's name.
        channel: String,
        /// The first value, in the channel's unit; infinite where it is not known.
        value: f32,
    },
    /// The channel is within its range again.
    SensorInRange {
        /// Its name in the configuration.
        sensor: Arc<str>,
        /// The channel's name.
        channel: String,
        /// Since it left the range.
        after: Duration,
    },
    /// The run before ended without a stop: numbers were passed over, and results of its last moments may be
    /// missing among them.
    NumbersSkipped {
        /// The first number of this run.
        resumes_at: u64,
    },
}

/// Why a sink did not take something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Its queue is full, and something older was given up for this.
    #[error("the queue was full; its oldest entry was dropped")]
    DroppedOldest,
    /// The other end is gone: the daemon is stopping.
    #[error("the other end is closed")]
    Closed,
}
