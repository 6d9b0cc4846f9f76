//! Time that moves only when a test says so.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Clock;
use crate::data::{ClockState, Timestamp};

/// A clock for tests: [`ManualClock::advance`] moves it and wakes sleepers, or, made with
/// [`ManualClock::auto`], it jumps to the deadline of whoever sleeps.
pub struct ManualClock {
    state: Mutex<State>,
    changed: Condvar,
    auto: bool,
}

struct State {
    now: Duration,
    /// Wall time at `now == 0`.
    wall: Timestamp,
    sleepers: usize,
}

impl ManualClock {
    /// Starts at zero, at 2023-11-14T22:13:20Z, synced.
    pub fn new() -> Self {
        let wall = Timestamp {
            since_epoch: Duration::from_secs(1_700_000_000),
            clock: ClockState::Synced,
        };
        let state = State { now: Duration::ZERO, wall, sleepers: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new(), auto: false }
    }

    /// As [`ManualClock::new`], but sleeping moves the clock to the deadline at once: a whole day of
    /// one thread runs in no time.
    pub fn auto() -> Self {
        Self { auto: true, ..Self::new() }
    }

    /// Moves the time on by `step` and wakes everyone whose deadline that reaches.
    pub fn advance(&self, step: Duration) {
        self.lock().now += step;
        self.changed.notify_all();
    }

    /// What the wall clock says from now on: an NTP step, or an unsynced clock.
    pub fn set_wall(&self, wall: Timestamp) {
        let mut state = self.lock();
        let since_epoch = wall.since_epoch.saturating_sub(state.now);
        state.wall = Timestamp { since_epoch, ..wall };
    }

    /// Returns when `threads` threads are asleep: they have done all they can at this time.
    pub fn wait_for_sleepers(&self, threads: usize) {
        let state = self.lock();
        let awake = |state: &mut State| state.sleepers < threads;
        let done = self.changed.wait_while(state, awake).unwrap_or_else(PoisonError::into_inner);
        drop(done);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        self.lock().now
    }

    fn wall(&self) -> Timestamp {
        let state = self.lock();
        Timestamp { since_epoch: state.wall.since_epoch + state.now, ..state.wall }
    }

    fn sleep_until(&self, deadline: Duration) {
        let mut state = self.lock();
        if self.auto {
            state.now = state.now.max(deadline);
            return;
        }
        while state.now < deadline {
            state.sleepers += 1;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleepers -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn advance_wakes_a_sleeper_at_its_deadline() {
        let clock = Arc::new(ManualClock::new());
        let sleeper = thread::spawn({
            let clock = clock.clone();
            move || {
                clock.sleep_until(Duration::from_secs(10));
                clock.monotonic()
            }
        });
        clock.wait_for_sleepers(1);
        clock.advance(Duration::from_secs(4));
        clock.wait_for_sleepers(1);
        clock.advance(Duration::from_secs(6));
        assert_eq!(sleeper.join().unwrap(), Duration::from_secs(10));
    }

    #[test]
    fn automatic_clock_jumps_to_the_deadline() {
        let clock = ManualClock::auto();
        clock.sleep_until(Duration::from_secs(86_400));
        assert_eq!(clock.monotonic(), Duration::from_secs(86_400));
        clock.sleep_until(Duration::from_secs(1));
        assert_eq!(clock.monotonic(), Duration::from_secs(86_400));
    }

    #[test]
    fn wall_clock_can_be_set_without_moving_monotonic_time() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(5));
        let wall = Timestamp { since_epoch: Duration::from_secs(100), clock: ClockState::Unsynced };
        clock.set_wall(wall);
        assert_eq!(clock.wall(), wall);
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
    }
}
