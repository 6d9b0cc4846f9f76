//! `segmentation`: how much of a picture each class covers.

use serde::Deserialize;

use super::{BadKey, Settings, within};
use crate::data::TensorSpec;

/// Settings of a segmentation: an output of scores `[1, height, width, classes]`, or of classes `[1, height, width]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segmentation {
    /// Whether scores are `[1, classes, height, width]`.
    #[serde(default)]
    pub planar: bool,
    /// Classes that cover less are left out; 0 to 1.
    #[serde(default = "hundredth")]
    pub least: f32,
}

/// Where the classes of a segmentation lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Scores a pixel; `None` where a pixel's value is its class.
    pub classes: Option<usize>,
}

impl Segmentation {
    /// What an output of `shape` holds.
    pub fn mask(&self, shape: &[usize]) -> Option<Mask> {
        let mask = |width, height, classes| Some(Mask { width, height, classes });
        match *shape {
            [1, height, width] | [1, height, width, 1] if !self.planar => mask(width, height, None),
            [1, height, width, classes] if !self.planar => mask(width, height, Some(classes)),
            [1, classes, height, width] => mask(width, height, Some(classes)),
            _ => None,
        }
    }
}

fn hundredth() -> f32 {
    0.01
}

impl Settings for Segmentation {
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey> {
        within("least", self.least, 0.0, 1.0)?;
        let spec = &outputs[output];
        match self.mask(&spec.shape) {
            None => {
                let why = format!(
                    "must be [1, height, width, classes] or [1, height, width], `{}` is {:?}",
                    spec.name, spec.shape
                );
                Err(BadKey::new("output", why))
            }
            Some(Mask { classes: Some(classes), .. })
                if !labels.is_empty() && labels.len() != classes =>
            {
                let (found, name) = (labels.len(), &spec.name);
                let why = format!("{found} labels for the {classes} classes of `{name}`");
                Err(BadKey::new("labels", why))
            }
            Some(_) => Ok(()),
        }
    }
}
