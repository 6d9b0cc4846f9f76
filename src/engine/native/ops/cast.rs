//! Numbers of one type as those of another.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;

use super::shared::moves::{End, Move, moved};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::memory::Memory;

const TYPES: &[&str] = &["float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"];

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "CAST",
    options: 37,
    // The types in its options are those of the tensors.
    lower: |_| Ok(Box::new(Cast)),
    kinds: &[
        Kind::Float32,
        Kind::Float64,
        Kind::Int8,
        Kind::Uint8,
        Kind::Int16,
        Kind::Int32,
        Kind::Int64,
        Kind::Bool,
    ],
    attributes: &[("to", TYPES)],
}];

/// Every element as the output's type has it, whatever the scales: integers lose what does not fit, as in
/// C++; reals lose their fraction and stop at the ends of the type, NaN at the upper one. `bool` is
/// whether it is not zero.
#[derive(Debug)]
pub(super) struct Cast;

impl Operator for Cast {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype == y.dtype {
            let whole = || End::dense(&x.shape);
            return moved(site, None, vec![Move::new(x.shape.clone(), whole(), whole())]);
        }
        let step = match x.dtype {
            DType::F32 => to::<f32>(y.dtype),
            DType::F64 => to::<f64>(y.dtype),
            DType::I8 => to::<i8>(y.dtype),
            DType::U8 => to::<Byte>(y.dtype),
            DType::I16 => to::<i16>(y.dtype),
            DType::I32 => to::<i32>(y.dtype),
            DType::I64 => to::<i64>(y.dtype),
            DType::Bool => to::<Truth>(y.dtype),
            DType::Str => None,
        };
        let no = || unsupported(format!("from {} to {}", x.dtype, y.dtype));
        let step = Step { work: y.elements() as u64, ..step.ok_or_else(no)? };
        Ok(Step { in_place: width(x.dtype) == width(y.dtype), ..step }.into())
    }
}

/// The step from elements of `X` to those of `to`.
fn to<X: Element>(to: DType) -> Option<Step> {
    Some(match to {
        DType::F32 => Step::new(CastKernel::<X, f32>(PhantomData), 0),
        DType::F64 => Step::new(CastKernel::<X, f64>(PhantomData), 0),
        DType::I8 => Step::new(CastKernel::<X, i8>(PhantomData), 0),
        DType::U8 => Step::new(CastKernel::<X, Byte>(PhantomData), 0),
        DType::I16 => Step::new(CastKernel::<X, i16>(PhantomData), 0),
        DType::I32 => Step::new(CastKernel::<X, i32>(PhantomData), 0),
        DType::I64 => Step::new(CastKernel::<X, i64>(PhantomData), 0),
        DType::Bool => Step::new(CastKernel::<X, Truth>(PhantomData), 0),
        DType::Str => return None,
    })
}

/// A type of elements.
trait Element: fmt::Debug + Send + Sync + 'static {
    /// As they lie in the arena.
    type Raw: Pod;
    fn from_integer(value: i64) -> Self::Raw;
    fn from_real(value: f64) -> Self::Raw;
    fn to<Y: Element>(raw: Self::Raw) -> Y::Raw;
}

/// `uint8`, whose top bit is flipped in the arena.
#[derive(Debug)]
struct Byte;

/// `bool`, one byte.
#[derive(Debug)]
struct Truth;

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Element for $type {
            type Raw = $type;
            #[inline(always)]
            fn from_integer(value: i64) -> $type {
                value as $type
            }
            #[inline(always)]
            fn from_real(value: f64) -> $type {
                if value.is_nan() { <$type>::MAX } else { value as $type }
            }
            #[inline(always)]
            fn to<Y: Element>(raw: $type) -> Y::Raw {
                Y::from_integer(raw.into())
            }
        }
    )*};
}

macro_rules! reals {
    ($($type:ty),*) => {$(
        impl Element for $type {
            type Raw = $type;
            #[inline(always)]
            fn from_integer(value: i64) -> $type {
                value as $type
            }
            #[inline(always)]
            fn from_real(value: f64) -> $type {
                value as $type
            }
            #[inline(always)]
            fn to<Y: Element>(raw: $type) -> Y::Raw {
                Y::from_real(raw.into())
            }
        }
    )*};
}

integers!(i8, i16, i32, i64);
reals!(f32, f64);

impl Element for Byte {
    type Raw = u8;
    #[inline(always)]
    fn from_integer(value: i64) -> u8 {
        value as u8 ^ 0x80
    }
    #[inline(always)]
    fn from_real(value: f64) -> u8 {
        (if value.is_nan() { u8::MAX } else { value as u8 }) ^ 0x80
    }
    #[inline(always)]
    fn to<Y: Element>(raw: u8) -> Y::Raw {
        Y::from_integer((raw ^ 0x80).into())
    }
}

impl Element for Truth {
    type Raw = u8;
    #[inline(always)]
    fn from_integer(value: i64) -> u8 {
        u8::from(value != 0)
    }
    #[inline(always)]
    fn from_real(value: f64) -> u8 {
        u8::from(value != 0.0)
    }
    #[inline(always)]
    fn to<Y: Element>(raw: u8) -> Y::Raw {
        Y::from_integer((raw != 0).into())
    }
}

#[derive(Debug)]
struct CastKernel<X, Y>(PhantomData<(X, Y)>);

impl<X: Element, Y: Element> Kernel for CastKernel<X, Y> {
    fn run(&self, memory: &mut Memory<'_>) {
        memory.map::<X::Raw, Y::Raw>(X::to::<Y>);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_reals_saturate() {
        assert_eq!(i32::to::<i8>(300), 44);
        assert_eq!(i16::to::<Byte>(-1), 255 ^ 0x80);
        assert_eq!([1e9, -1e9, -1.7, f32::NAN].map(f32::to::<i16>), [32767, -32768, -1, 32767]);
        assert_eq!([-3.0, 255.9, f64::NAN].map(f64::to::<Byte>), [0, 255, 255].map(|v| v ^ 0x80));
        assert_eq!([0.5, -0.0].map(f32::to::<Truth>), [1, 0]);
        assert_eq!(Byte::to::<f32>(0), 128.0);
        assert_eq!(i64::to::<f32>((1 << 24) + 1), 16_777_216.0);
        assert_eq!(Truth::to::<i64>(1), 1);
    }
}
