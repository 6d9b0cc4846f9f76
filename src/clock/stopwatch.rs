//! Real elapsed time, whatever clock the data path runs on: how long a computation took.

use std::time::{Duration, Instant};

/// Measures work, not the stream: a scaled clock does not make a model slower.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that measures work")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Real time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
