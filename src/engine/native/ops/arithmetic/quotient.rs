//! Quotients of quantized tensors in fixed point, as LiteRT's own kernels.

use super::super::Refusal;
use super::super::shared::fixed::Factor;
use super::super::shared::linear::Linear;
use super::sum::near;

/// `a / b`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotient {
    x: [Linear; 2],
    y: Linear,
    factor: Factor,
}

impl Quotient {
    pub(super) fn new(x: [Linear; 2], y: Linear) -> Result<Self, Refusal> {
        // In `f32`, in this order.
        let ratio = x[0].scale / (x[1].scale * y.scale);
        Ok(Self { x, y, factor: near(ratio.into())? })
    }

    /// Where the divisor is real zero LiteRT's answer is undefined; here it is the largest of its sign.
    #[inline(always)]
    pub(super) fn of(&self, a: i32, b: i32) -> i32 {
        let (mut a, mut b) = (a - self.x[0].zero_point, b - self.x[1].zero_point);
        if b < 0 {
            (a, b) = (-a, -b);
        }
        if b == 0 {
            return self.y.raw(a.signum() * (1 << 20));
        }
        let (inverse, bits) = reciprocal(b);
        // Redundant sign bits: as many more places as `a` has room for.
        let room = if a < 0 { !a } else { a }.leading_zeros().cast_signed() - 1;
        let quotient = Factor::of(inverse, room).times(a);
        let exponent = self.factor.exponent() - bits - room;
        if exponent > 0 {
            return self.y.raw(self.factor.shifted(-bits - room).times(quotient));
        }
        let scaled = self.factor.shifted(-self.factor.exponent()).times(quotient);
        self.y.raw(divide(scaled, exponent.unsigned_abs()))
    }
}

/// `x / 2^shift`, halves away from zero; but a shift beyond 31, which LiteRT does not expect of
/// quotients far below a step, starts again from 0 as on x86-64: they come out far too large. These are
/// the bytes of LiteRT, so they are ours.
fn divide(x: i32, shift: u32) -> i32 {
    let mask = 1i64.wrapping_shl(shift).wrapping_sub(1) as i32;
    let threshold = (mask >> 1) + i32::from(x < 0);
    x.wrapping_shr(shift).wrapping_add(i32::from(x & mask > threshold))
}

/// `2^(31 + bits) / x` of a positive `x`, and bits: Newton's division in 2 integer bits, three rounds
/// from `48/17 - 32/17 x`. Source: gemmlowp, `one_over_one_plus_x_for_x_in_0_1`.
fn reciprocal(x: i32) -> (i32, i32) {
    let zeros = x.leading_zeros();
    let high = |a: i32, b: i32| Factor::of(b, 0).times(a);
    let raise =
        |x: i32, bits: u32| (i64::from(x) << bits).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    let over_one = (i64::from(x) << zeros) - (1 << 31);
    let half = ((over_one + i64::from(i32::MAX) + 1) / 2) as i32;
    let mut inverse = 1_515_870_810i32.wrapping_add(high(half, -1_010_580_540));
    for _ in 0..3 {
        let rest = (1i32 << 29).wrapping_sub(high(half, inverse));
        inverse = inverse.wrapping_add(raise(high(inverse, rest), 2));
    }
    (raise(inverse, 1), 31 - zeros.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_near_the_real_ones() {
        let quant = |scale| Linear { scale, zero_point: 1, low: -128, high: 127 };
        let quotient = Quotient::new([quant(1.0), quant(0.5)], quant(0.125)).unwrap();
        // 6 / (3 * 0.5) / 0.125 = 32
        assert_eq!([(7, 4), (-5, 4), (7, -2)].map(|(a, b)| quotient.of(a, b)), [33, -31, -31]);
        assert_eq!([(1, 1), (2, 1), (0, 1)].map(|(a, b)| quotient.of(a, b)), [1, 127, -128]);
    }
}
