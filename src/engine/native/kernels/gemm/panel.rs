//! What a kernel is given: one block of filters and a panel of rows.

use super::super::output::Output;

/// What sums become, and where.
#[derive(Clone, Copy)]
pub(super) enum To {
    /// Steps of the output.
    Bytes(*mut i8),
    /// Themselves.
    Sums(*mut i32),
}

/// An element of the output.
pub(super) trait Element: Copy {
    /// What the kernels of an instruction set are told.
    fn to(y: *mut Self) -> To;
    /// The element for a sum: the specification.
    fn of(sum: i32, output: Output, scale: f32) -> Self;
}

impl Element for i8 {
    fn to(y: *mut Self) -> To {
        To::Bytes(y)
    }

    #[inline(always)]
    fn of(sum: i32, output: Output, scale: f32) -> Self {
        output.apply(sum, scale)
    }
}

impl Element for i32 {
    fn to(y: *mut Self) -> To {
        To::Sums(y)
    }

    #[inline(always)]
    fn of(sum: i32, _: Output, _: f32) -> Self {
        sum
    }
}

/// One block of filters, and the rows that they go over.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    /// The input, in the packing's form.
    pub(super) x: *const u8,
    /// Where each row begins, in values.
    pub(super) rows: &'a [u32],
    /// The output, from the block's first filter on.
    pub(super) y: To,
    /// Where each row of the output begins; as many as `rows`.
    pub(super) outs: &'a [u32],
    /// What is added to all sums of a row; empty for nothing.
    pub(super) sums: &'a [i32],
    /// From segment to segment, in values; the first from the row's beginning.
    pub(super) deltas: &'a [u32],
    /// Values of a segment.
    pub(super) run: usize,
    /// Packed, and after them what [`Packing::ahead`] says.
    ///
    /// [`Packing::ahead`]: super::pack::Packing::ahead
    pub(super) weights: &'a [i8],
    /// For each lane of the block.
    pub(super) bias: &'a [i32],
    /// For each lane of the block.
    pub(super) scales: &'a [f32],
    /// Lanes that have a filter; the last block may have fewer than it is wide.
    pub(super) lanes: usize,
    pub(super) output: Output,
    /// See [`Block`].
    ///
    /// [`Block`]: super::pack::Block
    #[cfg(target_arch = "aarch64")]
    pub(super) short: bool,
    /// See [`Block`].
    ///
    /// [`Block`]: super::pack::Block
    #[cfg(target_arch = "aarch64")]
    pub(super) fours: &'a [u64],
}
