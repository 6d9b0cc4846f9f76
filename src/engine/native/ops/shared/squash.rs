//! The activations of recurrent operators, on reals.

use super::super::{Refusal, unsupported};
use crate::engine::native::kernels::real::{sigmoid, tanh};

/// An activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Squash {
    None,
    Relu,
    ReluN1To1,
    Relu6,
    Tanh,
    /// 1 for what carries a minus, else 0.
    SignBit,
    Sigmoid,
}

/// Values of the attribute `activation` where tanh is one of them, for entries.
pub(in super::super) const SQUASHES: &[&str] = &["NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH"];

impl Squash {
    /// TFLite's number of a fused activation.
    pub(in super::super) fn of(number: i8) -> Result<Self, Refusal> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Relu),
            2 => Ok(Self::ReluN1To1),
            3 => Ok(Self::Relu6),
            4 => Ok(Self::Tanh),
            5 => Ok(Self::SignBit),
            other => Err(unsupported(format!("fused activation number {other}"))),
        }
    }

    /// Of one value. Computed in `f64` and rounded once, the same on every machine.
    #[inline(always)]
    fn apply(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Relu => x.max(0.0),
            Self::ReluN1To1 => x.clamp(-1.0, 1.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Tanh => tanh(x),
            Self::SignBit => f32::from(u8::from(x.is_sign_negative())),
            Self::Sigmoid => sigmoid(x),
        }
    }

    /// Of every value.
    #[inline(always)]
    pub(in super::super) fn all(self, values: &mut [f32]) {
        // A loop for each: no choice is left in it.
        match self {
            Self::None => {}
            Self::Tanh => values.iter_mut().for_each(|value| *value = Self::Tanh.apply(*value)),
            Self::Sigmoid => {
                values.iter_mut().for_each(|value| *value = Self::Sigmoid.apply(*value));
            }
            other => values.iter_mut().for_each(|value| *value = other.apply(*value)),
        }
    }
}
