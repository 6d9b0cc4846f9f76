//! Softmax of 16-bit logits in fixed point: exponential and reciprocal from tables of 513 points,
//! straight lines in between. Source: TFLite, `reference/softmax.h` and `LUTPopulate`.

use super::super::shared::fixed::Factor;
use super::super::{Kernel, Refusal, unsupported};
use crate::engine::native::graph::{Quant, Value};
use crate::engine::native::memory::Memory;

/// The exponential is tabled over so much below 0; what lies further down is nearly 0.
const RANGE: f64 = 10.0;

/// A function of a 16-bit number in steps of 128.
#[derive(Debug)]
struct Curve(Box<[i16; 513]>);

#[derive(Debug)]
pub(super) struct Softmax16 {
    row: usize,
    /// From steps of the input to 65535ths of [`RANGE`].
    factor: Factor,
    exp: Curve,
    reciprocal: Curve,
}

impl Curve {
    /// `f` over `low..=high`, as 32768ths; each point moved so that the line to the next errs
    /// equally at its ends and in its middle.
    fn new(f: impl Fn(f64) -> f64, low: f64, high: f64) -> Self {
        let step = (high - low) / 512.0;
        let scaled = |x: f64| (f(x) * 32768.0).round();
        let point = |i: usize| {
            let x = low + i as f64 * step;
            if i == 512 {
                return scaled(high);
            }
            let line = ((f(x + step) * 32768.0 + scaled(x)) / 2.0).round();
            scaled(x) - ((line - scaled(x + step / 2.0)) / 2.0).round()
        };
        Self(Box::new(std::array::from_fn(|i| point(i) as i16)))
    }

    fn at(&self, x: i32) -> i32 {
        let x = x.clamp(-32768, 32767);
        let (place, rest) = ((256 + (x >> 7)).cast_unsigned() as usize, x & 127);
        let base = i32::from(self.0[place]);
        base + (((i32::from(self.0[place + 1]) - base) * rest + 64) >> 7)
    }
}

impl Softmax16 {
    pub(super) fn new(x: &Value<'_>, beta: f32, row: usize) -> Result<Self, Refusal> {
        let Quant::Tensor(quant) = x.quant else {
            return Err(unsupported("int16 without one scale"));
        };
        if row > 1 << 16 {
            return Err(unsupported(format!("{row} classes in 16 bits")));
        }
        let factor = f64::from(quant.scale) * f64::from(beta) / (RANGE / 65535.0);
        let far = || unsupported(format!("an input scale of {}", quant.scale));
        let factor = Factor::new(factor).filter(|_| factor < 16384.0).ok_or_else(far)?;
        Ok(Self {
            row,
            factor,
            exp: Curve::new(libm::exp, -RANGE, 0.0),
            reciprocal: Curve::new(|x| 1.0 / (1.0 + x), 0.0, 1.0),
        })
    }
}

impl Kernel for Softmax16 {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i16, i16>();
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let max = x.iter().fold(i16::MIN, |max, &x| max.max(x));
            // With 15 fraction bits; the first is 1, so the sum is above 0.
            let mut sum = 0i32;
            for (y, &x) in y.iter_mut().zip(x) {
                let steps = self.factor.times(i32::from(x) - i32::from(max));
                let power = self.exp.at(steps.saturating_add(32767));
                *y = power as i16;
                sum = sum.saturating_add(power);
            }
            let zeros = sum.max(1).leading_zeros();
            let normal = ((i64::from(sum) << (zeros - 1)) + (1 << 13)) >> 14;
            let reciprocal = self.reciprocal.at(normal as i32 - (1 << 15) - (1 << 16));
            let shift = 31 - zeros;
            for y in y {
                let product = i64::from(*y) * i64::from(reciprocal);
                let half = (1i64 << shift) >> 1;
                *y = ((product + half) >> shift).clamp(0, 32767) as i16;
            }
        }
    }
}
