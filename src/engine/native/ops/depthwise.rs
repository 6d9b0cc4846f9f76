//! Depthwise convolution: each channel has its own filters; channels lie in vector lanes.

use super::shared::filters::{bias, weight_scales};
use super::shared::quant8::{Quant8, constant_i8};
use super::shared::requantize::Requantize;
use super::shared::window::Sliding;
use super::{
    ACTIVATIONS, Compiled, Entry, Kernel, Kind, Operator, PADDINGS, Refusal, Site, Step,
    activation, malformed, nhwc, padding,
};
use crate::engine::native::graph::{Activation, Shape, Window};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "DEPTHWISE_CONV_2D",
    options: 2,
    lower: |options| {
        // DepthwiseConv2DOptions: padding, stride w, stride h, multiplier (the shapes say it),
        // activation, dilation w, dilation h.
        let window = Window {
            padding: padding(options.byte(0, 0)?)?,
            stride: options.sizes([2, 1], 0)?,
            dilation: options.sizes([6, 5], 1)?,
        };
        Ok(Box::new(DepthwiseConv2d { window, activation: activation(options.byte(4, 0)?)? }))
    },
    kinds: &[Kind::Int8, Kind::Int8Channel, Kind::Uint8],
    attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
}];

/// x `[n, h, w, ci]`, weights `[1, kh, kw, ci * multiplier]`, bias `[ci * multiplier]`.
#[derive(Debug)]
pub(super) struct DepthwiseConv2d {
    pub(super) window: Window,
    pub(super) activation: Activation,
}

#[derive(Debug)]
struct Depthwise {
    window: Sliding,
    channels: usize,
    /// Filters for each channel.
    multiplier: usize,
    /// `[kh, kw, n]`, less their zero point.
    weights: Vec<i16>,
    bias: Vec<i32>,
    scales: Vec<f32>,
    zero_point: i16,
    output: Requantize,
}

/// Channels that go together.
const LANES: usize = 16;

impl DepthwiseConv2d {
    fn fit(&self, site: &Site<'_>) -> Result<Sliding, Refusal> {
        let (x, weights) = (site.input(0)?, site.input(1)?);
        let [_, height, width, channels] = nhwc(x, "the input")?;
        let [one, kh, kw, n] = nhwc(weights, "the weights")?;
        if one != 1 || n % channels != 0 {
            return Err(malformed(format!("weights {:?} for {:?}", weights.shape, x.shape)));
        }
        Sliding::new(self.window, [kh, kw], [height, width])
    }
}

impl Operator for DepthwiseConv2d {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [rows, columns] = self.fit(site)?.output;
        Ok(vec![vec![site.input(0)?.shape[0], rows, columns, site.input(1)?.shape[3]]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, weights, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let window = self.fit(site)?;
        let (channels, n) = (x.shape[3], weights.shape[3]);
        let (qx, qy) = (Quant8::of(x)?, Quant8::of(y)?);
        let (scales, zero_point) = weight_scales(site, weights, 3, n, qx, qy)?;
        let bias = bias(site, n)?;
        site.budget.take_for::<i16>(weights.elements())?;
        let less = |w: i8| i16::from(w) - zero_point as i16;
        let weights: Vec<i16> = constant_i8(weights, "weights")?.into_iter().map(less).collect();
        let macs = y.elements() as u64 * (window.kernel[0] * window.kernel[1]) as u64;
        let weight_bytes = 2 * weights.len() + 4 * (bias.len() + scales.len());
        let kernel = Depthwise {
            window,
            channels,
            multiplier: n / channels,
            weights,
            bias,
            scales,
            zero_point: qx.zero_point as i16,
            output: Requantize::new(qy, self.activation),
        };
        let work = macs + y.elements() as u64;
        Ok(Step { weight_bytes, macs, work, ..Step::new(kernel, 0) }.into())
    }
}

impl Kernel for Depthwise {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        let ([height, width], [rows, columns]) = (self.window.input, self.window.output);
        let n = self.bias.len();
        let images = x.chunks_exact(height * width * self.channels);
        for (x, y) in images.zip(y.chunks_exact_mut(rows * columns * n)) {
            for (i, y) in y.chunks_exact_mut(n).enumerate() {
                self.pixel(x, [i / columns, i % columns], y);
            }
        }
    }
}

impl Depthwise {
    /// All channels of output pixel `at`.
    fn pixel(&self, x: &[i8], at: [usize; 2], y: &mut [i8]) {
        for (block, y) in y.chunks_mut(LANES).enumerate() {
            let first = block * LANES;
            let mut sums = [0i32; LANES];
            sums[..y.len()].copy_from_slice(&self.bias[first..first + y.len()]);
            for (tap_y, place_y) in self.window.taps(0, at[0]) {
                for (tap_x, place_x) in self.window.taps(1, at[1]) {
                    let tap = tap_y * self.window.kernel[1] + tap_x;
                    let place = place_y * self.window.input[1] + place_x;
                    let w = &self.weights[tap * self.bias.len() + first..][..y.len()];
                    let x = &x[place * self.channels..][..self.channels];
                    if self.multiplier == 1 {
                        accumulate(&mut sums, &x[first..first + y.len()], w, self.zero_point);
                    } else {
                        for (i, (sum, w)) in sums.iter_mut().zip(w).enumerate() {
                            let x = i16::from(x[(first + i) / self.multiplier]) - self.zero_point;
                            *sum = sum.wrapping_add(i32::from(x) * i32::from(*w));
                        }
                    }
                }
            }
            let scales = &self.scales[first..];
            for ((y, &sum), &scale) in y.iter_mut().zip(&sums).zip(scales) {
                *y = self.output.apply(sum, scale);
            }
        }
    }
}

/// `sums += (x - zero_point) * w`, lane by lane.
#[inline(always)]
fn accumulate(sums: &mut [i32; LANES], x: &[i8], w: &[i16], zero_point: i16) {
    let lane = |sum: &mut i32, x: i8, w: i16| {
        *sum = sum.wrapping_add(i32::from(i16::from(x) - zero_point) * i32::from(w));
    };
    // A known length is what lets the compiler keep the whole block in vector registers.
    if let (Some(x), Some(w)) = (x.as_array::<LANES>(), w.as_array::<LANES>()) {
        for i in 0..LANES {
            lane(&mut sums[i], x[i], w[i]);
        }
        return;
    }
    for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(w) {
        lane(sum, x, w);
    }
}
