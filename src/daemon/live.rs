//! What the sensors of a running daemon give, for `edgerun sensors` over the control socket.
//!
//! Frames are kept only while somebody asks: a bounded ring for each sensor, made by the first question and freed a while
//! after the last. The sampling thread never waits for one who asks; what it cannot put down is counted.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, SystemClock};
use crate::data::Frames;
use crate::sensor::{SensorReading, SensorSpec, SensorState, SensorStats};
use crate::update::failure::{Code, Failure};

/// Bounds of a ring: seconds, frames, values. One of a camera's frames may be more than a ring may hold.
const RING_SECONDS: f64 = 2.0;
const RING_FRAMES: std::ops::RangeInclusive<usize> = 64..=32_768;
const RING_VALUES: usize = 131_072;
/// Frames of one answer.
const ANSWER_FRAMES: usize = 8192;
/// Nobody asks any more.
const IDLE: Duration = Duration::from_secs(10);

/// A sensor of the daemon.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) driver: &'static str,
    pub(super) spec: SensorSpec,
    pub(super) stats: Arc<SensorStats>,
    /// Whether people can be heard or seen in it.
    pub(super) is_private: bool,
    pub(super) tap: Arc<Tap>,
}

/// All of them.
pub(super) struct Live {
    sensors: Vec<Shown>,
    capture_private: bool,
}

/// Where a sampling thread puts its frames down for those who ask.
#[derive(Default)]
pub(super) struct Tap {
    wanted: AtomicBool,
    /// Frames that came while a question was being answered.
    missed: AtomicU64,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    frames: Option<Frames>,
    room: usize,
    /// The number of the oldest frame in it; numbers go on from ring to ring.
    first: u64,
    asked: Duration,
}

/// A sensor as it is now. A value of the control socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensorNow {
    /// Its name in the configuration.
    pub sensor: String,
    /// Its driver's name.
    pub driver: String,
    /// Frames a second that it should give.
    pub rate_hz: f64,
    /// Its channels: name, unit and range.
    pub channels: Vec<ChannelNow>,
    /// As in `health`.
    pub state: String,
    /// See [`SensorReading`], as are those that follow.
    pub frames: u64,
    /// Breaks in the stream.
    pub gaps: u64,
    /// Polls that were left out.
    pub missed_deadlines: u64,
    /// Failed openings and reads.
    pub errors: u64,
    /// How often it went away.
    pub times_lost: u64,
    /// µs.
    pub jitter_p99_us: u64,
    /// µs.
    pub jitter_max_us: u64,
    /// Why it is away.
    pub last_error: Option<String>,
    /// Channels outside of what the device can measure.
    pub outside: Vec<String>,
}

/// A channel of [`SensorNow`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelNow {
    /// Its name.
    pub name: String,
    /// Its unit; may be empty.
    pub unit: String,
    /// What the device can measure.
    pub range: Option<[f32; 2]>,
}

/// Frames from a running daemon. A value of the control socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveFrames {
    /// The number of the frame that comes next: what to ask for then.
    pub next: u64,
    /// Frames before the first of these that were asked for too late.
    pub lost: u64,
    /// Whether more are there already.
    pub more: bool,
    /// Monotonic time of each, ns since the daemon's start.
    pub at_ns: Vec<u64>,
    /// Wall-clock time of each, ns since 1970.
    pub wall_ns: Vec<u64>,
    /// Whether the wall clock was synchronised.
    pub synced: Vec<bool>,
    /// Whether each does not follow the one before.
    pub gaps: Vec<bool>,
    /// `[frames, channels]`; a missing value is null.
    pub values: Vec<Option<f32>>,
}

impl SensorNow {
    /// What the sampling thread has counted.
    pub fn reading(&self) -> SensorReading {
        SensorReading {
            state: SensorState::of(&self.state).unwrap_or(SensorState::Starting),
            frames: self.frames,
            gaps: self.gaps,
            missed_deadlines: self.missed_deadlines,
            errors: self.errors,
            times_lost: self.times_lost,
            jitter_p99: Duration::from_micros(self.jitter_p99_us),
            jitter_max: Duration::from_micros(self.jitter_max_us),
            last_error: self.last_error.clone(),
            outside: self.outside.clone(),
        }
    }
}

impl Tap {
    /// Called by the sampling thread for each batch; never waits, and does nothing while nobody asks.
    pub(super) fn push(&self, frames: &Frames) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        match self.ring.try_lock() {
            Ok(mut ring) => ring.add(frames, self.missed.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.missed.fetch_add(frames.len() as u64, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From frame `after` on, or from now on.
    fn frames(&self, spec: &SensorSpec, after: Option<u64>, now: Duration) -> LiveFrames {
        // Made before the lock: the sampling thread would miss it.
        let channels = spec.channels.len().max(1);
        let whole = (spec.rate_hz * RING_SECONDS).ceil() as usize;
        let room =
            whole.clamp(*RING_FRAMES.start(), *RING_FRAMES.end()).min(RING_VALUES / channels);
        let fresh = match self.wanted.load(Ordering::Relaxed) {
            // Twice, so that making room moves the rest but now and then.
            false => Some(Frames::new(spec.channels.len(), room * 2)),
            true => None,
        };
        let mut copy = Frames::new(spec.channels.len(), 0);
        let mut ring = self.lock();
        ring.asked = now;
        if let Some(fresh) = fresh {
            ring.room = room;
            ring.frames = Some(fresh);
            self.wanted.store(true, Ordering::Relaxed);
        }
        let first = ring.first;
        let Some(frames) = &ring.frames else { return LiveFrames::default() };
        let end = first + frames.len() as u64;
        let after = after.unwrap_or(end).min(end);
        let skip = usize::try_from(after.saturating_sub(first)).unwrap_or(usize::MAX);
        for (values, stamp) in frames.iter().skip(skip).take(ANSWER_FRAMES) {
            copy.push(values, stamp);
        }
        drop(ring);
        let from = after.max(first);
        let next = from + copy.len() as u64;
        let stamps = || copy.stamps().iter();
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        LiveFrames {
            next,
            lost: from - after,
            more: next < end,
            at_ns: stamps().map(|stamp| ns(stamp.at)).collect(),
            wall_ns: stamps().map(|stamp| ns(stamp.wall.since_epoch)).collect(),
            synced: stamps().map(|stamp| stamp.wall.clock.as_str() == "synced").collect(),
            gaps: stamps().map(|stamp| stamp.gap_before).collect(),
            values: copy.values().iter().map(|value| value.is_finite().then_some(*value)).collect(),
        }
    }

    /// Frees the ring that nobody has asked for since `before`.
    fn tidy(&self, before: Duration) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        let mut ring = self.lock();
        if ring.asked >= before {
            return;
        }
        self.wanted.store(false, Ordering::Relaxed);
        let frames = ring.frames.take();
        ring.first += frames.as_ref().map_or(0, |frames| frames.len() as u64);
        drop(ring);
    }
}

impl Ring {
    fn add(&mut self, batch: &Frames, missed: u64) {
        let Some(frames) = &mut self.frames else { return };
        // Room is made before, so that the sampling thread takes no memory.
        let all = frames.len() + batch.len();
        if all > self.room * 2 {
            let over = all - self.room;
            let old = over.min(frames.len());
            frames.forget_first(old);
            self.first += old as u64;
        }
        let skip = batch.len().saturating_sub(self.room * 2);
        self.first += skip as u64;
        for (k, (values, mut stamp)) in batch.iter().enumerate().skip(skip) {
            stamp.gap_before |= k == skip && (missed > 0 || skip > 0);
            frames.push(values, stamp);
        }
    }
}

impl Live {
    pub(super) fn new(sensors: Vec<Shown>, capture_private: bool) -> Self {
        Self { sensors, capture_private }
    }

    /// Whether there is anything to show.
    pub(super) fn is_empty(&self) -> bool {
        self.sensors.is_empty()
    }

    /// All sensors as they are now.
    pub(super) fn now(&self) -> Vec<SensorNow> {
        self.sensors.iter().map(now).collect()
    }

    /// The sensor's state, and its frames from `after` on.
    ///
    /// # Errors
    /// That there is none of this name, or that its values stay on the board.
    pub(super) fn frames(
        &self,
        name: &str,
        after: Option<u64>,
    ) -> Result<(SensorNow, LiveFrames), Failure> {
        let sensor = self.sensors.iter().find(|sensor| sensor.name == name);
        let sensor = sensor.ok_or_else(|| {
            Failure::new(Code::NotFound, format!("the daemon samples no sensor {name:?}"))
        })?;
        if sensor.is_private && !self.capture_private {
            let why = format!(
                "sensor {name} hears or sees people; the board needs [privacy] capture = true to show it"
            );
            return Err(Failure::new(Code::BadRequest, why));
        }
        if sensor.spec.channels.len() > RING_VALUES / RING_FRAMES.start() {
            let why = format!("a frame of sensor {name} is too large to be shown while it is used");
            return Err(Failure::new(Code::TooLarge, why));
        }
        let frames = sensor.tap.frames(&sensor.spec, after, SystemClock.monotonic());
        Ok((now(sensor), frames))
    }

    /// What is due now and then: memory that nobody asks for any more is given back.
    pub(super) fn tick(&self) {
        let Some(before) = SystemClock.monotonic().checked_sub(IDLE) else { return };
        self.sensors.iter().for_each(|sensor| sensor.tap.tidy(before));
    }
}

fn now(sensor: &Shown) -> SensorNow {
    let reading = sensor.stats.read();
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let channels = sensor.spec.channels.iter().map(|channel| ChannelNow {
        name: channel.name.to_string(),
        unit: channel.unit.to_string(),
        range: channel.range,
    });
    SensorNow {
        sensor: sensor.name.clone(),
        driver: sensor.driver.to_owned(),
        rate_hz: sensor.spec.rate_hz,
        channels: channels.collect(),
        state: reading.state.as_str().to_owned(),
        frames: reading.frames,
        gaps: reading.gaps,
        missed_deadlines: reading.missed_deadlines,
        errors: reading.errors,
        times_lost: reading.times_lost,
        jitter_p99_us: us(reading.jitter_p99),
        jitter_max_us: us(reading.jitter_max),
        last_error: reading.last_error,
        outside: reading.outside,
    }
}
