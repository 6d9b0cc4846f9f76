//! Axes in another order.

use super::shared::moves::{End, Move, moved, same_meaning8};
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, axis_of, malformed};
use crate::engine::native::graph::Shape;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "TRANSPOSE",
    options: 26,
    lower: |_| Ok(Box::new(Transpose)),
    kinds: Kind::ANY,
    attributes: &[],
}];

/// Axis `i` of the output is axis `order[i]` of the input; `order` is the constant second input.
#[derive(Debug)]
pub(super) struct Transpose;

fn order(site: &Site<'_>) -> Result<Vec<usize>, Refusal> {
    let rank = site.input(0)?.shape.len();
    let told = site.integers(1)?;
    let wrong = || malformed(format!("order {told:?} of {rank} axes"));
    if told.len() != rank {
        return Err(wrong());
    }
    let order = told.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let all = (0..rank).all(|axis| order.contains(&axis));
    if all { Ok(order) } else { Err(wrong()) }
}

impl Operator for Transpose {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let x = site.input(0)?;
        Ok(vec![order(site)?.into_iter().map(|axis| x.shape[axis]).collect()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        same_meaning8(x, y)?;
        let own = End::dense(&x.shape).strides;
        let strides = order(site)?.into_iter().map(|axis| own[axis]).collect();
        let from = End { start: 0, strides };
        moved(site, None, vec![Move::new(y.shape.clone(), from, End::dense(&y.shape))])
    }
}
