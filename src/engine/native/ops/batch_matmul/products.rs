//! A row of one matrix by a column of another, for every kind of arithmetic.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;

use super::super::shared::scaling::{Bytes, Clamp, Words};
use crate::engine::native::kernels::{ByteRange, Dynamic, Isa};

/// Arithmetic of products.
pub(super) trait Products: Send + Sync + fmt::Debug + 'static {
    /// An element of a, of its rows, of b, of the output.
    type A: Pod;
    type X: Pod;
    type B: Pod;
    type Y: Pod;
    /// What is found out of a row.
    type Row: Copy;

    fn prepare<'a>(&self, a: &'a [Self::A], bytes: &'a mut [u8]) -> (&'a [Self::X], Self::Row);

    /// A row of a by column `i` of b.
    fn product(&self, i: usize, x: &[Self::X], row: Self::Row, b: &[Self::B]) -> Self::Y;
}

#[derive(Debug)]
pub(super) struct ByteProducts {
    /// Zero points of a and b.
    pub(super) zeros: [i16; 2],
    pub(super) output: Bytes,
    pub(super) bias: Vec<i32>,
}

impl Products for ByteProducts {
    type A = i8;
    type X = i8;
    type B = i8;
    type Y = i8;
    type Row = ();

    fn prepare<'a>(&self, a: &'a [i8], _bytes: &'a mut [u8]) -> (&'a [i8], ()) {
        (a, ())
    }

    fn product(&self, i: usize, x: &[i8], (): (), b: &[i8]) -> i8 {
        let [zero_a, zero_b] = self.zeros;
        let sum = x.iter().zip(b).fold(self.bias[i], |sum, (&x, &b)| {
            let (x, b) = (i16::from(x) - zero_a, i16::from(b) - zero_b);
            sum.wrapping_add(i32::from(x) * i32::from(b))
        });
        self.output.apply(i, sum)
    }
}

/// 16-bit integers by such of type `B`.
#[derive(Debug)]
pub(super) struct WordProducts<B> {
    pub(super) output: Words,
    pub(super) bias: Vec<i64>,
    pub(super) of: PhantomData<B>,
}

impl<B: Pod + Into<i32> + Send + Sync + fmt::Debug> Products for WordProducts<B> {
    type A = i16;
    type X = i16;
    type B = B;
    type Y = i16;
    type Row = ();

    fn prepare<'a>(&self, a: &'a [i16], _bytes: &'a mut [u8]) -> (&'a [i16], ()) {
        (a, ())
    }

    fn product(&self, i: usize, x: &[i16], (): (), b: &[B]) -> i16 {
        let products = x.iter().zip(b).map(|(&x, &b)| i64::from(i32::from(x) * b.into()));
        self.output.apply(i, products.sum::<i64>().wrapping_add(self.bias[i]))
    }
}

#[derive(Debug)]
pub(super) struct HybridProducts {
    pub(super) dynamic: Dynamic,
    pub(super) scales: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) clamp: Clamp,
}

impl Products for HybridProducts {
    type A = f32;
    type X = i8;
    type B = i8;
    type Y = f32;
    type Row = ByteRange;

    fn prepare<'a>(&self, a: &'a [f32], bytes: &'a mut [u8]) -> (&'a [i8], ByteRange) {
        let bytes = &mut bytemuck::cast_slice_mut::<u8, i8>(bytes)[..a.len()];
        let range = self.dynamic.quantize(Isa::SCALAR, a, bytes);
        (bytes, range)
    }

    fn product(&self, i: usize, x: &[i8], row: ByteRange, b: &[i8]) -> f32 {
        let zero = row.zero_point as i16;
        let sum = x.iter().zip(b).fold(0i32, |sum, (&x, &b)| {
            sum.wrapping_add(i32::from(i16::from(x) - zero) * i32::from(b))
        });
        self.clamp.apply(sum as f32 * row.scale * self.scales[i] + self.bias[i])
    }
}
