//! What the device says of itself: `info`, and `health` with its verdict and reasons.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Current, Part, PartState};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::data::Session;
use crate::engine::EngineKind;
use crate::health::{self, PipelineStats, ProcessMeter};
use crate::net::Link;
use crate::net::wire::{
    Board, ChannelInfo, Hardware, Health, Info, MqttHealth, PipelineHealth, PipelineInfo, Process,
    SensorHealth, SensorInfo, SensorState, Verdict,
};
use crate::sensor::{self, SensorSpec, SensorStats};
use crate::sequence::Sequence;

/// Health is published this often, and whenever state or reasons change.
const EVERY: Duration = Duration::from_secs(30);

/// A sensor as health sees it.
pub(super) struct SensorPart {
    pub(super) name: String,
    pub(super) driver: &'static str,
    pub(super) spec: SensorSpec,
    pub(super) stats: Arc<SensorStats>,
}

impl SensorPart {
    /// Why the sensor is away; `None` while it is there.
    fn lost(&self) -> Option<String> {
        let reading = self.stats.read();
        let lost = reading.state == sensor::SensorState::Lost;
        lost.then(|| reading.last_error.unwrap_or_else(|| "no answer".to_owned()))
    }
}

/// Composes `info` and `health` and publishes them when they are due.
pub(super) struct Reporter {
    device: String,
    groups: Vec<String>,
    state_dir: PathBuf,
    session: Session,
    clock: Arc<dyn Clock>,
    link: Option<Link>,
    parts: Vec<Part>,
    sensors: Vec<SensorPart>,
    started: Duration,
    meter: ProcessMeter,
    period: Period,
    said: Option<(Duration, Said)>,
    stopped: bool,
}

/// What makes a health worth saying before its time.
type Said = (Verdict, Vec<String>, bool);

/// Rates and percentiles of the last reporting period.
#[derive(Default)]
struct Period {
    began: Duration,
    cpu_percent: f64,
    windows: Vec<u64>,
    frames: Vec<u64>,
    misses: Vec<u64>,
    pipelines: Vec<PipelinePeriod>,
    sensors: Vec<f64>,
}

#[derive(Clone, Copy, Default)]
struct PipelinePeriod {
    rate_hz: f64,
    p50_us: u64,
    p99_us: u64,
    misses: u64,
}

/// Locks what cannot be left half-changed: a panic while reporting does not stop the reports.
pub(super) fn lock(reporter: &Mutex<Reporter>) -> MutexGuard<'_, Reporter> {
    reporter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reporter {
    pub(super) fn new(
        config: &Config,
        session: Session,
        clock: Arc<dyn Clock>,
        link: Option<Link>,
        parts: Vec<Part>,
        sensors: Vec<SensorPart>,
    ) -> Self {
        let period = Period { began: clock.monotonic(), ..Period::default() };
        Self {
            device: config.device.id.as_str().to_owned(),
            groups: config.device.groups.iter().map(|g| g.as_str().to_owned()).collect(),
            state_dir: config.state.clone(),
            session,
            clock,
            link,
            parts,
            sensors,
            started: SystemClock.monotonic(),
            meter: ProcessMeter::default(),
            period,
            said: None,
            stopped: false,
        }
    }

    /// Publishes `info`.
    pub(super) fn introduce(&mut self) {
        if let Some(link) = &self.link {
            link.publish_info(&self.info());
        }
    }

    fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        self.parts.iter().filter_map(|part| match &part.state {
            PartState::Running { sequence, .. } => sequence.as_deref(),
            PartState::Failed { .. } => None,
        })
    }

    /// No pipeline takes a number any more.
    pub(super) fn close_sequences(&mut self) {
        self.sequences().for_each(Sequence::close);
        self.stopped = true;
    }

    /// Publishes `health` when it is due, and reserves sequence numbers ahead.
    pub(super) fn tick(&mut self) {
        if !self.stopped {
            self.sequences().for_each(Sequence::top_up);
        }
        let now = SystemClock.monotonic();
        let due = self.said.as_ref().is_none_or(|(at, _)| now.saturating_sub(*at) >= EVERY);
        if due {
            self.end_period();
        }
        let health = self.health();
        let says = (health.state, health.reasons.clone(), health.mqtt.connected);
        if due || self.said.as_ref().is_none_or(|(_, said)| *said != says) {
            if let Some(link) = &self.link {
                link.publish_health(&health);
            }
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

    pub(super) fn status_line(&self) -> String {
        let running = self.running().filter(|(_, current)| current.get().is_some()).count();
        let all = self.parts.len();
        let windows: u64 = self.fed().map(|stats| stats.windows.load(Relaxed)).sum();
        format!("{running} of {all} pipelines run, {windows} windows so far")
    }

    pub(super) fn dropped(&self) -> u64 {
        let given_up = |stats: &PipelineStats| {
            stats.dropped_windows.load(Relaxed) + stats.dropped_frames.load(Relaxed)
        };
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
            let (mut period, mut windows, mut misses) = (PipelinePeriod::default(), 0, 0);
            if let PartState::Running { stats, .. } = &part.state {
                windows = stats.windows.load(Relaxed);
                misses = stats.deadline_misses.load(Relaxed);
                let [p50_us, p99_us] = stats.latencies.take([50.0, 99.0]).unwrap_or_default();
                let before = self.period.misses.get(index).copied().unwrap_or(0);
                period = PipelinePeriod {
                    rate_hz: rate(windows, self.period.windows.get(index)),
                    p50_us,
                    p99_us,
                    misses: misses - before,
                };
            }
            next.pipelines.push(period);
            next.windows.push(windows);
            next.misses.push(misses);
        }
        for (index, sensor) in self.sensors.iter().enumerate() {
            let frames = sensor.stats.read().frames;
            next.sensors.push(rate(frames, self.period.frames.get(index)));
            next.frames.push(frames);
        }
        next.cpu_percent = self.meter.cpu_percent(SystemClock.monotonic());
        self.period = next;
    }

    /// The present health; counters are of this moment, rates and percentiles of the last period.
    pub(super) fn health(&self) -> Health {
        let mut reasons = Vec::new();
        let sensors: Vec<_> =
            self.sensors.iter().enumerate().map(|(k, s)| self.sensor(k, s, &mut reasons)).collect();
        let pipelines: Vec<_> =
            self.parts.iter().enumerate().map(|(k, p)| self.pipeline(k, p, &mut reasons)).collect();
        let mqtt = match &self.link {
            None => MqttHealth::default(),
            Some(link) => {
                let state = link.state();
                if !state.connected {
                    let why = state.last_error.unwrap_or_else(|| "connecting".into());
                    reasons.push(format!("no connection to the broker: {why}"));
                }
                if let Some(why) = &state.spool_error {
                    reasons.push(format!("results and events wait in memory only: {why}"));
                }
                MqttHealth {
                    connected: state.connected,
                    queue: state.queue as u64,
                    dropped: state.dropped,
                    reconnects: state.reconnects,
                }
            }
        };
        let state = match () {
            () if pipelines.iter().all(|p| p.state == Verdict::Failing) => Verdict::Failing,
            () if reasons.is_empty() => Verdict::Ok,
            () => Verdict::Degraded,
        };
        let wall = self.clock.wall();
        let clock = wall.clock.as_str().to_owned();
        let uptime = SystemClock.monotonic().saturating_sub(self.started);
        Health {
            time: wall.rfc3339(),
            clock: clock.clone(),
            session: self.session.as_str().to_owned(),
            state,
            reasons,
            pipelines,
            sensors,
            process: Process {
                rss_bytes: self.meter.rss_bytes(),
                cpu_percent: self.period.cpu_percent,
                uptime_s: uptime.as_secs(),
            },
            board: Board {
                clock,
                disk_free_bytes: health::disk_free_bytes(&self.state_dir),
                temperature_c: health::hottest_zone_c(),
            },
            mqtt,
        }
    }

    fn sensor(&self, index: usize, part: &SensorPart, reasons: &mut Vec<String>) -> SensorHealth {
        let reading = part.stats.read();
        if let Some(why) = part.lost() {
            reasons.push(format!("sensor {} does not answer: {why}", part.name));
        }
        SensorHealth {
            name: part.name.clone(),
            state: match reading.state {
                sensor::SensorState::Lost => SensorState::Lost,
                _ => SensorState::Ok,
            },
            rate_hz: self.period.sensors.get(index).copied().unwrap_or_default(),
            frames: reading.frames,
            missed_deadlines: reading.missed_deadlines,
            jitter_max_us: u64::try_from(reading.jitter_max.as_micros()).unwrap_or(u64::MAX),
            gaps: reading.gaps,
            bus_errors: reading.errors,
        }
    }

    fn pipeline(&self, index: usize, part: &Part, reasons: &mut Vec<String>) -> PipelineHealth {
        let name = part.name.clone();
        let (current, stats, sequence) = match &part.state {
            PartState::Running { current, stats, sequence } => (current, stats, sequence),
            PartState::Failed { why } => {
                reasons.push(format!("pipeline {name} cannot run: {why}"));
                let (state, last_error) = (Verdict::Failing, Some(why.clone()));
                return PipelineHealth { name, state, last_error, ..PipelineHealth::default() };
            }
        };
        let Some(loaded) = current.get() else {
            let why = match stats.last_error() {
                None => format!("pipeline {name} waits for the first version of its model"),
                Some(why) => format!("pipeline {name} waits for a version that can serve: {why}"),
            };
            reasons.push(why.clone());
            let (state, last_error) = (Verdict::Failing, Some(why));
            return PipelineHealth { name, state, last_error, ..PipelineHealth::default() };
        };
        let period = self.period.pipelines.get(index).copied().unwrap_or_default();
        let before = reasons.len();
        if period.misses > 0 {
            reasons.push(format!("pipeline {name} is too slow: {} deadline misses", period.misses));
        }
        if sequence.as_ref().is_some_and(|sequence| !sequence.is_durable()) {
            reasons.push(format!("pipeline {name}: sequence numbers cannot be kept on disk"));
        }
        let last_error = stats.last_error();
        if let Some(error) = &last_error {
            reasons.push(format!("pipeline {name}: {error}"));
        }
        let lost = self.sensors.iter().any(|s| s.name == part.sensor && s.lost().is_some());
        let state = match () {
            () if lost => Verdict::Failing,
            () if reasons.len() > before => Verdict::Degraded,
            () => Verdict::Ok,
        };
        PipelineHealth {
            name,
            state,
            model: loaded.manifest.name.clone(),
            version: loaded.manifest.version.to_string(),
            engine: loaded.model.report().engine.as_str().to_owned(),
            rate_hz: period.rate_hz,
            latency_p50_us: period.p50_us,
            latency_p99_us: period.p99_us,
            deadline_misses: stats.deadline_misses.load(Relaxed),
            dropped_windows: stats.dropped_windows.load(Relaxed),
            windows: stats.windows.load(Relaxed),
            last_error,
        }
    }

    fn info(&self) -> Info {
        let wall = self.clock.wall();
        let channel = |c: &crate::sensor::Channel| ChannelInfo {
            name: c.name.to_string(),
            unit: c.unit.to_string(),
        };
        let sensors = self.sensors.iter().map(|part| SensorInfo {
            name: part.name.clone(),
            driver: part.driver.to_owned(),
            rate_hz: part.spec.rate_hz,
            channels: part.spec.channels.iter().map(channel).collect(),
        });
        let pipelines = self.parts.iter().filter_map(|part| {
            let PartState::Running { current, .. } = &part.state else { return None };
            let loaded = current.get()?;
            Some(PipelineInfo {
                name: part.name.clone(),
                sensor: part.sensor.clone(),
                model: loaded.manifest.name.clone(),
                version: loaded.manifest.version.to_string(),
                engine: loaded.model.report().engine.as_str().to_owned(),
                kind: loaded.manifest.postprocess.kind.as_str().to_owned(),
                labels: loaded.manifest.labels.clone(),
            })
        });
        Info {
            time: wall.rfc3339(),
            clock: wall.clock.as_str().to_owned(),
            session: self.session.as_str().to_owned(),
            device: self.device.clone(),
            groups: self.groups.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hardware: Hardware {
                board: health::model_name(),
                arch: std::env::consts::ARCH.to_owned(),
                os: std::env::consts::OS.to_owned(),
                cpus: std::thread::available_parallelism().map_or(1, usize::from),
                memory_bytes: health::memory_bytes(),
            },
            engines: EngineKind::built().map(|engine| engine.to_string()).collect(),
            sensors: sensors.collect(),
            pipelines: pipelines.collect(),
            commands: Vec::new(),
        }
    }
}
