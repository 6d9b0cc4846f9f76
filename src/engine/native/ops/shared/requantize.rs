//! 32-bit sums to 8-bit outputs, as XNNPACK does on x86-64: one rounding in `f32`, half to even.

use super::super::{Refusal, malformed};
use super::quant8::Quant8;
use crate::engine::native::graph::Activation;
use crate::engine::native::kernels::Output;

/// What makes outputs quantized as `y`, with `activation` fused.
pub(in super::super) fn output_of(y: Quant8, activation: Activation) -> Output {
    let (low, high) = range(y, activation);
    Output::new(y.zero_point, low, high)
}

/// The lowest and highest integer that an output may take, as it lies in the arena.
pub(in super::super) fn range(y: Quant8, activation: Activation) -> (i32, i32) {
    let steps = |real: f32| {
        let steps = (real / y.scale).clamp(-512.0, 512.0).round_ties_even() as i32;
        (y.zero_point + steps).clamp(-128, 127)
    };
    match activation {
        Activation::None => (-128, 127),
        Activation::Relu => (steps(0.0), 127),
        Activation::ReluN1To1 => (steps(-1.0), steps(1.0)),
        Activation::Relu6 => (steps(0.0), steps(6.0)),
    }
}

/// `x * w / y` in `f32`, in this order: the factor from sums to steps of the output.
pub(in super::super) fn ratio(x: f32, w: f32, y: f32) -> Result<f32, Refusal> {
    let ratio = x * w / y;
    if ratio.is_finite() { Ok(ratio) } else { Err(malformed(format!("scales {x} * {w} / {y}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Y: Quant8 = Quant8 { scale: 0.5, zero_point: -8, origin: 0 };

    #[test]
    fn halves_round_to_the_even_step() {
        let y = output_of(Y, Activation::None);
        let steps: Vec<i8> = [-3, -1, 1, 3, 5].iter().map(|&s| y.apply(s, 0.5)).collect();
        assert_eq!(steps, [-8 - 2, -8, -8, -8 + 2, -8 + 2]);
    }

    #[test]
    fn sums_beyond_the_type_saturate() {
        let y = output_of(Y, Activation::None);
        assert_eq!(y.apply(i32::MAX, 1e30), 127);
        assert_eq!(y.apply(i32::MIN, 1e30), -128);
    }

    #[test]
    fn activations_clamp_in_real_units() {
        assert_eq!(range(Y, Activation::Relu), (-8, 127));
        assert_eq!(range(Y, Activation::Relu6), (-8, 4));
        assert_eq!(range(Y, Activation::ReluN1To1), (-10, -6));
        let fine = Quant8 { scale: 1e-30, ..Y };
        assert_eq!(range(fine, Activation::Relu6), (-8, 127));
    }
}
