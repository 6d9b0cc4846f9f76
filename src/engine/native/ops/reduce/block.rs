//! Reductions of axes that lie side by side: nearly all there are.

use super::Fold;
use crate::engine::native::kernels::{Isa, Plain};
use crate::engine::native::memory::Memory;
use crate::engine::native::ops::Kernel;

/// A tensor as `[outer, reduced, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    outer: usize,
    reduced: usize,
    inner: usize,
}

impl Block {
    /// `shape` with its `reduced` axes in the middle, if they lie side by side.
    pub(super) fn of(shape: &[usize], reduced: &[bool]) -> Option<Self> {
        let mut block = Self { outer: 1, reduced: 1, inner: 1 };
        for (&len, &reduced) in shape.iter().zip(reduced).filter(|(len, _)| **len != 1) {
            match reduced {
                true if block.inner > 1 => return None,
                true => block.reduced *= len,
                false if block.reduced > 1 => block.inner *= len,
                false => block.outer *= len,
            }
        }
        Some(block)
    }
}

#[derive(Debug)]
pub(super) struct BlockKernel<F> {
    pub(super) isa: Isa,
    pub(super) block: Block,
    pub(super) fold: F,
}

impl<F: Fold> Kernel for BlockKernel<F> {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<F::X, F::Y>();
        let run = Run { kernel: self, x, y };
        if F::VECTORS {
            self.isa.run(run);
        } else {
            run.run();
        }
    }
}

/// One run over all elements.
struct Run<'a, F: Fold> {
    kernel: &'a BlockKernel<F>,
    x: &'a [F::X],
    y: &'a mut [F::Y],
}

/// Sums that are made at once.
const LANES: usize = 32;
/// Rows that are summed at once.
const ROWS: usize = 8;

impl<F: Fold> Plain for Run<'_, F> {
    #[inline(always)]
    fn run(self) {
        // Copied, so that they lie in registers.
        let Self { kernel: &BlockKernel { block, fold, .. }, x, y } = self;
        if block.inner == 1 {
            return rows(fold, block.reduced, x, y);
        }
        let blocks = x.chunks_exact(block.reduced * block.inner);
        for (x, y) in blocks.zip(y.chunks_exact_mut(block.inner)) {
            columns(fold, x, y);
        }
    }
}

/// Each row, of `len` elements, into one.
#[inline(always)]
fn rows<F: Fold>(fold: F, len: usize, x: &[F::X], y: &mut [F::Y]) {
    let mut done = 0;
    if F::IN_ORDER {
        // Sums of floats wait for one another: several rows at once do not.
        let blocks = y.as_chunks_mut::<ROWS>().0.iter_mut().zip(x.chunks_exact(ROWS * len));
        for (y, x) in blocks {
            let mut sums = [F::START; ROWS];
            for i in 0..len {
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum = fold.add(*sum, x[row * len + i]);
                }
            }
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = fold.end(sum);
            }
            done += ROWS;
        }
    }
    for (y, x) in y[done..].iter_mut().zip(x[done * len..].chunks_exact(len)) {
        let mut sum = F::START;
        for &x in x {
            sum = fold.add(sum, x);
        }
        *y = fold.end(sum);
    }
}

/// Why a block of columns is there.
const INSIDE: &str = "a row has so many";

/// All rows of `x`, as long as `y`, into one.
#[inline(always)]
fn columns<F: Fold>(fold: F, x: &[F::X], y: &mut [F::Y]) {
    let len = y.len();
    let mut first = 0;
    while first + LANES <= len {
        let mut sums = [F::START; LANES];
        for x in x.chunks_exact(len) {
            let x: &[F::X; LANES] = x[first..].first_chunk().expect(INSIDE);
            for (sum, &x) in sums.iter_mut().zip(x) {
                *sum = fold.add(*sum, x);
            }
        }
        for (y, &sum) in y[first..first + LANES].iter_mut().zip(&sums) {
            *y = fold.end(sum);
        }
        first += LANES;
    }
    let y = &mut y[first..];
    let mut sums = [F::START; LANES];
    let sums = &mut sums[..y.len()];
    for x in x.chunks_exact(len) {
        for (sum, &x) in sums.iter_mut().zip(&x[first..]) {
            *sum = fold.add(*sum, x);
        }
    }
    for (y, &mut sum) in y.iter_mut().zip(sums) {
        *y = fold.end(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_side_by_side_are_one() {
        let of = |shape: &[usize], reduced: &[bool]| {
            Block::of(shape, reduced).map(|block| [block.outer, block.reduced, block.inner])
        };
        assert_eq!(of(&[2, 7, 5, 3], &[false, true, true, false]), Some([2, 35, 3]));
        assert_eq!(of(&[2, 7, 5, 3], &[false, true, false, true]), None);
        assert_eq!(of(&[2, 7, 1, 3], &[false, true, false, true]), Some([2, 21, 1]));
        assert_eq!(of(&[2, 3], &[true, true]), Some([1, 6, 1]));
        assert_eq!(of(&[], &[]), Some([1, 1, 1]));
        assert_eq!(of(&[1, 5], &[true, false]), Some([5, 1, 1]));
    }
}
