//! From 32-bit sums to 8-bit outputs: one rounding in `f32`, half to even.

/// Added to a float below 2^22 it leaves the rounded integer in the low mantissa bits.
const MAGIC: f32 = 12_582_912.0;

/// The nearest integer to a float below 2^22, half to even. The compiler makes vectors of it, and not of
/// a conversion that saturates.
#[inline(always)]
pub(super) fn nearest(steps: f32) -> i32 {
    (steps + MAGIC).to_bits().cast_signed() - MAGIC.to_bits().cast_signed()
}

/// The nearest integer to `steps`, half to even, within `low..=high`: integers below 2^22. NaN becomes
/// `low`.
#[inline(always)]
pub(crate) fn nearest_within(steps: f32, low: f32, high: f32) -> i32 {
    let steps = if steps > low { steps } else { low };
    nearest(if steps < high { steps } else { high })
}

/// Offset and clamp of 8-bit outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    zero_point: i32,
    low: i32,
    high: i32,
    /// See [`Output::fits`].
    fits: bool,
}

impl Output {
    /// Outputs of `low..=high` around `zero_point`; all of them -128..=127.
    pub(crate) fn new(zero_point: i32, low: i32, high: i32) -> Self {
        let byte = |value: i32| value.clamp(-128, 127);
        let high = byte(high);
        Self { zero_point: byte(zero_point), low: byte(low).min(high), high, fits: false }
    }

    /// The same, of sums that are multiplied with these scales.
    pub(super) fn of_scales(self, scales: &[f32]) -> Self {
        Self { fits: scales.iter().all(|scale| scale.abs() < 1.0), ..self }
    }

    /// `clamp(round(sum * scale) + zero_point)`, as XNNPACK does on x86-64.
    ///
    /// Clamping first changes nothing, as the bounds are integers, and keeps the sum below 2^22.
    #[inline(always)]
    pub(crate) fn apply(self, sum: i32, scale: f32) -> i8 {
        self.quantize(sum as f32 * scale)
    }

    /// The same for a value that is already in steps of the output. NaN becomes the upper bound.
    #[inline(always)]
    pub(crate) fn quantize(self, steps: f32) -> i8 {
        let [low, high] = self.bounds();
        let steps = steps.min(high).max(low);
        (nearest(steps) + self.zero_point) as i8
    }

    /// The bounds less the zero point.
    #[inline(always)]
    pub(super) fn bounds(self) -> [f32; 2] {
        [self.low, self.high].map(|bound| (bound - self.zero_point) as f32)
    }

    #[inline(always)]
    pub(super) fn zero_point(self) -> i32 {
        self.zero_point
    }

    /// Any sum in steps of the output fits 32 bits, as all scales are below 1: its conversion to an integer needs no
    /// bound.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn fits(self) -> bool {
        self.fits
    }

    /// The outputs are all that bytes can be.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn is_unbounded(self) -> bool {
        self.range() == [i8::MIN, i8::MAX]
    }

    /// It [fits](Self::fits) and is [unbounded](Self::is_unbounded): most are.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn is_simple(self) -> bool {
        self.fits() && self.is_unbounded()
    }

    /// Whether steps of sums up to `most`, either sign, fit 16 bits with room for a zero point.
    pub(super) fn is_short(most: i64, scale: f32) -> bool {
        // NaN is not.
        most as f64 * f64::from(scale).abs() < f64::from(1 << 14)
    }

    /// The bounds themselves.
    #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
    #[inline(always)]
    pub(super) fn range(self) -> [i8; 2] {
        [self.low as i8, self.high as i8]
    }
}
