//! `anomaly`: a distance from normal.

use serde::Deserialize;

use super::{BadKey, Settings, held, one, within};
use crate::data::TensorSpec;

/// Settings of an anomaly.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    /// How the score is made.
    pub score: Score,
    /// Above it the window is anomalous.
    pub limit: f32,
    /// An anomaly ends below `limit - hysteresis`.
    #[serde(default)]
    pub hysteresis: f32,
    /// Windows in a row before it begins or ends.
    #[serde(default = "one")]
    pub hold: u32,
}

/// How an anomaly score is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Mean squared difference of the preprocessed input and the output: an autoencoder.
    Mse,
    /// The output's first value.
    Output,
}

impl Settings for Anomaly {
    fn fit(&self, _: usize, _: &[TensorSpec], _: &[String]) -> Result<(), BadKey> {
        within("limit", self.limit, 0.0, f32::MAX)?;
        within("hysteresis", self.hysteresis, 0.0, self.limit)?;
        held(self.hold)
    }
}
