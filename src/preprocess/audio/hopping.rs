//! A stream of samples cut into overlapping windows, a row of features for each.

use super::micro_frontend::Frontend;
use super::spectrogram::Spectra;
use crate::model::{Layout, MicroFrontend, Spectrogram};
use crate::preprocess::Stream;

/// What makes a row of a window.
pub(super) trait Features: Send {
    /// `window` has as many samples as was said; `row` as many values.
    fn row(&mut self, window: &[f32], row: &mut [f32]);

    /// Forgets the windows before.
    fn reset(&mut self);
}

/// The stream's samples that later windows need as well.
pub(in crate::preprocess) struct Hopping<F> {
    features: F,
    window: usize,
    hop: usize,
    columns: usize,
    waiting: Vec<f32>,
    /// Samples that lie between two windows and are still to come: a hop may be longer than a window.
    skip: usize,
}

impl Hopping<Spectra> {
    /// Spectra, or their bands, of samples laid out as `given`.
    pub(in crate::preprocess) fn spectra(settings: &Spectrogram, given: &Layout) -> Self {
        let (window, columns) = (settings.reach(), settings.columns());
        Self::new(Spectra::new(settings, given), window, settings.hop, columns, given)
    }
}

impl Hopping<Frontend> {
    /// TFLite Micro's front end on samples laid out as `given`.
    pub(in crate::preprocess) fn micro(settings: &MicroFrontend, given: &Layout) -> Self {
        let (window, columns) = (MicroFrontend::WINDOW, MicroFrontend::CHANNELS);
        Self::new(Frontend::new(), window, settings.hop, columns, given)
    }
}

impl<F> Hopping<F> {
    fn new(features: F, window: usize, hop: usize, columns: usize, given: &Layout) -> Self {
        let waiting = Vec::with_capacity(window + given.rows);
        Self { features, window, hop, columns, waiting, skip: 0 }
    }
}

impl<F: Features> Stream for Hopping<F> {
    fn push(&mut self, rows: &[f32], out: &mut Vec<f32>) {
        let skipped = self.skip.min(rows.len());
        self.skip -= skipped;
        self.waiting.extend_from_slice(&rows[skipped..]);
        let mut start = 0;
        while let Some(window) = self.waiting.get(start..start + self.window) {
            let end = out.len();
            out.resize(end + self.columns, 0.0);
            self.features.row(window, &mut out[end..]);
            start += self.hop;
        }
        self.skip += start.saturating_sub(self.waiting.len());
        self.waiting.drain(..start.min(self.waiting.len()));
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.skip = 0;
        self.features.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first sample of each window.
    struct First;

    impl Features for First {
        fn row(&mut self, window: &[f32], row: &mut [f32]) {
            row[0] = window[0];
        }

        fn reset(&mut self) {}
    }

    proptest! {
        #[test]
        fn windows_lie_a_hop_apart_however_samples_come(
            window in 1usize..9, hop in 1usize..15, pieces in prop::collection::vec(0usize..20, 0..12),
        ) {
            let given = Layout { rows: 8, columns: vec!["x".into()], rate_hz: None };
            let mut hopping = Hopping::new(First, window, hop, 1, &given);
            let (mut next, mut out) = (0, Vec::new());
            for piece in pieces {
                let rows: Vec<f32> = (next..next + piece).map(|n| n as f32).collect();
                next += piece;
                hopping.push(&rows, &mut out);
            }
            let starts = (0..next).step_by(hop).filter(|start| start + window <= next);
            prop_assert_eq!(out, starts.map(|start| start as f32).collect::<Vec<_>>());
        }
    }
}
