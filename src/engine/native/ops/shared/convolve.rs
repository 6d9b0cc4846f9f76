//! Layers on the kernels of an instruction set.

use super::super::packed::{Packed, step, take};
use super::super::{Compiled, Refusal, Site};
use super::layer::Layer;
use super::scaling::Bytes;
use crate::engine::native::kernels::{
    Conv, DepthwiseConv, Filters, FloatConv, FloatDepthwiseConv, FloatFilters, Geometry, Output,
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
