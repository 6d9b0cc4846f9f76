//! Softmax and its logarithm over the last axis. Exponentials and logarithms are computed in `f64` and
//! rounded once to `f32`: the same on every machine, within one unit of LiteRT's.

mod eight;
mod fixed16;
mod log;

use self::eight::{Byte, HalfUp, Nearest, Rounding, Softmax8};
use self::fixed16::Softmax16;
pub(super) use self::log::LogSoftmax;
use super::shared::quant8::Quant8;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Quant, Shape, Value};
use crate::engine::native::kernels::{Isa, Plain, real};
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

#[derive(Debug)]
struct RealSoftmax {
    isa: Isa,
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
            (DType::F32, DType::F32) => {
                Ok(Step::new(RealSoftmax { isa: site.isa, row, beta }, work).into())
            }
            (DType::I16, DType::I16) => {
                let kernel = Softmax16::new(x, beta, row)?;
                Ok(Step { weight_bytes: 4096, ..Step::new(kernel, work) }.into())
            }
            (DType::I8 | DType::U8, DType::I16) => {
                let Quant::Tensor(quant) = y.quant else {
                    return Err(unsupported("int16 without one scale"));
                };
                self.eight::<HalfUp, i16>(site, row, quant)
            }
            (DType::I8 | DType::U8, DType::I8 | DType::U8) => {
                let Quant8 { scale, zero_point, origin } = Quant8::of(y)?;
                let quant = Quantization { scale, zero_point };
                // The reference rounds by output type.
                match origin {
                    0 => self.eight::<Nearest, i8>(site, row, quant),
                    _ => self.eight::<HalfUp, i8>(site, row, quant),
                }
            }
            (from, to) => Err(unsupported(format!("{from} logits to {to}"))),
        }
    }
}

impl Softmax {
    fn eight<R: Rounding, Y: Byte>(
        &self,
        site: &Site<'_>,
        row: usize,
        y: Quantization,
    ) -> Result<Compiled, Refusal> {
        let x = site.input(0)?;
        let table = Box::new(table(Quant8::of(x)?.scale * self.beta));
        let kernel = Softmax8::<R, Y>::new(site.isa, table, row, y);
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

impl Kernel for RealSoftmax {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        self.isa.run(Rows { row: self.row, beta: self.beta, x, y });
    }
}

/// One run over all rows.
struct Rows<'a> {
    row: usize,
    beta: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Plain for Rows<'_> {
    #[inline(always)]
    fn run(self) {
        for (x, y) in self.x.chunks_exact(self.row).zip(self.y.chunks_exact_mut(self.row)) {
            let max = x.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            for (y, &x) in y.iter_mut().zip(x) {
                *y = real::exp((x - max) * self.beta);
            }
            // One running sum, in order: another order rounds differently.
            let sum = y.iter().fold(0.0f32, |sum, &y| sum + y);
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
