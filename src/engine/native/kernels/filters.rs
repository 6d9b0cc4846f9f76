//! Rows of activations times filters: what convolution and fully connected have in common.

use super::requantize::{Requantize, ratio};
use super::{Quant8, Refusal, Site, constant_i8, malformed, unsupported};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Activation, Quant, Value};

/// Packed filters with bias and output scaling.
#[derive(Debug)]
pub(super) struct Filters {
    /// Length of a row.
    pub(super) k: usize,
    /// Number of filters, and of outputs for each row.
    pub(super) n: usize,
    /// `[n, k]`.
    weights: Vec<i8>,
    /// `[n]`, with the input's zero point folded in.
    bias: Vec<i32>,
    /// `[n]`: from sums to steps of the output.
    scales: Vec<f32>,
    /// Of the weights; 0 for all but `uint8`.
    zero_point: i32,
    output: Requantize,
}

impl Filters {
    /// Takes the node's second and third input, `[n, …]` weights and `[n]` bias, for outputs `y`.
    pub(super) fn compile(
        site: &Site<'_>,
        x: Quant8,
        y: &Value<'_>,
        activation: Activation,
    ) -> Result<Self, Refusal> {
        let value = site.input(1)?;
        let n = *value.shape.first().ok_or_else(|| malformed("weights without dimensions"))?;
        let k = value.elements() / n;
        site.budget.take(value.elements())?;
        let weights = constant_i8(value, "weights")?;
        let y = Quant8::of(y)?;
        let (scales, zero_point) = weight_scales(site, value, 0, n, x, y)?;
        let mut bias = bias(site, n)?;
        for (bias, filter) in bias.iter_mut().zip(weights.chunks_exact(k)) {
            // Σ (x - zx)(w - zw) = Σ x w - zw Σ x - zx Σ w + k zx zw; only the second is left to `rows`.
            let sum = filter.iter().fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
            let both = (k as i32).wrapping_mul(zero_point).wrapping_sub(sum);
            *bias = bias.wrapping_add(both.wrapping_mul(x.zero_point));
        }
        Ok(Self { k, n, weights, bias, scales, zero_point, output: Requantize::new(y, activation) })
    }

    /// Bytes of the packed constants.
    pub(super) fn bytes(&self) -> usize {
        self.weights.len() + 4 * (self.bias.len() + self.scales.len())
    }

    /// `R` rows `[k]` into `R` consecutive rows `[n]` of `y`.
    #[inline]
    pub(super) fn rows<const R: usize>(&self, x: [&[i8]; R], y: &mut [i8]) {
        let corrections = match self.zero_point {
            0 => [0; R],
            zero_point => x.map(|row| {
                let sum = row.iter().fold(0i32, |sum, &x| sum.wrapping_add(i32::from(x)));
                sum.wrapping_mul(-zero_point)
            }),
        };
        let channels = self.bias.iter().zip(&self.scales);
        for (i, (filter, (&bias, &scale))) in
            self.weights.chunks_exact(self.k).zip(channels).enumerate()
        {
            let sums = dot(x, filter);
            for r in 0..R {
                let sum = sums[r].wrapping_add(bias).wrapping_add(corrections[r]);
                y[r * self.n + i] = self.output.apply(sum, scale);
            }
        }
    }

    /// Any number of rows, `row(i)` each, into `y` `[rows, n]`.
    pub(super) fn all<'a>(&self, row: impl Fn(usize) -> &'a [i8], y: &mut [i8]) {
        let mut fours = y.chunks_exact_mut(4 * self.n);
        let mut i = 0;
        for y in &mut fours {
            self.rows([row(i), row(i + 1), row(i + 2), row(i + 3)], y);
            i += 4;
        }
        for y in fours.into_remainder().chunks_exact_mut(self.n) {
            self.rows([row(i)], y);
            i += 1;
        }
    }
}

/// Dot products of `R` rows with one filter. Sums wrap, as the reference's do.
#[inline(always)]
fn dot<const R: usize>(x: [&[i8]; R], filter: &[i8]) -> [i32; R] {
    x.map(|row| {
        row.iter().zip(filter).fold(0i32, |sum, (&x, &w)| {
            sum.wrapping_add(i32::from(i16::from(x)) * i32::from(i16::from(w)))
        })
    })
}

/// The third input: `n` biases of 32 bits in steps of input times weight scale; zeros without one.
pub(super) fn bias(site: &Site<'_>, n: usize) -> Result<Vec<i32>, Refusal> {
    site.budget.take_for::<i32>(n)?;
    let Some(value) = site.optional(2) else { return Ok(vec![0; n]) };
    let Some(data) = &value.data else { return Err(unsupported("a bias that is not constant")) };
    if value.dtype != DType::I32 {
        return Err(unsupported(format!("a bias of {}", value.dtype)));
    }
    if value.elements() != n {
        return Err(malformed(format!("{} biases for {n} filters", value.elements())));
    }
    Ok(data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect())
}

/// For each of `n` filters along `axis` the factor from sums to steps of `y`, and the weights' zero
/// point as they lie packed.
pub(super) fn weight_scales(
    site: &Site<'_>,
    weights: &Value<'_>,
    axis: usize,
    n: usize,
    x: Quant8,
    y: Quant8,
) -> Result<(Vec<f32>, i32), Refusal> {
    site.budget.take_for::<f32>(n)?;
    let origin = if weights.dtype == DType::U8 { 128 } else { 0 };
    match &weights.quant {
        Quant::Tensor(Quantization { scale, zero_point }) => {
            Ok((vec![ratio(x.scale, *scale, y.scale)?; n], zero_point - origin))
        }
        Quant::Channels { axis: along, scales } if *along == axis && scales.len() == n => {
            let ratios: Result<_, _> =
                scales.iter().map(|&scale| ratio(x.scale, scale, y.scale)).collect();
            Ok((ratios?, 0))
        }
        Quant::Channels { axis, scales } => Err(malformed(format!(
            "{} weight scales along axis {axis} for {n} filters",
            scales.len()
        ))),
        Quant::None => Err(unsupported("weights without a scale")),
    }
}
