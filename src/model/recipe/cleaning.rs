//! Steps that mend rows: missing values, outliers.

use serde::Deserialize;

use super::{BadKey, Layout, PerColumn, Settings};

/// Fills NaN, or gives the window up.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// What stands in for a missing value.
    pub policy: MissingPolicy,
    /// Longest run of missing values in a column that is filled.
    #[serde(default = "no_limit")]
    pub max: usize,
}

/// What stands in for a missing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingPolicy {
    /// The value before it (after it, at the window's start).
    Hold,
    /// The straight line between its neighbours.
    Interpolate,
    /// Nothing: the window is given up.
    Drop,
}

/// `min(max(x, low), high)`; NaN stays.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Lower limits.
    pub low: PerColumn,
    /// Upper limits.
    pub high: PerColumn,
}

fn no_limit() -> usize {
    usize::MAX
}

impl Settings for Missing {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        Ok(layout.clone())
    }
}

impl Settings for Clip {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.low.fit("low", layout)?;
        self.high.fit("high", layout)?;
        if self.low.values().iter().zip(self.high.values()).any(|(low, high)| low > high) {
            return Err(BadKey::new("", "low is above high"));
        }
        Ok(layout.clone())
    }
}
