//! `edgerun sensors record`: a sensor's frames in a file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::daemon::Daemon;
use super::sampling::{Inbox, Sampled};
use super::{Outcome, named};
use crate::arrays;
use crate::cli::{logger, stop_on_signal};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::data::{Frames, Tensor, TensorData};
use crate::sensor::SensorSpec;
use crate::storage::{Disk as _, DiskFile, OsDisk, folder_of};

/// Arguments of `edgerun sensors record`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Which; may be left out where there is only one
    name: Option<String>,

    /// The file, .csv or .npy
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Ends after this many seconds; Ctrl-C ends it, too
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,

    /// Ends after this many frames
    #[arg(long, value_name = "N")]
    frames: Option<usize>,

    /// Replaces a file that is there
    #[arg(long)]
    force: bool,
}

const LOOK: Duration = Duration::from_millis(100);
/// What the driver `replay` reads at most, and what fits into memory.
const NPY_BYTES_MAX: usize = 256 << 20;

pub(super) fn run(
    config: &Config,
    args: &Args,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let names: Vec<String> = args.name.iter().cloned().collect();
    let sensors = named(config, &names)?;
    let [sensor] = sensors.as_slice() else { bail!("say which sensor: one file holds one") };
    let file = args.output.display();
    if args.output.exists() && !args.force {
        bail!("{file} is there already; use another name or --force");
    }
    let extension = args.output.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let stop = stop_on_signal()?;
    let daemon = Daemon::of(config)?;
    let mut sampled = Sampled::start(sensor, daemon.as_ref(), &stop)?;
    let begun = match extension.to_ascii_lowercase().as_str() {
        _ if sampled.spec.gives_pictures() => Err(anyhow::anyhow!(
            "{} gives pictures, which neither .csv nor .npy holds",
            sampled.name
        )),
        "csv" => Csv::begin(&args.output, &sampled.spec).map(Recording::Csv),
        "npy" => Ok(Recording::Npy { values: Vec::new(), path: args.output.clone() }),
        _ => Err(anyhow::anyhow!("{file} is neither .csv nor .npy")),
    };
    let result = begun.and_then(|recording| go_on(&mut sampled, recording, args, &stop));
    stop.store(true, Ordering::Relaxed);
    sampled.finish()?;
    let Recorded { frames, gaps, dropped } = result?;
    let reading = sampled.reading();
    let rate_hz = sampled.spec.rate_hz;
    if json {
        let report = json!({
            "sensor": sampled.name, "file": file.to_string(), "frames": frames, "gaps": gaps,
            "dropped": dropped, "errors": reading.errors, "rate_hz": rate_hz,
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "{file}: {frames} frames of {} at {rate_hz} Hz, {gaps} gaps", sampled.name)?;
    }
    if gaps > 0 && extension.eq_ignore_ascii_case("npy") {
        logger::say(&format!("{file}: an array cannot hold the gaps; .csv does"));
    }
    if dropped > 0 {
        logger::say(&format!(
            "{file}: {dropped} frames came faster than they could be taken and written"
        ));
    }
    Ok(if frames > 0 { Outcome::Good } else { Outcome::Failed })
}

struct Recorded {
    frames: usize,
    gaps: usize,
    dropped: usize,
}

enum Recording {
    Csv(Csv),
    /// Rows of all channels; an array's length stands before its values.
    Npy {
        values: Vec<f32>,
        path: PathBuf,
    },
}

fn go_on(
    sampled: &mut Sampled,
    mut recording: Recording,
    args: &Args,
    stop: &std::sync::atomic::AtomicBool,
) -> anyhow::Result<Recorded> {
    let clock = SystemClock;
    let begin = clock.monotonic();
    let end = args.seconds.map(|s| begin + Duration::try_from_secs_f64(s).unwrap_or_default());
    let channels = sampled.spec.channels.len();
    let mut done = Recorded { frames: 0, gaps: 0, dropped: 0 };
    loop {
        clock.sleep_until(clock.monotonic() + LOOK);
        // Before the frames are taken: what came until then belongs to it.
        let over = stop.load(Ordering::Relaxed)
            || sampled.has_ended()
            || end.is_some_and(|end| clock.monotonic() >= end);
        let Inbox { mut frames, news, dropped, .. } = sampled.take();
        news.iter().for_each(|what| log::warn!("sensor {}: {what}", sampled.name));
        done.dropped += dropped;
        if let Some(most) = args.frames {
            frames = first(&frames, most - done.frames);
        }
        // The beginning of the recording is no gap in it.
        let begins = usize::from(done.frames == 0);
        done.gaps += frames.stamps().iter().skip(begins).filter(|stamp| stamp.gap_before).count();
        done.frames += frames.len();
        match &mut recording {
            Recording::Csv(csv) => csv.write(&frames)?,
            Recording::Npy { values, path } => {
                if 4 * (values.len() + frames.values().len()) > NPY_BYTES_MAX {
                    bail!("{}: more than 256 MiB; record into .csv", path.display());
                }
                values.extend_from_slice(frames.values());
            }
        }
        if over || args.frames == Some(done.frames) {
            break;
        }
    }
    match recording {
        Recording::Csv(csv) => csv.end()?,
        Recording::Npy { values, path } => {
            let rows = Tensor::new(
                vec![values.len() / channels.max(1), channels],
                TensorData::F32(values),
            )?;
            arrays::write(&path, &[("x", &rows)])?;
        }
    }
    Ok(done)
}

fn first(frames: &Frames, count: usize) -> Frames {
    let mut some = Frames::new(frames.channels(), count.min(frames.len()));
    for (values, stamp) in frames.iter().take(count) {
        some.push(values, stamp);
    }
    some
}

/// A recording as text; it has its name only when it is whole.
struct Csv {
    file: BufWriter<Box<dyn DiskFile>>,
    path: PathBuf,
    part: PathBuf,
    period: Duration,
    /// The newest frame's time on the sensor's clock and in the file.
    last: Option<(Duration, Duration)>,
}

impl Csv {
    fn begin(path: &Path, spec: &SensorSpec) -> anyhow::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file =
            OsDisk.create(&part).with_context(|| format!("cannot write {}", part.display()))?;
        let mut file = BufWriter::new(file);
        let columns = spec.channels.iter().map(|channel| match channel.unit.is_empty() {
            true => channel.name.to_string(),
            false => format!("{} [{}]", channel.name, channel.unit),
        });
        let columns: Vec<String> = columns.collect();
        writeln!(file, "time_s,{}", columns.join(","))?;
        Ok(Self { file, path: path.to_owned(), part, period: spec.period(), last: None })
    }

    fn write(&mut self, frames: &Frames) -> anyhow::Result<()> {
        for (values, stamp) in frames.iter() {
            let time = match self.last {
                None => Duration::ZERO,
                Some((at, time)) => {
                    let step = stamp.at.saturating_sub(at);
                    // Who reads it finds a gap by a step of more than one and a half periods.
                    time + if stamp.gap_before { step.max(self.period * 2) } else { step }
                }
            };
            self.last = Some((stamp.at, time));
            write!(self.file, "{:.6}", time.as_secs_f64())?;
            for value in values {
                match value.is_finite() {
                    true => write!(self.file, ",{value}")?,
                    false => write!(self.file, ",")?,
                }
            }
            writeln!(self.file)?;
        }
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        self.file.flush()?;
        self.file.get_mut().sync()?;
        OsDisk.rename(&self.part, &self.path)?;
        OsDisk.sync_folder(folder_of(&self.path))?;
        Ok(())
    }
}
