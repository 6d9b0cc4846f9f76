//! Hard swish of 8 bits, `x * relu6(x + 3) / 6`, in 16-bit fixed point.
//! Source: TensorFlow Lite's reference kernel and gemmlowp's `fixedpoint.h`.

use super::{Linear, Refusal, unsupported};

/// Factors of 16 bits, `mantissa * 2^(exponent - 15)`.
#[derive(Clone, Copy, Debug)]
struct Factor16 {
    mantissa: i16,
    exponent: i32,
}

impl Factor16 {
    fn new(real: f64) -> Result<Self, Refusal> {
        let (fraction, mut exponent) = libm::frexp(real);
        let mut mantissa = (fraction * f64::from(1u32 << 31)).round() as i64;
        if mantissa == 1 << 31 {
            (mantissa, exponent) = (mantissa / 2, exponent + 1);
        }
        if !(-31..=15).contains(&exponent) {
            return Err(unsupported(format!("a factor of {real} between the scales")));
        }
        let mantissa = ((mantissa + (1 << 15)) >> 16).min(0x7fff) as i16;
        Ok(Self { mantissa, exponent })
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct HardSwish {
    x: Linear,
    y: Linear,
    to_output: Factor16,
    to_reluish: Factor16,
}

/// `a * b`, doubled, its upper half; rounded.
fn rounded_high(a: i16, b: i16) -> i16 {
    if a == b && a == i16::MIN {
        return i16::MAX;
    }
    let product = i32::from(a) * i32::from(b);
    let nudge = if product >= 0 { 1 << 14 } else { 1 - (1 << 14) };
    ((product + nudge) / (1 << 15)) as i16
}

/// The same, cut off.
fn high(a: i16, b: i16) -> i16 {
    if a == b && a == i16::MIN {
        return i16::MAX;
    }
    (i32::from(a) * i32::from(b) / (1 << 15)) as i16
}

fn left(x: i16, by: i32) -> i16 {
    let shifted = i64::from(x) << by.clamp(0, 31);
    shifted.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Half away from zero.
fn right(x: i16, by: i32) -> i16 {
    let by = by.clamp(0, 15);
    let mask = (1i32 << by) - 1;
    let (rest, threshold) = (i32::from(x) & mask, (mask >> 1) + i32::from(x < 0));
    ((i32::from(x) >> by) + i32::from(rest > threshold)) as i16
}

impl HardSwish {
    pub(super) fn new(x: Linear, y: Linear) -> Result<Self, Refusal> {
        let fine = x.scale / 128.0;
        let to_output = Factor16::new(f64::from(fine) / f64::from(y.scale))?;
        if to_output.exponent > 0 {
            return Err(unsupported(format!("scales {} and {}, too far apart", x.scale, y.scale)));
        }
        let to_reluish = Factor16::new(f64::from(fine) / f64::from(3.0f32 / 32768.0))?;
        Ok(Self { x, y, to_output, to_reluish })
    }

    pub(super) fn of(self, raw: i8) -> i8 {
        let fine = ((i32::from(raw) - self.x.zero_point) << 7).clamp(-32768, 32767) as i16;
        let output = rounded_high(fine, self.to_output.mantissa);
        let Factor16 { mantissa, exponent } = self.to_reluish;
        // From -1 to 1 for real -3 to 3, saturating.
        let mut reluish = if exponent > 0 { left(fine, exponent - 1) } else { fine };
        reluish = rounded_high(reluish, mantissa);
        reluish = match exponent {
            1.. => left(reluish, 1),
            0 => reluish,
            _ => right(reluish, -exponent),
        };
        let share = ((i32::from(reluish) + (1 << 15)) >> 1) as i16;
        let steps = right(high(share, output), -self.to_output.exponent);
        self.y.raw(steps.into()) as i8
    }
}
