//! Exponentials that the compiler can make vectors of: no calls, no tables, no branches.
//!
//! They compute in `f64` and are rounded once to `f32`: the bytes are the same on every machine, and,
//! but for a few in 100 million, those of `libm`'s functions rounded once. The coefficients are those
//! of the series.

/// `e^x`, rounded once. Below -150 and above 150 it is what it is there: 0 and infinity.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    wide_exp(f64::from(x)) as f32
}

/// `1 / (1 + e^-x)`, rounded once.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + wide_exp(-f64::from(x)))) as f32
}

/// The hyperbolic tangent, rounded once.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    wide_tanh(f64::from(x)) as f32
}

/// `e^x - 1`, rounded once.
#[inline(always)]
pub(crate) fn exp_less_one(x: f32) -> f32 {
    let x = f64::from(x);
    let near = {
        let square = x * x;
        let rest = 0.5 + x / 6.0 + square * (1.0 / 24.0 + x / 120.0 + square * (1.0 / 720.0));
        x * (1.0 + x * rest)
    };
    let far = wide_exp(x) - 1.0;
    (if x.abs() < NEAR { near } else { far }) as f32
}

/// Nearer to 0 than this the difference of two numbers near 1 has too few digits.
const NEAR: f64 = 0.01;

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn wide_tanh(x: f64) -> f64 {
    let square = x * x;
    let series = -1.0 / 3.0 + square * (2.0 / 15.0 + square * (-17.0 / 315.0));
    let near = x * (1.0 + square * series);
    let far = 1.0 - 2.0 / (1.0 + wide_exp(2.0 * x));
    if x.abs() < NEAR { near } else { far }
}

/// `e^x` for `x` within -150 and 150, and that of the nearer bound for others.
#[inline(always)]
fn wide_exp(x: f64) -> f64 {
    /// Added to a float below 2^51 it leaves the rounded integer in the low bits.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    /// The logarithm of 2: its upper bits, so few that multiples are exact, and the rest.
    const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    // Comparisons that leave alone what is not a number.
    let x = if x < -150.0 { -150.0 } else { x };
    let x = if x > 150.0 { 150.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + MAGIC;
    let whole = shifted - MAGIC;
    let r = (x - whole * LN_2[0]) - whole * LN_2[1];
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    // The series to r^12; r is at most 0.35.
    let (r2, r3) = (r * r, r * r * r);
    let r6 = r3 * r3;
    let a = 1.0 + r + r2 * 0.5;
    let b = 1.0 / 6.0 + r * (1.0 / 24.0) + r2 * (1.0 / 120.0);
    let c = 1.0 / 720.0 + r * (1.0 / 5_040.0) + r2 * (1.0 / 40_320.0);
    let d = 1.0 / 362_880.0 + r * (1.0 / 3_628_800.0) + r2 * (1.0 / 39_916_800.0);
    let e = r6 * (1.0 / 479_001_600.0);
    ((a + r3 * b) + r6 * (c + r3 * d + e)) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Floats of all sizes, both signs.
    fn floats() -> impl Iterator<Item = f32> {
        let every = if cfg!(debug_assertions) { 20_011 } else { 101 };
        (0..=u32::MAX).step_by(every).map(f32::from_bits).chain([
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MIN_POSITIVE,
            88.7,
            -103.9,
        ])
    }

    /// How often they differ, which never is by more than one unit in the last place.
    fn differences(ours: fn(f32) -> f32, exact: fn(f64) -> f64) -> usize {
        let mut differ = 0;
        for x in floats() {
            let (ours, exact) = (ours(x), exact(f64::from(x)) as f32);
            if ours.to_bits() == exact.to_bits() || (ours.is_nan() && exact.is_nan()) {
                continue;
            }
            differ += 1;
            assert!(ours.to_bits().abs_diff(exact.to_bits()) <= 1, "{x}: {ours} {exact}");
        }
        differ
    }

    #[test]
    fn functions_are_the_exact_ones_rounded_once() {
        let sigmoid_exact = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        let differ = [
            differences(exp, libm::exp),
            differences(sigmoid, sigmoid_exact),
            differences(tanh, libm::tanh),
            differences(exp_less_one, libm::expm1),
        ];
        assert!(differ.iter().all(|&differ| differ <= 2), "{differ:?}");
    }
}
