//! Softmax of 8-bit logits: exponentials from a table of all 256 differences.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;

use super::super::Kernel;
use super::place;
use crate::data::Quantization;
use crate::engine::native::kernels::{Isa, Plain};
use crate::engine::native::memory::Memory;

/// How steps of the output, 0 or more of them, become an integer.
pub(super) trait Rounding: fmt::Debug + Send + Sync + 'static {
    /// What is not a number becomes 0.
    fn round(steps: f32) -> i32;
}

/// Halves away from zero.
#[derive(Debug)]
pub(super) struct Nearest;

/// Adds a half and drops the fraction.
#[derive(Debug)]
pub(super) struct HalfUp;

impl Rounding for Nearest {
    #[inline(always)]
    fn round(steps: f32) -> i32 {
        // The largest number below a half: what is just below a half must not become 1.
        (steps + 0.499_999_97) as i32
    }
}

impl Rounding for HalfUp {
    #[inline(always)]
    fn round(steps: f32) -> i32 {
        (steps + 0.5) as i32
    }
}

/// An output.
pub(super) trait Byte: Pod + Default + fmt::Debug + Send + Sync {
    fn clamped(value: i32) -> Self;
}

impl Byte for i8 {
    #[inline(always)]
    fn clamped(value: i32) -> Self {
        value.clamp(-128, 127) as i8
    }
}

impl Byte for i16 {
    #[inline(always)]
    fn clamped(value: i32) -> Self {
        value.clamp(-32768, 32767) as i16
    }
}

#[derive(Debug)]
pub(super) struct Softmax8<R, Y> {
    isa: Isa,
    /// `exp(-scale * beta * difference)` at index `255 - difference`.
    table: Box<[f32; 256]>,
    /// Length of the last axis.
    row: usize,
    y: Quantization,
    types: PhantomData<(R, Y)>,
}

impl<R: Rounding, Y: Byte> Softmax8<R, Y> {
    pub(super) fn new(isa: Isa, table: Box<[f32; 256]>, row: usize, y: Quantization) -> Self {
        Self { isa, table, row, y, types: PhantomData }
    }
}

#[inline(always)]
fn answer<R: Rounding, Y: Byte>(steps: f32, zero_point: i32) -> Y {
    Y::clamped(R::round(steps).saturating_add(zero_point))
}

impl<R: Rounding, Y: Byte> Kernel for Softmax8<R, Y> {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, Y>();
        self.isa.run(Rows { kernel: self, x, y });
    }
}

/// One run over all rows.
struct Rows<'a, R, Y> {
    kernel: &'a Softmax8<R, Y>,
    x: &'a [i8],
    y: &'a mut [Y],
}

impl<R: Rounding, Y: Byte> Plain for Rows<'_, R, Y> {
    #[inline(always)]
    fn run(self) {
        let Self { kernel, x, y } = self;
        let (table, Quantization { scale, zero_point }) = (&*kernel.table, kernel.y);
        for (x, y) in x.chunks_exact(kernel.row).zip(y.chunks_exact_mut(kernel.row)) {
            let max = x.iter().fold(i8::MIN, |max, &x| max.max(x));
            // One running sum, in order: another order rounds differently.
            let sum = x.iter().fold(0.0f32, |sum, &x| sum + table[place(x, max)]);
            let factor = 1.0 / (sum * scale);
            if kernel.row < 256 {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = answer::<R, Y>(table[place(x, max)] * factor, zero_point);
                }
                continue;
            }
            let mut answers = [Y::default(); 256];
            for (to, &power) in answers.iter_mut().zip(table) {
                *to = answer::<R, Y>(power * factor, zero_point);
            }
            for (y, &x) in y.iter_mut().zip(x) {
                *y = answers[place(x, max)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_up_and_what_is_below_does_not() {
        let below = f32::from_bits(0.5f32.to_bits() - 1);
        let steps = [0.0, below, 0.5, 1.5, 2.5, 8_388_609.0, f32::NAN];
        assert_eq!(steps.map(Nearest::round), [0, 0, 1, 2, 3, 8_388_609, 0]);
        for steps in (0..1 << 20).map(|i| i as f32 * (300.0 / (1 << 20) as f32)) {
            assert_eq!(Nearest::round(steps), steps.round() as i32, "{steps}");
        }
        assert_eq!([0.0, 0.5, 1.25].map(HalfUp::round), [0, 1, 1]);
    }
}
