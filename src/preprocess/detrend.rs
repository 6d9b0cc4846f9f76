//! `detrend`: mean or straight line away, as `scipy.signal.detrend`.

use super::{InPlace, PreprocessError};
use crate::model::{Detrend, Layout, Trend};

pub(super) struct Leveller {
    of: Trend,
    columns: usize,
}

impl Leveller {
    pub(super) fn new(settings: &Detrend, given: &Layout) -> Self {
        Self { of: settings.of, columns: given.columns.len() }
    }
}

impl InPlace for Leveller {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        for column in 0..self.columns {
            level(rows, column, self.columns, self.of);
        }
        Ok(())
    }
}

/// Takes the trend away from the values `first`, `first + step`, … of `values`.
pub(super) fn level(values: &mut [f32], first: usize, step: usize, of: Trend) {
    let each = || values.iter().skip(first).step_by(step).map(|&x| f64::from(x));
    let count = each().count() as f64;
    let mean = each().sum::<f64>() / count;
    let slope = match of {
        Trend::None => return,
        Trend::Constant => 0.0,
        Trend::Linear => {
            let middle = (count - 1.0) / 2.0;
            let both = each().enumerate().map(|(n, x)| (n as f64 - middle) * (x - mean));
            let below = count * (count * count - 1.0) / 12.0;
            if below == 0.0 { 0.0 } else { both.sum::<f64>() / below }
        }
    };
    let start = mean - slope * (count - 1.0) / 2.0;
    for (n, value) in values.iter_mut().skip(first).step_by(step).enumerate() {
        *value = (f64::from(*value) - (start + slope * n as f64)) as f32;
    }
}
