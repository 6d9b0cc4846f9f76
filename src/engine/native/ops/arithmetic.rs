//! Sum, difference, product and quotient of two tensors.
//!
//! XNNPACK takes the 8-bit sums, differences and products whose scales are not too far apart, and
//! LiteRT's own kernels all others; their roundings differ.

mod quotient;
mod sum;

use self::quotient::Quotient;
pub(super) use self::sum::Halves;
use self::sum::{Sum, near};
use super::shared::fixed::Factor;
use super::shared::linear::Linear;
use super::shared::pairs::{pairs, pairs_by_sixteens, pairs_in_vectors};
use super::shared::quant8::Quant8;
use super::shared::requantize::{output_of, range, ratio};
use super::shared::scaling::Clamp;
use super::shared::walk::broadcast_shape;
use super::{
    ACTIVATIONS, Compiled, Entry, Kind, Operator, Options, Refusal, Site, Step, activation,
    is_plain, malformed, unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::{Activation, Shape};

const ALL: &[Kind] =
    &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16, Kind::Int32, Kind::Int64];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "ADD",
        options: 11,
        lower: |options| lower(Operation::Add, options, Some(1)),
        kinds: ALL,
        attributes: &[("activation", ACTIVATIONS)],
    },
    Entry {
        name: "SUB",
        options: 28,
        lower: |options| lower(Operation::Subtract, options, Some(1)),
        kinds: ALL,
        attributes: &[("activation", ACTIVATIONS)],
    },
    Entry {
        name: "MUL",
        options: 21,
        lower: |options| lower(Operation::Multiply, options, None),
        kinds: ALL,
        attributes: &[("activation", ACTIVATIONS)],
    },
    Entry {
        name: "DIV",
        options: 29,
        lower: |options| lower(Operation::Divide, options, None),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32],
        attributes: &[("activation", ACTIVATIONS)],
    },
];

/// AddOptions, SubOptions, MulOptions, DivOptions: activation, and of the first two whether scales
/// that are powers of two may be shifts (field `shifts`, by default yes).
fn lower(
    operation: Operation,
    options: &Options<'_>,
    shifts: Option<usize>,
) -> Result<Box<dyn Operator>, Refusal> {
    let shifts = match shifts {
        Some(field) => options.byte(field, 1)? != 0,
        None => false,
    };
    let activation = activation(options.byte(0, 0)?)?;
    Ok(Box::new(Arithmetic { operation, activation, shifts }))
}

/// What is computed of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Element-wise with broadcasting.
#[derive(Debug)]
pub(super) struct Arithmetic {
    pub(super) operation: Operation,
    pub(super) activation: Activation,
    /// Sums of 16 bits whose scales are powers of two need no factors.
    pub(super) shifts: bool,
}

impl Operator for Arithmetic {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![broadcast_shape(&site.input(0)?.shape, &site.input(1)?.shape)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        if a.dtype != b.dtype || a.dtype != y.dtype {
            let of = [a.dtype, b.dtype, y.dtype];
            return Err(malformed(format!("operands and result of {of:?}")));
        }
        let step = match y.dtype {
            DType::F32 => self.real(site)?,
            DType::I32 => self.whole::<i32>(site)?,
            DType::I64 => self.whole::<i64>(site)?,
            DType::I16 if is_plain(y) => self.whole::<i16>(site)?,
            DType::I16 => self.words(site)?,
            DType::I8 | DType::U8 => self.bytes(site)?,
            other => return Err(unsupported(format!("operands of {other}"))),
        };
        Ok(step.into())
    }
}

impl Arithmetic {
    fn real(&self, site: &Site<'_>) -> Result<Step, Refusal> {
        let clamp = Clamp::new(self.activation);
        match self.operation {
            Operation::Add => pairs_in_vectors(site, move |a: f32, b: f32| clamp.apply(a + b)),
            Operation::Subtract => pairs_in_vectors(site, move |a: f32, b: f32| clamp.apply(a - b)),
            Operation::Multiply => pairs_in_vectors(site, move |a: f32, b: f32| clamp.apply(a * b)),
            Operation::Divide => pairs_in_vectors(site, move |a: f32, b: f32| clamp.apply(a / b)),
        }
    }

    /// Integers that stand for themselves; they wrap.
    fn whole<T: Whole>(&self, site: &Site<'_>) -> Result<Step, Refusal> {
        let (low, high) = match self.activation {
            Activation::None => (T::MIN, T::MAX),
            Activation::Relu => (T::from(0), T::MAX),
            Activation::ReluN1To1 => (T::from(-1), T::from(1)),
            Activation::Relu6 => (T::from(0), T::from(6)),
        };
        match self.operation {
            Operation::Add => pairs(site, move |a: T, b: T| a.plus(b).clamp(low, high)),
            Operation::Subtract => pairs(site, move |a: T, b: T| a.minus(b).clamp(low, high)),
            Operation::Multiply => pairs(site, move |a: T, b: T| a.times(b).clamp(low, high)),
            Operation::Divide => pairs(site, move |a: T, b: T| a.over(b).clamp(low, high)),
        }
    }

    fn bytes(&self, site: &Site<'_>) -> Result<Step, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let x = [Linear::of(a)?, Linear::of(b)?];
        let (quant, fixed) = (Quant8::of(y)?, Linear::of(y)?.with(self.activation));
        match self.operation {
            Operation::Add | Operation::Subtract => {
                let (low, high) = range(quant, self.activation);
                if let Some(sum) = Sum::new(x, self.sign(), Linear { low, high, ..fixed }) {
                    return pairs_in_vectors(site, move |a: i8, b: i8| sum.of(a, b));
                }
                let of = self.scaled_sum(x, 20, fixed)?;
                pairs(site, move |a: i8, b: i8| of(a.into(), b.into()) as i8)
            }
            Operation::Multiply => {
                let scale = ratio(x[0].scale, x[1].scale, quant.scale)?;
                let steps = move |a: i8, b: i8| {
                    (i32::from(a) - x[0].zero_point) * (i32::from(b) - x[1].zero_point)
                };
                if (1.0 / 65536.0..256.0).contains(&scale) {
                    let output = output_of(quant, self.activation);
                    return pairs_in_vectors(site, move |a: i8, b: i8| {
                        output.apply(steps(a, b), scale)
                    });
                }
                let factor = of_products(scale.into())?;
                pairs(site, move |a: i8, b: i8| fixed.raw(factor.times(steps(a, b))) as i8)
            }
            Operation::Divide => {
                let quotient = Quotient::new(x, fixed)?;
                pairs(site, move |a: i8, b: i8| quotient.of(a.into(), b.into()) as i8)
            }
        }
    }

    fn words(&self, site: &Site<'_>) -> Result<Step, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let (x, y) = ([Linear::of(a)?, Linear::of(b)?], Linear::of(y)?.with(self.activation));
        if x.iter().chain([&y]).any(|quant| quant.zero_point != 0) {
            return Err(malformed("an int16 zero point that is not 0"));
        }
        match self.operation {
            Operation::Add | Operation::Subtract => {
                if let (true, Some([a_shift, b_shift])) = (self.shifts, shifts(x, y)) {
                    let subtract = self.operation == Operation::Subtract;
                    return pairs(site, move |a: i16, b: i16| {
                        let (a, b) = (divide(a.into(), a_shift), divide(b.into(), b_shift));
                        let sum = if subtract { a - b } else { a + b };
                        y.raw(sum) as i16
                    });
                }
                let rest = self.scaled_sum(x, 15, y)?;
                let rest = move |a: i16, b: i16| rest(a.into(), b.into()) as i16;
                // LiteRT has vectors for sums alone, and for tensors of one shape.
                let halves = Halves::new(x, 15)?;
                let once = halves
                    .once()
                    .filter(|_| self.operation == Operation::Add && a.shape == b.shape);
                let Some(once) = once else { return pairs(site, rest) };
                let output = halves.output(y, 1)?;
                let whole = move |a: i16, b: i16| {
                    let [a, b] = once([a.into(), b.into()]);
                    y.raw(output.times(a + b)) as i16
                };
                pairs_by_sixteens(site, whole, rest)
            }
            Operation::Multiply => {
                let factor = near(ratio(x[0].scale, x[1].scale, y.scale)?.into())?;
                pairs(site, move |a: i16, b: i16| {
                    y.raw(factor.times(i32::from(a) * i32::from(b))) as i16
                })
            }
            Operation::Divide => {
                let quotient = Quotient::new(x, y)?;
                pairs(site, move |a: i16, b: i16| quotient.of(a.into(), b.into()) as i16)
            }
        }
    }

    fn sign(&self) -> i32 {
        if self.operation == Operation::Subtract { -1 } else { 1 }
    }

    /// The sum or difference as LiteRT's own kernels compute it.
    fn scaled_sum(
        &self,
        x: [Linear; 2],
        bits: u32,
        y: Linear,
    ) -> Result<impl Fn(i32, i32) -> i32 + use<>, Refusal> {
        let halves = Halves::new(x, bits)?;
        let (output, sign) = (halves.output(y, 1)?, self.sign());
        Ok(move |a, b| {
            let [a, b] = halves.of([a, b]);
            y.raw(output.times(a + sign * b))
        })
    }
}

/// By how many bits each input is divided where all scales are powers of two, neither input's is above
/// the output's and one is the output's.
fn shifts(x: [Linear; 2], y: Linear) -> Option<[u32; 2]> {
    let exponent = |quant: Linear| {
        let (fraction, exponent) = libm::frexp(quant.scale.into());
        (fraction == 0.5).then_some(exponent)
    };
    let output = exponent(y)?;
    let shift = |x| u32::try_from(output - exponent(x)?).ok().filter(|&shift| shift < 31);
    let shifts = [shift(x[0])?, shift(x[1])?];
    shifts.contains(&0).then_some(shifts)
}

/// `x / 2^shift`, halves away from zero.
fn divide(x: i32, shift: u32) -> i32 {
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    ((x.abs() + half) >> shift) * x.signum()
}

/// Integers that stand for themselves.
trait Whole: bytemuck::Pod + Ord + From<i8> + Send + Sync {
    const MIN: Self;
    const MAX: Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// Towards zero; 0 by 0 and by anything else too, where LiteRT stops with an error.
    fn over(self, other: Self) -> Self;
}

macro_rules! whole {
    ($($type:ty),*) => {
        $(impl Whole for $type {
            const MIN: Self = Self::MIN;
            const MAX: Self = Self::MAX;

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            #[inline(always)]
            fn over(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
        })*
    };
}

whole!(i16, i32, i64);

/// The factor for products of 8-bit values.
///
/// LiteRT shifts them in lanes of 32 bits by the factor's exponent, which from 32 on leaves nothing of
/// them: the output is its zero point. Such factors stand in models whose training left an operator unused.
fn of_products(real: f64) -> Result<Factor, Refusal> {
    if real >= f64::from(1u32 << 31) { Ok(Factor::of(0, 0)) } else { near(real) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_that_shift_everything_out_are_zero() {
        assert_eq!(of_products(3.09e30).map(|factor| factor.times(65_025)).ok(), Some(0));
        assert_eq!(of_products(2.0).map(|factor| factor.times(3)).ok(), Some(6));
        assert!(of_products(1e8).is_err());
    }

    #[test]
    fn powers_of_two_are_shifts() {
        let quant = |scale| Linear { scale, zero_point: 0, low: -32768, high: 32767 };
        assert_eq!(shifts([quant(0.25), quant(1.0)], quant(1.0)), Some([2, 0]));
        assert_eq!(shifts([quant(0.25), quant(0.5)], quant(1.0)), None);
        assert_eq!(shifts([quant(2.0), quant(1.0)], quant(1.0)), None);
        assert_eq!(shifts([quant(0.3), quant(1.0)], quant(1.0)), None);
        assert_eq!([6, -6, 5, 3].map(|x| divide(x, 2)), [2, -2, 1, 1]);
    }

    #[test]
    fn whole_numbers_wrap_and_nothing_is_divided_by_zero() {
        assert_eq!(i32::MAX.plus(1), i32::MIN);
        assert_eq!(
            (Whole::over(-7i32, 2), Whole::over(i64::MIN, -1), Whole::over(3i16, 0)),
            (-3, i64::MIN, 0)
        );
    }
}
