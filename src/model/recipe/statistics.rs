//! `statistics`: a window as a few numbers for each column.

use serde::Deserialize;

use super::{BadKey, Layout, Settings};

/// One row of `of` for the first column, then for the next.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Which, in order.
    pub of: Vec<Statistic>,
}

/// A number that says something of a column's values `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The mean.
    Mean,
    /// Mean squared distance from the mean.
    Variance,
    /// Its root.
    Std,
    /// Root of the mean square.
    Rms,
    /// The least.
    Min,
    /// The most.
    Max,
    /// The middle one; of an even count the mean of both.
    Median,
    /// The largest absolute value.
    Peak,
    /// `max - min`.
    PeakToPeak,
    /// `peak / rms`; 0 where all are 0.
    Crest,
    /// Mean absolute value.
    MeanAbs,
    /// Third central moment over `std³`; 0 where all are the same.
    Skewness,
    /// Fourth central moment over `variance²`, less 3; 0 where all are the same.
    Kurtosis,
    /// How often the sign changes; 0 and more is one sign.
    ZeroCrossings,
    /// Sum of squares.
    Energy,
    /// The last one.
    Last,
    /// The last less the first.
    Change,
}

impl Statistic {
    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Variance => "variance",
            Self::Std => "std",
            Self::Rms => "rms",
            Self::Min => "min",
            Self::Max => "max",
            Self::Median => "median",
            Self::Peak => "peak",
            Self::PeakToPeak => "peak_to_peak",
            Self::Crest => "crest",
            Self::MeanAbs => "mean_abs",
            Self::Skewness => "skewness",
            Self::Kurtosis => "kurtosis",
            Self::ZeroCrossings => "zero_crossings",
            Self::Energy => "energy",
            Self::Last => "last",
            Self::Change => "change",
        }
    }
}

impl Settings for Statistics {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        if self.of.is_empty() || self.of.len() > 64 {
            return Err(BadKey::new("of", "names 1 to 64 statistics, as in [\"mean\", \"rms\"]"));
        }
        let names = layout.columns.iter().flat_map(|column| {
            self.of.iter().map(move |statistic| format!("{}({column})", statistic.as_str()))
        });
        Ok(Layout { rows: 1, columns: names.collect(), rate_hz: None })
    }
}
