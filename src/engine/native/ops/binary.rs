//! Functions of two elements beyond the four operations of arithmetic.

use super::arithmetic::Halves;
use super::shared::linear::Linear;
use super::shared::pairs::{Element, pairs, pairs_in_vectors};
use super::shared::walk::broadcast_shape;
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

const ALL: &[Kind] =
    &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16, Kind::Int32, Kind::Int64];

const fn entry(
    name: &'static str,
    options: u8,
    kinds: &'static [Kind],
    lower: fn(&super::Options<'_>) -> Result<Box<dyn Operator>, Refusal>,
) -> Entry {
    Entry { name, options, lower, kinds, attributes: &[] }
}

pub(super) const ENTRIES: &[Entry] = &[
    entry("MINIMUM", 39, ALL, |_| Ok(Box::new(Binary::Minimum))),
    entry("MAXIMUM", 39, ALL, |_| Ok(Box::new(Binary::Maximum))),
    entry("SQUARED_DIFFERENCE", 76, &[Kind::Float32, Kind::Int8, Kind::Int32], |_| {
        Ok(Box::new(Binary::SquaredDifference))
    }),
    entry("POW", 56, &[Kind::Float32, Kind::Int32], |_| Ok(Box::new(Binary::Power))),
    entry("FLOOR_DIV", 65, &[Kind::Float32, Kind::Int8, Kind::Int16, Kind::Int32], |_| {
        Ok(Box::new(Binary::FloorDivide))
    }),
    entry(
        "FLOOR_MOD",
        72,
        &[Kind::Float32, Kind::Int8, Kind::Int16, Kind::Int32, Kind::Int64],
        |_| Ok(Box::new(Binary::FloorRest)),
    ),
    entry("ATAN2", 121, &[Kind::Float32, Kind::Float64], |_| Ok(Box::new(Binary::Angle))),
];

/// Element-wise with broadcasting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binary {
    /// Of the integers as they lie there: LiteRT wants one quantization for all three tensors.
    Minimum,
    Maximum,
    SquaredDifference,
    Power,
    /// Of quantized tensors LiteRT divides the integers, whatever they stand for; division by zero,
    /// where it stops with an error, gives 0.
    FloorDivide,
    FloorRest,
    /// Of the point (second, first).
    Angle,
}

impl Operator for Binary {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![broadcast_shape(&site.input(0)?.shape, &site.input(1)?.shape)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        if a.dtype != b.dtype || a.dtype != y.dtype {
            let of = [a.dtype, b.dtype, y.dtype];
            return Err(malformed(format!("operands and result of {of:?}")));
        }
        let step = match self {
            Self::Minimum => smaller(site, y.dtype, true)?,
            Self::Maximum => smaller(site, y.dtype, false)?,
            Self::SquaredDifference => squared_difference(site, y.dtype)?,
            Self::Power => match y.dtype {
                DType::F32 => pairs(site, |a: f32, b: f32| libm::pow(a.into(), b.into()) as f32)?,
                DType::I32 => pairs(site, power)?,
                other => return Err(unsupported(format!("operands of {other}"))),
            },
            Self::FloorDivide => match y.dtype {
                DType::F32 => {
                    pairs(site, |a: f32, b: f32| (f64::from(a) / f64::from(b)).floor() as f32)?
                }
                DType::I8 => pairs(site, |a: i8, b: i8| floor_divide(a.into(), b.into()) as i8)?,
                DType::I16 => {
                    pairs(site, |a: i16, b: i16| floor_divide(a.into(), b.into()) as i16)?
                }
                DType::I32 => {
                    pairs(site, |a: i32, b: i32| floor_divide(a.into(), b.into()) as i32)?
                }
                DType::I64 => pairs(site, floor_divide)?,
                other => return Err(unsupported(format!("operands of {other}"))),
            },
            Self::FloorRest => match y.dtype {
                DType::F32 => pairs(site, |a: f32, b: f32| {
                    let rest = libm::fmodf(a, b);
                    if rest != 0.0 && (b < 0.0) != (rest < 0.0) { rest + b } else { rest }
                })?,
                DType::I8 => pairs(site, |a: i8, b: i8| floor_rest(a.into(), b.into()) as i8)?,
                DType::I16 => pairs(site, |a: i16, b: i16| floor_rest(a.into(), b.into()) as i16)?,
                DType::I32 => pairs(site, |a: i32, b: i32| floor_rest(a.into(), b.into()) as i32)?,
                DType::I64 => pairs(site, floor_rest)?,
                other => return Err(unsupported(format!("operands of {other}"))),
            },
            Self::Angle => match y.dtype {
                DType::F32 => pairs(site, |a: f32, b: f32| libm::atan2(a.into(), b.into()) as f32)?,
                DType::F64 => pairs(site, libm::atan2)?,
                other => return Err(unsupported(format!("operands of {other}"))),
            },
        };
        Ok(step.into())
    }
}

/// The smaller of both, or the larger.
fn smaller(site: &Site<'_>, dtype: DType, smaller: bool) -> Result<Step, Refusal> {
    fn choose<T: Element + PartialOrd>(site: &Site<'_>, smaller: bool) -> Result<Step, Refusal> {
        if smaller {
            pairs_in_vectors(site, |a: T, b: T| if a < b { a } else { b })
        } else {
            pairs_in_vectors(site, |a: T, b: T| if a > b { a } else { b })
        }
    }
    match dtype {
        DType::F32 => choose::<f32>(site, smaller),
        // The order of `uint8` is kept in the arena.
        DType::I8 | DType::U8 => choose::<i8>(site, smaller),
        DType::I16 => choose::<i16>(site, smaller),
        DType::I32 => choose::<i32>(site, smaller),
        DType::I64 => choose::<i64>(site, smaller),
        other => Err(unsupported(format!("operands of {other}"))),
    }
}

fn squared_difference(site: &Site<'_>, dtype: DType) -> Result<Step, Refusal> {
    match dtype {
        DType::F32 => pairs_in_vectors(site, |a: f32, b: f32| (a - b) * (a - b)),
        DType::I32 => pairs(site, |a: i32, b: i32| {
            let difference = a.wrapping_sub(b);
            difference.wrapping_mul(difference)
        }),
        DType::I8 | DType::U8 => {
            let x = [Linear::of(site.input(0)?)?, Linear::of(site.input(1)?)?];
            let y = Linear::of(site.output()?)?;
            let halves = Halves::new(x, 7)?;
            let output = halves.output(y, 2)?;
            pairs(site, move |a: i8, b: i8| {
                let [a, b] = halves.of([a.into(), b.into()]);
                // At most 255^2 * 2^14.
                y.raw(output.times((a - b) * (a - b))) as i8
            })
        }
        other => Err(unsupported(format!("operands of {other}"))),
    }
}

/// `base^exponent`, wrapping; cut off at an exponent below zero, where LiteRT stops with an error.
fn power(base: i32, exponent: i32) -> i32 {
    match (u32::try_from(exponent), base) {
        (Ok(exponent), _) => base.wrapping_pow(exponent),
        (Err(_), 1) => 1,
        (Err(_), -1) if exponent % 2 == 0 => 1,
        (Err(_), -1) => -1,
        (Err(_), _) => 0,
    }
}

fn floor_divide(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let towards_zero = a.wrapping_div(b);
    towards_zero - i64::from(a.wrapping_rem(b) != 0 && (a < 0) != (b < 0))
}

/// What [`floor_divide`] leaves: 0, or of the divisor's sign.
fn floor_rest(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let rest = a.wrapping_rem(b);
    if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_go_down_and_rests_have_the_divisors_sign() {
        let cases = [(7, 2), (-7, 2), (7, -2), (-7, -2), (6, -3), (1, 0)];
        assert_eq!(cases.map(|(a, b)| floor_divide(a, b)), [3, -4, -4, 3, -2, 0]);
        assert_eq!(cases.map(|(a, b)| floor_rest(a, b)), [1, 1, -1, -1, 0, 0]);
        assert_eq!(floor_divide(i64::MIN, -1), i64::MIN);
    }

    #[test]
    fn powers_wrap() {
        assert_eq!(
            [(2, 10), (-3, 3), (2, 32), (-1, -3), (2, -1)].map(|(a, b)| power(a, b)),
            [1024, -27, 0, -1, 0]
        );
    }
}
