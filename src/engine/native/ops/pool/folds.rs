//! How a pool makes one value of many.

use std::fmt;

use bytemuck::Pod;

use super::super::shared::scaling::Clamp;

/// Channels that go together.
pub(super) const LANES: usize = 16;

/// Values under a window into one.
pub(super) trait Fold: Send + Sync + fmt::Debug + 'static {
    /// An element of input and output, and what they are folded into.
    type X: Pod;
    type Folded: Copy;
    /// Before any value was seen.
    const EMPTY: Self::Folded;
    fn take(&self, folded: Self::Folded, x: Self::X) -> Self::Folded;
    /// Of `count` values, at least 1.
    fn finish(&self, folded: Self::Folded, count: i32) -> Self::X;
}

/// The integer mean rounded half away from zero.
fn mean(sum: i32, count: i32) -> i32 {
    let half = if sum > 0 { count / 2 } else { -(count / 2) };
    sum.wrapping_add(half) / count
}

/// The mean of the file's own integers.
#[derive(Debug)]
pub(super) struct Average {
    /// What the file's integers exceed the arena's by.
    pub(super) origin: i32,
    pub(super) low: i8,
    pub(super) high: i8,
}

impl Fold for Average {
    type X = i8;
    type Folded = i32;
    const EMPTY: i32 = 0;
    fn take(&self, folded: i32, x: i8) -> i32 {
        folded.wrapping_add(i32::from(x) + self.origin)
    }
    fn finish(&self, folded: i32, count: i32) -> i8 {
        let mean = mean(folded, count) - self.origin;
        (mean.clamp(-128, 127) as i8).clamp(self.low, self.high)
    }
}

#[derive(Debug)]
pub(super) struct WordAverage {
    pub(super) low: i16,
    pub(super) high: i16,
}

impl Fold for WordAverage {
    type X = i16;
    type Folded = i32;
    const EMPTY: i32 = 0;
    fn take(&self, folded: i32, x: i16) -> i32 {
        folded.wrapping_add(i32::from(x))
    }
    fn finish(&self, folded: i32, count: i32) -> i16 {
        (mean(folded, count).clamp(-32768, 32767) as i16).clamp(self.low, self.high)
    }
}

#[derive(Debug)]
pub(super) struct MaxBytes {
    pub(super) low: i8,
    pub(super) high: i8,
}

impl Fold for MaxBytes {
    type X = i8;
    type Folded = i8;
    const EMPTY: i8 = i8::MIN;
    fn take(&self, folded: i8, x: i8) -> i8 {
        folded.max(x)
    }
    fn finish(&self, folded: i8, _count: i32) -> i8 {
        folded.clamp(self.low, self.high)
    }
}

#[derive(Debug)]
pub(super) struct MaxWords {
    pub(super) low: i16,
    pub(super) high: i16,
}

impl Fold for MaxWords {
    type X = i16;
    type Folded = i16;
    const EMPTY: i16 = i16::MIN;
    fn take(&self, folded: i16, x: i16) -> i16 {
        folded.max(x)
    }
    fn finish(&self, folded: i16, _count: i32) -> i16 {
        folded.clamp(self.low, self.high)
    }
}

#[derive(Debug)]
pub(super) struct MaxFloats {
    pub(super) clamp: Clamp,
}

impl Fold for MaxFloats {
    type X = f32;
    type Folded = f32;
    const EMPTY: f32 = f32::NEG_INFINITY;
    fn take(&self, folded: f32, x: f32) -> f32 {
        folded.max(x)
    }
    fn finish(&self, folded: f32, _count: i32) -> f32 {
        self.clamp.apply(folded)
    }
}

#[derive(Debug)]
pub(super) struct Mean {
    pub(super) clamp: Clamp,
}

impl Fold for Mean {
    type X = f32;
    type Folded = f32;
    const EMPTY: f32 = 0.0;
    fn take(&self, folded: f32, x: f32) -> f32 {
        folded + x
    }
    fn finish(&self, folded: f32, count: i32) -> f32 {
        self.clamp.apply(folded / count as f32)
    }
}

#[derive(Debug)]
pub(super) struct RootMeanSquare {
    pub(super) clamp: Clamp,
}

impl Fold for RootMeanSquare {
    type X = f32;
    type Folded = f32;
    const EMPTY: f32 = 0.0;
    fn take(&self, folded: f32, x: f32) -> f32 {
        folded + x * x
    }
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
    fn words_average_without_a_bias() {
        let average = WordAverage { low: -3, high: 32767 };
        assert_eq!(average.finish(average.take(-4, -3), 2), -3);
        assert_eq!(average.finish(5, 2), 3);
    }
}
