//! Elements repeated: tiles, broadcasts, fills.

use super::shared::moves::{End, Move, moved, nothing};
use super::shared::walk::broadcast;
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, malformed};
use crate::engine::native::graph::Shape;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "TILE",
        options: 51,
        lower: |_| Ok(Box::new(Repeat::Tile)),
        kinds: Kind::ANY,
        attributes: &[],
    },
    Entry {
        name: "BROADCAST_TO",
        options: 104,
        lower: |_| Ok(Box::new(Repeat::BroadcastTo)),
        kinds: Kind::ANY,
        attributes: &[],
    },
    Entry {
        name: "FILL",
        options: 68,
        lower: |_| Ok(Box::new(Repeat::Fill)),
        kinds: Kind::ANY,
        attributes: &[],
    },
    Entry {
        name: "ZEROS_LIKE",
        options: 67,
        lower: |_| Ok(Box::new(Repeat::Zeros)),
        kinds: &[Kind::Float32, Kind::Int32, Kind::Int64],
        attributes: &[],
    },
];

/// What is repeated, and how often.
#[derive(Debug)]
pub(super) enum Repeat {
    /// The first input along each axis as often as the constant second input says.
    Tile,
    /// The first input as NumPy would broadcast it to the shape in the constant second input.
    BroadcastTo,
    /// One element, the second input, all over the shape in the constant first one.
    Fill,
    /// Zero over the shape of the first input.
    Zeros,
}

/// The shape that constant input `index` tells.
fn told(site: &Site<'_>, index: usize) -> Result<Shape, Refusal> {
    let told = site.integers(index)?;
    let shape = told.iter().map(|&len| usize::try_from(len)).collect::<Result<Shape, _>>();
    shape.map_err(|_| malformed(format!("a shape of {told:?}")))
}

impl Operator for Repeat {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let x = site.input(0)?;
        let shape = match self {
            Self::Tile => {
                let times = told(site, 1)?;
                let wrong = || malformed(format!("{:?} repeated {times:?} times", x.shape));
                if times.len() != x.shape.len() {
                    return Err(wrong());
                }
                let axes = x.shape.iter().zip(&times);
                axes.map(|(len, &n)| len.checked_mul(n)).collect::<Option<_>>().ok_or_else(wrong)?
            }
            Self::BroadcastTo => told(site, 1)?,
            Self::Fill => told(site, 0)?,
            Self::Zeros => x.shape.clone(),
        };
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let to = End::dense(&y.shape);
        let area = match self {
            Self::Tile => tile(&x.shape, &told(site, 1)?, &to),
            Self::BroadcastTo => {
                let fit =
                    || malformed(format!("{:?} does not broadcast to {:?}", x.shape, y.shape));
                let strides = broadcast(&x.shape, &y.shape).ok_or_else(fit)?;
                let strides = strides.into_iter().map(|stride| stride as isize).collect();
                Move::new(y.shape.clone(), End { start: 0, strides }, to)
            }
            Self::Fill => {
                let count = site.input(1)?.elements();
                if count != 1 {
                    return Err(malformed(format!("{count} elements to fill with")));
                }
                let from = End { start: 0, strides: vec![0; y.shape.len()] };
                Move { input: 1, ..Move::new(y.shape.clone(), from, to) }
            }
            Self::Zeros => return moved(site, Some(nothing(y)), Vec::new()),
        };
        moved(site, None, vec![area])
    }
}

/// Each axis of the output in two: which repetition, and where in it.
fn tile(x: &[usize], times: &[usize], to: &End) -> Move {
    let own = End::dense(x).strides;
    let (mut shape, mut from, mut into) = (Vec::new(), Vec::new(), Vec::new());
    for (axis, (&len, &n)) in x.iter().zip(times).enumerate() {
        shape.extend([n, len]);
        from.extend([0, own[axis]]);
        into.extend([to.strides[axis].wrapping_mul(len as isize), to.strides[axis]]);
    }
    let [from, into] = [from, into].map(|strides| End { start: 0, strides });
    Move::new(shape, from, into)
}
