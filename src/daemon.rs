//! Configuration → concrete parts → threads, and their orderly stop. The only place that names all types.

mod assemble;
mod brought;
pub(crate) mod channel;
mod commands;
pub mod control;
mod discovery;
mod doors;
mod in_parts;
mod live;
mod network;
mod outputs;
mod over_broker;
mod report;
mod sampling;
mod site;
mod updater;

pub use assemble::{Current, Loaded, fit};
pub use commands::{Host, SetLevel, SetTap, Wanted};
pub use network::mqtt_settings;
pub use outputs::{make_safe, outputs};
pub use sampling::driver_settings;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, ModelSource, Secrets};
use crate::data::{EventKind, Frames, Session};
use crate::engine;
use crate::health::{Heartbeats, PipelineStats, Run};
use crate::model::{Bundle, BundleError};
use crate::net::http::HttpServer;
use crate::net::{self, Link, NetHandle};
use crate::pipeline::{Exchange, Pipeline, Publish, Switch, Taps};
use crate::queue;
use crate::sensor::{DriverSettings, Sensor, SensorError};
use crate::sequence::Sequence;
use crate::sink::{Qos, Sink, gpio};
use crate::storage::{DirStorage, FileName, Storage};
use crate::store::Store;
use crate::window::Windower;
use commands::{Board, Commands, Piped, Tap};
use control::{Answers, Control};
use live::Live;
use network::start_net;
use outputs::{SinkPart, Workers};
use report::Reporter;
use sampling::{Fan, Inputs, feed_joined, start_sampler, tell};
use site::{Fed, Slot};
use updater::{Opened, Updater};

/// Windows that a pipeline may be behind before frames are dropped.
const WINDOWS_BEHIND: usize = 4;
/// A pipeline that shows no progress for this long hangs; systemd then restarts us.
const HANG: Duration = Duration::from_secs(10);
/// How long a stop waits for the broker to take what is left.
const FLUSH: Duration = Duration::from_secs(3);

/// Opens a sensor; called again after each loss.
pub type OpenSensor = Arc<
    dyn Fn(&DriverSettings, &Arc<dyn Clock>) -> Result<Box<dyn Sensor>, SensorError> + Send + Sync,
>;

/// Finds a bundle by the configuration's path.
pub type OpenBundle = Box<dyn Fn(&Path) -> Result<Bundle, BundleError>>;

/// What the daemon stands in. The demo and tests replace what a board has.
pub struct Surroundings {
    /// The stream's time.
    pub clock: Arc<dyn Clock>,
    /// Small durable state.
    pub storage: Arc<dyn Storage>,
    /// The folder of the model store.
    pub store: PathBuf,
    /// The folder where messages wait for the broker; `None` for memory only.
    pub spool: Option<PathBuf>,
    /// Where the control socket is; `None` for none.
    pub control: Option<PathBuf>,
    /// Finds a bundle by the configuration's path.
    pub open_bundle: OpenBundle,
    /// Opens a sensor.
    pub open_sensor: OpenSensor,
    /// Takes a GPIO line as an output.
    pub open_line: gpio::OpenLine,
    /// What is known of the runs before this one.
    pub run: Run,
    /// What commands reach beyond the daemon.
    pub host: Host,
}

impl Surroundings {
    /// A board: the system's clock, real buses, bundles and state on disk.
    pub fn board(state: &Path) -> Self {
        Self {
            clock: Arc::new(SystemClock),
            storage: Arc::new(DirStorage::new(state)),
            store: Store::folder(state),
            spool: Some(state.join("spool")),
            control: Some(control::path(state)),
            open_bundle: Box::new(Bundle::open),
            open_sensor: Arc::new(|settings, clock| settings.open(clock.clone())),
            open_line: gpio::open_line(),
            run: Run::default(),
            host: Host::none(),
        }
    }
}

/// One pipeline as it is doing its work, or why it cannot.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) sensor: String,
    pub(crate) state: PartState,
}

/// The two ends a pipeline's start may have.
pub(crate) enum PartState {
    /// It runs what is current; `sequence` is there when a sensor feeds it.
    Running {
        current: Current,
        stats: Arc<PipelineStats>,
        sequence: Option<Arc<Sequence>>,
        switch: Switch,
        sinks: Vec<SinkPart>,
    },
    /// The rest of the daemon runs without it.
    Failed { why: String },
}

/// The running daemon.
pub struct Daemon {
    net: Option<NetHandle>,
    http: Option<HttpServer>,
    samplers: Vec<JoinHandle<()>>,
    threads: Vec<JoinHandle<()>>,
    workers: Workers,
    updater: Option<Updater>,
    control: Option<Control>,
    live: Arc<Live>,
    commands: Option<Commands>,
    wanted: Arc<AtomicU8>,
    reporter: Arc<Mutex<Reporter>>,
    heartbeats: Heartbeats,
    stop: Arc<AtomicBool>,
}

impl Daemon {
    /// Starts everything that `config` names. The broker and every sensor may be away.
    ///
    /// # Errors
    /// When nothing useful could be done: no pipeline can run, the network settings cannot work, or the
    /// HTTP address is taken.
    pub fn start(config: &Config, secrets: &Secrets, around: Surroundings) -> anyhow::Result<Self> {
        let session = net::new_session()?;
        let mut fans: Vec<Fan> = Vec::with_capacity(config.sensors.len());
        for sensor in &config.sensors {
            let settings = driver_settings(&sensor.driver);
            let spec = settings.spec().map_err(|error| error.to_string());
            let name = sensor.name.as_str().to_owned();
            let stuck_after = sensor.stuck_after.or(settings.stuck_after());
            let (queues, pipelines) = (Vec::new(), Vec::new());
            fans.push(Fan { name, settings, spec, stuck_after, queues, pipelines });
        }
        let inputs = Inputs::of(&fans);
        let net = start_net(config, secrets, &session, &around, inputs.held)?;
        let link = net.as_ref().map(NetHandle::link);
        let tap = config.mqtt.as_ref().and_then(|mqtt| match mqtt.log {
            config::LogTopic::Off => None,
            config::LogTopic::Error => Some(log::LevelFilter::Error),
            config::LogTopic::Warn => Some(log::LevelFilter::Warn),
        });
        (around.host.tap)(link.as_ref().map(Link::journal).zip(tap));
        let stop = Arc::new(AtomicBool::new(false));
        let mut updates = Opened::new(config, &around, link.clone(), &session);
        if let Err(why) = &updates {
            log::error!("the model store cannot be used: {why}");
        }
        let mut parts = Vec::with_capacity(config.pipelines.len());
        let mut threads = Vec::new();
        let mut workers = Workers::default();
        let mut pipelines = Vec::with_capacity(config.pipelines.len());
        let paused = commands::pause::paused(around.storage.as_ref());
        for settings in &config.pipelines {
            let name = settings.name.as_str().to_owned();
            let sensor = settings.feed.as_ref().map_or("", |feed| feed.sensor.as_str()).to_owned();
            let mut fan = fans.iter_mut().find(|fan| fan.name == sensor);
            let bundle = match &settings.model {
                ModelSource::Path(path) => {
                    (around.open_bundle)(path).map(Some).map_err(anyhow::Error::from)
                }
                ModelSource::Store(model) => match &mut updates {
                    Ok(updates) => Ok(updates.serving(model)),
                    Err(why) => Err(anyhow!("the model store cannot be used: {why}")),
                },
            };
            let mut start = |bundle| {
                let fan = fan.as_deref_mut();
                let sinks = Sinks { link: link.as_ref(), secrets, workers: &mut workers };
                start_pipeline(settings, bundle, fan, &around, sinks, &session, &paused)
            };
            let mut started = bundle.and_then(&mut start);
            // Another version may fit: the pipeline waits for it, and nobody need come to the board.
            if let (ModelSource::Store(model), Ok(updates), Err(error)) =
                (&settings.model, &mut updates, &started)
            {
                let why = explained(error);
                log::error!("pipeline {name}: {why}");
                started = match updates.cannot_serve(model, &why).map(|b| start(Some(b))) {
                    Some(Ok(before)) => Ok(before),
                    _ => start(None).inspect(|waiting| waiting.says(why)),
                };
            }
            let state = started.map(|started| {
                threads.extend(started.thread);
                pipelines.push(Piped { name: name.clone(), tap: started.tap });
                if let Ok(updates) = &mut updates {
                    updates.add(started.slot);
                }
                started.state
            });
            let state = state.unwrap_or_else(|error| {
                let why = explained(&error);
                log::error!("pipeline {name} cannot run: {why}");
                PartState::Failed { why }
            });
            parts.push(Part { name, sensor, state });
        }
        if parts.iter().all(|part| matches!(part.state, PartState::Failed { .. })) {
            bail!("no pipeline can run; `edgerun check` says more");
        }
        feed_joined(&mut fans);
        let (mut samplers, mut sensors, mut live) = (Vec::new(), Vec::new(), Vec::new());
        for fan in fans.into_iter().filter(|fan| !fan.queues.is_empty()) {
            let (thread, part, shown) = start_sampler(fan, &around, link.clone(), &stop)?;
            live.push(shown);
            samplers.push(thread);
            sensors.push(part);
        }
        let reporter = Reporter::new(config, session, &around, link.clone(), parts, sensors);
        let reporter = Arc::new(Mutex::new(reporter));
        let http = doors::start(config, secrets, &reporter, inputs.inlets)?;
        let heartbeats = Heartbeats::default();
        let updater = match updates {
            Ok(updates) => updates.start(&reporter)?,
            Err(_) => None,
        };
        let live = Arc::new(Live::new(live, config.capture_private));
        let answers = Answers { asker: updater.as_ref().map(Updater::asker), live: live.clone() };
        let useful = answers.asker.is_some() || !live.is_empty();
        let control = around.control.as_ref().filter(|_| useful).and_then(|path| {
            let started = Control::start(path.clone(), answers);
            // Everything else works without it.
            started.map_err(|error| log::error!("control socket: {}", explained(&error))).ok()
        });
        let wanted = Arc::<AtomicU8>::default();
        let listening = link.map(|link| link.commands()).filter(|link| !link.allowed().is_empty());
        let commands = match listening {
            None => None,
            Some(link) => {
                let board = Board {
                    reporter: reporter.clone(),
                    pipelines,
                    doors: doors::all(&reporter),
                    asker: updater.as_ref().map(Updater::asker),
                    storage: around.storage.clone(),
                    clock: around.clock.clone(),
                    host: around.host.clone(),
                    capture_private: config.capture_private,
                    wanted: wanted.clone(),
                    stop: Arc::default(),
                };
                Some(Commands::start(link, board)?)
            }
        };
        let mut daemon = Self {
            net,
            http,
            samplers,
            threads,
            workers,
            updater,
            control,
            live,
            commands,
            wanted,
            reporter,
            heartbeats,
            stop,
        };
        daemon.report(|reporter| reporter.introduce());
        daemon.tick();
        Ok(daemon)
    }

    /// What is due now and then: health when its time has come or something changed, numbers reserved
    /// ahead. Call it a few times a second.
    pub fn tick(&mut self) {
        self.report(Reporter::tick);
        self.live.tick();
    }

    /// Whether every pipeline makes progress: what systemd's watchdog is told.
    pub fn makes_progress(&mut self) -> bool {
        let mut beats = Vec::new();
        self.report(|reporter| beats.extend(reporter.beats()));
        let hung = self.threads.iter().any(JoinHandle::is_finished) && !self.has_ended();
        // Work hangs in real time, whatever clock the stream runs on.
        !hung && self.heartbeats.all_fresh(beats, SystemClock.monotonic(), HANG)
    }

    /// What a command asks of whoever runs the daemon; its answer is on its way.
    pub fn wanted(&self) -> Option<Wanted> {
        commands::wanted(&self.wanted)
    }

    /// Whether every recording has been played to its end; never with a real sensor.
    pub fn has_ended(&self) -> bool {
        !self.samplers.is_empty() && self.samplers.iter().all(JoinHandle::is_finished)
    }

    /// Where the HTTP server listens, if there is one.
    pub fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.http.as_ref().map(HttpServer::address)
    }

    /// A line for people, and for `scripts/deploy`: the verdict, its reasons, how many pipelines run.
    pub fn status_line(&self) -> String {
        let mut line = String::new();
        self.report(|reporter| line = reporter.status_line());
        line
    }

    /// Frames, windows and messages given up since the start.
    pub fn dropped(&self) -> u64 {
        let mut dropped = 0;
        self.report(|reporter| dropped = reporter.dropped());
        dropped
    }

    /// Stops in the data's order: sensors, pipelines, then the network once it has delivered the rest.
    pub fn stop(mut self) {
        drop(self.http.take());
        if let Some(commands) = &self.commands {
            commands.begin_to_stop();
        }
        if let Some(control) = self.control.take() {
            control.stop();
        }
        // Before the pipelines go: it may be waiting for one of them.
        if let Some(updater) = self.updater.take() {
            updater.stop();
        }
        if let Some(commands) = self.commands.take() {
            commands.stop();
        }
        self.stop.store(true, Ordering::Release);
        // With the samplers go their ends of the queues: each pipeline finishes what is left and ends.
        for thread in self.samplers.drain(..).chain(self.threads.drain(..)) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                log::error!("thread {name} ended with a panic");
            }
        }
        self.workers.stop();
        report::lock(&self.reporter).close_sequences();
        report::lock(&self.reporter).conclude();
        if let Some(net) = self.net.take() {
            net.stop(FLUSH);
        }
    }

    fn report(&self, act: impl FnOnce(&mut Reporter)) {
        act(&mut report::lock(&self.reporter));
    }
}

/// The error and its causes; a cause that the words before it contain already is not repeated.
pub(crate) fn explained(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| match cause.to_string() {
        cause if said.is_empty() => cause,
        cause if said.contains(&cause) => said,
        cause => format!("{said}: {cause}"),
    })
}

/// A pipeline that was started.
struct Started {
    state: PartState,
    thread: Option<JoinHandle<()>>,
    slot: Slot,
    tap: Option<Tap>,
}

impl Started {
    /// Why it waits, for health.
    fn says(&self, why: String) {
        if let PartState::Running { stats, .. } = &self.state {
            stats.set_error(Some(why));
        }
    }
}

/// Where a pipeline's findings may go.
struct Sinks<'a> {
    link: Option<&'a Link>,
    secrets: &'a Secrets,
    workers: &'a mut Workers,
}

/// `bundle` is what the pipeline runs first; without one it waits for its model's first version.
fn start_pipeline(
    settings: &config::Pipeline,
    bundle: Option<Bundle>,
    fan: Option<&mut Fan>,
    around: &Surroundings,
    ways: Sinks<'_>,
    session: &Session,
    paused: &BTreeSet<String>,
) -> anyhow::Result<Started> {
    let loaded = bundle.map(|bundle| Loaded::new(&bundle, settings)).transpose()?;
    let stats = Arc::new(PipelineStats::default());
    let (Some(feed), Some(fan)) = (&settings.feed, fan) else {
        let current = Current::new(loaded);
        let slot = Slot::new(settings, None, current.clone(), stats.clone());
        let switch = Switch::default();
        let sinks = Vec::new();
        let state = PartState::Running { current, stats, sequence: None, switch, sinks };
        return Ok(Started { state, thread: None, slot, tap: None });
    };
    let spec = fan.spec.as_ref().map_err(|why| anyhow!("sensor {}: {why}", fan.name))?;
    let serving = match &loaded {
        Some(loaded) => Some(loaded.serving(fit(&loaded.manifest, feed.window, spec)?)?),
        None => None,
    };
    let current = Current::new(loaded);
    let name: Arc<str> = Arc::from(settings.name.as_str());
    let sequence = Arc::new(open_sequence(around.storage.clone(), &name)?);
    if let Some(resumes_at) = sequence.resumes_at() {
        let mut publisher = ways.link.map(Link::publisher);
        let kind = EventKind::NumbersSkipped { resumes_at };
        tell(publisher.as_mut(), std::slice::from_ref(&name), around.clock.as_ref(), &kind);
    }
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(link) = ways.link {
        sinks.push(Box::new(link.publisher().with_qos(match feed.qos {
            config::Qos::AtMostOnce => Qos::AtMostOnce,
            config::Qos::AtLeastOnce => Qos::AtLeastOnce,
        })));
    }
    let others = ways.workers.start(&name, &feed.outputs, ways.secrets, around, session)?;
    sinks.extend(others.sinks);
    let (length, stride) = (feed.window.length.get(), feed.window.stride.get());
    let channels = spec.channels.len();
    let capacity = length + WINDOWS_BEHIND * stride;
    let stride_time = spec.period().saturating_mul(u32::try_from(stride).unwrap_or(u32::MAX));
    // A sample may wait until it is read.
    let deadline = stride_time.saturating_add(spec.poll_period());
    let exchange = Arc::new(Exchange::default());
    let switch = Switch::new(paused.contains(settings.name.as_str()));
    if switch.is_paused() {
        log::warn!("pipeline {name} is paused: the command resume has it make results again");
    }
    let tap = Tap {
        switch: switch.clone(),
        exchange: exchange.clone(),
        spec: spec.clone(),
        frames: feed.window.length.get(),
        is_private: fan.settings.is_private(),
    };
    let fed = Fed { spec: spec.clone(), exchange: exchange.clone(), deadline };
    let slot = Slot::new(settings, Some(fed), current.clone(), stats.clone());
    let pipeline = Pipeline {
        name: name.clone(),
        windower: Windower::new(channels, length, stride),
        channels,
        serving,
        exchange: exchange.clone(),
        taps: Taps::default(),
        switch: switch.clone(),
        deadline,
        publish: match feed.publish {
            config::Publish::Every => Publish::Every,
            config::Publish::Change => Publish::Change,
            config::Publish::Above(limit) => Publish::Above(limit),
        },
        sequence: sequence.clone(),
        sinks,
        stats: stats.clone(),
        clock: around.clock.clone(),
        last: None,
    };
    let (sender, receiver) = queue::frames(channels, capacity);
    let frames = Frames::new(channels, capacity);
    let core = settings.cores.first().copied();
    let run = move || {
        if let Some(core) = core
            && let Err(error) = engine::pin(core)
        {
            log::warn!("the inference thread is not pinned to core {core}: {error}");
        }
        pipeline.run(&receiver, frames);
    };
    let thread = std::thread::Builder::new()
        .name(format!("infer-{name}").chars().take(15).collect())
        .spawn(run)
        .context("cannot start a thread")?;
    fan.queues.push(sender);
    fan.pipelines.push(name);
    let sequence = Some(sequence);
    let state = PartState::Running { current, stats, sequence, switch, sinks: others.parts };
    Ok(Started { state, thread: Some(thread), slot, tap: Some(tap) })
}

fn open_sequence(storage: Arc<dyn Storage>, pipeline: &str) -> anyhow::Result<Sequence> {
    let name = FileName::new(format!("seq-{pipeline}"))
        .ok_or_else(|| anyhow!("{pipeline:?} is too long to keep a sequence number under"))?;
    Ok(Sequence::open(storage, name, net::random_number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let inner = anyhow!("no room");
        let outer = inner.context("cannot write a: no room").context("cannot save");
        assert_eq!(explained(&outer), "cannot save: cannot write a: no room");
    }
}
