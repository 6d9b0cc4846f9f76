//! Decoding and suppression, without allocation: every list lies in the scratch.

use super::super::Kernel;
use super::super::shared::heap::partial_sort;
use super::super::shared::quant8::Quant8;
use super::options::Detection;
use crate::engine::native::memory::Memory;

#[derive(Debug)]
pub(super) struct DetectionKernel {
    pub(super) op: Detection,
    pub(super) boxes: Boxes,
    /// Of the scores, where they are quantized.
    pub(super) scores: Option<Quant8>,
    /// Scores of each box, with the background.
    pub(super) classes: usize,
    pub(super) scratch: Scratch,
}

/// How boxes come in.
#[derive(Debug)]
pub(super) struct Boxes {
    pub(super) count: usize,
    /// Values of one encoding.
    pub(super) encoding: usize,
    pub(super) encodings: Option<Quant8>,
    pub(super) anchors: Option<Quant8>,
}

/// Lengths of the lists in the scratch, all of 4-byte elements.
#[derive(Debug)]
pub(super) struct Scratch {
    boxes: usize,
    /// Scores made real, if they are quantized.
    scores: usize,
    /// Classes in order, of each box; of the fast suppression.
    order: usize,
    /// What was found so far; of the regular suppression.
    found: usize,
}

impl Scratch {
    pub(super) fn new(op: &Detection, boxes: usize, scores: usize) -> Self {
        Self {
            boxes,
            scores,
            order: if op.regular { 0 } else { boxes.saturating_mul(op.classes) },
            found: if op.regular { boxes.saturating_add(op.detections) } else { 0 },
        }
    }

    /// Elements of all lists.
    pub(super) fn words(&self) -> usize {
        let lists = [(7, self.boxes), (1, self.scores), (1, self.order), (4, self.found)];
        lists
            .iter()
            .fold(0usize, |sum, (times, len)| sum.saturating_add(len.saturating_mul(*times)))
    }
}

/// A box as top, left, bottom, right.
type Corners = [f32; 4];

/// Lists for the suppression of one class.
struct Single<'a> {
    /// Boxes whose score is high enough, the highest first; the `chosen` first of them, once it ran.
    kept: &'a mut [u32],
    /// Whether the box at this place of `kept` may still be chosen.
    active: &'a mut [u32],
}

/// The first `len` elements of `rest`, which loses them.
fn take<'a>(rest: &mut &'a mut [u32], len: usize) -> &'a mut [u32] {
    let (front, back) = std::mem::take(rest).split_at_mut(len);
    *rest = back;
    front
}

/// The element at `i` of a tensor of floats or, with `quant`, of bytes; as a real number.
#[inline]
fn element(bytes: &[u8], i: usize, quant: Option<Quant8>) -> f32 {
    match quant {
        None => bytemuck::cast_slice::<u8, f32>(bytes)[i],
        Some(quant) => {
            let steps = i32::from(bytes[i].cast_signed()) - quant.zero_point;
            steps as f32 * quant.scale
        }
    }
}

impl Kernel for DetectionKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([encodings, scores, anchors], outputs, scratch) = memory.parts::<3, 4>();
        let [found_boxes, found_classes, found_scores, count] = outputs.map(|output| {
            output.fill(0);
            bytemuck::cast_slice_mut::<u8, f32>(output)
        });
        let mut rest: &mut [u32] = bytemuck::cast_slice_mut(scratch);
        let boxes: &mut [f32] = bytemuck::cast_slice_mut(take(&mut rest, 4 * self.scratch.boxes));
        self.decode(encodings, anchors, boxes);
        let (boxes, _) = boxes.as_chunks::<4>();
        let real: &mut [f32] = bytemuck::cast_slice_mut(take(&mut rest, self.scratch.scores));
        for (i, real) in real.iter_mut().enumerate() {
            *real = element(scores, i, self.scores);
        }
        let scores: &[f32] =
            if self.scores.is_some() { real } else { bytemuck::cast_slice(scores) };
        let best: &mut [f32] = bytemuck::cast_slice_mut(take(&mut rest, self.scratch.boxes));
        let mut single = Single {
            kept: take(&mut rest, self.scratch.boxes),
            active: take(&mut rest, self.scratch.boxes),
        };
        let (found_boxes, _) = found_boxes.as_chunks_mut::<4>();
        let mut put = |place: usize, from: usize, class: usize, score: f32| {
            found_boxes[place] = boxes[from];
            found_classes[place] = class as f32;
            found_scores[place] = score;
        };
        let found = if self.op.regular {
            self.regular(boxes, scores, best, &mut single, rest, &mut put)
        } else {
            self.fast(boxes, scores, best, &mut single, rest, &mut put)
        };
        count[0] = found as f32;
    }
}

impl DetectionKernel {
    fn decode(&self, encodings: &[u8], anchors: &[u8], boxes: &mut [f32]) {
        let Boxes { count, encoding, encodings: quant, anchors: anchor_quant } = self.boxes;
        let (boxes, _) = boxes.as_chunks_mut::<4>();
        for (i, corners) in boxes.iter_mut().enumerate().take(count) {
            let code = |field| f64::from(element(encodings, i * encoding + field, quant));
            let anchor = |field| f64::from(element(anchors, i * 4 + field, anchor_quant));
            let center =
                |f: usize| (code(f) / self.op.scales[f] * anchor(f + 2) + anchor(f)) as f32;
            let half = |f: usize| (0.5 * libm::exp(code(f) / self.op.scales[f]) * anchor(f)) as f32;
            let ([y, x], [high, wide]) = ([center(0), center(1)], [half(2), half(3)]);
            *corners = [y - high, x - wide, y + high, x + wide];
        }
    }

    /// Leaves at most `most` boxes that do not overlap at the front of `single.kept`, the one with
    /// the highest score first, and tells how many.
    fn suppress(
        &self,
        boxes: &[Corners],
        scores: &[f32],
        single: &mut Single<'_>,
        most: usize,
    ) -> usize {
        let mut len = 0;
        for (i, _) in scores.iter().enumerate().filter(|(_, score)| **score >= self.op.score) {
            single.kept[len] = i as u32;
            len += 1;
        }
        let kept = &mut single.kept[..len];
        let score = |i: u32| scores[i as usize] + 0.0;
        kept.sort_unstable_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
        let active = &mut single.active[..len];
        active.fill(1);
        let mut chosen = 0;
        for i in 0..len {
            if chosen >= most {
                break;
            }
            if active[i] == 0 {
                continue;
            }
            let this = kept[i];
            for j in i + 1..len {
                let other = boxes[kept[j] as usize];
                if active[j] != 0 && overlap(boxes[this as usize], other) > self.op.overlap {
                    active[j] = 0;
                }
            }
            // Never ahead of `i`, so nothing is lost that is still to be read.
            kept[chosen] = this;
            chosen += 1;
        }
        chosen
    }

    /// One suppression over the best score of each box.
    fn fast(
        &self,
        boxes: &[Corners],
        scores: &[f32],
        best: &mut [f32],
        single: &mut Single<'_>,
        order: &mut [u32],
        put: &mut impl FnMut(usize, usize, usize, f32),
    ) -> usize {
        let (classes, background) = (self.op.classes, self.classes - self.op.classes);
        let each = self.op.classes_per_detection.min(classes);
        let of_box = |i: usize| &scores[i * self.classes + background..][..classes];
        let orders = order.chunks_exact_mut(classes);
        for (i, (best, order)) in best.iter_mut().zip(orders).enumerate() {
            let scores = of_box(i);
            sort_down(scores, each, order);
            *best = scores[order[0] as usize];
        }
        let chosen = self.suppress(boxes, best, single, self.op.detections);
        for (place, &from) in single.kept[..chosen].iter().enumerate() {
            let from = from as usize;
            for (i, &class) in order[from * classes..][..each].iter().enumerate() {
                let class = class as usize;
                let at = place * self.op.classes_per_detection + i;
                put(at, from, class, of_box(from)[class]);
            }
        }
        chosen
    }

    /// One suppression for each class; the best of all are kept.
    fn regular(
        &self,
        boxes: &[Corners],
        scores: &[f32],
        of_class: &mut [f32],
        single: &mut Single<'_>,
        mut rest: &mut [u32],
        put: &mut impl FnMut(usize, usize, usize, f32),
    ) -> usize {
        let background = self.classes - self.op.classes;
        let room = self.scratch.found;
        let cells = take(&mut rest, room);
        let values: &mut [f32] = bytemuck::cast_slice_mut(take(&mut rest, room));
        let sorted = take(&mut rest, room);
        let sorted_values: &mut [f32] = bytemuck::cast_slice_mut(take(&mut rest, room));
        let mut found = 0;
        for class in 0..self.op.classes {
            let column = class + background;
            for (i, score) in of_class.iter_mut().enumerate() {
                *score = scores[i * self.classes + column];
            }
            let chosen =
                self.suppress(boxes, of_class, single, self.op.per_class.min(self.op.detections));
            for (place, &i) in single.kept[..chosen].iter().enumerate() {
                cells[found + place] = i * self.classes as u32 + column as u32;
                values[found + place] = of_class[i as usize];
            }
            // Both parts are in order; of equal scores those of earlier classes come first.
            let top = (found + chosen).min(self.op.detections);
            let (mut old, mut new) = (0, found);
            for place in 0..top {
                let is_new = new < found + chosen && (old == found || values[new] > values[old]);
                let from = if is_new { &mut new } else { &mut old };
                (sorted[place], sorted_values[place]) = (cells[*from], values[*from]);
                *from += 1;
            }
            cells[..top].copy_from_slice(&sorted[..top]);
            values[..top].copy_from_slice(&sorted_values[..top]);
            found = top;
        }
        for (place, (&cell, &score)) in cells.iter().zip(&*values).take(found).enumerate() {
            let cell = cell as usize;
            put(place, cell / self.classes, cell % self.classes - background, score);
        }
        found
    }
}

/// Writes the places of `values` to `order`, those of the `count` largest first and in order. Of
/// equal ones that comes first which the reference's sort happens to bring first.
fn sort_down(values: &[f32], count: usize, order: &mut [u32]) {
    if count == 1 {
        let mut best = 0;
        for (i, value) in values.iter().enumerate() {
            if *value > values[best] {
                best = i;
            }
        }
        order[0] = best as u32;
        return;
    }
    for (i, place) in order.iter_mut().enumerate() {
        *place = i as u32;
    }
    partial_sort(order, count, |a, b| values[a as usize] > values[b as usize]);
}

/// Area that two boxes share, of the area that they cover together.
fn overlap(a: Corners, b: Corners) -> f32 {
    let area = |[top, left, bottom, right]: Corners| (bottom - top) * (right - left);
    if area(a) <= 0.0 || area(b) <= 0.0 {
        return 0.0;
    }
    let high = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let wide = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let both = high * wide;
    both / (area(a) + area(b) - both)
}
