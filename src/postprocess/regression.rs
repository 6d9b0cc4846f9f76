//! `regression`: a number in its unit, and whether it stays within limits and goes from window to window as it may.

use std::sync::Arc;

use super::{Found, Held, Settling, Task};
use crate::data::{EventKind, Finding};
use crate::model::Regression;

pub(super) struct Reader {
    settings: Regression,
    unit: Arc<str>,
    outside: bool,
    settling: Settling<bool>,
    /// The value of the window before.
    last: Option<f32>,
}

impl Reader {
    pub(super) fn new(settings: &Regression) -> Self {
        let unit = Arc::from(settings.unit.as_str());
        let settling = Settling::default();
        Self { settings: settings.clone(), unit, outside: false, settling, last: None }
    }

    /// Whether `value` is beyond its limits, seen from where it was.
    fn is_outside(&self, value: f32) -> bool {
        let Regression { low, high, hysteresis, .. } = self.settings;
        // Whoever is outside must come further in.
        let margin = if self.outside { hysteresis } else { 0.0 };
        low.is_some_and(|low| value < low + margin)
            || high.is_some_and(|high| value > high - margin)
    }
}

impl Task for Reader {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let Regression { scale, offset, hold, max_change, .. } = self.settings;
        let value = outputs[0][0] * scale + offset;
        let finding = Finding::Regression { value, unit: self.unit.clone() };
        let from = self.last.replace(value);
        let now = self.is_outside(value);
        if self.settling.settles(now, self.outside, hold) {
            self.outside = now;
            let kind = match now {
                true => EventKind::ValueOutOfLimits { value },
                false => EventKind::ValueWithinLimits { value },
            };
            return (finding, Some(kind));
        }
        // One event a window: leaving the limits says more than the step that did it.
        let jump = from.zip(max_change).filter(|(from, most)| (value - from).abs() > *most);
        (finding, jump.map(|(from, _)| EventKind::ValueJumped { from, to: value }))
    }

    fn held(&self) -> Held {
        Held::Outside(self.outside)
    }

    fn go_on_from(&mut self, held: &Held) {
        self.outside = *held == Held::Outside(true);
        (self.settling, self.last) = (Settling::default(), None);
    }
}
