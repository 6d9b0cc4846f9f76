//! The shape that two shapes broadcast to.

use super::shared::index::{Index, index_of};
use super::shared::moves::same_type;
use super::shared::walk::broadcast_shape;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed};
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "BROADCAST_ARGS",
    options: 0,
    lower: |_| Ok(Box::new(BroadcastArgs)),
    kinds: &[Kind::Int32, Kind::Int64],
    attributes: &[],
}];

/// Both inputs are shapes, counted from their ends. Lengths that do not fit each other are refused where
/// they are constant; at run time the first input's is taken, where LiteRT's run fails.
#[derive(Debug)]
pub(super) struct BroadcastArgs;

impl Operator for BroadcastArgs {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        match (&site.input(0)?.shape[..], &site.input(1)?.shape[..]) {
            (&[a], &[b]) => Ok(vec![vec![a.max(b)]]),
            (a, b) => Err(malformed(format!("shapes that are {a:?} and {b:?}"))),
        }
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        same_type(a, y)?;
        same_type(b, y)?;
        if a.data.is_some() && b.data.is_some() {
            let shape = |told: Vec<i64>| {
                let shape: Result<Shape, _> =
                    told.iter().map(|&len| usize::try_from(len)).collect();
                shape.map_err(|_| malformed(format!("a shape of {told:?}")))
            };
            broadcast_shape(&shape(site.integers(0)?)?, &shape(site.integers(1)?)?)?;
        }
        let index = index_of(y)?;
        let kernel = BroadcastArgsKernel { index, width: width(y.dtype).unwrap_or(4) };
        Ok(Step { reads: vec![0, 1], ..Step::new(kernel, y.elements()) }.into())
    }
}

#[derive(Debug)]
struct BroadcastArgsKernel {
    index: Index,
    width: usize,
}

impl Kernel for BroadcastArgsKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([a, b], [y], _) = memory.parts();
        let (rank, width) = (y.len() / self.width, self.width);
        let place = |shape: &[u8], axis: usize| (axis + shape.len() / width).checked_sub(rank);
        for (axis, y) in y.chunks_exact_mut(width).enumerate() {
            let [of_a, of_b] = [a, b].map(|shape| place(shape, axis));
            let from = match (of_a, of_b) {
                (Some(i), Some(j)) if self.index.at(a, i) == 1 => &b[j * width..],
                (Some(i), _) => &a[i * width..],
                (None, Some(j)) => &b[j * width..],
                (None, None) => continue,
            };
            y.copy_from_slice(&from[..width]);
        }
    }
}
