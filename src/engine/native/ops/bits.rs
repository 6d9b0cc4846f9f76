//! Integers bit by bit.

use super::shared::pairs::{Element, pairs};
use super::shared::walk::broadcast_shape;
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

const KINDS: &[Kind] = &[Kind::Int8, Kind::Uint8, Kind::Int16, Kind::Int32];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "BITWISE_XOR",
        options: 125,
        lower: |_| Ok(Box::new(Bits::Xor)),
        kinds: KINDS,
        attributes: &[],
    },
    Entry {
        name: "RIGHT_SHIFT",
        options: 126,
        lower: |_| Ok(Box::new(Bits::RightShift)),
        kinds: KINDS,
        attributes: &[],
    },
];

/// Element-wise with broadcasting.
#[derive(Clone, Copy, Debug)]
enum Bits {
    Xor,
    /// Of signed integers the sign goes on; by less than 0 or more than the width is by those.
    RightShift,
}

/// An integer as it lies in the arena.
trait Word: Element {
    fn xor(self, other: Self) -> Self;
    fn right(self, by: Self) -> Self;
}

macro_rules! words {
    ($($type:ty),*) => {$(
        impl Word for $type {
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
            fn right(self, by: Self) -> Self {
                self >> by.clamp(0, <$type>::BITS as $type - 1)
            }
        }
    )*};
}
words!(i8, i16, i32);

impl Operator for Bits {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![broadcast_shape(&site.input(0)?.shape, &site.input(1)?.shape)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        if a.dtype != b.dtype || a.dtype != y.dtype {
            return Err(malformed(format!("{} and {} give {}", a.dtype, b.dtype, y.dtype)));
        }
        let bits = *self;
        fn of<T: Word>(bits: Bits, a: T, b: T) -> T {
            match bits {
                Bits::Xor => a.xor(b),
                Bits::RightShift => a.right(b),
            }
        }
        Ok(match a.dtype {
            DType::I8 => pairs(site, move |a: i8, b: i8| of(bits, a, b))?,
            DType::I16 => pairs(site, move |a: i16, b: i16| of(bits, a, b))?,
            DType::I32 => pairs(site, move |a: i32, b: i32| of(bits, a, b))?,
            // The top bit is flipped in the arena.
            DType::U8 => pairs(site, move |a: u8, b: u8| {
                let (a, b) = (a ^ 0x80, b ^ 0x80);
                0x80 ^ match bits {
                    Bits::Xor => a ^ b,
                    Bits::RightShift => a >> b.min(7),
                }
            })?,
            other => return Err(unsupported(format!("{other}"))),
        }
        .into())
    }
}
