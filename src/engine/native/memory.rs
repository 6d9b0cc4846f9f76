//! A session's working memory, and one step's view of it.

use std::ops::Range;

use bytemuck::Pod;

use super::plan::ALIGN;
use crate::engine::{EngineError, EngineKind};

/// Where a tensor lies in the arena.
pub(super) type Span = Range<usize>;

/// Zeroed bytes that begin at a multiple of [`ALIGN`].
#[derive(Debug)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Arena {
    /// An arena of `len` bytes.
    pub(super) fn new(len: usize) -> Result<Self, EngineError> {
        let mut bytes: Vec<u8> = Vec::new();
        bytes.try_reserve_exact(len + ALIGN).map_err(|source| EngineError::Run {
            engine: EngineKind::Native,
            why: format!("no memory for a session of {len} bytes: {source}"),
        })?;
        bytes.resize(len + ALIGN, 0);
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Ok(Self { bytes, start, len })
    }

    /// All of it.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// What one step may touch: its inputs, outputs and scratch.
#[derive(Debug)]
pub(super) struct Memory<'a> {
    pub(super) arena: &'a mut [u8],
    pub(super) inputs: &'a [Span],
    pub(super) outputs: &'a [Span],
    pub(super) scratch: &'a Span,
}

/// Why the ranges of a step can be borrowed together.
const APART: &str = "the planner keeps a step's tensors apart";

impl Memory<'_> {
    /// The input and the output of a step that has one of each.
    pub(super) fn unary<X: Pod, Y: Pod>(&mut self) -> (&[X], &mut [Y]) {
        let spans = [self.inputs[0].clone(), self.outputs[0].clone()];
        let [x, y] = self.arena.get_disjoint_mut(spans).expect(APART);
        (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y))
    }

    /// The same with the scratch.
    pub(super) fn unary_scratch<X: Pod, Y: Pod, S: Pod>(&mut self) -> (&[X], &mut [Y], &mut [S]) {
        let spans = [self.inputs[0].clone(), self.outputs[0].clone(), self.scratch.clone()];
        let [x, y, scratch] = self.arena.get_disjoint_mut(spans).expect(APART);
        (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y), bytemuck::cast_slice_mut(scratch))
    }

    /// Two inputs, which may be one tensor, and the output.
    pub(super) fn binary<X: Pod, Y: Pod>(&mut self) -> (&[X], &[X], &mut [Y]) {
        let [a, b, y] = [self.inputs[0].clone(), self.inputs[1].clone(), self.outputs[0].clone()];
        if a == b {
            let [a, y] = self.arena.get_disjoint_mut([a, y]).expect(APART);
            let a = bytemuck::cast_slice(a);
            return (a, a, bytemuck::cast_slice_mut(y));
        }
        let [a, b, y] = self.arena.get_disjoint_mut([a, b, y]).expect(APART);
        (bytemuck::cast_slice(a), bytemuck::cast_slice(b), bytemuck::cast_slice_mut(y))
    }
}
