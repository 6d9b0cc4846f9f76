//! `detection`: boxes above the threshold, the lesser of two that overlap left out, class by class.

use std::sync::Arc;

use super::{Found, Task};
use crate::data::{DetectedObject, Finding};
use crate::model::{Detection, DetectionLayout};

/// Boxes that are compared with each other: a model that finds more at its threshold finds nothing.
const CANDIDATES_MAX: usize = 4096;

pub(super) struct Detector {
    settings: Detection,
    labels: Vec<Arc<str>>,
    /// What a box's sides are divided by: width and height of the input, or 1.
    units: [f32; 2],
    candidates: Vec<Candidate>,
    kept: Vec<Candidate>,
}

/// A box, left, top, right, bottom, with its class.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    index: usize,
    class: usize,
    score: f32,
    area: [f32; 4],
}

impl Detector {
    /// `labels` by index; `input` is width and height of the model's input.
    pub(super) fn new(settings: &Detection, labels: Vec<Arc<str>>, input: [usize; 2]) -> Self {
        let units = if settings.pixels { input.map(|side| side as f32) } else { [1.0, 1.0] };
        let (candidates, kept) = (Vec::new(), Vec::new());
        Self { settings: settings.clone(), labels, units, candidates, kept }
    }

    fn ssd(&mut self, outputs: &[&[f32]]) {
        let &[boxes, classes, scores, count] = outputs else { return };
        let count = count.first().map_or(0, |count| *count as usize);
        let each = boxes.as_chunks::<4>().0.iter().zip(classes).zip(scores).enumerate().take(count);
        for (index, ((&[top, left, bottom, right], &class), &score)) in each {
            if score >= self.settings.threshold {
                let area = [left, top, right, bottom];
                self.candidates.push(Candidate { index, class: class as usize, score, area });
            }
        }
    }

    /// The best class of each box. `planar`: value `v` of box `b` is at `v * boxes + b`.
    fn yolo(&mut self, output: &[f32], planar: bool) {
        let first = self.settings.layout.before_scores();
        let values = first + self.labels.len();
        let boxes = output.len() / values;
        let at = |index: usize, value: usize| match planar {
            true => output[value * boxes + index],
            false => output[index * values + value],
        };
        for index in 0..boxes {
            let objectness = if first == 5 { at(index, 4) } else { 1.0 };
            if objectness < self.settings.threshold {
                continue;
            }
            let mut best = (0, f32::NEG_INFINITY);
            for class in 0..self.labels.len() {
                let score = at(index, first + class);
                if score > best.1 {
                    best = (class, score);
                }
            }
            let (class, score) = (best.0, best.1 * objectness);
            if score < self.settings.threshold {
                continue;
            }
            let [x, y, width, height] = [0, 1, 2, 3].map(|value| at(index, value));
            let [across, down] = self.units;
            let area = [
                (x - width / 2.0) / across,
                (y - height / 2.0) / down,
                (x + width / 2.0) / across,
                (y + height / 2.0) / down,
            ];
            self.candidates.push(Candidate { index, class, score, area });
        }
    }

    /// Greedy, as torchvision's `batched_nms`.
    fn suppress(&mut self) {
        for candidate in &self.candidates {
            let over = |kept: &Candidate| {
                kept.class == candidate.class
                    && overlap(kept.area, candidate.area) > self.settings.overlap
            };
            if !self.kept.iter().any(over) {
                self.kept.push(*candidate);
            }
            if self.kept.len() == self.settings.top {
                break;
            }
        }
    }
}

/// Intersection over union.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |low: f32, high: f32| (high - low).max(0.0);
    let size = |[left, top, right, bottom]: [f32; 4]| side(left, right) * side(top, bottom);
    let both = [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])];
    let both = size(both);
    let either = size(a) + size(b) - both;
    if either > 0.0 { both / either } else { 0.0 }
}

impl Task for Detector {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        self.candidates.clear();
        self.kept.clear();
        match self.settings.layout {
            DetectionLayout::Ssd => self.ssd(outputs),
            DetectionLayout::Yolov5 => self.yolo(outputs[0], false),
            DetectionLayout::Yolov8 => self.yolo(outputs[0], true),
        }
        // The best first, ties by the model's order.
        self.candidates
            .sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
        self.candidates.truncate(CANDIDATES_MAX);
        match self.settings.layout {
            DetectionLayout::Ssd => {
                self.kept.extend(self.candidates.iter().take(self.settings.top));
            }
            DetectionLayout::Yolov5 | DetectionLayout::Yolov8 => self.suppress(),
        }
        let object = |found: &Candidate| DetectedObject {
            label: match self.labels.get(found.class) {
                Some(label) => label.clone(),
                None => Arc::from(found.class.to_string()),
            },
            score: found.score,
            area: found.area,
        };
        (Finding::Detection { objects: self.kept.iter().map(object).collect() }, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays;
    use crate::data::TensorData;

    fn detector(layout: DetectionLayout, classes: usize) -> Detector {
        let settings = Detection {
            layout,
            threshold: 0.3,
            overlap: 0.45,
            top: 100,
            pixels: layout != DetectionLayout::Ssd,
            outputs: None,
        };
        let labels = (0..classes).map(|n| Arc::from(format!("c{n}"))).collect();
        Detector::new(&settings, labels, [320, 320])
    }

    fn objects(found: Found) -> Vec<DetectedObject> {
        let Finding::Detection { objects } = found.0 else { panic!("objects") };
        objects
    }

    #[test]
    fn the_operator_s_boxes_are_turned_and_cut_at_count_and_threshold() {
        let boxes = [0.1, 0.2, 0.3, 0.4, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
        let found = detector(DetectionLayout::Ssd, 2)
            .read(&[], &[&boxes, &[1.0, 7.0, 0.0], &[0.9, 0.5, 0.8], &[2.0]]);
        let objects = objects(found);
        assert_eq!(objects.len(), 2);
        assert_eq!((&*objects[0].label, objects[0].area), ("c1", [0.2, 0.1, 0.4, 0.3]));
        assert_eq!(&*objects[1].label, "7", "a class without a name");
    }

    /// Of `scripts/image-goldens.py`, with NMS in NumPy as torchvision defines it.
    #[test]
    fn boxes_of_yolo_are_those_of_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image/boxes.npz");
        let goldens = arrays::unpack(&std::fs::read(path).unwrap()).unwrap();
        let real = |name: &str| {
            let array = goldens.iter().find(|array| array.name == name).unwrap();
            let TensorData::F32(values) = array.tensor.data() else { panic!("float32") };
            values.clone()
        };
        for (layout, name) in [(DetectionLayout::Yolov5, "v5"), (DetectionLayout::Yolov8, "v8")] {
            let output = real(name);
            let found = objects(detector(layout, 4).read(&[], &[&output]));
            // class, score, left, top, right, bottom
            let expected = real(&format!("{name}_kept"));
            let expected = expected.as_chunks::<6>().0;
            assert_eq!(found.len(), expected.len(), "{name}");
            for (found, &[class, score, left, top, right, bottom]) in found.iter().zip(expected) {
                assert_eq!(*found.label, *format!("c{class}"));
                assert!((found.score - score).abs() < 1e-6, "{found:?}");
                for (a, b) in found.area.iter().zip([left, top, right, bottom]) {
                    assert!((a - b).abs() < 1e-6, "{found:?}");
                }
            }
        }
    }
}
