//! Matrices of reals by rows of reals, as recurrent layers have them: some one below the other (the
//! gates), some beside each other (the input, the state). 8-bit ones take rows that are quantized on
//! the way, as LiteRT's hybrid kernels do it.

use super::super::{Refusal, Site, malformed, unsupported};
use super::scratch::scratch_for;
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Quant, Value};
use crate::engine::native::kernels::{ByteMatrix, ByteRange, Dynamic, FloatMatrix, Isa};

/// How rows are quantized for 8-bit matrices: ranges are asymmetric or not.
pub(in super::super) fn dynamic(asymmetric: bool) -> Dynamic {
    if asymmetric { Dynamic::Asymmetric } else { Dynamic::Symmetric }
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

/// A constant `[rows, columns]`.
enum Matrix<'a> {
    Real(Vec<f32>),
    Quantized(&'a [i8], f32),
}

impl<'a> Matrix<'a> {
    /// Input `index` of the site, which has to be of this shape.
    fn of(site: &Site<'a>, index: usize, [rows, columns]: [usize; 2]) -> Result<Self, Refusal> {
        let value = site.input(index)?;
        let what = format!("matrix {index}");
        if value.shape[..] != [rows, columns] || rows == 0 || columns == 0 {
            let found = &value.shape;
            return Err(malformed(format!(
                "{what} of shape {found:?} instead of [{rows}, {columns}]"
            )));
        }
        match (value.dtype, &value.quant, &value.data) {
            (DType::I8, Quant::Tensor(Quantization { scale, zero_point: 0 }), Some(data)) => {
                Ok(Self::Quantized(bytemuck::cast_slice(data), *scale))
            }
            (DType::I8, ..) => Err(unsupported(format!("{what} with zero points or channels"))),
            _ => {
                site.budget.take_for::<f32>(value.elements())?;
                Ok(Self::Real(reals(value, rows * columns, &what)?))
            }
        }
    }
}

/// Products with rows of reals that are added up.
#[derive(Debug)]
pub(in super::super) struct Products {
    isa: Isa,
    bias: Vec<f32>,
    /// Lengths of the rows.
    columns: Vec<usize>,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    /// Of all rows one after the other; the bias is in it.
    Real(FloatMatrix),
    /// For each row.
    Quantized(Dynamic, Vec<Quantized>),
}

#[derive(Debug)]
struct Quantized {
    matrix: ByteMatrix,
    /// The weights' scale and their sum, for each row of the matrix.
    scales: Vec<f32>,
    totals: Vec<i32>,
}

impl Products {
    /// For each row of reals its length and the matrices, one below the other, that it goes to:
    /// inputs of the site, each of as many of the outputs as the others. `bias` is for all outputs.
    pub(in super::super) fn new(
        site: &Site<'_>,
        of: &[(usize, Vec<usize>)],
        bias: Vec<f32>,
        dynamic: Dynamic,
    ) -> Result<Self, Refusal> {
        let n = bias.len();
        let columns: Vec<usize> = of.iter().map(|&(columns, _)| columns).collect();
        let all = columns.iter().copied().fold(0, usize::saturating_add);
        let mut parts = Vec::new();
        for (columns, inputs) in of {
            let rows = n / inputs.len().max(1);
            let matrix = |&index: &usize| Matrix::of(site, index, [rows, *columns]);
            parts.push(inputs.iter().map(matrix).collect::<Result<Vec<_>, _>>()?);
        }
        let take = |needed: Option<usize>| site.budget.take(needed.unwrap_or(usize::MAX));
        let quantized = matches!(parts.iter().flatten().next(), Some(Matrix::Quantized(..)));
        let mixed = || unsupported("weights of which only some are 8-bit");
        if !quantized {
            take(FloatMatrix::bytes_max(n, all))?;
            site.budget.take_for::<f32>(n.saturating_mul(all))?;
            let mut weights = vec![0.0; n * all];
            let mut first = 0;
            for (columns, matrices) in columns.iter().zip(&parts) {
                let mut rows = weights.chunks_exact_mut(all.max(1));
                for matrix in matrices {
                    let Matrix::Real(values) = matrix else { return Err(mixed()) };
                    // In this order: the other would lose a row at the end.
                    for (values, row) in values.chunks_exact(*columns).zip(rows.by_ref()) {
                        row[first..first + columns].copy_from_slice(values);
                    }
                }
                first += columns;
            }
            let weights = Weights::Real(FloatMatrix::new(site.isa, &weights, &bias));
            return Ok(Self { isa: site.isa, bias, columns, weights });
        }
        let mut made = Vec::new();
        for (&columns, matrices) in columns.iter().zip(&parts) {
            take(ByteMatrix::bytes_max(n, columns))?;
            site.budget.take_for::<u8>(n.saturating_mul(columns.saturating_add(12)))?;
            let (mut weights, mut scales) = (Vec::new(), Vec::new());
            for matrix in matrices {
                let Matrix::Quantized(values, scale) = matrix else { return Err(mixed()) };
                weights.extend_from_slice(values);
                scales.extend(std::iter::repeat_n(*scale, n / matrices.len()));
            }
            let total = |row: &[i8]| row.iter().map(|&w| i32::from(w)).sum();
            let totals = weights.chunks_exact(columns).map(total).collect();
            let matrix = ByteMatrix::new(site.isa, &weights, &vec![0; n]);
            made.push(Quantized { matrix, scales, totals });
        }
        Ok(Self { isa: site.isa, bias, columns, weights: Weights::Quantized(dynamic, made) })
    }

    /// Whether rows are quantized for it.
    pub(in super::super) fn is_quantized(&self) -> bool {
        matches!(self.weights, Weights::Quantized(..))
    }

    /// Bytes of the packed constants.
    pub(in super::super) fn bytes(&self) -> usize {
        let weights = match &self.weights {
            Weights::Real(matrix) => matrix.bytes(),
            Weights::Quantized(_, parts) => {
                parts.iter().map(|part| part.matrix.bytes() + 8 * part.totals.len()).sum()
            }
        };
        weights + 4 * self.bias.len()
    }

    /// Multiply-accumulates of a run.
    pub(in super::super) fn macs(&self) -> u64 {
        match &self.weights {
            Weights::Real(matrix) => matrix.macs(),
            Weights::Quantized(_, parts) => parts.iter().map(|part| part.matrix.macs()).sum(),
        }
    }

    /// Bytes of scratch of a run: the rows as they are multiplied, and sums.
    pub(in super::super) fn scratch(&self) -> Result<usize, Refusal> {
        let columns = self.columns.iter().copied();
        match &self.weights {
            Weights::Real(_) => scratch_for::<f32>(columns.fold(0, usize::saturating_add)),
            Weights::Quantized(_, parts) => {
                let own = parts.iter().map(|part| part.matrix.scratch()).max().unwrap_or(0);
                let row = columns.max().unwrap_or(0).saturating_add(own);
                Ok(scratch_for::<i32>(self.bias.len())?.saturating_add(scratch_for::<u8>(row)?))
            }
        }
    }

    /// `y = bias + Σ matrix · row`; as many rows as there are matrices, of their lengths.
    pub(in super::super) fn run(&self, rows: &[&[f32]], y: &mut [f32], scratch: &mut [u8]) {
        match &self.weights {
            Weights::Real(matrix) if rows.len() == 1 => matrix.run(rows[0], y),
            Weights::Real(matrix) => {
                let all: usize = self.columns.iter().sum();
                let joined: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[..4 * all]);
                let mut rest = &mut *joined;
                for row in rows {
                    let (to, left) = rest.split_at_mut(row.len());
                    to.copy_from_slice(row);
                    rest = left;
                }
                matrix.run(joined, y);
            }
            Weights::Quantized(dynamic, parts) => {
                y.copy_from_slice(&self.bias);
                let (sums, scratch) = scratch.split_at_mut(4 * self.bias.len());
                let sums: &mut [i32] = bytemuck::cast_slice_mut(sums);
                for (row, part) in rows.iter().zip(parts) {
                    let (bytes, scratch) = scratch.split_at_mut(row.len());
                    let bytes: &mut [i8] = bytemuck::cast_slice_mut(bytes);
                    let range = dynamic.quantize(self.isa, row, bytes);
                    part.matrix.run(bytes, sums, scratch);
                    self.isa.run(
                        #[inline(always)]
                        || part.add(sums, range, y),
                    );
                }
            }
        }
    }
}

impl Quantized {
    #[inline(always)]
    fn add(&self, sums: &[i32], range: ByteRange, y: &mut [f32]) {
        let n = y.len();
        let (sums, scales, totals) = (&sums[..n], &self.scales[..n], &self.totals[..n]);
        for i in 0..n {
            let sum = sums[i].wrapping_sub(totals[i].wrapping_mul(range.zero_point));
            y[i] += sum as f32 * (scales[i] * range.scale);
        }
    }
}
