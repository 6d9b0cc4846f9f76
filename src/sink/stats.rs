//! What a sink with a thread of its own counts, for others to read at any time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters of one sink. Nobody waits for a reader; the lock of the last trouble is held for one assignment.
#[derive(Debug, Default)]
pub struct SinkStats {
    delivered: AtomicU64,
    dropped: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// [`SinkStats`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkReading {
    /// Results and events that arrived, or times that an output was set.
    pub delivered: u64,
    /// Results and events given up.
    pub dropped: u64,
    /// Why it does not do its job; `None` while it does.
    pub trouble: Option<String>,
}

impl SinkStats {
    /// All of it now.
    pub fn read(&self) -> SinkReading {
        SinkReading {
            delivered: self.delivered.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    pub(super) fn delivered(&self, count: u64) {
        self.delivered.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// Notes what is wrong, or that nothing is any more. Says whether that is news.
    pub(super) fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *last != trouble;
        *last = trouble;
        news
    }
}
