//! `TFLite_Detection_PostProcess`: boxes from anchors and the network's encodings, the best of them
//! that do not overlap. Source: TFLite, `detection_postprocess.cc`.

mod kernel;
mod options;

use self::kernel::{Boxes, DetectionKernel, Scratch};
pub(super) use self::options::Detection;
use super::shared::quant8::Quant8;
use super::shared::scratch::scratch_for;
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Shape, Value};

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "TFLite_Detection_PostProcess",
    options: 0,
    lower: |options| Ok(Box::new(Detection::read(options.custom())?)),
    kinds: &[Kind::Float32, Kind::Uint8],
    attributes: &[("use_regular_nms", &["false", "true"])],
}];

/// Boxes, values of one encoding, and classes with the background that come in.
struct Sizes {
    boxes: usize,
    encoding: usize,
    classes: usize,
}

impl Detection {
    fn sizes(&self, site: &Site<'_>) -> Result<Sizes, Refusal> {
        let (encodings, scores, anchors) = (site.input(0)?, site.input(1)?, site.input(2)?);
        let fit = match (&encodings.shape[..], &scores.shape[..], &anchors.shape[..]) {
            (&[1, boxes, encoding], &[1, scored, classes], &[anchors, 4])
                if boxes == scored && encoding >= 4 && anchors >= boxes && boxes > 0 =>
            {
                Some(Sizes { boxes, encoding, classes })
            }
            _ => None,
        };
        let sizes = fit.ok_or_else(|| {
            let shapes = [&encodings.shape, &scores.shape, &anchors.shape];
            malformed(format!("encodings, scores and anchors of shapes {shapes:?}"))
        })?;
        // One class more is the background, which comes first.
        if !(self.classes..=self.classes + 1).contains(&sizes.classes) {
            let why = format!("{} scores for {} classes", sizes.classes, self.classes);
            return Err(malformed(why));
        }
        let cells = sizes.boxes.checked_mul(sizes.classes);
        cells
            .filter(|&cells| i32::try_from(cells).is_ok())
            .ok_or_else(|| malformed(format!("{} boxes", sizes.boxes)))?;
        Ok(sizes)
    }
}

/// Scale and zero point, in the arena, of a `uint8` input; `None` of floats.
fn quant(value: &Value<'_>) -> Result<Option<Quant8>, Refusal> {
    match value.dtype {
        DType::F32 => Ok(None),
        DType::U8 => Quant8::of(value).map(Some),
        other => Err(unsupported(format!("{other} inputs"))),
    }
}

impl Operator for Detection {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        self.sizes(site)?;
        let found = self.detections.checked_mul(self.classes_per_detection);
        let found = found.ok_or_else(|| malformed(format!("{} detections", self.detections)))?;
        Ok(vec![vec![1, found, 4], vec![1, found], vec![1, found], vec![1]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let Sizes { boxes, encoding, classes } = self.sizes(site)?;
        for output in 0..4 {
            let dtype = site.output_at(output)?.dtype;
            if dtype != DType::F32 {
                return Err(unsupported(format!("output {output} of {dtype}")));
            }
        }
        let [encodings, scores, anchors] =
            [quant(site.input(0)?)?, quant(site.input(1)?)?, quant(site.input(2)?)?];
        if encodings.is_some() != anchors.is_some() {
            return Err(malformed("either encodings or anchors alone are quantized"));
        }
        let scratch = Scratch::new(self, boxes, if scores.is_some() { boxes * classes } else { 0 });
        let bytes = scratch_for::<u32>(scratch.words())?;
        let rounds = if self.regular { self.classes } else { 1 };
        let kept = boxes.min(if self.regular { self.per_class } else { self.detections });
        let each = (boxes as u64).saturating_mul(kept as u64 + u64::from(boxes.ilog2()) + 1);
        let sorts = (self.detections as u64 + boxes as u64).saturating_mul(32);
        let work = each.saturating_add(sorts).saturating_mul(rounds as u64);
        let work = work.saturating_add((boxes * classes) as u64 * 2);
        let kernel = DetectionKernel {
            op: self.clone(),
            boxes: Boxes { count: boxes, encoding, encodings, anchors },
            scores,
            classes,
            scratch,
        };
        let step = Step::new(kernel, 0);
        Ok(Step { reads: vec![0, 1, 2], scratch: bytes, work, ..step }.into())
    }
}
