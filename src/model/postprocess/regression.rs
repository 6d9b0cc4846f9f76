//! `regression`: a number.

use serde::Deserialize;

use super::{BadKey, Settings, within};
use crate::data::TensorSpec;

/// Settings of a regression: `raw * scale + offset`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// SI symbol.
    #[serde(default)]
    pub unit: String,
    /// Factor.
    #[serde(default = "one")]
    pub scale: f32,
    /// Added after.
    #[serde(default)]
    pub offset: f32,
    /// Lowest plausible value.
    pub low: Option<f32>,
    /// Highest plausible value.
    pub high: Option<f32>,
}

fn one() -> f32 {
    1.0
}

impl Settings for Regression {
    fn fit(&self, _: usize, _: &[TensorSpec], _: &[String]) -> Result<(), BadKey> {
        within("scale", self.scale, f32::MIN, f32::MAX)?;
        within("offset", self.offset, f32::MIN, f32::MAX)
    }
}
