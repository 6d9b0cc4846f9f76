//! From sums of products to outputs: one factor for each channel, the zero point, the clamp.

use super::super::{Refusal, unsupported};
use super::fixed::Factor;
use super::quant8::Quant8;
use super::requantize::{output_of, ratio};
use crate::engine::native::graph::Activation;
use crate::engine::native::kernels::Output;

/// Scales of input, weights (one for each channel) and output.
#[derive(Debug)]
pub(in super::super) struct Ratios {
    pub(in super::super) x: f32,
    pub(in super::super) weights: Vec<f32>,
    pub(in super::super) y: f32,
    /// The product of the first two is rounded to `f32`.
    pub(in super::super) short_product: bool,
}

impl Ratios {
    /// In `f64`, as TFLite's own kernels.
    fn exact(&self) -> impl Iterator<Item = f64> {
        let (x, y) = (f64::from(self.x), f64::from(self.y));
        self.weights.iter().map(move |&w| {
            let product = if self.short_product { f64::from(self.x * w) } else { x * f64::from(w) };
            product / y
        })
    }

    fn factors(&self) -> Result<Vec<Factor>, Refusal> {
        let factor = |real| {
            let factor = Factor::new(real);
            factor.ok_or_else(|| unsupported(format!("a factor of {real} from sums to outputs")))
        };
        self.exact().map(factor).collect()
    }
}

/// 32-bit sums to bytes.
#[derive(Debug)]
pub(in super::super) enum Bytes {
    /// As XNNPACK: in `f32`.
    Real { scales: Vec<f32>, output: Output },
    /// As TFLite's own kernels: in fixed point.
    Fixed { factors: Vec<Factor>, up: bool, zero_point: i32, low: i32, high: i32 },
}

impl Bytes {
    pub(in super::super) fn real(
        ratios: &Ratios,
        y: Quant8,
        activation: Activation,
    ) -> Result<Self, Refusal> {
        let scales = ratios.weights.iter().map(|&w| ratio(ratios.x, w, ratios.y));
        let output = output_of(y, activation);
        Ok(Self::Real { scales: scales.collect::<Result<_, _>>()?, output })
    }

    /// Halves `up`, or away from zero.
    pub(in super::super) fn fixed(
        ratios: &Ratios,
        up: bool,
        y: Quant8,
        activation: Activation,
    ) -> Result<Self, Refusal> {
        let (low, high) = steps(y.scale, y.zero_point, activation, (-128, 127));
        let (factors, zero_point) = (ratios.factors()?, y.zero_point);
        Ok(Self::Fixed { factors, up, zero_point, low, high })
    }

    /// The output for `sum` in `channel`.
    #[inline(always)]
    pub(in super::super) fn apply(&self, channel: usize, sum: i32) -> i8 {
        match self {
            Self::Real { scales, output } => output.apply(sum, scales[channel]),
            Self::Fixed { factors, up, zero_point, low, high } => {
                let factor = factors[channel];
                let steps = if *up { factor.times_up(sum) } else { factor.times(sum) };
                steps.saturating_add(*zero_point).clamp(*low, *high) as i8
            }
        }
    }
}

/// How sums of 16-bit activations are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum WordScaling {
    /// 64-bit sums by a factor of 16 bits.
    Wide,
    /// 32-bit sums by one of 32 bits, halves away from zero.
    Narrow,
    /// The same, halves up.
    Up,
    /// By an `f64`, halves away from zero.
    Real,
}

/// Sums to 16 bits; zero points are 0.
#[derive(Debug)]
pub(in super::super) struct Words {
    how: WordScaling,
    factors: Vec<Factor>,
    reals: Vec<f64>,
    low: i32,
    high: i32,
}

impl Words {
    pub(in super::super) fn new(
        ratios: &Ratios,
        how: WordScaling,
        activation: Activation,
    ) -> Result<Self, Refusal> {
        let (low, high) = steps(ratios.y, 0, activation, (-32768, 32767));
        let (mut factors, mut reals) = (Vec::new(), Vec::new());
        if how == WordScaling::Real {
            reals = ratios.exact().collect();
        } else {
            factors = ratios.factors()?;
        }
        Ok(Self { how, factors, reals, low, high })
    }

    /// The output for `sum` in `channel`.
    #[inline(always)]
    pub(in super::super) fn apply(&self, channel: usize, sum: i64) -> i16 {
        let steps = match self.how {
            WordScaling::Wide => self.factors[channel].times_wide(sum),
            WordScaling::Narrow => self.factors[channel].times(sum as i32),
            WordScaling::Up => self.factors[channel].times_up(sum as i32),
            WordScaling::Real => libm::round(sum as f64 * self.reals[channel]) as i32,
        };
        steps.clamp(self.low, self.high) as i16
    }
}

/// The integers that `activation` lets through, of a type with `bounds`, as TFLite's own kernels round
/// them.
pub(in super::super) fn steps(
    scale: f32,
    zero_point: i32,
    activation: Activation,
    bounds: (i32, i32),
) -> (i32, i32) {
    let (low, high) = activation.bounds();
    let step = |real: f32| ((real / scale).round() as i32).saturating_add(zero_point);
    let low = if low.is_finite() { step(low).max(bounds.0) } else { bounds.0 };
    let high = if high.is_finite() { step(high).min(bounds.1) } else { bounds.1 };
    (low.min(bounds.1), high.max(bounds.0).max(low.min(bounds.1)))
}

/// Bounds of a real output.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Clamp {
    low: f32,
    high: f32,
}

impl Clamp {
    pub(in super::super) fn new(activation: Activation) -> Self {
        let (low, high) = activation.bounds();
        Self { low, high }
    }

    /// The lowest and the highest output, perhaps infinite.
    pub(in super::super) fn bounds(&self) -> [f32; 2] {
        [self.low, self.high]
    }

    /// `y` within the bounds; what is not a number stays so.
    #[inline(always)]
    pub(in super::super) fn apply(&self, y: f32) -> f32 {
        if y < self.low {
            self.low
        } else if y > self.high {
            self.high
        } else {
            y
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_as_each_kernel_of_the_reference() {
        let ratios = || Ratios { x: 1.0, weights: vec![0.5, 0.25], y: 1.0, short_product: false };
        let words = |how| Words::new(&ratios(), how, Activation::None).unwrap();
        let wide = words(WordScaling::Wide);
        assert_eq!((wide.apply(0, 3), wide.apply(0, -3), wide.apply(1, 1 << 30)), (2, -1, 32767));
        let real = words(WordScaling::Real);
        assert_eq!((real.apply(0, 3), real.apply(0, -3), real.apply(1, 6)), (2, -2, 2));
        let narrow = words(WordScaling::Narrow);
        assert_eq!((narrow.apply(0, 3), narrow.apply(1, -6)), (2, -2));
    }

    #[test]
    fn activations_that_let_nothing_through_leave_one_value() {
        assert_eq!(steps(1.0, 0, Activation::Relu6, (-128, 127)), (0, 6));
        assert_eq!(steps(1.0, 127, Activation::Relu, (-128, 127)), (127, 127));
        assert_eq!(steps(1e-30, -128, Activation::ReluN1To1, (-128, 127)), (-128, 127));
    }

    #[test]
    fn a_clamp_keeps_what_is_no_number() {
        assert!(Clamp::new(Activation::Relu6).apply(f32::NAN).is_nan());
        assert_eq!(Clamp::new(Activation::Relu6).apply(7.0), 6.0);
    }
}
