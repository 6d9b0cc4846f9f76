//! Matrices of reals by rows of reals; 8-bit ones take rows that are quantized on the way, as
//! LiteRT's hybrid kernels do it.

use super::super::{Refusal, Site, malformed, unsupported};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Quant, Value};

/// A constant `[rows, columns]`.
#[derive(Debug)]
pub(in super::super) struct Matrix {
    rows: usize,
    columns: usize,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Real(Vec<f32>),
    /// With the sum of each row.
    Quantized {
        values: Vec<i8>,
        scale: f32,
        sums: Vec<i32>,
    },
}

/// A vector as matrices take it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Row<'a> {
    real: &'a [f32],
    quantized: &'a [i8],
    scale: f32,
    zero_point: i32,
}

/// How vectors are quantized for 8-bit matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Rounding {
    /// They are not.
    Real,
    /// The largest magnitude is 127.
    Symmetric,
    /// The range from the smallest to the largest, and 0, is -128 to 127.
    Asymmetric,
}

/// The elements of a constant of `n` reals, or of 8-bit integers with one scale.
pub(in super::super) fn reals(value: &Value<'_>, n: usize, what: &str) -> Result<Vec<f32>, Refusal> {
    let Some(data) = &value.data else {
        return Err(unsupported(format!("{what} that is not constant")));
    };
    if value.elements() != n {
        return Err(malformed(format!("{what} of shape {:?} instead of {n} elements", value.shape)));
    }
    match (value.dtype, &value.quant) {
        (DType::F32, _) => Ok(data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        (DType::I8, Quant::Tensor(Quantization { scale, zero_point: 0 })) => {
            Ok(data.iter().map(|&byte| f32::from(byte.cast_signed()) * scale).collect())
        }
        (dtype, _) => Err(unsupported(format!("{what} of {dtype}"))),
    }
}

impl Matrix {
    /// Input `index` of the site, which has to be of this shape.
    pub(in super::super) fn of(
        site: &Site<'_>,
        index: usize,
        [rows, columns]: [usize; 2],
    ) -> Result<Self, Refusal> {
        let value = site.input(index)?;
        let what = format!("matrix {index}");
        if value.shape[..] != [rows, columns] {
            let found = &value.shape;
            return Err(malformed(format!("{what} of shape {found:?} instead of [{rows}, {columns}]")));
        }
        site.budget.take_for::<f32>(value.elements().saturating_add(rows))?;
        let weights = match (value.dtype, &value.quant, &value.data) {
            (DType::I8, Quant::Tensor(Quantization { scale, zero_point: 0 }), Some(data)) => {
                let values: Vec<i8> = data.iter().map(|byte| byte.cast_signed()).collect();
                let sum = |row: &[i8]| row.iter().map(|&w| i32::from(w)).sum();
                let sums = values.chunks_exact(columns).map(sum).collect();
                Weights::Quantized { values, scale: *scale, sums }
            }
            (DType::I8, ..) => return Err(unsupported(format!("{what} with zero points or channels"))),
            _ => Weights::Real(reals(value, rows * columns, &what)?),
        };
        Ok(Self { rows, columns, weights })
    }

    /// Whether rows have to be quantized for it.
    pub(in super::super) fn is_quantized(&self) -> bool {
        matches!(self.weights, Weights::Quantized { .. })
    }

    /// Bytes of the packed constant.
    pub(in super::super) fn bytes(&self) -> usize {
        match &self.weights {
            Weights::Real(values) => 4 * values.len(),
            Weights::Quantized { values, sums, .. } => values.len() + 4 * sums.len(),
        }
    }

    /// Multiply-accumulates for one row.
    pub(in super::super) fn macs(&self) -> u64 {
        self.rows as u64 * self.columns as u64
    }

    /// Adds the product with `x`, of `columns` elements, to `y`, of `rows`.
    pub(in super::super) fn accumulate(&self, x: Row<'_>, y: &mut [f32]) {
        match &self.weights {
            Weights::Real(values) => {
                for (y, row) in y.iter_mut().zip(values.chunks_exact(self.columns)) {
                    *y += dot(row, x.real);
                }
            }
            Weights::Quantized { values, scale, sums } => {
                let scale = scale * x.scale;
                let rows = values.chunks_exact(self.columns).zip(sums);
                for (y, (row, &sum)) in y.iter_mut().zip(rows) {
                    let products = row.iter().zip(x.quantized);
                    let dot = products.fold(0i32, |dot, (&w, &x)| {
                        dot.wrapping_add(i32::from(i16::from(w) * i16::from(x)))
                    });
                    let dot = dot.wrapping_sub(sum.wrapping_mul(x.zero_point));
                    *y += dot as f32 * scale;
                }
            }
        }
    }
}

/// Products that are summed side by side, each in its own lane.
const LANES: usize = 8;

/// The dot product.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

impl<'a> Row<'a> {
    /// `real`, quantized into `quantized`, which is as long.
    pub(in super::super) fn new(real: &'a [f32], quantized: &'a mut [i8], how: Rounding) -> Self {
        let (scale, zero_point) = match how {
            Rounding::Real => (1.0, 0),
            Rounding::Symmetric => symmetric(real, quantized),
            Rounding::Asymmetric => asymmetric(real, quantized),
        };
        Self { real, quantized, scale, zero_point }
    }
}

/// Scale and zero point, which is 0.
fn symmetric(real: &[f32], quantized: &mut [i8]) -> (f32, i32) {
    let range = real.iter().fold(0f32, |range, x| range.max(x.abs()));
    if range == 0.0 {
        quantized.fill(0);
        return (1.0, 0);
    }
    let inverse = 127.0 / range;
    for (q, x) in quantized.iter_mut().zip(real) {
        *q = (x * inverse).round().clamp(-127.0, 127.0) as i8;
    }
    (range / 127.0, 0)
}

/// Scale and zero point.
fn asymmetric(real: &[f32], quantized: &mut [i8]) -> (f32, i32) {
    let low = f64::from(real.iter().fold(0f32, |low, &x| low.min(x)));
    let high = f64::from(real.iter().fold(0f32, |high, &x| high.max(x)));
    if low == high {
        quantized.fill(0);
        return (1.0, 0);
    }
    let scale = (high - low) / 255.0;
    let (from_low, from_high) = (-128.0 - low / scale, 127.0 - high / scale);
    // The end that is farther from zero loses less.
    let errors = (128.0 + (low / scale).abs(), 127.0 + (high / scale).abs());
    let zero_point = if errors.0 < errors.1 { from_low } else { from_high };
    let zero_point = zero_point.round().clamp(-128.0, 127.0);
    let inverse = 1.0 / scale as f32;
    for (q, x) in quantized.iter_mut().zip(real) {
        *q = (zero_point as f32 + x * inverse).round().clamp(-128.0, 127.0) as i8;
    }
    (scale as f32, zero_point as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_rows_round_halves_away_from_zero() {
        let mut quantized = [0; 4];
        let (scale, _) = symmetric(&[127.0, -63.5, 0.5, -1.0], &mut quantized);
        assert_eq!((scale, quantized), (1.0, [127, -64, 1, -1]));
    }

    #[test]
    fn asymmetric_rows_hold_zero_exactly() {
        let mut quantized = [0; 3];
        let (scale, zero_point) = asymmetric(&[0.0, 255.0, 51.0], &mut quantized);
        assert_eq!((scale, zero_point, quantized), (1.0, -128, [-128, 127, -77]));
        let (_, zero_point) = asymmetric(&[-3.0, 0.0, 9.0], &mut quantized);
        assert_eq!(i32::from(quantized[1]), zero_point);
    }

    #[test]
    fn rows_of_zeros_add_nothing() {
        let mut quantized = [7; 2];
        assert_eq!((asymmetric(&[0.0, 0.0], &mut quantized), quantized), ((1.0, 0), [0, 0]));
    }
}
