//! Real activations brought to 8 bits when a model runs, for layers with integer weights.

use super::isa::Isa;
use super::output::nearest;

/// How LiteRT chooses the scale, from the lowest and highest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dynamic {
    /// XNNPACK's: 255 steps from lowest to highest, halves to even.
    Delegate,
    /// TFLite's own: the same range, halves away from zero.
    Asymmetric,
    /// TFLite's own: 127 steps either side of zero.
    Symmetric,
}

/// What the bytes stand for: `scale * (byte - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ByteRange {
    pub(crate) scale: f32,
    /// -128..=127.
    pub(crate) zero_point: i32,
}

impl Dynamic {
    /// Writes `x` as bytes.
    ///
    /// Sources: XNNPACK, "quantization.h"; TFLite, "neon_tensor_utils.cc", which runs on
    /// x86-64, too.
    pub(crate) fn quantize(self, isa: Isa, x: &[f32], bytes: &mut [i8]) -> ByteRange {
        let mut range = ByteRange { scale: 1.0, zero_point: 0 };
        isa.run(
            #[inline(always)]
            || range = self.plain(x, bytes),
        );
        range
    }

    #[inline(always)]
    fn plain(self, x: &[f32], bytes: &mut [i8]) -> ByteRange {
        let [low, high] = ends(x);
        match self {
            Self::Delegate => delegate(x, bytes, low, high),
            Self::Asymmetric | Self::Symmetric if low == high => {
                bytes.fill(0);
                ByteRange { scale: 1.0, zero_point: 0 }
            }
            Self::Asymmetric => asymmetric(x, bytes, low, high),
            Self::Symmetric => {
                let most = high.max(-low);
                let steps_per_unit = 127.0 / most;
                for (byte, &x) in bytes.iter_mut().zip(x) {
                    *byte = away(x * steps_per_unit).clamp(-127, 127) as i8;
                }
                ByteRange { scale: most / 127.0, zero_point: 0 }
            }
        }
    }
}

/// Values that are compared side by side.
const LANES: usize = 32;

/// The lowest and the highest of `x` and 0; what is no number counts for nothing.
#[inline(always)]
fn ends(x: &[f32]) -> [f32; 2] {
    let lower = |low: f32, x: f32| if x < low { x } else { low };
    let higher = |high: f32, x: f32| if x > high { x } else { high };
    let (chunks, rest) = x.as_chunks::<LANES>();
    let (mut low, mut high) = ([0f32; LANES], [0f32; LANES]);
    for chunk in chunks {
        for i in 0..LANES {
            low[i] = lower(low[i], chunk[i]);
            high[i] = higher(high[i], chunk[i]);
        }
    }
    // Half of the lanes with the other half: one after the other they would wait for one another.
    let mut lanes = LANES / 2;
    while lanes > 0 {
        for i in 0..lanes {
            low[i] = lower(low[i], low[i + lanes]);
            high[i] = higher(high[i], high[i + lanes]);
        }
        lanes /= 2;
    }
    let low = rest.iter().fold(low[0], |low, &x| lower(low, x));
    [low, rest.iter().fold(high[0], |high, &x| higher(high, x))]
}

#[inline(always)]
fn delegate(x: &[f32], bytes: &mut [i8], low: f32, high: f32) -> ByteRange {
    let steps_per_unit = if low == high { 1.0 } else { 255.0 / (high - low) };
    let (low, high) = (low * steps_per_unit, high * steps_per_unit);
    // From the end that is nearer to its own.
    let zero_point =
        if (-128.0 + low) + (127.0 + high) > 0.0 { -128.0 - low } else { 127.0 - high };
    let zero_point = zero_point.clamp(-128.0, 127.0).round_ties_even() as i32;
    let bounds = [-128 - zero_point, 127 - zero_point].map(|bound| bound as f32);
    for (byte, &x) in bytes.iter_mut().zip(x) {
        let steps = x * steps_per_unit;
        // As `min` and `max` do it with what is no number, but in one instruction each.
        let steps = if steps < bounds[1] { steps } else { bounds[1] };
        let steps = if steps > bounds[0] { steps } else { bounds[0] };
        *byte = (nearest(steps) + zero_point) as i8;
    }
    ByteRange { scale: 1.0 / steps_per_unit, zero_point }
}

#[inline(always)]
fn asymmetric(x: &[f32], bytes: &mut [i8], low: f32, high: f32) -> ByteRange {
    let scale = f64::from(high - low) / 255.0;
    let ends = [f64::from(low) / scale, f64::from(high) / scale];
    let near_low = 128.0 + ends[0].abs() < 127.0 + ends[1].abs();
    let zero_point = if near_low { -128.0 - ends[0] } else { 127.0 - ends[1] };
    let zero_point = zero_point.clamp(-128.0, 127.0).round() as i32;
    let scale = scale as f32;
    let steps_per_unit = (1.0 / f64::from(scale)) as f32;
    for (byte, &x) in bytes.iter_mut().zip(x) {
        *byte = (away(x * steps_per_unit) + zero_point).clamp(-128, 127) as i8;
    }
    ByteRange { scale, zero_point }
}

/// The nearest integer, halves away from zero; within ±512, and 0 for what is no number.
#[inline(always)]
fn away(steps: f32) -> i32 {
    let steps = (steps + if steps < 0.0 { -0.5 } else { 0.5 }).clamp(-512.0, 512.0).trunc();
    nearest(if steps.is_nan() { 0.0 } else { steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_the_ends_of_the_range_are_kept() {
        for dynamic in [Dynamic::Delegate, Dynamic::Asymmetric, Dynamic::Symmetric] {
            let x = [-1.0, 0.0, 0.25, 3.0];
            let mut bytes = [0; 4];
            let range = dynamic.quantize(Isa::best(), &x, &mut bytes);
            for (x, byte) in x.into_iter().zip(bytes) {
                let back = range.scale * (i32::from(byte) - range.zero_point) as f32;
                assert!((back - x).abs() <= 0.5001 * range.scale, "{dynamic:?}: {back} for {x}");
            }
            assert_eq!(i32::from(bytes[1]), range.zero_point);
        }
    }

    #[test]
    fn all_sets_give_the_same_bytes() {
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed
        };
        for len in 0..200 {
            let scale = [1.0, 1e-20, 3e30][len % 3];
            let mut x: Vec<f32> = (0..len).map(|_| (next() as f32 / 2e9 - 1.0) * scale).collect();
            if len % 5 == 4 {
                x[next() as usize % len] = [f32::NAN, f32::INFINITY, -0.0][len % 3];
            }
            for dynamic in [Dynamic::Delegate, Dynamic::Asymmetric, Dynamic::Symmetric] {
                let of = |isa| {
                    let mut bytes = vec![0; len];
                    let ByteRange { scale, zero_point } = dynamic.quantize(isa, &x, &mut bytes);
                    (bytes, scale.to_bits(), zero_point)
                };
                let plain = of(Isa::SCALAR);
                assert!(Isa::available().all(|isa| of(isa) == plain), "{dynamic:?}, {len} values");
            }
        }
    }

    #[test]
    fn zeros_and_what_is_no_number_do_no_harm() {
        for dynamic in [Dynamic::Delegate, Dynamic::Asymmetric, Dynamic::Symmetric] {
            let mut bytes = [1; 3];
            let range = dynamic.quantize(Isa::best(), &[0.0; 3], &mut bytes);
            assert!(bytes.iter().all(|&byte| i32::from(byte) == range.zero_point));
            dynamic.quantize(Isa::best(), &[f32::NAN, f32::INFINITY, f32::MIN], &mut bytes);
        }
    }
}
