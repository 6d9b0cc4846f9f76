//! Sensors that a running daemon samples: its values and counters, over the control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use super::sampling::Inbox;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::daemon::control::{self, LiveFrames, Question, SensorNow};
use crate::data::{ClockState, Stamp, Timestamp};
use crate::sensor::{Channel, SensorReading, SensorSpec, SensorState};

/// The board's running daemon.
pub(super) struct Daemon {
    state: PathBuf,
    sensors: Vec<SensorNow>,
}

#[derive(Deserialize)]
struct All {
    sensors: Vec<SensorNow>,
}

#[derive(Deserialize)]
struct One {
    now: SensorNow,
    frames: LiveFrames,
}

impl Daemon {
    /// The daemon with this configuration's state folder; `None` where none runs, or where its socket is not for this user.
    ///
    /// # Errors
    /// That it does not answer as it should.
    pub(super) fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(answer) = control::ask_at(&config.state, &Question::Sensors)? else {
            return Ok(None);
        };
        let All { sensors } = serde_json::from_value(answer).context("the daemon's sensors")?;
        Ok(Some(Self { state: config.state.clone(), sensors }))
    }

    /// The sensor as it was when it was asked, if the daemon samples it.
    pub(super) fn sensor(&self, name: &str) -> Option<&SensorNow> {
        self.sensors.iter().find(|sensor| sensor.sensor == name)
    }

    /// Begins to follow a sensor, if the daemon samples it.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub(super) fn follow(&self, name: &str) -> anyhow::Result<Option<Followed>> {
        if self.sensor(name).is_none() {
            return Ok(None);
        }
        let One { now, frames } =
            ask(&self.state, name, None)?.context("the daemon has stopped")?;
        Ok(Some(Followed {
            state: self.state.clone(),
            spec: spec(&now),
            began: SystemClock.monotonic(),
            frames_before: now.frames,
            reading: now.reading(),
            next: frames.next,
            gone: false,
        }))
    }
}

fn ask(state: &Path, sensor: &str, after: Option<u64>) -> anyhow::Result<Option<One>> {
    let question = Question::Frames { sensor: sensor.to_owned(), after };
    let Some(answer) = control::ask_at(state, &question)? else { return Ok(None) };
    serde_json::from_value(answer).context("the daemon's frames").map(Some)
}

fn spec(now: &SensorNow) -> SensorSpec {
    let channels = now.channels.iter().map(|channel| Channel {
        name: channel.name.clone().into(),
        unit: channel.unit.clone().into(),
        range: channel.range,
    });
    SensorSpec { channels: channels.collect(), rate_hz: now.rate_hz }
}

/// A sensor of the daemon.
pub(super) struct Followed {
    state: PathBuf,
    pub(super) spec: SensorSpec,
    began: Duration,
    frames_before: u64,
    reading: SensorReading,
    next: u64,
    /// Nothing comes any more.
    gone: bool,
}

impl Followed {
    /// Takes all that has come since the last time.
    pub(super) fn take(&mut self, name: &str) -> Inbox {
        let mut inbox = Inbox::new(self.spec.channels.len());
        while !self.gone {
            let more = match ask(&self.state, name, Some(self.next)) {
                Ok(Some(one)) if spec(&one.now) == self.spec => self.took(one, &mut inbox),
                Ok(Some(_)) => self.ends(&mut inbox, "the daemon has other channels now".into()),
                Ok(None) => self.ends(&mut inbox, "the daemon has stopped".into()),
                Err(error) => self.ends(&mut inbox, format!("{error:#}")),
            };
            if !more {
                break;
            }
        }
        inbox
    }

    fn ends(&mut self, inbox: &mut Inbox, why: String) -> bool {
        self.gone = true;
        inbox.news.push(why);
        false
    }

    /// Whether more is there already.
    fn took(&mut self, One { now, frames }: One, inbox: &mut Inbox) -> bool {
        let reading = now.reading();
        if reading.state != self.reading.state {
            let why = reading.last_error.as_ref().map(|why| format!(": {why}"));
            inbox.news.push(format!("{}{}", now.state, why.unwrap_or_default()));
        }
        self.reading = reading;
        self.next = frames.next;
        inbox.dropped += usize::try_from(frames.lost).unwrap_or(usize::MAX);
        let channels = self.spec.channels.len();
        let mut values = Vec::with_capacity(channels);
        let rows = frames.values.chunks_exact(channels.max(1));
        let stamps = frames.at_ns.iter().zip(&frames.wall_ns).zip(&frames.synced).zip(&frames.gaps);
        for (k, (row, (((at, wall), synced), gap))) in rows.zip(stamps).enumerate() {
            values.clear();
            values.extend(row.iter().map(|value| value.unwrap_or(f32::NAN)));
            let clock = if *synced { ClockState::Synced } else { ClockState::Unsynced };
            let wall = Timestamp { since_epoch: Duration::from_nanos(*wall), clock };
            let gap_before = *gap || (k == 0 && frames.lost > 0);
            inbox.frames.push(&values, Stamp { at: Duration::from_nanos(*at), wall, gap_before });
        }
        frames.more
    }

    pub(super) fn reading(&self) -> SensorReading {
        self.reading.clone()
    }

    /// Frames a second while it was followed.
    pub(super) fn rate_hz(&self) -> f64 {
        let time = SystemClock.monotonic().saturating_sub(self.began).as_secs_f64();
        self.reading.frames.saturating_sub(self.frames_before) as f64 / time.max(1e-9)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.gone || self.reading.state == SensorState::Ended
    }
}
