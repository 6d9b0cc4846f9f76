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
    /// Raises the limit to what is usual where the board is.
    pub adapt: Option<Adapt>,
}

/// A limit out of the scores themselves: their median and so many spreads, 1.4826 times the median distance from it, more.
/// Never below the limit of training.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapt {
    /// How many scores it looks back on, those of anomalous windows left out; from a fifth of them on.
    pub windows: usize,
    /// How many spreads above the median.
    pub spreads: f32,
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
        if let Some(Adapt { windows, spreads }) = self.adapt {
            if !(10..=10_000).contains(&windows) {
                let why = format!("windows must be 10 to 10000, is {windows}");
                return Err(BadKey::new("adapt", why));
            }
            within("adapt.spreads", spreads, 0.0, 1e6)?;
        }
        held(self.hold)
    }
}
