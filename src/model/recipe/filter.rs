//! `filter`: which frequencies pass.

use serde::Deserialize;

use super::{BadKey, Layout, Settings};

/// Order that is still numerically sound, of a band's as well.
const ORDER_MAX: u32 = 12;

/// A Butterworth filter for each column, over the stream and not over each window.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What passes.
    pub pass: Pass,
    /// 1 to 12; a band has twice as many poles, as in SciPy.
    pub order: u32,
    /// Where half the power passes, in Hz: one frequency, or the two ends of a band.
    pub cutoff_hz: Cutoff,
    /// Where it begins.
    #[serde(default)]
    pub start: Start,
}

/// What a filter lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Below the cutoff.
    Low,
    /// Above the cutoff.
    High,
    /// Between the two cutoffs.
    Band,
    /// All but between the two cutoffs.
    Stop,
}

/// One frequency or two, in Hz.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Cutoff {
    /// Of `low` and `high`.
    One(f64),
    /// Of `band` and `stop`, the lower one first.
    Two([f64; 2]),
}

/// What a filter assumes before the first row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The first row for ever: no step at the start (SciPy's `sosfilt_zi` times the first value).
    #[default]
    Steady,
    /// Zeros: what `sosfilt` gives without `zi`.
    Zero,
}

impl Settings for Filter {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        let half = layout.rate()? / 2.0;
        if !(1..=ORDER_MAX).contains(&self.order) {
            return Err(BadKey::new(
                "order",
                format!("must be 1..={ORDER_MAX}, is {}", self.order),
            ));
        }
        let (low, high) = match (self.pass, self.cutoff_hz) {
            (Pass::Low | Pass::High, Cutoff::One(hz)) => (hz, hz),
            (Pass::Band | Pass::Stop, Cutoff::Two([low, high])) if low < high => (low, high),
            (Pass::Low | Pass::High, Cutoff::Two(_)) => {
                return Err(BadKey::new("cutoff_hz", "one frequency is needed, two are there"));
            }
            (Pass::Band | Pass::Stop, _) => {
                let why = "two frequencies are needed, the lower one first";
                return Err(BadKey::new("cutoff_hz", why));
            }
        };
        if !(low > 0.0 && high < half) {
            let why = format!("must lie between 0 and {half} Hz, half the rate of the rows");
            return Err(BadKey::new("cutoff_hz", why));
        }
        Ok(layout.clone())
    }
}
