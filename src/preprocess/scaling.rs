//! Steps that treat each value by its column alone.

use super::{InPlace, PreprocessError};
use crate::model::{Clip, MinMax, Robust, Scale, Standardise};

impl InPlace for Clip {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        let clip = |x: f32, low: f32, high: f32| if x.is_nan() { x } else { x.max(low).min(high) };
        each(rows, self.low.values(), self.high.values(), clip);
        Ok(())
    }
}

impl InPlace for Scale {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        each(rows, self.factor.values(), self.offset.values(), |x, factor, offset| {
            x * factor + offset
        });
        Ok(())
    }
}

impl InPlace for Standardise {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        each(rows, self.mean.values(), self.std.values(), |x, mean, std| (x - mean) / std);
        Ok(())
    }
}

impl InPlace for MinMax {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        each(rows, self.min.values(), self.max.values(), |x, min, max| (x - min) / (max - min));
        Ok(())
    }
}

impl InPlace for Robust {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        each(rows, self.center.values(), self.scale.values(), |x, center, scale| {
            (x - center) / scale
        });
        Ok(())
    }
}

/// Applies `f(value, a[column], b[column])` to every value.
fn each(rows: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32, f32) -> f32) {
    for row in rows.chunks_exact_mut(a.len()) {
        for ((value, &a), &b) in row.iter_mut().zip(a).zip(b) {
            *value = f(*value, a, b);
        }
    }
}
