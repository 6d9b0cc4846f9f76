//! `missing`: runs of NaN filled, or the window given up.

use super::{InPlace, PreprocessError};
use crate::model::{Layout, Missing, MissingPolicy};

pub(super) struct Filler {
    settings: Missing,
    columns: Vec<String>,
}

impl Filler {
    pub(super) fn new(settings: &Missing, given: &Layout) -> Self {
        Self { settings: settings.clone(), columns: given.columns.clone() }
    }
}

impl InPlace for Filler {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        let Missing { policy, max } = self.settings;
        fill_missing(rows, self.columns.len(), policy, max).map_err(|(column, missing)| {
            PreprocessError::Missing { channel: self.columns[column].clone(), missing }
        })
    }
}

/// Fills runs of NaN in each channel; `Err((channel, run))` when the window must be given up.
fn fill_missing(
    real: &mut [f32],
    channels: usize,
    policy: MissingPolicy,
    max: usize,
) -> Result<(), (usize, usize)> {
    let frames = real.len() / channels;
    for channel in 0..channels {
        let at = |frame: usize| frame * channels + channel;
        let mut frame = 0;
        while frame < frames {
            if !real[at(frame)].is_nan() {
                frame += 1;
                continue;
            }
            let start = frame;
            while frame < frames && real[at(frame)].is_nan() {
                frame += 1;
            }
            let run = frame - start;
            let before = start.checked_sub(1).map(|i| real[at(i)]);
            let after = (frame < frames).then(|| real[at(frame)]);
            // With no neighbour at all there is nothing to fill from.
            if policy == MissingPolicy::Drop || run > max || (before.is_none() && after.is_none()) {
                return Err((channel, run));
            }
            for (k, i) in (start..frame).enumerate() {
                real[at(i)] = match (policy, before, after) {
                    (MissingPolicy::Interpolate, Some(before), Some(after)) => {
                        before + (after - before) * ((k + 1) as f32 / (run + 1) as f32)
                    }
                    (_, Some(before), _) => before,
                    (_, None, Some(after)) => after,
                    (_, None, None) => return Err((channel, run)),
                };
            }
        }
    }
    Ok(())
}
