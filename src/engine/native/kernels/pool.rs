//! Average and maximum over windows. What lies outside the input takes no part.

use super::requantize::range;
use super::window::Sliding;
use super::{Kernel, Quant8, Refusal, Site, Step, malformed, nhwc, unsupported};
use crate::engine::native::graph::{Activation, Window};
use crate::engine::native::memory::Memory;

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

pub(super) fn compile_average(
    site: &Site<'_>,
    kernel: [usize; 2],
    window: Window,
    activation: Activation,
) -> Result<Step, Refusal> {
    let origin = Quant8::of(site.input(0)?)?.origin;
    compile(site, kernel, window, activation, Average { origin })
}

pub(super) fn compile_max(
    site: &Site<'_>,
    kernel: [usize; 2],
    window: Window,
    activation: Activation,
) -> Result<Step, Refusal> {
    compile(site, kernel, window, activation, Max)
}

fn compile(
    site: &Site<'_>,
    kernel: [usize; 2],
    window: Window,
    activation: Activation,
    fold: impl Fold,
) -> Result<Step, Refusal> {
    let (x, y) = (site.input(0)?, site.output()?);
    let [batch, height, width, channels] = nhwc(x, "the input")?;
    let [batch_out, height_out, width_out, channels_out] = nhwc(y, "the output")?;
    if batch != batch_out || channels != channels_out {
        return Err(malformed(format!("a pool over {:?} gives {:?}", x.shape, y.shape)));
    }
    let window = Sliding::new(window, kernel, [height, width], [height_out, width_out])?;
    let quant = Quant8::of(x)?;
    if !quant.same(&Quant8::of(y)?) {
        return Err(unsupported("an output quantized unlike the input"));
    }
    let (low, high) = range(quant, activation);
    let (low, high) = (low as i8, high as i8);
    let taps = kernel[0].saturating_mul(kernel[1]);
    let step = Step::elementwise(Pool { window, channels, low, high, fold }, y.elements());
    Ok(Step { work: (y.elements() as u64).saturating_mul(taps as u64), ..step })
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
