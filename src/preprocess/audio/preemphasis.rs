//! Pre-emphasis: what is high is made louder, over the whole stream.

use crate::model;
use crate::preprocess::Stream;

/// The filter with the sample before.
pub(in crate::preprocess) struct Preemphasis {
    coefficient: f32,
    before: f32,
}

impl Preemphasis {
    /// A filter that has heard silence.
    pub(in crate::preprocess) fn new(settings: &model::Preemphasis) -> Self {
        Self { coefficient: settings.coefficient, before: 0.0 }
    }
}

impl Stream for Preemphasis {
    fn push(&mut self, rows: &[f32], out: &mut Vec<f32>) {
        for &sample in rows {
            out.push(sample - self.coefficient * self.before);
            self.before = sample;
        }
    }

    fn reset(&mut self) {
        self.before = 0.0;
    }
}
