//! `keypoints`: points above the threshold, by name.

use std::sync::Arc;

use super::{Found, Task};
use crate::data::{Finding, Keypoint};
use crate::model::{Keypoints, PointOrder};

pub(super) struct Points {
    settings: Keypoints,
    labels: Vec<Arc<str>>,
    /// What a point's values are divided by: width and height of the input, or 1.
    units: [f32; 2],
}

impl Points {
    /// `labels` by index; `input` is width and height of the model's input.
    pub(super) fn new(settings: &Keypoints, labels: Vec<Arc<str>>, input: [usize; 2]) -> Self {
        let units = if settings.pixels { input.map(|side| side as f32) } else { [1.0, 1.0] };
        Self { settings: settings.clone(), labels, units }
    }
}

impl Task for Points {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let point = |(label, &[a, b, score]): (&Arc<str>, &[f32; 3])| {
            let [x, y] = match self.settings.order {
                PointOrder::Yxs => [b, a],
                PointOrder::Xys => [a, b],
            };
            let at = [x / self.units[0], y / self.units[1]];
            (score >= self.settings.threshold).then(|| Keypoint { label: label.clone(), score, at })
        };
        let points = self.labels.iter().zip(outputs[0].as_chunks::<3>().0).filter_map(point);
        (Finding::Keypoints { points: points.collect() }, None)
    }
}
