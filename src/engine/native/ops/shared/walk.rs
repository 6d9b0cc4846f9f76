//! Walks over tensors of different shapes in step: broadcasting, reducing, padding.

use super::super::{Refusal, malformed};
use crate::engine::native::graph::Shape;
use crate::engine::native::limits::RANK_MAX;

/// Rows of an output shape, and where each row begins in two other tensors.
///
/// A row is the last axis. Strides are in elements; 0 repeats.
#[derive(Debug)]
pub(in super::super) struct Walk {
    shape: Vec<usize>,
    strides: [Vec<usize>; 2],
}

/// Where a row begins in each of the two tensors.
pub(in super::super) type Starts = [usize; 2];

impl Walk {
    /// Walks `shape`; `strides` has one stride for each axis and tensor.
    pub(in super::super) fn new(shape: Vec<usize>, strides: [Vec<usize>; 2]) -> Self {
        debug_assert!(shape.len() <= RANK_MAX);
        Self { shape, strides }
    }

    /// The same with as few axes as possible: those that follow one another in both tensors are one.
    pub(in super::super) fn simple(self) -> Self {
        let mut shape: Vec<usize> = Vec::new();
        let mut strides = [Vec::new(), Vec::new()];
        for (axis, &len) in self.shape.iter().enumerate().filter(|(_, len)| **len != 1) {
            let step = [0, 1].map(|t| self.strides[t][axis]);
            let follows = |t: usize| {
                let last: Option<&usize> = strides[t].last();
                last.copied() == step[t].checked_mul(len)
            };
            let joined = follows(0) && follows(1);
            match shape.last_mut() {
                Some(last) if joined => *last = last.saturating_mul(len),
                _ => shape.push(len),
            }
            for (strides, step) in strides.iter_mut().zip(step) {
                if joined {
                    strides.pop();
                }
                strides.push(step);
            }
        }
        Self { shape, strides }
    }

    /// Length of a row.
    pub(in super::super) fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Strides within a row.
    pub(in super::super) fn steps(&self) -> [usize; 2] {
        [0, 1].map(|t| self.strides[t].last().copied().unwrap_or(0))
    }

    /// Where the first row begins, to be moved on by [`Walk::next`].
    #[inline(always)]
    pub(in super::super) fn first(&self) -> Place {
        Place { at: [0; RANK_MAX], starts: [0; 2] }
    }

    /// Moves on to the next row; false after the last one.
    #[inline(always)]
    pub(in super::super) fn next(&self, place: &mut Place) -> bool {
        for axis in (0..self.shape.len().saturating_sub(1)).rev() {
            place.at[axis] += 1;
            for (start, strides) in place.starts.iter_mut().zip(&self.strides) {
                *start += strides[axis];
            }
            if place.at[axis] < self.shape[axis] {
                return true;
            }
            for (start, strides) in place.starts.iter_mut().zip(&self.strides) {
                *start -= strides[axis] * place.at[axis];
            }
            place.at[axis] = 0;
        }
        false
    }

    /// Calls `each` for every row in order.
    pub(in super::super) fn rows(&self, mut each: impl FnMut(Starts)) {
        let mut place = self.first();
        loop {
            each(place.starts);
            if !self.next(&mut place) {
                return;
            }
        }
    }
}

/// A row of a [`Walk`].
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Place {
    at: [usize; RANK_MAX],
    pub(in super::super) starts: Starts,
}

/// Strides of a dense tensor of `shape`. Those of an empty one may mean nothing.
pub(in super::super) fn dense(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = usize::saturating_mul(strides[axis], shape[axis]);
    }
    strides
}

/// The shape that `a` and `b` broadcast to.
pub(in super::super) fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Shape, Refusal> {
    let rank = a.len().max(b.len());
    let len = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis])
    };
    let axis = |axis| match (len(a, axis), len(b, axis)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(malformed(format!("{a:?} and {b:?} do not fit each other"))),
    };
    (0..rank).map(axis).collect()
}

/// Strides that repeat a tensor of shape `from` over `shape`; `None` where it does not fit.
pub(in super::super) fn broadcast(from: &[usize], shape: &[usize]) -> Option<Vec<usize>> {
    let missing = shape.len().checked_sub(from.len())?;
    let mut strides = vec![0; missing];
    for ((&len, stride), &wanted) in from.iter().zip(dense(from)).zip(&shape[missing..]) {
        match len {
            1 => strides.push(0),
            len if len == wanted => strides.push(stride),
            _ => return None,
        }
    }
    Some(strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_repeats_along_broadcast_axes() {
        let shape = [2, 3, 4];
        let a = broadcast(&[2, 1, 4], &shape).unwrap();
        let b = broadcast(&[3, 1], &shape).unwrap();
        let walk = Walk::new(shape.to_vec(), [a, b]);
        let mut seen = Vec::new();
        walk.rows(|starts| seen.push(starts));
        assert_eq!(seen, [[0, 0], [0, 1], [0, 2], [4, 0], [4, 1], [4, 2]]);
        assert_eq!((walk.row(), walk.steps()), (4, [1, 0]));
    }

    #[test]
    fn axes_that_follow_one_another_in_both_tensors_become_one() {
        let simple = |shape: &[usize], a: &[usize], b: &[usize]| {
            let strides = [a, b].map(|from| broadcast(from, shape).unwrap());
            let walk = Walk::new(shape.to_vec(), strides).simple();
            (walk.shape.clone(), walk.steps())
        };
        assert_eq!(simple(&[2, 3, 4], &[2, 3, 4], &[2, 3, 4]), (vec![24], [1, 1]));
        assert_eq!(simple(&[2, 3, 4], &[2, 3, 4], &[1]), (vec![24], [1, 0]));
        assert_eq!(simple(&[1, 6, 4], &[6, 4], &[4]), (vec![6, 4], [1, 1]));
        assert_eq!(simple(&[2, 3, 4], &[2, 1, 1], &[2, 3, 4]), (vec![2, 12], [0, 1]));
        assert_eq!(simple(&[1, 1], &[1], &[1, 1]), (vec![], [0, 0]));
    }

    #[test]
    fn a_scalar_is_one_row() {
        let mut rows = 0;
        Walk::new(vec![], [vec![], vec![]]).rows(|_| rows += 1);
        assert_eq!(rows, 1);
    }

    #[test]
    fn shapes_that_do_not_fit_are_told() {
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(broadcast(&[1, 3], &[3]), None);
        assert!(broadcast_shape(&[2], &[3]).is_err());
        assert_eq!(broadcast_shape(&[2, 1], &[1, 4]).unwrap(), [2, 4]);
        assert_eq!(broadcast_shape(&[], &[4]).unwrap(), [4]);
    }
}
