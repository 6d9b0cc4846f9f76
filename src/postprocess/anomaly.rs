//! `anomaly`: limit, hysteresis and hold over a distance from normal.

use super::{Found, Held, Settling, Task};
use crate::data::{EventKind, Finding};
use crate::model::{Anomaly, Score};

pub(super) struct Judge {
    settings: Anomaly,
    anomalous: bool,
    settling: Settling<bool>,
}

impl Judge {
    pub(super) fn new(settings: &Anomaly) -> Self {
        Self { settings: settings.clone(), anomalous: false, settling: Settling::default() }
    }
}

impl Task for Judge {
    fn read(&mut self, input: &[f32], outputs: &[&[f32]]) -> Found {
        let Anomaly { score, limit, hysteresis, hold } = self.settings;
        let score = match score {
            Score::Output => outputs[0][0],
            Score::Mse => mean_squared(input, outputs[0]),
        };
        let before = self.anomalous;
        let now = if before { score > limit - hysteresis } else { score > limit };
        if self.settling.settles(now, before, hold) {
            self.anomalous = now;
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
