//! Addition of two quantized tensors in fixed point, as XNNPACK: both inputs are brought to 20 bits
//! below the larger scale's exponent, added, and shifted back with rounding.

use super::shared::quant8::Quant8;
use super::shared::requantize::range;
use super::shared::walk::{Walk, broadcast, broadcast_shape};
use super::{
    ACTIVATIONS, Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, activation,
    malformed, unsupported,
};
use crate::engine::native::graph::{Activation, Shape};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "ADD",
    options: 11,
    // AddOptions: activation.
    lower: |options| Ok(Box::new(Add { activation: activation(options.byte(0, 0)?)? })),
    kinds: &[Kind::Int8, Kind::Uint8],
    attributes: &[("activation", ACTIVATIONS)],
}];

/// Element-wise with broadcasting.
#[derive(Debug)]
pub(super) struct Add {
    pub(super) activation: Activation,
}

#[derive(Debug)]
struct AddKernel {
    sum: Sum,
    /// `None` where both inputs have the output's shape.
    walk: Option<Walk>,
}

/// `(a * factor_a + b * factor_b + offset) >> shift`, clamped.
#[derive(Clone, Copy, Debug)]
struct Sum {
    factors: [i32; 2],
    offset: i32,
    shift: u32,
    zero_point: i32,
    low: i32,
    high: i32,
}

impl Operator for Add {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![broadcast_shape(&site.input(0)?.shape, &site.input(1)?.shape)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let sum = Sum::new([Quant8::of(a)?, Quant8::of(b)?], Quant8::of(y)?, self.activation)?;
        let walk = if a.shape == y.shape && b.shape == y.shape {
            None
        } else {
            let fit = || malformed(format!("{:?} + {:?} is not {:?}", a.shape, b.shape, y.shape));
            let strides = [
                broadcast(&a.shape, &y.shape).ok_or_else(fit)?,
                broadcast(&b.shape, &y.shape).ok_or_else(fit)?,
            ];
            Some(Walk::new(y.shape.clone(), strides))
        };
        let step = Step::new(AddKernel { sum, walk }, y.elements());
        Ok(Step { reads: vec![0, 1], ..step }.into())
    }
}

impl Sum {
    fn new(x: [Quant8; 2], y: Quant8, activation: Activation) -> Result<Self, Refusal> {
        let scales = x.map(|x| x.scale / y.scale);
        let exponent = (scales[0].max(scales[1]).to_bits() >> 23) as i32 - 127;
        let shift = 20 - exponent;
        if !(1..=30).contains(&shift) {
            return Err(unsupported(format!("an output scale of {} for {x:?}", y.scale)));
        }
        let factors = scales
            .map(|scale| (f64::from(scale) * f64::from(shift).exp2()).round_ties_even() as i32);
        let rounding = 1 << (shift - 1);
        let offset = rounding - factors[0] * x[0].zero_point - factors[1] * x[1].zero_point;
        let (low, high) = range(y, activation);
        let shift = shift as u32;
        Ok(Self { factors, offset, shift, zero_point: y.zero_point, low, high })
    }

    #[inline(always)]
    fn of(&self, a: i8, b: i8) -> i8 {
        let sum = i32::from(a) * self.factors[0] + i32::from(b) * self.factors[1] + self.offset;
        ((sum >> self.shift) + self.zero_point).clamp(self.low, self.high) as i8
    }
}

impl Kernel for AddKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (a, b, y) = memory.binary::<i8, i8>();
        let sum = self.sum;
        let Some(walk) = &self.walk else {
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                *y = sum.of(a, b);
            }
            return;
        };
        let [step_a, step_b] = walk.steps();
        let mut rows = y.chunks_exact_mut(walk.row());
        walk.rows(|[a_start, b_start]| {
            let Some(y) = rows.next() else { return };
            for (i, y) in y.iter_mut().enumerate() {
                *y = sum.of(a[a_start + i * step_a], b[b_start + i * step_b]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quant(scale: f32, zero_point: i32) -> Quant8 {
        Quant8 { scale, zero_point, origin: 0 }
    }

    #[test]
    fn real_sums_come_out_and_saturate() {
        let sum =
            Sum::new([quant(0.5, 1), quant(0.25, -2)], quant(1.0, 3), Activation::None).unwrap();
        // 0.5 * (5 - 1) + 0.25 * (6 + 2) = 4
        assert_eq!(sum.of(5, 6), 4 + 3);
        // 0.5 * (2 - 1) = 0.5 rounds up, towards positive infinity
        assert_eq!(sum.of(2, -2), 1 + 3);
        assert_eq!(sum.of(0, -2), 3);
        assert_eq!(sum.of(127, 127), 63 + 32 + 3);
        let fine = Sum::new([quant(0.5, 0); 2], quant(0.125, 0), Activation::Relu).unwrap();
        assert_eq!((fine.of(127, 127), fine.of(-5, 1)), (127, 0));
    }

    #[test]
    fn scales_too_far_apart_are_refused() {
        let x = [quant(1e-6, 0); 2];
        assert!(matches!(
            Sum::new(x, quant(1.0, 0), Activation::None),
            Err(Refusal::Unsupported(_))
        ));
    }
}
