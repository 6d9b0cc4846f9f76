//! What a sampling thread counts, for others to read at any time.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How a sensor is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SensorState {
    /// Not opened yet, or opened without a frame so far.
    Starting,
    /// Frames come.
    Running,
    /// Away; it is being retried.
    Lost,
    /// It answers, but with frozen values; it is being set up anew.
    Stuck,
    /// The recording has ended, or the thread was stopped.
    Ended,
}

impl SensorState {
    /// The word that stands in payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Lost => "lost",
            Self::Stuck => "stuck",
            Self::Ended => "ended",
        }
    }

    /// The state of this word.
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Starting, Self::Running, Self::Lost, Self::Stuck, Self::Ended];
        all.into_iter().find(|state| state.as_str() == word)
    }
}

/// Counters of one sampling thread. The thread never waits for a reader; it takes the lock of the
/// last error only when a fault begins or ends, and that of the channels while one is outside.
#[derive(Debug, Default)]
pub struct SensorStats {
    pub(super) frames: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) missed_deadlines: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) times_lost: AtomicU64,
    beats: AtomicU64,
    state: AtomicU8,
    jitter: Jitter,
    last_error: Mutex<Option<String>>,
    outside: Mutex<Vec<String>>,
    any_outside: AtomicBool,
}

/// [`SensorStats`] at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorReading {
    /// How it is doing.
    pub state: SensorState,
    /// Frames that the sensor gave.
    pub frames: u64,
    /// Breaks in the stream after its beginning.
    pub gaps: u64,
    /// Polls that were left out because the thread came too late.
    pub missed_deadlines: u64,
    /// Failed openings and reads.
    pub errors: u64,
    /// How often it went away.
    pub times_lost: u64,
    /// 99 of 100 polls were at most this much after their deadline, within a quarter.
    pub jitter_p99: Duration,
    /// No poll was more than this after its deadline.
    pub jitter_max: Duration,
    /// Why it is away; `None` while frames come.
    pub last_error: Option<String>,
    /// Channels outside of what the device can measure.
    pub outside: Vec<String>,
}

impl SensorStats {
    /// All counters now.
    pub fn read(&self) -> SensorReading {
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        SensorReading {
            state: self.state(),
            frames: self.frames.load(Ordering::Relaxed),
            gaps: self.gaps.load(Ordering::Relaxed),
            missed_deadlines: self.missed_deadlines.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            times_lost: self.times_lost.load(Ordering::Relaxed),
            jitter_p99: self.jitter.quantile(0.99),
            jitter_max: Duration::from_micros(self.jitter.max_us.load(Ordering::Relaxed)),
            last_error,
            outside: self.outside.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// How it is doing.
    pub fn state(&self) -> SensorState {
        match self.state.load(Ordering::Relaxed) {
            0 => SensorState::Starting,
            1 => SensorState::Running,
            2 => SensorState::Lost,
            3 => SensorState::Stuck,
            _ => SensorState::Ended,
        }
    }

    /// Grows at least ten times a second, sensor or no sensor, while the thread is alive.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_state(&self, state: SensorState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(super) fn set_error(&self, error: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Takes the lock only where there is or was something to say.
    pub(super) fn set_outside(&self, channels: Vec<String>) {
        if self.any_outside.swap(!channels.is_empty(), Ordering::Relaxed) || !channels.is_empty() {
            *self.outside.lock().unwrap_or_else(PoisonError::into_inner) = channels;
        }
    }

    /// A poll came `late` after its deadline.
    pub(super) fn polled(&self, late: Duration) {
        self.jitter.add(late);
    }
}

/// Four buckets for each power of two of microseconds, the last for about a minute and more.
const BUCKETS: usize = 100;

/// A histogram of fixed size.
#[derive(Debug)]
struct Jitter {
    buckets: [AtomicU64; BUCKETS],
    max_us: AtomicU64,
}

impl Default for Jitter {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], max_us: AtomicU64::new(0) }
    }
}

impl Jitter {
    fn add(&self, late: Duration) {
        let us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(us)].fetch_add(1, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    /// The upper end of the bucket that the quantile lies in, but no more than the maximum.
    fn quantile(&self, share: f64) -> Duration {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut so_far = 0;
        let found = counts.iter().position(|count| {
            so_far += count;
            so_far >= wanted
        });
        let max_us = self.max_us.load(Ordering::Relaxed);
        Duration::from_micros(found.map_or(max_us, |index| upper_end(index).min(max_us)))
    }
}

fn bucket(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let exponent = us.ilog2() as usize;
    let quarter = (us >> (exponent - 2) & 0b11) as usize;
    (4 + 4 * (exponent - 2) + quarter).min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> u64 {
    match bucket {
        0..4 => bucket as u64,
        _ => {
            let (power, quarter) = ((bucket - 4) / 4, (bucket - 4) as u64 % 4);
            ((5 + quarter) << power) - 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_every_number_once() {
        let mut last = 0;
        for us in 0..100_000 {
            let index = bucket(us);
            assert!(index == last || index == last + 1, "{us}");
            assert!(us <= upper_end(index), "{us}");
            last = index;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn p99_leaves_out_the_one_outlier_and_the_maximum_does_not() {
        let stats = SensorStats::default();
        for _ in 0..199 {
            stats.polled(Duration::from_micros(100));
        }
        stats.polled(Duration::from_millis(50));
        let reading = stats.read();
        assert!(reading.jitter_p99 >= Duration::from_micros(100));
        assert!(reading.jitter_p99 <= Duration::from_micros(125));
        assert_eq!(reading.jitter_max, Duration::from_millis(50));
    }

    #[test]
    fn nothing_polled_is_no_jitter() {
        let reading = SensorStats::default().read();
        assert_eq!((reading.jitter_p99, reading.jitter_max), (Duration::ZERO, Duration::ZERO));
        assert_eq!(reading.state, SensorState::Starting);
    }
}
