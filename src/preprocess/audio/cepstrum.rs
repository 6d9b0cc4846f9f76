//! What follows mel energies: the logarithm, and the cosine transform that makes MFCCs of them.

use std::f64::consts::PI;

use crate::model::{self, DynamicRange, Layout, Like, Log, LogOf};
use crate::preprocess::{InPlace, PreprocessError, Transform};

impl InPlace for Log {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        for value in rows {
            let x = value.max(self.floor) + self.offset;
            *value = match self.of {
                LogOf::Natural => libm::logf(x),
                LogOf::Log10 => libm::log10f(x),
                LogOf::Decibel => 10.0 * libm::log10f(x),
            };
        }
        Ok(())
    }
}

impl InPlace for DynamicRange {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        let least = rows.iter().fold(f32::NEG_INFINITY, |most, &x| most.max(x)) - self.range;
        for value in rows {
            *value = value.max(least);
        }
        Ok(())
    }
}

/// The first coefficients of a type-2 cosine transform of each row.
pub(in crate::preprocess) struct Dct {
    mels: usize,
    coefficients: usize,
    /// `[coefficients, mels]`.
    matrix: Vec<f32>,
}

impl Dct {
    /// For rows laid out as `given`.
    pub(in crate::preprocess) fn new(settings: &model::Dct, given: &Layout) -> Self {
        let mels = given.columns.len();
        let count = mels as f64;
        let value = |k: usize, n: usize| {
            // librosa's is orthonormal; `tf.signal.mfccs_from_log_mel_spectrograms` scales the first like the others.
            let scale = match settings.like {
                Like::Librosa if k == 0 => libm::sqrt(1.0 / count),
                _ => libm::sqrt(2.0 / count),
            };
            // A whole number of quarter turns, so that the angle keeps its digits.
            let turn = (k * (2 * n + 1)) % (4 * mels);
            (scale * libm::cos(PI * turn as f64 / (2.0 * count))) as f32
        };
        let row = |k: usize| (0..mels).map(move |n| value(k, n));
        Self {
            mels,
            coefficients: settings.coefficients,
            matrix: (0..settings.coefficients).flat_map(row).collect(),
        }
    }
}

impl Transform for Dct {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        let outputs = output.chunks_exact_mut(self.coefficients);
        for (row, output) in input.chunks_exact(self.mels).zip(outputs) {
            for (weights, output) in self.matrix.chunks_exact(self.mels).zip(output) {
                *output = weights.iter().zip(row).map(|(weight, x)| weight * x).sum();
            }
        }
    }
}
