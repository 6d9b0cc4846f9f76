//! Each output pixel is a mean of four of the input's, weighted by their nearness: in `f32`; in 8 bits
//! with weights of 11 bits, as XNNPACK; in 16 bits with weights of 10 bits, as TFLite's own kernel.

use std::fmt;

use bytemuck::Pod;

use super::super::{Compiled, Kernel, Operator, Refusal, Site, Step, malformed, unsupported};
use super::{Corners, shape};
use crate::data::DType;
use crate::engine::native::graph::{Shape, Value};
use crate::engine::native::kernels::{Isa, Plain};
use crate::engine::native::memory::Memory;

/// To the size in the constant second input.
#[derive(Debug)]
pub(in super::super) struct Bilinear {
    pub(in super::super) corners: Corners,
}

/// Two neighbours along one side, and the weight of the second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Between<W> {
    low: usize,
    high: usize,
    weight: W,
}

/// How elements of one type are mixed.
trait Mix: Copy + fmt::Debug + Send + Sync {
    type T: Pod;
    type Weight: Copy + fmt::Debug + Send + Sync;
    /// The neighbours of output pixel `at`, of `to` along this side; the input has `from`.
    fn between(corners: Corners, at: usize, from: usize, to: usize) -> Between<Self::Weight>;
    /// `[upper left, upper right, lower left, lower right]`; `weights` are of the right and lower ones.
    fn mix(corner: [Self::T; 4], weights: [Self::Weight; 2]) -> Self::T;
}

#[derive(Clone, Copy, Debug)]
struct Real;
#[derive(Clone, Copy, Debug)]
struct Bits8;
#[derive(Clone, Copy, Debug)]
struct Bits16;

impl Mix for Real {
    type T = f32;
    type Weight = f32;

    fn between(corners: Corners, at: usize, from: usize, to: usize) -> Between<f32> {
        let scale = corners.scale(from, to);
        let last = from - 1;
        let offset = if corners.half { 0.5 * scale - 0.5 } else { 0.0 };
        let place = (at as f32 * scale + offset).clamp(0.0, last as f32);
        let low = (place as usize).min(last);
        Between { low, high: (low + 1).min(last), weight: place - low as f32 }
    }

    #[inline(always)]
    fn mix([a, b, c, d]: [f32; 4], [right, down]: [f32; 2]) -> f32 {
        let (upper, lower) = (a + (b - a) * right, c + (d - c) * right);
        upper + (lower - upper) * down
    }
}

impl Mix for Bits8 {
    type T = i8;
    /// 2048ths.
    type Weight = i32;

    fn between(corners: Corners, at: usize, from: usize, to: usize) -> Between<i32> {
        let Between { low, high, weight } = Real::between(corners, at, from, to);
        Between { low, high, weight: (weight * 2048.0).round_ties_even() as i32 }
    }

    #[inline(always)]
    fn mix(corner: [i8; 4], [right, down]: [i32; 2]) -> i8 {
        let [a, b, c, d] = corner.map(i32::from);
        let (upper, lower) = (a * 2048 + (b - a) * right, c * 2048 + (d - c) * right);
        ((upper * 2048 + (lower - upper) * down + (1 << 21)) >> 22) as i8
    }
}

impl Mix for Bits16 {
    type T = i16;
    /// 1024ths from the first neighbour, which may be one too far.
    type Weight = i64;

    fn between(corners: Corners, at: usize, from: usize, to: usize) -> Between<i64> {
        let [at, from, to] = [at, from, to].map(|n| n as i64);
        let scale = if corners.align && to > 1 {
            (1024 * (from - 1) + (to - 1) / 2) / (to - 1)
        } else {
            (1024 * from + to / 2) / to
        };
        let place = at * scale + if corners.half { scale / 2 - 512 } else { 0 };
        // Division here drops the fraction, also below 0.
        let low = (place / 1024).max(0);
        let high = ((place + 1023) / 1024).min(from - 1);
        let inside = |at: i64| usize::try_from(at.clamp(0, from - 1)).unwrap_or(0);
        Between { low: inside(low), high: inside(high), weight: place - 1024 * low }
    }

    #[inline(always)]
    fn mix(corner: [i16; 4], [right, down]: [i64; 2]) -> i16 {
        let [a, b, c, d] = corner.map(i64::from);
        let (left, up) = (1024 - right, 1024 - down);
        let sum = a * up * left + c * down * left + b * up * right + d * down * right;
        let half = if sum > 0 { 1 << 19 } else { -(1 << 19) };
        ((sum + half) / (1 << 20)) as i16
    }
}

#[derive(Debug)]
struct BilinearKernel<M: Mix> {
    isa: Isa,
    rows: Vec<Between<M::Weight>>,
    columns: Vec<Between<M::Weight>>,
    /// `[height, width, channels]` of the input.
    input: [usize; 3],
}

impl Operator for Bilinear {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![shape(site)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != y.dtype || x.quant != y.quant {
            return Err(malformed("an output of another type or quantization than the input's"));
        }
        site.budget.take_for::<[u64; 3]>(y.shape[1] + y.shape[2])?;
        match x.dtype {
            DType::F32 => Ok(self.step::<Real>(site.isa, x, y)),
            DType::I8 | DType::U8 => Ok(self.step::<Bits8>(site.isa, x, y)),
            DType::I16 => Ok(self.step::<Bits16>(site.isa, x, y)),
            other => Err(unsupported(format!("{other} pixels"))),
        }
    }
}

impl Bilinear {
    fn step<M: Mix + 'static>(&self, isa: Isa, x: &Value<'_>, y: &Value<'_>) -> Compiled {
        let places = |axis: usize| {
            let (from, to) = (x.shape[axis], y.shape[axis]);
            (0..to).map(|at| M::between(self.corners, at, from, to)).collect()
        };
        let kernel = BilinearKernel::<M> {
            isa,
            rows: places(1),
            columns: places(2),
            input: [x.shape[1], x.shape[2], x.shape[3]],
        };
        Step::new(kernel, y.elements().saturating_mul(4)).into()
    }
}

impl<M: Mix> Kernel for BilinearKernel<M> {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<M::T, M::T>();
        self.isa.run(Run { kernel: self, x, y });
    }
}

/// One run over all images.
struct Run<'a, M: Mix> {
    kernel: &'a BilinearKernel<M>,
    x: &'a [M::T],
    y: &'a mut [M::T],
}

impl<M: Mix> Plain for Run<'_, M> {
    #[inline(always)]
    fn run(self) {
        let Self { kernel: BilinearKernel { rows, columns, input, .. }, x, y } = self;
        let [height, width, channels] = *input;
        let line = width * channels;
        let line_out = columns.len() * channels;
        let images = x.chunks_exact(height * line);
        for (x, y) in images.zip(y.chunks_exact_mut(rows.len() * line_out)) {
            for (y, row) in y.chunks_exact_mut(line_out).zip(rows) {
                let [upper, lower] = [row.low, row.high].map(|row| &x[row * line..][..line]);
                for (y, column) in y.chunks_exact_mut(channels).zip(columns) {
                    let [left, right] = [column.low * channels, column.high * channels];
                    let [a, b] = [left, right].map(|at| &upper[at..][..channels]);
                    let [c, d] = [left, right].map(|at| &lower[at..][..channels]);
                    mix::<M>(y, [a, b, c, d], [column.weight, row.weight]);
                }
            }
        }
    }
}

/// The channels of one pixel.
#[inline(always)]
fn mix<M: Mix>(y: &mut [M::T], [a, b, c, d]: [&[M::T]; 4], weights: [M::Weight; 2]) {
    for ((((y, &a), &b), &c), &d) in y.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *y = M::mix([a, b, c, d], weights);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: Corners = Corners { align: false, half: false };

    #[test]
    fn centers_beyond_the_edge_are_the_edge() {
        let half = Corners { align: false, half: true };
        assert_eq!(Real::between(half, 0, 2, 4), Between { low: 0, high: 1, weight: 0.0 });
        assert_eq!(Real::between(half, 1, 2, 4), Between { low: 0, high: 1, weight: 0.25 });
        assert_eq!(Real::between(half, 3, 2, 4), Between { low: 1, high: 1, weight: 0.0 });
    }

    #[test]
    fn eight_bits_round_half_up() {
        assert_eq!(Bits8::mix([0, 1, 0, 1], [1024, 0]), 1);
        assert_eq!(Bits8::mix([0, -1, 0, -1], [1024, 0]), 0);
    }

    #[test]
    fn sixteen_bits_round_half_away_from_zero() {
        assert_eq!(Bits16::between(EDGES, 1, 1, 2), Between { low: 0, high: 0, weight: 512 });
        assert_eq!(Bits16::mix([0, 1, 0, 1], [512, 0]), 1);
        assert_eq!(Bits16::mix([0, -1, 0, -1], [512, 0]), -1);
    }
}
