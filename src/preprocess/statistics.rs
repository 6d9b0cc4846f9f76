//! `statistics`: moments and extremes of each column, summed in f64.

use super::{Transform, copy_column};
use crate::model::{Layout, Statistic, Statistics};

pub(super) struct Counter {
    of: Vec<Statistic>,
    columns: usize,
    /// One column's values.
    column: Vec<f32>,
}

impl Counter {
    pub(super) fn new(settings: &Statistics, given: &Layout) -> Self {
        let column = vec![0.0; given.rows];
        Self { of: settings.of.clone(), columns: given.columns.len(), column }
    }
}

impl Transform for Counter {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        let columns = output.chunks_exact_mut(self.of.len()).take(self.columns);
        for (index, out) in columns.enumerate() {
            copy_column(input, self.columns, index, &mut self.column);
            let moments = Moments::of(&self.column);
            for (out, statistic) in out.iter_mut().zip(&self.of) {
                *out = moments.get(*statistic, &mut self.column) as f32;
            }
        }
    }
}

/// What one pass over a column finds, and a second one around its mean.
struct Moments {
    count: f64,
    mean: f64,
    square: f64,
    absolute: f64,
    low: f64,
    high: f64,
    first: f64,
    last: f64,
    crossings: usize,
    /// Sums of the second to the fourth power of the distance from the mean.
    central: [f64; 3],
}

impl Moments {
    fn of(x: &[f32]) -> Self {
        let count = x.len() as f64;
        let each = || x.iter().map(|&x| f64::from(x));
        let mean = each().sum::<f64>() / count;
        let mut central = [0.0; 3];
        for distance in each().map(|x| x - mean) {
            let square = distance * distance;
            central[0] += square;
            central[1] += square * distance;
            central[2] += square * square;
        }
        let turns = x.iter().zip(x.iter().skip(1)).filter(|(a, b)| (**a < 0.0) != (**b < 0.0));
        Self {
            count,
            mean,
            square: each().map(|x| x * x).sum(),
            absolute: each().map(f64::abs).sum(),
            low: each().fold(f64::INFINITY, f64::min),
            high: each().fold(f64::NEG_INFINITY, f64::max),
            first: each().next().unwrap_or(0.0),
            last: each().next_back().unwrap_or(0.0),
            crossings: turns.count(),
            central,
        }
    }

    fn get(&self, statistic: Statistic, column: &mut [f32]) -> f64 {
        // All the same, but for what rounding the mean leaves.
        let none = self.high == self.low;
        let variance = self.central[0] / self.count;
        let peak = self.high.abs().max(self.low.abs());
        let rms = (self.square / self.count).sqrt();
        match statistic {
            Statistic::Mean => self.mean,
            Statistic::Variance => variance,
            Statistic::Std => variance.sqrt(),
            Statistic::Rms => rms,
            Statistic::Min => self.low,
            Statistic::Max => self.high,
            Statistic::Median => median(column),
            Statistic::Peak => peak,
            Statistic::PeakToPeak => self.high - self.low,
            Statistic::Crest if rms == 0.0 => 0.0,
            Statistic::Crest => peak / rms,
            Statistic::MeanAbs => self.absolute / self.count,
            Statistic::Skewness | Statistic::Kurtosis if none => 0.0,
            Statistic::Skewness => self.central[1] / self.count / (variance * variance.sqrt()),
            Statistic::Kurtosis => self.central[2] / self.count / (variance * variance) - 3.0,
            Statistic::ZeroCrossings => self.crossings as f64,
            Statistic::Energy => self.square,
            Statistic::Last => self.last,
            Statistic::Change => self.last - self.first,
        }
    }
}

/// The middle one of `values`, whose order is changed; of an even count the mean of both.
pub(super) fn median(values: &mut [f32]) -> f64 {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let Some((below, &mut upper, _)) =
        (middle < values.len()).then(|| values.select_nth_unstable_by(middle, f32::total_cmp))
    else {
        return f64::NAN;
    };
    let lower = below.iter().copied().max_by(f32::total_cmp).filter(|_| even).unwrap_or(upper);
    f64::midpoint(f64::from(lower), f64::from(upper))
}
