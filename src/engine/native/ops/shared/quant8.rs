//! 8-bit tensors as they lie in the arena.

use super::super::{Refusal, unsupported};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Quant, Value};

/// Quantization of an 8-bit activation, as its bytes lie in the arena.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Quant8 {
    pub(in super::super) scale: f32,
    /// -128..=127.
    pub(in super::super) zero_point: i32,
    /// What was subtracted from the file's integers: 0, or 128 for `uint8`.
    pub(in super::super) origin: i32,
}

impl Quant8 {
    /// Of `value`, which has to be quantized per tensor.
    pub(in super::super) fn of(value: &Value<'_>) -> Result<Self, Refusal> {
        let origin = match value.dtype {
            DType::I8 => 0,
            DType::U8 => 128,
            other => return Err(unsupported(format!("{other} activations"))),
        };
        match value.quant {
            Quant::Tensor(Quantization { scale, zero_point }) => {
                Ok(Self { scale, zero_point: zero_point - origin, origin })
            }
            Quant::None => Err(unsupported(format!("{} without a scale", value.dtype))),
            Quant::Channels { .. } => Err(unsupported("an activation with one scale per channel")),
        }
    }

    /// Whether both give every byte the same meaning.
    pub(in super::super) fn same(&self, other: &Self) -> bool {
        self.zero_point == other.zero_point
            && self.origin == other.origin
            && (self.scale - other.scale).abs() <= 1e-6 * self.scale.abs()
    }
}
