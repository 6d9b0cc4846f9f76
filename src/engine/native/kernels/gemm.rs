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
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod panel;
mod scalar;

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
pub(super) use self::avx2::{requantize, store_part};
#[cfg(target_arch = "x86_64")]
pub(super) use self::avx512::{
    parts as parts_avx512, requantize as requantize_avx512, store_part as store_part_avx512,
};
use self::pack::{Block, Packing, Weights};
use self::panel::{Element, Panel};
use super::aligned::Aligned;
#[cfg(target_arch = "aarch64")]
use super::border::CHUNK;
use super::border::{Form, SLACK};
use super::isa::{Isa, Set};
use super::output::Output;
use super::parts::Product;
use super::table::Table;

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
    /// Rows of a panel.
    panel: usize,
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
        let ready = staged || packing.form == Form::Signed;
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
        let panel = packing.panel(k);
        // Rows at the very beginning of an input, which has nothing before them, are gathered, too.
        let gathers = !direct || (!staged && k < packing.chunk);
        let gathered = gathers.then(|| {
            // Side by side: what is read before a row is the row before, with weights 0.
            let start = SLACK / packing.form.bytes();
            let rows = Table::new((0..panel).map(|row| start + row * k));
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
            output,
            panel,
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
        if self.gathered.as_ref().is_some_and(|gathered| gathered.all) {
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
        let sums = if self.zero_point == 0 { 0 } else { 4 * self.panel + 4 };
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
        let sums = if self.zero_point == 0 { 0 } else { self.panel };
        let (sums, scratch) = split_sums(scratch, sums);
        let lead = self.packing.chunk.saturating_sub(self.run);
        let mut first = 0;
        while first < rows.rows() {
            let mut count = self.panel.min(rows.rows() - first);
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
            let (block, last) = (&blocks[0], &blocks[blocks.len() - 1]);
            let weights = &of.weights[block.at..last.at + last.bytes + self.packing.ahead()];
            let channels = block.first..last.first + last.lanes;
            let panel = Panel {
                x: x.as_ptr(),
                rows,
                y: Y::to(y[block.first..].as_mut_ptr()),
                outs,
                sums: if self.zero_point == 0 { &[] } else { &*sums },
                deltas: &self.deltas,
                run: self.run,
                weights,
                bias: &of.bias[channels.clone()],
                scales: &self.scales[channels.clone()],
                lanes: self.n.min(channels.end) - block.first,
                output: self.output,
                #[cfg(target_arch = "aarch64")]
                short: of.known && blocks.iter().all(|block| block.short),
                #[cfg(target_arch = "aarch64")]
                fours: &block.fours,
            };
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

    /// Lays out `rows` of `x`, none of them after `last`, in one piece each, side by side.
    #[cfg_attr(not(target_arch = "aarch64"), allow(unused_variables))]
    fn gather(&self, x: &[u8], rows: &[u32], last: usize, scratch: &mut [u8]) {
        #[cfg(target_arch = "aarch64")]
        if self.isa.set() != Set::Scalar && last + self.layout.span() + CHUNK <= x.len() {
            let room = rows.len() * self.k() + CHUNK;
            let to = scratch[SLACK..][..room].as_mut_ptr();
            // SAFETY: a chunk from the beginning of any segment lies in `x`, and one after all rows in
            // the scratch.
            #[allow(unsafe_code)]
            unsafe {
                neon::gather(x.as_ptr(), rows, &self.layout.segments, self.layout.run, to);
            }
            return;
        }
        match self.packing.form {
            Form::Signed => self.gather_as(Form::Signed, x, rows, scratch),
            Form::Unsigned => self.gather_as(Form::Unsigned, x, rows, scratch),
            Form::Wide => self.gather_as(Form::Wide, x, rows, scratch),
        }
    }

    #[inline(always)]
    fn gather_as(&self, form: Form, x: &[u8], rows: &[u32], scratch: &mut [u8]) {
        let x: &[i8] = bytemuck::cast_slice(x);
        let (run, segments) = (self.layout.run, &self.layout.segments[..]);
        let follow = |pair: &[u32]| pair[0] as usize + run == pair[1] as usize;
        if segments.len() == 1 && rows.windows(2).all(follow) {
            let row = (rows[0] + segments[0]) as usize;
            form.convert(&x[row..], run * rows.len(), &mut scratch[SLACK..]);
            return;
        }
        let (mut at, step) = (SLACK, run * form.bytes());
        for &row in rows {
            for &segment in segments {
                form.convert(&x[(row + segment) as usize..], run, &mut scratch[at..]);
                at += step;
            }
        }
    }

    /// What the zero point of the weights adds to the sums of each of `rows`.
    fn correct(&self, x: &[u8], rows: &[u32], sums: &mut [i32]) {
        let factor = self.zero_point.wrapping_neg();
        #[cfg(target_arch = "x86_64")]
        if self.isa.set() == Set::Avx512Vnni {
            let segments = (&self.deltas[..], self.run);
            // SAFETY: an `Isa` exists only where the CPU has the instructions; all rows lie in `x`.
            #[allow(unsafe_code)]
            unsafe {
                match self.packing.form {
                    Form::Signed => amx::sums(x.as_ptr().cast(), rows, segments, factor, sums),
                    _ => avx512::sums(x.as_ptr(), rows, segments, factor, sums),
                }
            }
            return;
        }
        #[cfg(target_arch = "aarch64")]
        if self.isa.set() != Set::Scalar {
            // SAFETY: a row's segments lie in `x`, with a chunk up to their end, as for products.
            #[allow(unsafe_code)]
            unsafe {
                neon::sums(x.as_ptr().cast(), rows, &self.deltas, self.run, factor, sums);
            }
            return;
        }
        self.isa.run(
            #[inline(always)]
            || {
                for (sum, &row) in sums.iter_mut().zip(rows) {
                    *sum = self.sum(x, row as usize).wrapping_mul(factor);
                }
            },
        );
    }

    /// The sum of a row's values as the kernel reads them.
    #[inline(always)]
    fn sum(&self, x: &[u8], row: usize) -> i32 {
        let (mut at, mut sum) = (row, 0i32);
        for &delta in &self.deltas {
            at += delta as usize;
            let size = self.packing.form.bytes();
            let run = &x[at * size..(at + self.run) * size];
            sum = sum.wrapping_add(match self.packing.form {
                Form::Signed => total(run, |x| x.cast_signed().into()),
                Form::Unsigned => total(run, i32::from),
                Form::Wide => total(run.as_chunks().0, |x| i16::from_ne_bytes(x).into()),
            });
        }
        sum
    }
}

impl Product for Gemm {
    fn n(&self) -> usize {
        self.n
    }

    fn share(&self) -> usize {
        self.packing.share(self.panel)
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn scratch(&self) -> usize {
        self.scratch()
    }

    fn divided(self, count: usize) -> Vec<Self> {
        let parts = self.blocks.chunks(self.blocks.len().div_ceil(count).max(1)).map(|blocks| {
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
                ..self
            }
        });
        parts.collect()
    }
}

/// The sum of `values`, in lanes that the compiler makes vectors of.
#[inline(always)]
fn total<T: Copy>(values: &[T], of: impl Fn(T) -> i32) -> i32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut lanes = [0i32; 8];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(of(value));
        }
    }
    let rest = rest.iter().fold(0i32, |sum, &value| sum.wrapping_add(of(value)));
    lanes.iter().fold(rest, |sum, &lane| sum.wrapping_add(lane))
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
