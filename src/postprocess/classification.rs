//! `classification`: threshold, hysteresis and hold over the scores of classes.

use std::sync::Arc;

use super::{Found, Held, Settling, Task};
use crate::data::{EventKind, Finding, ScoredLabel};
use crate::model::Classification;

pub(super) struct Classifier {
    settings: Classification,
    labels: Vec<Arc<str>>,
    /// Classes, the best first.
    order: Vec<usize>,
    label: Option<usize>,
    settling: Settling<Option<usize>>,
}

impl Classifier {
    /// `labels` by index.
    pub(super) fn new(settings: &Classification, labels: Vec<Arc<str>>) -> Self {
        let (settings, order) = (settings.clone(), (0..labels.len()).collect());
        Self { settings, labels, order, label: None, settling: Settling::default() }
    }
}

impl Task for Classifier {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let Classification { threshold, hysteresis, hold, top } = self.settings;
        let real = outputs[0];
        // Ties go to the lower index, as NumPy's argmax does.
        self.order.sort_unstable_by(|&a, &b| real[b].total_cmp(&real[a]).then(a.cmp(&b)));
        let best = self.order[0];
        let won = match self.label {
            Some(current) if real[best] < threshold && real[current] >= threshold - hysteresis => {
                Some(current)
            }
            _ if real[best] >= threshold => Some(best),
            _ => None,
        };
        let before = self.label;
        if self.settling.settles(won, before, hold) {
            self.label = won;
        }
        let name = |index: Option<usize>| index.map(|index| self.labels[index].clone());
        let changed = (self.label != before)
            .then(|| EventKind::LabelChanged { from: name(before), to: name(self.label) });
        let scored =
            |&index: &usize| ScoredLabel { label: self.labels[index].clone(), score: real[index] };
        let finding = Finding::Classification {
            label: name(self.label),
            score: real[self.label.unwrap_or(best)],
            top: self.order.iter().take(top).map(scored).collect(),
        };
        (finding, changed)
    }

    fn held(&self) -> Held {
        Held::Label(self.label.map(|label| self.labels[label].clone()))
    }

    fn go_on_from(&mut self, held: &Held) {
        self.label = match held {
            Held::Label(Some(held)) => self.labels.iter().position(|label| label == held),
            Held::Label(None) | Held::Nothing | Held::Anomalous(_) => None,
        };
        self.settling = Settling::default();
    }
}
