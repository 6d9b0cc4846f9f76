//! Integer square roots, logarithms and gains as the front end rounds them.

use super::significant;
use super::tables::{GAINS, LOG};

const LOG_BITS: u32 = 16;
const SEGMENT_BITS: u32 = 7;
/// The natural logarithm of 2, of 16 fractional bits.
const LN_2: u64 = 45426;
/// One is 64 in what the front end gives.
const SCALE_BITS: u32 = 6;

/// The square root, rounded to the nearest.
pub(super) fn root(number: u64) -> u32 {
    let narrow = number >> 32 == 0;
    let (mut rest, mut root) = (number, 0_u64);
    if rest == 0 {
        return 0;
    }
    let mut bit = 1_u64 << ((63 - rest.leading_zeros()) & !1);
    while bit != 0 {
        if rest >= root + bit {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
        bit >>= 2;
    }
    // Small numbers have 16 bits of root, which stay that in the reference.
    let most = if narrow { 0xffff } else { 0xffff_ffff };
    (root + u64::from(rest > root && root != most)) as u32
}

/// 64 times the natural logarithm, by segments; 0 for 0 and 1; 65 535 at most.
pub(super) fn log(number: u32) -> u16 {
    if number <= 1 {
        return 0;
    }
    let whole = significant(number) - 1;
    let beyond = number - (1 << whole);
    let part = match whole < LOG_BITS {
        true => beyond << (LOG_BITS - whole),
        false => beyond >> (whole - LOG_BITS),
    };
    let segment = part >> (LOG_BITS - SEGMENT_BITS);
    let (from, to) = (i64::from(LOG[segment as usize]), i64::from(LOG[segment as usize + 1]));
    let along = i64::from(part - (segment << (LOG_BITS - SEGMENT_BITS)));
    // The reference shifts by the scale's bits and not by the segment's, so this is hardly ever anything but 0 or -1.
    let bend = ((to - from) * along) >> LOG_BITS;
    let log2 = (u64::from(whole) << LOG_BITS) + (i64::from(part) + from + bend) as u64;
    let half = 1 << (LOG_BITS - 1);
    let natural = (LN_2 * log2 + half) >> LOG_BITS;
    let scaled = ((natural << SCALE_BITS) + half) >> LOG_BITS;
    scaled.min(u64::from(u16::MAX)) as u16
}

/// PCAN's gain for a noise estimate: a parabola for each power of two.
pub(super) fn wide_gain(noise: u32) -> i16 {
    if noise <= 2 {
        return GAINS[noise as usize];
    }
    let interval = significant(noise);
    let at = 4 * interval as usize - 6;
    let along = match interval < 11 {
        true => noise << (11 - interval),
        false => noise >> (interval - 11),
    };
    let along = (along & 0x3ff) as i32;
    let mut gain = (i32::from(GAINS[at + 2]) * along) >> 5;
    gain = gain.wrapping_add(i32::from(GAINS[at + 1]) << 5).wrapping_mul(along);
    gain = gain.wrapping_add(1 << 14) >> 15;
    gain.wrapping_add(GAINS[at].into()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_to_the_nearest() {
        for number in (0..5000).chain([1 << 32, (1 << 40) + 12345, u64::from(u32::MAX) + 1]) {
            assert_eq!(f64::from(root(number)), (number as f64).sqrt().round(), "{number}");
        }
        // As in the reference: 16 bits of root for what has 32 bits.
        assert_eq!(root(u32::MAX.into()), 0xffff);
        assert_eq!(root(u64::MAX), u32::MAX);
    }

    #[test]
    fn logarithms_are_64_to_one() {
        for number in [2_u32, 3, 17, 1000, 65_535, 65_536, 1 << 20, u32::MAX] {
            let exact = f64::from(number).ln() * 64.0;
            assert!((f64::from(log(number)) - exact).abs() < 0.6, "{number}");
        }
        assert_eq!((log(0), log(1)), (0, 0));
    }
}
