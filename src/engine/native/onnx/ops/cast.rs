//! From one element type to another.

use bytemuck::Pod;

use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// Saturates from floats, wraps between integers; anything but 0 is true.
#[derive(Debug)]
pub(in super::super) struct Cast;

impl Operator for Cast {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype == DType::Str || y.dtype == DType::Str {
            return Err(unsupported("texts"));
        }
        Ok(Step::new(CastKernel { from: x.dtype, to: y.dtype }, y.elements()).into())
    }
}

#[derive(Debug)]
struct CastKernel {
    from: DType,
    to: DType,
}

/// Either kind of number, wide enough for every type.
#[derive(Clone, Copy)]
enum Number {
    Real(f64),
    Whole(i64),
}

impl Number {
    fn whole(self) -> i64 {
        match self {
            Self::Real(real) => real as i64,
            Self::Whole(whole) => whole,
        }
    }

    fn real(self) -> f64 {
        match self {
            Self::Real(real) => real,
            Self::Whole(whole) => whole as f64,
        }
    }
}

fn from<X: Pod>(x: &[u8], y: &mut [u8], to: DType, read: impl Fn(X) -> Number + Copy) {
    fn write<X: Pod, Y: Pod>(
        x: &[u8],
        y: &mut [u8],
        read: impl Fn(X) -> Number,
        make: impl Fn(Number) -> Y,
    ) {
        let x = bytemuck::cast_slice::<u8, X>(x);
        for (y, &x) in bytemuck::cast_slice_mut::<u8, Y>(y).iter_mut().zip(x) {
            *y = make(read(x));
        }
    }
    match to {
        DType::F32 => write(x, y, read, |n| match n {
            Number::Real(real) => real as f32,
            Number::Whole(whole) => whole as f32,
        }),
        DType::F64 => write(x, y, read, Number::real),
        DType::I8 => write(x, y, read, |n| n.whole() as i8),
        DType::U8 => write(x, y, read, |n| n.whole() as u8 ^ 0x80),
        DType::I16 => write(x, y, read, |n| n.whole() as i16),
        DType::I32 => write(x, y, read, |n| match n {
            Number::Real(real) => real as i32,
            Number::Whole(whole) => whole as i32,
        }),
        DType::I64 => write(x, y, read, Number::whole),
        DType::Bool | DType::Str => write(x, y, read, |n| u8::from(n.real() != 0.0)),
    }
}

impl Kernel for CastKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.pair(0, 0);
        let to = self.to;
        let whole = Number::Whole;
        match self.from {
            DType::F32 => from(x, y, to, |x: f32| Number::Real(x.into())),
            DType::F64 => from(x, y, to, Number::Real),
            DType::I8 => from(x, y, to, |x: i8| whole(x.into())),
            DType::U8 => from(x, y, to, |x: u8| whole((x ^ 0x80).into())),
            DType::I16 => from(x, y, to, |x: i16| whole(x.into())),
            DType::I32 => from(x, y, to, |x: i32| whole(x.into())),
            DType::I64 => from(x, y, to, whole),
            DType::Bool | DType::Str => from(x, y, to, |x: u8| whole(x.into())),
        }
    }
}
