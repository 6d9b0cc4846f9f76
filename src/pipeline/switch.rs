//! Whether a pipeline makes results: it may be told to pause while its sensor goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// On or paused; clones share it, and looking costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// A pipeline that makes results, or is paused from the start.
    pub fn new(paused: bool) -> Self {
        Self(Arc::new(AtomicBool::new(paused)))
    }

    /// Whether it makes no results.
    pub fn is_paused(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// From its next window on it makes no results, or does again.
    pub fn pause(&self, paused: bool) {
        self.0.store(paused, Ordering::Release);
    }
}
