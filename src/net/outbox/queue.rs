//! Messages in order: first those that are on their way, then those that wait.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::message::{Id, Message, Place};
use crate::sink::Qos;
use crate::spool::Index;

/// Where else a message is than in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nowhere, and nobody has asked for it.
    No,
    /// It is being written.
    Asked,
    /// In the spool, under this index.
    At(Index),
    /// Nowhere, and it will not be: best effort, too large, or no spool.
    Never,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) place: Place,
    pub(super) message: Arc<Message>,
    pub(super) kept: Kept,
    /// When it was taken in.
    pub(super) since: Instant,
    pub(super) done: bool,
}

impl Entry {
    pub(super) fn is_best_effort(&self) -> bool {
        self.message.qos == Qos::AtMostOnce
    }
}

/// One queue in memory.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    on_the_way: usize,
    bytes: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of what is inside.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.message.cost();
        self.entries.push_back(entry);
    }

    /// The oldest that waits.
    pub(super) fn front(&self) -> Option<&Entry> {
        self.entries.get(self.on_the_way)
    }

    /// [`Queue::front`], which from now on is on its way.
    pub(super) fn depart(&mut self) -> Option<&Entry> {
        let entry = self.entries.get(self.on_the_way)?;
        self.on_the_way += 1;
        Some(entry)
    }

    /// Nothing is on its way any more: all that is not done waits again, in the old order.
    pub(super) fn rewind(&mut self) {
        self.on_the_way = 0;
        self.retain(|entry| !entry.done);
    }

    /// Marks `id` as done, if it is on its way, and forgets what is done at the front. Where it was kept; `None`
    /// when there is no such entry.
    pub(super) fn finish(&mut self, id: Id) -> Option<Entry> {
        let on_the_way = self.entries.range_mut(..self.on_the_way);
        let entry = { on_the_way }.find(|entry| entry.id == id && !entry.done)?;
        entry.done = true;
        let finished = entry.clone();
        while let Some(front) = self.entries.pop_front_if(|entry| entry.done) {
            self.bytes -= front.message.cost();
            self.on_the_way -= 1;
        }
        Some(finished)
    }

    /// Removes the oldest that waits and is as `wanted`.
    pub(super) fn remove(&mut self, wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let at = self.entries.range(self.on_the_way..).position(wanted)?;
        let entry = self.entries.remove(self.on_the_way + at)?;
        self.bytes -= entry.message.cost();
        Some(entry)
    }

    /// Keeps of those that wait the ones that are as `wanted`.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&Entry) -> bool) {
        let (on_the_way, mut at) = (self.on_the_way, 0);
        self.entries.retain(|entry| {
            at += 1;
            at <= on_the_way || wanted(entry)
        });
        self.bytes = self.entries.iter().map(|entry| entry.message.cost()).sum();
    }

    /// How many are not done.
    pub(super) fn len(&self) -> usize {
        let done = self.entries.range(..self.on_the_way).filter(|entry| entry.done).count();
        self.entries.len() - done
    }
}
