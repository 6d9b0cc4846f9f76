//! Rows of 8-bit values times 8-bit filters: convolution without laying out its windows, and fully
//! connected layers.
//!
//! A row of the product is a list of segments (the rows of a kernel window) reached through a table,
//! so most inputs are read where they lie. Filters are packed once, in blocks of as many filters as
//! the kernel has lanes for, in the order in which it reads them. Zero points are folded into the
//! bias, and sums become bytes in registers. Blocks go over panels of rows that stay in the first
//! cache.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod gather;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod panel;
mod run;
mod scalar;

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
pub(super) use self::avx2::{requantize, store_part};
#[cfg(target_arch = "x86_64")]
pub(super) use self::avx512::{
    parts as parts_avx512, requantize as requantize_avx512, store_part as store_part_avx512,
};
use self::pack::{Block, Packing, Weights};
use super::aligned::Aligned;
use super::border::{Form, SLACK};
use super::isa::{Isa, Set};
use super::output::Output;
use super::parts::Product;
use super::table::{PanelRows, Table};

/// Where the values of a row lie.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Where each segment begins, in values from the row's beginning; ascending, at least one.
    pub(crate) segments: Vec<u32>,
    /// Values of a segment, at least one.
    pub(crate) run: usize,
}

impl Layout {
    /// A row in one piece.
    pub(crate) fn whole(run: usize) -> Self {
        Self { segments: vec![0], run }
    }

    /// Values of a row.
    pub(crate) fn k(&self) -> usize {
        self.segments.len() * self.run
    }

    /// From a row's beginning to its end.
    pub(super) fn span(&self) -> usize {
        self.segments.last().map_or(0, |&last| last as usize) + self.run
    }
}

/// Filters as they come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filters<'a> {
    /// `[n, k]`.
    pub(crate) weights: &'a [i8],
    /// `[n]`, in steps of input times weight scale.
    pub(crate) bias: &'a [i32],
    /// `[n]`: from sums to steps of the output; empty where sums are wanted.
    pub(crate) scales: &'a [f32],
    /// Of the weights.
    pub(crate) zero_point: i32,
    /// Of the inputs.
    pub(crate) input_zero_point: i32,
}

/// Packed filters, ready to run.
#[derive(Debug)]
pub(crate) struct Gemm {
    isa: Isa,
    n: usize,
    layout: Layout,
    /// How the rows that the kernel reads lie: the layout's, or one piece where rows are gathered.
    segments: usize,
    run: usize,
    deltas: Vec<u32>,
    packing: Packing,
    blocks: Vec<Block>,
    weights: Aligned<i8>,
    /// What is taken from each value before it is multiplied.
    shift: i32,
    /// Of all blocks, whole ones.
    bias: Vec<i32>,
    scales: Vec<f32>,
    /// Of the weights.
    zero_point: i32,
    output: Output,
    panel: PanelRows,
    /// Rows are the arena's, and made unsigned as they are read.
    flips: bool,
    /// Places in the scratch, where rows are gathered.
    gathered: Option<Gathered>,
}

/// Packed filters, with what is added to their products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands<'a> {
    weights: &'a [i8],
    bias: &'a [i32],
    /// See [`Block`]: of all of them.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    chained: bool,
    /// What blocks say of their weights holds.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    known: bool,
}

/// How rows are laid out before a kernel reads them.
#[derive(Clone, Debug)]
struct Gathered {
    rows: Table,
    /// All rows, not only those for which there is too little before them.
    all: bool,
}

impl Gemm {
    /// For filters `[n, k]` that are computed: [`Gemm::prepare`] packs those of each run. The
    /// weights of `filters` are empty.
    pub(crate) fn open(
        isa: Isa,
        k: usize,
        filters: Filters<'_>,
        output: Output,
        rows: usize,
    ) -> Self {
        Self::laid_out(isa, Layout::whole(k), filters, output, false, rows)
    }

    /// Packs `filters` for rows of `layout`.
    ///
    /// `staged`: the input is a copy with slack around it, in the form that [`Gemm::reads`] tells;
    /// otherwise it is the arena's. `rows`: about how many rows a run has.
    pub(crate) fn new(
        isa: Isa,
        layout: Layout,
        filters: Filters<'_>,
        output: Output,
        staged: bool,
        rows: usize,
    ) -> Self {
        let (k, n) = (layout.k(), filters.bias.len());
        assert_eq!(filters.weights.len(), n * k, "a weight for each value");
        let mut gemm = Self::laid_out(isa, layout, filters, output, staged, rows);
        let from = Weights { values: filters.weights, n, turned: false };
        let mut bias = std::mem::take(&mut gemm.bias);
        gemm.fold(from, &mut bias);
        let zero_point = i64::from(filters.zero_point).abs();
        let mut weights = Aligned::zeros(gemm.packed());
        let mut blocks = std::mem::take(&mut gemm.blocks);
        for block in &mut blocks {
            block.chained = gemm.packing.pack(block, from, [gemm.segments, gemm.run], &mut weights);
            block.fours = gemm.packing.fours(block, [gemm.segments, gemm.run], &weights);
            let own = block.first..n.min(block.first + block.lanes);
            block.short = own.clone().all(|i| {
                let filter = &filters.weights[i * k..][..k];
                let products = |w: &i8| 128 * (i64::from(w.unsigned_abs()) + zero_point);
                let most = i64::from(bias[i]).abs() + filter.iter().map(products).sum::<i64>();
                filters.scales.get(i).is_some_and(|&scale| Output::is_short(most, scale))
            });
        }
        Self { bias, blocks, weights, ..gemm }
    }

    /// Everything but the weights.
    fn laid_out(
        isa: Isa,
        layout: Layout,
        filters: Filters<'_>,
        output: Output,
        staged: bool,
        rows: usize,
    ) -> Self {
        let (k, n) = (layout.k(), filters.bias.len());
        assert!(k > 0);
        assert!([0, n].contains(&filters.scales.len()));
        assert!(layout.segments.is_sorted());
        let packing = Packing::of(isa.set());
        #[cfg(target_arch = "x86_64")]
        let packing = if isa.has_tiles() { packing.tiled(n, rows, &layout) } else { packing };
        // A copy of a single row costs more than to make it unsigned anew for each block. Weights with a zero
        // point want the row's sum, too, which is taken of the copy.
        let flips = packing.set == Set::Avx512Vnni
            && !staged
            && rows == 1
            && layout.segments.len() == 1
            && k >= packing.chunk
            && filters.zero_point == 0;
        let ready = staged || flips || packing.form == Form::Signed;
        // A short row in one piece is read from before its beginning.
        let direct = ready && (layout.run >= packing.chunk || layout.segments.len() == 1);
        let (segments, run) = if direct { (layout.segments.len(), layout.run) } else { (1, k) };
        let blocks = packing.blocks(n, rows, [segments, run]);
        let lanes = blocks.last().map_or(0, |block| block.first + block.lanes);
        let (mut bias, mut scales) = (vec![0i32; lanes], vec![0f32; lanes]);
        bias[..n].copy_from_slice(filters.bias);
        scales[..filters.scales.len()].copy_from_slice(filters.scales);
        let form = if isa.set() == Set::Scalar { Form::Signed } else { packing.form };
        let shift = form.offset().wrapping_add(filters.input_zero_point);
        let panel = PanelRows(packing.panel(k));
        // Rows at the very beginning of an input, which has nothing before them, are gathered, too.
        let gathers = !direct || (!staged && k < packing.chunk);
        let gathered = gathers.then(|| {
            // Side by side: what is read before a row is the row before, with weights 0.
            let start = SLACK / packing.form.bytes();
            let rows = Table::new((0..panel.most()).map(|row| start + row * k));
            Gathered { rows: rows.expect("a panel is small"), all: !direct }
        });
        let mut deltas = vec![0];
        if direct {
            let between = layout.segments.windows(2).map(|pair| pair[1] - pair[0]);
            deltas = layout.segments.iter().copied().take(1).chain(between).collect();
        }
        let zero_point = filters.zero_point;
        Self {
            isa,
            n,
            layout,
            segments,
            run,
            deltas,
            packing,
            blocks,
            weights: Aligned::zeros(0),
            shift,
            bias,
            scales,
            zero_point,
            output: output.of_scales(filters.scales),
            panel,
            flips,
            gathered,
        }
    }

    /// Folds zero points into the bias:
    /// Σ (x - zx)(w - zw) over x as the kernel sees it, f higher, and k values:
    /// Σ x w - zw Σ x - (f + zx)(Σ w - k zw); only the second is left to each run.
    #[inline(always)]
    fn fold(&self, weights: Weights<'_>, bias: &mut [i32]) {
        let k = self.layout.k();
        let bias = &mut bias[..self.n];
        let all = (k as i32).wrapping_mul(self.zero_point).wrapping_mul(self.shift);
        bias.iter_mut().for_each(|bias| *bias = bias.wrapping_add(all));
        if weights.turned {
            for row in weights.values.chunks_exact(self.n) {
                for (bias, &w) in bias.iter_mut().zip(row) {
                    *bias = bias.wrapping_sub(i32::from(w).wrapping_mul(self.shift));
                }
            }
            return;
        }
        for (bias, filter) in bias.iter_mut().zip(weights.values.chunks_exact(k)) {
            let sum = filter.iter().fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
            *bias = bias.wrapping_sub(self.shift.wrapping_mul(sum));
        }
    }

    /// Bytes of the packed weights, with what is read after them.
    fn packed(&self) -> usize {
        let end = self.blocks.last().map_or(0, |block| block.at + block.bytes);
        end + self.packing.ahead()
    }

    /// Bytes that [`Gemm::prepare`] writes.
    pub(crate) fn operands(&self) -> usize {
        4 * self.bias.len() + self.packed()
    }

    /// Packs computed filters, `[n, k]` or, `turned`, `[k, n]`, into `room`, of
    /// [`Gemm::operands`] bytes that begin at a multiple of 4.
    pub(crate) fn prepare<'a>(
        &self,
        filters: &[i8],
        turned: bool,
        room: &'a mut [u8],
    ) -> Operands<'a> {
        assert_eq!(filters.len(), self.n * self.k(), "a weight for each value");
        let from = Weights { values: filters, n: self.n, turned };
        let (bias, weights) = room[..self.operands()].split_at_mut(4 * self.bias.len());
        let bias: &mut [i32] = bytemuck::cast_slice_mut(bias);
        let weights: &mut [i8] = bytemuck::cast_slice_mut(weights);
        let mut chained = true;
        self.isa.run(
            #[inline(always)]
            || {
                bias.copy_from_slice(&self.bias);
                self.fold(from, bias);
                weights.fill(0);
                for block in &self.blocks {
                    chained &= self.packing.pack(block, from, [self.segments, self.run], weights);
                }
            },
        );
        Operands { weights, bias, chained, known: false }
    }

    /// How the input has to lie.
    pub(crate) fn reads(&self) -> Form {
        if self.flips || self.gathered.as_ref().is_some_and(|gathered| gathered.all) {
            Form::Signed
        } else {
            self.packing.form
        }
    }

    /// Number of filters.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Values of a row.
    pub(crate) fn k(&self) -> usize {
        self.layout.k()
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.weights.len() + 4 * (self.bias.len() + self.scales.len())
    }

    /// Bytes that packing filters `[n, k]` may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(n: usize, k: usize) -> Option<usize> {
        n.checked_add(64)?.checked_mul(Packing::padded_max(k).checked_add(16)?.checked_add(8)?)
    }

    /// Bytes of scratch that a run needs.
    pub(crate) fn scratch(&self) -> usize {
        let sums = if self.zero_point == 0 { 0 } else { 4 * self.panel.most() + 4 };
        let rows = self.gathered.as_ref().map_or(0, |gathered| {
            gathered.rows.rows() * self.k() * self.packing.form.bytes() + 2 * SLACK
        });
        sums + rows + self.room()
    }

    /// Bytes where rows are gathered as tiles.
    fn room(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.packing.set == Set::Amx {
            return amx::room(self.packing.padded([self.segments, self.run]));
        }
        0
    }
}

impl Product for Gemm {
    fn n(&self) -> usize {
        self.n
    }

    fn share(&self) -> usize {
        self.packing.share(self.panel.0)
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn scratch(&self) -> usize {
        self.scratch()
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn of_blocks(&self, blocks: Range<usize>) -> Self {
        let blocks = &self.blocks[blocks];
        let (first, last) = (&blocks[0], &blocks[blocks.len() - 1]);
        let lanes = first.first..last.first + last.lanes;
        let bytes = first.at..last.at + last.bytes + self.packing.ahead();
        let part = |block: &Block| Block {
            first: block.first - lanes.start,
            at: block.at - bytes.start,
            ..block.clone()
        };
        Self {
            n: lanes.end.min(self.n) - lanes.start,
            layout: self.layout.clone(),
            deltas: self.deltas.clone(),
            gathered: self.gathered.clone(),
            blocks: blocks.iter().map(part).collect(),
            weights: Aligned::from(&self.weights[bytes.clone()]),
            bias: self.bias[lanes.clone()].to_vec(),
            scales: self.scales[lanes.clone()].to_vec(),
            ..*self
        }
    }
}
