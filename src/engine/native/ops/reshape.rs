//! The same elements under another shape: nothing is moved.

use super::shared::moves::{End, Move, moved, same_meaning};
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, axis_of, malformed};
use crate::engine::native::graph::Shape;
use crate::engine::native::tflite::Options;

const ANY: &[Kind] =
    &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16, Kind::Int32, Kind::Int64, Kind::Bool];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "RESHAPE",
        options: 17,
        lower: |options| Ok(Box::new(Reshape::To { shape: read_shape(options)? })),
        kinds: ANY,
        attributes: &[],
    },
    Entry {
        name: "EXPAND_DIMS",
        options: 0,
        lower: |_| Ok(Box::new(Reshape::Expand)),
        kinds: ANY,
        attributes: &[],
    },
    Entry {
        name: "SQUEEZE",
        options: 30,
        // SqueezeOptions: axes.
        lower: |options| Ok(Box::new(Reshape::Squeeze { axes: options.integers(0)? })),
        kinds: ANY,
        attributes: &[],
    },
];

/// How the new shape is told.
#[derive(Debug)]
pub(super) enum Reshape {
    /// By the constant second input, or by `shape` without one; one dimension may be -1.
    To { shape: Vec<i64> },
    /// A dimension of 1 at the axis in the constant second input.
    Expand,
    /// Without these dimensions of 1; without any of them where the list is empty.
    Squeeze { axes: Vec<i64> },
}

fn read_shape(options: &Options<'_>) -> Result<Vec<i64>, Refusal> {
    // ReshapeOptions: new shape.
    options.integers(0)
}

impl Operator for Reshape {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let x = site.input(0)?;
        let shape = match self {
            Self::To { shape } => {
                let told =
                    if site.optional(1).is_some() { site.integers(1)? } else { shape.clone() };
                resolve(&told, x.elements())?
            }
            Self::Expand => {
                let mut shape = x.shape.clone();
                shape.insert(axis_of(site.integer(1)?, x.shape.len() + 1)?, 1);
                shape
            }
            Self::Squeeze { axes } => squeeze(axes, &x.shape)?,
        };
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.elements() != y.elements() || x.dtype != y.dtype {
            let (from, to) = ((x.dtype, &x.shape), (y.dtype, &y.shape));
            return Err(malformed(format!("{from:?} cannot become {to:?}")));
        }
        if let Self::Expand = self {
            same_meaning(x, y)?;
        }
        let whole = || End::dense(&x.shape);
        moved(site, None, vec![Move::new(x.shape.clone(), whole(), whole())])
    }
}

/// `told` with its -1 replaced so that it holds `elements`.
fn resolve(told: &[i64], elements: usize) -> Result<Shape, Refusal> {
    // Old files say a scalar so.
    if told == [0] && elements == 1 {
        return Ok(Shape::new());
    }
    let wrong = || malformed(format!("{elements} elements cannot take the shape {told:?}"));
    let mut known = 1usize;
    for &dim in told.iter().filter(|&&dim| dim != -1) {
        let dim = usize::try_from(dim).ok().filter(|&dim| dim > 0).ok_or_else(wrong)?;
        known = known.checked_mul(dim).ok_or_else(wrong)?;
    }
    let free = told.iter().filter(|&&dim| dim == -1).count();
    if free > 1 || !elements.is_multiple_of(known) || (free == 0 && known != elements) {
        return Err(wrong());
    }
    Ok(told.iter().map(|&dim| usize::try_from(dim).unwrap_or(elements / known)).collect())
}

fn squeeze(axes: &[i64], shape: &[usize]) -> Result<Shape, Refusal> {
    let mut drop = vec![axes.is_empty(); shape.len()];
    for &axis in axes {
        let axis = axis_of(axis, shape.len())?;
        if shape[axis] != 1 {
            return Err(malformed(format!("axis {axis} of {shape:?} is not 1 long")));
        }
        drop[axis] = true;
    }
    let kept = shape.iter().zip(drop).filter(|(len, drop)| !drop || **len != 1);
    Ok(kept.map(|(&len, _)| len).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dimension_may_be_left_to_follow() {
        assert_eq!(resolve(&[2, -1], 6).unwrap(), [2, 3]);
        assert_eq!(resolve(&[], 1).unwrap(), Shape::new());
        for wrong in [&[4, -1][..], &[-1, -1], &[2, 2], &[0, -1], &[i64::MAX, i64::MAX]] {
            assert!(resolve(wrong, 6).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn squeezing_takes_all_ones_or_those_named() {
        assert_eq!(squeeze(&[], &[1, 2, 1]).unwrap(), [2]);
        assert_eq!(squeeze(&[-1], &[1, 2, 1]).unwrap(), [1, 2]);
        assert!(squeeze(&[1], &[1, 2, 1]).is_err());
    }
}
