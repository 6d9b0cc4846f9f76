//! TFLite Micro's audio front end: 10 ms hops of 40 noise-reduced, gain-controlled log energies, in integers throughout.
//!
//! microWakeWord's models and TFLite Micro's `micro_speech` are trained on its output, and no float computation gives it. Source:
//! `tensorflow/lite/experimental/microfrontend/lib` of TFLite Micro (Apache-2.0), whose fixed-point FFT is kissfft
//! (BSD-3-Clause). What overflows in C wraps here, too.

mod fixed_fft;
mod scale;
mod tables;

use super::hopping::Features;
use crate::model::MicroFrontend;
use fixed_fft::{BINS, FixedFft, SIZE};
use scale::{log, root, wide_gain};
use tables::{CHANNEL_BINS, HANN, WEIGHTS};

const WINDOW: usize = HANN.len();
const CHANNELS: usize = MicroFrontend::CHANNELS;
/// The first bin that a channel hears.
const FIRST_BIN: usize = 5;

/// Fractional bits of window and weights, of the noise reduction's shares, of its estimates, of PCAN's ratio and its output.
const WEIGHT_BITS: u32 = 12;
const SHARE_BITS: u32 = 14;
const ESTIMATE_BITS: u32 = 10;
const RATIO_BITS: u32 = 12;
const OUTPUT_BITS: u32 = 6;
/// Shares of 14 bits: 0.025 for even channels, 0.06 for odd ones; what is left of a signal at least, 0.05.
const SMOOTHING: [u64; 2] = [409, 983];
const REMAINING: u64 = 819;
/// 21 gain bits less the correction of the FFT's size (3) and the ratio's bits.
const RATIO_SHIFT: u32 = 6;
/// What the FFT of 512 and the weights' bits leave to correct before the logarithm.
const CORRECTION: u32 = 3;

/// The front end with its noise estimates.
pub(in crate::preprocess) struct Frontend {
    fft: FixedFft,
    windowed: [i16; SIZE],
    spectrum: [(i16, i16); BINS],
    noise: [u32; CHANNELS],
}

impl Features for Frontend {
    /// A sample is the 16-bit number that the microphone gave, divided by 32 768; others are rounded to that. Values are
    /// 0 to 65 535.
    fn row(&mut self, window: &[f32], row: &mut [f32]) {
        let mut loudest = 0_i16;
        for ((&sample, &weight), windowed) in window.iter().zip(&HANN).zip(&mut self.windowed) {
            // A cast saturates; NaN is silence.
            let sample = (sample * 32768.0).round_ties_even() as i16;
            *windowed = ((i32::from(sample) * i32::from(weight)) >> WEIGHT_BITS) as i16;
            loudest = loudest.max(windowed.wrapping_neg().max(*windowed));
        }
        // As loud as 16 bits can be, for the FFT's sake.
        let shift = 15 - significant(loudest as u32);
        for windowed in &mut self.windowed[..WINDOW] {
            *windowed = ((*windowed as u16 as u32) << shift) as i16;
        }
        self.fft.apply(&self.windowed, &mut self.spectrum);
        let mut energies = [0; CHANNELS];
        self.energies(shift, &mut energies);
        for (channel, (&energy, out)) in energies.iter().zip(row).enumerate() {
            let cleaned = self.reduce_noise(channel, energy);
            let gained = control_gain(cleaned, self.noise[channel]);
            *out = f32::from(log(gained << CORRECTION));
        }
    }

    fn reset(&mut self) {
        self.noise = [0; CHANNELS];
    }
}

impl Frontend {
    pub(super) fn new() -> Self {
        Self {
            fft: FixedFft::new(),
            windowed: [0; SIZE],
            spectrum: [(0, 0); BINS],
            noise: [0; CHANNELS],
        }
    }

    /// The square root of each channel's energy.
    fn energies(&self, shift: u32, energies: &mut [u32; CHANNELS]) {
        let (mut bin, mut rest) = (FIRST_BIN, 0_u64);
        let mut weights = WEIGHTS.iter();
        for (channel, &bins) in CHANNEL_BINS.iter().enumerate() {
            // What falls of the channel before, as this one's rises.
            let (mut sum, mut falling) = (rest, 0_u64);
            for &weight in weights.by_ref().take(bins.into()) {
                let (re, im) = self.spectrum[bin];
                let square = |x: i16| i32::from(x).wrapping_mul(i32::from(x));
                // Of 32 bits with a sign in the reference, and widened with it.
                let energy = i64::from(square(re).wrapping_add(square(im))) as u64;
                let weight = u64::from(weight);
                sum = sum.wrapping_add(weight.wrapping_mul(energy));
                falling = falling.wrapping_add(((1 << WEIGHT_BITS) - weight).wrapping_mul(energy));
                bin += 1;
            }
            rest = falling;
            // The first sum is the rising side of nothing.
            if let Some(channel) = channel.checked_sub(1) {
                energies[channel] = root(sum) >> shift;
            }
        }
    }

    fn reduce_noise(&mut self, channel: usize, energy: u32) -> u32 {
        let smoothing = SMOOTHING[channel % 2];
        let scaled = energy.wrapping_shl(ESTIMATE_BITS);
        let before = u64::from(self.noise[channel]);
        let estimate = u64::from(scaled) * smoothing + before * ((1 << SHARE_BITS) - smoothing);
        let estimate = (estimate >> SHARE_BITS) as u32;
        self.noise[channel] = estimate;
        let least = ((u64::from(energy) * REMAINING) >> SHARE_BITS) as u32;
        let left = (scaled - estimate.min(scaled)) >> ESTIMATE_BITS;
        left.max(least)
    }
}

/// Per-channel automatic gain: less for a channel that was loud of late.
fn control_gain(signal: u32, noise: u32) -> u32 {
    // A gain of 16 bits with a sign, widened as C does.
    let gain = i32::from(wide_gain(noise)) as u32;
    let ratio = (u64::from(signal).wrapping_mul(gain.into()) >> RATIO_SHIFT) as u32;
    if ratio < 2 << RATIO_BITS {
        ratio.wrapping_mul(ratio) >> (2 + 2 * RATIO_BITS - OUTPUT_BITS)
    } else {
        (ratio >> (RATIO_BITS - OUTPUT_BITS)) - (1 << OUTPUT_BITS)
    }
}

/// Bits that a number needs.
fn significant(number: u32) -> u32 {
    32 - number.leading_zeros()
}
