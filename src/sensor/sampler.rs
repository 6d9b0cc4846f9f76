//! The sampling thread: absolute deadlines, counted misses, and a sensor that may go and come back.

#[cfg(test)]
mod tests;
mod watch;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Sensor, SensorError, SensorSpec, SensorState, SensorStats};
use crate::clock::{Attendance, Clock};
use crate::data::Frames;
use watch::{Verdict, Watch};

/// Bounds of the time between two reads.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_secs(1);

/// The longest sleep before the stop flag is looked at again.
const SLICE: Duration = Duration::from_millis(100);

/// Pause before the first retry; each further one is twice as long, up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// A device counts as frozen after this many frames at least.
const STUCK_FRAMES: u32 = 5;

/// Frames that a batch has room for from the start; a sensor that gives more at once makes it grow
/// once.
const BATCH_FRAMES: usize = 256;

/// Opens the sensor, again after each fault.
pub type OpenSensor = Box<dyn FnMut() -> Result<Box<dyn Sensor>, SensorError> + Send>;

/// What happened to a sensor.
#[derive(Clone, Debug, PartialEq)]
pub enum SensorChange {
    /// It cannot be opened or read; said once, then it is retried for ever.
    Lost {
        /// In the driver's words.
        reason: String,
    },
    /// It answers, but with the same values for too long; said once, then it is set up anew for ever.
    Stuck {
        /// What was seen.
        reason: String,
    },
    /// A channel is outside of what the device can measure.
    OutOfRange {
        /// Its name.
        channel: String,
        /// The first value; infinite where the device says no more than that.
        value: f32,
    },
    /// A channel is within its range again, for a while already.
    InRange {
        /// Its name.
        channel: String,
        /// Since it left the range.
        after: Duration,
    },
    /// Frames come again.
    Back {
        /// How long it was away.
        after: Duration,
    },
}

/// A sampling thread's parts.
pub struct Sampler {
    /// The sensor's name, for the thread and the log.
    pub name: Arc<str>,
    /// What the pipelines were fitted to. A sensor that opens with another is not read.
    pub spec: SensorSpec,
    /// After this long without any change of any value the device counts as frozen; `None`: never.
    pub stuck_after: Option<Duration>,
    /// Deadlines and back-off; a simulated clock waits for this thread.
    pub clock: Arc<dyn Clock>,
    /// Opens the sensor, on the sampling thread.
    pub open: OpenSensor,
    /// Takes each batch of frames, one at least; must not wait.
    pub frames: Box<dyn FnMut(&Frames) + Send>,
    /// Hears that the sensor was lost or is back; must not wait.
    pub changes: Box<dyn FnMut(SensorChange) + Send>,
    /// What is counted.
    pub stats: Arc<SensorStats>,
    /// Raised from outside: the thread ends within about 200 ms, or when the driver returns.
    pub stop: Arc<AtomicBool>,
}

/// Why sampling came to an end.
enum End {
    Stopped,
    Failed(SensorError),
}

/// What outlives a sensor's opening.
#[derive(Default)]
struct Absence {
    lost_at: Option<Duration>,
    running_since: Option<Duration>,
    attempts: u32,
}

impl Sampler {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn spawn(self) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(format!("sensor-{}", self.name)).spawn(move || self.run())
    }

    /// Samples on the calling thread until the recording ends or the stop flag is raised.
    pub fn run(mut self) {
        let clock = self.clock.clone();
        let _attendance = Attendance::new(clock.as_ref());
        let mut batch = Frames::new(self.spec.channels.len(), BATCH_FRAMES);
        let mut absence = Absence::default();
        // Few values that are alike say little.
        let least = self.spec.period() * STUCK_FRAMES;
        let stuck_after =
            self.stuck_after.map(|time| if time.is_zero() { time } else { time.max(least) });
        let mut watch = Watch::new(&self.spec.channels, stuck_after);
        loop {
            let error = match self.open_and_sample(&mut batch, &mut absence, &mut watch) {
                End::Stopped => break,
                End::Failed(SensorError::Ended) => {
                    log::info!("sensor {}: the recording has ended", self.name);
                    break;
                }
                End::Failed(error) => error,
            };
            let pause = self.failed(&error, &mut absence);
            if self.wait_until(clock.monotonic() + pause).is_err() {
                break;
            }
        }
        // One that was away when it was stopped stays so in the last report.
        if absence.lost_at.is_none() {
            self.stats.set_state(SensorState::Ended);
        }
    }

    fn open_and_sample(
        &mut self,
        batch: &mut Frames,
        absence: &mut Absence,
        watch: &mut Watch,
    ) -> End {
        if self.stopped() {
            return End::Stopped;
        }
        match guarded(&mut self.open) {
            Err(error) => End::Failed(error),
            Ok(sensor) if *sensor.spec() != self.spec => {
                End::Failed(SensorError::Unusable(format!(
                    "channels or rate are no longer those that it was started with ({} Hz, {} \
                     channels now): restart edgerun",
                    sensor.spec().rate_hz,
                    sensor.spec().channels.len()
                )))
            }
            Ok(mut sensor) => {
                watch.opened(self.clock.monotonic());
                let end = self.sample(sensor.as_mut(), batch, absence, watch);
                // A driver that panics once may do so again while it is dropped.
                match guarded(move || {
                    drop(sensor);
                    Ok(())
                }) {
                    Ok(()) => end,
                    Err(error) => End::Failed(error),
                }
            }
        }
    }

    fn sample(
        &mut self,
        sensor: &mut dyn Sensor,
        batch: &mut Frames,
        absence: &mut Absence,
        watch: &mut Watch,
    ) -> End {
        let clock = self.clock.clone();
        let poll = sensor.poll_period().clamp(POLL_MIN, POLL_MAX);
        let mut deadline = clock.monotonic() + poll;
        loop {
            let Ok(now) = self.wait_until(deadline) else { return End::Stopped };
            let late = now.saturating_sub(deadline);
            self.stats.polled(late);
            // Deadlines that have passed are left out, so that the grid stays where it was.
            let missed = u32::try_from(late.as_nanos() / poll.as_nanos()).unwrap_or(u32::MAX);
            self.stats.missed_deadlines.fetch_add(missed.into(), Ordering::Relaxed);
            deadline = deadline.saturating_add(poll.saturating_mul(missed.saturating_add(1)));
            batch.clear();
            match guarded(|| sensor.read(batch)) {
                Err(error) => return End::Failed(error),
                Ok(_) if batch.is_empty() => {
                    if let Verdict::Stuck(why) = watch.nothing(now) {
                        return End::Failed(SensorError::Stuck(why));
                    }
                }
                Ok(_) => {
                    let (stats, changes) = (&self.stats, &mut self.changes);
                    let verdict = watch.look(batch, &mut |change| {
                        changes(change);
                    });
                    stats.set_outside(watch.channels_outside());
                    match verdict {
                        Verdict::Stuck(why) => return End::Failed(SensorError::Stuck(why)),
                        Verdict::Use if batch.is_empty() => {}
                        Verdict::Use => self.deliver(batch, absence),
                    }
                }
            }
        }
    }

    fn deliver(&mut self, batch: &Frames, absence: &mut Absence) {
        let stats = &self.stats;
        if let Some(lost_at) = absence.lost_at.take() {
            let after = self.clock.monotonic().saturating_sub(lost_at);
            stats.set_error(None);
            (self.changes)(SensorChange::Back { after });
        }
        if absence.running_since.is_none() {
            absence.running_since = Some(self.clock.monotonic());
            stats.set_state(SensorState::Running);
        }
        // The stream's beginning is no break in it.
        let begins = usize::from(stats.frames.load(Ordering::Relaxed) == 0);
        let gaps = batch.stamps().iter().skip(begins).filter(|stamp| stamp.gap_before).count();
        stats.gaps.fetch_add(gaps as u64, Ordering::Relaxed);
        stats.frames.fetch_add(batch.len() as u64, Ordering::Relaxed);
        (self.frames)(batch);
    }

    /// Notes a fault, says so if it is news, and gives the pause before the next try.
    fn failed(&mut self, error: &SensorError, absence: &mut Absence) -> Duration {
        let now = self.clock.monotonic();
        let reason = error.to_string();
        self.stats.errors.fetch_add(1, Ordering::Relaxed);
        self.stats.set_error(Some(reason.clone()));
        let stuck = matches!(error, SensorError::Stuck(_));
        self.stats.set_state(if stuck { SensorState::Stuck } else { SensorState::Lost });
        // A sensor that comes and goes is not hurried: only a good while forgives.
        let ran = absence.running_since.take().map(|since| now.saturating_sub(since));
        if ran.is_some_and(|ran| ran >= RETRY_LONGEST) {
            absence.attempts = 0;
        }
        if absence.lost_at.is_none() {
            absence.lost_at = Some(now);
            self.stats.times_lost.fetch_add(1, Ordering::Relaxed);
            (self.changes)(match stuck {
                true => SensorChange::Stuck { reason },
                false => SensorChange::Lost { reason },
            });
        }
        let pause = RETRY_FIRST.saturating_mul(1 << absence.attempts.min(16)).min(RETRY_LONGEST);
        absence.attempts += 1;
        match error {
            SensorError::WrongChip { .. } | SensorError::Unusable(_) => RETRY_LONGEST,
            SensorError::Bus { .. }
            | SensorError::InUse(_)
            | SensorError::Stuck(_)
            | SensorError::Ended => pause,
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The time of waking, or that the stop flag was raised.
    fn wait_until(&self, deadline: Duration) -> Result<Duration, Stopped> {
        loop {
            self.stats.beat();
            if self.stopped() {
                return Err(Stopped);
            }
            let now = self.clock.monotonic();
            if now >= deadline {
                return Ok(now);
            }
            self.clock.sleep_until(deadline.min(now + SLICE));
        }
    }
}

/// The stop flag was raised.
struct Stopped;

/// Runs a piece of a driver; its panic is a fault like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, SensorError>) -> Result<T, SensorError> {
    // What the piece leaves broken is dropped with the sensor, or cleared with the batch.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(SensorError::Bus { doing: "running the driver", why: panic_words(panic.as_ref()) })
    })
}

fn panic_words(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", words.unwrap_or("without a word"))
}
