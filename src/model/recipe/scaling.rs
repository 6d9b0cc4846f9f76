//! Steps that bring values onto the scale that a model was trained on.

use serde::Deserialize;

use super::{BadKey, Layout, PerColumn, Settings};

/// `x * factor + offset`, rounded after each operation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Factors.
    pub factor: PerColumn,
    /// Added after.
    #[serde(default)]
    pub offset: PerColumn,
}

/// `(x - mean) / std`, rounded after each operation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardise {
    /// Subtracted.
    pub mean: PerColumn,
    /// Divisors; none is 0.
    pub std: PerColumn,
}

impl Settings for Scale {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.factor.fit("factor", layout)?;
        self.offset.fit("offset", layout)?;
        Ok(layout.clone())
    }
}

impl Settings for Standardise {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.mean.fit("mean", layout)?;
        self.std.fit("std", layout)?;
        if self.std.values().contains(&0.0) {
            return Err(BadKey::new("std", "must not be 0"));
        }
        Ok(layout.clone())
    }
}
