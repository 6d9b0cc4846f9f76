//! One over the square root of an integer in 32-bit fixed point, by Newton's method as TFLite.
//! Source: TFLite, `GetInvSqrtQuantizedMultiplierExp`; gemmlowp, `fixedpoint.h`.

/// A factor as `mantissa * 2^(-31 - shift)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct InverseRoot {
    mantissa: i32,
    shift: u32,
}

/// The product of two numbers of 31 fraction bits, rounded; the largest where it does not fit.
fn times(a: i32, b: i32) -> i32 {
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1 << 31)).min(i64::from(i32::MAX)) as i32
}

/// `x * 2^bits`, saturated.
fn up(x: i32, bits: u32) -> i32 {
    (i64::from(x) << bits).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

impl InverseRoot {
    /// Of `x`, which is not negative; of 0 it is 1.
    pub(in super::super) fn of(mut x: i32) -> Self {
        if x <= 1 {
            return Self { mantissa: i32::MAX, shift: 0 };
        }
        let mut shift = 11;
        while x >= 1 << 29 {
            x /= 4;
            shift += 1;
        }
        let pairs = (x.leading_zeros() - 1) / 2 - 1;
        shift -= pairs.cast_signed();
        // Numbers with 3 integer bits from here on.
        let input = (x << (2 * pairs)) >> 1;
        let half = {
            let rest = input & 1;
            (input >> 1) + rest
        };
        let three_halves = (1 << 28) + (1 << 27);
        let mut root = 1 << 28;
        for _ in 0..5 {
            let cube = up(times(times(root, root), root), 6);
            root = up(times(three_halves, root).wrapping_sub(times(half, cube)), 3);
        }
        /// Half the square root of 2, 31 fraction bits.
        const HALF_ROOT_2: i32 = 1_518_500_250;
        let mut mantissa = times(root, HALF_ROOT_2);
        if shift < 0 {
            mantissa = mantissa.wrapping_shl(shift.unsigned_abs());
            shift = 0;
        }
        Self { mantissa, shift: shift.unsigned_abs() }
    }

    /// `x * 2^bits` times the factor, rounded twice: to 31 fraction bits, then to none, half away
    /// from zero.
    pub(in super::super) fn times(self, x: i32, bits: u32) -> i32 {
        let high = times(x.wrapping_shl(bits.saturating_sub(self.shift)), self.mantissa);
        let shift = self.shift.saturating_sub(bits);
        let mask = (1i64 << shift) - 1;
        let rest = i64::from(high) & mask;
        let threshold = (mask >> 1) + i64::from(high < 0);
        (high >> shift) + i32::from(rest > threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_of_all_sizes_come_out() {
        for x in [2, 3, 4, 100, 12_345, 1 << 20, 987_654_321, i32::MAX] {
            let factor = InverseRoot::of(x);
            let real = f64::from(factor.mantissa) / 2f64.powi(31 + factor.shift as i32);
            let wanted = 1.0 / f64::from(x).sqrt();
            assert!((real / wanted - 1.0).abs() < 1e-5, "{x}: {real} instead of {wanted}");
        }
        assert_eq!(InverseRoot::of(10_000).times(128 * 100, 0), 128);
        assert_eq!(InverseRoot::of(0).times(0, 7), 0);
    }
}
