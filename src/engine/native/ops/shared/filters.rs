//! Rows of activations times filters: what convolutions and fully connected layers have in common,
//! for every kind of arithmetic.

use std::fmt;

use bytemuck::Pod;

use super::super::Refusal;
use super::dot::{dot_i8, dot_i16};
use super::layer::Layer;
use super::scaling::{Bytes, Clamp, Words};
use crate::engine::native::kernels::{ByteRange, Dynamic, Isa};

/// Filters of one kind of arithmetic, `[n, k]`, with bias and output scaling.
pub(in super::super) trait Filters:
    Send + Sync + fmt::Debug + Sized + 'static
{
    /// An element of the node's input, of the rows, of the output.
    type Input: Pod;
    type X: Pod;
    type Y: Pod;
    /// What is found out of an image when it is prepared.
    type Image: Copy;

    /// Packs the layer's filters; of each only the elements at `taken`, or all.
    fn compile(layer: &Layer<'_>, taken: Option<&[usize]>) -> Result<Self, Refusal>;

    /// Length of a row.
    fn k(&self) -> usize;

    /// Number of filters.
    fn n(&self) -> usize;

    /// Bytes of the packed constants.
    fn bytes(&self) -> usize;

    /// Bytes of scratch for preparing `len` elements.
    fn scratch(_len: usize) -> usize {
        0
    }

    /// What rows are taken from: the input itself, or what it becomes in `scratch`.
    fn prepare<'a>(
        &self,
        x: &'a [Self::Input],
        scratch: &'a mut [u8],
    ) -> (&'a [Self::X], Self::Image);

    /// Real zero.
    fn zero(&self, image: Self::Image) -> Self::X;

    /// One row `[k]` into the outputs of filter `first` and those that follow.
    fn row(&self, first: usize, x: &[Self::X], image: Self::Image, y: &mut [Self::Y]);
}

/// Packed filters, their bias, and what belongs to the arithmetic.
#[derive(Debug)]
pub(in super::super) struct Packed<W, B, A> {
    k: usize,
    n: usize,
    /// `[n, k]`.
    weights: Vec<W>,
    /// `[n]`.
    bias: Vec<B>,
    arithmetic: A,
}

impl<W, B, A> Packed<W, B, A> {
    fn new(layer: &Layer<'_>, weights: Vec<W>, bias: Vec<B>, arithmetic: A) -> Self {
        let n = layer.channels();
        Self { k: weights.len() / n.max(1), n, weights, bias, arithmetic }
    }

    fn bytes(&self, channel: usize) -> usize {
        size_of_val(&self.weights[..]) + size_of_val(&self.bias[..]) + channel * self.n
    }

    fn filter(&self, i: usize) -> &[W] {
        &self.weights[i * self.k..][..self.k]
    }
}

fn sum(values: &[i8]) -> i32 {
    values.iter().fold(0i32, |sum, &value| sum.wrapping_add(i32::from(value)))
}

/// 8-bit activations and weights. The bias has the input's zero point folded in.
pub(in super::super) type ByteFilters = Packed<i8, i32, ByteArithmetic>;

#[derive(Debug)]
pub(in super::super) struct ByteArithmetic {
    x_zero: i8,
    /// Of the weights; 0 for all but `uint8`.
    zero_point: i32,
    output: Bytes,
}

impl Filters for ByteFilters {
    type Input = i8;
    type X = i8;
    type Y = i8;
    type Image = ();

    fn compile(layer: &Layer<'_>, taken: Option<&[usize]>) -> Result<Self, Refusal> {
        let (x, output, zero_point) = layer.byte_scaling()?;
        let arithmetic = ByteArithmetic { x_zero: x.zero_point as i8, zero_point, output };
        let bias = layer.bias_i32()?;
        let mut packed = Self::new(layer, layer.bytes(taken)?, bias, arithmetic);
        for i in 0..packed.n {
            // Σ (x - zx)(w - zw) = Σ x w - zw Σ x - zx Σ w + k zx zw; only the second is left to rows.
            let both =
                (packed.k as i32).wrapping_mul(zero_point).wrapping_sub(sum(packed.filter(i)));
            packed.bias[i] = packed.bias[i].wrapping_add(both.wrapping_mul(x.zero_point));
        }
        Ok(packed)
    }

    fn k(&self) -> usize {
        self.k
    }

    fn n(&self) -> usize {
        self.n
    }

    fn bytes(&self) -> usize {
        self.bytes(4)
    }

    fn prepare<'a>(&self, x: &'a [i8], _scratch: &'a mut [u8]) -> (&'a [i8], ()) {
        (x, ())
    }

    fn zero(&self, (): ()) -> i8 {
        self.arithmetic.x_zero
    }

    fn row(&self, first: usize, x: &[i8], (): (), y: &mut [i8]) {
        let correction = match self.arithmetic.zero_point {
            0 => 0,
            zero_point => sum(x).wrapping_mul(-zero_point),
        };
        for (i, y) in (first..).zip(y) {
            let sum = dot_i8(x, self.filter(i)).wrapping_add(self.bias[i]);
            *y = self.arithmetic.output.apply(i, sum.wrapping_add(correction));
        }
    }
}

/// 16-bit activations, 8-bit weights.
pub(in super::super) type WordFilters = Packed<i8, i64, Words>;

impl Filters for WordFilters {
    type Input = i16;
    type X = i16;
    type Y = i16;
    type Image = ();

    fn compile(layer: &Layer<'_>, taken: Option<&[usize]>) -> Result<Self, Refusal> {
        let (bias, output) = (layer.bias_i64()?, layer.word_scaling()?);
        Ok(Self::new(layer, layer.bytes(taken)?, bias, output))
    }

    fn k(&self) -> usize {
        self.k
    }

    fn n(&self) -> usize {
        self.n
    }

    fn bytes(&self) -> usize {
        self.bytes(8)
    }

    fn prepare<'a>(&self, x: &'a [i16], _scratch: &'a mut [u8]) -> (&'a [i16], ()) {
        (x, ())
    }

    fn zero(&self, (): ()) -> i16 {
        0
    }

    fn row(&self, first: usize, x: &[i16], (): (), y: &mut [i16]) {
        for (i, y) in (first..).zip(y) {
            let sum = dot_i16(x, self.filter(i)).wrapping_add(self.bias[i]);
            *y = self.arithmetic.apply(i, sum);
        }
    }
}

/// Filters of real numbers that go together.
const LANES: usize = 16;

/// Real numbers, summed in XNNPACK's order: the bias first, then one fused product after the other.
/// Where sums are large and cancel, another order is further from LiteRT than real models allow.
pub(in super::super) type FloatFilters = Packed<f32, f32, Clamp>;

impl Filters for FloatFilters {
    type Input = f32;
    type X = f32;
    type Y = f32;
    type Image = ();

    fn compile(layer: &Layer<'_>, taken: Option<&[usize]>) -> Result<Self, Refusal> {
        let (weights, bias) = (layer.floats(taken)?, layer.bias_f32()?);
        let n = layer.channels();
        let k = weights.len() / n.max(1);
        let len = n.div_ceil(LANES).saturating_mul(LANES).saturating_mul(k);
        layer.take::<f32>(len)?;
        // `[n / LANES, k, LANES]`: filters lie side by side.
        let mut packed = vec![0.0; len];
        for (filter, weights) in weights.chunks_exact(k.max(1)).enumerate() {
            let block = &mut packed[filter / LANES * k * LANES..];
            for (to, &w) in block.iter_mut().skip(filter % LANES).step_by(LANES).zip(weights) {
                *to = w;
            }
        }
        Ok(Self { k, n, weights: packed, bias, arithmetic: layer.clamp() })
    }

    fn k(&self) -> usize {
        self.k
    }

    fn n(&self) -> usize {
        self.n
    }

    fn bytes(&self) -> usize {
        self.bytes(0)
    }

    fn prepare<'a>(&self, x: &'a [f32], _scratch: &'a mut [u8]) -> (&'a [f32], ()) {
        (x, ())
    }

    fn zero(&self, (): ()) -> f32 {
        0.0
    }

    fn row(&self, first: usize, x: &[f32], (): (), y: &mut [f32]) {
        let mut done = 0;
        while done < y.len() {
            let (block, lane) = ((first + done) / LANES, (first + done) % LANES);
            let mut sums = [0f32; LANES];
            let bias = &self.bias[block * LANES..self.n.min((block + 1) * LANES)];
            sums[..bias.len()].copy_from_slice(bias);
            let weights = &self.weights[block * self.k * LANES..][..self.k * LANES];
            for (&x, w) in x.iter().zip(weights.as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    let product = f64::from(x) * f64::from(w[lane]);
                    sums[lane] = (product + f64::from(sums[lane])) as f32;
                }
            }
            for (y, &sum) in y[done..].iter_mut().zip(&sums[lane..]) {
                *y = self.arithmetic.apply(sum);
            }
            done += LANES - lane;
        }
    }
}

/// Real activations brought to 8 bits, 8-bit weights.
pub(in super::super) type HybridFilters = Packed<i8, f32, HybridArithmetic>;

#[derive(Debug)]
pub(in super::super) struct HybridArithmetic {
    dynamic: Dynamic,
    clamp: Clamp,
    /// `[n]`: the weights' scales, and the sum of each filter.
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Filters for HybridFilters {
    type Input = f32;
    type X = i8;
    type Y = f32;
    type Image = ByteRange;

    fn compile(layer: &Layer<'_>, taken: Option<&[usize]>) -> Result<Self, Refusal> {
        let arithmetic = HybridArithmetic {
            dynamic: layer.dynamic,
            clamp: layer.clamp(),
            scales: layer.symmetric_scales()?,
            sums: Vec::new(),
        };
        let bias = layer.bias_f32()?;
        let mut packed = Self::new(layer, layer.bytes(taken)?, bias, arithmetic);
        layer.take::<i32>(packed.n)?;
        packed.arithmetic.sums = (0..packed.n).map(|i| sum(packed.filter(i))).collect();
        Ok(packed)
    }

    fn k(&self) -> usize {
        self.k
    }

    fn n(&self) -> usize {
        self.n
    }

    fn bytes(&self) -> usize {
        self.bytes(8)
    }

    fn scratch(len: usize) -> usize {
        len
    }

    fn prepare<'a>(&self, x: &'a [f32], scratch: &'a mut [u8]) -> (&'a [i8], ByteRange) {
        let bytes = &mut bytemuck::cast_slice_mut::<u8, i8>(scratch)[..x.len()];
        let range = self.arithmetic.dynamic.quantize(Isa::SCALAR, x, bytes);
        (bytes, range)
    }

    fn zero(&self, range: ByteRange) -> i8 {
        range.zero_point as i8
    }

    fn row(&self, first: usize, x: &[i8], range: ByteRange, y: &mut [f32]) {
        let HybridArithmetic { clamp, scales, sums, .. } = &self.arithmetic;
        for (i, y) in (first..).zip(y) {
            let zeros = sums[i].wrapping_mul(range.zero_point);
            let sum = dot_i8(x, self.filter(i)).wrapping_sub(zeros);
            *y = clamp.apply(sum as f32 * range.scale * scales[i] + self.bias[i]);
        }
    }
}
