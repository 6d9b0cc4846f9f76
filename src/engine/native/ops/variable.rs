//! Variables that a session keeps from run to run. An importer makes each a state of the graph;
//! what is left to run copies it out and in.

use super::{
    Calls, Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported,
};
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

const KINDS: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Int32];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "VAR_HANDLE",
        options: 111,
        lower: |_| Ok(Box::new(Named { graphs: [0; 0] })),
        kinds: KINDS,
        attributes: &[],
    },
    Entry {
        name: "CALL_ONCE",
        options: 103,
        // CallOnceOptions: the graph.
        lower: |options| Ok(Box::new(Named { graphs: [options.int(0, 0)?] })),
        kinds: KINDS,
        attributes: &[],
    },
    Entry {
        name: "READ_VARIABLE",
        options: 112,
        lower: |_| Ok(Box::new(Read)),
        kinds: KINDS,
        attributes: &[],
    },
    Entry {
        name: "ASSIGN_VARIABLE",
        options: 113,
        lower: |_| Ok(Box::new(Assign)),
        kinds: KINDS,
        attributes: &[],
    },
];

/// What an importer consumes: the name of a variable, and what it begins with.
#[derive(Debug)]
struct Named<const N: usize> {
    graphs: [i32; N],
}

impl<const N: usize> Operator for Named<N> {
    fn shapes(&self, _: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Err(unsupported("a handle outside of the file that names it"))
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        self.shapes(site).and(Err(unsupported("a handle that is computed")))
    }

    fn calls(&self) -> Option<Calls<'_>> {
        (N > 0).then_some(Calls { graphs: &self.graphs, first: 0, repeated: false })
    }
}

/// The state that is the first input, as it is now.
#[derive(Debug)]
pub(super) struct Read;

/// Puts the second input into the state that is the first.
#[derive(Debug)]
pub(super) struct Assign;

#[derive(Debug)]
struct Copy;

impl Operator for Read {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (state, y) = (site.input(0)?, site.output()?);
        if state.dtype != y.dtype {
            return Err(malformed(format!("a {} variable read as {}", state.dtype, y.dtype)));
        }
        Ok(vec![state.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        Ok(Step::new(Copy, site.output()?.bytes()).into())
    }

    fn foldable(&self) -> bool {
        false
    }
}

impl Operator for Assign {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (state, x) = (site.input(0)?, site.input(1)?);
        if state.dtype != x.dtype || state.shape != x.shape {
            return Err(unsupported(format!(
                "a variable that changes from {} {:?} to {} {:?}",
                state.dtype, state.shape, x.dtype, x.shape
            )));
        }
        Ok(Vec::new())
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        if !site.is_state(0) {
            return Err(malformed("it assigns to what is no variable"));
        }
        let step = Step::new(Copy, site.input(1)?.bytes());
        Ok(Step { reads: vec![1], updates: vec![0], ..step }.into())
    }

    fn foldable(&self) -> bool {
        false
    }
}

impl Kernel for Copy {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.pair(0, 0);
        y.copy_from_slice(x);
    }
}
