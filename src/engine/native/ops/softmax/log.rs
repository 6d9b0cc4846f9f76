//! The logarithm of a softmax.

use super::super::shared::quant8::Quant8;
use super::super::{Compiled, Kernel, Operator, Refusal, Site, Step, unsupported};
use super::{exp, place, row_of, table};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

/// `x` minus the logarithm of the sum of exponentials over the last axis.
#[derive(Debug)]
pub(in super::super) struct LogSoftmax;

#[derive(Debug)]
struct LogSoftmax8 {
    /// `exp(-scale * difference)` at index `255 - difference`.
    table: Box<[f32; 256]>,
    row: usize,
    scale: f32,
    /// Of the input, as it lies in the arena, in the file's integers, and of the output.
    origin: i32,
    out: Quant8,
}

#[derive(Debug)]
struct RealLogSoftmax {
    row: usize,
}

impl Operator for LogSoftmax {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let (row, work) = (row_of(x)?, 2 * x.elements());
        if (x.dtype, y.dtype) == (DType::F32, DType::F32) {
            return Ok(Step::new(RealLogSoftmax { row }, work).into());
        }
        if x.dtype != y.dtype {
            return Err(unsupported(format!("{} logits to {}", x.dtype, y.dtype)));
        }
        let (quant, out) = (Quant8::of(x)?, Quant8::of(y)?);
        let table = Box::new(table(quant.scale));
        let kernel = LogSoftmax8 { table, row, scale: quant.scale, origin: quant.origin, out };
        Ok(Step { weight_bytes: 1024, ..Step::new(kernel, work) }.into())
    }
}

/// The `f32` nearest to the natural logarithm.
fn ln(x: f32) -> f32 {
    libm::log(f64::from(x)) as f32
}

impl Kernel for LogSoftmax8 {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        let integer = |x: i8| (i32::from(x) + self.origin) as f32;
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let max = x.iter().fold(i8::MIN, |max, &x| max.max(x));
            let sum = x.iter().fold(0.0f32, |sum, &x| sum + self.table[place(x, max)]);
            let shift = integer(max) * self.scale + ln(sum);
            for (y, &x) in y.iter_mut().zip(x) {
                let steps = (integer(x) * self.scale - shift) / self.out.scale;
                let steps = steps.round_ties_even() as i32;
                *y = steps.saturating_add(self.out.zero_point).clamp(-128, 127) as i8;
            }
        }
    }
}

impl Kernel for RealLogSoftmax {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let max = x.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            let sum = x.iter().fold(0.0f32, |sum, &x| sum + exp(x - max));
            let log = ln(sum);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = x - max - log;
            }
        }
    }
}
