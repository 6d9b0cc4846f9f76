//! What the device says of itself: `info`, and `health` with its verdict and reasons.

mod assess;
mod info;
mod payload;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::discovery::Announcer;
use super::{Current, Part, PartState, Surroundings};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::data::Session;
use crate::health::{
    BoardMeter, BoardReading, BoardVersions, Code, Conditions, Kernel, PipelineStats, ProcessMeter,
    Run,
};
use crate::net::Link;
use crate::net::wire::Verdict;
use crate::sensor::{self, SensorSpec, SensorStats};
use crate::sequence::Sequence;
use assess::{Facts, PipelineFacts, SensorFacts, Work};
use payload::tenths;

/// Health is published this often, and whenever state or reasons change.
const EVERY: Duration = Duration::from_secs(30);
/// State and reasons are looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// A sensor as health sees it.
pub(super) struct SensorPart {
    pub(super) name: String,
    pub(super) driver: &'static str,
    pub(super) spec: SensorSpec,
    pub(super) stats: Arc<SensorStats>,
}

impl SensorPart {
    fn facts(&self) -> SensorFacts<'_> {
        let reading = self.stats.read();
        let why = || Some(reading.last_error.clone().unwrap_or_else(|| "no answer".to_owned()));
        let (lost, stuck) = match reading.state {
            sensor::SensorState::Lost => (why(), None),
            sensor::SensorState::Stuck => (None, why()),
            _ => (None, None),
        };
        SensorFacts { name: &self.name, lost, stuck, outside: reading.outside }
    }
}

/// Composes `info` and `health` and publishes them when they are due.
pub(super) struct Reporter {
    device: String,
    groups: Vec<String>,
    session: Session,
    clock: Arc<dyn Clock>,
    link: Option<Link>,
    announcer: Option<Announcer>,
    parts: Vec<Part>,
    sensors: Vec<SensorPart>,
    started: Duration,
    run: Run,
    meter: ProcessMeter,
    board_meter: BoardMeter,
    versions: BoardVersions,
    /// As it was at the end of the last period.
    board: BoardReading,
    conditions: Conditions,
    assessed: Duration,
    period: Period,
    said: Option<(Duration, Said)>,
    /// What may be asked of the board.
    commands: Vec<String>,
}

/// What makes a health worth saying before its time: another state, another reason (not only other words), a
/// broker that has come or gone.
type Said = (Verdict, Vec<(Code, String)>, bool);

/// Rates and percentiles of the last reporting period.
#[derive(Default)]
struct Period {
    began: Duration,
    cpu_percent: f64,
    windows: Vec<u64>,
    frames: Vec<u64>,
    pipelines: Vec<PipelinePeriod>,
    sensors: Vec<f64>,
}

#[derive(Clone, Copy, Default)]
struct PipelinePeriod {
    rate_hz: f64,
    p50_us: u64,
    p99_us: u64,
}

/// Locks what cannot be left half-changed: a panic while reporting does not stop the reports.
pub(super) fn lock(reporter: &Mutex<Reporter>) -> MutexGuard<'_, Reporter> {
    reporter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reporter {
    pub(super) fn new(
        config: &Config,
        session: Session,
        around: &Surroundings,
        link: Option<Link>,
        parts: Vec<Part>,
        sensors: Vec<SensorPart>,
    ) -> Self {
        let (clock, run) = (around.clock.clone(), around.run);
        let mqtt = config.mqtt.as_ref().filter(|_| link.is_some());
        let announcer = mqtt.map(|mqtt| Announcer::new(around.storage.clone(), mqtt, config));
        let period = Period { began: clock.monotonic(), ..Period::default() };
        let board_meter = BoardMeter::new(Kernel::this(), &config.state);
        let started = SystemClock.monotonic();
        let mut reporter = Self {
            device: config.device.id.as_str().to_owned(),
            groups: config.device.groups.iter().map(|g| g.as_str().to_owned()).collect(),
            session,
            clock,
            link,
            announcer,
            parts,
            sensors,
            started,
            run,
            meter: ProcessMeter::default(),
            versions: board_meter.versions(),
            board_meter,
            board: BoardReading::default(),
            conditions: Conditions::default(),
            assessed: started,
            period,
            said: None,
            commands: commands(config),
        };
        reporter.board = reporter.board_meter.read();
        reporter.assess();
        reporter
    }

    /// Publishes `info`, and tells Home Assistant.
    pub(super) fn introduce(&mut self) {
        let Some(mut link) = self.link.as_ref() else { return };
        let info = self.info();
        link.publish_info(&info);
        if let Some(announcer) = &mut self.announcer {
            let board = payload::board(&self.board, &self.versions, info.clock.clone());
            announcer.announce(&mut link, &info, &board);
        }
    }

    fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        self.parts.iter().filter_map(|part| match &part.state {
            PartState::Running { sequence, .. } => sequence.as_deref(),
            PartState::Failed { .. } => None,
        })
    }

    /// No pipeline takes a number any more.
    pub(super) fn close_sequences(&self) {
        self.sequences().for_each(Sequence::close);
    }

    /// Something has changed that others should know: `health` is due at the next tick.
    pub(super) fn hurry(&mut self) {
        self.said = None;
    }

    /// Publishes `health` when it is due, and reserves sequence numbers ahead.
    pub(super) fn tick(&mut self) {
        self.sequences().for_each(Sequence::top_up);
        let now = SystemClock.monotonic();
        let since = |then: Duration| now.saturating_sub(then);
        let due = self.said.as_ref().is_none_or(|(at, _)| since(*at) >= EVERY);
        if due {
            self.sequences().for_each(Sequence::try_again);
        }
        if due || since(self.assessed) >= LOOK {
            self.say(due);
        }
    }

    /// Publishes `health` once more, for the last time.
    pub(super) fn conclude(&mut self) {
        self.say(true);
    }

    /// Looks anew, and publishes `health` where that is `due` or has news.
    fn say(&mut self, due: bool) {
        if due {
            self.end_period();
        }
        self.assess();
        if let (Some(announcer), Some(link)) = (&mut self.announcer, &self.link) {
            announcer.tick(|| link.state(), self.assessed);
        }
        let keys = self.conditions.keys().map(|(code, part)| (code, part.to_owned()));
        let connected = self.link.as_ref().is_some_and(|link| link.state().connected);
        let says = (self.verdict(), keys.collect(), connected);
        if due || self.said.as_ref().is_none_or(|(_, said)| *said != says) {
            if let Some(link) = &self.link {
                link.publish_health(&self.health());
            }
            let now = SystemClock.monotonic();
            let at = if due { now } else { self.said.as_ref().map_or(now, |(at, _)| *at) };
            self.said = Some((at, says));
        }
    }

    /// Each running pipeline's heartbeat, in a fixed order.
    pub(super) fn beats(&self) -> impl Iterator<Item = u64> {
        self.fed().map(|stats| stats.beats())
    }

    /// Name and model of each pipeline that could be started.
    pub(super) fn running(&self) -> impl Iterator<Item = (&str, &Current)> {
        self.parts.iter().filter_map(|part| match &part.state {
            PartState::Running { current, .. } => Some((part.name.as_str(), current)),
            PartState::Failed { .. } => None,
        })
    }

    /// Verdict, reasons and what runs, as in `degraded (sensor_lost imu): 1 of 1 pipelines run, 42 windows so far`.
    /// `scripts/deploy` goes by the first word.
    pub(super) fn status_line(&self) -> String {
        let reasons: Vec<String> = self
            .conditions
            .keys()
            .map(|(code, part)| format!("{} {part}", code.as_str()).trim_end().to_owned())
            .collect();
        let verdict = match reasons.as_slice() {
            [] => self.verdict().as_str().to_owned(),
            reasons => format!("{} ({})", self.verdict().as_str(), reasons.join(", ")),
        };
        let running = self.running().filter(|(_, current)| current.get().is_some()).count();
        let all = self.parts.len();
        let windows: u64 = self.fed().map(|stats| stats.windows.load(Relaxed)).sum();
        format!("{verdict}: {running} of {all} pipelines run, {windows} windows so far")
    }

    pub(super) fn dropped(&self) -> u64 {
        let messages = self.link.as_ref().map_or(0, |link| link.state().dropped);
        self.fed().map(given_up).sum::<u64>() + messages
    }

    /// The counters of the pipelines that a sensor feeds.
    fn fed(&self) -> impl Iterator<Item = &PipelineStats> {
        self.parts.iter().filter_map(|part| match &part.state {
            PartState::Running { stats, sequence: Some(_), .. } => Some(stats.as_ref()),
            _ => None,
        })
    }

    fn end_period(&mut self) {
        let now = self.clock.monotonic();
        let seconds = now.saturating_sub(self.period.began).as_secs_f64();
        let rate = |count: u64, before: Option<&u64>| {
            let new = count.saturating_sub(before.copied().unwrap_or(0));
            if seconds > 0.0 { new as f64 / seconds } else { 0.0 }
        };
        let mut next = Period { began: now, ..Period::default() };
        for (index, part) in self.parts.iter().enumerate() {
            let (mut period, mut windows) = (PipelinePeriod::default(), 0);
            if let PartState::Running { stats, .. } = &part.state {
                windows = stats.windows.load(Relaxed);
                let [p50_us, p99_us] = stats.latencies.take([50.0, 99.0]).unwrap_or_default();
                let rate_hz = rate(windows, self.period.windows.get(index));
                period = PipelinePeriod { rate_hz, p50_us, p99_us };
            }
            next.pipelines.push(period);
            next.windows.push(windows);
        }
        for (index, sensor) in self.sensors.iter().enumerate() {
            let frames = sensor.stats.read().frames;
            next.sensors.push(rate(frames, self.period.frames.get(index)));
            next.frames.push(frames);
        }
        next.cpu_percent = tenths(self.meter.cpu_percent(SystemClock.monotonic()));
        self.period = next;
        self.board = self.board_meter.read();
    }

    /// Reads every condition anew.
    fn assess(&mut self) {
        let pipelines = self.parts.iter().map(|part| PipelineFacts {
            name: &part.name,
            work: match &part.state {
                PartState::Failed { why } => Work::Failed { why },
                PartState::Running { current, stats, .. } if current.get().is_none() => {
                    Work::Waiting { why: waiting(&part.name, stats) }
                }
                PartState::Running { stats, sequence, sinks, .. } => Work::Running {
                    sinks: sinks.iter().map(|s| (s.name.as_str(), s.stats.read())).collect(),
                    misses: stats.deadline_misses.load(Relaxed),
                    dropped: given_up(stats),
                    durable: sequence.as_ref().is_none_or(|sequence| sequence.is_durable()),
                    last_error: stats.last_error(),
                },
            },
        });
        let sensors = self.sensors.iter().map(SensorPart::facts);
        let facts = Facts {
            pipelines: pipelines.collect(),
            sensors: sensors.collect(),
            net: self.link.as_ref().map(Link::state),
            board: &self.board,
            clock: self.clock.wall().clock,
            run: self.run,
            uptime: self.uptime(),
        };
        let now = SystemClock.monotonic();
        assess::assess(&mut self.conditions, &facts, now);
        self.assessed = now;
    }

    fn of_pipeline(&self, part: &Part) -> Verdict {
        assess::of_pipeline(&self.conditions, &part.name, &part.sensor)
    }

    fn verdict(&self) -> Verdict {
        assess::of_all(&self.conditions, self.parts.iter().map(|part| self.of_pipeline(part)))
    }

    fn uptime(&self) -> Duration {
        SystemClock.monotonic().saturating_sub(self.started)
    }
}

fn commands(config: &Config) -> Vec<String> {
    let verbs = config.mqtt.iter().flat_map(|mqtt| &mqtt.commands);
    verbs.map(|verb| verb.as_str().to_owned()).collect()
}

fn given_up(stats: &PipelineStats) -> u64 {
    stats.dropped_windows.load(Relaxed) + stats.dropped_frames.load(Relaxed)
}

/// Why a pipeline without a version of its model waits.
fn waiting(name: &str, stats: &PipelineStats) -> String {
    match stats.last_error() {
        None => format!("pipeline {name} waits for the first version of its model"),
        Some(why) => format!("pipeline {name} waits for a version that can serve: {why}"),
    }
}
