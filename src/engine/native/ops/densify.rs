//! Sparse constants to dense ones: the importer has written them out whole already.

use super::{Compiled, Entry, Kind, Operator, Refusal, Site, malformed};
use crate::engine::native::graph::Shape;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "DENSIFY",
    options: 0,
    lower: |_| Ok(Box::new(Densify)),
    kinds: &[Kind::Float32, Kind::Float16, Kind::Int8],
    attributes: &[],
}];

/// Nothing to do.
#[derive(Debug)]
struct Densify;

impl Operator for Densify {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != y.dtype || x.data.is_none() {
            return Err(malformed("something else than a constant to be written out"));
        }
        Ok(Compiled::Alias)
    }
}
