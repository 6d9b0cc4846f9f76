//! `features`: what several steps make of the same rows, one after the other in one row.

use super::{Stage, Transform, stage};
use crate::model::{Features, Layout};

/// Steps beside each other, each with how many values it makes.
pub(super) struct Beside {
    stages: Vec<(Stage, usize)>,
}

impl Beside {
    pub(super) fn new(settings: &Features, given: &Layout) -> Self {
        let steps = settings.steps();
        let stages = steps.map(|(step, made)| (stage(step, given, made), made.elements()));
        Self { stages: stages.collect() }
    }
}

impl Transform for Beside {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        let mut rest = output;
        for (stage, makes) in &mut self.stages {
            let (out, after) = rest.split_at_mut(*makes);
            match stage {
                Stage::Transform { step, .. } => step.apply(input, out),
                Stage::InPlace(step) => {
                    out.copy_from_slice(input);
                    // Only `missing` gives a window up, and it is not taken here; what it could not do is no number.
                    if step.apply(out).is_err() {
                        out.fill(f32::NAN);
                    }
                }
                // Not taken here, either.
                Stage::Stream(_) => out.fill(f32::NAN),
            }
            rest = after;
        }
    }
}
