//! `filter`: a Butterworth filter in second-order sections, on every column of a stream.

mod design;

use super::Stream;
use crate::model::{Filter, Layout, Start};
use design::Section;

/// State in f64: in f32 a narrow filter is off by 4e-4.
pub(super) struct Running {
    sections: Vec<Section>,
    /// Of each section for a constant 1: SciPy's `sosfilt_zi`.
    steady: Vec<[f64; 2]>,
    start: Start,
    /// `[columns, sections]`.
    states: Vec<[f64; 2]>,
    /// The last value of each column; NaN before the first one.
    last: Vec<f64>,
}

impl Running {
    pub(super) fn new(settings: &Filter, given: &Layout) -> Self {
        let columns = given.columns.len();
        // `Filter::fit` has seen to a rate.
        let sections = design::butterworth(settings, given.rate_hz.unwrap_or(1.0));
        let steady = design::steady(&sections);
        let states = vec![[0.0; 2]; columns * sections.len()];
        let last = vec![f64::NAN; columns];
        Self { sections, steady, start: settings.start, states, last }
    }

    /// Where the sections of a column begin, before its first value.
    fn begin(&mut self, column: usize, first: f64) {
        let count = self.sections.len();
        let scale = if self.start == Start::Steady { first } else { 0.0 };
        for (state, steady) in self.states[column * count..][..count].iter_mut().zip(&self.steady) {
            *state = steady.map(|value| value * scale);
        }
    }
}

impl Stream for Running {
    fn push(&mut self, rows: &[f32], out: &mut Vec<f32>) {
        let count = self.sections.len();
        for row in rows.chunks_exact(self.last.len()) {
            for (column, &value) in row.iter().enumerate() {
                let missing = !value.is_finite();
                // What is missing stays missing, and must not poison what follows: the filter sees the value before.
                let x = if missing { self.last[column] } else { f64::from(value) };
                if x.is_nan() {
                    out.push(value);
                    continue;
                }
                if self.last[column].is_nan() {
                    self.begin(column, x);
                }
                self.last[column] = x;
                let states = &mut self.states[column * count..][..count];
                let y =
                    self.sections.iter().zip(states).fold(x, |x, (section, z)| section.run(x, z));
                out.push(if missing { f32::NAN } else { y as f32 });
            }
        }
    }

    fn reset(&mut self) {
        self.last.fill(f64::NAN);
    }
}
