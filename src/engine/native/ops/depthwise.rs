//! Depthwise convolution: each channel has its own filters; channels lie in vector lanes.

mod lanes;

use self::lanes::{Bytes, Floats, Hybrid, LANES, Lanes, Words};
use super::shared::convolve::{self, geometry};
use super::shared::dynamic::Dynamic;
use super::shared::layer::{Arithmetic, Layer};
use super::shared::scratch::scratch_for;
use super::shared::window::Sliding;
use super::{
    ACTIVATIONS, Border, Compiled, Entry, Kernel, Kind, Operator, PADDINGS, Refusal, Site, Step,
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
    kinds: &[
        Kind::Float32,
        Kind::Int8,
        Kind::Int8Channel,
        Kind::Uint8,
        Kind::Int16,
        // Weights with one scale for all channels run, too, but LiteRT reads past their scales.
        Kind::HybridChannel,
        Kind::Float16,
    ],
    attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
}];

/// x `[n, h, w, ci]`, weights `[1, kh, kw, ci * multiplier]`, bias `[ci * multiplier]`.
#[derive(Debug)]
pub(super) struct DepthwiseConv2d {
    pub(super) window: Window,
    pub(super) activation: Activation,
}

#[derive(Debug)]
struct Depthwise<L: Lanes> {
    window: Sliding,
    /// Of the input.
    channels: usize,
    /// Filters for each channel.
    multiplier: usize,
    /// `[kh, kw, n]`.
    weights: Vec<L::W>,
    n: usize,
    lanes: L,
}

impl DepthwiseConv2d {
    fn fit(&self, site: &Site<'_>) -> Result<Sliding, Refusal> {
        let (x, weights) = (site.input(0)?, site.input(1)?);
        let [_, height, width, channels] = nhwc(x, "the input")?;
        let [one, kh, kw, n] = nhwc(weights, "the weights")?;
        if one != 1 || n == 0 || n.checked_rem(channels) != Some(0) {
            return Err(malformed(format!("weights {:?} for {:?}", weights.shape, x.shape)));
        }
        Sliding::new(self.window, [kh, kw], [height, width])
    }

    fn step<L: Lanes>(
        &self,
        site: &Site<'_>,
        layer: &Layer<'_>,
        (lanes, weights): (L, Vec<L::W>),
    ) -> Result<Compiled, Refusal> {
        let window = self.fit(site)?;
        let (channels, n) = (layer.x.shape[3], layer.channels());
        let macs = layer.y.elements() as u64 * (window.kernel[0] * window.kernel[1]) as u64;
        let weight_bytes = size_of_val(&weights[..]) + 8 * n;
        let scratch = scratch_for::<u8>(L::scratch(layer.x.elements() / layer.x.shape[0].max(1)))?;
        let multiplier = n / channels;
        let kernel = Depthwise { window, channels, multiplier, weights, n, lanes };
        let work = macs + (layer.x.elements() + layer.y.elements()) as u64;
        Ok(Step { scratch, weight_bytes, macs, work, ..Step::new(kernel, 0) }.into())
    }
}

impl Operator for DepthwiseConv2d {
    fn with_border(&self, border: Border) -> Option<Box<dyn Operator>> {
        let window = border.within(self.window)?;
        Some(Box::new(Self { window, ..*self }))
    }

    fn with_clamp(&self, activation: Activation) -> Option<Box<dyn Operator>> {
        let free = self.activation == Activation::None;
        free.then(|| Box::new(Self { activation, ..*self }) as Box<dyn Operator>)
    }

    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [rows, columns] = self.fit(site)?.output;
        Ok(vec![vec![site.input(0)?.shape[0], rows, columns, site.input(1)?.shape[3]]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let mut layer = Layer::new(site, [0, 1, 2], 3, self.activation)?;
        // What XNNPACK does not take.
        layer.builtin = layer.weights.nibbles;
        layer.dynamic = Dynamic::Asymmetric;
        let arithmetic = layer.arithmetic()?;
        if layer.channels() == layer.x.shape[3] {
            let geometry = geometry(&self.fit(site)?, layer.channels());
            let fast = match arithmetic {
                Arithmetic::Bytes => convolve::depthwise_bytes(site, &layer, geometry)?,
                Arithmetic::Floats => Some(convolve::depthwise_floats(site, &layer, geometry)?),
                _ => None,
            };
            if let Some(step) = fast {
                return Ok(step);
            }
        }
        match arithmetic {
            Arithmetic::Bytes => self.step(site, &layer, Bytes::compile(&layer)?),
            Arithmetic::Words => self.step(site, &layer, Words::compile(&layer)?),
            Arithmetic::Hybrid => self.step(site, &layer, Hybrid::compile(&layer)?),
            Arithmetic::Floats => self.step(site, &layer, Floats::compile(&layer)?),
        }
    }
}

impl<L: Lanes> Kernel for Depthwise<L> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y], scratch) = memory.parts();
        let (x, y) = (bytemuck::cast_slice::<_, L::Input>(x), bytemuck::cast_slice_mut(y));
        let ([height, width], [rows, columns]) = (self.window.input, self.window.output);
        let images = x.chunks_exact(height * width * self.channels);
        for (x, y) in images.zip(y.chunks_exact_mut(rows * columns * self.n)) {
            let (x, image) = self.lanes.prepare(x, scratch);
            for (i, y) in y.chunks_exact_mut(self.n).enumerate() {
                self.pixel(x, image, [i / columns, i % columns], y);
            }
        }
    }
}

impl<L: Lanes> Depthwise<L> {
    /// All channels of output pixel `at`.
    fn pixel(&self, x: &[L::X], image: L::Image, at: [usize; 2], y: &mut [L::Y]) {
        for (block, y) in y.chunks_mut(LANES).enumerate() {
            let first = block * LANES;
            let mut sums = self.lanes.start(first, y.len());
            for (tap_y, place_y) in self.window.taps(0, at[0]) {
                for (tap_x, place_x) in self.window.taps(1, at[1]) {
                    let tap = tap_y * self.window.kernel[1] + tap_x;
                    let place = place_y * self.window.input[1] + place_x;
                    let w = &self.weights[tap * self.n + first..][..y.len()];
                    let x = &x[place * self.channels..][..self.channels];
                    if self.multiplier == 1 {
                        self.accumulate(&mut sums, &x[first..first + y.len()], w, image);
                    } else {
                        for (i, (sum, &w)) in sums.iter_mut().zip(w).enumerate() {
                            let x = x[(first + i) / self.multiplier];
                            *sum = self.lanes.add(*sum, x, w, image);
                        }
                    }
                }
            }
            for (i, (y, &sum)) in y.iter_mut().zip(&sums).enumerate() {
                *y = self.lanes.finish(first + i, sum, image);
            }
        }
    }

    /// Adds `x * w`, lane by lane.
    #[inline(always)]
    fn accumulate(&self, sums: &mut [L::Sum; LANES], x: &[L::X], w: &[L::W], image: L::Image) {
        // A known length is what lets the compiler keep the whole block in vector registers.
        if let (Some(x), Some(w)) = (x.as_array::<LANES>(), w.as_array::<LANES>()) {
            for i in 0..LANES {
                sums[i] = self.lanes.add(sums[i], x[i], w[i], image);
            }
            return;
        }
        for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(w) {
            *sum = self.lanes.add(*sum, x, w, image);
        }
    }
}
