//! A layer's work in parts that several threads take, each part a stretch of the output.

use std::ops::Range;
use std::sync::Arc;

use super::depthwise::walk::Walk;
use super::table::Table;
use crate::engine::native::pool::{self, Claim, PARTS_MAX, Rooms, Stretches, Team, ViewMut};

/// Parts for each thread where there is enough for them: whoever is late takes fewer.
const TURNS: usize = 4;
/// Rows of a depthwise convolution's input that are enough for a part: neighbours read some of them both.
const ROWS: usize = 14;
/// Bytes of their copy that are enough for one, also on a single thread: it stays in the second cache then, and
/// needs no more memory than that.
const COPY: usize = 1 << 17;

/// Into how many parts to cut for several `threads`, of what is enough for `most` of them.
fn count(threads: usize, most: usize) -> usize {
    threads * (most / threads).clamp(1, TURNS.min(PARTS_MAX / threads))
}

/// `len` equal pieces in parts, of which each may have as few as `enough`; none is empty.
fn ranges(threads: usize, len: usize, enough: usize) -> impl Iterator<Item = Range<usize>> {
    let count = count(threads, len / enough).min(len);
    (0..count).map(move |i| pool::portion(i, count, len))
}

/// Parts, each with a stretch of the output: one, until they are cut for several threads.
#[derive(Debug)]
pub(super) struct Split<P> {
    parts: Vec<P>,
    /// Where their stretches end.
    ends: Vec<usize>,
    threads: usize,
}

impl<P: Sync> Split<P> {
    /// One part, with all `outputs`.
    pub(super) fn whole(part: P, outputs: usize) -> Self {
        Self { parts: vec![part], ends: vec![outputs], threads: 1 }
    }

    /// These parts, each with its number of outputs, for so many threads.
    pub(super) fn of(parts: impl Iterator<Item = (P, usize)>, threads: usize) -> Self {
        let mut end = 0;
        let parts = parts.map(|(part, outputs)| {
            end += outputs;
            (part, end)
        });
        let (parts, ends) = parts.unzip();
        Self { parts, ends, threads }
    }

    pub(super) fn parts(&self) -> &[P] {
        &self.parts
    }

    /// The whole, to be cut, if it is not cut yet.
    pub(super) fn take(&mut self) -> Option<P> {
        if self.parts.len() == 1 { self.parts.pop() } else { None }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Scratch of a thread where a part needs `of`.
    pub(super) fn room(&self, of: impl Fn(&P) -> usize) -> usize {
        pool::room(self.parts.iter().map(of).max().unwrap_or(0), self.threads)
    }

    /// `work` on each part with its stretch of `y` and its thread's scratch.
    pub(super) fn run<Y: Send, S: Send>(
        &self,
        team: &Team<'_>,
        y: ViewMut<'_, Y>,
        scratch: ViewMut<'_, S>,
        work: impl Fn(&Claim, &P, &mut [Y], &mut [S]),
    ) {
        if let [part] = &self.parts[..] {
            return team.once(y, scratch, move |claim, y, room| work(claim, part, y, room));
        }
        let (stretches, rooms) = (Stretches::new(y, &self.ends), Rooms::new(scratch, self.threads));
        team.share(stretches, rooms, move |claim, y, room| {
            work(claim, &self.parts[claim.part()], y, room);
        });
    }
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
    /// Blocks that its filters are packed in.
    fn blocks(&self) -> usize;
    /// The filters of these blocks alone.
    fn of_blocks(&self, blocks: Range<usize>) -> Self;
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
pub(super) struct Parts<G>(Split<Part<G>>);

impl<G: Product> Parts<G> {
    /// Of rows that begin at `rows` of the input; those of the output are side by side. `None` beyond
    /// the limits of a table.
    pub(super) fn new(gemm: G, rows: Table) -> Option<Self> {
        let (outs, outputs) = (Table::even(rows.rows(), gemm.n())?, rows.rows() * gemm.n());
        let whole = Part { gemm: Arc::new(gemm), rows, outs, first: [0, 0] };
        Some(Self(Split::whole(whole, outputs)))
    }

    /// Cuts it for so many threads: by rows, or a single row by filters.
    pub(super) fn split(&mut self, threads: usize) {
        if threads == 1 {
            return;
        }
        let Some(Part { gemm, rows, outs, .. }) = self.0.take() else { return };
        let count = rows.rows();
        if count > 1 {
            let parts = ranges(threads, count, gemm.share()).map(|range| {
                let (first, outputs) = (range.start, range.len() * gemm.n());
                let outs = outs.part(range.clone(), first * gemm.n());
                let rows = rows.part(range, 0);
                (Part { gemm: gemm.clone(), rows, outs, first: [first, 0] }, outputs)
            });
            self.0 = Split::of(parts, threads);
        } else {
            let mut filter = 0;
            let parts = ranges(threads, gemm.blocks(), 1).map(|blocks| {
                let gemm = Arc::new(gemm.of_blocks(blocks));
                let (first, n) = ([0, filter], gemm.n());
                filter += n;
                (Part { gemm, rows: rows.clone(), outs: outs.clone(), first }, n)
            });
            self.0 = Split::of(parts, threads);
        }
    }

    /// What all products have in common can be asked of one.
    pub(super) fn any(&self) -> &G {
        &self.0.parts()[0].gemm
    }

    /// Bytes of the packed constants.
    pub(super) fn bytes(&self) -> usize {
        // Parts of one row's filters have their own, parts of the rows the same.
        self.0.parts().iter().filter(|part| part.first[0] == 0).map(|part| part.gemm.bytes()).sum()
    }

    /// Number of filters.
    pub(super) fn n(&self) -> usize {
        self.0.parts().last().map_or(0, |part| part.first[1] + part.gemm.n())
    }

    /// Bytes of scratch for all threads; `None` when they overflow.
    pub(super) fn scratch(&self) -> Option<usize> {
        self.0.room(|part| part.gemm.scratch()).checked_mul(self.0.threads())
    }

    /// `work` on each part with its stretch of `y` and its thread's scratch.
    pub(super) fn run<Y: Send, S: Send>(
        &self,
        team: &Team<'_>,
        y: ViewMut<'_, Y>,
        scratch: ViewMut<'_, S>,
        work: impl Fn(&Claim, &Part<G>, &mut [Y], &mut [S]),
    ) {
        self.0.run(team, y, scratch, work);
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
}

/// A depthwise convolution in parts: one, until it is split.
#[derive(Debug)]
pub(super) struct AllLines<K>(Split<Lines<K>>);

impl<K: Lined> AllLines<K> {
    /// All lines, which have so many `outputs`.
    pub(super) fn new(kernel: K, outputs: usize) -> Self {
        let lines = 0..kernel.walk().lines();
        Self(Split::whole(Lines { kernel, lines, start: 0 }, outputs))
    }

    /// Cuts it for so many threads. There are so many rows of the input, and so many bytes of it are copied.
    pub(super) fn split(&mut self, threads: usize, rows: usize, copied: usize) {
        let Some(Lines { kernel, .. }) = self.0.take() else { return };
        let most = PARTS_MAX / threads * threads;
        let small = copied.div_ceil(COPY).max(1).next_multiple_of(threads).min(most);
        let parts = if threads == 1 { small } else { count(threads, rows / ROWS).max(small) };
        let parts = kernel.walk().divided(parts);
        let part = |(walk, lines, [start, outputs]): (Walk, _, [usize; 2])| {
            (Lines { kernel: kernel.over(walk), lines, start }, outputs)
        };
        self.0 = Split::of(parts.map(part), threads);
    }

    /// What a thread needs for any part where these lines need `of`.
    pub(super) fn room(&self, of: impl Fn(Range<usize>) -> usize) -> usize {
        self.0.room(|part| of(part.lines.clone()))
    }

    pub(super) fn threads(&self) -> usize {
        self.0.threads()
    }

    /// What all parts have in common can be asked of one.
    pub(super) fn any(&self) -> &K {
        &self.0.parts()[0].kernel
    }

    /// `work` on each part with its stretch of `y` and its thread's room in `scratch`.
    pub(super) fn run<Y: Send, S: Send>(
        &self,
        team: &Team<'_>,
        y: ViewMut<'_, Y>,
        scratch: ViewMut<'_, S>,
        work: impl Fn(&Claim, &Lines<K>, &mut [Y], &mut [S]),
    ) {
        self.0.run(team, y, scratch, work);
    }
}
