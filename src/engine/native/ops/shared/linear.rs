//! Quantized tensors of 8, 16 and 32 bits alike, as they lie in the arena.

use super::super::{Refusal, unsupported};
use super::quant8::Quant8;
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Activation, Quant, Value};

/// `real = scale * (raw - zero_point)`, with raw from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Linear {
    pub(in super::super) scale: f32,
    pub(in super::super) zero_point: i32,
    pub(in super::super) low: i32,
    pub(in super::super) high: i32,
}

impl Linear {
    /// Of `value`, of 8 or 16 bits, which has to be quantized per tensor.
    pub(in super::super) fn of(value: &Value<'_>) -> Result<Self, Refusal> {
        match value.dtype {
            DType::I32 => Err(unsupported("quantized int32")),
            _ => Self::of_wide(value),
        }
    }

    /// The same, of 32 bits, too: for kernels that ask for the type themselves.
    pub(in super::super) fn of_wide(value: &Value<'_>) -> Result<Self, Refusal> {
        let (low, high) = match value.dtype {
            DType::I16 => (-32768, 32767),
            DType::I32 => (i32::MIN, i32::MAX),
            _ => (-128, 127),
        };
        if !matches!(value.dtype, DType::I16 | DType::I32) {
            let Quant8 { scale, zero_point, .. } = Quant8::of(value)?;
            return Ok(Self { scale, zero_point, low, high });
        }
        match value.quant {
            Quant::Tensor(Quantization { scale, zero_point }) => {
                Ok(Self { scale, zero_point, low, high })
            }
            Quant::None => Err(unsupported(format!("{} without a scale", value.dtype))),
            Quant::Channels { .. } => Err(unsupported("an activation with one scale per channel")),
        }
    }

    /// The same with the clamp of `activation`, as TFLite's own kernels have it.
    pub(in super::super) fn with(self, activation: Activation) -> Self {
        let (low, high) = activation.bounds();
        self.within(low, high)
    }

    /// The same, clamped to real `low` and `high`, which may be infinite.
    pub(in super::super) fn within(self, low: f32, high: f32) -> Self {
        let steps = |real: f32| {
            let steps = (real / self.scale).round();
            // `as` saturates.
            self.zero_point.saturating_add(steps as i32).clamp(self.low, self.high)
        };
        Self { low: steps(low), high: steps(high), ..self }
    }

    /// The raw value of `steps` from zero.
    #[inline(always)]
    pub(in super::super) fn raw(&self, steps: i32) -> i32 {
        steps.saturating_add(self.zero_point).clamp(self.low, self.high)
    }
}
