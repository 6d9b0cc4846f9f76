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

    /// Length of a row.
    pub(in super::super) fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Strides within a row.
    pub(in super::super) fn steps(&self) -> [usize; 2] {
        [0, 1].map(|t| self.strides[t].last().copied().unwrap_or(0))
    }

    /// Calls `each` for every row in order.
    pub(in super::super) fn rows(&self, mut each: impl FnMut(Starts)) {
        let outer = self.shape.len().saturating_sub(1);
        let mut at = [0; RANK_MAX];
        let mut starts = [0; 2];
        loop {
            each(starts);
            let mut axis = outer;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                at[axis] += 1;
                for (start, strides) in starts.iter_mut().zip(&self.strides) {
                    *start += strides[axis];
                }
                if at[axis] < self.shape[axis] {
                    break;
                }
                for (start, strides) in starts.iter_mut().zip(&self.strides) {
                    *start -= strides[axis] * at[axis];
                }
                at[axis] = 0;
            }
        }
    }
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
