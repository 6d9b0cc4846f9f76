//! Sigmoid and tanh of 16-bit fixed point numbers, as gemmlowp computes them: LiteRT's integer LSTM.
//! No branches, so that loops over them become vectors. A number with `I` integer bits stands for `raw * 2^(I - 15)`.
//! Source: gemmlowp, "fixedpoint.h".

/// The largest number without integer bits; it stands for 1.
const ONE: i16 = i16::MAX;

/// The product of two numbers; their integer bits add up.
#[inline(always)]
fn mul(a: i16, b: i16) -> i16 {
    let product = i32::from(a) * i32::from(b);
    let nudge = if product >= 0 { 1 << 14 } else { 1 - (1 << 14) };
    // Only -1 times -1 is too large.
    ((product + nudge) / (1 << 15)).min(i32::from(i16::MAX)) as i16
}

/// `x / 2^shift`, halves away from zero. `shift` is at most 31.
#[inline(always)]
pub(in super::super) fn divide(x: i32, shift: u32) -> i32 {
    let mask = ((1u32 << shift) - 1).cast_signed();
    (x >> shift) + i32::from(x & mask > (mask >> 1) + i32::from(x < 0))
}

/// `x * 2^shift`, kept within 16 bits.
#[inline(always)]
fn times_power(x: i16, shift: u32) -> i16 {
    (i32::from(x) << shift).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

#[inline(always)]
fn down(x: i16, shift: u32) -> i16 {
    divide(i32::from(x), shift) as i16
}

/// A constant given with 31 fraction bits.
const fn constant(raw: i32) -> i16 {
    ((raw + (1 << 15)) >> 16) as i16
}

/// `exp(a)` for `a` in -1/4..0, without integer bits.
#[inline(always)]
fn exp_in_last_quarter(a: i16) -> i16 {
    const EXP_MINUS_EIGHTH: i16 = constant(1_895_147_668);
    const THIRD: i16 = constant(715_827_883);
    let x = a.wrapping_add(1 << 12);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4 = mul(x2, x2);
    // x^4/24 + x^3/6 + x^2/2
    let tail = down(mul(down(x4, 2).wrapping_add(x3), THIRD).wrapping_add(x2), 1);
    EXP_MINUS_EIGHTH.saturating_add(mul(EXP_MINUS_EIGHTH, x.wrapping_add(tail)))
}

/// `exp(a)` for `a` of at most 0 with `bits` integer bits; the result has none.
#[inline(always)]
fn exp_of_negative(a: i16, bits: u32) -> i16 {
    /// `exp(-2^e)` for e = -2, -1, …
    const POWERS: [i32; 7] =
        [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];
    let fraction = 15 - bits as i32;
    let quarter = 1i32 << (fraction - 2);
    let low = (i32::from(a) & (quarter - 1)) - quarter;
    let mut result = exp_in_last_quarter(times_power(low as i16, bits));
    let rest = low - i32::from(a);
    for (power, e) in POWERS.iter().zip(-2i32..) {
        let has = bits as i32 > e && rest & (1 << (fraction + e)) != 0;
        let product = mul(result, constant(*power));
        result = if has { product } else { result };
    }
    let least = if bits > 5 { -(1 << (fraction + 5)) } else { i32::MIN };
    result = if i32::from(a) < least { 0 } else { result };
    if a == 0 { ONE } else { result }
}

/// The reciprocal of `(1 + a) / 2`, with two integer bits: between 1 and 2.
#[inline(always)]
fn reciprocal_of_half_sum(a: i16) -> i16 {
    const FORTY_EIGHT_OVER_17: i16 = constant(1_515_870_810);
    const MINUS_32_OVER_17: i16 = constant(-1_010_580_540);
    let half = ((i32::from(a) + i32::from(ONE) + 1) / 2) as i16;
    let mut x = FORTY_EIGHT_OVER_17.wrapping_add(mul(half, MINUS_32_OVER_17));
    // Newton and Raphson.
    for _ in 0..3 {
        let error = (1i16 << 13).wrapping_sub(mul(half, x));
        x = x.wrapping_add(times_power(mul(x, error), 2));
    }
    x
}

/// `1 / (1 + exp(-x))` of a number with 3 integer bits.
#[inline(always)]
pub(in super::super) fn sigmoid(x: i16) -> i16 {
    let positive = times_power(
        reciprocal_of_half_sum(exp_of_negative(if x > 0 { x.wrapping_neg() } else { x }, 3)),
        1,
    );
    let any = if x > 0 { positive } else { ONE.wrapping_sub(positive) };
    if x == 0 { 1 << 14 } else { any }
}

/// The hyperbolic tangent of a number with `bits` integer bits, at most 6.
#[inline(always)]
pub(in super::super) fn tanh(x: i16, bits: u32) -> i16 {
    let negative = if x < 0 { x } else { x.wrapping_neg() };
    let exp = exp_of_negative(negative, bits + 1);
    let magnitude = times_power(reciprocal_of_half_sum(exp).wrapping_sub(1 << 13), 2);
    let any = if x < 0 { magnitude.wrapping_neg() } else { magnitude };
    if x == 0 { 0 } else { any }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_close_to_the_real_functions() {
        for x in i16::MIN..=i16::MAX {
            let real = f64::from(x) / 4096.0;
            let found = f64::from(sigmoid(x)) / 32768.0;
            assert!((found - 1.0 / (1.0 + (-real).exp())).abs() < 5e-4, "sigmoid {real}: {found}");
            for bits in 0..=6u32 {
                let real = f64::from(x) * 2f64.powi(bits as i32 - 15);
                let found = f64::from(tanh(x, bits)) / 32768.0;
                assert!((found - real.tanh()).abs() < 1e-3, "tanh {real}, {bits} bits: {found}");
            }
        }
    }
}
