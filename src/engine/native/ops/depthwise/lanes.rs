//! Sums of products for many channels side by side, for every kind of arithmetic.

use std::fmt;

use bytemuck::Pod;

use super::super::Refusal;
use super::super::shared::layer::Layer;
use super::super::shared::scaling::{self, Clamp};
use crate::engine::native::kernels::{ByteRange, Dynamic, Isa};

/// Channels that go together.
pub(super) const LANES: usize = 16;

/// One kind of arithmetic: what is multiplied, and what becomes of the sums.
pub(super) trait Lanes: Send + Sync + fmt::Debug + Sized + 'static {
    /// An element of the node's input, of what it is prepared as, of weights, sums and the output.
    type Input: Pod;
    type X: Pod;
    type W: Copy + Send + Sync + fmt::Debug;
    type Sum: Copy + Default;
    type Y: Pod;
    /// What is found out of an image when it is prepared.
    type Image: Copy;

    /// The arithmetic and the weights, `[kh, kw, n]`.
    fn compile(layer: &Layer<'_>) -> Result<(Self, Vec<Self::W>), Refusal>;

    /// Bytes of scratch for preparing an image of `len` elements.
    fn scratch(_len: usize) -> usize {
        0
    }

    /// What the sums are made of: the input itself, or what it becomes in `scratch`.
    fn prepare<'a>(
        &self,
        x: &'a [Self::Input],
        scratch: &'a mut [u8],
    ) -> (&'a [Self::X], Self::Image);

    /// The biases of channel `first` and those that follow.
    fn bias(&self) -> &[Self::Sum];

    /// The sums of `len` channels from `first` on before any product.
    #[inline(always)]
    fn start(&self, first: usize, len: usize) -> [Self::Sum; LANES] {
        let mut sums = [Self::Sum::default(); LANES];
        sums[..len].copy_from_slice(&self.bias()[first..first + len]);
        sums
    }

    fn add(&self, sum: Self::Sum, x: Self::X, w: Self::W, image: Self::Image) -> Self::Sum;

    fn finish(&self, channel: usize, sum: Self::Sum, image: Self::Image) -> Self::Y;
}

/// 8-bit activations; weights less their zero point.
#[derive(Debug)]
pub(super) struct Bytes {
    bias: Vec<i32>,
    zero_point: i16,
    output: scaling::Bytes,
}

impl Lanes for Bytes {
    type Input = i8;
    type X = i8;
    type W = i16;
    type Sum = i32;
    type Y = i8;
    type Image = ();

    fn compile(layer: &Layer<'_>) -> Result<(Self, Vec<i16>), Refusal> {
        let (x, output, zero_point) = layer.byte_scaling()?;
        let bias = layer.bias_i32()?;
        layer.take::<i16>(layer.weights.elements())?;
        let less = |w: i8| i16::from(w) - zero_point as i16;
        let weights = layer.bytes(None)?.into_iter().map(less).collect();
        Ok((Self { bias, zero_point: x.zero_point as i16, output }, weights))
    }

    fn prepare<'a>(&self, x: &'a [i8], _scratch: &'a mut [u8]) -> (&'a [i8], ()) {
        (x, ())
    }

    fn bias(&self) -> &[i32] {
        &self.bias
    }

    #[inline(always)]
    fn add(&self, sum: i32, x: i8, w: i16, (): ()) -> i32 {
        sum.wrapping_add(i32::from(i16::from(x) - self.zero_point) * i32::from(w))
    }

    #[inline(always)]
    fn finish(&self, channel: usize, sum: i32, (): ()) -> i8 {
        self.output.apply(channel, sum)
    }
}

/// 16-bit activations, 8-bit weights.
#[derive(Debug)]
pub(super) struct Words {
    bias: Vec<i64>,
    output: scaling::Words,
}

impl Lanes for Words {
    type Input = i16;
    type X = i16;
    type W = i8;
    type Sum = i64;
    type Y = i16;
    type Image = ();

    fn compile(layer: &Layer<'_>) -> Result<(Self, Vec<i8>), Refusal> {
        Ok((Self { bias: layer.bias_i64()?, output: layer.word_scaling()? }, layer.bytes(None)?))
    }

    fn prepare<'a>(&self, x: &'a [i16], _scratch: &'a mut [u8]) -> (&'a [i16], ()) {
        (x, ())
    }

    fn bias(&self) -> &[i64] {
        &self.bias
    }

    #[inline(always)]
    fn add(&self, sum: i64, x: i16, w: i8, (): ()) -> i64 {
        sum.wrapping_add(i64::from(i32::from(x) * i32::from(w)))
    }

    #[inline(always)]
    fn finish(&self, channel: usize, sum: i64, (): ()) -> i16 {
        self.output.apply(channel, sum)
    }
}

/// Real activations brought to 8 bits, 8-bit weights.
#[derive(Debug)]
pub(super) struct Hybrid {
    /// Sums begin with nothing: the bias is real.
    none: Vec<i32>,
    bias: Vec<f32>,
    scales: Vec<f32>,
    dynamic: Dynamic,
    clamp: Clamp,
}

impl Lanes for Hybrid {
    type Input = f32;
    type X = i8;
    type W = i8;
    type Sum = i32;
    type Y = f32;
    type Image = ByteRange;

    fn compile(layer: &Layer<'_>) -> Result<(Self, Vec<i8>), Refusal> {
        let (bias, scales) = (layer.bias_f32()?, layer.symmetric_scales()?);
        layer.take::<i32>(bias.len())?;
        let (none, dynamic, clamp) = (vec![0; bias.len()], layer.dynamic, layer.clamp());
        Ok((Self { none, bias, scales, dynamic, clamp }, layer.bytes(None)?))
    }

    fn scratch(len: usize) -> usize {
        len
    }

    fn prepare<'a>(&self, x: &'a [f32], scratch: &'a mut [u8]) -> (&'a [i8], ByteRange) {
        let bytes = &mut bytemuck::cast_slice_mut::<u8, i8>(scratch)[..x.len()];
        let range = self.dynamic.quantize(Isa::SCALAR, x, bytes);
        (bytes, range)
    }

    fn bias(&self) -> &[i32] {
        &self.none
    }

    #[inline(always)]
    fn add(&self, sum: i32, x: i8, w: i8, range: ByteRange) -> i32 {
        let x = i16::from(x) - range.zero_point as i16;
        sum.wrapping_add(i32::from(x) * i32::from(w))
    }

    #[inline(always)]
    fn finish(&self, channel: usize, sum: i32, range: ByteRange) -> f32 {
        let product = sum as f32 * (range.scale * self.scales[channel]);
        self.clamp.apply(product + self.bias[channel])
    }
}

/// Real numbers.
#[derive(Debug)]
pub(super) struct Floats {
    bias: Vec<f32>,
    clamp: Clamp,
}

impl Lanes for Floats {
    type Input = f32;
    type X = f32;
    type W = f32;
    type Sum = f32;
    type Y = f32;
    type Image = ();

    fn compile(layer: &Layer<'_>) -> Result<(Self, Vec<f32>), Refusal> {
        Ok((Self { bias: layer.bias_f32()?, clamp: layer.clamp() }, layer.floats(None)?))
    }

    fn prepare<'a>(&self, x: &'a [f32], _scratch: &'a mut [u8]) -> (&'a [f32], ()) {
        (x, ())
    }

    fn bias(&self) -> &[f32] {
        &self.bias
    }

    #[inline(always)]
    fn add(&self, sum: f32, x: f32, w: f32, (): ()) -> f32 {
        // Fused, as XNNPACK.
        (f64::from(x) * f64::from(w) + f64::from(sum)) as f32
    }

    #[inline(always)]
    fn finish(&self, _channel: usize, sum: f32, (): ()) -> f32 {
        self.clamp.apply(sum)
    }
}
