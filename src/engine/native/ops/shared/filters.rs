//! Rows of activations times filters: what convolution and fully connected have in common.

use super::super::{Refusal, Site, malformed, unsupported};
use super::quant8::{Quant8, constant_i8};
use super::requantize::{Requantize, ratio};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Activation, Quant, Value};

/// Packed filters with bias and output scaling.
#[derive(Debug)]
pub(in super::super) struct Filters {
    /// Length of a row.
    pub(in super::super) k: usize,
    /// Number of filters, and of outputs for each row.
    pub(in super::super) n: usize,
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
    pub(in super::super) fn compile(
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
    pub(in super::super) fn bytes(&self) -> usize {
        self.weights.len() + 4 * (self.bias.len() + self.scales.len())
    }

    /// One row `[k]` into its outputs `[n]`.
    pub(in super::super) fn row(&self, x: &[i8], y: &mut [i8]) {
        let correction = match self.zero_point {
            0 => 0,
            zero_point => {
                let sum = x.iter().fold(0i32, |sum, &x| sum.wrapping_add(i32::from(x)));
                sum.wrapping_mul(-zero_point)
            }
        };
        let channels = self.bias.iter().zip(&self.scales);
        let filters = self.weights.chunks_exact(self.k).zip(channels);
        for (y, (filter, (&bias, &scale))) in y.iter_mut().zip(filters) {
            let sum = dot(x, filter).wrapping_add(bias).wrapping_add(correction);
            *y = self.output.apply(sum, scale);
        }
    }
}

/// Products that are summed side by side, each in its own lane.
const LANES: usize = 16;

/// The dot product. Sums wrap, as the reference's do.
///
/// Written so that the compiler keeps the lanes in vector registers: a product of two `i8` fits an
/// `i16`, and lanes are added up only once.
#[inline(always)]
fn dot(x: &[i8], w: &[i8]) -> i32 {
    let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<LANES>(), w.as_chunks::<LANES>());
    let mut sums = [0i32; LANES];
    for (x, w) in x.iter().zip(w) {
        for lane in 0..LANES {
            let product = i16::from(x[lane]) * i16::from(w[lane]);
            sums[lane] = sums[lane].wrapping_add(i32::from(product));
        }
    }
    let sum = sums.iter().fold(0i32, |sum, &lane| sum.wrapping_add(lane));
    x_rest
        .iter()
        .zip(w_rest)
        .fold(sum, |sum, (&x, &w)| sum.wrapping_add(i32::from(i16::from(x) * i16::from(w))))
}

/// The third input: `n` biases of 32 bits in steps of input times weight scale; zeros without one.
pub(in super::super) fn bias(site: &Site<'_>, n: usize) -> Result<Vec<i32>, Refusal> {
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
pub(in super::super) fn weight_scales(
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
