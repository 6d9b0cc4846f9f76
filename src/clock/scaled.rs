//! Time that runs faster than real time without running away from the threads that sample by it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::{Clock, SystemClock};
use crate::data::Timestamp;

/// How long a sleeper waits, in the underlying time, before it looks again while another thread
/// keeps the time standing still.
const HELD_RECHECK: Duration = Duration::from_millis(1);

/// Simulated time: `speed` times as fast as an underlying clock, both monotonic and wall.
///
/// Wall time starts at the underlying wall time and keeps its synced flag.
///
/// # Time waits for those who attend
/// For each thread that holds an [`Attendance`](super::Attendance) there is a *limit*, and time never
/// passes the lowest one:
/// - when the attendance begins, the limit is the time of that moment;
/// - [`Clock::sleep_until`] raises the thread's limit to its deadline;
/// - the end of the attendance takes the limit away.
///
/// So time runs while all attending threads sleep, reaches the first deadline exactly, and stands
/// there until that thread has done its work and sleeps again. What real time passes meanwhile is
/// never caught up: a slow machine sees a slower simulation with the same samples at the same times.
/// Time never goes backwards, since limits only rise and a new one starts at the present.
pub struct ScaledClock {
    under: Arc<dyn Clock>,
    speed: f64,
    /// Wall time at simulated time zero.
    wall_start: Duration,
    state: Mutex<State>,
}

struct State {
    /// Underlying time at which the simulated time was `base` and last began to run.
    base_under: Duration,
    base: Duration,
    limits: Vec<(ThreadId, Duration)>,
}

/// The speed is not a number that a clock can run at.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("speed must be between 0.01 and 10000, is {0}")]
pub struct BadSpeed(pub f64);

impl ScaledClock {
    /// Runs `speed` times as fast as real time.
    ///
    /// # Errors
    /// Unless `speed` is between 0.01 and 10 000.
    pub fn new(speed: f64) -> Result<Self, BadSpeed> {
        Self::over(Arc::new(SystemClock), speed)
    }

    /// Runs `speed` times as fast as `under`.
    ///
    /// # Errors
    /// As [`ScaledClock::new`].
    pub fn over(under: Arc<dyn Clock>, speed: f64) -> Result<Self, BadSpeed> {
        if !(0.01..=10_000.0).contains(&speed) {
            return Err(BadSpeed(speed));
        }
        let state =
            State { base_under: under.monotonic(), base: Duration::ZERO, limits: Vec::new() };
        let wall_start = under.wall().since_epoch;
        Ok(Self { under, speed, wall_start, state: Mutex::new(state) })
    }

    /// The speed at which time runs while nobody holds it.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The underlying and the simulated time of this moment, under the limits as they are; to be
    /// called before those change.
    fn update(&self, state: &mut State) -> (Duration, Duration) {
        // A thread that read the underlying time earlier may come here later.
        let under = self.under.monotonic().max(state.base_under);
        let free = state.base + (under - state.base_under).mul_f64(self.speed);
        match state.lowest_limit() {
            Some(limit) if free > limit => {
                // The base moves only here: moving it at each call would add up rounding errors.
                *state = State {
                    base_under: under,
                    base: limit.max(state.base),
                    limits: std::mem::take(&mut state.limits),
                };
                (under, state.base)
            }
            _ => (under, free),
        }
    }
}

impl State {
    fn lowest_limit(&self) -> Option<Duration> {
        self.limits.iter().map(|(_, limit)| *limit).min()
    }
}

impl Clock for ScaledClock {
    fn monotonic(&self) -> Duration {
        self.update(&mut self.lock()).1
    }

    fn wall(&self) -> Timestamp {
        let since_epoch = self.wall_start + self.monotonic();
        Timestamp { since_epoch, clock: self.under.wall().clock }
    }

    fn sleep_until(&self, deadline: Duration) {
        let me = thread::current().id();
        let mut state = self.lock();
        self.update(&mut state);
        for (thread, limit) in &mut state.limits {
            if *thread == me {
                *limit = deadline.max(*limit);
            }
        }
        loop {
            let (under, now) = self.update(&mut state);
            if now >= deadline {
                return;
            }
            let reachable = state.lowest_limit().map_or(deadline, |limit| limit.min(deadline));
            // Rounded up: a sleep that ends a nanosecond early would only repeat itself.
            let wait = reachable.saturating_sub(now).div_f64(self.speed) + Duration::from_nanos(1);
            let wait = if reachable > now { wait } else { HELD_RECHECK };
            let until = under + wait;
            drop(state);
            self.under.sleep_until(until);
            state = self.lock();
        }
    }

    fn attend(&self) {
        let mut state = self.lock();
        let (_, now) = self.update(&mut state);
        state.limits.push((thread::current().id(), now));
    }

    fn depart(&self) {
        let me = thread::current().id();
        let mut state = self.lock();
        self.update(&mut state);
        if let Some(mine) = state.limits.iter().position(|(thread, _)| *thread == me) {
            state.limits.swap_remove(mine);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Attendance, ManualClock};
    use crate::data::ClockState;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn scaled(speed: f64) -> (Arc<ManualClock>, ScaledClock) {
        let under = Arc::new(ManualClock::auto());
        let clock = ScaledClock::over(under.clone(), speed).expect("a fine speed");
        (under, clock)
    }

    #[test]
    fn time_runs_as_many_times_faster_as_asked() {
        let (under, clock) = scaled(20.0);
        under.advance(ms(150));
        assert_eq!(clock.monotonic(), ms(3000));
        under.advance(ms(50));
        assert_eq!(clock.monotonic(), ms(4000));
    }

    #[test]
    fn wall_time_starts_at_the_real_one_runs_as_fast_and_keeps_the_flag() {
        let (under, clock) = scaled(10.0);
        let start = under.wall();
        under.advance(ms(100));
        assert_eq!(clock.wall().since_epoch, start.since_epoch + ms(1000));
        assert_eq!(clock.wall().clock, ClockState::Synced);
        under.set_wall(Timestamp { clock: ClockState::Unsynced, ..under.wall() });
        assert_eq!(clock.wall().clock, ClockState::Unsynced);
    }

    #[test]
    fn sleeper_wakes_at_its_deadline_after_a_fraction_of_real_time() {
        let (under, clock) = scaled(50.0);
        clock.sleep_until(ms(1000));
        assert!(clock.monotonic() >= ms(1000));
        assert!(under.monotonic() <= ms(21), "real time was {:?}", under.monotonic());
    }

    #[test]
    fn time_stands_still_while_the_attending_thread_works() {
        let (under, clock) = scaled(100.0);
        let attendance = Attendance::new(&clock);
        under.advance(Duration::from_secs(60));
        assert_eq!(clock.monotonic(), Duration::ZERO);
        for step in 1..=50_u64 {
            clock.sleep_until(ms(100 * step));
            assert_eq!(clock.monotonic(), ms(100 * step), "the deadline is met exactly");
            under.advance(Duration::from_secs(1));
            assert_eq!(clock.monotonic(), ms(100 * step), "a stall does not move the time");
        }
        drop(attendance);
        under.advance(ms(10));
        assert_eq!(clock.monotonic(), ms(6000), "and is not caught up afterwards");
    }

    #[test]
    fn thread_that_missed_a_deadline_does_not_move_the_time() {
        let (under, clock) = scaled(100.0);
        under.advance(ms(10));
        let _attendance = Attendance::new(&clock);
        clock.sleep_until(ms(500));
        assert_eq!(clock.monotonic(), ms(1000));
        under.advance(ms(10));
        assert_eq!(clock.monotonic(), ms(1000));
    }

    #[test]
    fn slowest_of_two_attending_threads_sets_the_time() {
        let under = Arc::new(ManualClock::auto());
        let clock = Arc::new(ScaledClock::over(under.clone(), 10.0).expect("a fine speed"));
        let _attendance = Attendance::new(clock.as_ref());
        let both_attend = Arc::new(std::sync::Barrier::new(2));
        let other = thread::spawn({
            let (clock, both_attend) = (clock.clone(), both_attend.clone());
            move || {
                let _attendance = Attendance::new(clock.as_ref());
                both_attend.wait();
                clock.sleep_until(ms(5000));
                clock.monotonic()
            }
        });
        both_attend.wait();
        clock.sleep_until(ms(200));
        under.advance(Duration::from_secs(100));
        assert_eq!(clock.monotonic(), ms(200));
        clock.sleep_until(ms(9000));
        assert_eq!(other.join().expect("no panic"), ms(5000));
    }

    #[test]
    fn time_never_goes_backwards_under_many_threads() {
        let clock = ScaledClock::new(1000.0).expect("a fine speed");
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut last = Duration::ZERO;
                    for step in 1..2000_u64 {
                        let _attendance = (step % 3 == 0).then(|| Attendance::new(&clock));
                        if step % 7 == 0 {
                            clock.sleep_until(last + Duration::from_micros(step));
                        }
                        let now = clock.monotonic();
                        assert!(now >= last);
                        last = now;
                    }
                });
            }
        });
    }

    #[test]
    fn impossible_speeds_are_refused() {
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            let refused = ScaledClock::new(speed).err().expect("refused");
            assert!(refused.to_string().contains("between 0.01 and 10000"));
        }
    }
}
