//! The only float-to-integer code outside engines: affine quantization of whole tensors.

use super::{DType, Quantization, TensorData, TensorError};

impl Quantization {
    /// The real value that `raw` stands for.
    pub fn real(self, raw: i32) -> f32 {
        // Whole numbers below 2^24 are exact in f32; int8, uint8 and int16 differences always are.
        (raw - self.zero_point) as f32 * self.scale
    }

    /// `clamp(round(real / scale) + zero_point, low, high)`, ties to even, computed in f32.
    ///
    /// NaN becomes the zero point. Source: TensorFlow Lite 8-bit quantization specification; ties to
    /// even as XNNPACK and NumPy's `rint` do.
    pub fn raw(self, real: f32, low: i32, high: i32) -> i32 {
        let steps = (real / self.scale).round_ties_even();
        if steps.is_nan() {
            return self.zero_point.clamp(low, high);
        }
        // `as` saturates, so that infinities and huge values end at the limits.
        (steps as i32).saturating_add(self.zero_point).clamp(low, high)
    }
}

/// Writes `real` into `out`, quantized where `quantization` is given; the lengths must be equal.
///
/// Without quantization, float outputs take the values as they are and integer outputs take them
/// rounded half to even and clamped to their range.
///
/// # Errors
/// When the lengths differ, or `out` holds booleans or strings.
pub fn write_real(
    real: &[f32],
    quantization: Option<Quantization>,
    out: &mut TensorData,
) -> Result<(), TensorError> {
    if real.len() != out.len() {
        return Err(TensorError::Length { shape: vec![real.len()], found: out.len() });
    }
    let q = quantization.unwrap_or(Quantization { scale: 1.0, zero_point: 0 });
    macro_rules! integers {
        ($values:expr, $type:ty) => {
            for (to, &from) in $values.iter_mut().zip(real) {
                // The limits fit i32, and `raw` keeps within them.
                *to = q.raw(from, <$type>::MIN as i32, <$type>::MAX as i32) as $type;
            }
        };
    }
    match out {
        TensorData::F32(values) => values.copy_from_slice(real),
        TensorData::F64(values) => {
            values.iter_mut().zip(real).for_each(|(to, &from)| *to = f64::from(from));
        }
        TensorData::I8(values) => integers!(values, i8),
        TensorData::U8(values) => integers!(values, u8),
        TensorData::I16(values) => integers!(values, i16),
        TensorData::I32(values) => integers!(values, i32),
        TensorData::I64(values) => {
            values.iter_mut().zip(real).for_each(|(to, &from)| *to = from.round_ties_even() as i64);
        }
        TensorData::Bool(_) | TensorData::Str(_) => {
            return Err(TensorError::DType { expected: DType::F32, found: out.dtype() });
        }
    }
    Ok(())
}

/// Writes the real values of `data` into `out` (same length), dequantized where `quantization` says how.
///
/// # Errors
/// When the lengths differ, or `data` holds strings.
pub fn read_real(
    data: &TensorData,
    quantization: Option<Quantization>,
    out: &mut [f32],
) -> Result<(), TensorError> {
    if data.len() != out.len() {
        return Err(TensorError::Length { shape: vec![out.len()], found: data.len() });
    }
    let q = quantization.unwrap_or(Quantization { scale: 1.0, zero_point: 0 });
    macro_rules! integers {
        ($values:expr) => {
            out.iter_mut().zip($values).for_each(|(to, &from)| *to = q.real(i32::from(from)))
        };
    }
    match data {
        TensorData::F32(values) => out.copy_from_slice(values),
        TensorData::F64(values) => {
            out.iter_mut().zip(values).for_each(|(to, &from)| *to = from as f32);
        }
        TensorData::I8(values) => integers!(values),
        TensorData::U8(values) => integers!(values),
        TensorData::I16(values) => integers!(values),
        TensorData::I32(values) => {
            let zero = i64::from(q.zero_point);
            out.iter_mut()
                .zip(values)
                .for_each(|(to, &from)| *to = (i64::from(from) - zero) as f32 * q.scale);
        }
        TensorData::I64(values) => {
            out.iter_mut().zip(values).for_each(|(to, &from)| *to = from as f32);
        }
        TensorData::Bool(values) => {
            out.iter_mut().zip(values).for_each(|(to, &from)| *to = f32::from(u8::from(from)));
        }
        TensorData::Str(_) => {
            return Err(TensorError::DType { expected: DType::F32, found: DType::Str });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const Q: Quantization = Quantization { scale: 0.5, zero_point: -3 };

    #[test]
    fn ties_go_to_the_even_step_and_values_saturate() {
        let raw = |real| Q.raw(real, -128, 127);
        assert_eq!(raw(0.25), -3); // half a step up: 0 is even
        assert_eq!(raw(0.75), -1); // one and a half: 2 is even
        assert_eq!(raw(-0.25), -3);
        assert_eq!(raw(1e30), 127);
        assert_eq!(raw(f32::NEG_INFINITY), -128);
        assert_eq!(raw(f32::NAN), -3);
    }

    #[test]
    fn strings_and_wrong_lengths_are_refused() {
        let mut strings = TensorData::zeros(DType::Str, 1);
        assert!(write_real(&[1.0], None, &mut strings).is_err());
        assert!(read_real(&strings, None, &mut [0.0]).is_err());
        let mut two = TensorData::zeros(DType::I8, 2);
        assert!(write_real(&[1.0], Some(Q), &mut two).is_err());
        assert!(read_real(&two, Some(Q), &mut [0.0]).is_err());
    }

    proptest! {
        #[test]
        fn quantize_then_dequantize_errs_at_most_half_a_step(
            real in -60.0f32..60.0, scale in 0.5f32..4.0, zero_point in -8i32..8,
        ) {
            let q = Quantization { scale, zero_point };
            prop_assert!((q.real(q.raw(real, -128, 127)) - real).abs() <= scale * 0.5001);
        }
    }
}
