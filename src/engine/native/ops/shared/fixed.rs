//! Multiplication by a real factor in 32-bit fixed point, as TFLite's own kernels do it: for the few
//! operators that LiteRT does not hand to XNNPACK.
//! Source: gemmlowp, "fixedpoint.h", and TFLite's `MultiplyByQuantizedMultiplier`, double rounding.

/// A factor as `mantissa * 2^(exponent - 31)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Factor {
    /// 2^30..2^31, or 0.
    mantissa: i32,
    /// -31..=31.
    exponent: i32,
}

impl Factor {
    /// The nearest to `real`, which is finite and not negative; `None` where it is too large.
    pub(in super::super) fn new(real: f64) -> Option<Self> {
        let (fraction, mut exponent) = libm::frexp(real);
        let mut mantissa = (fraction * f64::from(1u32 << 31)).round() as i64;
        if mantissa == 1 << 31 {
            mantissa /= 2;
            exponent += 1;
        }
        if exponent < -31 {
            return Some(Self { mantissa: 0, exponent: 0 });
        }
        let mantissa = i32::try_from(mantissa).ok()?;
        (exponent <= 22).then_some(Self { mantissa, exponent })
    }

    /// `mantissa * 2^(exponent - 31)`; 0 where that is below 2^-32.
    pub(in super::super) fn of(mantissa: i32, exponent: i32) -> Self {
        if exponent < -31 {
            return Self { mantissa: 0, exponent: 0 };
        }
        Self { mantissa, exponent: exponent.min(31) }
    }

    /// Two to this, times the mantissa, times 2^-31.
    pub(in super::super) fn exponent(self) -> i32 {
        self.exponent
    }

    /// The factor times two to the `bits`.
    pub(in super::super) fn shifted(self, bits: i32) -> Self {
        Self::of(self.mantissa, self.exponent + bits)
    }

    /// The factor with the other sign.
    pub(in super::super) fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, ..self }
    }

    /// The factor divided by `count`, which is at least 1, cut off as the reference does for means.
    pub(in super::super) fn over(self, count: u64) -> Self {
        // No more bits are gained than the exponent can still pay for.
        let bits = i32::try_from(count.max(1).ilog2()).unwrap_or(0);
        let bits = bits.min(32).min(31 + self.exponent).max(0);
        let mantissa =
            (i64::from(self.mantissa) << bits) / i64::try_from(count).unwrap_or(i64::MAX).max(1);
        Self { mantissa: mantissa as i32, exponent: self.exponent - bits }
    }

    /// `x`, of 48 bits, times the factor cut to 16 bits; rounded once, half up. What does not fit 32
    /// bits is the nearest number that does.
    pub(in super::super) fn times_wide(self, x: i64) -> i32 {
        self.product(x).clamp(i32::MIN.into(), i32::MAX.into()) as i32
    }

    /// The same, of 64 bits.
    pub(in super::super) fn product(self, x: i64) -> i64 {
        let short =
            if self.mantissa < 0x7fff_0000 { (self.mantissa + (1 << 15)) >> 16 } else { 0x7fff };
        let shift = (15 - self.exponent).clamp(1, 62);
        x.wrapping_mul(i64::from(short)).wrapping_add(1 << (shift - 1)) >> shift
    }

    /// The product with `x` to 31 fraction bits, halves up, and the shift that is left. Products with
    /// a factor above 1 have to fit 32 bits.
    #[inline(always)]
    fn high(self, x: i32) -> (i64, u32) {
        let product = i64::from(x.wrapping_shl(self.exponent.max(0).cast_unsigned()))
            * i64::from(self.mantissa);
        let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        ((product + nudge) / (1 << 31), (-self.exponent).max(0).cast_unsigned())
    }

    /// `x` times the factor, rounded twice: to 31 fraction bits, then to none, halves up both times.
    /// So does the library that multiplies matrices for TFLite's own kernels.
    pub(in super::super) fn times_up(self, x: i32) -> i32 {
        let (high, shift) = self.high(x);
        ((high + ((1i64 << shift) >> 1)) >> shift) as i32
    }

    /// `x` times two to the `bits` times the factor, rounded once, half up; `None` where more than all
    /// bits of the factor are asked for.
    pub(in super::super) fn once(self, bits: i32) -> Option<impl Fn(i32) -> i32 + Copy + use<>> {
        let shift = u32::try_from(31 - self.exponent - bits)
            .ok()
            .filter(|shift| (1..32).contains(shift))?;
        let (factor, half) = (i64::from(self.mantissa), 1i64 << (shift - 1));
        Some(move |x: i32| ((i64::from(x) * factor + half) >> shift) as i32)
    }

    /// `x` times the factor, rounded twice: to 31 fraction bits, halves up, then to none, halves away
    /// from zero.
    #[inline(always)]
    pub(in super::super) fn times(self, x: i32) -> i32 {
        let (high, shift) = self.high(x);
        let mask = (1i64 << shift) - 1;
        let (remainder, threshold) = (high & mask, (mask >> 1) + i64::from(high < 0));
        (high >> shift) as i32 + i32::from(remainder > threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_up_and_after_a_shift_away_from_zero() {
        let half = Factor::new(0.5).unwrap();
        assert_eq!([1, -1, 2, 3, -3].map(|x| half.times(x)), [1, 0, 1, 2, -1]);
        assert_eq!([1, -1, 3, -3].map(|x| half.times_up(x)), [1, 0, 2, -1]);
        let quarter = Factor::new(0.25).unwrap();
        assert_eq!([2, -2, 6, -6].map(|x| quarter.times(x)), [1, -1, 2, -2]);
    }

    #[test]
    fn large_and_vanishing_factors_are_kept_or_told() {
        assert_eq!(Factor::new(20.0).unwrap().times(-7), -140);
        assert_eq!(Factor::new(1e-12).unwrap().times(255), 0);
        assert_eq!(Factor::new(1e12), None);
        assert_eq!(Factor::new(1.0).unwrap().times(-255), -255);
    }
}
