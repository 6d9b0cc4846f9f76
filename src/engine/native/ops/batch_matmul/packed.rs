//! Products whose second matrix is packed for the instruction set when it has been computed.

use super::super::shared::layer::Layer;
use super::super::shared::scratch::scratch_for;
use super::super::{Compiled, Kernel, Refusal, Site, Step};
use super::{Matrices, copy_turned};
use crate::engine::EngineError;
use crate::engine::native::kernels::{Filters, FloatFilters, FloatGemm, Gemm, Output, Table};
use crate::engine::native::limits::ARENA_MAX;
use crate::engine::native::memory::Memory;
use crate::engine::native::plan::ALIGN;

/// A kernel with what it needs beside the matrices.
#[derive(Debug)]
struct Packed<G> {
    matrices: Matrices,
    gemm: G,
    rows: Table,
    outs: Table,
    /// Bytes of scratch for a turned, for packed b; the rest is the kernel's.
    room: [usize; 2],
}

/// Bytes by bytes, scaled in reals; the second without a zero point.
pub(super) fn bytes(
    site: &Site<'_>,
    layer: &Layer<'_>,
    matrices: Matrices,
    (input_zero_point, scales, output): (i32, &[f32], Output),
) -> Result<Compiled, Refusal> {
    let bias = layer.bias_i32()?;
    site.budget.take_for::<u64>(bias.len().saturating_add(64))?;
    let filters = Filters { weights: &[], bias: &bias, scales, zero_point: 0, input_zero_point };
    let gemm = Gemm::open(site.isa, matrices.k, filters, output, matrices.m);
    let room = [1, gemm.operands()];
    let own = gemm.scratch();
    step(site, layer, matrices, gemm, room, own)
}

/// Reals by reals.
pub(super) fn floats(
    site: &Site<'_>,
    layer: &Layer<'_>,
    matrices: Matrices,
) -> Result<Compiled, Refusal> {
    let (bias, bounds) = (layer.bias_f32()?, layer.clamp().bounds());
    site.budget.take_for::<u64>(bias.len().saturating_add(64))?;
    let filters = FloatFilters { weights: &[], bias: &bias, bounds };
    let gemm = FloatGemm::open(site.isa, matrices.k, filters, matrices.m);
    let room = [4, scratch_for::<f32>(gemm.operands())?];
    step(site, layer, matrices, gemm, room, 0)
}

/// `size`: bytes of an element of a, and of packed b.
fn step<G>(
    site: &Site<'_>,
    layer: &Layer<'_>,
    matrices: Matrices,
    gemm: G,
    [size, operands]: [usize; 2],
    own: usize,
) -> Result<Compiled, Refusal>
where
    Packed<G>: Kernel + 'static,
{
    let Matrices { m, k, n, turned, .. } = matrices;
    site.budget.take_for::<u32>(m.saturating_mul(2))?;
    let tables = Table::even(m, k).zip(Table::even(m, n));
    let Some((rows, outs)) = tables else {
        let (what, limit) = ("a matrix", ARENA_MAX);
        return Err(EngineError::TooLarge { what, needed: usize::MAX, limit }.into());
    };
    let a = if turned[0] { m.saturating_mul(k).saturating_mul(size) } else { 0 };
    let room = [a, operands].map(|bytes| bytes.saturating_add(ALIGN - 1) / ALIGN * ALIGN);
    let all = room[0].saturating_add(room[1]).saturating_add(own);
    let scratch = scratch_for::<u8>(all)?;
    let macs = layer.y.elements() as u64 * k as u64;
    let work = macs.saturating_mul(2) + layer.y.elements() as u64;
    let kernel = Packed { matrices, gemm, rows, outs, room };
    Ok(Step { reads: vec![0, 1], scratch, macs, work, ..Step::new(kernel, 0) }.into())
}

impl Kernel for Packed<Gemm> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([a, b], [y], scratch) = memory.parts();
        let (b, y): (&[i8], &mut [i8]) = (bytemuck::cast_slice(b), bytemuck::cast_slice_mut(y));
        let Matrices { m, k, n, turned, ref walk } = self.matrices;
        let (rows, scratch) = scratch.split_at_mut(self.room[0]);
        let (room, scratch) = scratch.split_at_mut(self.room[1]);
        let mut outputs = y.chunks_exact_mut(m * n);
        walk.rows(|[at_a, at_b]| {
            let Some(y) = outputs.next() else { return };
            let of = self.gemm.prepare(&b[at_b * n * k..][..n * k], turned[1], room);
            let mut a = &a[at_a * m * k..][..m * k];
            if turned[0] {
                copy_turned(a, m, rows);
                a = rows;
            }
            self.gemm.run_with(of, a, [&self.rows, &self.outs], y, scratch);
        });
    }
}

impl Kernel for Packed<FloatGemm> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([a, b], [y], scratch) = memory.parts();
        let [a, b]: [&[f32]; 2] = [a, b].map(bytemuck::cast_slice);
        let y: &mut [f32] = bytemuck::cast_slice_mut(y);
        let Matrices { m, k, n, turned, ref walk } = self.matrices;
        let (rows, room) = scratch.split_at_mut(self.room[0]);
        let rows: &mut [f32] = bytemuck::cast_slice_mut(rows);
        let room: &mut [f32] = bytemuck::cast_slice_mut(&mut room[..self.room[1]]);
        let mut outputs = y.chunks_exact_mut(m * n);
        walk.rows(|[at_a, at_b]| {
            let Some(y) = outputs.next() else { return };
            self.gemm.prepare(&b[at_b * n * k..][..n * k], turned[1], room);
            let mut a = &a[at_a * m * k..][..m * k];
            if turned[0] {
                copy_turned(a, m, rows);
                a = rows;
            }
            self.gemm.run_with(room, a, [&self.rows, &self.outs], y);
        });
    }
}
