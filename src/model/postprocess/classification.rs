//! `classification`: one label of several.

use serde::Deserialize;

use super::{BadKey, Settings, held, one, within};
use crate::data::TensorSpec;

/// Settings of a classification.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// Below it there is no label; 0 to 1.
    #[serde(default)]
    pub threshold: f32,
    /// The current label is kept down to `threshold - hysteresis`.
    #[serde(default)]
    pub hysteresis: f32,
    /// Windows in a row that a new label must win.
    #[serde(default = "one")]
    pub hold: u32,
    /// How many of the highest scores are published.
    #[serde(default = "three")]
    pub top: usize,
}

fn three() -> usize {
    3
}

impl Settings for Classification {
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey> {
        within("threshold", self.threshold, 0.0, 1.0)?;
        within("hysteresis", self.hysteresis, 0.0, 1.0)?;
        held(self.hold)?;
        let (classes, name) = (outputs[output].elements(), &outputs[output].name);
        if !labels.is_empty() && labels.len() != classes {
            let found = labels.len();
            let why = format!("{found} labels for the {classes} classes of `{name}`");
            return Err(BadKey::new("labels", why));
        }
        Ok(())
    }
}
