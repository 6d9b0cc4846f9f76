//! Layers on the kernels of an instruction set.

use super::super::{Compiled, Kernel, Refusal, Site, Step};
use super::layer::Layer;
use super::scaling::Bytes;
use super::scratch::scratch_for;
use super::window::Sliding;
use crate::engine::EngineError;
use crate::engine::native::kernels::{
    Conv, DepthwiseConv, Filters, FloatConv, FloatDepthwiseConv, FloatFilters, Geometry, Output,
};
use crate::engine::native::limits::{ARENA_MAX, Budget};
use crate::engine::native::memory::Memory;

/// The geometry of `window` over images of `channels`.
pub(in super::super) fn geometry(window: &Sliding, channels: usize) -> Geometry {
    let Sliding { input, output, kernel, stride, dilation, before } = *window;
    Geometry { input, channels, kernel, stride, dilation, before, output }
}

/// A convolution or a fully connected layer; `None` where its sums are scaled as the kernels do not.
pub(in super::super) fn bytes(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Option<Compiled>, Refusal> {
    take(site.budget, Conv::bytes_max(&geometry, layer.channels()))?;
    packed(layer, |filters, output| Conv::new(site.isa, geometry, filters, output))
}

/// A depthwise convolution with one filter for each channel; `None` as for [`bytes`].
pub(in super::super) fn depthwise_bytes(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Option<Compiled>, Refusal> {
    take(site.budget, DepthwiseConv::bytes_max(&geometry))?;
    packed(layer, |filters, output| DepthwiseConv::new(site.isa, geometry, filters, output))
}

/// A convolution or a fully connected layer of real numbers.
pub(in super::super) fn floats(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Compiled, Refusal> {
    take(site.budget, FloatConv::bytes_max(&geometry, layer.channels()))?;
    let (weights, bias, bounds) = (layer.reals()?, layer.bias_f32()?, layer.clamp().bounds());
    let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
    step(layer, FloatConv::new(site.isa, geometry, filters))
}

/// A depthwise convolution of real numbers with one filter for each channel.
pub(in super::super) fn depthwise_floats(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Compiled, Refusal> {
    take(site.budget, FloatDepthwiseConv::bytes_max(&geometry))?;
    let (weights, bias, bounds) = (layer.reals()?, layer.bias_f32()?, layer.clamp().bounds());
    let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
    step(layer, FloatDepthwiseConv::new(site.isa, geometry, filters))
}

/// Packs what the kernels take of an 8-bit layer.
fn packed<K: Packed>(
    layer: &Layer<'_>,
    pack: impl FnOnce(Filters<'_>, Output) -> Option<K>,
) -> Result<Option<Compiled>, Refusal> {
    let (x, scaling, zero_point) = layer.byte_scaling()?;
    let Bytes::Real { scales, output } = scaling else { return Ok(None) };
    let (weights, bias) = (layer.signed()?, layer.bias_i32()?);
    let filters = Filters {
        weights: &weights,
        bias: &bias,
        scales: &scales,
        zero_point,
        input_zero_point: x.zero_point,
    };
    step(layer, pack(filters, output)).map(Some)
}

/// Takes what packing may need.
fn take(budget: &Budget, needed: Option<usize>) -> Result<(), Refusal> {
    Ok(budget.take(needed.unwrap_or(usize::MAX))?)
}

/// The step of a packed layer; `None` where its offsets are too large for it.
fn step<K: Packed>(layer: &Layer<'_>, kernel: Option<K>) -> Result<Compiled, Refusal> {
    let needed = kernel.as_ref().and_then(K::scratch);
    let (Some(kernel), Some(scratch)) = (kernel, needed) else {
        let (what, limit) = ("one image", ARENA_MAX);
        return Err(EngineError::TooLarge { what, needed: usize::MAX, limit }.into());
    };
    let (scratch, weight_bytes) = (scratch_for::<u8>(scratch)?, kernel.bytes());
    let k = layer.weights.elements() / layer.channels().max(1);
    let macs = layer.y.elements() as u64 * k as u64;
    let work = macs + (layer.x.elements() + layer.y.elements()) as u64;
    Ok(Step { scratch, weight_bytes, macs, work, ..Step::new(kernel, 0) }.into())
}

/// A kernel with its constants.
trait Packed: Kernel + Sized + 'static {
    /// Bytes of the constants.
    fn bytes(&self) -> usize;
    /// Bytes of scratch; `None` when they overflow.
    fn scratch(&self) -> Option<usize>;
}

macro_rules! packed {
    ($($kernel:ident of $value:ty, scratch of $scratch:ty;)*) => {$(
        impl Packed for $kernel {
            fn bytes(&self) -> usize {
                self.bytes()
            }

            fn scratch(&self) -> Option<usize> {
                self.scratch()?.checked_mul(size_of::<$scratch>())
            }
        }

        impl Kernel for $kernel {
            fn run(&self, memory: &mut Memory<'_>) {
                let (x, y, scratch) = memory.unary_scratch::<$value, $value, $scratch>();
                self.run(x, y, scratch);
            }
        }
    )*};
}

packed! {
    Conv of i8, scratch of u8;
    DepthwiseConv of i8, scratch of u8;
    FloatConv of f32, scratch of f32;
    FloatDepthwiseConv of f32, scratch of f32;
}
