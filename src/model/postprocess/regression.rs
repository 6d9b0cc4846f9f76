//! `regression`: a number.

use serde::Deserialize;

use super::{BadKey, Settings, held, within};
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
    /// A value is back within its limits when it is that far inside.
    #[serde(default)]
    pub hysteresis: f32,
    /// Windows in a row before it counts as outside or as back.
    #[serde(default = "windows")]
    pub hold: u32,
    /// The most that it may differ from the value of the window before.
    pub max_change: Option<f32>,
}

fn windows() -> u32 {
    1
}

fn one() -> f32 {
    1.0
}

impl Settings for Regression {
    fn fit(&self, _: usize, _: &[TensorSpec], _: &[String]) -> Result<(), BadKey> {
        within("scale", self.scale, f32::MIN, f32::MAX)?;
        within("offset", self.offset, f32::MIN, f32::MAX)?;
        let (low, high) = (self.low.unwrap_or(f32::MIN), self.high.unwrap_or(f32::MAX));
        within("low", low, f32::MIN, high)?;
        within("high", high, low, f32::MAX)?;
        within("hysteresis", self.hysteresis, 0.0, (high - low) / 2.0)?;
        within("max_change", self.max_change.unwrap_or(0.0), 0.0, f32::MAX)?;
        held(self.hold)
    }
}
