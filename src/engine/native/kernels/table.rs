//! Where rows lie in a buffer.

use std::ops::Range;

/// Where each row begins, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    offsets: Vec<u32>,
    /// No row begins before the one before it.
    sorted: bool,
    /// The largest of them.
    last: usize,
}

impl Table {
    /// A table of these offsets; `None` when one is 2^31 or more.
    pub(crate) fn new(offsets: impl IntoIterator<Item = usize>) -> Option<Self> {
        let offsets = offsets.into_iter().map(|offset| {
            u32::try_from(offset).ok().filter(|&offset| offset <= i32::MAX.cast_unsigned())
        });
        let offsets = offsets.collect::<Option<Vec<u32>>>()?;
        let sorted = offsets.is_sorted();
        let last = offsets.iter().copied().max().unwrap_or(0) as usize;
        Some(Self { offsets, sorted, last })
    }

    /// `rows` rows, each `pitch` after the one before.
    pub(crate) fn even(rows: usize, pitch: usize) -> Option<Self> {
        rows.saturating_sub(1).checked_mul(pitch)?;
        Self::new((0..rows).map(|row| row * pitch))
    }

    /// Some of its rows, in a buffer that begins at `start` of this one's.
    pub(super) fn part(&self, rows: Range<usize>, start: usize) -> Self {
        let offsets: Vec<u32> = self.offsets[rows].iter().map(|at| at - start as u32).collect();
        let last = offsets.iter().copied().max().unwrap_or(0) as usize;
        Self { sorted: offsets.is_sorted(), offsets, last }
    }

    /// The rows that begin in `places`; all ascend.
    pub(super) fn between(&self, places: Range<usize>) -> Range<usize> {
        let before = |place: usize| self.offsets.partition_point(|&at| (at as usize) < place);
        before(places.start)..before(places.end)
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Whether no row begins before the one before it.
    pub(super) fn is_sorted(&self) -> bool {
        self.sorted
    }

    /// Where the furthest row begins.
    pub(super) fn last(&self) -> usize {
        self.last
    }
}

/// How many rows go through all filters together.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanelRows(pub(super) usize);

impl PanelRows {
    /// Those of the last panel: a few more than of the others are not worth a panel of their own, for which
    /// all filters would be read again.
    pub(super) fn most(self) -> usize {
        self.0 + self.0 / 4
    }

    /// Those of the next panel where so many are left.
    pub(super) fn of(self, left: usize) -> usize {
        if left <= self.most() { left } else { self.0 }
    }
}
