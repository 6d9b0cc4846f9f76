//! One tensor taken apart.

use super::shared::moves::{End, Move, moved, same_meaning, same_meaning8};
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, axis_of, malformed};
use crate::engine::native::graph::{Shape, Value};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "SPLIT",
        options: 35,
        lower: |_| Ok(Box::new(Split::Evenly)),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
    Entry {
        name: "SPLIT_V",
        options: 79,
        lower: |_| Ok(Box::new(Split::Sizes)),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
    Entry {
        name: "UNPACK",
        options: 64,
        // UnpackOptions: count, axis.
        lower: |options| Ok(Box::new(Split::Unpack { axis: options.int(1, 0)?.into() })),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16, Kind::Int32, Kind::Bool],
        attributes: &[],
    },
];

/// Outputs one after the other along an axis of the input.
#[derive(Debug)]
pub(super) enum Split {
    /// The second input in equal parts along the axis in the constant first one.
    Evenly,
    /// The first input in parts as long as the constant second one says, of which one may be -1,
    /// along the axis in the constant third.
    Sizes,
    /// Single elements along `axis`, which the outputs lack.
    Unpack { axis: i64 },
}

impl Split {
    /// The node's input that is taken apart.
    fn whole(&self) -> usize {
        match self {
            Self::Evenly => 1,
            Self::Sizes | Self::Unpack { .. } => 0,
        }
    }

    /// The axis, and the length of each part along it.
    fn parts(&self, site: &Site<'_>) -> Result<(usize, Vec<usize>), Refusal> {
        let shape = &site.input(self.whole())?.shape;
        let count = site.node.outputs.len();
        let axis = match *self {
            Self::Evenly => site.integer(0)?,
            Self::Sizes => site.integer(2)?,
            Self::Unpack { axis } => axis,
        };
        let axis = axis_of(axis, shape.len())?;
        let wrong = || malformed(format!("{shape:?} in {count} parts along axis {axis}"));
        let parts = match self {
            Self::Evenly if count > 0 && shape[axis].is_multiple_of(count) => {
                vec![shape[axis] / count; count]
            }
            Self::Sizes => sizes(&site.integers(1)?, shape[axis]).ok_or_else(wrong)?,
            Self::Unpack { .. } if shape[axis] == count => vec![1; count],
            Self::Evenly | Self::Unpack { .. } => return Err(wrong()),
        };
        if parts.len() == count { Ok((axis, parts)) } else { Err(wrong()) }
    }
}

/// `told` with its -1 replaced so that all of `len` is used.
fn sizes(told: &[i64], len: usize) -> Option<Vec<usize>> {
    let mut sizes = told.iter().filter(|&&size| size != -1).map(|&size| usize::try_from(size));
    let known = sizes.try_fold(0usize, |sum, size| sum.checked_add(size.ok()?))?;
    let rest = len.checked_sub(known)?;
    let free = told.iter().filter(|&&size| size == -1).count();
    let fits = free == 1 || (free == 0 && rest == 0);
    fits.then(|| told.iter().map(|&size| usize::try_from(size).unwrap_or(rest)).collect())
}

impl Operator for Split {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (axis, parts) = self.parts(site)?;
        let Value { shape, .. } = site.input(self.whole())?;
        let part = |len| {
            let mut shape = shape.clone();
            match self {
                Self::Unpack { .. } => drop(shape.remove(axis)),
                Self::Evenly | Self::Sizes => shape[axis] = len,
            }
            shape
        };
        Ok(parts.into_iter().map(part).collect())
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (axis, parts) = self.parts(site)?;
        let input = self.whole();
        let x = site.input(input)?;
        let mut from = End::dense(&x.shape);
        let mut moves = Vec::with_capacity(parts.len());
        for (output, len) in parts.into_iter().enumerate() {
            let y = site.output_at(output)?;
            match self {
                Self::Evenly => same_meaning8(x, y)?,
                Self::Unpack { .. } => same_meaning(x, y)?,
                Self::Sizes => {}
            }
            let mut shape = x.shape.clone();
            shape[axis] = len;
            let to = End::dense(&shape);
            moves.push(Move { input, output, ..Move::new(shape, from.clone(), to) });
            from.skip(axis, len);
        }
        moved(site, None, moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_may_be_left_to_follow() {
        assert_eq!(sizes(&[2, -1, 1], 7), Some(vec![2, 4, 1]));
        assert_eq!(sizes(&[2, 5], 7), Some(vec![2, 5]));
        for wrong in [&[-1, -1][..], &[8, -1], &[2, 4], &[-2, 9], &[i64::MAX, i64::MAX, 3]] {
            assert_eq!(sizes(wrong, 7), None, "{wrong:?}");
        }
    }
}
