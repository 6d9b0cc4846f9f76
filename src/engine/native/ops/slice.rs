//! A box cut out of a tensor, or written into one.

use super::shared::cutout::Cutout;
use super::shared::moves::{End, Move, moved, same_meaning8, same_type};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed};
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "SLICE",
        options: 48,
        lower: |_| Ok(Box::new(Slice)),
        kinds: Kind::ANY,
        attributes: &[],
    },
    Entry {
        name: "DYNAMIC_UPDATE_SLICE",
        options: 117,
        lower: |_| Ok(Box::new(Update)),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Int32, Kind::Int64, Kind::Bool],
        attributes: &[],
    },
];

/// The box that begins at the second input and is as long as the constant third one says; -1 is all
/// that follows.
///
/// A beginning that is computed at run time is brought inside, so that the box is whole; LiteRT fails
/// there.
#[derive(Debug)]
pub(super) struct Slice;

/// The first input with the second one written over it, from where the third one says; brought inside
/// as LiteRT does.
#[derive(Debug)]
pub(super) struct Update;

/// Where a box begins that is known at load.
fn known_begin(site: &Site<'_>) -> Result<Option<Vec<i64>>, Refusal> {
    let known = site.input(1)?.data.is_some();
    if known { site.integers(1).map(Some) } else { Ok(None) }
}

impl Operator for Slice {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let shape = &site.input(0)?.shape;
        let (begin, size) = (known_begin(site)?, site.integers(2)?);
        let wrong = || malformed(format!("{size:?} from {begin:?} of {shape:?}"));
        let ranks = begin.as_ref().map_or(size.len(), Vec::len);
        if size.len() != shape.len() || ranks != shape.len() {
            return Err(wrong());
        }
        let axis = |(axis, &len): (usize, &usize)| {
            let begin = begin.as_ref().map_or(Some(0), |begin| usize::try_from(begin[axis]).ok());
            let rest = len.checked_sub(begin?)?;
            let size = if size[axis] == -1 { rest } else { usize::try_from(size[axis]).ok()? };
            (size <= rest).then_some(size)
        };
        if begin.is_none() && size.contains(&-1) {
            return Err(super::unsupported(
                "a size that follows from a place computed at run time",
            ));
        }
        let cut: Option<Shape> = shape.iter().enumerate().map(axis).collect();
        Ok(vec![cut.ok_or_else(wrong)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        same_meaning8(x, y)?;
        let Some(begin) = known_begin(site)? else {
            let places = (0..x.shape.len()).map(Some).collect();
            return Cutout::new(site, 1, [&x.shape, &y.shape], places)?.cut(site);
        };
        let mut from = End::dense(&x.shape);
        for (axis, &begin) in begin.iter().enumerate() {
            from.skip(axis, usize::try_from(begin).unwrap_or(0));
        }
        moved(site, None, vec![Move::new(y.shape.clone(), from, End::dense(&y.shape))])
    }
}

impl Operator for Update {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, part, y) = (site.input(0)?, site.input(1)?, site.output()?);
        same_type(x, y)?;
        same_type(part, y)?;
        let places = (0..y.shape.len()).map(Some).collect();
        let kernel = UpdateKernel(Cutout::new(site, 2, [&y.shape, &part.shape], places)?);
        let work = y.elements() + part.elements();
        Ok(Step { reads: vec![0, 1, 2], ..Step::new(kernel, work) }.into())
    }
}

#[derive(Debug)]
struct UpdateKernel(Cutout);

impl Kernel for UpdateKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x, part, begin], [y], _) = memory.parts();
        y.copy_from_slice(x);
        self.0.rows(begin, |to, from, n| y[to..to + n].copy_from_slice(&part[from..from + n]));
    }
}
