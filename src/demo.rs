//! The whole system on one machine: an embedded broker, a recorded IMU behind a register-level sensor,
//! the shipped int8 model, and everything between them as `edgerun run` has it.
//!
//! What differs from a board is the I²C bus behind the driver and the speed of the clock. The view
//! knows only what its own subscription delivers; the driver never sees a label.

mod broker;
mod recording;
mod score;
mod subscriber;
mod view;

pub use score::{Latency, Summary, Update};

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};

use crate::clock::{Clock, ScaledClock, Stopwatch, SystemClock};
use crate::config::{Config, Machine, Secrets};
use crate::daemon::{Daemon, Surroundings};
use crate::data::Timestamp;
use crate::model::{Bundle, BundleError, Manifest};
use crate::sensor::sim::{Playback, Segment, SimChip};
use crate::sensor::{DriverSettings, Mpu6050, Sensor};
use crate::storage::MemoryStorage;
use recording::Recording;
use score::{Judged, Score};
use subscriber::{Message, ResultPayload};
use view::View;

/// How the demo is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many times faster than real time the recording plays.
    pub speed: f64,
    /// Where the HTTP server listens, if at all.
    pub http: Option<SocketAddr>,
    /// Whether the output is a terminal: rows are drawn in place and coloured.
    pub live: bool,
}

/// Pause between two recordings, in stream time: long enough that no driver takes it for jitter.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the last messages may take once everything has been played.
const LAST_MESSAGES: Duration = Duration::from_secs(10);
/// The id in the demo's topics.
const DEVICE: &str = "demo";

/// Runs the demo to its end, or until `stop`, and draws it to `out`.
///
/// # Errors
/// When a part cannot be started, or `out` cannot be written.
pub fn run(options: &Options, stop: &AtomicBool, out: impl Write) -> anyhow::Result<Summary> {
    let watch = Stopwatch::start();
    let recordings = recording::recordings().context("the compiled-in recording")?;
    let broker = broker::start()?;
    let messages = subscriber::start(broker)?;
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(options.speed)?);
    let segments = recordings.iter().map(|r| Segment { frames: r.frames.clone() }).collect();
    let chip = SimChip::new(clock.clone(), Playback { segments, gap: PAUSE });
    let bundle = bundle()?;
    let config = config(broker, options.http, &bundle)?;
    let mut view = View::new(out, options.live);
    view.head(&head(&bundle, broker, options, recordings.len()))?;
    let around = Surroundings {
        clock: clock.clone(),
        storage: Arc::new(MemoryStorage::default()),
        open_bundle: Box::new(move |_: &Path| Ok::<_, BundleError>(bundle.clone())),
        open_sensor: {
            let chip = chip.clone();
            Arc::new(move |settings: &DriverSettings, clock: &Arc<dyn Clock>| {
                let DriverSettings::Mpu6050(settings) = settings else {
                    unreachable!("the demo's configuration names this driver only")
                };
                let driver = Mpu6050::new(chip.bus(), settings, clock.clone())?;
                Ok(Box::new(driver) as Box<dyn Sensor>)
            })
        },
    };
    let mut daemon = Daemon::start(&config, &Secrets::default(), around)?;
    let judge = Judge::new(&chip, clock.as_ref());
    let mut score = Score::default();
    while !stop.load(Ordering::Acquire) && !has_been_read(&chip, clock.as_ref()) {
        daemon.tick();
        match messages.recv_timeout(Duration::from_millis(50)) {
            Ok(message) => hear(&message, &judge, &recordings, &mut score, &mut view)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("the subscriber ended")),
        }
    }
    let dropped = daemon.dropped();
    daemon.stop();
    // The last windows are on their way: `stopping` comes behind them on the same connection.
    let deadline = SystemClock.monotonic() + LAST_MESSAGES;
    loop {
        let left = deadline.saturating_sub(SystemClock.monotonic());
        let Ok(message) = messages.recv_timeout(left) else { break };
        hear(&message, &judge, &recordings, &mut score, &mut view)?;
        if is_stopping(&message) {
            break;
        }
    }
    let summary = score.summary(dropped);
    view.end(&score, &summary, watch.elapsed().as_secs_f64())?;
    Ok(summary)
}

/// Whether the recording has been played and the sampling thread has had time for its end.
fn has_been_read(chip: &SimChip, clock: &dyn Clock) -> bool {
    const LAST_READS: Duration = Duration::from_secs(1);
    let end = chip.segments().last().map_or(Duration::MAX, |&(_, end)| end);
    chip.finished() && clock.monotonic() > end.saturating_add(LAST_READS)
}

/// The shipped gesture model, compiled in.
fn bundle() -> anyhow::Result<Bundle> {
    let manifest = include_str!("../models/gestures/manifest.toml");
    let model = include_bytes!("../models/gestures/gestures.tflite").to_vec();
    let golden = include_bytes!("../models/gestures/golden.npz").to_vec();
    Bundle::new(manifest, model, Some(golden))
        .context("the compiled-in manifest of models/gestures")
}

/// What a board's configuration file would say.
fn config(broker: SocketAddr, http: Option<SocketAddr>, bundle: &Bundle) -> anyhow::Result<Config> {
    let frames = bundle.manifest.recipe.frames;
    let http = http.map_or(String::new(), |listen| format!("[http]\nlisten = \"{listen}\"\n"));
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
        rate = "10 Hz"
        accel_range = "4 g"
        gyro_range = "2000 dps"

        [[pipeline]]
        name = "gestures"
        sensor = "imu"
        model = "./gestures"
        window = {{ length = {frames}, stride = 10 }}
        publish = "every"
        qos = 1

        {http}
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
        let recording = self.chip.segment_at(start + end.saturating_sub(start) / 2)?;
        let truth = &recordings.get(recording)?.label;
        Some(Judged {
            recording,
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

fn hear<W: Write>(
    message: &Message,
    judge: &Judge<'_>,
    recordings: &[Recording],
    score: &mut Score,
    view: &mut View<W>,
) -> anyhow::Result<()> {
    score.message();
    if !message.topic.starts_with(&format!("edgerun/{DEVICE}/result/")) {
        return Ok(());
    }
    let result: ResultPayload = serde_json::from_slice(&message.payload)
        .with_context(|| format!("the payload on {}", message.topic))?;
    let judged = judge
        .judge(&result, recordings)
        .ok_or_else(|| anyhow!("a result names a time at which nothing was played: {result:?}"))?;
    score.result(&judged);
    view.result(judged, recordings, score)?;
    Ok(())
}

fn is_stopping(message: &Message) -> bool {
    let state = serde_json::from_slice::<serde_json::Value>(&message.payload);
    message.topic == format!("edgerun/{DEVICE}/status")
        && state.is_ok_and(|status| status["state"] == "stopping")
}
