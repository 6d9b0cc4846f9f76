//! kissfft's real FFT of 512 samples in 16-bit integers: halved at each radix-2 step and quartered at each radix-4 one, with its
//! rounding.
//!
//! Source of what is computed: kissfft, `kiss_fft.c` and `kiss_fftr.c` with `FIXED_POINT=16` (Mark Borgerding, BSD-3-Clause).

use std::f64::consts::PI;

/// Samples of the FFT, and frequencies that it gives.
pub(super) const SIZE: usize = 512;
pub(super) const BINS: usize = SIZE / 2 + 1;
/// Two real samples are one complex number.
const HALF: usize = SIZE / 2;

type Complex = (i16, i16);

/// The tables and room of one FFT.
#[derive(Clone, Debug)]
pub(super) struct FixedFft {
    twiddles: [Complex; HALF],
    unpacking: [Complex; HALF / 2],
    room: [Complex; HALF],
}

impl FixedFft {
    pub(super) fn new() -> Self {
        let turn = |phase: f64| {
            let fixed = |x: f64| (0.5 + 32767.0 * x).floor() as i16;
            (fixed(libm::cos(phase)), fixed(libm::sin(phase)))
        };
        let twiddle = |k: usize| turn(-2.0 * PI * k as f64 / HALF as f64);
        let unpacking = |k: usize| turn(-PI * ((k + 1) as f64 / HALF as f64 + 0.5));
        Self {
            twiddles: std::array::from_fn(twiddle),
            unpacking: std::array::from_fn(unpacking),
            room: [(0, 0); HALF],
        }
    }

    /// The spectrum of `samples`, divided by 512.
    pub(super) fn apply(&mut self, samples: &[i16; SIZE], spectrum: &mut [Complex; BINS]) {
        // 256 = 4 * 4 * 4 * 4: the digits of base 4 in reverse, then butterflies of growing size.
        for (k, slot) in self.room.iter_mut().enumerate() {
            let from = ((k & 3) << 6) | ((k & 12) << 2) | ((k >> 2) & 12) | (k >> 6);
            *slot = (samples[2 * from], samples[2 * from + 1]);
        }
        let mut size = 1;
        while size < HALF {
            let stride = HALF / (4 * size);
            for group in self.room.chunks_exact_mut(4 * size) {
                for k in 0..size {
                    let w = |n: usize| self.twiddles[n * k * stride];
                    butterfly(group, k, size, [w(1), w(2), w(3)]);
                }
            }
            size *= 4;
        }
        let (re, im) = divided(self.room[0], 2);
        spectrum[0] = (re.wrapping_add(im), 0);
        spectrum[HALF] = (re.wrapping_sub(im), 0);
        for k in 1..=HALF / 2 {
            let here = divided(self.room[k], 2);
            let (re, im) = self.room[HALF - k];
            let mirrored = divided((re, im.wrapping_neg()), 2);
            let (even, odd) = (plus(here, mirrored), minus(here, mirrored));
            let odd = times(odd, self.unpacking[k - 1]);
            let halved = |a: i16, b: i32| ((i32::from(a) + b) >> 1) as i16;
            let (re, im) = (i32::from(odd.0), i32::from(odd.1));
            spectrum[k] = (halved(even.0, re), halved(even.1, im));
            let mirrored = ((im - i32::from(even.1)) >> 1) as i16;
            spectrum[HALF - k] = (halved(even.0, -re), mirrored);
        }
    }
}

/// One radix-4 step on the elements `k`, `k + size`, `k + 2 * size`, `k + 3 * size`.
fn butterfly(group: &mut [Complex], k: usize, size: usize, twiddles: [Complex; 3]) {
    let at = |n: usize| k + n * size;
    let first = divided(group[at(0)], 4);
    let turned = |n: usize| times(divided(group[at(n)], 4), twiddles[n - 1]);
    let (b, c, d) = (turned(1), turned(2), turned(3));
    let (sum, difference) = (plus(first, c), minus(first, c));
    let (across, between) = (plus(b, d), minus(b, d));
    group[at(0)] = plus(sum, across);
    group[at(2)] = minus(sum, across);
    // A quarter turn.
    let between = (between.1, between.0.wrapping_neg());
    group[at(1)] = plus(difference, between);
    group[at(3)] = minus(difference, between);
}

fn plus(a: Complex, b: Complex) -> Complex {
    (a.0.wrapping_add(b.0), a.1.wrapping_add(b.1))
}

fn minus(a: Complex, b: Complex) -> Complex {
    (a.0.wrapping_sub(b.0), a.1.wrapping_sub(b.1))
}

/// A product of 30 fractional bits, rounded to 15.
fn rounded(product: i32) -> i16 {
    (product.wrapping_add(1 << 14) >> 15) as i16
}

fn times(a: Complex, b: Complex) -> Complex {
    let product = |x: i16, y: i16| i32::from(x) * i32::from(y);
    let re = product(a.0, b.0).wrapping_sub(product(a.1, b.1));
    let im = product(a.0, b.1).wrapping_add(product(a.1, b.0));
    (rounded(re), rounded(im))
}

/// Divided by 2 or 4, as a product with the rounded-down fraction.
fn divided(a: Complex, by: i32) -> Complex {
    let fraction = 32767 / by;
    (rounded(i32::from(a.0) * fraction), rounded(i32::from(a.1) * fraction))
}
