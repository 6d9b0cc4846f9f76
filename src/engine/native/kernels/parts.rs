//! A layer's work in parts that several threads take, each part a stretch of the output.

use std::ops::Range;
use std::sync::Arc;

use super::depthwise::walk::Walk;
use super::table::Table;
use crate::engine::native::pool::{self, PARTS_MAX, Rooms, Team, stretches};

/// Parts for each thread where there is enough for them: whoever is late takes fewer.
const TURNS: usize = 4;
/// Lines of a depthwise convolution that are enough for a part: neighbours read some lines both.
const LINES: usize = 14;

/// Into how many parts to cut for `threads`, of what is enough for `most` of them.
fn count(threads: usize, most: usize) -> usize {
    threads * (most / threads).clamp(1, TURNS.min(PARTS_MAX / threads))
}

/// A rows-by-filters product.
pub(super) trait Product: Sized + Send + Sync {
    /// Number of filters.
    fn n(&self) -> usize;
    /// Rows that are enough for a part: fewer would read the filters more often.
    fn share(&self) -> usize;
    /// Bytes of the packed constants.
    fn bytes(&self) -> usize;
    /// Scratch of a run, in bytes.
    fn scratch(&self) -> usize;
    /// The filters in `count` parts, or fewer.
    fn divided(self, count: usize) -> Vec<Self>;
}

/// Some rows by some filters, which are one stretch of the output.
#[derive(Debug)]
pub(super) struct Part<G> {
    pub(super) gemm: Arc<G>,
    /// Where rows begin in the input.
    pub(super) rows: Table,
    /// Where they begin in the stretch.
    pub(super) outs: Table,
    /// The first row and the first filter.
    pub(super) first: [usize; 2],
}

/// A product in parts: one, until it is split.
#[derive(Debug)]
pub(super) struct Parts<G> {
    all: Vec<Part<G>>,
    threads: usize,
}

impl<G: Product> Parts<G> {
    /// Of rows that begin at `rows` of the input; those of the output are side by side. `None` beyond
    /// the limits of a table.
    pub(super) fn new(gemm: G, rows: Table) -> Option<Self> {
        let outs = Table::even(rows.rows(), gemm.n())?;
        let whole = Part { gemm: Arc::new(gemm), rows, outs, first: [0, 0] };
        Some(Self { all: vec![whole], threads: 1 })
    }

    /// Cuts it for so many threads: by rows, or a single row by filters.
    pub(super) fn split(&mut self, threads: usize) {
        self.threads = threads;
        let [Part { gemm, rows, outs, .. }] = &self.all[..] else { return };
        let count = rows.rows();
        if count > 1 {
            let parts = self::count(threads, count / gemm.share()).min(count);
            let parts = (0..parts).map(|i| {
                let range = i * count / parts..(i + 1) * count / parts;
                let first = range.start;
                let outs = outs.part(range.clone(), first * gemm.n());
                let rows = rows.part(range, 0);
                Part { gemm: gemm.clone(), rows, outs, first: [first, 0] }
            });
            self.all = parts.collect();
        } else if let Some(Part { gemm, rows, outs, .. }) = self.all.pop() {
            let gemm = Arc::into_inner(gemm).expect("it is not split yet");
            let mut filter = 0;
            let part = |gemm: G| {
                let first = [0, filter];
                filter += gemm.n();
                Part { gemm: Arc::new(gemm), rows: rows.clone(), outs: outs.clone(), first }
            };
            self.all = gemm.divided(threads).into_iter().map(part).collect();
        }
    }

    /// What all products have in common can be asked of one.
    pub(super) fn any(&self) -> &G {
        &self.all[0].gemm
    }

    /// Bytes of the packed constants.
    pub(super) fn bytes(&self) -> usize {
        // Parts of one row's filters have their own, parts of the rows the same.
        self.all.iter().filter(|part| part.first[0] == 0).map(|part| part.gemm.bytes()).sum()
    }

    /// Number of filters.
    pub(super) fn n(&self) -> usize {
        self.all.last().map_or(0, |part| part.first[1] + part.gemm.n())
    }

    /// Bytes of scratch for all threads; `None` when they overflow.
    pub(super) fn scratch(&self) -> Option<usize> {
        self.room().checked_mul(self.threads)
    }

    /// Scratch of a thread.
    fn room(&self) -> usize {
        let most = self.all.iter().map(|part| part.gemm.scratch()).max().unwrap_or(0);
        pool::room(most, self.threads)
    }

    /// `work` on each part with its stretch of `y` and its thread's scratch.
    pub(super) fn run<Y: Send, S: Send>(
        &self,
        team: &Team<'_>,
        y: &mut [Y],
        scratch: &mut [S],
        work: impl Fn(&Part<G>, &mut [Y], &mut [S]) + Sync,
    ) {
        // Without a look at lengths: small layers are as short as that.
        if let [part] = &self.all[..] {
            return work(part, y, scratch);
        }
        let len = |part: &Part<G>| part.outs.rows() * part.gemm.n();
        let parts = self.all.iter().zip(stretches(y, self.all.iter().map(len)));
        team.share(parts, Rooms::new(scratch, self.threads), |(part, y), room| work(part, y, room));
    }
}

/// A depthwise kernel, whose outputs lie in lines.
pub(super) trait Lined: Sized + Sync {
    fn walk(&self) -> &Walk;
    /// The same kernel for other lines.
    fn over(&self, walk: Walk) -> Self;
}

/// Some lines of a depthwise convolution.
#[derive(Debug)]
pub(super) struct Lines<K> {
    pub(super) kernel: K,
    /// Which of them.
    pub(super) lines: Range<usize>,
    /// Where the first window begins, counted from that of the first line of all.
    pub(super) start: usize,
    /// Values of the output.
    len: usize,
}

/// A depthwise convolution in parts: one, until it is split.
#[derive(Debug)]
pub(super) struct AllLines<K> {
    all: Vec<Lines<K>>,
    threads: usize,
}

impl<K: Lined> AllLines<K> {
    /// All lines, which have so many `outputs`.
    pub(super) fn new(kernel: K, outputs: usize) -> Self {
        let lines = 0..kernel.walk().lines();
        Self { all: vec![Lines { kernel, lines, start: 0, len: outputs }], threads: 1 }
    }

    /// Cuts it for so many threads.
    pub(super) fn split(&mut self, threads: usize) {
        self.threads = threads;
        let [Lines { kernel, lines, .. }] = &self.all[..] else { return };
        let parts = kernel.walk().divided(count(threads, lines.len() / LINES));
        let part = |(walk, lines, [start, len]): (Walk, _, [usize; 2])| Lines {
            kernel: kernel.over(walk),
            lines,
            start,
            len,
        };
        self.all = parts.map(part).collect();
    }

    /// What a thread needs for any part where these lines need `of`.
    pub(super) fn room(&self, of: impl Fn(Range<usize>) -> usize) -> usize {
        let most = self.all.iter().map(|part| of(part.lines.clone())).max().unwrap_or(0);
        pool::room(most, self.threads)
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// What all parts have in common can be asked of one.
    pub(super) fn any(&self) -> &K {
        &self.all[0].kernel
    }

    /// `work` on each part with its stretch of `y` and its thread's room in `scratch`.
    pub(super) fn run<Y: Send, S: Send>(
        &self,
        team: &Team<'_>,
        y: &mut [Y],
        scratch: &mut [S],
        work: impl Fn(&Lines<K>, &mut [Y], &mut [S]) + Sync,
    ) {
        if let [part] = &self.all[..] {
            return work(part, y, scratch);
        }
        let parts = self.all.iter().zip(stretches(y, self.all.iter().map(|part| part.len)));
        team.share(parts, Rooms::new(scratch, self.threads), |(part, y), room| work(part, y, room));
    }
}
