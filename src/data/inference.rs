//! What a pipeline finds: one inference a window, and events where something changes.

use std::sync::Arc;
use std::time::Duration;

use super::{Placement, Timestamp};

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
    /// What a policy would do.
    Action {
        /// The action of the highest value, after hold.
        action: Arc<str>,
        /// Its value in this window.
        value: f32,
        /// Of every action, by index.
        values: Vec<f32>,
    },
    /// A group that the window belongs to.
    Cluster {
        /// The nearest one, after hold; `None` where none is near enough.
        cluster: Option<Arc<str>>,
        /// To that one, or to the nearest without one; the unit is the model's own.
        distance: f32,
    },
    /// The model's numbers, as of an embedding.
    Vector {
        /// In the model's order.
        vector: Vec<f32>,
    },
    /// Objects in a picture.
    Detection {
        /// Best first.
        objects: Vec<DetectedObject>,
    },
    /// Points of a body, a hand, a face.
    Keypoints {
        /// In the model's order; those below the threshold are left out.
        points: Vec<Keypoint>,
    },
    /// What a picture is made of.
    Segmentation {
        /// Largest first.
        shares: Vec<ClassShare>,
    },
}

/// An object in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectedObject {
    /// Its class.
    pub label: Arc<str>,
    /// 0 to 1.
    pub score: f32,
    /// Left, top, right, bottom, 0 to 1 of the picture; beyond these where it is cut off by the picture's edge.
    pub area: [f32; 4],
}

/// A named point in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Keypoint {
    /// What it is.
    pub label: Arc<str>,
    /// 0 to 1.
    pub score: f32,
    /// x and y, 0 to 1 of the picture's width and height.
    pub at: [f32; 2],
}

/// How much of a picture a class covers.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassShare {
    /// The class.
    pub label: Arc<str>,
    /// 0 to 1.
    pub share: f32,
}

impl Finding {
    /// Whether label, value, alarm or what is in the picture are those of `other`; scores may differ.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Classification { label: a, .. }, Self::Classification { label: b, .. }) => {
                a == b
            }
            (Self::Regression { value: a, .. }, Self::Regression { value: b, .. }) => a == b,
            (Self::Anomaly { anomalous: a, .. }, Self::Anomaly { anomalous: b, .. }) => a == b,
            (Self::Action { action: a, .. }, Self::Action { action: b, .. }) => a == b,
            (Self::Cluster { cluster: a, .. }, Self::Cluster { cluster: b, .. }) => a == b,
            (Self::Vector { vector: a }, Self::Vector { vector: b }) => a == b,
            (Self::Detection { .. }, Self::Detection { .. })
            | (Self::Keypoints { .. }, Self::Keypoints { .. })
            | (Self::Segmentation { .. }, Self::Segmentation { .. }) => {
                self.labels_in_order() == other.labels_in_order()
            }
            (
                Self::Classification { .. }
                | Self::Regression { .. }
                | Self::Anomaly { .. }
                | Self::Action { .. }
                | Self::Cluster { .. }
                | Self::Vector { .. }
                | Self::Detection { .. }
                | Self::Keypoints { .. }
                | Self::Segmentation { .. },
                _,
            ) => false,
        }
    }

    /// Labels of what is in a picture, each as often as it is there, in alphabetical order: boxes move, and shares change, with
    /// every picture.
    fn labels_in_order(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = match self {
            Self::Detection { objects } => objects.iter().map(|object| &*object.label).collect(),
            Self::Keypoints { points } => points.iter().map(|point| &*point.label).collect(),
            Self::Segmentation { shares } => shares.iter().map(|class| &*class.label).collect(),
            _ => Vec::new(),
        };
        labels.sort_unstable();
        labels
    }

    /// The same with boxes and points of the picture and not of the model's input.
    pub fn placed(mut self, place: &Placement) -> Self {
        match &mut self {
            Self::Detection { objects } => {
                for object in objects {
                    let [left, top, right, bottom] = object.area;
                    let [left, top] = place.in_picture([left, top]);
                    let [right, bottom] = place.in_picture([right, bottom]);
                    object.area = [left, top, right, bottom];
                }
            }
            Self::Keypoints { points } => {
                points.iter_mut().for_each(|point| point.at = place.in_picture(point.at));
            }
            _ => {}
        }
        self
    }

    /// Whether the score of its label, its value, its score, or one of its scores or shares is at least `limit`.
    pub fn reaches(&self, limit: f32) -> bool {
        match self {
            Self::Classification { label, score, .. } => label.is_some() && *score >= limit,
            Self::Regression { value, .. } => *value >= limit,
            Self::Anomaly { score, .. } => *score >= limit,
            Self::Action { value, .. } => *value >= limit,
            Self::Cluster { distance, .. } => *distance >= limit,
            Self::Vector { vector } => vector.iter().any(|value| *value >= limit),
            Self::Detection { objects } => objects.iter().any(|object| object.score >= limit),
            Self::Keypoints { points } => points.iter().any(|point| point.score >= limit),
            Self::Segmentation { shares } => shares.iter().any(|class| class.share >= limit),
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
    /// A regression's value left its limits.
    ValueOutOfLimits {
        /// The value that did it.
        value: f32,
    },
    /// A regression's value is back within its limits.
    ValueWithinLimits {
        /// The value that did it.
        value: f32,
    },
    /// A regression's value changed by more than it may from one window to the next.
    ValueJumped {
        /// Of the window before.
        from: f32,
        /// Of this one.
        to: f32,
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
