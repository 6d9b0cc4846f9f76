//! The machine's own clocks.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Clock, kernel};
use crate::data::Timestamp;

/// Real time: `CLOCK_MONOTONIC` for intervals, `CLOCK_REALTIME` for stamps.
///
/// Every `SystemClock` of a process counts from the same moment, so their times can be compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

impl SystemClock {
    /// The same as every other.
    pub const fn new() -> Self {
        Self
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for its time")]
fn instant() -> Instant {
    Instant::now()
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        ORIGIN.get_or_init(instant).elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that asks for wall time")]
    fn wall(&self) -> Timestamp {
        // A board without a battery clock can start before 1970; it is unsynced then.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp { since_epoch, clock: kernel::clock_state() }
    }

    #[expect(clippy::disallowed_methods, reason = "every other sleep comes through here")]
    fn sleep_until(&self, deadline: Duration) {
        // Asking anew after each sleep keeps the error of one from adding to the next.
        while let Some(left) = deadline.checked_sub(self.monotonic()).filter(|left| !left.is_zero())
        {
            thread::sleep(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_never_ends_before_its_deadline() {
        let clock = SystemClock;
        let deadline = clock.monotonic() + Duration::from_millis(3);
        clock.sleep_until(deadline);
        assert!(clock.monotonic() >= deadline);
    }

    #[test]
    fn past_deadline_returns_at_once() {
        let clock = SystemClock;
        clock.sleep_until(Duration::ZERO);
    }

    #[test]
    fn two_system_clocks_count_from_the_same_moment() {
        let before = SystemClock.monotonic();
        let other = SystemClock;
        assert!(other.monotonic() >= before);
    }
}
