//! Time as a seam: monotonic for deadlines and rates, wall only for stamps.

mod stopwatch;

pub use stopwatch::Stopwatch;

use std::time::Duration;

use crate::data::Timestamp;

/// Where every room takes its time from.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment; never jumps. For deadlines, intervals and rates.
    fn monotonic(&self) -> Duration;

    /// Wall-clock time with the kernel's word on whether it is synchronised. For payloads only.
    fn wall(&self) -> Timestamp;

    /// Returns at `deadline` of [`Clock::monotonic`], at once if that is past.
    fn sleep_until(&self, deadline: Duration);
}
