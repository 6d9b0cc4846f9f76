//! The spectrum of real samples, to the same bits on every machine.

use std::f64::consts::PI;
use std::sync::Arc;

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlannerScalar};

/// A real FFT.
///
/// Of an even length, two real samples are taken as one complex number, so that the complex FFT has half the length.
/// `FftPlannerScalar` and not the planner that looks for vector units: those round otherwise, and a bundle's golden vectors
/// hold on all boards.
pub(super) struct RealFft {
    length: usize,
    fft: Arc<dyn Fft<f32>>,
    packed: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// `exp(-2πik / length)` for k to a quarter of an even length.
    twiddles: Vec<Complex32>,
}

impl RealFft {
    /// One of `length` samples.
    ///
    /// # Panics
    /// When `length` is 0: the recipe is checked.
    pub(super) fn new(length: usize) -> Self {
        assert!(length > 0, "checked by the recipe");
        let complex = if length.is_multiple_of(2) { length / 2 } else { length };
        let fft = FftPlannerScalar::new().plan_fft_forward(complex);
        let twiddle = |k: usize| {
            let phase = -2.0 * PI * k as f64 / length as f64;
            Complex32::new(libm::cos(phase) as f32, libm::sin(phase) as f32)
        };
        Self {
            length,
            packed: vec![Complex32::default(); complex],
            scratch: vec![Complex32::default(); fft.get_inplace_scratch_len()],
            twiddles: (0..=length / 4).map(twiddle).collect(),
            fft,
        }
    }

    /// Gives `power(k, |X[k]|²)` for k from 0 to half the length, where X is the spectrum of `samples`, `[length]`.
    pub(super) fn powers(&mut self, samples: &[f32], power: impl FnMut(usize, f32)) {
        match self.length.is_multiple_of(2) {
            true => self.powers_of_pairs(samples, power),
            false => self.powers_one_by_one(samples, power),
        }
    }

    fn powers_one_by_one(&mut self, samples: &[f32], mut power: impl FnMut(usize, f32)) {
        for (packed, sample) in self.packed.iter_mut().zip(samples) {
            *packed = Complex32::new(*sample, 0.0);
        }
        self.fft.process_with_scratch(&mut self.packed, &mut self.scratch);
        for (k, value) in self.packed.iter().enumerate().take(self.length / 2 + 1) {
            power(k, value.norm_sqr());
        }
    }

    fn powers_of_pairs(&mut self, samples: &[f32], mut power: impl FnMut(usize, f32)) {
        for (packed, pair) in self.packed.iter_mut().zip(samples.chunks_exact(2)) {
            *packed = Complex32::new(pair[0], pair[1]);
        }
        self.fft.process_with_scratch(&mut self.packed, &mut self.scratch);
        let half = self.packed.len();
        let first = self.packed[0];
        power(0, (first.re + first.im) * (first.re + first.im));
        power(half, (first.re - first.im) * (first.re - first.im));
        for k in 1..=half / 2 {
            let (here, there) = (self.packed[k], self.packed[half - k].conj());
            let even = (here + there) * 0.5;
            let odd = (here - there) * 0.5;
            // -i times the odd samples' spectrum, turned to its place.
            let odd = Complex32::new(odd.im, -odd.re) * self.twiddles[k];
            power(k, (even + odd).norm_sqr());
            if k != half - k {
                power(half - k, (even - odd).norm_sqr());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_the_plain_sum() {
        for length in [1_usize, 2, 3, 4, 6, 10, 15, 16, 30, 51, 512, 480] {
            let samples: Vec<f32> =
                (0..length).map(|n| ((n * n * 7 + n) % 23) as f32 / 23.0 - 0.4).collect();
            let plain = |k: usize| {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, &x) in samples.iter().enumerate() {
                    let phase = -2.0 * PI * ((k * n) % length) as f64 / length as f64;
                    (re, im) = (re + f64::from(x) * phase.cos(), im + f64::from(x) * phase.sin());
                }
                re * re + im * im
            };
            let mut seen = vec![0; length / 2 + 1];
            let energy: f32 = samples.iter().map(|x| x * x).sum::<f32>() * length as f32;
            RealFft::new(length).powers(&samples, |k, power| {
                seen[k] += 1;
                let off = (f64::from(power) - plain(k)).abs();
                assert!(off < 1e-5 * f64::from(energy), "length {length}, bin {k}: off by {off}");
            });
            assert!(seen.iter().all(|&times| times == 1), "{seen:?}");
        }
    }
}
