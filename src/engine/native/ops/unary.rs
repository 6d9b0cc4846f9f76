//! Functions of one element.
//!
//! Of 8 bits they are tables of all 256 answers. Of 16 bits LiteRT has tables of 513 answers and
//! goes straight between them; the answers in such a table are what may be 1 unit off, since they
//! come from another `exp`, `tanh` or `log` than LiteRT's.

mod hard_swish;
mod words;

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use self::words::WordTable;
use super::shared::each::{each, each_in_vectors, looked_up};
use super::shared::fixed::Factor;
use super::shared::fixed16;
use super::shared::linear::Linear;
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, Step, is_plain, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::kernels::real;

const REAL: &[Kind] = &[Kind::Float32];
const BYTES: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Uint8];
const WORDS: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Int16];
const ALL: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16];

const fn entry(
    name: &'static str,
    options: u8,
    kinds: &'static [Kind],
    lower: fn(&super::Options<'_>) -> Result<Box<dyn Operator>, Refusal>,
) -> Entry {
    Entry { name, options, lower, kinds, attributes: &[] }
}

pub(super) const ENTRIES: &[Entry] = &[
    entry("ABS", 78, &[Kind::Float32, Kind::Int8, Kind::Int16, Kind::Int32], |_| {
        Ok(Box::new(Unary::Abs))
    }),
    entry("NEG", 42, &[Kind::Float32, Kind::Int8, Kind::Int16, Kind::Int32, Kind::Int64], |_| {
        Ok(Box::new(Unary::Neg))
    }),
    entry("SIGN", 123, &[Kind::Float32, Kind::Float64, Kind::Int32], |_| Ok(Box::new(Unary::Sign))),
    entry("EXP", 33, WORDS, |_| Ok(Box::new(Unary::Exp))),
    entry("LOG", 0, WORDS, |_| Ok(Box::new(Unary::Log))),
    entry("SQRT", 0, &[Kind::Float32, Kind::Int8], |_| Ok(Box::new(Unary::Sqrt))),
    entry("RSQRT", 0, WORDS, |_| Ok(Box::new(Unary::Rsqrt))),
    entry("SQUARE", 66, REAL, |_| Ok(Box::new(Unary::Square))),
    entry("SIN", 0, REAL, |_| Ok(Box::new(Unary::Sin))),
    entry("COS", 84, REAL, |_| Ok(Box::new(Unary::Cos))),
    entry("CEIL", 0, REAL, |_| Ok(Box::new(Unary::Ceil))),
    entry("FLOOR", 0, REAL, |_| Ok(Box::new(Unary::Floor))),
    entry("ROUND", 0, REAL, |_| Ok(Box::new(Unary::Round))),
    entry("ELU", 0, &[Kind::Float32, Kind::Int8], |_| Ok(Box::new(Unary::Elu))),
    Entry {
        name: "GELU",
        options: 116,
        // GeluOptions: approximate.
        lower: |options| {
            let approximate = options.byte(0, 0)? != 0;
            Ok(Box::new(if approximate { Unary::GeluTanh } else { Unary::Gelu }))
        },
        kinds: ALL,
        attributes: &[("approximate", &["false", "true"])],
    },
    entry("HARD_SWISH", 91, BYTES, |_| Ok(Box::new(Unary::HardSwish))),
    entry("LOGISTIC", 0, ALL, |_| Ok(Box::new(Unary::Logistic))),
    entry("TANH", 0, ALL, |_| Ok(Box::new(Unary::Tanh))),
];

/// A function of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Abs,
    Neg,
    Sign,
    Exp,
    Log,
    Sqrt,
    Rsqrt,
    Square,
    Sin,
    Cos,
    Ceil,
    Floor,
    /// Half to even.
    Round,
    Elu,
    Gelu,
    /// By the hyperbolic tangent.
    GeluTanh,
    HardSwish,
    Logistic,
    Tanh,
}

/// What GELU by the hyperbolic tangent takes that of.
#[inline(always)]
fn gelu_inner(x: f64) -> f64 {
    FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (x + 0.044_715 * x * x * x)
}

impl Unary {
    /// The function, in `f64`.
    fn of(self, x: f64) -> f64 {
        match self {
            Self::Abs => x.abs(),
            Self::Neg => -x,
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
            Self::Exp => libm::exp(x),
            Self::Log => libm::log(x),
            Self::Sqrt => libm::sqrt(x),
            Self::Rsqrt => 1.0 / libm::sqrt(x),
            Self::Square => x * x,
            Self::Sin => libm::sin(x),
            Self::Cos => libm::cos(x),
            Self::Ceil => x.ceil(),
            Self::Floor => x.floor(),
            Self::Round => x.round_ties_even(),
            Self::Elu if x < 0.0 => libm::expm1(x),
            Self::Elu => x,
            Self::Gelu => 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2),
            Self::GeluTanh => 0.5 * x * (1.0 + libm::tanh(gelu_inner(x))),
            Self::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Logistic => 1.0 / (1.0 + libm::exp(-x)),
            Self::Tanh => libm::tanh(x),
        }
    }

    fn real(self, site: &Site<'_>) -> Result<Step, Refusal> {
        match self {
            // Exact in `f32`, and quick there.
            Self::Abs => each_in_vectors(site, f32::abs),
            Self::Neg => each_in_vectors(site, |x: f32| -x),
            Self::Square => each_in_vectors(site, |x: f32| x * x),
            Self::Sqrt => each_in_vectors(site, |x: f32| x.sqrt()),
            Self::Ceil => each_in_vectors(site, f32::ceil),
            Self::Floor => each_in_vectors(site, f32::floor),
            Self::Round => each_in_vectors(site, f32::round_ties_even),
            Self::HardSwish => {
                each_in_vectors(site, |x: f32| x * (x + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0))
            }
            // In `f64`, rounded once.
            Self::Rsqrt => each_in_vectors(site, |x: f32| (1.0 / f64::from(x).sqrt()) as f32),
            Self::Exp => each_in_vectors(site, real::exp),
            Self::Logistic => each_in_vectors(site, real::sigmoid),
            Self::Tanh => each_in_vectors(site, real::tanh),
            Self::Elu => {
                each_in_vectors(site, |x: f32| if x < 0.0 { real::exp_less_one(x) } else { x })
            }
            Self::GeluTanh => each_in_vectors(site, |x: f32| {
                let x = f64::from(x);
                let tanh = real::wide_tanh(gelu_inner(x));
                (0.5 * x * (1.0 + tanh)) as f32
            }),
            function => each(site, move |x: f32| function.of(f64::from(x)) as f32),
        }
    }

    fn bytes(self, site: &Site<'_>) -> Result<Step, Refusal> {
        let (x, y) = (Linear::of(site.input(0)?)?, Linear::of(site.output()?)?);
        match self {
            Self::Abs => {
                let scaled = Scaled::new(x, y)?;
                looked_up(site, |raw| scaled.of((i32::from(raw) - x.zero_point).abs()) as i8)
            }
            // The reference looks at no scale.
            Self::Neg => looked_up(site, i8::wrapping_neg),
            Self::HardSwish => {
                let swish = hard_swish::HardSwish::new(x, y)?;
                looked_up(site, |raw| swish.of(raw))
            }
            function => looked_up(site, |raw| {
                let real = (i32::from(raw) - x.zero_point) as f32 * x.scale;
                let steps = (function.of(f64::from(real)) as f32 / y.scale).round();
                // NaN, of what has no logarithm or root, becomes the zero point.
                y.raw(steps as i32) as i8
            }),
        }
    }

    fn words(self, site: &Site<'_>) -> Result<Step, Refusal> {
        let (x, y) = (Linear::of(site.input(0)?)?, Linear::of(site.output()?)?);
        match self {
            Self::Abs => {
                let scaled = Scaled::new(x, y)?;
                each(site, move |raw: i16| scaled.of((i32::from(raw) - x.zero_point).abs()) as i16)
            }
            Self::Neg => each(site, i16::wrapping_neg),
            // Of scales that are these powers of two LiteRT computes both without a table.
            Self::Logistic if x.scale == 1.0 / 4096.0 => each(site, fixed16::sigmoid),
            Self::Tanh if x.scale == 1.0 / 4096.0 => each(site, |raw: i16| fixed16::tanh(raw, 3)),
            Self::Tanh if x.scale == 1.0 / 2048.0 => {
                each(site, |raw: i16| fixed16::tanh(raw.saturating_mul(2), 3))
            }
            Self::Logistic => {
                let sigmoid = words::Sigmoid::new(x);
                each(site, move |raw: i16| sigmoid.of(raw))
            }
            Self::Tanh => {
                let sigmoid = words::Sigmoid::new(x);
                each(site, move |raw: i16| sigmoid.tanh_of(raw))
            }
            function => {
                // What has no answer gets the end that it comes near to.
                let nothing = match function {
                    Self::Log => f64::from(y.scale) * f64::from(y.low),
                    Self::Rsqrt => f64::from(y.scale) * f64::from(y.high),
                    _ => f64::NAN,
                };
                let table = WordTable::new(x, y, |x| {
                    if x <= 0.0 && !nothing.is_nan() { nothing } else { function.of(x) }
                });
                let step = each(site, move |raw: i16| table.of(raw))?;
                Ok(Step { weight_bytes: 1026, ..step })
            }
        }
    }
}

/// Steps of the input to raw values of the output, by TFLite's fixed-point factor.
#[derive(Clone, Copy, Debug)]
struct Scaled {
    factor: Factor,
    y: Linear,
}

impl Scaled {
    fn new(x: Linear, y: Linear) -> Result<Self, Refusal> {
        let factor = Factor::new((x.scale / y.scale).into());
        let far = || unsupported(format!("scales {} and {}, too far apart", x.scale, y.scale));
        Ok(Self { factor: factor.ok_or_else(far)?, y })
    }

    #[inline(always)]
    fn of(self, steps: i32) -> i32 {
        self.y.raw(self.factor.times(steps))
    }
}

impl Operator for Unary {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != y.dtype {
            return Err(unsupported(format!("{} to {}", x.dtype, y.dtype)));
        }
        let plain = is_plain(x) && is_plain(y);
        Ok(match (x.dtype, self) {
            (DType::F32, _) => self.real(site)?,
            (DType::I8 | DType::U8, _) => self.bytes(site)?,
            (DType::I16, _) if !plain => self.words(site)?,
            (DType::F64, Self::Sign) => each(site, |x: f64| Self::Sign.of(x))?,
            (DType::I32, Self::Abs) => each(site, i32::wrapping_abs)?,
            (DType::I32, Self::Neg) => each(site, i32::wrapping_neg)?,
            (DType::I32, Self::Sign) => each(site, i32::signum)?,
            (DType::I32, Self::Square) => each(site, |x: i32| x.wrapping_mul(x))?,
            (DType::I64, Self::Abs) => each(site, i64::wrapping_abs)?,
            (DType::I64, Self::Neg) => each(site, i64::wrapping_neg)?,
            (dtype, _) => return Err(unsupported(format!("{dtype}"))),
        }
        .into())
    }
}
