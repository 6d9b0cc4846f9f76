//! Elements in the opposite order.

use super::shared::index::{Index, index_of};
use super::shared::moves::{End, Move, moved, same_type};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, axis_of, malformed};
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "REVERSE_V2",
        options: 81,
        lower: |_| Ok(Box::new(Reverse)),
        kinds: Kind::ANY,
        attributes: &[],
    },
    Entry {
        name: "REVERSE_SEQUENCE",
        options: 87,
        // ReverseSequenceOptions: axis of the sequence, axis of the batch.
        lower: |options| {
            let (sequence, batch) = (options.int(0, 0)?.into(), options.int(1, 0)?.into());
            Ok(Box::new(ReverseSequence { sequence, batch }))
        },
        kinds: &[Kind::Float32, Kind::Uint8, Kind::Int16, Kind::Int32, Kind::Int64],
        attributes: &[],
    },
];

/// Along the axes in the constant second input.
#[derive(Debug)]
pub(super) struct Reverse;

/// The beginning of each sequence, as far as the second input says for its place in the batch; what
/// follows stays. A length outside the sequence is brought inside.
#[derive(Debug)]
pub(super) struct ReverseSequence {
    pub(super) sequence: i64,
    pub(super) batch: i64,
}

impl Operator for Reverse {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let x = site.input(0)?;
        let mut from = End::dense(&x.shape);
        let mut turned = vec![false; x.shape.len()];
        for axis in site.integers(1)? {
            turned[axis_of(axis, x.shape.len())?] = true;
        }
        for axis in (0..x.shape.len()).filter(|&axis| turned[axis] && x.shape[axis] > 0) {
            from.skip(axis, x.shape[axis] - 1);
            from.strides[axis] = from.strides[axis].wrapping_neg();
        }
        moved(site, None, vec![Move::new(x.shape.clone(), from, End::dense(&x.shape))])
    }
}

impl Operator for ReverseSequence {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, lengths, y) = (site.input(0)?, site.input(1)?, site.output()?);
        same_type(x, y)?;
        let rank = x.shape.len();
        let (sequence, batch) = (axis_of(self.sequence, rank)?, axis_of(self.batch, rank)?);
        if sequence == batch || lengths.elements() != x.shape[batch] || x.elements() == 0 {
            let (shape, lengths) = (&x.shape, &lengths.shape);
            let why = format!("axes {sequence} and {batch} of {shape:?}, lengths {lengths:?}");
            return Err(malformed(why));
        }
        let between = |from: usize, to: usize| x.shape[from..to].iter().product::<usize>();
        let (first, second) = (sequence.min(batch), sequence.max(batch));
        let kernel = ReverseSequenceKernel {
            lengths: index_of(lengths)?,
            sequence_first: sequence < batch,
            shape: [
                between(0, first),
                x.shape[first],
                between(first + 1, second),
                x.shape[second],
                between(second + 1, rank) * width(x.dtype).unwrap_or(1),
            ],
        };
        Ok(Step { reads: vec![0, 1], ..Step::new(kernel, x.elements()) }.into())
    }
}

#[derive(Debug)]
struct ReverseSequenceKernel {
    lengths: Index,
    sequence_first: bool,
    /// Before, the first of both axes, between, the second, bytes after it.
    shape: [usize; 5],
}

impl Kernel for ReverseSequenceKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x, lengths], [y], _) = memory.parts();
        let [_, first, between, second, bytes] = self.shape;
        let sequence = if self.sequence_first { first } else { second };
        for (row, y) in y.chunks_exact_mut(bytes).enumerate() {
            let (a, m, b) =
                (row / (second * between) % first, row / second % between, row % second);
            let (at, batch) = if self.sequence_first { (a, b) } else { (b, a) };
            let len = usize::try_from(self.lengths.at(lengths, batch)).unwrap_or(0).min(sequence);
            let at = if at < len { len - 1 - at } else { at };
            let (a, b) = if self.sequence_first { (at, b) } else { (a, at) };
            let before = row / (second * between * first);
            let from = (((before * first + a) * between + m) * second + b) * bytes;
            y.copy_from_slice(&x[from..from + bytes]);
        }
    }
}
