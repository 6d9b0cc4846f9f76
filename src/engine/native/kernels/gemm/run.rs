//! A run: panels of rows through all blocks of filters.

use std::ops::Range;

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::panel::{Element, Panel};
use super::{Block, Gemm, Operands, Set, Table, scalar};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx2, avx512};

impl Gemm {
    /// Row i of the product, `[n]`, to `outs[i]` of `y`, from `rows[i]` of `x`.
    ///
    /// `x` lies as [`Gemm::reads`] tells, `scratch` has [`Gemm::scratch`] bytes.
    pub(crate) fn run(
        &self,
        x: &[u8],
        rows: &Table,
        y: &mut [i8],
        outs: &Table,
        scratch: &mut [u8],
    ) {
        self.all(self.own(), x, rows, y, outs, scratch, |_, _| {});
    }

    /// [`Gemm::run`] with computed filters, of [`Gemm::prepare`].
    pub(crate) fn run_with(
        &self,
        of: Operands<'_>,
        x: &[u8],
        [rows, outs]: [&Table; 2],
        y: &mut [i8],
        scratch: &mut [u8],
    ) {
        self.all(of, x, rows, y, outs, scratch, |_, _| {});
    }

    /// The same without scaling: sums of 32 bits, which wrap.
    ///
    /// `each` is given `y` and the rows that were just written, while they are in the first cache.
    pub(crate) fn sums(
        &self,
        x: &[u8],
        rows: &Table,
        y: &mut [i32],
        outs: &Table,
        scratch: &mut [u8],
        each: impl FnMut(&mut [i32], Range<usize>),
    ) {
        self.all(self.own(), x, rows, y, outs, scratch, each);
    }

    fn own(&self) -> Operands<'_> {
        Operands { weights: &self.weights, bias: &self.bias, chained: true, known: true }
    }

    #[allow(clippy::too_many_arguments)]
    fn all<Y: Element>(
        &self,
        of: Operands<'_>,
        x: &[u8],
        rows: &Table,
        y: &mut [Y],
        outs: &Table,
        scratch: &mut [u8],
        mut each: impl FnMut(&mut [Y], Range<usize>),
    ) {
        assert_eq!(rows.rows(), outs.rows(), "a place for each row");
        if rows.rows() == 0 {
            return;
        }
        let values = x.len() / self.reads().bytes();
        assert!(rows.last() + self.layout.span() <= values, "rows lie in the input");
        assert!(outs.last() + self.n <= y.len(), "rows lie in the output");
        #[cfg(target_arch = "x86_64")]
        if self.flips {
            let (rows, outs) = (rows.offsets(), outs.offsets());
            let panel = self.over(of, &self.blocks, x, rows, y, outs, &[]);
            // SAFETY: flips are only asked of this instruction set; rows lie in `x` and outputs in `y`.
            #[allow(unsafe_code)]
            unsafe {
                avx512::flipped(&panel, &self.blocks);
            }
            return each(y, 0..rows.len());
        }
        let sums = if self.zero_point == 0 { 0 } else { self.panel.most() };
        let (sums, scratch) = split_sums(scratch, sums);
        let lead = self.packing.chunk.saturating_sub(self.run);
        let mut first = 0;
        while first < rows.rows() {
            let mut count = self.panel.of(rows.rows() - first);
            let at = &rows.offsets()[first..first + count];
            let is_long = |row: u32| row as usize >= lead;
            match &self.gathered {
                Some(gathered) if gathered.all || !is_long(at[0]) => {
                    if !gathered.all {
                        count = at.iter().take_while(|&&row| !is_long(row)).count();
                    }
                    self.gather(x, &at[..count], rows.last(), scratch);
                    let outs = &outs.offsets()[first..first + count];
                    let rows = &gathered.rows.offsets()[..count];
                    self.panel(of, scratch, rows, y, outs, sums, &mut []);
                }
                _ => {
                    if !rows.is_sorted() || !is_long(at[0]) {
                        count = at.iter().take_while(|&&row| is_long(row)).count();
                    }
                    assert!(count > 0, "a staged input has slack before it");
                    let outs = &outs.offsets()[first..first + count];
                    self.panel(of, x, &at[..count], y, outs, sums, scratch);
                }
            }
            each(y, first..first + count);
            first += count;
        }
    }

    /// What a kernel is given of `rows` and of neighbouring `blocks`.
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn over<'a, Y: Element>(
        &'a self,
        of: Operands<'a>,
        blocks: &'a [Block],
        x: &'a [u8],
        rows: &'a [u32],
        y: &mut [Y],
        outs: &'a [u32],
        sums: &'a [i32],
    ) -> Panel<'a> {
        let (block, last) = (&blocks[0], &blocks[blocks.len() - 1]);
        let channels = block.first..last.first + last.lanes;
        Panel {
            x: x.as_ptr(),
            rows,
            y: Y::to(y[block.first..].as_mut_ptr()),
            outs,
            sums: if self.zero_point == 0 { &[] } else { sums },
            deltas: &self.deltas,
            run: self.run,
            weights: &of.weights[block.at..last.at + last.bytes + self.packing.ahead()],
            bias: &of.bias[channels.clone()],
            scales: &self.scales[channels.clone()],
            lanes: self.n.min(channels.end) - block.first,
            output: self.output,
            #[cfg(target_arch = "aarch64")]
            short: of.known && blocks.iter().all(|block| block.short),
            #[cfg(target_arch = "aarch64")]
            fours: &block.fours,
        }
    }

    /// One panel of rows through all blocks; `room` is as large as [`Gemm::room`] says.
    #[allow(clippy::too_many_arguments)]
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    fn panel<Y: Element>(
        &self,
        of: Operands<'_>,
        x: &[u8],
        rows: &[u32],
        y: &mut [Y],
        outs: &[u32],
        sums: &mut [i32],
        room: &mut [u8],
    ) {
        assert!(room.len() >= self.room(), "there is room for tiles");
        if self.zero_point != 0 {
            self.correct(x, rows, sums);
        }
        for blocks in self.blocks.chunk_by(|block, next| self.packing.joins(block, next)) {
            let block = &blocks[0];
            let panel = self.over(of, blocks, x, rows, y, outs, sums);
            match self.packing.set {
                Set::Scalar => scalar::block(&panel, x, &mut y[block.first..]),
                // SAFETY: an `Isa` exists only where the CPU has the instructions. `run` checked
                // that all rows lie in `x` and all outputs in `y`; kernels read at most a chunk
                // before the end of a segment, which is either as long or has slack before it.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                Set::Avx2 => unsafe { avx2::block_avx2(&panel, block.lanes) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                Set::AvxVnni => unsafe { avx2::block_vnni(&panel, block.lanes) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                Set::Avx512Vnni => unsafe { avx512::block(&panel, block.lanes) },
                // SAFETY: as above; there is room, and nothing beyond `x` is read.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                Set::Amx => unsafe { amx::panel(&panel, x.len(), room.as_mut_ptr()) },
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                #[allow(unsafe_code)]
                Set::Neon => unsafe {
                    neon::block(&panel, block.lanes, block.chained && of.chained)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                #[allow(unsafe_code)]
                Set::DotProd => unsafe { neon::block_dot(&panel, block.lanes) },
                _ => unreachable!("an Isa exists only on its own architecture"),
            }
        }
    }
}

/// The first part of `scratch` as `len` words, and the rest.
fn split_sums(scratch: &mut [u8], len: usize) -> (&mut [i32], &mut [u8]) {
    if len == 0 {
        return (&mut [], scratch);
    }
    let odd = scratch.as_ptr().align_offset(4).min(scratch.len());
    let (sums, rest) = scratch[odd..].split_at_mut(4 * len);
    (bytemuck::cast_slice_mut(sums), rest)
}
