//! Softmax over 8-bit logits: `f32` throughout, exponentials from a table of all 256 differences.

use super::shared::quant8::Quant8;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed};
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "SOFTMAX",
    options: 9,
    // SoftmaxOptions: beta.
    lower: |options| Ok(Box::new(Softmax { beta: options.float(0, 0.0)? })),
    kinds: &[Kind::Int8, Kind::Uint8],
    attributes: &[],
}];

/// Over the last axis.
#[derive(Debug)]
pub(super) struct Softmax {
    pub(super) beta: f32,
}

#[derive(Debug)]
struct SoftmaxKernel {
    /// `exp(-scale * beta * difference)` at index `255 - difference`.
    table: Box<[f32; 256]>,
    /// Length of the last axis.
    row: usize,
    scale: f32,
    zero_point: i32,
    rounding: Rounding,
}

/// How a probability becomes an integer; the reference differs by output type.
#[derive(Clone, Copy, Debug)]
enum Rounding {
    /// `int8`: half away from zero.
    Nearest,
    /// `uint8`: add a half, drop the fraction.
    AddHalf,
}

impl Operator for Softmax {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let (qx, qy) = (Quant8::of(x)?, Quant8::of(y)?);
        if !(self.beta.is_finite() && self.beta > 0.0) {
            return Err(malformed(format!("beta of {}", self.beta)));
        }
        let scale = -qx.scale * self.beta;
        let table = std::array::from_fn(|i| exp(scale * (255 - i) as f32));
        let kernel = SoftmaxKernel {
            table: Box::new(table),
            row: *x.shape.last().ok_or_else(|| malformed("a scalar"))?,
            scale: qy.scale,
            zero_point: qy.zero_point,
            rounding: if qy.origin == 0 { Rounding::Nearest } else { Rounding::AddHalf },
        };
        Ok(Step { weight_bytes: 1024, ..Step::new(kernel, 2 * x.elements()) }.into())
    }
}

/// The `f32` nearest to `e^x`, the same on every machine: the system's library may not be used.
fn exp(x: f32) -> f32 {
    libm::exp(f64::from(x)) as f32
}

impl Kernel for SoftmaxKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let max = x.iter().fold(i8::MIN, |max, &x| max.max(x));
            let power = |x: i8| self.table[usize::from(255 - max.abs_diff(x))];
            // One running sum, in order: another order rounds differently.
            let sum = x.iter().fold(0.0f32, |sum, &x| sum + power(x));
            let factor = 1.0 / (sum * self.scale);
            for (y, &x) in y.iter_mut().zip(x) {
                let steps = power(x) * factor;
                let steps = match self.rounding {
                    Rounding::Nearest => steps.round(),
                    Rounding::AddHalf => steps + 0.5,
                };
                *y = (steps as i32).saturating_add(self.zero_point).clamp(-128, 127) as i8;
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
