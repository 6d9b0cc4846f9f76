//! How the parts are doing: counters and heartbeats that the rooms write without waiting, and readings
//! of the process and the board. What of it is published, and the verdict, is `daemon::report`'s.

mod board;
mod condition;
mod disk;
pub(crate) mod kernel;
mod latency;
mod problem;
mod process;
mod runs;
mod thermal;

pub use board::{
    BoardMeter, BoardReading, BoardVersions, boot_id, memory_available_bytes, memory_bytes,
    model_name,
};
pub use condition::{Conditions, Latch, Reading, Round};
pub use disk::{Disk, Wear};
pub use kernel::Kernel;
#[cfg(test)]
pub(crate) use kernel::fake;
pub use latency::Latencies;
pub use problem::{Code, Problem};
pub use process::ProcessMeter;
pub use runs::{Run, Runs, Stop};
pub use thermal::{Firmware, Throttling, Zone};

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What one pipeline's thread counts; read by others at any time.
#[derive(Debug, Default)]
pub struct PipelineStats {
    /// Windows that became findings.
    pub windows: AtomicU64,
    /// Windows that the recipe or a failed run gave up.
    pub dropped_windows: AtomicU64,
    /// Those of them that the model or its postprocessing failed at.
    pub failed_windows: AtomicU64,
    /// Frames that the full queue before the pipeline dropped.
    pub dropped_frames: AtomicU64,
    /// Findings that came later after their last sample than the next window was due.
    pub deadline_misses: AtomicU64,
    /// Findings handed to the sinks.
    pub published: AtomicU64,
    /// Older entries that a full sink gave up.
    pub sink_drops: AtomicU64,
    /// Preprocess, engine and postprocess together, since they were last taken.
    pub latencies: Latencies,
    heartbeat: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl PipelineStats {
    /// The thread is alive and makes progress: called at least twice a second by a healthy pipeline.
    pub fn beat(&self) {
        self.heartbeat.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of beats so far; unchanged over seconds means that the thread hangs.
    pub fn beats(&self) -> u64 {
        self.heartbeat.load(Ordering::Relaxed)
    }

    /// What went wrong last; `None` once a window has gone well again.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what went wrong, or that it goes well again. Says whether that is news.
    pub fn set_error(&self, error: Option<String>) -> bool {
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *last != error;
        *last = error;
        news
    }
}

/// Tells a hanging pipeline from a working one for systemd's watchdog.
#[derive(Debug, Default)]
pub struct Heartbeats {
    seen: Vec<(u64, Duration)>,
}

impl Heartbeats {
    /// Whether every counter has moved within `patience` before `now` (monotonic).
    ///
    /// `beats` are the same parts in the same order at each call.
    pub fn all_fresh(
        &mut self,
        beats: impl IntoIterator<Item = u64>,
        now: Duration,
        patience: Duration,
    ) -> bool {
        let mut fresh = true;
        for (index, beat) in beats.into_iter().enumerate() {
            match self.seen.get_mut(index) {
                None => self.seen.push((beat, now)),
                Some(seen) if seen.0 != beat => *seen = (beat, now),
                Some(seen) => fresh &= now.saturating_sub(seen.1) <= patience,
            }
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pipeline_that_hangs_makes_the_whole_stale() {
        let mut beats = Heartbeats::default();
        let (at, patience) = (Duration::from_secs, Duration::from_secs(5));
        assert!(beats.all_fresh([1, 1], at(0), patience));
        assert!(beats.all_fresh([2, 1], at(5), patience));
        assert!(!beats.all_fresh([3, 1], at(6), patience));
        assert!(beats.all_fresh([4, 2], at(7), patience));
    }

    #[test]
    fn an_error_is_news_once_and_so_is_its_end() {
        let stats = PipelineStats::default();
        assert!(stats.set_error(Some("NaN".into())));
        assert!(!stats.set_error(Some("NaN".into())));
        assert!(stats.set_error(None));
    }
}
