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

/// `(x - min) / (max - min)`: the range of training becomes 0 to 1.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinMax {
    /// Becomes 0.
    pub min: PerColumn,
    /// Becomes 1; not the same as `min`.
    pub max: PerColumn,
}

/// `(x - center) / scale` with the median and the distance of the quartiles of training.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robust {
    /// Subtracted.
    pub center: PerColumn,
    /// Divisors; none is 0.
    pub scale: PerColumn,
}

/// Each row times a matrix: principal components, whitening, any linear map.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Subtracted before.
    #[serde(default)]
    pub mean: PerColumn,
    /// One list for each value of the new rows: a weight for each column. scikit-learn's `components_`.
    pub components: Vec<Vec<f32>>,
}

impl Settings for MinMax {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.min.fit("min", layout)?;
        self.max.fit("max", layout)?;
        if self.min.values().iter().zip(self.max.values()).any(|(min, max)| min == max) {
            return Err(BadKey::new("max", "must not be the same as min"));
        }
        Ok(layout.clone())
    }
}

impl Settings for Robust {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.center.fit("center", layout)?;
        self.scale.fit("scale", layout)?;
        if self.scale.values().contains(&0.0) {
            return Err(BadKey::new("scale", "must not be 0"));
        }
        Ok(layout.clone())
    }
}

impl Settings for Project {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.mean.fit("mean", layout)?;
        let count = layout.columns.len();
        if self.components.is_empty() {
            return Err(BadKey::new("components", "at least one is needed"));
        }
        if let Some(other) = self.components.iter().find(|component| component.len() != count) {
            let why = format!("one has {} weights for {count} columns", other.len());
            return Err(BadKey::new("components", why));
        }
        if self.components.iter().flatten().any(|weight| !weight.is_finite()) {
            return Err(BadKey::new("components", "a weight is not a finite number"));
        }
        let columns = (0..self.components.len()).map(|n| format!("component_{n}")).collect();
        Ok(Layout { rows: layout.rows, columns, rate_hz: layout.rate_hz })
    }
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
