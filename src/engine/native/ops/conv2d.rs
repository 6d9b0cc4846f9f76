//! Convolution: each output pixel is a row of input values times the filters.

use super::shared::filters::Filters;
use super::shared::quant8::Quant8;
use super::shared::window::Sliding;
use super::{
    ACTIVATIONS, Compiled, Entry, Kernel, Kind, Operator, PADDINGS, Refusal, Site, Step,
    activation, malformed, nhwc, padding, unsupported,
};
use crate::engine::native::graph::{Activation, Shape, Window};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "CONV_2D",
    options: 1,
    lower: |options| {
        // Conv2DOptions: padding, stride w, stride h, activation, dilation w, dilation h.
        let window = Window {
            padding: padding(options.byte(0, 0)?)?,
            stride: options.sizes([2, 1], 0)?,
            dilation: options.sizes([5, 4], 1)?,
        };
        Ok(Box::new(Conv2d { window, activation: activation(options.byte(3, 0)?)? }))
    },
    kinds: &[Kind::Int8, Kind::Int8Channel, Kind::Uint8],
    attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
}];

/// x `[n, h, w, ci]`, weights `[co, kh, kw, ci]`, bias `[co]`.
#[derive(Debug)]
pub(super) struct Conv2d {
    pub(super) window: Window,
    pub(super) activation: Activation,
}

#[derive(Debug)]
struct ConvKernel {
    filters: Filters,
    window: Sliding,
    channels: usize,
    zero_point: i8,
}

impl Conv2d {
    fn fit(&self, site: &Site<'_>) -> Result<Sliding, Refusal> {
        let (x, weights) = (site.input(0)?, site.input(1)?);
        let [_, height, width, channels] = nhwc(x, "the input")?;
        let [_, kh, kw, taken] = nhwc(weights, "the weights")?;
        if taken != channels {
            if channels % taken == 0 {
                return Err(unsupported(format!("{} groups", channels / taken)));
            }
            let why = format!("filters over {taken} channels for an input of {channels}");
            return Err(malformed(why));
        }
        Sliding::new(self.window, [kh, kw], [height, width])
    }
}

impl Operator for Conv2d {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [rows, columns] = self.fit(site)?.output;
        Ok(vec![vec![site.input(0)?.shape[0], rows, columns, site.input(1)?.shape[0]]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let window = self.fit(site)?;
        let quant = Quant8::of(x)?;
        let filters = Filters::compile(site, quant, y, self.activation)?;
        let macs = y.elements() as u64 * filters.k as u64;
        let (k, weight_bytes) = (filters.k, filters.bytes());
        let (channels, zero_point) = (x.shape[3], quant.zero_point as i8);
        let scratch = if window.is_pointwise() { 0 } else { k };
        let step = Step::new(ConvKernel { filters, window, channels, zero_point }, 0);
        let work = macs + y.elements() as u64;
        Ok(Step { scratch, weight_bytes, macs, work, ..step }.into())
    }
}

impl Kernel for ConvKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y, scratch) = memory.unary_scratch::<i8, i8, i8>();
        let [height, width] = self.window.input;
        let image = height * width * self.channels;
        let image_out = self.window.output[0] * self.window.output[1] * self.filters.n;
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(image_out)) {
            for (i, y) in y.chunks_exact_mut(self.filters.n).enumerate() {
                let at = [i / self.window.output[1], i % self.window.output[1]];
                if self.window.is_pointwise() {
                    self.filters.row(self.pixel(x, at), y);
                } else {
                    self.gather(x, at, scratch);
                    self.filters.row(scratch, y);
                }
            }
        }
    }
}

impl ConvKernel {
    /// The input values under output pixel `at` of a 1x1 kernel.
    #[inline]
    fn pixel<'a>(&self, x: &'a [i8], at: [usize; 2]) -> &'a [i8] {
        let [y, column] = [0, 1].map(|axis| at[axis] * self.window.stride[axis]);
        &x[(y * self.window.input[1] + column) * self.channels..][..self.channels]
    }

    /// Lays out the values under output pixel `at` as a row, `[kh, kw, channels]`; the zero point outside the input.
    fn gather(&self, x: &[i8], at: [usize; 2], row: &mut [i8]) {
        let (window, channels) = (&self.window, self.channels);
        let [kh, kw] = window.kernel;
        let line = kw * channels;
        let inside = window.taps(0, at[0]).count() == kh && window.taps(1, at[1]).count() == kw;
        if !inside {
            row.fill(self.zero_point);
        }
        for (tap_y, place_y) in window.taps(0, at[0]) {
            let x = &x[place_y * window.input[1] * channels..][..window.input[1] * channels];
            let row = &mut row[tap_y * line..][..line];
            if inside && window.dilation[1] == 1 {
                let start = (at[1] * window.stride[1] - window.before[1]) * channels;
                row.copy_from_slice(&x[start..start + line]);
                continue;
            }
            for (tap_x, place_x) in window.taps(1, at[1]) {
                let from = &x[place_x * channels..][..channels];
                row[tap_x * channels..][..channels].copy_from_slice(from);
            }
        }
    }
}
