//! `classification`: smoothing, threshold, hysteresis, hold and keep over the scores of classes.

use std::sync::Arc;

use super::{Found, Held, Settling, Task};
use crate::data::{EventKind, Finding, ScoredLabel};
use crate::model::Classification;

pub(super) struct Classifier {
    settings: Classification,
    labels: Vec<Arc<str>>,
    /// Classes, the best first.
    order: Vec<usize>,
    /// Whether a class may become the label.
    foreground: Vec<bool>,
    scores: Smoothed,
    label: Option<usize>,
    settling: Settling<Option<usize>>,
    /// Windows that the label is kept for, whatever comes.
    kept: u32,
}

/// The mean of the last windows' scores.
struct Smoothed {
    windows: usize,
    /// `[windows, classes]`, in a circle; `next` is the oldest.
    recent: Vec<f32>,
    next: usize,
    count: usize,
    mean: Vec<f32>,
}

impl Smoothed {
    fn new(windows: usize, classes: usize) -> Self {
        let recent = if windows > 1 { vec![0.0; windows * classes] } else { Vec::new() };
        Self { windows, recent, next: 0, count: 0, mean: vec![0.0; classes] }
    }

    fn push(&mut self, scores: &[f32]) {
        if self.windows == 1 {
            self.mean.copy_from_slice(scores);
            return;
        }
        let classes = scores.len();
        self.recent[self.next * classes..][..classes].copy_from_slice(scores);
        self.next = (self.next + 1) % self.windows;
        self.count = (self.count + 1).min(self.windows);
        // Summed anew each time: a running sum would keep each rounding for ever.
        for (class, mean) in self.mean.iter_mut().enumerate() {
            let each = self.recent.iter().skip(class).step_by(classes).take(self.count);
            *mean = (each.map(|&score| f64::from(score)).sum::<f64>() / self.count as f64) as f32;
        }
    }

    fn forget(&mut self) {
        (self.next, self.count) = (0, 0);
    }
}

impl Classifier {
    /// `labels` by index.
    pub(super) fn new(settings: &Classification, labels: Vec<Arc<str>>) -> Self {
        let foreground = labels.iter().map(|label| {
            !settings.background.iter().any(|background| background.as_str() == &**label)
        });
        Self {
            foreground: foreground.collect(),
            scores: Smoothed::new(settings.smooth as usize, labels.len()),
            settings: settings.clone(),
            order: (0..labels.len()).collect(),
            labels,
            label: None,
            settling: Settling::default(),
            kept: 0,
        }
    }
}

impl Task for Classifier {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let Classification { threshold, hysteresis, hold, top, keep, .. } = &self.settings;
        self.scores.push(outputs[0]);
        let real = &self.scores.mean;
        // Ties go to the lower index, as NumPy's argmax does.
        self.order.sort_unstable_by(|&a, &b| real[b].total_cmp(&real[a]).then(a.cmp(&b)));
        // With a threshold for each, the best may be below its own while another is not.
        let reached =
            |&&class: &&usize| self.foreground[class] && real[class] >= threshold.of(class);
        let best = self.order.iter().find(reached).copied();
        let holds = |&current: &usize| real[current] >= threshold.of(current) - hysteresis;
        let won = best.or(self.label.filter(holds));
        let before = self.label;
        if self.kept > 0 {
            self.kept -= 1;
        } else if self.settling.settles(won, before, *hold) {
            self.label = won;
            // This window is the first of them.
            self.kept = if won.is_some() { keep - 1 } else { 0 };
        }
        let foremost = self.order.iter().find(|&&class| self.foreground[class]);
        let name = |index: Option<usize>| index.map(|index| self.labels[index].clone());
        let changed = (self.label != before)
            .then(|| EventKind::LabelChanged { from: name(before), to: name(self.label) });
        let scored =
            |&index: &usize| ScoredLabel { label: self.labels[index].clone(), score: real[index] };
        let finding = Finding::Classification {
            label: name(self.label),
            score: self.label.or(foremost.copied()).map_or(0.0, |class| real[class]),
            top: self.order.iter().take(*top).map(scored).collect(),
        };
        (finding, changed)
    }

    fn held(&self) -> Held {
        Held::Label(self.label.map(|label| self.labels[label].clone()))
    }

    fn go_on_from(&mut self, held: &Held) {
        self.label = held.place_among(&self.labels);
        self.settling = Settling::default();
        self.scores.forget();
        self.kept = 0;
    }
}
