//! Convolution with groups, channels last; real and quantized.

use super::params::{each, floats, signed, turned};
use super::{
    Arithmetic, Compiled, Kernel, Memory, Operator, Params, Refusal, Site, Step, Zero, malformed,
    unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::{Shape, Value};
use crate::engine::native::kernels::{
    self, DepthwiseConv, Filters, FloatConv, FloatDepthwiseConv, FloatFilters, Output,
};
use crate::engine::native::ops::packed::{geometry, step, take};
use crate::engine::native::ops::shared::window::Sliding;

/// x `[n, h, w, c]`, constant weights `[co, kh, kw, c / groups]`, and, where real, constant bias `[co]`.
#[derive(Debug)]
pub(in super::super) struct Conv {
    pub(in super::super) window: Sliding,
    pub(in super::super) groups: usize,
    pub(in super::super) arithmetic: Arithmetic,
    /// `[co]`, or none; in steps of the product of both scales.
    pub(in super::super) bias: Vec<i32>,
}

/// The four dimensions of an image.
pub(super) fn image(value: &Value<'_>) -> Result<[usize; 4], Refusal> {
    let shape = &value.shape;
    shape[..].try_into().map_err(|_| malformed(format!("an image of shape {shape:?}")))
}

impl Operator for Conv {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [n, h, w, c] = image(site.input(0)?)?;
        let [co, kh, kw, taken] = image(site.input(1)?)?;
        self.window.check()?;
        let groups = self.groups;
        if groups == 0 || taken.checked_mul(groups) != Some(c) || co % groups != 0 {
            return Err(malformed(format!(
                "{co} filters over {taken} of {c} channels in {groups} groups"
            )));
        }
        if self.window.kernel != [kh, kw] || self.window.input != [h, w] {
            return Err(malformed(format!("filters of {kh}x{kw} on {h}x{w}")));
        }
        let [rows, columns] = self.window.output;
        Ok(vec![vec![n, rows, columns, co]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        if let Some(step) = self.packed(site)? {
            return Ok(step);
        }
        let (x, w, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let [co, kh, kw, taken] = image(w)?;
        let data = w.data.as_ref().ok_or_else(|| unsupported("weights that are not constant"))?;
        let one_or_all = |len: usize| len == 1 || len == co;
        let eight = |value: &Value<'_>| matches!(value.dtype, DType::I8 | DType::U8);
        let mut reads = vec![0];
        let weights = match &self.arithmetic {
            Arithmetic::Real if x.dtype == DType::F32 && w.dtype == DType::F32 => {
                site.budget.take_for::<f32>(w.elements() + co)?;
                let weights = floats(data);
                let bias = match site.optional(2) {
                    None => vec![0.0; co],
                    Some(bias) if bias.dtype == DType::F32 && bias.elements() == co => {
                        let data = bias.data.as_ref();
                        floats(data.ok_or_else(|| unsupported("a bias that is not constant"))?)
                    }
                    Some(bias) => {
                        return Err(malformed(format!("a bias of shape {:?}", bias.shape)));
                    }
                };
                Weights::Real { weights, bias }
            }
            Arithmetic::Sums { x_zero, w_zero: Zero::Fixed(w_zero) }
                if eight(x) && eight(w) && one_or_all(w_zero.len()) && y.dtype == DType::I32 =>
            {
                let x_zero = match x_zero {
                    Zero::Fixed(zeros) if zeros.len() == 1 => Some(zeros[0]),
                    Zero::Input(input) => {
                        let zero = site.input(*input)?;
                        if zero.elements() != 1 || zero.dtype != x.dtype {
                            return Err(malformed("more than one zero point of the input"));
                        }
                        reads.push(*input);
                        None
                    }
                    Zero::Fixed(_) => return Err(malformed("zero points of the input")),
                };
                Weights::Sums { weights: self.whole(site, w, w_zero)?, x_zero }
            }
            Arithmetic::Quantized { x_zero, w_zero, scales, y: params }
                if eight(x)
                    && eight(w)
                    && one_or_all(w_zero.len())
                    && one_or_all(scales.len())
                    && params.is_eight()
                    && params.dtype == y.dtype =>
            {
                site.budget.take_for::<f32>(co)?;
                let scales = (0..co).map(|c| scales[if scales.len() == 1 { 0 } else { c }]);
                let (scales, x_zero, y) = (scales.collect(), *x_zero, *params);
                Weights::Quantized { weights: self.whole(site, w, w_zero)?, x_zero, scales, y }
            }
            _ => {
                let why = format!("{} with {} weights to {}", x.dtype, w.dtype, y.dtype);
                return Err(unsupported(why));
            }
        };
        let macs = (y.elements() as u64).saturating_mul((kh * kw * taken) as u64);
        let weight_bytes =
            w.elements() * if matches!(weights, Weights::Real { .. }) { 4 } else { 2 };
        let sizes = [x.shape[3], taken, co, co / self.groups];
        let step = Step::new(ConvKernel { window: self.window, sizes, weights }, 0);
        let work = macs.saturating_add(y.elements() as u64);
        Ok(Step { reads, weight_bytes, macs, work, ..step }.into())
    }
}

impl Conv {
    /// As a convolution in one group, or with a filter for each channel, on the kernels of the
    /// instruction set; `None` for all others.
    fn packed(&self, site: &Site<'_>) -> Result<Option<Compiled>, Refusal> {
        let (x, w, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let [co, kh, kw, taken] = image(w)?;
        let depthwise = self.groups > 1 && taken == 1 && co == x.shape[3];
        let Some(data) = w.data.as_deref().filter(|_| depthwise || self.groups == 1) else {
            return Ok(None);
        };
        let (geometry, k) = (geometry(&self.window, x.shape[3]), kh * kw * taken);
        match &self.arithmetic {
            Arithmetic::Real if x.dtype == DType::F32 && w.dtype == DType::F32 => {
                let bias = match site.optional(2) {
                    None => vec![0.0; co],
                    Some(bias) => match &bias.data {
                        Some(data) if bias.dtype == DType::F32 && bias.elements() == co => {
                            floats(data)
                        }
                        _ => return Ok(None),
                    },
                };
                let room = if depthwise {
                    FloatDepthwiseConv::bytes_max(&geometry)
                } else {
                    FloatConv::bytes_max(&geometry, co)
                };
                take(site, room)?;
                site.budget.take_for::<f32>(2 * w.elements() + co)?;
                let mut weights = floats(data);
                if depthwise {
                    weights = turned(&weights, k);
                }
                let bounds = [f32::NEG_INFINITY, f32::INFINITY];
                let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
                if depthwise {
                    let kernel = FloatDepthwiseConv::new(site.isa, geometry, filters);
                    return step(site, k, kernel).map(Some);
                }
                step(site, k, FloatConv::new(site.isa, geometry, filters)).map(Some)
            }
            Arithmetic::Quantized { x_zero, w_zero, scales, y: params }
                if [x, w, y].iter().all(|v| matches!(v.dtype, DType::I8 | DType::U8))
                    && Arithmetic::is_packable(w_zero, scales, co)
                    && (self.bias.is_empty() || self.bias.len() == co)
                    && params.is_eight()
                    && params.dtype == y.dtype =>
            {
                let room = if depthwise {
                    DepthwiseConv::bytes_max(&geometry)
                } else {
                    kernels::Conv::bytes_max(&geometry, co)
                };
                take(site, room)?;
                site.budget.take(2 * w.elements() + 8 * co)?;
                let mut weights = signed(data, w.dtype);
                if depthwise {
                    weights = turned(&weights, k);
                }
                let bias = if self.bias.is_empty() { vec![0; co] } else { self.bias.clone() };
                let filters = Filters {
                    weights: &weights,
                    bias: &bias,
                    scales: &each(scales, co),
                    zero_point: w_zero[0],
                    input_zero_point: *x_zero,
                };
                let output = Output::new(params.arena_zero(), -128, 127);
                if depthwise {
                    let kernel = DepthwiseConv::new(site.isa, geometry, filters, output);
                    return step(site, k, kernel).map(Some);
                }
                let kernel = kernels::Conv::new(site.isa, geometry, filters, output);
                step(site, k, kernel).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Weights less their zero points, and biases.
    fn whole(&self, site: &Site<'_>, w: &Value<'_>, zeros: &[i32]) -> Result<Whole, Refusal> {
        let data = w.data.as_deref().unwrap_or_default();
        let co = w.shape[0];
        site.budget.take_for::<i16>(data.len() + 2 * co)?;
        if !self.bias.is_empty() && self.bias.len() != co {
            return Err(malformed(format!("{} biases for {co} filters", self.bias.len())));
        }
        let flip = if w.dtype == DType::U8 { 0x80 } else { 0 };
        let filters = data.chunks_exact(data.len() / co).enumerate().flat_map(|(c, filter)| {
            let zero = zeros[if zeros.len() == 1 { 0 } else { c }] as i16;
            filter.iter().map(move |&w| i16::from((w ^ flip).cast_signed()) - zero)
        });
        let bias = if self.bias.is_empty() { vec![0; co] } else { self.bias.clone() };
        Ok(Whole { filters: filters.collect(), bias })
    }
}

#[derive(Debug)]
struct Whole {
    /// `[co, kh, kw, c / groups]`, less the zero points.
    filters: Vec<i16>,
    bias: Vec<i32>,
}

#[derive(Debug)]
enum Weights {
    Real {
        weights: Vec<f32>,
        bias: Vec<f32>,
    },
    /// Without a zero point it is the second input.
    Sums {
        weights: Whole,
        x_zero: Option<i32>,
    },
    Quantized {
        weights: Whole,
        x_zero: i32,
        scales: Vec<f32>,
        y: Params,
    },
}

#[derive(Debug)]
struct ConvKernel {
    window: Sliding,
    /// Channels in, channels of a group, filters, filters of a group.
    sizes: [usize; 4],
    weights: Weights,
}

impl ConvKernel {
    /// Calls `each` for every output element with its number, its filter, and the pieces of input and
    /// weights to be multiplied.
    #[inline(always)]
    fn each<X, W, S: Copy>(
        &self,
        x: &[X],
        w: &[W],
        start: impl Fn(usize) -> S,
        add: impl Fn(S, &[X], &[W]) -> S,
        mut put: impl FnMut(usize, usize, S),
    ) {
        let [channels, taken, filters, group] = self.sizes;
        let ([height, width], [kh, kw]) = (self.window.input, self.window.kernel);
        let [rows, columns] = self.window.output;
        let mut number = 0;
        for x in x.chunks_exact(height * width * channels) {
            for row in 0..rows {
                for column in 0..columns {
                    for filter in 0..filters {
                        let from = filter / group * taken;
                        let mut sum = start(filter);
                        for (ky, y) in self.window.taps(0, row) {
                            for (kx, place) in self.window.taps(1, column) {
                                let x = &x[(y * width + place) * channels + from..][..taken];
                                let w = &w[((filter * kh + ky) * kw + kx) * taken..][..taken];
                                sum = add(sum, x, w);
                            }
                        }
                        put(number, filter, sum);
                        number += 1;
                    }
                }
            }
        }
    }

    fn whole(&self, x: &[i8], w: &Whole, zero: i32, put: impl FnMut(usize, usize, i32)) {
        let add = |sum: i32, x: &[i8], w: &[i16]| {
            let products = x.iter().zip(w).map(|(&x, &w)| (i32::from(x) - zero) * i32::from(w));
            products.fold(sum, i32::wrapping_add)
        };
        self.each(x, &w.filters, |filter| w.bias[filter], add, put);
    }
}

impl Kernel for ConvKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match &self.weights {
            Weights::Real { weights, bias } => {
                let (x, y) = memory.unary::<f32, f32>();
                let add = |sum: f32, x: &[f32], w: &[f32]| {
                    x.iter().zip(w).fold(sum, |sum, (x, w)| sum + x * w)
                };
                self.each(x, weights, |filter| bias[filter], add, |n, _, sum| y[n] = sum);
            }
            Weights::Sums { weights, x_zero: Some(zero) } => {
                let (x, y) = memory.unary::<i8, i32>();
                self.whole(x, weights, *zero, |n, _, sum| y[n] = sum);
            }
            Weights::Sums { weights, x_zero: None } => {
                let ([x, zero], [y], _) = memory.parts();
                let zero = zero.first().map_or(0, |&zero| zero.cast_signed().into());
                let y = bytemuck::cast_slice_mut::<u8, i32>(y);
                self.whole(bytemuck::cast_slice(x), weights, zero, |n, _, sum| y[n] = sum);
            }
            Weights::Quantized { weights, x_zero, scales, y: params } => {
                let (x, y) = memory.unary::<i8, i8>();
                self.whole(x, weights, *x_zero, |n, filter, sum| {
                    y[n] = params.store(sum as f32 * scales[filter]) as i8;
                });
            }
        }
    }
}
