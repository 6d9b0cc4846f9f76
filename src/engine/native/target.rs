//! What a program is compiled for.

use super::graph::{Graph, Node};
use super::kernels::Isa;
use super::limits::Budget;
use super::ops::Site;
use crate::engine::Threads;
use crate::engine::threads::ALONE;

/// What compiling may take, the instructions that kernels may use, and for how many threads work is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) budget: &'a Budget,
    pub(super) isa: Isa,
    pub(super) threads: &'a Threads,
    /// Inputs are read where the caller has them, if they lie there as in an arena.
    pub(super) given: bool,
}

impl<'a> Target<'a> {
    /// For the kernels that are the specification: what is computed at load, and in tests.
    pub(super) fn plain(budget: &'a Budget) -> Self {
        Self { budget, isa: Isa::SCALAR, threads: &ALONE, given: false }
    }

    /// `node` of `graph`, to be compiled.
    pub(super) fn site<'s>(self, graph: &'s Graph<'s>, node: &'s Node<'s>) -> Site<'s>
    where
        'a: 's,
    {
        Site { graph, node, budget: self.budget, isa: self.isa, threads: self.threads }
    }
}
