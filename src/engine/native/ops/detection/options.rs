//! What the operator's FlexBuffers map says.

use super::super::{Refusal, malformed};
use crate::engine::native::flexbuffer::{FlexError, Map, Number};

/// Inputs: encodings `[1, n, 4 or more]` (y, x, height, width), scores `[1, n, classes]`, anchors
/// `[n, 4]` (y, x, height, width). Outputs: boxes `[1, d, 4]` (top, left, bottom, right), classes
/// `[1, d]`, scores `[1, d]`, and how many there are; zeros follow.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Detection {
    pub(super) detections: usize,
    /// Of the fast suppression, which keeps a box once for several classes.
    pub(super) classes_per_detection: usize,
    /// Of the regular suppression, which goes through each class on its own.
    pub(super) per_class: usize,
    pub(super) regular: bool,
    pub(super) score: f32,
    pub(super) overlap: f32,
    /// Without the background.
    pub(super) classes: usize,
    /// What encodings are divided by: y, x, height, width.
    pub(super) scales: [f64; 4],
}

/// More of anything than a detector has.
const COUNT_MAX: i64 = 1 << 20;

impl From<FlexError> for Refusal {
    fn from(error: FlexError) -> Self {
        malformed(error.to_string())
    }
}

fn count(map: &Map<'_>, name: &str, default: Option<i64>) -> Result<usize, Refusal> {
    let found = match map.number(name)? {
        Some(Number::Whole(value)) => Some(value),
        Some(Number::Real(value)) => Some(value as i64),
        None => default,
    };
    let value = found.filter(|value| (1..=COUNT_MAX).contains(value));
    let value = value.and_then(|value| usize::try_from(value).ok());
    value.ok_or_else(|| malformed(format!("{name} is {found:?}")))
}

fn real(map: &Map<'_>, name: &str) -> Result<f32, Refusal> {
    let value = match map.number(name)? {
        Some(Number::Whole(value)) => value as f32,
        Some(Number::Real(value)) => value as f32,
        None => return Err(malformed(format!("there is no {name}"))),
    };
    if value.is_finite() { Ok(value) } else { Err(malformed(format!("{name} is {value}"))) }
}

impl Detection {
    /// Reads the map.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let map = Map::root(bytes)?;
        let mut scales = [0.0; 4];
        for (scale, name) in scales.iter_mut().zip(["y_scale", "x_scale", "h_scale", "w_scale"]) {
            *scale = f64::from(real(&map, name)?);
            if *scale == 0.0 {
                return Err(malformed(format!("{name} is 0")));
            }
        }
        let overlap = real(&map, "nms_iou_threshold")?;
        if !(overlap > 0.0 && overlap <= 1.0) {
            return Err(malformed(format!("nms_iou_threshold is {overlap}")));
        }
        let regular = match map.number("use_regular_nms")? {
            None => false,
            Some(Number::Whole(value)) => value != 0,
            Some(Number::Real(value)) => value != 0.0,
        };
        Ok(Self {
            detections: count(&map, "max_detections", None)?,
            classes_per_detection: count(&map, "max_classes_per_detection", None)?,
            per_class: count(&map, "detections_per_class", Some(100))?,
            regular,
            score: real(&map, "nms_score_threshold")?,
            overlap,
            classes: count(&map, "num_classes", None)?,
            scales,
        })
    }
}
