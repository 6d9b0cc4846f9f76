//! Softmax and its logarithm over the last axis. Exponentials and logarithms are `libm`'s in `f64`,
//! rounded once to `f32`: the same on every machine, within one unit of LiteRT's.

mod fixed16;
mod log;

use bytemuck::Pod;

use self::fixed16::Softmax16;
pub(super) use self::log::LogSoftmax;
use super::shared::quant8::Quant8;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Quant, Shape, Value};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "SOFTMAX",
        options: 9,
        // SoftmaxOptions: beta.
        lower: |options| Ok(Box::new(Softmax { beta: options.float(0, 0.0)? })),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16],
        attributes: &[],
    },
    Entry {
        name: "LOG_SOFTMAX",
        options: 36,
        lower: |_| Ok(Box::new(LogSoftmax)),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8],
        attributes: &[],
    },
];

/// `exp(beta * x)`, divided by its sum over the last axis.
#[derive(Debug)]
pub(super) struct Softmax {
    pub(super) beta: f32,
}

/// 8-bit logits: exponentials from a table of all 256 differences.
#[derive(Debug)]
struct Softmax8<Y> {
    /// `exp(-scale * beta * difference)` at index `255 - difference`.
    table: Box<[f32; 256]>,
    /// Length of the last axis.
    row: usize,
    scale: f32,
    /// From steps of the output to an integer.
    finish: fn(f32, i32) -> Y,
    zero_point: i32,
}

#[derive(Debug)]
struct RealSoftmax {
    row: usize,
    beta: f32,
}

/// Length of the last axis of an input that is not empty.
fn row_of(x: &Value<'_>) -> Result<usize, Refusal> {
    let row = x.shape.last().copied().filter(|_| x.elements() > 0);
    row.ok_or_else(|| malformed(format!("an input of shape {:?}", x.shape)))
}

impl Operator for Softmax {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let (row, beta) = (row_of(x)?, self.beta);
        if !(beta.is_finite() && beta > 0.0) {
            return Err(malformed(format!("beta of {beta}")));
        }
        let work = 2 * x.elements();
        match (x.dtype, y.dtype) {
            (DType::F32, DType::F32) => Ok(Step::new(RealSoftmax { row, beta }, work).into()),
            (DType::I16, DType::I16) => {
                let kernel = Softmax16::new(x, beta, row)?;
                Ok(Step { weight_bytes: 4096, ..Step::new(kernel, work) }.into())
            }
            (DType::I8 | DType::U8, DType::I16) => {
                let Quant::Tensor(quant) = y.quant else {
                    return Err(unsupported("int16 without one scale"));
                };
                let finish =
                    |steps, zero_point| add_half(steps, zero_point).clamp(-32768, 32767) as i16;
                self.eight(x, row, quant.scale, quant.zero_point, finish)
            }
            (DType::I8 | DType::U8, DType::I8 | DType::U8) => {
                let quant = Quant8::of(y)?;
                // The reference rounds by output type.
                let finish: fn(f32, i32) -> i8 = match quant.origin {
                    0 => |steps, zero_point| {
                        (steps.round() as i32).saturating_add(zero_point).clamp(-128, 127) as i8
                    },
                    _ => |steps, zero_point| add_half(steps, zero_point).clamp(-128, 127) as i8,
                };
                self.eight(x, row, quant.scale, quant.zero_point, finish)
            }
            (from, to) => Err(unsupported(format!("{from} logits to {to}"))),
        }
    }
}

/// Adds a half and drops the fraction.
fn add_half(steps: f32, zero_point: i32) -> i32 {
    ((steps + 0.5) as i32).saturating_add(zero_point)
}

impl Softmax {
    fn eight<Y: Pod + std::fmt::Debug>(
        &self,
        x: &Value<'_>,
        row: usize,
        scale: f32,
        zero_point: i32,
        finish: fn(f32, i32) -> Y,
    ) -> Result<Compiled, Refusal> {
        let table = Box::new(table(Quant8::of(x)?.scale * self.beta));
        let kernel = Softmax8 { table, row, scale, finish, zero_point };
        Ok(Step { weight_bytes: 1024, ..Step::new(kernel, 2 * x.elements()) }.into())
    }
}

/// `exp(-scale * difference)` at index `255 - difference`.
fn table(scale: f32) -> [f32; 256] {
    std::array::from_fn(|i| exp(-scale * (255 - i) as f32))
}

/// The `f32` nearest to `e^x`, the same on every machine: the system's library may not be used.
fn exp(x: f32) -> f32 {
    libm::exp(f64::from(x)) as f32
}

/// The table's place of `x` in a row whose largest element is `max`.
#[inline(always)]
fn place(x: i8, max: i8) -> usize {
    usize::from(255 - max.abs_diff(x))
}

impl<Y: Pod + std::fmt::Debug> Kernel for Softmax8<Y> {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, Y>();
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let max = x.iter().fold(i8::MIN, |max, &x| max.max(x));
            let power = |x: i8| self.table[place(x, max)];
            // One running sum, in order: another order rounds differently.
            let sum = x.iter().fold(0.0f32, |sum, &x| sum + power(x));
            let factor = 1.0 / (sum * self.scale);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (self.finish)(power(x) * factor, self.zero_point);
            }
        }
    }
}

impl Kernel for RealSoftmax {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let max = x.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            let mut sum = 0.0f32;
            for (y, &x) in y.iter_mut().zip(x) {
                *y = exp((x - max) * self.beta);
                sum += *y;
            }
            for y in y {
                *y /= sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_the_nearest_floats() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1.0), 0.367_879_44);
        assert_eq!(exp(-10.5), 2.753_645e-5);
        assert_eq!(exp(-200.0), 0.0);
    }
}
