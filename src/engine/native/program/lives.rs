//! Which values are alive when, and so where each may lie.

use super::refused;
use crate::data::DType;
use crate::engine::EngineError;
use crate::engine::native::graph::{Graph, Node, ValueId};
use crate::engine::native::memory::Span;
use crate::engine::native::ops::{Refusal, Step};
use crate::engine::native::plan::{self, Block};

/// When each value is alive. Step 0 is the copying in of inputs; the last is the copying out.
#[derive(Debug)]
pub(super) struct Lives {
    /// First and last step of a value; `None` where it needs no place.
    spans: Vec<Option<(usize, usize)>>,
    /// The value whose memory this one is.
    same_as: Vec<ValueId>,
    /// Inputs that are read where the caller has them: which ones.
    given: Vec<Option<usize>>,
    /// Other values with a place outside the arena, and those that outlive a run.
    constant: Vec<bool>,
    state: Vec<bool>,
}

/// Where everything lies.
#[derive(Debug)]
pub(super) struct Places {
    /// By value; empty for values without a place.
    pub(super) values: Vec<Span>,
    /// By step.
    pub(super) scratch: Vec<Span>,
    pub(super) arena_bytes: usize,
    /// The largest sum of bytes alive at one step.
    pub(super) live_bytes: usize,
}

/// Later than every step.
const END: usize = usize::MAX;

impl Lives {
    /// `given`: inputs are read where the caller has them, but for those that lie otherwise in an arena.
    pub(super) fn new(graph: &Graph<'_>, given: bool) -> Self {
        let mut spans = vec![None; graph.values.len()];
        let mut inputs = vec![None; graph.values.len()];
        for (i, port) in graph.inputs.iter().enumerate() {
            if given && graph.values[port.value].dtype != DType::U8 {
                inputs[port.value] = Some(i);
            } else {
                spans[port.value] = Some((0, 0));
            }
        }
        let mut state = vec![false; graph.values.len()];
        for kept in &graph.states {
            spans[kept.value] = Some((0, END));
            state[kept.value] = true;
        }
        let constant = graph.values.iter().map(|value| value.data.is_some()).collect();
        let same_as = (0..graph.values.len()).collect();
        Self { spans, same_as, given: inputs, constant, state }
    }

    pub(super) fn root(&self, mut id: ValueId) -> ValueId {
        while self.same_as[id] != id {
            id = self.same_as[id];
        }
        id
    }

    /// Which input `id` is, if it is read where the caller has it.
    pub(super) fn given(&self, id: ValueId) -> Option<usize> {
        self.given[self.root(id)]
    }

    /// Keeps `id` alive through `step`.
    fn touch(&mut self, id: ValueId, step: usize) {
        let root = self.root(id);
        if !self.constant[root] && self.given[root].is_none() {
            let span = self.spans[root].get_or_insert((step, step));
            span.1 = span.1.max(step);
        }
    }

    /// The node's output is its first input.
    pub(super) fn alias(&mut self, graph: &Graph<'_>, node: &Node<'_>) -> Result<(), EngineError> {
        let wrong = |why: &str| Err(refused(graph, node, Refusal::Unsupported(why.into())));
        let (Some(&Some(from)), [to]) = (node.inputs.first(), &node.outputs[..]) else {
            return wrong("no input or not one output");
        };
        let from = self.root(from);
        if self.constant[from] || self.state[from] {
            return wrong("another view of a constant or variable");
        }
        self.same_as[*to] = from;
        Ok(())
    }

    pub(super) fn step(&mut self, number: usize, node: &Node<'_>, step: &Step) {
        for id in step.reads.iter().filter_map(|&i| node.inputs.get(i).copied().flatten()) {
            self.touch(id, number);
        }
        for &id in &node.outputs {
            self.touch(id, number);
        }
    }

    /// Lays outputs over inputs that nothing needs afterwards, where the kernel can do so.
    fn overlay(&mut self, graph: &Graph<'_>, steps: &[(&Node<'_>, Step)]) {
        for (i, (node, step)) in steps.iter().enumerate().filter(|(_, (_, step))| step.in_place) {
            let input = step.reads.first().and_then(|&i| node.inputs.get(i).copied().flatten());
            let (Some(x), [y]) = (input, &node.outputs[..]) else { continue };
            let (x, y) = (self.root(x), self.root(*y));
            let same_size = graph.values[x].bytes() == graph.values[y].bytes();
            if self.constant[x] || self.state[x] || !same_size {
                continue;
            }
            if let (Some((first, last)), Some((_, end))) = (self.spans[x], self.spans[y])
                && last == i + 1
            {
                self.spans[x] = Some((first, end));
                self.spans[y] = None;
                self.same_as[y] = x;
            }
        }
    }

    pub(super) fn place(
        &mut self,
        graph: &Graph<'_>,
        steps: &[(&Node<'_>, Step)],
    ) -> Result<Places, EngineError> {
        for port in &graph.outputs {
            self.touch(port.value, END);
        }
        self.overlay(graph, steps);
        // Every thread has read the inputs: who would write over them at once had to take them from the others' caches.
        let is_shared = steps.iter().any(|(_, step)| step.is_shared());
        if is_shared {
            for port in &graph.inputs {
                let root = self.root(port.value);
                if let Some((_, last)) = &mut self.spans[root] {
                    *last = last.saturating_add(1);
                }
            }
        }
        let mut blocks: Vec<Block> = Vec::with_capacity(graph.values.len() + steps.len());
        for (value, span) in graph.values.iter().zip(&self.spans) {
            let (first, last) = span.unwrap_or_default();
            let bytes = if span.is_some() { value.bytes() } else { 0 };
            blocks.push(Block { bytes, first, last });
        }
        // What threads share has one scratch for the whole run, away from all values: each thread finds its part of it
        // in its cache, where another's would have to be fetched, though nobody reads any more what is in there.
        let mut shared = Block { bytes: 0, first: 0, last: END };
        for (i, (_, step)) in steps.iter().enumerate() {
            let mut own = Block { bytes: step.scratch, first: i + 1, last: i + 1 };
            if step.is_shared() {
                shared.bytes = shared.bytes.max(std::mem::take(&mut own.bytes));
            }
            blocks.push(own);
        }
        blocks.push(shared);
        let layout = if is_shared { plan::layout_shared(&blocks)? } else { plan::layout(&blocks)? };
        let span = |(&at, block): (&usize, &Block)| at..at + block.bytes;
        let mut values: Vec<Span> = layout.offsets.iter().zip(&blocks).map(span).collect();
        let mut scratch = values.split_off(graph.values.len());
        let shared = scratch.pop().unwrap_or_default();
        for (own, _) in scratch.iter_mut().zip(steps).filter(|(_, (_, step))| step.is_shared()) {
            own.clone_from(&shared);
        }
        let live_bytes = plan::live_bytes(&blocks, steps.len() + 1);
        Ok(Places { values, scratch, arena_bytes: layout.bytes, live_bytes })
    }
}
