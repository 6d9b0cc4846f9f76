//! Depthwise convolution: each channel has its own filters; channels lie in vector lanes.

use super::filters::{bias, weight_scales};
use super::requantize::Requantize;
use super::window::Sliding;
use super::{Kernel, Quant8, Refusal, Site, Step, constant_i8, malformed, nhwc};
use crate::engine::native::graph::{Activation, Window};
use crate::engine::native::memory::Memory;

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

pub(super) fn compile(
    site: &Site<'_>,
    window: Window,
    activation: Activation,
) -> Result<Step, Refusal> {
    let (x, weights, y) = (site.input(0)?, site.input(1)?, site.output()?);
    let [batch, height, width, channels] = nhwc(x, "the input")?;
    let [one, kh, kw, n] = nhwc(weights, "the weights")?;
    let [batch_out, height_out, width_out, n_out] = nhwc(y, "the output")?;
    if one != 1 || n % channels != 0 || n != n_out || batch != batch_out {
        let (w, x, y) = (&weights.shape, &x.shape, &y.shape);
        return Err(malformed(format!("weights {w:?} take {x:?} to {y:?}")));
    }
    let window = Sliding::new(window, [kh, kw], [height, width], [height_out, width_out])?;
    let (qx, qy) = (Quant8::of(x)?, Quant8::of(y)?);
    let (scales, zero_point) = weight_scales(site, weights, 3, n, qx, qy)?;
    let bias = bias(site, n)?;
    site.budget.take_for::<i16>(weights.elements())?;
    let less = |w: i8| i16::from(w) - zero_point as i16;
    let weights: Vec<i16> = constant_i8(weights, "weights")?.into_iter().map(less).collect();
    let macs = y.elements() as u64 * (kh * kw) as u64;
    Ok(Step {
        scratch: 0,
        weight_bytes: 2 * weights.len() + 4 * (bias.len() + scales.len()),
        macs,
        work: macs + y.elements() as u64,
        reads: vec![0],
        kernel: Box::new(Depthwise {
            window,
            channels,
            multiplier: n / channels,
            weights,
            bias,
            scales,
            zero_point: qx.zero_point as i16,
            output: Requantize::new(qy, activation),
        }),
    })
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
