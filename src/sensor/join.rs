//! `join`: several sensors as one, on one grid of time. Values between two frames of a part are interpolated, those of a
//! slow part are held; where a part gave none, there is none.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{BadSetting, Channel, DriverSettings, Sensor, SensorError, SensorSpec};
use crate::clock::Clock;
use crate::data::{Frames, Stamp, Timestamp};
use crate::queue::{FrameReceiver, Waited};

#[cfg(test)]
mod tests;

/// Frames further apart than this many periods have a gap between them, and a value held for longer is none.
const HOLE_PERIODS: f64 = 2.5;
/// How long a fast part is waited for, in periods, and at least: its frames may come in bursts.
const PATIENCE_PERIODS: f64 = 5.0;
const PATIENCE_LEAST: Duration = Duration::from_millis(250);
/// How long a slow part is waited for at most: what it gives later counts from the next row on.
const GRACE: Duration = Duration::from_millis(50);
/// Without any frame of any part for this long, nothing is joined.
const SILENCE: Duration = Duration::from_secs(5);
/// Frames of a part that wait for the others.
const FRAMES_MAX: usize = 1 << 14;

/// Settings of the `join` driver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JoinSettings {
    /// The sensors, in the order of their channels.
    pub parts: Vec<Part>,
    /// Rows a second.
    pub rate_hz: f64,
    /// Where their frames come from.
    pub feeds: Feeds,
}

/// A sensor that is joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub settings: DriverSettings,
}

/// The queues of the parts, in their order; empty where no daemon runs them.
#[derive(Clone, Debug, Default)]
pub struct Feeds(Arc<Mutex<Vec<FrameReceiver>>>);

impl PartialEq for Feeds {
    /// Where frames come from is no setting.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Feeds {
    /// These are the parts' queues from now on.
    pub fn set(&self, queues: Vec<FrameReceiver>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = queues;
    }
}

impl JoinSettings {
    pub(super) fn validate(&self) -> Vec<BadSetting> {
        self.parts.iter().flat_map(|part| part.settings.validate()).collect()
    }

    /// Whether people can be heard or seen in one of them.
    pub(super) fn is_private(&self) -> bool {
        self.parts.iter().any(|part| part.settings.is_private())
    }

    /// All channels; one that several parts have is called `PART.CHANNEL`.
    pub(super) fn spec(&self) -> Result<SensorSpec, SensorError> {
        Ok(self.joined(&self.specs()?))
    }

    /// What each part gives. Reads the parts' recordings.
    fn specs(&self) -> Result<Vec<SensorSpec>, SensorError> {
        let specs = self.parts.iter().map(|part| {
            let spec = part.settings.spec()?;
            if spec.gives_pictures() {
                let why = format!("{} gives pictures, which cannot be joined", part.name);
                return Err(SensorError::Unusable(why));
            }
            Ok(spec)
        });
        specs.collect()
    }

    fn joined(&self, specs: &[SensorSpec]) -> SensorSpec {
        let of =
            |name: &str| specs.iter().flat_map(|s| &s.channels).filter(|c| c.name == name).count();
        let mut channels = Vec::new();
        for (part, spec) in self.parts.iter().zip(specs) {
            for channel in &spec.channels {
                let name = match of(&channel.name) {
                    1 => channel.name.clone(),
                    _ => Cow::Owned(format!("{}.{}", part.name, channel.name)),
                };
                channels.push(Channel { name, ..channel.clone() });
            }
        }
        SensorSpec { channels, rate_hz: self.rate_hz }
    }

    pub(super) fn open(&self, clock: Arc<dyn Clock>) -> Result<Join, SensorError> {
        let specs = self.specs()?;
        let spec = self.joined(&specs);
        let feeds = self.feeds.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        if feeds != self.parts.len() {
            let names: Vec<_> = self.parts.iter().map(|part| part.name.as_str()).collect();
            return Err(SensorError::Unusable(format!(
                "{} are joined by the daemon: without one, look at each of them",
                names.join(" and ")
            )));
        }
        let lane = |part: &SensorSpec| Lane::new(part.channels.len(), part.rate_hz, self.rate_hz);
        let lanes = specs.iter().map(lane).collect();
        let row = vec![f32::NAN; spec.channels.len()];
        let opened = clock.monotonic();
        Ok(Join {
            feeds: self.feeds.clone(),
            lanes,
            spec,
            clock,
            row,
            next: None,
            gap: true,
            heard: opened,
        })
    }
}

/// The parts on their grid.
pub(super) struct Join {
    feeds: Feeds,
    lanes: Vec<Lane>,
    spec: SensorSpec,
    clock: Arc<dyn Clock>,
    row: Vec<f32>,
    /// When the next row is; `None` before the first frame.
    next: Option<Duration>,
    /// The next row does not follow the one before.
    gap: bool,
    /// When the last frame of any part came.
    heard: Duration,
}

/// The latest frames of one part.
struct Lane {
    channels: usize,
    period: Duration,
    /// A slow part's value stands until its next one.
    holds: bool,
    batch: Frames,
    stamps: VecDeque<Stamp>,
    /// `[stamps, channels]`.
    values: VecDeque<f32>,
    closed: bool,
}

impl Sensor for Join {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let now = self.clock.monotonic();
        self.listen(now);
        let silent = now.saturating_sub(self.heard);
        let all_closed = self.lanes.iter().all(|lane| lane.closed);
        let before = out.len();
        self.join(now, all_closed, out);
        if out.len() == before {
            if all_closed {
                return Err(SensorError::Ended);
            }
            if silent > SILENCE {
                let why = format!("none of its sensors gave a value for {silent:.0?}");
                return Err(SensorError::Bus { doing: "joining", why });
            }
        }
        Ok(out.len() - before)
    }

    fn poll_period(&self) -> Duration {
        self.spec.period().max(Duration::from_millis(10))
    }
}

impl Join {
    /// Takes what has come.
    fn listen(&mut self, now: Duration) {
        let feeds = self.feeds.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (lane, feed) in self.lanes.iter_mut().zip(feeds.iter()) {
            match feed.take(&mut lane.batch, Duration::ZERO) {
                Waited::Frames => {
                    lane.take();
                    self.heard = now;
                }
                Waited::Nothing => {}
                Waited::Closed => lane.closed = true,
            }
        }
    }

    /// All rows that nothing more is waited for.
    fn join(&mut self, now: Duration, ended: bool, out: &mut Frames) {
        let period = self.spec.period();
        loop {
            let oldest =
                self.lanes.iter().filter_map(|lane| lane.stamps.front()).map(|s| s.at).min();
            let Some(oldest) = oldest else { return };
            // Whole periods of the clock: where rows lie does not depend on who spoke first.
            let on_grid = |at: Duration| {
                let rows = at.as_nanos().div_ceil(period.as_nanos().max(1));
                Duration::from_nanos(u64::try_from(rows * period.as_nanos()).unwrap_or(u64::MAX))
            };
            let mut next = *self.next.get_or_insert_with(|| on_grid(oldest));
            if oldest > next {
                // Nobody has anything so far back: on to where somebody has.
                next = on_grid(oldest);
                (self.next, self.gap) = (Some(next), true);
            }
            let last = self.lanes.iter().filter_map(|lane| lane.stamps.back()).map(|s| s.at).max();
            let waits = self.lanes.iter().any(|lane| !lane.is_ready(next, now));
            if waits || (ended && last.is_none_or(|last| last < next)) {
                return;
            }
            let (mut wall, mut column) = (None, 0);
            for lane in &self.lanes {
                let seen = lane.at(next, &mut self.row[column..column + lane.channels]);
                wall = wall.or(seen);
                column += lane.channels;
            }
            match wall {
                Some(wall) => {
                    out.push(&self.row, Stamp { at: next, wall, gap_before: self.gap });
                    self.gap = false;
                }
                None => self.gap = true,
            }
            let after = next + period;
            for lane in &mut self.lanes {
                lane.forget_before(after);
            }
            self.next = Some(after);
        }
    }
}

impl Lane {
    fn new(channels: usize, rate_hz: f64, joined_hz: f64) -> Self {
        Self {
            channels,
            period: Duration::from_secs_f64(1.0 / rate_hz),
            holds: rate_hz < joined_hz,
            batch: Frames::new(channels, 64),
            stamps: VecDeque::new(),
            values: VecDeque::new(),
            closed: false,
        }
    }

    fn take(&mut self) {
        for (values, stamp) in self.batch.iter() {
            if self.stamps.len() == FRAMES_MAX {
                self.stamps.pop_front();
                self.values.drain(..self.channels);
            }
            self.stamps.push_back(stamp);
            self.values.extend(values);
        }
    }

    /// Whether nothing that comes from now on changes what it says of `at`.
    fn is_ready(&self, at: Duration, now: Duration) -> bool {
        let patience = match self.holds {
            true => (self.period / 4).min(GRACE),
            false => self.period.mul_f64(PATIENCE_PERIODS).max(PATIENCE_LEAST),
        };
        self.closed
            || self.stamps.back().is_some_and(|stamp| stamp.at >= at)
            || now >= at + patience
    }

    /// Writes its values at that time, NaN where there are none; the wall time, where there are.
    fn at(&self, at: Duration, row: &mut [f32]) -> Option<Timestamp> {
        row.fill(f32::NAN);
        let hole = self.period.mul_f64(HOLE_PERIODS);
        let after = self.stamps.partition_point(|stamp| stamp.at <= at);
        let before = after.checked_sub(1)?;
        let (a, b) = (self.stamps[before], self.stamps.get(after));
        let since = at - a.at;
        if since.is_zero() || (self.holds && since <= hole) {
            self.copy(before, row);
        } else {
            let b = b.filter(|b| !self.holds && !b.gap_before && b.at - a.at <= hole)?;
            let share = since.as_secs_f64() / (b.at - a.at).as_secs_f64();
            for (channel, value) in row.iter_mut().enumerate() {
                let (x, y) = (self.value(before, channel), self.value(after, channel));
                // Beyond the range there is nothing between: the nearer one says so.
                *value = match x.is_finite() && y.is_finite() {
                    true => (f64::from(x) + (f64::from(y) - f64::from(x)) * share) as f32,
                    false if share < 0.5 => x,
                    false => y,
                };
            }
        }
        Some(Timestamp { since_epoch: a.wall.since_epoch + since, ..a.wall })
    }

    fn copy(&self, frame: usize, row: &mut [f32]) {
        for (channel, value) in row.iter_mut().enumerate() {
            *value = self.value(frame, channel);
        }
    }

    fn value(&self, frame: usize, channel: usize) -> f32 {
        self.values.get(frame * self.channels + channel).copied().unwrap_or(f32::NAN)
    }

    /// Forgets what no row from `at` on needs.
    fn forget_before(&mut self, at: Duration) {
        let after = self.stamps.partition_point(|stamp| stamp.at <= at);
        let needless = after.saturating_sub(1);
        self.stamps.drain(..needless);
        self.values.drain(..needless * self.channels);
    }
}
