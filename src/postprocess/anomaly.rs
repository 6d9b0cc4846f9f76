//! `anomaly`: limit, hysteresis and hold over a distance from normal.

use super::{Found, Held, Settling, Task};
use crate::data::{EventKind, Finding};
use crate::model::{Adapt, Anomaly, Score};

/// A normal distribution's spread in median distances from its median.
const SPREAD: f32 = 1.4826;

pub(super) struct Judge {
    settings: Anomaly,
    anomalous: bool,
    settling: Settling<bool>,
    usual: Option<Usual>,
}

/// The scores of the last windows that were as usual, oldest overwritten first.
struct Usual {
    adapt: Adapt,
    scores: Vec<f32>,
    next: usize,
    sorted: Vec<f32>,
}

impl Judge {
    pub(super) fn new(settings: &Anomaly) -> Self {
        let usual = |adapt: Adapt| Usual {
            adapt,
            scores: Vec::with_capacity(adapt.windows),
            next: 0,
            sorted: Vec::with_capacity(adapt.windows),
        };
        Self {
            settings: settings.clone(),
            anomalous: false,
            settling: Settling::default(),
            usual: settings.adapt.map(usual),
        }
    }
}

impl Usual {
    fn add(&mut self, score: f32) {
        if self.scores.len() < self.adapt.windows {
            self.scores.push(score);
        } else {
            self.scores[self.next] = score;
        }
        self.next = (self.next + 1) % self.adapt.windows;
    }

    /// What is unusual; `None` while little is known.
    fn limit(&mut self) -> Option<f32> {
        if self.scores.len() < self.adapt.windows.div_ceil(5) {
            return None;
        }
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.scores);
        let median = middle(&mut self.sorted);
        for score in &mut self.sorted {
            *score = (*score - median).abs();
        }
        Some(median + self.adapt.spreads * SPREAD * middle(&mut self.sorted))
    }
}

/// The upper one of the middle values, whose order is changed; there is at least one.
fn middle(values: &mut [f32]) -> f32 {
    let place = values.len() / 2;
    *values.select_nth_unstable_by(place, f32::total_cmp).1
}

impl Task for Judge {
    fn read(&mut self, input: &[f32], outputs: &[&[f32]]) -> Found {
        let Anomaly { score, limit, hysteresis, hold, .. } = self.settings;
        let score = match score {
            Score::Output => outputs[0][0],
            Score::Mse => mean_squared(input, outputs[0]),
        };
        let usual = self.usual.as_mut().and_then(Usual::limit);
        let limit = usual.map_or(limit, |usual| limit.max(usual));
        let before = self.anomalous;
        let now = if before { score > limit - hysteresis } else { score > limit };
        if self.settling.settles(now, before, hold) {
            self.anomalous = now;
        }
        if let Some(usual) = self.usual.as_mut().filter(|_| !now && !self.anomalous) {
            usual.add(score);
        }
        let changed = match (before, self.anomalous) {
            (false, true) => Some(EventKind::AnomalyBegan { score }),
            (true, false) => Some(EventKind::AnomalyEnded { score }),
            (false, false) | (true, true) => None,
        };
        (Finding::Anomaly { score, limit, anomalous: self.anomalous }, changed)
    }

    fn held(&self) -> Held {
        Held::Anomalous(self.anomalous)
    }

    fn go_on_from(&mut self, held: &Held) {
        (self.anomalous, self.settling) = (*held == Held::Anomalous(true), Settling::default());
    }
}

/// Mean of squared differences over the values that both have.
fn mean_squared(a: &[f32], b: &[f32]) -> f32 {
    let count = a.len().min(b.len()).max(1);
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / count as f32
}
