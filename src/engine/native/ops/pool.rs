//! Average and maximum over windows. What lies outside the input takes no part.

use super::shared::quant8::Quant8;
use super::shared::requantize::range;
use super::shared::window::Sliding;
use super::{
    ACTIVATIONS, Compiled, Entry, Kernel, Kind, Operator, PADDINGS, Refusal, Site, Step,
    activation, nhwc, padding, unsupported,
};
use crate::engine::native::graph::{Activation, Shape, Window};
use crate::engine::native::memory::Memory;
use crate::engine::native::tflite::Options;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "AVERAGE_POOL_2D",
        options: 5,
        lower: |options| Ok(Box::new(Pool2d::read(options, PoolKind::Average)?)),
        kinds: &[Kind::Int8, Kind::Uint8],
        attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
    },
    Entry {
        name: "MAX_POOL_2D",
        options: 5,
        lower: |options| Ok(Box::new(Pool2d::read(options, PoolKind::Max)?)),
        kinds: &[Kind::Int8, Kind::Uint8],
        attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
    },
];

/// What becomes of the values under a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolKind {
    Average,
    Max,
}

/// x `[n, h, w, c]`.
#[derive(Debug)]
pub(super) struct Pool2d {
    pub(super) kind: PoolKind,
    pub(super) kernel: [usize; 2],
    pub(super) window: Window,
    pub(super) activation: Activation,
}

impl Pool2d {
    fn read(options: &Options<'_>, kind: PoolKind) -> Result<Self, Refusal> {
        // Pool2DOptions: padding, stride w, stride h, filter width, filter height, activation.
        let window = Window {
            padding: padding(options.byte(0, 0)?)?,
            stride: options.sizes([2, 1], 0)?,
            dilation: [1, 1],
        };
        let activation = activation(options.byte(5, 0)?)?;
        Ok(Self { kind, kernel: options.sizes([4, 3], 0)?, window, activation })
    }

    fn fit(&self, site: &Site<'_>) -> Result<Sliding, Refusal> {
        let [_, height, width, _] = nhwc(site.input(0)?, "the input")?;
        Sliding::new(self.window, self.kernel, [height, width])
    }
}

impl Operator for Pool2d {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let ([rows, columns], x) = (self.fit(site)?.output, &site.input(0)?.shape);
        Ok(vec![vec![x[0], rows, columns, x[3]]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let origin = Quant8::of(site.input(0)?)?.origin;
        match self.kind {
            PoolKind::Average => self.compile_with(site, Average { origin }),
            PoolKind::Max => self.compile_with(site, Max),
        }
    }
}

/// One pool; inputs and outputs share their quantization.
#[derive(Debug)]
struct Pool<F> {
    window: Sliding,
    channels: usize,
    low: i8,
    high: i8,
    fold: F,
}

/// How a pool makes one value of many.
trait Fold: Send + Sync + std::fmt::Debug + 'static {
    /// Before any value was seen.
    const EMPTY: i32;
    fn take(&self, folded: i32, x: i32) -> i32;
    fn finish(&self, folded: i32, count: i32) -> i32;
}

/// The integer mean rounded half away from zero, of the file's own integers.
#[derive(Debug)]
struct Average {
    /// What the file's integers exceed the arena's by.
    origin: i32,
}

impl Fold for Average {
    const EMPTY: i32 = 0;
    fn take(&self, folded: i32, x: i32) -> i32 {
        folded.wrapping_add(x + self.origin)
    }
    fn finish(&self, folded: i32, count: i32) -> i32 {
        let half = if folded > 0 { count / 2 } else { -(count / 2) };
        folded.wrapping_add(half) / count - self.origin
    }
}

#[derive(Debug)]
struct Max;

impl Fold for Max {
    const EMPTY: i32 = i32::MIN;
    fn take(&self, folded: i32, x: i32) -> i32 {
        folded.max(x)
    }
    fn finish(&self, folded: i32, _count: i32) -> i32 {
        folded
    }
}

/// Channels that go together.
const LANES: usize = 16;

impl Pool2d {
    fn compile_with(&self, site: &Site<'_>, fold: impl Fold) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let window = self.fit(site)?;
        let quant = Quant8::of(x)?;
        if !quant.same(&Quant8::of(y)?) {
            return Err(unsupported("an output quantized unlike the input"));
        }
        let (low, high) = range(quant, self.activation);
        let (low, high) = (low as i8, high as i8);
        let work = y.elements() as u64 * window.taps_max() as u64;
        let step = Step::new(Pool { window, channels: x.shape[3], low, high, fold }, 0);
        Ok(Step { work, ..step }.into())
    }
}

impl<F: Fold> Kernel for Pool<F> {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        let ([height, width], [rows, columns]) = (self.window.input, self.window.output);
        let images = x.chunks_exact(height * width * self.channels);
        for (x, y) in images.zip(y.chunks_exact_mut(rows * columns * self.channels)) {
            for (i, y) in y.chunks_exact_mut(self.channels).enumerate() {
                self.pixel(x, [i / columns, i % columns], y);
            }
        }
    }
}

impl<F: Fold> Pool<F> {
    fn pixel(&self, x: &[i8], at: [usize; 2], y: &mut [i8]) {
        for (block, y) in y.chunks_mut(LANES).enumerate() {
            let first = block * LANES;
            let mut folded = [F::EMPTY; LANES];
            let mut count = 0;
            for (_, place_y) in self.window.taps(0, at[0]) {
                for (_, place_x) in self.window.taps(1, at[1]) {
                    let start = (place_y * self.window.input[1] + place_x) * self.channels + first;
                    for (folded, &x) in folded.iter_mut().zip(&x[start..start + y.len()]) {
                        *folded = self.fold.take(*folded, i32::from(x));
                    }
                    count += 1;
                }
            }
            for (y, &folded) in y.iter_mut().zip(&folded) {
                let value = self.fold.finish(folded, count).clamp(-128, 127) as i8;
                *y = value.clamp(self.low, self.high);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_round_half_away_from_zero_of_the_files_integers() {
        let of = |origin, values: [i32; 2]| {
            let average = Average { origin };
            let sum = values.iter().fold(0, |sum, &v| average.take(sum, v));
            average.finish(sum, 2)
        };
        assert_eq!(of(0, [1, 2]), 2);
        assert_eq!(of(0, [-1, -2]), -2);
        // As uint8 these are 127 and 126: 126.5 rounds up.
        assert_eq!(of(128, [-1, -2]), -1);
    }
}
