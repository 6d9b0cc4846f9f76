//! Sums and differences of quantized tensors in fixed point.

use super::super::shared::fixed::Factor;
use super::super::shared::linear::Linear;
use super::super::{Refusal, unsupported};

/// As XNNPACK, for 8 bits: both inputs are brought to 20 bits below the larger scale's exponent, added,
/// and shifted back with rounding, half up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    factors: [i32; 2],
    offset: i32,
    shift: u32,
    y: Linear,
}

impl Sum {
    /// For `a + sign * b`; `None` where XNNPACK leaves the work to LiteRT's own kernels.
    pub(super) fn new(x: [Linear; 2], sign: i32, y: Linear) -> Option<Self> {
        let scales = x.map(|x| x.scale / y.scale);
        if scales.iter().any(|scale| !(1.0 / 1024.0..256.0).contains(scale)) {
            return None;
        }
        let exponent = (scales[0].max(scales[1]).to_bits() >> 23) as i32 - 127;
        // 13..=30, as the larger exponent is -10..=7.
        let shift = 20 - exponent;
        let [a, b] = scales
            .map(|scale| (f64::from(scale) * f64::from(shift).exp2()).round_ties_even() as i32);
        let factors = [a, sign * b];
        let rounding = 1 << (shift - 1);
        let offset = rounding - factors[0] * x[0].zero_point - factors[1] * x[1].zero_point;
        Some(Self { factors, offset, shift: shift.cast_unsigned(), y })
    }

    #[inline(always)]
    pub(super) fn of(&self, a: i8, b: i8) -> i8 {
        let sum = i32::from(a) * self.factors[0] + i32::from(b) * self.factors[1] + self.offset;
        // Narrowing with saturation, of which there are vectors, changes nothing: bounds are bytes.
        let steps = (sum >> self.shift).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let steps = steps.saturating_add(self.y.zero_point as i16);
        let byte = steps.clamp(i8::MIN.into(), i8::MAX.into()) as i8;
        byte.min(self.y.high as i8).max(self.y.low as i8)
    }
}

/// As LiteRT's own kernels: both inputs with `bits` more are scaled to half the larger scale, and their
/// sum to the output's; each step rounds.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Halves {
    x: [Linear; 2],
    factors: [Factor; 2],
    bits: u32,
    twice: f64,
}

impl Halves {
    pub(in super::super) fn new(x: [Linear; 2], bits: u32) -> Result<Self, Refusal> {
        let twice = f64::from(2.0 * x[0].scale.max(x[1].scale));
        let [a, b] = x.map(|x| near(f64::from(x.scale) / twice));
        Ok(Self { x, factors: [a?, b?], bits, twice })
    }

    /// The factor from sums to steps of `y`; from products of two with `power` 2.
    pub(in super::super) fn output(&self, y: Linear, power: u32) -> Result<Factor, Refusal> {
        let unit = f64::from(self.bits * power).exp2() as f32 * y.scale;
        near(self.twice.powi(power.cast_signed()) / f64::from(unit))
    }

    /// Both inputs in the common scale, each rounded once, as LiteRT's vectors of 16-bit values do on
    /// x86-64; `None` for scales that its kernels do not take.
    pub(in super::super) fn once(&self) -> Option<impl Fn([i32; 2]) -> [i32; 2] + use<>> {
        let bits = self.bits.cast_signed();
        let [a, b] = self.factors.map(|factor| factor.once(bits));
        let ([a, b], x) = ([a?, b?], self.x);
        Some(move |raw: [i32; 2]| [a(raw[0] - x[0].zero_point), b(raw[1] - x[1].zero_point)])
    }

    /// Both inputs in the common scale.
    #[inline(always)]
    pub(in super::super) fn of(&self, raw: [i32; 2]) -> [i32; 2] {
        let scaled = |i: usize| self.factors[i].times((raw[i] - self.x[i].zero_point) << self.bits);
        [scaled(0), scaled(1)]
    }
}

/// `real` in fixed point.
pub(super) fn near(real: f64) -> Result<Factor, Refusal> {
    let factor = if real.is_finite() { Factor::new(real) } else { None };
    factor.ok_or_else(|| unsupported(format!("scales with the ratio {real}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quant(scale: f32, zero_point: i32) -> Linear {
        Linear { scale, zero_point, low: -128, high: 127 }
    }

    #[test]
    fn real_sums_come_out_and_saturate() {
        let sum = Sum::new([quant(0.5, 1), quant(0.25, -2)], 1, quant(1.0, 3)).unwrap();
        // 0.5 * (5 - 1) + 0.25 * (6 + 2) = 4
        assert_eq!(sum.of(5, 6), 4 + 3);
        // 0.5 * (2 - 1) = 0.5 rounds up, towards positive infinity
        assert_eq!(sum.of(2, -2), 1 + 3);
        assert_eq!(sum.of(0, -2), 3);
        assert_eq!(sum.of(127, 127), 63 + 32 + 3);
        let difference = Sum::new([quant(0.5, 1), quant(0.25, -2)], -1, quant(1.0, 3)).unwrap();
        assert_eq!(difference.of(5, 6), 3);
    }

    #[test]
    fn scales_too_far_apart_are_summed_as_by_litert() {
        let x = [quant(1e-6, 0); 2];
        assert!(Sum::new(x, 1, quant(1.0, 0)).is_none());
        let halves = Halves::new([quant(1.0, 0), quant(0.5, 2)], 20).unwrap();
        let [a, b] = halves.of([3, 4]);
        assert_eq!(halves.output(quant(1.0, 0), 1).unwrap().times(a + b), 4);
    }
}
