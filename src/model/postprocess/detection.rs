//! `detection`: objects with their boxes.

use serde::Deserialize;

use super::{BadKey, Settings, within};
use crate::data::TensorSpec;

/// Settings of a detection.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// What the outputs hold.
    pub layout: DetectionLayout,
    /// Objects below it are left out; 0 to 1.
    #[serde(default = "quarter")]
    pub threshold: f32,
    /// Of two boxes of one class that overlap more, the lesser goes: intersection over union, 0 to 1. Not of `ssd`, whose
    /// operator has done it.
    #[serde(default = "usual_overlap")]
    pub overlap: f32,
    /// How many of the best are published.
    #[serde(default = "hundred")]
    pub top: usize,
    /// Whether boxes of YOLO are in pixels of the input and not 0 to 1 of it.
    #[serde(default)]
    pub pixels: bool,
    /// The outputs of `ssd`: boxes, classes, scores and count, by name; without it the model's first four.
    pub outputs: Option<[String; 4]>,
}

/// What the outputs of a detector hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectionLayout {
    /// `TFLite_Detection_PostProcess`: boxes `[1, n, 4]` as top, left, bottom, right of 0 to 1, classes, scores `[1, n]`,
    /// count `[1]`.
    Ssd,
    /// YOLOv5 and before: `[1, n, 5 + classes]`: centre x, y, width, height, objectness, scores.
    Yolov5,
    /// YOLOv8 and later: `[1, 4 + classes, n]`: the same without objectness, each value for all boxes.
    Yolov8,
}

impl DetectionLayout {
    /// Values before the scores of classes, of YOLO.
    pub fn before_scores(self) -> usize {
        match self {
            Self::Yolov5 => 5,
            Self::Yolov8 | Self::Ssd => 4,
        }
    }
}

impl Detection {
    /// Indices of the outputs that are read, in the order of the layout; `output` is the one that the manifest names.
    pub fn reads(&self, output: usize, outputs: &[TensorSpec]) -> Option<Vec<usize>> {
        let named = |name: &String| outputs.iter().position(|output| output.name == *name);
        match (self.layout, &self.outputs) {
            (DetectionLayout::Ssd, Some(names)) => names.iter().map(named).collect(),
            (DetectionLayout::Ssd, None) => (outputs.len() >= 4).then(|| (0..4).collect()),
            (DetectionLayout::Yolov5 | DetectionLayout::Yolov8, _) => Some(vec![output]),
        }
    }

    /// Boxes and classes of the output `shape` of YOLO.
    pub fn sizes(&self, shape: &[usize]) -> Option<(usize, usize)> {
        let (boxes, values) = match (self.layout, shape) {
            (DetectionLayout::Yolov5, &[1, boxes, values]) => (boxes, values),
            (DetectionLayout::Yolov8, &[1, values, boxes]) => (boxes, values),
            _ => return None,
        };
        let classes = values.checked_sub(self.layout.before_scores()).filter(|n| *n > 0)?;
        Some((boxes, classes))
    }
}

fn quarter() -> f32 {
    0.25
}

fn usual_overlap() -> f32 {
    0.45
}

fn hundred() -> usize {
    100
}

impl Settings for Detection {
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey> {
        within("threshold", self.threshold, 0.0, 1.0)?;
        within("overlap", self.overlap, 0.0, 1.0)?;
        let Some(reads) = self.reads(output, outputs) else {
            let why =
                "layout \"ssd\" needs four outputs of the model: boxes, classes, scores, count";
            return Err(BadKey::new("outputs", why));
        };
        if self.layout != DetectionLayout::Ssd {
            if self.outputs.is_some() {
                return Err(BadKey::new("outputs", "are of layout \"ssd\"; name one by `output`"));
            }
            let spec = &outputs[output];
            let Some((_, classes)) = self.sizes(&spec.shape) else {
                let wanted = match self.layout {
                    DetectionLayout::Yolov5 => "[1, boxes, 5 + classes]",
                    _ => "[1, 4 + classes, boxes]",
                };
                let why = format!("needs {wanted}, `{}` is {:?}", spec.name, spec.shape);
                return Err(BadKey::new("layout", why));
            };
            if !labels.is_empty() && labels.len() != classes {
                let (found, name) = (labels.len(), &spec.name);
                let why = format!("{found} labels for the {classes} classes of `{name}`");
                return Err(BadKey::new("labels", why));
            }
            return Ok(());
        }
        if self.pixels {
            return Err(BadKey::new("pixels", "is of YOLO; boxes of \"ssd\" are 0 to 1"));
        }
        let sizes: Vec<usize> = reads.iter().map(|&index| outputs[index].elements()).collect();
        match *sizes.as_slice() {
            [boxes, classes, scores, 1] if boxes == 4 * classes && classes == scores => Ok(()),
            _ => {
                let shapes: Vec<_> = reads.iter().map(|&index| &outputs[index].shape).collect();
                let why = format!(
                    "must be boxes [1, n, 4], classes [1, n], scores [1, n], count [1]; are {shapes:?}"
                );
                Err(BadKey::new("outputs", why))
            }
        }
    }
}
