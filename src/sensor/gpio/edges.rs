//! Edges of one line: which of them count, how many, and how fast they come.

use std::time::Duration;

use super::{Edge, Seen};

/// A line that has been still for this many of its last intervals stands still.
const STILL_INTERVALS: f64 = 10.0;

/// What the kernel's edges come to.
pub(super) struct Edges {
    edge: Edge,
    /// Zero where the kernel keeps bouncing away.
    debounce: Duration,
    level: bool,
    /// An edge that has not stayed long enough yet: its time, and when it was heard of here.
    pending: Option<(Seen, Duration)>,
    number: Option<u32>,
    /// Counted since the last frame, the first and the last of them on the kernel's clock.
    count: u32,
    first: Option<Duration>,
    last: Option<Duration>,
    /// The newest that counted in an earlier frame, on the kernel's clock.
    before: Option<Duration>,
    /// When an edge that counts was last heard of, on this process's clock.
    heard: Option<Duration>,
    /// By the last edges that came.
    rate: f64,
    framed: Option<Duration>,
}

impl Edges {
    /// Of a line that is at `level` now.
    pub(super) fn new(edge: Edge, debounce: Duration, level: bool) -> Self {
        Self {
            edge,
            debounce,
            level,
            pending: None,
            number: None,
            count: 0,
            first: None,
            last: None,
            before: None,
            heard: None,
            rate: 0.0,
            framed: None,
        }
    }

    /// The level, without bouncing.
    pub(super) fn level(&self) -> bool {
        self.level
    }

    /// The kernel saw an edge; heard of at `now`.
    pub(super) fn saw(&mut self, seen: Seen, now: Duration) {
        if self.debounce.is_zero() {
            // Edges that found no room in the kernel's queue are in its numbers.
            let missed = match (seen.number, self.number) {
                (Some(number), Some(last)) => number.wrapping_sub(last).saturating_sub(1),
                // The first one is number 1.
                (Some(number), None) => number.saturating_sub(1),
                (None, _) => 0,
            };
            self.number = seen.number;
            self.level = seen.rising;
            if self.wanted(seen.rising) {
                self.counted(seen.at, 1_u32.saturating_add(missed), now);
            }
            return;
        }
        if let Some((pending, heard)) = self.pending.take()
            && seen.at.saturating_sub(pending.at) >= self.debounce
        {
            self.becomes(pending, heard);
        }
        self.pending = Some((seen, now));
    }

    /// Lets a level count that has stayed up to `now`.
    pub(super) fn settle(&mut self, now: Duration) {
        if let Some((pending, heard)) = self.pending
            && now.saturating_sub(heard) >= self.debounce
        {
            self.pending = None;
            self.becomes(pending, heard);
        }
    }

    fn becomes(&mut self, seen: Seen, heard: Duration) {
        if seen.rising == self.level {
            return;
        }
        self.level = seen.rising;
        if self.wanted(seen.rising) {
            self.counted(seen.at, 1, heard);
        }
    }

    fn wanted(&self, rising: bool) -> bool {
        match self.edge {
            Edge::Both => true,
            Edge::Rising => rising,
            Edge::Falling => !rising,
        }
    }

    fn counted(&mut self, at: Duration, edges: u32, heard: Duration) {
        self.count = self.count.saturating_add(edges);
        self.first.get_or_insert(at);
        self.last = Some(at);
        self.heard = Some(heard);
    }

    /// Edges since the last call, and edges a second, for a frame at `now`.
    pub(super) fn count(&mut self, now: Duration) -> (u32, f64) {
        let count = std::mem::take(&mut self.count);
        let since_frame = self.framed.map(|framed| now.saturating_sub(framed));
        self.framed = Some(now);
        let (first, last) = (self.first.take(), self.last.take());
        let (Some(first), Some(last)) = (first, last) else { return (count, self.slowed(now)) };
        let (from, intervals) = match self.before.replace(last) {
            Some(before) => (before, count),
            None => (first, count.saturating_sub(1)),
        };
        let time = last.saturating_sub(from).as_secs_f64();
        let rate = match intervals {
            _ if intervals > 0 && time > 0.0 => f64::from(intervals) / time,
            // One edge, the first there ever was.
            _ => since_frame.map_or(0.0, |time| f64::from(count) / time.as_secs_f64()),
        };
        self.rate = if rate.is_finite() { rate } else { 0.0 };
        (count, self.rate)
    }

    /// Without a new edge it is no faster than one since the last.
    fn slowed(&self, now: Duration) -> f64 {
        let Some(heard) = self.heard else { return 0.0 };
        let most = 1.0 / now.saturating_sub(heard).as_secs_f64();
        if most * STILL_INTERVALS < self.rate { 0.0 } else { self.rate.min(most) }
    }
}
