//! `resample`: polyphase filtering, as `scipy.signal.resample_poly` with its default filter.

use std::f64::consts::PI;

use super::Transform;
use crate::model::{Layout, Resample};

/// Kaiser's shape parameter of SciPy's filter.
const BETA: f64 = 5.0;

pub(super) struct Resampler {
    columns: usize,
    up: usize,
    down: usize,
    /// Odd, symmetric; its middle is time 0.
    filter: Vec<f64>,
}

impl Resampler {
    pub(super) fn new(settings: &Resample, given: &Layout) -> Self {
        let (up, down) = settings.ratio();
        let half = 10 * up.max(down);
        Self { columns: given.columns.len(), up, down, filter: low_pass(half, up, up.max(down)) }
    }
}

impl Transform for Resampler {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        if self.up == self.down {
            output.copy_from_slice(input);
            return;
        }
        let rows = input.len() / self.columns;
        let half = self.filter.len() / 2;
        for (n, row) in output.chunks_exact_mut(self.columns).enumerate() {
            // In steps of the fast rate, on which every `up`-th place has a row.
            let place = n * self.down;
            let first = (place + self.up).saturating_sub(half + 1) / self.up;
            let first = if place > half { first } else { 0 };
            let last = ((place + half) / self.up).min(rows.saturating_sub(1));
            for (column, out) in row.iter_mut().enumerate() {
                let mut sum = 0.0;
                for from in first..=last {
                    let Some(tap) = (place + half).checked_sub(from * self.up) else { continue };
                    let weight = self.filter.get(tap).copied().unwrap_or(0.0);
                    sum += weight * f64::from(input[from * self.columns + column]);
                }
                *out = sum as f32;
            }
        }
    }
}

/// `scipy.signal.firwin(2 half + 1, 1 / most, window=("kaiser", 5))` times `up`.
fn low_pass(half: usize, up: usize, most: usize) -> Vec<f64> {
    let cutoff = 1.0 / most as f64;
    let tap = |n: usize| {
        let x = n as f64 - half as f64;
        let angle = PI * cutoff * x;
        let sinc = if x == 0.0 { 1.0 } else { libm::sin(angle) / angle };
        let across = x / half as f64;
        cutoff * sinc * bessel(BETA * (1.0 - across * across).max(0.0).sqrt()) / bessel(BETA)
    };
    let taps: Vec<f64> = (0..=2 * half).map(tap).collect();
    // Passes a constant as it is.
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| tap / sum * up as f64).collect()
}

/// The modified Bessel function of order 0: its power series, which converges at once for what is asked here.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..64 {
        term *= quarter / f64::from(n * n);
        sum += term;
    }
    sum
}
