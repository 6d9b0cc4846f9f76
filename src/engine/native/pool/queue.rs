//! Which thread takes which part.

use std::array;
use std::ops::Range;

use super::PARTS_MAX;
use crate::engine::threads::THREADS_MAX;

/// Parts that nobody has taken. Each thread has a stretch of them for itself, the same share of every
/// operator's: so it finds in its own cache what it wrote before. Who has done its own helps who is behind.
#[derive(Debug)]
pub(super) struct Queue<P> {
    parts: [Option<P>; PARTS_MAX],
    /// For each thread.
    left: [Range<u8>; THREADS_MAX],
    threads: usize,
}

impl<P> Queue<P> {
    /// For so many threads.
    pub(super) fn new(parts: impl ExactSizeIterator<Item = P>, threads: usize) -> Self {
        let count = parts.len();
        assert!(count <= PARTS_MAX, "operators are cut into few parts");
        let end = |thread: usize| (thread.min(threads) * count / threads) as u8;
        let left = array::from_fn(|thread| end(thread)..end(thread + 1));
        let mut queue = Self { parts: [const { None }; PARTS_MAX], left, threads };
        for (place, part) in queue.parts.iter_mut().zip(parts) {
            *place = Some(part);
        }
        queue
    }

    /// What the thread of this number does next.
    pub(super) fn next(&mut self, thread: usize) -> Option<P> {
        let left = &mut self.left[..self.threads];
        let own = left[thread].next();
        let behind = || left.iter_mut().max_by_key(|left| left.len())?.next_back();
        self.parts[usize::from(own.or_else(behind)?)].take()
    }
}
