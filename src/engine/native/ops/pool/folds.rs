//! How a pool makes one value of many.

use std::fmt;

use bytemuck::Pod;

use super::super::shared::scaling::Clamp;
use crate::engine::native::kernels::{add_bytes, nearest_within};

/// Values under a window into one.
pub(super) trait Fold: Copy + Send + Sync + fmt::Debug + 'static {
    /// An element of input and output, and what they are folded into.
    type X: Pod + Send + Sync;
    type Folded: Copy;
    /// Whether it is worth compiling for each instruction set.
    const VECTORS: bool;
    /// Before any value was seen.
    const EMPTY: Self::Folded;
    fn take(&self, folded: Self::Folded, x: Self::X) -> Self::Folded;
    /// The same for several channels.
    #[inline(always)]
    fn take_all<const N: usize>(&self, folded: &mut [Self::Folded; N], x: &[Self::X; N]) {
        for (folded, &x) in folded.iter_mut().zip(x) {
            *folded = self.take(*folded, x);
        }
    }
    /// Of `count` values, at least 1.
    fn finish(&self, folded: Self::Folded, count: i32) -> Self::X;
    /// The same for several channels.
    #[inline(always)]
    fn finish_all(&self, folded: &[Self::Folded], count: i32, y: &mut [Self::X]) {
        for (y, &folded) in y.iter_mut().zip(folded) {
            *y = self.finish(folded, count);
        }
    }
}

/// Values of 8 bits so few that `f32` holds their sum.
const FEW: i32 = 1 << 15;

/// The integer mean rounded half away from zero.
#[inline(always)]
fn mean(sum: i32, count: i32) -> i32 {
    let half = if sum > 0 { count / 2 } else { -(count / 2) };
    // An `f64` holds both, and a quotient of 32-bit integers that is no integer is never so near to
    // one that it becomes it: this is the integers' own division, and there are vectors for it.
    (f64::from(sum.wrapping_add(half)) / f64::from(count)) as i32
}

/// The mean of the file's own integers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Average {
    /// What the file's integers exceed the arena's by.
    pub(super) origin: i32,
    pub(super) low: i8,
    pub(super) high: i8,
}

impl Average {
    /// Of the file's integers, from that of the arena's.
    #[inline(always)]
    fn sum(&self, folded: i32, count: i32) -> i32 {
        folded.wrapping_add(self.origin.wrapping_mul(count))
    }

    #[inline(always)]
    fn byte(&self, mean: i32) -> i8 {
        ((mean - self.origin).clamp(-128, 127) as i8).clamp(self.low, self.high)
    }

    /// Of windows larger than any that is common: kept out of the way of the others' registers.
    #[cold]
    #[inline(never)]
    fn finish_many(&self, folded: &[i32], count: i32, y: &mut [i8]) {
        for (y, &folded) in y.iter_mut().zip(folded) {
            *y = self.finish(folded, count);
        }
    }
}

impl Fold for Average {
    type X = i8;
    type Folded = i32;
    const VECTORS: bool = true;
    const EMPTY: i32 = 0;
    #[inline(always)]
    fn take(&self, folded: i32, x: i8) -> i32 {
        folded.wrapping_add(i32::from(x))
    }
    #[inline(always)]
    fn take_all<const N: usize>(&self, folded: &mut [i32; N], x: &[i8; N]) {
        add_bytes(folded, x);
    }
    #[inline(always)]
    fn finish(&self, folded: i32, count: i32) -> i8 {
        self.byte(mean(self.sum(folded, count), count))
    }
    #[inline(always)]
    fn finish_all(&self, folded: &[i32], count: i32, y: &mut [i8]) {
        if count >= FEW {
            return self.finish_many(folded, count, y);
        }
        // The same quotients: at most 256 with steps of 2^-15 between them.
        let (half, divisor) = (count / 2, count as f32);
        let bound = |bound: i8| (i32::from(bound) + self.origin) as f32;
        let (low, high) = (bound(self.low), bound(self.high));
        for (y, &folded) in y.iter_mut().zip(folded) {
            let sum = self.sum(folded, count);
            let sum = sum + if sum > 0 { half } else { -half };
            *y = (nearest_within((sum as f32 / divisor).trunc(), low, high) - self.origin) as i8;
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct WordAverage {
    pub(super) low: i16,
    pub(super) high: i16,
}

impl Fold for WordAverage {
    type X = i16;
    type Folded = i32;
    const VECTORS: bool = false;
    const EMPTY: i32 = 0;
    #[inline(always)]
    fn take(&self, folded: i32, x: i16) -> i32 {
        folded.wrapping_add(i32::from(x))
    }
    #[inline(always)]
    fn finish(&self, folded: i32, count: i32) -> i16 {
        (mean(folded, count).clamp(-32768, 32767) as i16).clamp(self.low, self.high)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct MaxBytes {
    pub(super) low: i8,
    pub(super) high: i8,
}

impl Fold for MaxBytes {
    type X = i8;
    type Folded = i8;
    const VECTORS: bool = true;
    const EMPTY: i8 = i8::MIN;
    #[inline(always)]
    fn take(&self, folded: i8, x: i8) -> i8 {
        folded.max(x)
    }
    #[inline(always)]
    fn finish(&self, folded: i8, _count: i32) -> i8 {
        folded.clamp(self.low, self.high)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct MaxWords {
    pub(super) low: i16,
    pub(super) high: i16,
}

impl Fold for MaxWords {
    type X = i16;
    type Folded = i16;
    const VECTORS: bool = false;
    const EMPTY: i16 = i16::MIN;
    #[inline(always)]
    fn take(&self, folded: i16, x: i16) -> i16 {
        folded.max(x)
    }
    #[inline(always)]
    fn finish(&self, folded: i16, _count: i32) -> i16 {
        folded.clamp(self.low, self.high)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct MaxFloats {
    pub(super) clamp: Clamp,
}

impl Fold for MaxFloats {
    type X = f32;
    type Folded = f32;
    const VECTORS: bool = true;
    const EMPTY: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn take(&self, folded: f32, x: f32) -> f32 {
        folded.max(x)
    }
    #[inline(always)]
    fn finish(&self, folded: f32, _count: i32) -> f32 {
        self.clamp.apply(folded)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    pub(super) clamp: Clamp,
}

impl Fold for Mean {
    type X = f32;
    type Folded = f32;
    const VECTORS: bool = true;
    const EMPTY: f32 = 0.0;
    #[inline(always)]
    fn take(&self, folded: f32, x: f32) -> f32 {
        folded + x
    }
    #[inline(always)]
    fn finish(&self, folded: f32, count: i32) -> f32 {
        self.clamp.apply(folded / count as f32)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RootMeanSquare {
    pub(super) clamp: Clamp,
}

impl Fold for RootMeanSquare {
    type X = f32;
    type Folded = f32;
    const VECTORS: bool = false;
    const EMPTY: f32 = 0.0;
    #[inline(always)]
    fn take(&self, folded: f32, x: f32) -> f32 {
        folded + x * x
    }
    #[inline(always)]
    fn finish(&self, folded: f32, count: i32) -> f32 {
        self.clamp.apply(libm::sqrtf(folded / count as f32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_round_half_away_from_zero_of_the_files_integers() {
        let of = |origin, values: [i8; 2]| {
            let average = Average { origin, low: -128, high: 127 };
            let sum = values.iter().fold(0, |sum, &v| average.take(sum, v));
            average.finish(sum, 2)
        };
        assert_eq!(of(0, [1, 2]), 2);
        assert_eq!(of(0, [-1, -2]), -2);
        // As uint8 these are 127 and 126: 126.5 rounds up.
        assert_eq!(of(128, [-1, -2]), -1);
    }

    #[test]
    fn averages_of_few_and_of_many_values_are_the_integers_own() {
        let average = Average { origin: 128, low: -128, high: 127 };
        for count in [1, 2, 3, 7, 49, 255, 4093, FEW - 1, FEW, FEW + 3] {
            let steps = [0, 1, 2, count / 2, count - 1, count, 254 * count, 255 * count - 1];
            let sums = steps.map(|sum| sum.min(255 * count));
            let halves = std::array::from_fn::<_, 8, _>(|i| {
                (i as i32 * 36 * count + count / 2 + i as i32 % 3 - 1).clamp(0, 255 * count)
            });
            for sums in [sums, halves] {
                let mut y = [0; 8];
                // `take` has the arena's integers.
                average.finish_all(&sums.map(|sum| sum - 128 * count), count, &mut y);
                let exact = sums.map(|sum| ((sum + count / 2) / count - 128) as i8);
                assert_eq!(y, exact, "{sums:?} / {count}");
                let signed = Average { origin: 0, ..average };
                let less = sums.map(|sum| (sum - 128 * count).min(127 * count));
                signed.finish_all(&less, count, &mut y);
                let half = |sum: i32| if sum > 0 { count / 2 } else { -(count / 2) };
                assert_eq!(y, less.map(|sum| ((sum + half(sum)) / count) as i8), "{less:?}");
            }
        }
    }

    #[test]
    fn words_average_without_a_bias() {
        let average = WordAverage { low: -3, high: 32767 };
        assert_eq!(average.finish(average.take(-4, -3), 2), -3);
        assert_eq!(average.finish(5, 2), 3);
    }
}
