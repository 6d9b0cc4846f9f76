//! Sensors on their sampling threads, and what came of it so far, for whoever shows or writes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::daemon::driver_settings;
use crate::data::Frames;
use crate::sensor::{
    Sampler, SensorChange, SensorError, SensorReading, SensorSpec, SensorState, SensorStats,
};

/// Frames that may wait to be written or shown; beyond that the oldest go, and are counted.
const WAITING_MAX: usize = 1 << 16;

/// One sensor at work.
pub(super) struct Sampled {
    pub(super) name: String,
    pub(super) spec: SensorSpec,
    stats: Arc<SensorStats>,
    inbox: Arc<Mutex<Inbox>>,
    thread: Option<JoinHandle<()>>,
    began: Duration,
}

/// What waits to be taken.
pub(super) struct Inbox {
    pub(super) frames: Frames,
    /// What happened to the sensor, in words.
    pub(super) news: Vec<String>,
    pub(super) dropped: usize,
    refused: Option<String>,
}

impl Sampled {
    /// Starts the sensor's thread, which ends when `stop` is raised.
    pub(super) fn start(sensor: &config::Sensor, stop: &Arc<AtomicBool>) -> anyhow::Result<Self> {
        let settings = driver_settings(&sensor.driver);
        let name = sensor.name.as_str().to_owned();
        let spec = settings.spec().with_context(|| format!("sensor {name}"))?;
        let channels = spec.channels.len();
        let inbox = Arc::new(Mutex::new(Inbox {
            frames: Frames::new(channels, 1024),
            news: Vec::new(),
            dropped: 0,
            refused: None,
        }));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stats = Arc::new(SensorStats::default());
        let stuck_after = sensor.stuck_after.or(settings.stuck_after());
        let (frames, changes, opening) = (inbox.clone(), inbox.clone(), inbox.clone());
        let (opened, end) = (clock.clone(), stop.clone());
        let sampler = Sampler {
            name: name.as_str().into(),
            spec: spec.clone(),
            stuck_after,
            clock: clock.clone(),
            open: Box::new(move || {
                let sensor = settings.open(opened.clone());
                if let Err(SensorError::InUse(why)) = &sensor {
                    // Nothing that waiting would change as long as a person looks.
                    locked(&opening).refused = Some(why.clone());
                    end.store(true, Ordering::Relaxed);
                }
                sensor
            }),
            frames: Box::new(move |batch| locked(&frames).take(batch)),
            changes: Box::new(move |change| locked(&changes).news.push(words(&change))),
            stats: stats.clone(),
            stop: stop.clone(),
        };
        let began = clock.monotonic();
        let thread = sampler.spawn().with_context(|| format!("sensor {name}"))?;
        Ok(Self { name, spec, stats, inbox, thread: Some(thread), began })
    }

    /// Takes all that waits.
    pub(super) fn take(&self) -> Inbox {
        let mut inbox = locked(&self.inbox);
        let empty = Inbox {
            frames: Frames::new(self.spec.channels.len(), 1024),
            news: Vec::new(),
            dropped: 0,
            refused: inbox.refused.clone(),
        };
        std::mem::replace(&mut inbox, empty)
    }

    pub(super) fn reading(&self) -> SensorReading {
        self.stats.read()
    }

    /// Frames a second since the start.
    pub(super) fn rate_hz(&self) -> f64 {
        let time = SystemClock.monotonic().saturating_sub(self.began).as_secs_f64();
        self.reading().frames as f64 / time.max(1e-9)
    }

    /// Whether no more will come.
    pub(super) fn has_ended(&self) -> bool {
        self.reading().state == SensorState::Ended
            || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the thread, whose stop flag was raised.
    ///
    /// # Errors
    /// When another process has the sensor.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        if let Some(thread) = self.thread.take() {
            // A panic of a driver is a fault of the sensor and told as that.
            thread.join().ok();
        }
        match &locked(&self.inbox).refused {
            Some(why) => bail!("sensor {}: {why}", self.name),
            None => Ok(()),
        }
    }
}

impl Inbox {
    fn take(&mut self, batch: &Frames) {
        for (values, stamp) in batch.iter() {
            self.frames.push(values, stamp);
        }
        let over = self.frames.len().saturating_sub(WAITING_MAX);
        self.frames.forget_first(over);
        self.dropped += over;
    }
}

fn locked(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn words(change: &SensorChange) -> String {
    match change {
        SensorChange::Lost { reason } => format!("lost: {reason}"),
        SensorChange::Stuck { reason } => format!("stuck: {reason}"),
        SensorChange::OutOfRange { channel, value } => {
            format!("{channel} is out of range: {value}")
        }
        SensorChange::InRange { channel, after } => {
            format!("{channel} is in range after {after:.1?}")
        }
        SensorChange::Back { after } => format!("back after {after:.1?}"),
    }
}
