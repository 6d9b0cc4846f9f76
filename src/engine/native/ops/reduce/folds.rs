//! How the elements of each type are reduced.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;

use super::super::shared::fixed::Factor;
use super::super::shared::quant8::Quant8;
use super::super::{Refusal, malformed, unsupported};
use super::Fold;
use crate::engine::native::graph::{Quant, Value};

/// Sum or mean of floats, added in `f64`: closer to the real sum than any order in `f32`.
#[derive(Clone, Copy, Debug)]
pub(super) struct RealSum {
    /// What the sum is divided by.
    pub(super) over: f64,
}

impl Fold for RealSum {
    type X = f32;
    type Sum = f64;
    type Y = f32;
    const VECTORS: bool = true;
    const IN_ORDER: bool = true;
    const START: f64 = 0.0;
    #[inline(always)]
    fn add(&self, sum: f64, x: f32) -> f64 {
        sum + f64::from(x)
    }
    #[inline(always)]
    fn end(&self, sum: f64) -> f32 {
        (sum / self.over) as f32
    }
}

/// Product of floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct RealProduct;

impl Fold for RealProduct {
    type X = f32;
    type Sum = f32;
    type Y = f32;
    const START: f32 = 1.0;
    #[inline(always)]
    fn add(&self, sum: f32, x: f32) -> f32 {
        sum * x
    }
    #[inline(always)]
    fn end(&self, sum: f32) -> f32 {
        sum
    }
}

/// Sum or mean of 8-bit elements as XNNPACK: the sum in `f32` times one factor, plus the output's
/// zero point, rounded half to even.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum8 {
    /// Minus the input's zero point for each element of a sum.
    offset: i32,
    scale: f32,
    /// Of the output, in the file's integers: where they lie decides which half is even.
    zero_point: f32,
    origin: i32,
}

impl Sum8 {
    pub(super) fn new(
        x: &Value<'_>,
        y: &Value<'_>,
        count: usize,
        mean: bool,
    ) -> Result<Self, Refusal> {
        let (qx, qy) = (Quant8::of(x)?, Quant8::of(y)?);
        let scale = qx.scale / qy.scale;
        Ok(Self {
            offset: (count as i32).wrapping_mul(-qx.zero_point),
            scale: if mean { scale / count as f32 } else { scale },
            zero_point: (qy.zero_point + qy.origin) as f32,
            origin: qy.origin,
        })
    }
}

impl Fold for Sum8 {
    type X = i8;
    type Sum = i32;
    type Y = i8;
    const VECTORS: bool = true;
    const START: i32 = 0;
    #[inline(always)]
    fn add(&self, sum: i32, x: i8) -> i32 {
        sum.wrapping_add(i32::from(x))
    }
    #[inline(always)]
    fn end(&self, sum: i32) -> i8 {
        let y = sum.wrapping_add(self.offset) as f32 * self.scale + self.zero_point;
        let y = y.round_ties_even() as i32;
        y.saturating_sub(self.origin).clamp(-128, 127) as i8
    }
}

/// Mean of 16-bit elements in TFLite's fixed point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean16 {
    factor: Factor,
}

/// Sum of 16-bit elements: scaled in `f32`, rounded half away from zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum16 {
    scale: f32,
}

/// The scale of a 16-bit tensor, whose zero point is 0.
fn scale16(value: &Value<'_>) -> Result<f32, Refusal> {
    match value.quant {
        Quant::Tensor(quant) if quant.zero_point == 0 => Ok(quant.scale),
        Quant::Tensor(_) => Err(malformed("a zero point other than 0 for int16")),
        _ => Err(unsupported("int16 without one scale")),
    }
}

impl Mean16 {
    pub(super) fn new(x: &Value<'_>, y: &Value<'_>, count: usize) -> Result<Self, Refusal> {
        let factor = factor(f64::from(scale16(x)?) / f64::from(scale16(y)?))?;
        Ok(Self { factor: factor.over(count as u64) })
    }
}

impl Sum16 {
    pub(super) fn new(x: &Value<'_>, y: &Value<'_>) -> Result<Self, Refusal> {
        Ok(Self { scale: scale16(x)? / scale16(y)? })
    }
}

fn factor(real: f64) -> Result<Factor, Refusal> {
    Factor::new(real).ok_or_else(|| unsupported(format!("a factor of {real} between scales")))
}

impl Fold for Mean16 {
    type X = i16;
    type Sum = i32;
    type Y = i16;
    const START: i32 = 0;
    #[inline(always)]
    fn add(&self, sum: i32, x: i16) -> i32 {
        sum.wrapping_add(i32::from(x))
    }
    #[inline(always)]
    fn end(&self, sum: i32) -> i16 {
        self.factor.times(sum).clamp(-32768, 32767) as i16
    }
}

impl Fold for Sum16 {
    type X = i16;
    type Sum = i32;
    type Y = i16;
    const START: i32 = 0;
    #[inline(always)]
    fn add(&self, sum: i32, x: i16) -> i32 {
        sum.wrapping_add(i32::from(x))
    }
    #[inline(always)]
    fn end(&self, sum: i32) -> i16 {
        (sum as f32 * self.scale).round() as i16
    }
}

/// Mean of integers, cut off towards zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean32 {
    pub(super) count: i64,
}

impl Fold for Mean32 {
    type X = i32;
    type Sum = i64;
    type Y = i32;
    const START: i64 = 0;
    #[inline(always)]
    fn add(&self, sum: i64, x: i32) -> i64 {
        sum.wrapping_add(i64::from(x))
    }
    #[inline(always)]
    fn end(&self, sum: i64) -> i32 {
        (sum / self.count) as i32
    }
}

/// The same of 64 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean64 {
    pub(super) count: i64,
}

impl Fold for Mean64 {
    type X = i64;
    type Sum = i64;
    type Y = i64;
    const START: i64 = 0;
    #[inline(always)]
    fn add(&self, sum: i64, x: i64) -> i64 {
        sum.wrapping_add(x)
    }
    #[inline(always)]
    fn end(&self, sum: i64) -> i64 {
        sum / self.count
    }
}

/// Product of quantized elements: after each factor back to the scale that keeps the product in
/// range, which is the `count`th root of the output's.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuantProduct<T> {
    factor: Factor,
    zero_points: [i64; 2],
    low: i64,
    high: i64,
    of: PhantomData<T>,
}

impl<T> QuantProduct<T> {
    pub(super) fn new(x: &Value<'_>, y: &Value<'_>, count: usize) -> Result<Self, Refusal> {
        let (Quant::Tensor(qx), Quant::Tensor(qy)) = (&x.quant, &y.quant) else {
            return Err(unsupported("a product of integers without one scale"));
        };
        let root = libm::pow(f64::from(qy.scale), 1.0 / count as f64);
        let high = (1i64 << (8 * size_of::<T>() - 1)) - 1;
        Ok(Self {
            factor: factor(f64::from(qx.scale) / root)?,
            zero_points: [qx.zero_point.into(), qy.zero_point.into()],
            low: -high - 1,
            high,
            of: PhantomData,
        })
    }

    /// The product at the output's scale; what does not fit 32 bits wraps around, as there.
    #[inline(always)]
    fn times(&self, product: i64) -> i64 {
        i64::from(self.factor.product(product) as i32)
    }
}

impl<T> Fold for QuantProduct<T>
where
    T: Pod + Into<i64> + TryFrom<i64> + Default + fmt::Debug + Send + Sync,
{
    type X = T;
    type Sum = i64;
    type Y = T;
    /// No factor yet: products are of 32 bits.
    const START: i64 = i64::MIN;
    #[inline(always)]
    fn add(&self, sum: i64, x: T) -> i64 {
        let x = x.into() - self.zero_points[0];
        if sum == Self::START { x } else { self.times(sum * x) }
    }
    #[inline(always)]
    fn end(&self, sum: i64) -> T {
        let y = self.times(sum) + self.zero_points[1];
        T::try_from(y.clamp(self.low, self.high)).unwrap_or_default()
    }
}

/// A fold over elements that needs no parameters and keeps their type.
macro_rules! plain {
    ($(#[$doc:meta])* $vectors:literal $name:ident { $($ty:ty: $start:expr),* } ($sum:ident, $x:ident) $add:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub(super) struct $name<T> {
            of: PhantomData<T>,
        }

        $(impl Fold for $name<$ty> {
            type X = $ty;
            type Sum = $ty;
            type Y = $ty;
            const VECTORS: bool = $vectors;
            const START: $ty = $start;
            #[inline(always)]
            fn add(&self, $sum: $ty, $x: $ty) -> $ty {
                $add
            }
            #[inline(always)]
    fn end(&self, sum: $ty) -> $ty {
                sum
            }
        })*
    };
}

plain! {
    /// Sum of integers, which wraps around.
    false Sum { i32: 0, i64: 0 } (sum, x) sum.wrapping_add(x)
}
plain! {
    /// Product of integers, which wraps around.
    false Product { i32: 1, i64: 1 } (sum, x) sum.wrapping_mul(x)
}
plain! {
    /// The smallest element.
    true Min { u8: u8::MAX, i8: i8::MAX, i16: i16::MAX, i32: i32::MAX, i64: i64::MAX, f32: f32::INFINITY }
    (sum, x) if x < sum { x } else { sum }
}
plain! {
    /// The largest element.
    true Max { u8: 0, i8: i8::MIN, i16: i16::MIN, i32: i32::MIN, i64: i64::MIN, f32: f32::NEG_INFINITY }
    (sum, x) if x > sum { x } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DType, Quantization};

    fn value(dtype: DType, scale: f32, zero_point: i32) -> Value<'static> {
        let quant = Quant::Tensor(Quantization { scale, zero_point });
        Value { dtype, shape: vec![], quant, data: None, nibbles: false }
    }

    #[test]
    fn halves_go_to_the_even_integer_of_the_file() {
        let x = value(DType::I8, 0.5, 0);
        let even = Sum8::new(&x, &value(DType::I8, 1.0, 2), 1, false).unwrap();
        assert_eq!([-3, -1, 1, 3].map(|sum| even.end(sum)), [0, 2, 2, 4]);
        let odd = Sum8::new(&x, &value(DType::I8, 1.0, 1), 1, false).unwrap();
        assert_eq!([-3, -1, 1, 3].map(|sum| odd.end(sum)), [0, 0, 2, 2]);
    }

    #[test]
    fn products_stay_at_the_outputs_scale() {
        let x = value(DType::I8, 0.5, 1);
        let product = QuantProduct::<i8>::new(&x, &value(DType::I8, 1.0, -1), 3).unwrap();
        // (5 - 1) * 0.5 = 2, twice; (3 - 1) * 0.5 = 1.
        let sum = [5i8, 5, 3].iter().fold(QuantProduct::<i8>::START, |sum, &x| product.add(sum, x));
        assert_eq!(product.end(sum), 4 - 1);
    }
}
