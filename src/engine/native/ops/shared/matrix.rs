//! Matrices of reals by rows of reals; 8-bit ones take rows that are quantized on the way, as
//! LiteRT's hybrid kernels do it.

use super::super::{Refusal, Site, malformed, unsupported};
use super::dot::{dot_f32, dot_i8};
use super::dynamic::{Dynamic, Range};
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
    range: Range,
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
pub(in super::super) fn reals(
    value: &Value<'_>,
    n: usize,
    what: &str,
) -> Result<Vec<f32>, Refusal> {
    let Some(data) = &value.data else {
        return Err(unsupported(format!("{what} that is not constant")));
    };
    if value.elements() != n {
        return Err(malformed(format!(
            "{what} of shape {:?} instead of {n} elements",
            value.shape
        )));
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
            return Err(malformed(format!(
                "{what} of shape {found:?} instead of [{rows}, {columns}]"
            )));
        }
        site.budget.take_for::<f32>(value.elements().saturating_add(rows))?;
        let weights = match (value.dtype, &value.quant, &value.data) {
            (DType::I8, Quant::Tensor(Quantization { scale, zero_point: 0 }), Some(data)) => {
                let values: Vec<i8> = data.iter().map(|byte| byte.cast_signed()).collect();
                let sum = |row: &[i8]| row.iter().map(|&w| i32::from(w)).sum();
                let sums = values.chunks_exact(columns).map(sum).collect();
                Weights::Quantized { values, scale: *scale, sums }
            }
            (DType::I8, ..) => {
                return Err(unsupported(format!("{what} with zero points or channels")));
            }
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
                    *y += dot_f32(x.real, row);
                }
            }
            Weights::Quantized { values, scale, sums } => {
                let scale = scale * x.range.scale;
                let rows = values.chunks_exact(self.columns).zip(sums);
                for (y, (row, &sum)) in y.iter_mut().zip(rows) {
                    let dot =
                        dot_i8(x.quantized, row).wrapping_sub(sum.wrapping_mul(x.range.zero_point));
                    *y += dot as f32 * scale;
                }
            }
        }
    }
}

impl<'a> Row<'a> {
    /// `real`, quantized into `quantized`, which is as long.
    pub(in super::super) fn new(real: &'a [f32], quantized: &'a mut [i8], how: Rounding) -> Self {
        let range = match how {
            Rounding::Real => Range { scale: 1.0, zero_point: 0 },
            Rounding::Symmetric => Dynamic::Symmetric.quantize(real, quantized),
            Rounding::Asymmetric => Dynamic::Asymmetric.quantize(real, quantized),
        };
        Self { real, quantized, range }
    }
}
