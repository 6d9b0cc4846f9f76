//! `keypoints`: named points of a body, a hand, a face.

use serde::Deserialize;

use super::{BadKey, Settings, within};
use crate::data::TensorSpec;

/// Settings of keypoints: an output of three values a point, as MoveNet's `[1, 1, 17, 3]`. Labels name the points.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keypoints {
    /// Which of a point's values come first.
    #[serde(default)]
    pub order: PointOrder,
    /// Points below it are left out; 0 to 1.
    #[serde(default)]
    pub threshold: f32,
    /// Whether points are in pixels of the input and not 0 to 1 of it.
    #[serde(default)]
    pub pixels: bool,
}

/// What the three values of a point are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointOrder {
    /// y, x, score: MoveNet.
    #[default]
    Yxs,
    /// x, y, score.
    Xys,
}

impl Settings for Keypoints {
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey> {
        within("threshold", self.threshold, 0.0, 1.0)?;
        let spec = &outputs[output];
        if spec.shape.last() != Some(&3) {
            let why = format!("must end in 3 values a point, `{}` is {:?}", spec.name, spec.shape);
            return Err(BadKey::new("output", why));
        }
        let points = spec.elements() / 3;
        if !labels.is_empty() && labels.len() != points {
            let (found, name) = (labels.len(), &spec.name);
            let why = format!("{found} labels for the {points} points of `{name}`");
            return Err(BadKey::new("labels", why));
        }
        Ok(())
    }
}
