//! Sensors and what they feed: a thread for each, and the events that it has.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::live::{self, Shown};
use super::{Surroundings, report};
use crate::clock::Clock;
use crate::config;
use crate::data::{Event, EventKind};
use crate::net::Link;
use crate::net::http::Inlet;
use crate::queue::{self, FrameSender};
use crate::sensor::input::Held;
use crate::sensor::{
    DriverSettings, Feeds, InputSettings, JoinSettings, Part, ReplaySettings, Sampler,
    SensorChange, SensorSpec, SensorStats,
};
use crate::sink::{MqttSink, Sink as _};

/// How far a joined sensor may be behind its parts before their frames are dropped.
const BEHIND: Duration = Duration::from_secs(2);

/// A sensor and the pipelines that it feeds.
pub(super) struct Fan {
    pub(super) name: String,
    pub(super) settings: DriverSettings,
    pub(super) spec: Result<SensorSpec, String>,
    pub(super) stuck_after: Option<Duration>,
    pub(super) queues: Vec<FrameSender>,
    pub(super) pipelines: Vec<Arc<str>>,
}

/// What the network fills for sensors.
#[derive(Default)]
pub(super) struct Inputs {
    pub(super) held: Vec<Held>,
    pub(super) inlets: Vec<Inlet>,
}

impl Inputs {
    pub(super) fn of(fans: &[Fan]) -> Self {
        let mut inputs = Self::default();
        for fan in fans {
            match &fan.settings {
                DriverSettings::Input(InputSettings::Mqtt(_, held)) => {
                    inputs.held.push(held.clone());
                }
                DriverSettings::Input(InputSettings::Http(_, rows)) => {
                    inputs.inlets.push(Inlet { sensor: fan.name.clone(), rows: rows.clone() });
                }
                _ => {}
            }
        }
        inputs
    }
}

/// The driver's plain settings.
pub fn driver_settings(driver: &config::Driver) -> DriverSettings {
    match driver {
        config::Driver::Fifo(chip) => DriverSettings::Fifo(chip.clone()),
        config::Driver::Polled(chip) => DriverSettings::Polled(chip.clone()),
        config::Driver::Gpio(lines) => DriverSettings::Gpio(lines.clone()),
        config::Driver::Input(input) => DriverSettings::Input(match input {
            config::Input::Mqtt(input) => InputSettings::mqtt(input.clone()),
            config::Input::Http(input) => InputSettings::http(input.clone()),
            config::Input::Command(input) => InputSettings::Command(input.clone()),
        }),
        config::Driver::Microphone(settings) => DriverSettings::Microphone(settings.clone()),
        config::Driver::Camera(camera) => DriverSettings::Camera(camera.clone()),
        config::Driver::Pictures(folder) => DriverSettings::Pictures(folder.clone()),
        config::Driver::Replay(replay) => DriverSettings::Replay(ReplaySettings {
            path: replay.path.clone(),
            rate_hz: replay.rate.map(|rate| rate.hz()),
            repeat: replay.repeat,
            channels: Vec::new(),
            channel: replay.channel,
        }),
        config::Driver::Join(join) => {
            let part = |(name, driver): &(config::SensorName, config::Driver)| Part {
                name: name.as_str().to_owned(),
                settings: driver_settings(driver),
            };
            let parts = join.parts.iter().map(part).collect();
            let feeds = Feeds::default();
            DriverSettings::Join(JoinSettings { parts, rate_hz: join.rate.hz(), feeds })
        }
    }
}

/// Gives each joined sensor that feeds a pipeline the frames of its parts.
pub(super) fn feed_joined(fans: &mut [Fan]) {
    for joined in 0..fans.len() {
        let DriverSettings::Join(join) = fans[joined].settings.clone() else { continue };
        if fans[joined].queues.is_empty() {
            continue;
        }
        let pipelines = fans[joined].pipelines.clone();
        let mut receivers = Vec::with_capacity(join.parts.len());
        for part in &join.parts {
            let Some(fan) = fans.iter_mut().find(|fan| fan.name == part.name) else { continue };
            // Without a specification neither of them is started.
            let Ok(spec) = &fan.spec else { continue };
            let capacity = (spec.rate_hz * BEHIND.as_secs_f64()).ceil().max(16.0) as usize;
            let (sender, receiver) = queue::frames(spec.channels.len(), capacity);
            fan.queues.push(sender);
            // What happens to a part is told to those who see it through the joined one.
            let new = pipelines.iter().filter(|name| !fan.pipelines.contains(name)).cloned();
            let new: Vec<_> = new.collect();
            fan.pipelines.extend(new);
            receivers.push(receiver);
        }
        join.feeds.set(receivers);
    }
}

pub(super) fn start_sampler(
    fan: Fan,
    around: &Surroundings,
    link: Option<Link>,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<(JoinHandle<()>, report::SensorPart, Shown)> {
    let Fan { name, settings, spec, stuck_after, queues, pipelines } = fan;
    let spec = spec.map_err(|why| anyhow!("sensor {name}: {why}"))?;
    let (driver, is_private) = (settings.driver(), settings.is_private());
    let (open, clock) = (around.open_sensor.clone(), around.clock.clone());
    let open = {
        let clock = clock.clone();
        move || open(&settings, &clock)
    };
    let sensor: Arc<str> = Arc::from(name.as_str());
    let mut publisher = link.map(|link| link.publisher());
    let changed = {
        let clock = clock.clone();
        move |change: SensorChange| {
            let kind = match change {
                SensorChange::Lost { reason } => {
                    log::warn!("sensor {sensor} lost: {reason}");
                    EventKind::SensorLost { sensor: sensor.clone(), reason }
                }
                SensorChange::Stuck { reason } => {
                    log::warn!("sensor {sensor} stuck: {reason}");
                    EventKind::SensorStuck { sensor: sensor.clone(), reason }
                }
                SensorChange::OutOfRange { channel, value } => {
                    log::warn!("sensor {sensor}: {channel} is out of range: {value}");
                    EventKind::SensorOutOfRange { sensor: sensor.clone(), channel, value }
                }
                SensorChange::InRange { channel, after } => {
                    log::info!("sensor {sensor}: {channel} is in range after {after:.1?}");
                    EventKind::SensorInRange { sensor: sensor.clone(), channel, after }
                }
                SensorChange::Back { after } => {
                    log::info!("sensor {sensor} is back after {after:.1?}");
                    EventKind::SensorBack { sensor: sensor.clone(), after }
                }
            };
            tell(publisher.as_mut(), &pipelines, clock.as_ref(), &kind);
        }
    };
    let (stats, tap) = (Arc::new(SensorStats::default()), Arc::default());
    let shown = Shown {
        name: name.clone(),
        driver,
        spec: spec.clone(),
        stats: stats.clone(),
        is_private,
        tap: Arc::<live::Tap>::clone(&tap),
    };
    let sampler = Sampler {
        name: Arc::from(name.as_str()),
        spec: spec.clone(),
        stuck_after,
        clock,
        open: Box::new(open),
        frames: Box::new({
            let tap = tap.clone();
            move |frames| {
                queues.iter().for_each(|queue| queue.push(frames));
                tap.push(frames);
            }
        }),
        changes: Box::new(changed),
        stats: stats.clone(),
        stop: stop.clone(),
    };
    let thread = sampler.spawn().with_context(|| format!("sensor {name}"))?;
    Ok((thread, report::SensorPart { name, driver, spec, stats }, shown))
}

pub(super) fn tell(
    publisher: Option<&mut MqttSink>,
    pipelines: &[Arc<str>],
    clock: &dyn Clock,
    kind: &EventKind,
) {
    let Some(publisher) = publisher else { return };
    for pipeline in pipelines {
        let event = Event { pipeline: pipeline.clone(), time: clock.wall(), kind: kind.clone() };
        // What a full queue gave up is counted there and shown in health.
        publisher.event(event).ok();
    }
}
