//! Pools, channels last; real and quantized.

use super::conv::image;
use super::{
    Compiled, Kernel, Memory, Operator, Params, Refusal, Site, Sliding, Step, malformed,
    unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::kernels::{Isa, Plain};

/// What a window becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum PoolKind {
    /// The highest, of any quantization.
    Max,
    /// The mean; with `padded`, zeros around the input count as far as the padding goes.
    Average { padded: bool, after: [usize; 2] },
    /// The mean of 8-bit values; with `padded` every tap counts.
    QLinearAverage { padded: bool, x: Params, y: Params },
}

/// x `[n, h, w, c]`.
#[derive(Debug)]
pub(in super::super) struct Pool {
    pub(in super::super) window: Sliding,
    pub(in super::super) kind: PoolKind,
}

impl Operator for Pool {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [n, h, w, c] = image(site.input(0)?)?;
        self.window.check()?;
        if self.window.input != [h, w] {
            return Err(malformed(format!("a window over {:?} on {h}x{w}", self.window.input)));
        }
        let [rows, columns] = self.window.output;
        Ok(vec![vec![n, rows, columns, c]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        match (self.kind, x.dtype) {
            (PoolKind::Max, DType::F32 | DType::I8 | DType::U8) if x.dtype == y.dtype => {}
            (PoolKind::Average { .. }, DType::F32) => {}
            (PoolKind::QLinearAverage { x: qx, y: qy, .. }, DType::I8 | DType::U8)
                if qx.is_eight() && qy.is_eight() && y.bytes() == y.elements() => {}
            _ => return Err(unsupported(format!("{} to {}", x.dtype, y.dtype))),
        }
        let [kh, kw] = self.window.kernel;
        let work = (y.elements()).saturating_mul(kh.saturating_mul(kw));
        let (window, kind, channels, dtype) = (self.window, self.kind, x.shape[3], x.dtype);
        Ok(Step::new(PoolKernel { window, kind, channels, dtype }, work).into())
    }
}

#[derive(Debug)]
struct PoolKernel {
    window: Sliding,
    kind: PoolKind,
    channels: usize,
    dtype: DType,
}

impl PoolKernel {
    #[inline(always)]
    fn each<X: Copy, S: Copy>(
        &self,
        x: &[X],
        start: S,
        add: impl Fn(S, X) -> S,
        mut put: impl FnMut(usize, S, usize, [usize; 2]),
    ) {
        let ([height, width], [rows, columns]) = (self.window.input, self.window.output);
        let channels = self.channels;
        let mut number = 0;
        for x in x.chunks_exact(height * width * channels) {
            for at in (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column])) {
                for c in 0..channels {
                    let (mut sum, mut count) = (start, 0);
                    for (_, row) in self.window.taps(0, at[0]) {
                        for (_, column) in self.window.taps(1, at[1]) {
                            sum = add(sum, x[(row * width + column) * channels + c]);
                            count += 1;
                        }
                    }
                    put(number, sum, count, at);
                    number += 1;
                }
            }
        }
    }

    /// Taps of output `at` that lie in the input or its padding.
    fn padded(&self, at: [usize; 2], after: [usize; 2]) -> usize {
        let window = &self.window;
        let along = |axis: usize| {
            let end = window.before[axis] + window.input[axis] + after[axis];
            let first = at[axis] * window.stride[axis];
            end.saturating_sub(first).div_ceil(window.dilation[axis]).min(window.kernel[axis])
        };
        along(0) * along(1)
    }
}

impl Kernel for PoolKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match self.kind {
            PoolKind::Max if self.dtype == DType::F32 => {
                let (x, y) = memory.unary::<f32, f32>();
                self.each(x, f32::MIN, f32::max, |n, high, _, _| y[n] = high);
            }
            PoolKind::Max => {
                let (x, y) = memory.unary::<i8, i8>();
                self.each(x, i8::MIN, i8::max, |n, high, _, _| y[n] = high);
            }
            PoolKind::Average { padded, after } => {
                let (x, y) = memory.unary::<f32, f32>();
                self.each(
                    x,
                    0.0,
                    |sum, x| sum + x,
                    |n, sum: f32, count, at| {
                        let count = if padded { self.padded(at, after) } else { count };
                        y[n] = sum / count.max(1) as f32;
                    },
                );
            }
            PoolKind::QLinearAverage { padded, x: qx, y: qy } => {
                let (x, y) = memory.unary::<i8, i8>();
                let taps = self.window.kernel[0] * self.window.kernel[1];
                self.each(
                    x,
                    0.0,
                    |sum, x| sum + qx.real(x),
                    |n, sum: f32, count, _| {
                        let count = if padded { taps } else { count.max(1) };
                        let steps = sum / count as f32 / qy.scale + qy.zero as f32;
                        y[n] = qy.saturate(steps.round_ties_even() as i32);
                    },
                );
            }
        }
    }
}

/// The mean over all of height and width: one exact sum, rounded once.
#[derive(Debug)]
pub(in super::super) struct GlobalAverage {
    pub(in super::super) x: Params,
    pub(in super::super) y: Params,
}

impl Operator for GlobalAverage {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [n, _, _, c] = image(site.input(0)?)?;
        Ok(vec![vec![n, 1, 1, c]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let [_, h, w, channels] = image(x)?;
        if x.dtype != self.x.dtype
            || y.dtype != self.y.dtype
            || !self.x.is_eight()
            || !self.y.is_eight()
        {
            return Err(unsupported(format!("{} to {}", x.dtype, y.dtype)));
        }
        let size = h * w;
        let scale = self.x.scale / (self.y.scale * size as f32);
        let bias = (self.x.arena_zero()).wrapping_mul(size as i32).wrapping_neg();
        let kernel = GlobalAverageKernel { isa: site.isa, size, channels, scale, bias, y: self.y };
        Ok(Step::new(kernel, x.elements()).into())
    }
}

#[derive(Debug)]
struct GlobalAverageKernel {
    isa: Isa,
    size: usize,
    channels: usize,
    scale: f32,
    bias: i32,
    y: Params,
}

impl Kernel for GlobalAverageKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        self.isa.run(GlobalAverages { kernel: self, x, y });
    }
}

/// Channels that are summed together.
const LANES: usize = 64;

struct GlobalAverages<'a> {
    kernel: &'a GlobalAverageKernel,
    x: &'a [i8],
    y: &'a mut [i8],
}

impl Plain for GlobalAverages<'_> {
    #[inline(always)]
    fn run(self) {
        let GlobalAverageKernel { size, channels, scale, bias, y: params, .. } = *self.kernel;
        let images = self.x.chunks_exact(size * channels);
        for (x, y) in images.zip(self.y.chunks_exact_mut(channels)) {
            for (block, y) in y.chunks_mut(LANES).enumerate() {
                let mut sums = [bias; LANES];
                let sums = &mut sums[..y.len()];
                for pixel in x.chunks_exact(channels) {
                    let pixel = &pixel[block * LANES..][..y.len()];
                    for (sum, &x) in sums.iter_mut().zip(pixel) {
                        *sum = sum.wrapping_add(x.into());
                    }
                }
                for (y, &sum) in y.iter_mut().zip(&*sums) {
                    *y = params.store(sum as f32 * scale) as i8;
                }
            }
        }
    }
}
