//! Walks over tensors of different shapes in step.

use crate::engine::native::limits::RANK_MAX;
use crate::engine::native::ops::{Refusal, malformed};

/// Strides of a dense tensor of `shape`, in elements.
pub(in super::super) fn dense(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The shape that all of `shapes` are repeated to. Source: ONNX, "Broadcasting".
pub(in super::super) fn broadcast_shape(shapes: &[&[usize]]) -> Result<Vec<usize>, Refusal> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut all = vec![1; rank];
    for shape in shapes {
        for (all, &len) in all[rank - shape.len()..].iter_mut().zip(*shape) {
            if *all != len && len != 1 {
                if *all != 1 {
                    return Err(malformed(format!("shapes {shapes:?} do not fit together")));
                }
                *all = len;
            }
        }
    }
    Ok(all)
}

/// Strides that repeat a tensor of shape `from` over `shape`, into which it fits.
pub(super) fn broadcast_strides(from: &[usize], shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; shape.len() - from.len()];
    strides.extend(from.iter().zip(dense(from)).map(|(&len, by)| if len == 1 { 0 } else { by }));
    strides
}

/// Rows of an output, and where each begins in `N` tensors.
#[derive(Debug)]
pub(super) struct Walk<const N: usize> {
    /// Without the last axis.
    outer: Vec<usize>,
    /// Length of a row.
    pub(super) row: usize,
    strides: [Vec<usize>; N],
    /// Strides within a row.
    pub(super) steps: [usize; N],
}

impl<const N: usize> Walk<N> {
    /// Walks `shape` with one list of strides for each tensor.
    pub(super) fn new(shape: &[usize], mut strides: [Vec<usize>; N]) -> Self {
        let mut outer = shape.to_vec();
        let row = outer.pop().unwrap_or(1);
        let steps = std::array::from_fn(|t| strides[t].pop().unwrap_or(0));
        Self { outer, row, strides, steps }
    }

    /// Walks `shape` over tensors of `shapes` that are repeated.
    pub(super) fn broadcast(shape: &[usize], shapes: [&[usize]; N]) -> Self {
        Self::new(shape, shapes.map(|from| broadcast_strides(from, shape)))
    }

    /// Calls `each` with the starts of every row, in order.
    #[inline]
    pub(super) fn rows(&self, mut each: impl FnMut([usize; N])) {
        let mut at = [0; RANK_MAX];
        let mut starts = [0; N];
        loop {
            each(starts);
            let mut axis = self.outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                at[axis] += 1;
                for (start, strides) in starts.iter_mut().zip(&self.strides) {
                    *start += strides[axis];
                }
                if at[axis] < self.outer[axis] {
                    break;
                }
                for (start, strides) in starts.iter_mut().zip(&self.strides) {
                    *start -= strides[axis] * at[axis];
                }
                at[axis] = 0;
            }
        }
    }

    /// Calls `each` for every element with its number and its place in each tensor.
    #[inline]
    pub(super) fn elements(&self, mut each: impl FnMut(usize, [usize; N])) {
        let mut number = 0;
        self.rows(|mut at| {
            for _ in 0..self.row {
                each(number, at);
                number += 1;
                for (at, step) in at.iter_mut().zip(self.steps) {
                    *at += step;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_repeats_along_broadcast_axes() {
        let shape = broadcast_shape(&[&[2, 1, 2], &[3, 1]]).unwrap();
        assert_eq!(shape, [2, 3, 2]);
        let walk = Walk::broadcast(&shape, [&[2, 1, 2], &[3, 1]]);
        let mut seen = Vec::new();
        walk.elements(|_, at| seen.push(at));
        let expected = [[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2]];
        assert_eq!(seen[..6], expected);
        assert_eq!(seen[6], [2, 0]);
        assert!(broadcast_shape(&[&[2], &[3]]).is_err());
    }

    #[test]
    fn a_scalar_is_one_element() {
        let mut count = 0;
        Walk::broadcast(&[], [&[]]).elements(|_, _| count += 1);
        assert_eq!(count, 1);
    }
}
