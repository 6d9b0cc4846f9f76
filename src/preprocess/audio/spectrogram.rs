//! Short-time spectra as `tf.signal.stft` and `librosa.stft` frame them, and their energies in mel bands.

use super::hopping::Features;
use super::mel::MelFilters;
use crate::model::{Layout, Like, Spectrogram, SpectrumOf};
use crate::preprocess::Transform;
use crate::preprocess::real_fft::RealFft;
use crate::preprocess::taper;

/// One window's samples → its spectrum, or energies in bands.
pub(in crate::preprocess) struct Spectra {
    settings: Spectrogram,
    /// `[window]`.
    taper: Vec<f32>,
    fft: RealFft,
    /// One window, tapered and padded, `[fft]`.
    framed: Vec<f32>,
    /// `[bins]`, and what sums it up.
    mel: Option<(Vec<f32>, MelFilters)>,
}

impl Spectra {
    /// One with all tables computed; `Spectrogram::fit` has checked the settings.
    pub(super) fn new(settings: &Spectrogram, given: &Layout) -> Self {
        let bins = settings.bins();
        let filters = settings.mel.as_ref().map(|mel| {
            let filters = MelFilters::new(mel, settings.like, bins, given.rate_hz.unwrap_or(1.0));
            (vec![0.0; bins], filters)
        });
        Self {
            taper: taper(settings),
            fft: RealFft::new(settings.fft),
            framed: vec![0.0; settings.fft],
            mel: filters,
            settings: settings.clone(),
        }
    }

    /// Where the tapered window stands among the FFT's samples: librosa puts one that is shorter into the middle.
    fn place(&self) -> usize {
        match self.settings.like {
            Like::Tensorflow => 0,
            Like::Librosa => (self.settings.fft - self.settings.window) / 2,
        }
    }

    /// The row of what was framed.
    fn framed(&mut self, row: &mut [f32]) {
        let Spectrogram { of, factor, .. } = self.settings;
        let scaled = |power: f32| match of {
            SpectrumOf::Power => power * factor,
            SpectrumOf::Magnitude => power.sqrt() * factor,
        };
        match &mut self.mel {
            None => self.fft.powers(&self.framed, |bin, power| row[bin] = scaled(power)),
            Some((spectrum, filters)) => {
                self.fft.powers(&self.framed, |bin, power| spectrum[bin] = scaled(power));
                filters.apply(spectrum, row);
            }
        }
    }
}

impl Features for Spectra {
    fn row(&mut self, window: &[f32], row: &mut [f32]) {
        let place = self.place();
        let framed = self.framed[place..].iter_mut().zip(&window[place..]);
        for ((framed, sample), taper) in framed.zip(&self.taper) {
            *framed = sample * taper;
        }
        self.framed(row);
    }

    fn reset(&mut self) {}
}

/// Spectra of windows that lie around their samples: half an FFT of zeros stands before the first one and after the last.
pub(in crate::preprocess) struct Centred(Spectra);

impl Centred {
    pub(in crate::preprocess) fn new(settings: &Spectrogram, given: &Layout) -> Self {
        Self(Spectra::new(settings, given))
    }
}

impl Transform for Centred {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        let (place, hop, half) = (self.0.place(), self.0.settings.hop, self.0.settings.fft / 2);
        for (index, row) in output.chunks_exact_mut(self.0.settings.columns()).enumerate() {
            let framed = self.0.framed[place..].iter_mut().zip(&self.0.taper);
            for (k, (framed, taper)) in framed.enumerate() {
                let at = (index * hop + place + k).checked_sub(half);
                let sample = at.and_then(|at| input.get(at));
                *framed = sample.map_or(0.0, |sample| sample * taper);
            }
            self.0.framed(row);
        }
    }
}

/// The window's values, `[window]`.
fn taper(settings: &Spectrogram) -> Vec<f32> {
    let Spectrogram { window, symmetric, like, taper, .. } = *settings;
    // TensorFlow's "periodic" concerns windows of an even length only.
    let periodic = !symmetric && (like == Like::Librosa || window.is_multiple_of(2));
    let period = if periodic { window } else { window.saturating_sub(1) };
    taper::weights(taper, window, period).into_iter().map(|weight| weight as f32).collect()
}
