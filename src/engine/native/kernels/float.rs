//! The same for floats: rows times filters, and depthwise convolution.
//!
//! Each output is `bias + x0 · w0 + x1 · w1 + …`, in this order, each step rounded once (fused), on
//! every instruction set: so all of them give the same bytes.

mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod tiles;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;
use std::sync::Arc;

use self::tiles::{Lines, Panel};
use super::aligned::Aligned;
use super::depthwise::SlidingWindow;
use super::depthwise::walk::Walk;
use super::gemm::Layout;
use super::isa::{Isa, Set};
use super::parts::{Lined, Product};
use super::table::{PanelRows, Table};

/// Filters as they come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FloatFilters<'a> {
    /// `[n, k]`; depthwise `[kh, kw, channels]`.
    pub(crate) weights: &'a [f32],
    /// `[n]`.
    pub(crate) bias: &'a [f32],
    /// The lowest and the highest output, perhaps infinite.
    pub(crate) bounds: [f32; 2],
}

/// Floats in a vector.
fn lanes(set: Set) -> usize {
    match set {
        Set::Scalar => 1,
        Set::Avx2 | Set::AvxVnni => 8,
        Set::Avx512Vnni | Set::Amx => 16,
        Set::Neon | Set::DotProd => 4,
    }
}

/// Packed filters, ready to run.
#[derive(Debug)]
pub(crate) struct FloatGemm {
    isa: Isa,
    n: usize,
    layout: Layout,
    deltas: Vec<u32>,
    /// The first filter of each block and its number of vectors; weights begin at `first * k`.
    blocks: Vec<[usize; 2]>,
    weights: Aligned<f32>,
    bias: Vec<f32>,
    bounds: [f32; 2],
    /// Rows that go through all blocks together.
    panel: PanelRows,
}

impl FloatGemm {
    /// Packs `filters` for rows of `layout`, about `rows` of them in a run.
    pub(crate) fn new(isa: Isa, layout: Layout, filters: FloatFilters<'_>, rows: usize) -> Self {
        let mut gemm = Self::laid_out(isa, layout, filters, rows);
        let mut weights = Aligned::zeros(gemm.operands());
        gemm.pack(filters.weights, false, &mut weights);
        gemm.weights = weights;
        gemm
    }

    /// For filters `[n, k]` that are computed: [`FloatGemm::prepare`] packs those of each run. The
    /// weights of `filters` are empty.
    pub(crate) fn open(isa: Isa, k: usize, filters: FloatFilters<'_>, rows: usize) -> Self {
        Self::laid_out(isa, Layout::whole(k), filters, rows)
    }

    /// Floats that [`FloatGemm::prepare`] writes.
    pub(crate) fn operands(&self) -> usize {
        self.bias.len() * self.layout.k()
    }

    /// Packs computed filters, `[n, k]` or, `turned`, `[k, n]`, into `room`, of
    /// [`FloatGemm::operands`] floats.
    pub(crate) fn prepare(&self, filters: &[f32], turned: bool, room: &mut [f32]) {
        self.isa.run(
            #[inline(always)]
            || self.pack(filters, turned, room),
        );
    }

    #[inline(always)]
    fn pack(&self, filters: &[f32], turned: bool, packed: &mut [f32]) {
        let (k, n) = (self.layout.k(), self.n);
        assert_eq!(filters.len(), n * k, "a weight for each value");
        for &[first, vectors] in &self.blocks {
            let wide = vectors * lanes(self.isa.set());
            let block = &mut packed[first * k..(first + wide) * k];
            let count = wide.min(n - first);
            if turned {
                let rows = filters.chunks_exact(n).map(|row| &row[first..first + count]);
                for (to, row) in block.chunks_exact_mut(wide).zip(rows) {
                    to[..count].copy_from_slice(row);
                }
                continue;
            }
            // Eight values of a filter at a time: neither side is left and come back to.
            for from in (0..k).step_by(8) {
                let some = 8.min(k - from);
                let block = &mut block[from * wide..(from + some) * wide];
                for lane in 0..count {
                    let filter = &filters[(first + lane) * k + from..][..some];
                    for (to, &w) in block[lane..].iter_mut().step_by(wide).zip(filter) {
                        *to = w;
                    }
                }
            }
        }
    }

    /// Everything but the weights.
    fn laid_out(isa: Isa, layout: Layout, filters: FloatFilters<'_>, rows: usize) -> Self {
        let (k, n) = (layout.k(), filters.bias.len());
        assert!(k > 0 && layout.segments.is_sorted());
        let (mut blocks, mut first, lanes) = (Vec::new(), 0, lanes(isa.set()));
        while first < n {
            // One row has few sums: wide blocks keep the multipliers busy.
            let widest = match (isa.set(), rows) {
                (Set::Scalar, _) => 1,
                (Set::Avx512Vnni, _) | (_, 1) => 4,
                _ => 2,
            };
            let vectors = match (n - first).div_ceil(lanes) {
                vectors if vectors >= widest => widest,
                3 => 2,
                vectors => vectors,
            };
            blocks.push([first, vectors]);
            first += vectors * lanes;
        }
        let mut bias = vec![0.0; first];
        bias[..n].copy_from_slice(filters.bias);
        let between = layout.segments.windows(2).map(|pair| pair[1] - pair[0]);
        let deltas = layout.segments.iter().copied().take(1).chain(between).collect();
        let panel = PanelRows(24 * (4_096 / k / 24).clamp(1, 16));
        let (weights, bounds) = (Aligned::zeros(0), filters.bounds);
        Self { isa, n, layout, deltas, blocks, weights, bias, bounds, panel }
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.weights.len() + self.bias.len())
    }

    /// Bytes that packing filters `[n, k]` may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(n: usize, k: usize) -> Option<usize> {
        n.checked_add(64)?.checked_mul(k.checked_add(1)?)?.checked_mul(4)
    }

    /// Row i of the product, `[n]`, to `outs[i]` of `y`, from `rows[i]` of `x`.
    pub(crate) fn run(&self, x: &[f32], rows: &Table, y: &mut [f32], outs: &Table) {
        self.run_with(&self.weights, x, [rows, outs], y);
    }

    /// The same with computed filters, of [`FloatGemm::prepare`].
    pub(crate) fn run_with(
        &self,
        weights: &[f32],
        x: &[f32],
        [rows, outs]: [&Table; 2],
        y: &mut [f32],
    ) {
        assert_eq!(rows.rows(), outs.rows(), "a place for each row");
        if rows.rows() == 0 {
            return;
        }
        assert!(rows.last() + self.layout.span() <= x.len(), "rows lie in the input");
        assert!(outs.last() + self.n <= y.len(), "rows lie in the output");
        let mut done = 0;
        while done < rows.rows() {
            let panel = done..done + self.panel.of(rows.rows() - done);
            done = panel.end;
            let (rows, outs) = (&rows.offsets()[panel.clone()], &outs.offsets()[panel]);
            for &[first, vectors] in &self.blocks {
                let (k, wide) = (self.layout.k(), vectors * lanes(self.isa.set()));
                let panel = Panel {
                    x: x.as_ptr(),
                    rows,
                    y: y[first..].as_mut_ptr(),
                    outs,
                    deltas: &self.deltas,
                    run: self.layout.run,
                    weights: &weights[first * k..(first + wide) * k],
                    bias: &self.bias[first..first + wide],
                    lanes: (self.n - first).min(wide),
                    bounds: self.bounds,
                };
                // SAFETY: an `Isa` exists only where the CPU has the instructions; all rows lie in `x`
                // and all outputs in `y`, as was checked above.
                #[allow(unsafe_code)]
                unsafe {
                    match self.isa.set() {
                        Set::Scalar => {
                            tiles::tiles::<f32, 1, 1>(&panel, 0);
                        }
                        #[cfg(target_arch = "x86_64")]
                        Set::Avx2 | Set::AvxVnni => x86::block_avx2(&panel, vectors),
                        #[cfg(target_arch = "x86_64")]
                        Set::Avx512Vnni => x86::block_avx512(&panel, vectors),
                        #[cfg(target_arch = "aarch64")]
                        Set::Neon | Set::DotProd => neon::block(&panel, vectors),
                        _ => unreachable!("an Isa exists only on its own architecture"),
                    }
                }
            }
        }
    }
}

impl Product for FloatGemm {
    fn n(&self) -> usize {
        self.n
    }

    fn share(&self) -> usize {
        self.panel.0
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn scratch(&self) -> usize {
        0
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn of_blocks(&self, blocks: Range<usize>) -> Self {
        let (k, lanes) = (self.layout.k(), lanes(self.isa.set()));
        let blocks = &self.blocks[blocks];
        let (first, last) = (blocks[0][0], blocks[blocks.len() - 1]);
        let end = last[0] + last[1] * lanes;
        Self {
            n: end.min(self.n) - first,
            layout: self.layout.clone(),
            deltas: self.deltas.clone(),
            blocks: blocks.iter().map(|&[block, vectors]| [block - first, vectors]).collect(),
            weights: Aligned::from(&self.weights[first * k..end * k]),
            bias: self.bias[first..end].to_vec(),
            ..*self
        }
    }
}

/// Packed depthwise filters, ready to run; parts of the lines share them.
#[derive(Debug)]
pub(crate) struct FloatDepthwise {
    isa: Isa,
    walk: Walk,
    /// `[taps, lanes of a period and more]`.
    weights: Arc<[f32]>,
    bias: Arc<[f32]>,
    bounds: [f32; 2],
}

impl FloatDepthwise {
    /// Packs `filters` for `window`.
    pub(crate) fn new(isa: Isa, window: SlidingWindow, filters: FloatFilters<'_>) -> Self {
        let (channels, kernel) = (filters.bias.len(), window.kernel);
        let taps = kernel[0] * kernel[1];
        assert!(channels > 0 && taps > 0 && filters.weights.len() == taps * channels);
        let walk = Walk::new(&window, channels, lanes(isa.set()));
        let channel = |lane: usize| (lane < walk.filled).then(|| lane % channels);
        let mut weights = Vec::with_capacity(taps * walk.row());
        for tap in 0..taps {
            let (b, a) = (tap / walk.a.taps, tap % walk.a.taps);
            let [y, x] = if walk.along == 0 { [a, b] } else { [b, a] };
            let row = &filters.weights[(y * kernel[1] + x) * channels..][..channels];
            weights.extend((0..walk.row()).map(|lane| channel(lane).map_or(0.0, |at| row[at])));
        }
        let bias = |lane: usize| channel(lane).map_or(0.0, |at| filters.bias[at]);
        let bias = (0..walk.row()).map(bias).collect();
        Self { isa, walk, weights: weights.into(), bias, bounds: filters.bounds }
    }

    /// Whether the input has to be a copy with slack after it: fewer lanes than a vector are loaded.
    pub(crate) fn needs_slack(&self) -> bool {
        self.walk.lanes < self.walk.block
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.weights.len() + self.bias.len())
    }

    /// Bytes that packing filters `[taps, channels]` may take, for a budget; `None` on overflow.
    pub(crate) fn bytes_max(taps: usize, channels: usize) -> Option<usize> {
        channels.checked_add(16)?.checked_mul(taps.checked_add(1)?)?.checked_mul(4)
    }

    /// `y`, `[height, width, channels]`, from `x`, whose first window begins at `start`.
    pub(crate) fn run(&self, x: &[f32], start: usize, y: &mut [f32]) {
        let reach = self.walk.reach() + self.walk.lanes.max(self.walk.block);
        assert!(start + reach <= x.len(), "windows lie in the input");
        assert!(self.walk.reach_out() + self.walk.lanes <= y.len(), "outputs have room");
        let lines = Lines {
            walk: &self.walk,
            weights: &self.weights,
            bias: &self.bias,
            bounds: self.bounds,
            x: x[start..].as_ptr(),
            y: y.as_mut_ptr(),
        };
        // SAFETY: an `Isa` exists only where the CPU has the instructions; all windows, with the lanes
        // of a block after their last tap, lie in `x` and all outputs in `y`, as was checked above.
        #[allow(unsafe_code)]
        unsafe {
            match self.isa.set() {
                Set::Scalar => tiles::depthwise::<f32>(&lines),
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 | Set::AvxVnni => x86::depthwise_avx2(&lines),
                #[cfg(target_arch = "x86_64")]
                Set::Avx512Vnni => x86::depthwise_avx512(&lines),
                #[cfg(target_arch = "aarch64")]
                Set::Neon | Set::DotProd => neon::depthwise_neon(&lines),
                _ => unreachable!("an Isa exists only on its own architecture"),
            }
        }
    }
}

impl Lined for FloatDepthwise {
    fn walk(&self) -> &Walk {
        &self.walk
    }

    fn over(&self, walk: Walk) -> Self {
        let Self { isa, bounds, .. } = *self;
        Self { isa, walk, weights: self.weights.clone(), bias: self.bias.clone(), bounds }
    }
}
