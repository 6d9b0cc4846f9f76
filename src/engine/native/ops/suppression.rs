//! Non-maximum suppression: the boxes with the highest scores that do not overlap too much.

use super::shared::heap;
use super::shared::scratch::scratch_for;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "NON_MAX_SUPPRESSION_V4",
        options: 95,
        lower: |_| Ok(Box::new(Suppression { soft: false })),
        kinds: &[Kind::Float32],
        attributes: &[],
    },
    Entry {
        name: "NON_MAX_SUPPRESSION_V5",
        options: 96,
        lower: |_| Ok(Box::new(Suppression { soft: true })),
        kinds: &[Kind::Float32],
        attributes: &[],
    },
];

/// Inputs: boxes `[n, 4]` as two opposite corners (y, x, y, x), scores `[n]`, the constant number of
/// outputs, the overlap from which a box is dropped, the score that a box has to exceed, and, where
/// `soft`, how fast scores fall with overlap. Outputs: places of the chosen boxes, where `soft` their
/// scores, and how many they are; zeros follow.
#[derive(Debug)]
pub(super) struct Suppression {
    pub(super) soft: bool,
}

/// A box that may yet be chosen.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    place: u32,
    score: f32,
    /// How many of the chosen boxes it was compared with.
    compared: u32,
}

/// A candidate as it lies in the scratch.
type Packed = [u32; 3];

impl Candidate {
    fn pack(self) -> Packed {
        [self.place, self.score.to_bits(), self.compared]
    }

    fn unpack([place, score, compared]: Packed) -> Self {
        Self { place, score: f32::from_bits(score), compared }
    }
}

#[derive(Debug)]
struct SoftKernel;

#[derive(Debug)]
struct HardKernel;

impl Operator for Suppression {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (boxes, scores) = (site.input(0)?, site.input(1)?);
        if boxes.shape.len() != 2 || boxes.shape[1] != 4 || scores.shape != boxes.shape[..1] {
            let why = format!("boxes {:?} with scores {:?}", boxes.shape, scores.shape);
            return Err(malformed(why));
        }
        let count = site.integer(2)?;
        let count = usize::try_from(count).ok().filter(|&count| i32::try_from(count).is_ok());
        let count = count.ok_or_else(|| malformed("a number of outputs that cannot be"))?;
        let chosen = vec![count];
        Ok(if self.soft { vec![chosen.clone(), chosen, vec![]] } else { vec![chosen, vec![]] })
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let parameters = if self.soft { 3..6 } else { 3..5 };
        for input in [0, 1].into_iter().chain(parameters.clone()) {
            let value = site.input(input)?;
            if value.dtype != DType::F32 {
                return Err(unsupported(format!("input {input} of {}", value.dtype)));
            }
            if input > 1 && value.elements() != 1 {
                return Err(malformed(format!("input {input} has shape {:?}", value.shape)));
            }
        }
        let types: Vec<DType> = (0..site.node.outputs.len())
            .map(|output| site.output_at(output).map(|value| value.dtype))
            .collect::<Result<_, _>>()?;
        let wanted: &[DType] = if self.soft {
            &[DType::I32, DType::F32, DType::I32]
        } else {
            &[DType::I32, DType::I32]
        };
        if types != wanted {
            return Err(malformed(format!("outputs of {types:?}")));
        }
        let boxes = site.input(1)?.elements();
        let chosen = site.output_at(0)?.elements().min(boxes);
        let scratch = scratch_for::<Packed>(boxes)?;
        let rounds = (boxes as u64).saturating_mul(chosen as u64 + 1);
        let work = rounds.saturating_mul(1 + u64::from(boxes.max(1).ilog2()));
        let step = if self.soft { Step::new(SoftKernel, 0) } else { Step::new(HardKernel, 0) };
        let reads = [0, 1].into_iter().chain(parameters).collect();
        Ok(Step { reads, scratch, work, ..step }.into())
    }
}

impl Kernel for HardKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([boxes, scores, overlap, least], [places, count], scratch) = memory.parts();
        let limits = Limits { overlap: first(overlap), least: first(least), sigma: 0.0 };
        let heap = bytemuck::cast_slice_mut(scratch);
        let places: &mut [u32] = bytemuck::cast_slice_mut(places);
        let (boxes, scores) = (bytemuck::cast_slice(boxes), bytemuck::cast_slice(scores));
        let chosen = limits.choose(boxes, scores, heap, places, |_, _| ());
        bytemuck::cast_slice_mut(count).fill(chosen as u32);
    }
}

impl Kernel for SoftKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([boxes, scores, overlap, least, sigma], [places, kept, count], scratch) =
            memory.parts();
        let limits = Limits { overlap: first(overlap), least: first(least), sigma: first(sigma) };
        let heap = bytemuck::cast_slice_mut(scratch);
        let kept: &mut [f32] = bytemuck::cast_slice_mut(kept);
        kept.fill(0.0);
        let places: &mut [u32] = bytemuck::cast_slice_mut(places);
        let (boxes, scores) = (bytemuck::cast_slice(boxes), bytemuck::cast_slice(scores));
        let chosen = limits.choose(boxes, scores, heap, places, |i, score| kept[i] = score);
        bytemuck::cast_slice_mut(count).fill(chosen as u32);
    }
}

fn first(value: &[u8]) -> f32 {
    bytemuck::cast_slice(value).first().copied().unwrap_or(0.0)
}

/// What a box has to keep to.
#[derive(Clone, Copy, Debug)]
struct Limits {
    overlap: f32,
    least: f32,
    /// 0: scores do not fall.
    sigma: f32,
}

impl Limits {
    /// Fills `places` and tells how many were chosen; `keep` takes the score of each.
    fn choose(
        &self,
        boxes: &[[f32; 4]],
        scores: &[f32],
        heap: &mut [Packed],
        places: &mut [u32],
        mut keep: impl FnMut(usize, f32),
    ) -> usize {
        let less = |a, b| Candidate::unpack(a).score < Candidate::unpack(b).score;
        let mut len = 0;
        for (place, &score) in scores.iter().enumerate().filter(|(_, score)| **score > self.least) {
            heap[len] = Candidate { place: place as u32, score, compared: 0 }.pack();
            len += 1;
            heap::push(&mut heap[..len], less);
        }
        let wanted = len.min(places.len());
        let fall = if self.sigma > 0.0 { -0.5 / self.sigma } else { 0.0 };
        places.fill(0);
        let mut chosen = 0;
        while chosen < wanted && len > 0 {
            heap::pop(&mut heap[..len], less);
            len -= 1;
            let mut next = Candidate::unpack(heap[len]);
            let before = next.score;
            let mut dropped = false;
            for &other in places[next.compared as usize..chosen].iter().rev() {
                let shared = overlap(boxes[next.place as usize], boxes[other as usize]);
                if shared >= self.overlap {
                    dropped = true;
                    break;
                }
                if self.sigma > 0.0 {
                    next.score *= libm::exp(f64::from(fall * shared * shared)) as f32;
                }
                if next.score <= self.least {
                    break;
                }
            }
            next.compared = chosen as u32;
            if dropped {
                continue;
            }
            if next.score == before {
                places[chosen] = next.place;
                keep(chosen, next.score);
                chosen += 1;
            }
            // Also a box that was just chosen: it overlaps itself and is dropped, unless it is
            // empty. The reference does so, and the order of equal scores follows from it.
            if next.score > self.least {
                heap[len] = next.pack();
                len += 1;
                heap::push(&mut heap[..len], less);
            }
        }
        chosen
    }
}

/// Area that two boxes share, of the area that they cover together.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let sorted = |[y, x, y2, x2]: [f32; 4]| [y.min(y2), x.min(x2), y.max(y2), x.max(x2)];
    let ([top, left, bottom, right], [top_b, left_b, bottom_b, right_b]) = (sorted(a), sorted(b));
    let area = (bottom - top) * (right - left);
    let area_b = (bottom_b - top_b) * (right_b - left_b);
    if area <= 0.0 || area_b <= 0.0 {
        return 0.0;
    }
    let high = (bottom.min(bottom_b) - top.max(top_b)).max(0.0);
    let wide = (right.min(right_b) - left.max(left_b)).max(0.0);
    let both = high * wide;
    let together = area + area_b - both;
    if together == 0.0 { 0.0 } else { both / together }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_shares_of_the_union() {
        assert_eq!(overlap([0.0, 0.0, 2.0, 2.0], [2.0, 1.0, 0.0, 3.0]), 1.0 / 3.0);
        assert_eq!(overlap([0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 2.0, 2.0]), 0.0);
        assert_eq!(overlap([0.0; 4], [0.0; 4]), 0.0);
    }
}
