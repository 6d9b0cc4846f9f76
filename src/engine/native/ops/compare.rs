//! Comparisons, and logic of truth values.

use super::shared::fixed::Factor;
use super::shared::pairs::{Element, pairs};
use super::shared::quant8::Quant8;
use super::shared::walk::broadcast_shape;
use super::{
    Compiled, Entry, Kind, Operator, Refusal, Site, Step, is_plain, malformed, unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::{Shape, Value};
use crate::engine::native::memory::Memory;
use crate::engine::native::ops::Kernel;

/// What is ordered.
const ORDERED: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32, Kind::Int64];
/// The same, and what can be equal.
const EQUAL: &[Kind] =
    &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32, Kind::Int64, Kind::Bool];

const fn entry(
    name: &'static str,
    options: u8,
    kinds: &'static [Kind],
    lower: fn(&super::Options<'_>) -> Result<Box<dyn Operator>, Refusal>,
) -> Entry {
    Entry { name, options, lower, kinds, attributes: &[] }
}

pub(super) const ENTRIES: &[Entry] = &[
    entry("EQUAL", 53, EQUAL, |_| Ok(Box::new(Comparison::Equal))),
    entry("NOT_EQUAL", 54, EQUAL, |_| Ok(Box::new(Comparison::NotEqual))),
    entry("LESS", 41, ORDERED, |_| Ok(Box::new(Comparison::Less))),
    entry("LESS_EQUAL", 46, ORDERED, |_| Ok(Box::new(Comparison::LessEqual))),
    entry("GREATER", 44, ORDERED, |_| Ok(Box::new(Comparison::Greater))),
    entry("GREATER_EQUAL", 45, ORDERED, |_| Ok(Box::new(Comparison::GreaterEqual))),
    entry("LOGICAL_AND", 62, &[Kind::Bool], |_| Ok(Box::new(Logic::And))),
    entry("LOGICAL_OR", 60, &[Kind::Bool], |_| Ok(Box::new(Logic::Or))),
    entry("LOGICAL_NOT", 63, &[Kind::Bool], |_| Ok(Box::new(Logic::Not))),
];

/// Element-wise with broadcasting, into truth values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    #[inline(always)]
    fn of<T: PartialOrd>(self, a: &T, b: &T) -> u8 {
        u8::from(match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Less => a < b,
            Self::LessEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterEqual => a >= b,
        })
    }

    fn plain<T: Element + PartialOrd>(self, site: &Site<'_>) -> Result<Step, Refusal> {
        pairs(site, move |a: T, b: T| self.of(&a, &b))
    }
}

impl Operator for Comparison {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![broadcast_shape(&site.input(0)?.shape, &site.input(1)?.shape)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        if a.dtype != b.dtype || y.dtype != DType::Bool {
            return Err(malformed(format!("{} against {} gives {}", a.dtype, b.dtype, y.dtype)));
        }
        let plain = is_plain(a) && is_plain(b);
        let comparison = *self;
        Ok(match a.dtype {
            DType::F32 => comparison.plain::<f32>(site)?,
            DType::F64 => comparison.plain::<f64>(site)?,
            DType::I16 => comparison.plain::<i16>(site)?,
            DType::I32 => comparison.plain::<i32>(site)?,
            DType::I64 => comparison.plain::<i64>(site)?,
            DType::Bool => comparison.plain::<u8>(site)?,
            // As they lie in the arena, `uint8` are in order as `i8`.
            DType::I8 | DType::U8 if plain => comparison.plain::<i8>(site)?,
            DType::I8 | DType::U8 => {
                let [a, b] = [Real::of(a)?, Real::of(b)?];
                pairs(site, move |x: i8, y: i8| comparison.of(&a.at(x), &b.at(y)))?
            }
            DType::Str => return Err(unsupported("strings")),
        }
        .into())
    }
}

/// The real value of an 8-bit element in fixed point, for comparison.
#[derive(Clone, Copy, Debug)]
struct Real {
    zero_point: i32,
    factor: Factor,
}

impl Real {
    fn of(value: &Value<'_>) -> Result<Self, Refusal> {
        let Quant8 { scale, zero_point, .. } = Quant8::of(value)?;
        let factor = Factor::new(f64::from(scale)).filter(|_| scale < 1.0);
        let factor = factor.ok_or_else(|| unsupported(format!("a scale of {scale}")))?;
        Ok(Self { zero_point, factor })
    }

    #[inline(always)]
    fn at(self, x: i8) -> i32 {
        // 8 more bits, as the reference has them.
        self.factor.times((i32::from(x) - self.zero_point) << 8)
    }
}

/// Of truth values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Logic {
    And,
    Or,
    Not,
}

impl Operator for Logic {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let x = &site.input(0)?.shape;
        Ok(vec![match self {
            Self::Not => x.clone(),
            Self::And | Self::Or => broadcast_shape(x, &site.input(1)?.shape)?,
        }])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let others = [site.optional(0), site.optional(1), Some(site.output()?)];
        if let Some(other) = others.into_iter().flatten().find(|v| v.dtype != DType::Bool) {
            return Err(malformed(format!("logic of {}", other.dtype)));
        }
        Ok(match self {
            Self::And => pairs(site, |a: u8, b: u8| a & b)?,
            Self::Or => pairs(site, |a: u8, b: u8| a | b)?,
            Self::Not => Step { in_place: true, ..Step::new(Negation, site.output()?.elements()) },
        }
        .into())
    }
}

#[derive(Debug)]
struct Negation;

impl Kernel for Negation {
    fn run(&self, memory: &mut Memory<'_>) {
        memory.map(|x: u8| x ^ 1);
    }
}
