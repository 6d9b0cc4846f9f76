//! Sensors on their sampling threads, here or in a running daemon, and what came of it so far, for whoever shows or
//! writes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::daemon::{Daemon, Followed};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::daemon::driver_settings;
use crate::data::Frames;
use crate::sensor::{
    Sampler, SensorChange, SensorError, SensorReading, SensorSpec, SensorState, SensorStats,
};

/// Frames that may wait to be written or shown; beyond that the oldest go, and are counted.
const WAITING_MAX: usize = 1 << 16;
/// As many pictures: a megabyte each, mostly.
const PICTURES_WAITING_MAX: usize = 16;

/// One sensor at work.
pub(super) struct Sampled {
    pub(super) name: String,
    pub(super) spec: SensorSpec,
    work: Work,
}

/// Whose thread samples it.
enum Work {
    Own(Own),
    Daemon(Followed),
}

/// A thread of this process.
struct Own {
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
    pub(super) refused: Option<String>,
}

impl Sampled {
    /// Follows the sensor in `daemon`, if that samples it; otherwise starts a thread for it, which ends when `stop` is
    /// raised.
    pub(super) fn start(
        sensor: &config::Sensor,
        daemon: Option<&Daemon>,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let settings = driver_settings(&sensor.driver);
        let name = sensor.name.as_str().to_owned();
        let followed = daemon.map(|daemon| daemon.follow(&name)).transpose()?;
        if let Some(followed) = followed.flatten() {
            let spec = followed.spec.clone();
            return Ok(Self { name, spec, work: Work::Daemon(followed) });
        }
        let spec = settings.spec().with_context(|| format!("sensor {name}"))?;
        let channels = spec.channels.len();
        let inbox = Arc::new(Mutex::new(Inbox::new(channels)));
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
        let own = Own { stats, inbox, thread: Some(thread), began };
        Ok(Self { name, spec, work: Work::Own(own) })
    }

    /// Whether a running daemon samples it.
    pub(super) fn by_daemon(&self) -> bool {
        matches!(self.work, Work::Daemon(_))
    }

    /// Takes all that waits.
    pub(super) fn take(&mut self) -> Inbox {
        match &mut self.work {
            Work::Daemon(followed) => followed.take(&self.name),
            Work::Own(own) => {
                let mut inbox = locked(&own.inbox);
                let refused = inbox.refused.clone();
                let empty = Inbox { refused, ..Inbox::new(self.spec.channels.len()) };
                std::mem::replace(&mut inbox, empty)
            }
        }
    }

    pub(super) fn reading(&self) -> SensorReading {
        match &self.work {
            Work::Daemon(followed) => followed.reading(),
            Work::Own(own) => own.stats.read(),
        }
    }

    /// Frames a second since the start.
    pub(super) fn rate_hz(&self) -> f64 {
        match &self.work {
            Work::Daemon(followed) => followed.rate_hz(),
            Work::Own(own) => {
                let time = SystemClock.monotonic().saturating_sub(own.began).as_secs_f64();
                self.reading().frames as f64 / time.max(1e-9)
            }
        }
    }

    /// Whether no more will come.
    pub(super) fn has_ended(&self) -> bool {
        match &self.work {
            Work::Daemon(followed) => followed.has_ended(),
            Work::Own(own) => {
                self.reading().state == SensorState::Ended
                    || own.thread.as_ref().is_none_or(JoinHandle::is_finished)
            }
        }
    }

    /// Ends the thread, whose stop flag was raised.
    ///
    /// # Errors
    /// When another process has the sensor.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        let Work::Own(own) = &mut self.work else { return Ok(()) };
        if let Some(thread) = own.thread.take() {
            // A panic of a driver is a fault of the sensor and told as that.
            thread.join().ok();
        }
        match &locked(&own.inbox).refused {
            Some(why) => bail!("sensor {}: {why}", self.name),
            None => Ok(()),
        }
    }
}

impl Inbox {
    /// Nothing, of `channels` values a frame.
    pub(super) fn new(channels: usize) -> Self {
        let frames = Frames::new(channels, 1024);
        Self { frames, news: Vec::new(), dropped: 0, refused: None }
    }

    fn take(&mut self, batch: &Frames) {
        self.frames.append(batch);
        let most = if batch.channels() == 0 { PICTURES_WAITING_MAX } else { WAITING_MAX };
        let over = self.frames.len().saturating_sub(most);
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
