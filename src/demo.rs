//! The whole system on one machine: an embedded broker, a recorded IMU behind a register-level sensor,
//! the shipped int8 model, and everything between them as `edgerun run` has it.
//!
//! What differs from a board is the I²C bus behind the driver and the speed of the clock. The view
//! knows only what its own subscription delivers; the driver never sees a label. After all recordings it goes
//! on with them, while a publisher updates the model over the air: once well, three times not.

mod broker;
mod models;
mod recording;
mod score;
mod story;
mod subscriber;
mod view;

pub use score::{Ending, Latency, Summary, Update};

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};

use crate::clock::{Clock, ScaledClock, Stopwatch, SystemClock};
use crate::config::{Config, Machine, Secrets};
use crate::daemon::{Daemon, Host, Surroundings, control};
use crate::data::Timestamp;
use crate::health::Run;
use crate::model::{Bundle, BundleError, Manifest};
use crate::sensor::sim::{Playback, Segment, SimChip};
use crate::sensor::{DriverSettings, Fifo, Sensor};
use crate::storage::{DirStorage, MemoryStorage, Storage};
use crate::store::Store;
use recording::Recording;
use score::{Judged, Score};
use story::{Folder, Story, Turn};
use subscriber::{Message, ResultPayload};
use view::View;

/// How the demo is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many times faster than real time the recording plays.
    pub speed: f64,
    /// Whether the model is updated at the end.
    pub updates: bool,
    /// Where the HTTP server listens, if at all.
    pub http: Option<SocketAddr>,
    /// Whether the output is a terminal: rows are drawn in place and coloured.
    pub live: bool,
}

/// Pause between two recordings, in stream time: long enough that no driver takes it for jitter.
const PAUSE: Duration = Duration::from_secs(2);
/// After so long without a message something is broken.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the last messages may take once everything has been played.
const LAST_MESSAGES: Duration = Duration::from_secs(10);
/// The id in the demo's topics.
const DEVICE: &str = "demo";

/// Steps of the sensor from one window to the next.
const STRIDE: u32 = 10;
/// The sensor's rate, in Hz.
const RATE: u32 = 10;

/// Runs the demo to its end, or until `stop`, and draws it to `out`.
///
/// # Errors
/// When a part cannot be started, an update does not end as it should, or `out` cannot be written.
pub fn run(options: &Options, stop: &AtomicBool, out: impl Write) -> anyhow::Result<Summary> {
    let watch = Stopwatch::start();
    let recordings = recording::recordings().context("the compiled-in recording")?;
    let broker = broker::start()?;
    let (messages, operator) = subscriber::start(broker)?;
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(options.speed)?);
    let segments = recordings.iter().map(|r| Segment { frames: r.frames.clone() }).collect();
    let playback = Playback { segments, gap: PAUSE, repeat: options.updates };
    let chip = SimChip::new(clock.clone(), playback);
    let bundle = models::first()?;
    let folder = options.updates.then(|| Folder::new(&bundle)).transpose()?;
    let config = config(broker, options.http, &bundle, folder.as_ref())?;
    let mut view = View::new(out, options.live);
    view.head(&head(&bundle, broker, options, recordings.len()))?;
    let around = surroundings(bundle, &chip, clock.clone(), folder.as_ref());
    let mut daemon = Daemon::start(&config, &Secrets::default(), around)?;
    // A result is late once the next window is due, and a sample may have waited one period before.
    let late = Duration::from_secs((STRIDE + 1).into()) / RATE;
    let late = late.div_f64(options.speed);
    let mut story = folder.map(|folder| Story::new(folder, operator, DEVICE, late));
    let judge = Judge::new(&chip, clock.as_ref());
    let (score, updates) = (Score::default(), Vec::new());
    let mut show = Show { judge, recordings, score, view, updating: false, updates };
    let mut silence = Stopwatch::start();
    while !stop.load(Ordering::Acquire) {
        daemon.tick();
        let message = next(&messages)?;
        if message.is_some() {
            silence = Stopwatch::start();
        } else if silence.elapsed() > SILENCE.div_f64(options.speed.min(1.0)) {
            bail!("nothing came back from the demo's own broker for a long time");
        }
        match (&mut story, show.updating) {
            (None, _) if has_been_read(&chip, clock.as_ref()) && message.is_none() => break,
            (Some(story), false) if message.as_ref().is_some_and(|m| show.is_repeated(m)) => {
                let summary = show.score.summary(daemon.dropped(), Vec::new());
                show.view.end(&show.score, &summary, watch.elapsed().as_secs_f64())?;
                show.view.updates(&story.fingerprint()?)?;
                show.updating = true;
            }
            (Some(story), true) if story.chapter().is_none() => break,
            _ => {}
        }
        let told = story.as_mut().filter(|_| show.updating);
        if let Some(message) = message {
            show.hear(&message, told)?;
        } else if let Some(story) = told {
            story.go_on()?;
        }
    }
    let dropped = daemon.dropped();
    daemon.stop();
    // The last windows are on their way: `stopping` comes behind them on the same connection.
    let deadline = SystemClock.monotonic() + LAST_MESSAGES;
    loop {
        let left = deadline.saturating_sub(SystemClock.monotonic());
        let Ok(message) = messages.recv_timeout(left) else { break };
        show.hear(&message, None)?;
        if is_stopping(&message) {
            break;
        }
    }
    let Show { score, mut view, updating, updates, .. } = show;
    let (summary, seconds) = (score.summary(dropped, updates), watch.elapsed().as_secs_f64());
    if updating {
        view.end_updates(&score, &summary, seconds)?;
    } else {
        view.end(&score, &summary, seconds)?;
    }
    Ok(summary)
}

/// What arrives within a moment.
fn next(messages: &Receiver<Message>) -> anyhow::Result<Option<Message>> {
    match messages.recv_timeout(Duration::from_millis(50)) {
        Ok(message) => Ok(Some(message)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(anyhow!("the subscriber ended")),
    }
}

/// A board around `chip`; with a `folder` it has its state there, and its model in the store.
fn surroundings(
    bundle: Bundle,
    chip: &SimChip,
    clock: Arc<dyn Clock>,
    folder: Option<&Folder>,
) -> Surroundings {
    let chip = chip.clone();
    let control = folder.map(|folder| control::path(&folder.state()));
    let (storage, store): (Arc<dyn Storage>, _) = match folder {
        Some(folder) => {
            let state = folder.state();
            (Arc::new(DirStorage::new(&state)), Store::folder(&state))
        }
        None => (Arc::new(MemoryStorage::default()), PathBuf::new()),
    };
    Surroundings {
        spool: None,
        control,
        clock,
        storage,
        store,
        open_bundle: Box::new(move |_: &Path| Ok::<_, BundleError>(bundle.clone())),
        open_sensor: Arc::new(move |settings: &DriverSettings, clock: &Arc<dyn Clock>| {
            let DriverSettings::Fifo(settings) = settings else {
                unreachable!("the demo's configuration names this driver only")
            };
            let port = chip.port(&settings.place, settings.kind.model().dialect());
            Ok(Box::new(Fifo::new(port, settings, clock.clone())?) as Box<dyn Sensor>)
        }),
        open_line: crate::sink::gpio::open_line(),
        run: Run::default(),
        host: Host::none(),
    }
}

/// Whether the recording has been played and the sampling thread has had time for its end.
fn has_been_read(chip: &SimChip, clock: &dyn Clock) -> bool {
    const LAST_READS: Duration = Duration::from_secs(1);
    let end = chip.segments().last().map_or(Duration::MAX, |&(_, end)| end);
    chip.finished() && clock.monotonic() > end.saturating_add(LAST_READS)
}

/// What a board's configuration file would say.
fn config(
    broker: SocketAddr,
    http: Option<SocketAddr>,
    bundle: &Bundle,
    folder: Option<&Folder>,
) -> anyhow::Result<Config> {
    let frames = bundle.manifest.recipe.frames;
    let http = http.map_or(String::new(), |listen| format!("[http]\nlisten = \"{listen}\"\n"));
    let (model, updates) = match folder {
        Some(folder) => ("gestures", folder.config()),
        None => ("./gestures", String::new()),
    };
    let text = format!(
        r#"
        [device]
        id = "{DEVICE}"

        [mqtt]
        url = "mqtt://{broker}"

        [[sensor]]
        name = "imu"
        driver = "mpu6050"
        bus = "/dev/i2c-1"
        address = 0x68
        rate = "{RATE} Hz"
        accel_range = "4 g"
        gyro_range = "2000 dps"

        [[pipeline]]
        name = "gestures"
        sensor = "imu"
        model = "{model}"
        window = {{ length = {frames}, stride = {STRIDE} }}
        publish = "every"
        qos = 1

        {http}
        {updates}
        "#
    );
    Ok(Config::parse(&text, Path::new("demo.toml"), &Machine::this())?)
}

fn head(bundle: &Bundle, broker: SocketAddr, options: &Options, recordings: usize) -> Vec<String> {
    let Manifest { name, version, .. } = &bundle.manifest;
    let bytes = bundle.model.len();
    let mut lines = vec![
        format!("edgerun {} demo", env!("CARGO_PKG_VERSION")),
        format!("  sensor    MPU-6050 simulated at register level, {recordings} public recordings"),
        format!(
            "            of a smart watch, 10 s each at 10 Hz, played {} x real time",
            options.speed
        ),
        format!("  model     {name} {version}: int8, {bytes} bytes, on edgerun's own engine"),
        format!("  broker    mqtt://{broker}, topics edgerun/{DEVICE}/#"),
    ];
    if let Some(listen) = options.http {
        lines.push(format!("  http      http://{listen}/metrics, POST /predict"));
    }
    lines
}

/// Tells which recording a window came from, by the time that its result names.
struct Judge<'a> {
    chip: &'a SimChip,
    /// Wall time at stream time zero.
    epoch: Duration,
}

impl<'a> Judge<'a> {
    fn new(chip: &'a SimChip, clock: &dyn Clock) -> Self {
        let Timestamp { since_epoch, .. } = clock.wall();
        Self { chip, epoch: since_epoch.saturating_sub(clock.monotonic()) }
    }

    fn judge(&self, result: &ResultPayload, recordings: &[Recording]) -> Option<Judged> {
        let (start, end) = (self.at(&result.window.start)?, self.at(&result.window.end)?);
        // The middle is far from every border, so a few milliseconds of rounding do not matter.
        let (round, recording) = self.chip.segment_at(start + end.saturating_sub(start) / 2)?;
        let truth = &recordings.get(recording)?.label;
        Some(Judged {
            round,
            recording,
            version: result.version.clone(),
            label: result.result.label.clone(),
            score: result.result.score,
            right: result.result.label.as_ref() == Some(truth),
            latency_us: result.latency_us,
        })
    }

    /// The stream time of an RFC 3339 stamp.
    fn at(&self, stamp: &str) -> Option<Duration> {
        let wall = humantime::parse_rfc3339(stamp).ok()?;
        wall.duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(self.epoch)
    }
}

/// What has been shown.
struct Show<'a, W: Write> {
    judge: Judge<'a>,
    recordings: Vec<Recording>,
    score: Score,
    view: View<W>,
    /// Whether the recordings were all played once, and the model is updated now.
    updating: bool,
    updates: Vec<Update>,
}

impl<W: Write> Show<'_, W> {
    /// Takes a message; while the model is updated, `story` is told it as well.
    fn hear(&mut self, message: &Message, story: Option<&mut Story>) -> anyhow::Result<()> {
        self.score.message();
        if let Some(judged) = self.judged(message)? {
            self.score.result(&judged);
            if !self.updating {
                self.view.result(judged, &self.recordings, &self.score)?;
            } else if let Some(story) = story {
                story.go_on()?;
                if let Some(chapter) = story.chapter() {
                    self.view.step(chapter, None, &self.score)?;
                }
            }
        } else if let Some(story) = story
            && let Some(chapter) = story.chapter()
            && message.topic == format!("edgerun/{DEVICE}/model/gestures/reported")
        {
            match story.hear(&message.payload)? {
                None => {}
                Some(Turn::Step(step)) => self.view.step(chapter, Some(step), &self.score)?,
                Some(Turn::Ended(update, took)) => {
                    let seconds = took.as_secs_f64();
                    self.view.update(chapter, &update, &self.score, seconds)?;
                    self.updates.push(update);
                }
            }
        }
        Ok(())
    }

    fn judged(&self, message: &Message) -> anyhow::Result<Option<Judged>> {
        if !message.topic.starts_with(&format!("edgerun/{DEVICE}/result/")) {
            return Ok(None);
        }
        let result: ResultPayload = serde_json::from_slice(&message.payload)
            .with_context(|| format!("the payload on {}", message.topic))?;
        let judged = self.judge.judge(&result, &self.recordings).ok_or_else(|| {
            anyhow!("a result names a time at which nothing was played: {result:?}")
        })?;
        Ok(Some(judged))
    }

    /// Whether it is a result of a recording that was played before.
    fn is_repeated(&self, message: &Message) -> bool {
        matches!(self.judged(message), Ok(Some(judged)) if judged.round > 0)
    }
}

fn is_stopping(message: &Message) -> bool {
    let state = serde_json::from_slice::<serde_json::Value>(&message.payload);
    message.topic == format!("edgerun/{DEVICE}/status")
        && state.is_ok_and(|status| status["state"] == "stopping")
}
