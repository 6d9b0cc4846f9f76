//! Time as a seam: monotonic for deadlines and rates, wall only for stamps.

mod kernel;
#[cfg(any(test, feature = "demo"))]
mod manual;
#[cfg(any(test, feature = "demo"))]
mod scaled;
mod stopwatch;
mod system;

use std::time::Duration;

#[cfg(any(test, feature = "demo"))]
pub use manual::ManualClock;
#[cfg(any(test, feature = "demo"))]
pub use scaled::{BadSpeed, ScaledClock};
pub use stopwatch::{CpuWatch, Stopwatch};
pub use system::SystemClock;

use crate::data::Timestamp;

/// Where every room takes its time from.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment; never jumps, never goes backwards. For deadlines, intervals
    /// and rates.
    fn monotonic(&self) -> Duration;

    /// Wall-clock time with the kernel's word on whether it is synchronised. For payloads only.
    fn wall(&self) -> Timestamp;

    /// Returns at `deadline` of [`Clock::monotonic`], at once if that is past.
    fn sleep_until(&self, deadline: Duration);

    /// Called through [`Attendance`]: simulated time waits for the calling thread from now on.
    /// Real time waits for nobody, so the default does nothing.
    fn attend(&self) {}

    /// Called through [`Attendance`]: takes one [`Clock::attend`] of the calling thread back.
    fn depart(&self) {}
}

/// While it lives, simulated time stands still whenever the thread that made it is not inside
/// [`Clock::sleep_until`]: a stalled machine then makes a simulation slower, never lossy.
///
/// For threads that sample. Such a thread must sleep by this clock only: waiting in another way for
/// simulated time to pass would wait for ever.
#[must_use = "time waits only while this value lives"]
pub struct Attendance<'a> {
    clock: &'a dyn Clock,
    /// Attendance belongs to a thread, so it stays on it.
    _thread: std::marker::PhantomData<*const ()>,
}

impl<'a> Attendance<'a> {
    /// Makes `clock` wait for the calling thread.
    pub fn new(clock: &'a dyn Clock) -> Self {
        clock.attend();
        Self { clock, _thread: std::marker::PhantomData }
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        self.clock.depart();
    }
}
