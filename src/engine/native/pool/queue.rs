//! Which thread takes which part.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Numbers of the parts that one thread has for itself: the same share of every operator's, so that it
/// finds in its own cache what it wrote before. It takes them from the front; who has done its own helps
/// who is behind, from the back. Each number is taken once.
#[derive(Debug, Default)]
pub(super) struct Queue(AtomicU32);

impl Queue {
    /// Of these numbers, which fit 16 bits.
    pub(super) fn new(numbers: Range<usize>) -> Self {
        Self(AtomicU32::new(packed(numbers)))
    }

    /// Puts these numbers in. Who is told of them by a release store finds them.
    pub(super) fn fill(&self, numbers: Range<usize>) {
        self.0.store(packed(numbers), Ordering::Relaxed);
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        unpacked(self.0.load(Ordering::Relaxed)).len()
    }

    /// The first one, for the thread whose queue it is.
    pub(super) fn first(&self) -> Option<usize> {
        self.take(Range::next)
    }

    /// The last one, for the others.
    pub(super) fn last(&self) -> Option<usize> {
        self.take(Range::next_back)
    }

    fn take(&self, which: impl Fn(&mut Range<usize>) -> Option<usize>) -> Option<usize> {
        // What a number stands for was there before the queue was filled, so that order is no matter.
        let mut taken = None;
        let after = |before| {
            let mut left = unpacked(before);
            taken = which(&mut left);
            taken.map(|_| packed(left))
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).ok()?;
        taken
    }
}

fn packed(Range { start, end }: Range<usize>) -> u32 {
    (start as u32) << 16 | end as u32
}

fn unpacked(both: u32) -> Range<usize> {
    (both >> 16) as usize..(both & 0xffff) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_once_from_either_end() {
        let queue = Queue::default();
        assert_eq!((queue.first(), queue.last(), queue.len()), (None, None, 0));
        queue.fill(3..6);
        assert_eq!((queue.first(), queue.last(), queue.len()), (Some(3), Some(5), 1));
        assert_eq!((queue.last(), queue.first(), queue.last()), (Some(4), None, None));
    }
}
