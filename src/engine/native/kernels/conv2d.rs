//! Convolution: each output pixel is a row of input values times the filters.

use super::filters::Filters;
use super::window::Sliding;
use super::{Kernel, Quant8, Refusal, Site, Step, malformed, nhwc, unsupported};
use crate::engine::native::graph::{Activation, Window};
use crate::engine::native::memory::Memory;

#[derive(Debug)]
struct Conv2d {
    filters: Filters,
    window: Sliding,
    channels: usize,
    zero_point: i8,
}

/// Pixels that go through the filters together.
const ROWS: usize = 4;

pub(super) fn compile(
    site: &Site<'_>,
    window: Window,
    activation: Activation,
) -> Result<Step, Refusal> {
    let (x, weights, y) = (site.input(0)?, site.input(1)?, site.output()?);
    let [batch, height, width, channels] = nhwc(x, "the input")?;
    let [n, kh, kw, taken] = nhwc(weights, "the weights")?;
    let [batch_out, height_out, width_out, n_out] = nhwc(y, "the output")?;
    if taken != channels {
        if channels % taken == 0 {
            return Err(unsupported(format!("{} groups", channels / taken)));
        }
        return Err(malformed(format!("filters over {taken} channels for an input of {channels}")));
    }
    if batch != batch_out || n != n_out {
        return Err(malformed(format!("{n} filters over {:?} give {:?}", x.shape, y.shape)));
    }
    let window = Sliding::new(window, [kh, kw], [height, width], [height_out, width_out])?;
    let quant = Quant8::of(x)?;
    let filters = Filters::compile(site, quant, y, activation)?;
    let macs = y.elements() as u64 * filters.k as u64;
    let scratch = if window.is_pointwise() { 0 } else { ROWS * filters.k };
    Ok(Step {
        scratch,
        weight_bytes: filters.bytes(),
        macs,
        work: macs + y.elements() as u64,
        reads: vec![0],
        kernel: Box::new(Conv2d { filters, window, channels, zero_point: quant.zero_point as i8 }),
    })
}

impl Kernel for Conv2d {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y, scratch) = memory.unary_scratch::<i8, i8, i8>();
        let [height, width] = self.window.input;
        let image = height * width * self.channels;
        let image_out = self.window.output[0] * self.window.output[1] * self.filters.n;
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(image_out)) {
            if self.window.is_pointwise() {
                self.filters.all(|i| self.pixel(x, i), y);
            } else {
                self.gathered(x, y, scratch);
            }
        }
    }
}

impl Conv2d {
    /// The input values under output pixel `i` of a 1x1 kernel.
    #[inline]
    fn pixel<'a>(&self, x: &'a [i8], i: usize) -> &'a [i8] {
        let [stride_y, stride_x] = self.window.stride;
        let columns = self.window.output[1];
        let (row, column) = (i / columns * stride_y, i % columns * stride_x);
        let start = (row * self.window.input[1] + column) * self.channels;
        &x[start..start + self.channels]
    }

    /// Any kernel: the values under [`ROWS`] pixels at a time are laid out as rows first.
    fn gathered(&self, x: &[i8], y: &mut [i8], scratch: &mut [i8]) {
        let (k, columns) = (self.filters.k, self.window.output[1]);
        let mut i = 0;
        for y in y.chunks_mut(ROWS * self.filters.n) {
            for row in scratch.chunks_exact_mut(k).take(y.len() / self.filters.n) {
                self.gather(x, [i / columns, i % columns], row);
                i += 1;
            }
            self.filters.all(|r| &scratch[r * k..(r + 1) * k], y);
        }
    }

    /// The values under output pixel `at`, `[kh, kw, channels]`; the zero point outside the input.
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
