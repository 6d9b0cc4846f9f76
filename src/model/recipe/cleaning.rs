//! Steps that mend rows: missing values, outliers, drifts, another rate.

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

/// The median of each value and those around it in its column, the ends repeated beyond the window.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Median {
    /// Rows, an odd number.
    pub size: usize,
}

/// Hampel's identifier: a value too far from the median around it is replaced by that.
///
/// Pearson, "Outliers in process modeling and identification", IEEE Transactions on Control Systems Technology 10(1), 2002.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hampel {
    /// Rows around a value, itself in the middle: an odd number. Fewer at the window's ends.
    pub size: usize,
    /// How many times the spread, 1.4826 times the median distance from the median, is too far.
    #[serde(default = "three")]
    pub sigmas: f32,
}

/// Takes the mean or a straight line away from each column of a window.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detrend {
    /// Which.
    pub of: Trend,
}

/// What a drift looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// There is none.
    None,
    /// The mean.
    #[default]
    Constant,
    /// The line of the least squares.
    Linear,
}

/// Brings a window to another rate: zeros between the rows, a low-pass filter, and each so-many-th row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resample {
    /// Times more rows.
    pub up: usize,
    /// Times fewer rows.
    pub down: usize,
}

impl Resample {
    /// `up` and `down` without common divisors.
    pub fn ratio(&self) -> (usize, usize) {
        let (mut a, mut b) = (self.up, self.down);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (self.up / a.max(1), self.down / a.max(1))
    }
}

fn three() -> f32 {
    3.0
}

fn odd(size: usize, rows: usize) -> Result<(), BadKey> {
    if size.is_multiple_of(2) || size > rows {
        let why = format!("must be odd and at most the {rows} rows that there are, is {size}");
        return Err(BadKey::new("size", why));
    }
    Ok(())
}

impl Settings for Median {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        odd(self.size, layout.rows)?;
        Ok(layout.clone())
    }
}

impl Settings for Hampel {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        odd(self.size, layout.rows)?;
        if !(0.0..=1e6).contains(&self.sigmas) {
            return Err(BadKey::new("sigmas", format!("must be 0 and above, is {}", self.sigmas)));
        }
        Ok(layout.clone())
    }
}

impl Settings for Detrend {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        if self.of == Trend::None {
            return Err(BadKey::new("of", "is \"constant\" or \"linear\""));
        }
        Ok(layout.clone())
    }
}

impl Settings for Resample {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        for (key, value) in [("up", self.up), ("down", self.down)] {
            if !(1..=1000).contains(&value) {
                return Err(BadKey::new(key, format!("must be 1..=1000, is {value}")));
            }
        }
        let (up, down) = self.ratio();
        let rows = layout.rows.saturating_mul(up).div_ceil(down);
        let rate_hz = layout.rate_hz.map(|hz| hz * up as f64 / down as f64);
        Ok(Layout { rows, columns: layout.columns.clone(), rate_hz })
    }
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
