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

/// Measures the calling thread's own work: what others do meanwhile does not count.
#[derive(Clone, Copy, Debug)]
pub struct CpuWatch(Duration);

impl CpuWatch {
    /// Starts now, on this thread.
    pub fn start() -> Self {
        Self(Self::now())
    }

    /// Processor time that this thread has had since the start.
    pub fn elapsed(&self) -> Duration {
        Self::now().saturating_sub(self.0)
    }

    fn now() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    }
}
