//! Matrices times one row: what recurrent layers do at each step.

use super::float::{FloatFilters, FloatGemm};
use super::gemm::{Filters, Gemm, Layout};
use super::isa::Isa;
use super::output::Output;
use super::table::Table;

/// The one row that begins at once.
fn one() -> Table {
    Table::new([0]).expect("0 is below 2^31")
}

/// A matrix of bytes, packed.
#[derive(Debug)]
pub(crate) struct ByteMatrix {
    gemm: Gemm,
    row: Table,
}

impl ByteMatrix {
    /// Packs `weights`, `[n, k]`; `bias`, `[n]`, is added to sums.
    pub(crate) fn new(isa: Isa, weights: &[i8], bias: &[i32]) -> Self {
        let k = weights.len() / bias.len().max(1);
        let filters = Filters { weights, bias, scales: &[], zero_point: 0, input_zero_point: 0 };
        let output = Output::new(0, -128, 127);
        Self { gemm: Gemm::new(isa, Layout::whole(k), filters, output, false, 1), row: one() }
    }

    /// Bytes that packing `[n, k]` may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(n: usize, k: usize) -> Option<usize> {
        Gemm::bytes_max(n, k)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.gemm.bytes()
    }

    /// Bytes of scratch that a run needs.
    pub(crate) fn scratch(&self) -> usize {
        self.gemm.scratch()
    }

    /// Multiply-accumulates of a run.
    pub(crate) fn macs(&self) -> u64 {
        self.gemm.n() as u64 * self.gemm.k() as u64
    }

    /// The sums `y`, `[n]`, which wrap, from `x`, `[k]`.
    pub(crate) fn run(&self, x: &[i8], y: &mut [i32], scratch: &mut [u8]) {
        let x = bytemuck::cast_slice(x);
        self.gemm.sums(x, &self.row, y, &self.row, scratch, |_, _| {});
    }
}

/// A matrix of floats, packed.
#[derive(Debug)]
pub(crate) struct FloatMatrix {
    gemm: FloatGemm,
    row: Table,
    macs: u64,
}

impl FloatMatrix {
    /// Packs `weights`, `[n, k]`; sums begin with `bias`, `[n]`.
    pub(crate) fn new(isa: Isa, weights: &[f32], bias: &[f32]) -> Self {
        let k = weights.len() / bias.len().max(1);
        let filters = FloatFilters { weights, bias, bounds: [f32::NEG_INFINITY, f32::INFINITY] };
        let gemm = FloatGemm::new(isa, Layout::whole(k), filters, 1);
        Self { gemm, row: one(), macs: weights.len() as u64 }
    }

    /// Bytes that packing `[n, k]` may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(n: usize, k: usize) -> Option<usize> {
        FloatGemm::bytes_max(n, k)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.gemm.bytes()
    }

    /// Multiply-accumulates of a run.
    pub(crate) fn macs(&self) -> u64 {
        self.macs
    }

    /// `y`, `[n]`, from `x`, `[k]`.
    pub(crate) fn run(&self, x: &[f32], y: &mut [f32]) {
        self.gemm.run(x, &self.row, y, &self.row);
    }
}
