//! Layers on the kernels of an instruction set.

use super::super::packed::{Packed, step, take};
use super::super::{Compiled, Refusal, Site};
use super::layer::Layer;
use super::scaling::Bytes;
use crate::engine::native::kernels::{
    Conv, CutConv, Cuts, DepthwiseConv, Filters, FloatConv, FloatCutConv, FloatDepthwiseConv,
    FloatFilters, Geometry, HybridConv, HybridDepthwiseConv, HybridFilters, Output, Ranges,
};

/// A convolution or a fully connected layer; `None` where its sums are scaled as the kernels do not.
pub(in super::super) fn bytes(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Option<Compiled>, Refusal> {
    take(site, Conv::bytes_max(&geometry, layer.channels()))?;
    packed(site, layer, |filters, output| Conv::new(site.isa, geometry, filters, output))
}

/// A depthwise convolution with one filter for each channel; `None` as for [`bytes`].
pub(in super::super) fn depthwise_bytes(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Option<Compiled>, Refusal> {
    take(site, DepthwiseConv::bytes_max(&geometry))?;
    packed(site, layer, |filters, output| DepthwiseConv::new(site.isa, geometry, filters, output))
}

/// A convolution or a fully connected layer of real numbers.
pub(in super::super) fn floats(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Compiled, Refusal> {
    take(site, FloatConv::bytes_max(&geometry, layer.channels()))?;
    let (weights, bias, bounds) = (layer.reals()?, layer.bias_f32()?, layer.clamp().bounds());
    let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
    step(site, layer.k(), FloatConv::new(site.isa, geometry, filters))
}

/// A depthwise convolution of real numbers with one filter for each channel.
pub(in super::super) fn depthwise_floats(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Compiled, Refusal> {
    take(site, FloatDepthwiseConv::bytes_max(&geometry))?;
    let (weights, bias, bounds) = (layer.reals()?, layer.bias_f32()?, layer.clamp().bounds());
    let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
    step(site, layer.k(), FloatDepthwiseConv::new(site.isa, geometry, filters))
}

/// A convolution in several products; `None` as for [`bytes`].
pub(in super::super) fn cut_bytes(
    site: &Site<'_>,
    layer: &Layer<'_>,
    cuts: &Cuts,
) -> Result<Option<Compiled>, Refusal> {
    take(site, cuts.bytes_max(1))?;
    packed(site, layer, |filters, output| CutConv::new(site.isa, cuts, filters, output))
}

/// The same of real numbers.
pub(in super::super) fn cut_floats(
    site: &Site<'_>,
    layer: &Layer<'_>,
    cuts: &Cuts,
) -> Result<Compiled, Refusal> {
    take(site, cuts.bytes_max(4))?;
    let (weights, bias, bounds) = (layer.reals()?, layer.bias_f32()?, layer.clamp().bounds());
    let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
    step(site, layer.k(), FloatCutConv::new(site.isa, cuts, filters))
}

/// A convolution or a fully connected layer of real activations and 8-bit weights.
pub(in super::super) fn hybrid(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
    ranges: Ranges,
) -> Result<Compiled, Refusal> {
    take(site, HybridConv::bytes_max(&geometry, layer.channels()))?;
    let pack = |filters: HybridFilters<'_>| HybridConv::new(site.isa, geometry, filters, ranges);
    packed_hybrid(site, layer, pack)
}

/// A depthwise convolution of these with one filter for each channel; `None` where it has too many
/// taps.
pub(in super::super) fn depthwise_hybrid(
    site: &Site<'_>,
    layer: &Layer<'_>,
    geometry: Geometry,
) -> Result<Option<Compiled>, Refusal> {
    if geometry.kernel[0].saturating_mul(geometry.kernel[1]) > HybridDepthwiseConv::TAPS {
        return Ok(None);
    }
    take(site, HybridDepthwiseConv::bytes_max(&geometry))?;
    let pack = |filters: HybridFilters<'_>| HybridDepthwiseConv::new(site.isa, geometry, filters);
    packed_hybrid(site, layer, pack).map(Some)
}

fn packed_hybrid<K: Packed>(
    site: &Site<'_>,
    layer: &Layer<'_>,
    pack: impl FnOnce(HybridFilters<'_>) -> Option<K>,
) -> Result<Compiled, Refusal> {
    let (weights, scales, bias) = (layer.signed()?, layer.symmetric_scales()?, layer.bias_f32()?);
    let filters = HybridFilters {
        weights: &weights,
        scales: &scales,
        bias: &bias,
        bounds: layer.clamp().bounds(),
        dynamic: layer.dynamic,
    };
    step(site, layer.k(), pack(filters))
}

/// Packs what the kernels take of an 8-bit layer.
fn packed<K: Packed>(
    site: &Site<'_>,
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
    step(site, layer.k(), pack(filters, output)).map(Some)
}
