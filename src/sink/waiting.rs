//! What waits between a pipeline and whoever takes its findings away: bounded, the oldest result goes first.

use std::collections::VecDeque;

use crate::data::Rejected;

/// Something that waits.
pub(super) trait Entry {
    /// Whether it is a result; anything else is an event, and outlives results.
    fn is_result(&self) -> bool;
}

/// A bounded queue of entries, without a lock of its own.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    entries: VecDeque<T>,
    capacity: usize,
    /// Entries given up since the start.
    pub(super) dropped: u64,
    closed: bool,
}

impl<T: Entry> Waiting<T> {
    /// Room for `capacity` entries, 1 at least.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { entries: VecDeque::with_capacity(capacity), capacity, dropped: 0, closed: false }
    }

    pub(super) fn push(&mut self, entry: T) -> Result<(), Rejected> {
        if self.closed {
            return Err(Rejected::Closed);
        }
        let full = self.entries.len() >= self.capacity;
        if full {
            self.dropped += 1;
            match self.entries.iter().position(T::is_result) {
                Some(oldest) => drop(self.entries.remove(oldest)),
                // Only events wait: this result is itself the oldest one.
                None if entry.is_result() => return Err(Rejected::DroppedOldest),
                None => drop(self.entries.pop_front()),
            }
        }
        self.entries.push_back(entry);
        if full { Err(Rejected::DroppedOldest) } else { Ok(()) }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.entries.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Refuses whatever comes from now on; what is inside can still be taken.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}
