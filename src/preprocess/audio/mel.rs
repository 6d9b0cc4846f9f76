//! A spectrum → energies in bands of the mel scale, as TensorFlow and librosa define the bands.

use crate::model::{Like, Mel};

/// A bank of triangular filters.
#[derive(Clone, Debug)]
pub(super) struct MelFilters {
    filters: Vec<Filter>,
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    /// The first bin with a weight.
    first: usize,
    weights: Vec<f32>,
}

impl MelFilters {
    /// Filters for spectra of `bins` values, 0 Hz to half of `rate_hz`.
    pub(super) fn new(settings: &Mel, like: Like, bins: usize, rate_hz: f64) -> Self {
        let weight: Box<dyn Fn(usize, usize) -> f32> = match like {
            Like::Tensorflow => Box::new(tensorflow(settings, bins, rate_hz)),
            Like::Librosa => Box::new(librosa(settings, bins, rate_hz)),
        };
        let filter = |mel: usize| {
            let weights: Vec<f32> = (0..bins).map(|bin| weight(bin, mel)).collect();
            let first = weights.iter().position(|&w| w != 0.0).unwrap_or(0);
            let end = weights.iter().rposition(|&w| w != 0.0).map_or(first, |last| last + 1);
            Filter { first, weights: weights[first..end].to_vec() }
        };
        Self { filters: (0..settings.bands).map(filter).collect() }
    }

    /// The energies of `spectrum`, `[bins]`, into `energies`, `[bands]`.
    pub(super) fn apply(&self, spectrum: &[f32], energies: &mut [f32]) {
        for (filter, energy) in self.filters.iter().zip(energies) {
            let heard = &spectrum[filter.first..];
            *energy = filter.weights.iter().zip(heard).map(|(weight, x)| weight * x).sum();
        }
    }
}

/// `tf.signal.linear_to_mel_weight_matrix`: triangles that are straight in mels, HTK's scale, bin 0 unheard.
fn tensorflow(settings: &Mel, bins: usize, rate_hz: f64) -> impl Fn(usize, usize) -> f32 + use<> {
    let mel = |hz: f64| 1127.0 * libm::log1p(hz / 700.0);
    let (low, high) = (mel(settings.low_hz), mel(settings.high_hz));
    let spacing = (high - low) / (settings.bands + 1) as f64;
    let bin_hz = rate_hz / 2.0 / (bins - 1) as f64;
    move |bin, filter| {
        if bin == 0 {
            return 0.0;
        }
        let (at, edge) = (mel(bin as f64 * bin_hz), low + spacing * filter as f64);
        let rising = (at - edge) / spacing;
        let falling = (edge + 2.0 * spacing - at) / spacing;
        rising.min(falling).max(0.0) as f32
    }
}

/// `librosa.filters.mel`: triangles that are straight in Hz.
fn librosa(settings: &Mel, bins: usize, rate_hz: f64) -> impl Fn(usize, usize) -> f32 + use<> {
    let (htk, normed) = (settings.htk, !settings.same_height);
    let (low, high) = (mels(settings.low_hz, htk), mels(settings.high_hz, htk));
    let spacing = (high - low) / (settings.bands + 1) as f64;
    let edge = move |n: usize| hz(low + spacing * n as f64, htk);
    let bin_hz = rate_hz / 2.0 / (bins - 1) as f64;
    move |bin, filter| {
        let (low, centre, high) = (edge(filter), edge(filter + 1), edge(filter + 2));
        let at = bin as f64 * bin_hz;
        let (rising, falling) = ((at - low) / (centre - low), (high - at) / (high - centre));
        // Slaney's: every filter has the same area.
        let area = if normed { 2.0 / (high - low) } else { 1.0 };
        (rising.min(falling).max(0.0) * area) as f32
    }
}

/// Slaney's scale is straight to 1 kHz, logarithmic above. Source: Auditory Toolbox, 1998, as librosa has it.
const STRAIGHT_TO_HZ: f64 = 1000.0;
const STRAIGHT_HZ: f64 = 200.0 / 3.0;
const STRAIGHT_TO_MEL: f64 = STRAIGHT_TO_HZ / STRAIGHT_HZ;
/// Natural logarithm of the ratio between two mels above.
fn log_step() -> f64 {
    libm::log(6.4) / 27.0
}

fn mels(hz: f64, htk: bool) -> f64 {
    if htk {
        2595.0 * libm::log10(1.0 + hz / 700.0)
    } else if hz >= STRAIGHT_TO_HZ {
        STRAIGHT_TO_MEL + libm::log(hz / STRAIGHT_TO_HZ) / log_step()
    } else {
        hz / STRAIGHT_HZ
    }
}

fn hz(mels: f64, htk: bool) -> f64 {
    if htk {
        700.0 * (libm::pow(10.0, mels / 2595.0) - 1.0)
    } else if mels >= STRAIGHT_TO_MEL {
        STRAIGHT_TO_HZ * libm::exp(log_step() * (mels - STRAIGHT_TO_MEL))
    } else {
        STRAIGHT_HZ * mels
    }
}
