//! `edgerun sensors record`: a sensor's frames in a file, a camera's pictures in a folder.

mod csv;
mod folder;
mod npy;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use serde_json::json;

use self::csv::Csv;
use self::folder::Folder;
use self::npy::Npy;
use super::daemon::Daemon;
use super::sampling::{Inbox, Sampled};
use super::{Outcome, named};
use crate::cli::{logger, stop_on_signal};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::data::Frames;

/// Arguments of `edgerun sensors record`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Which; may be left out where there is only one
    name: Option<String>,

    /// The file, .csv or .npy; of a camera the folder
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Ends after this many seconds; Ctrl-C ends it, too
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,

    /// Ends after this many frames
    #[arg(long, value_name = "N")]
    frames: Option<usize>,

    /// Replaces what is there
    #[arg(long)]
    force: bool,
}

const LOOK: Duration = Duration::from_millis(100);

/// Where frames go.
trait Recording {
    fn write(&mut self, frames: &Frames) -> anyhow::Result<()>;

    /// All is written: what was kept so far gets its name.
    fn end(self: Box<Self>) -> anyhow::Result<()>;
}

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
    if args.output.is_file() && !args.force {
        bail!("{file} is there already; use another name or --force");
    }
    let stop = stop_on_signal()?;
    let daemon = Daemon::of(config)?;
    let mut sampled = Sampled::start(sensor, daemon.as_ref(), &stop)?;
    let result =
        begin(&sampled, args).and_then(|recording| go_on(&mut sampled, recording, args, &stop));
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
    if gaps > 0 && !is_csv(&args.output) {
        logger::say(&format!("{file}: the gaps are not in it; only .csv holds them"));
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

/// What `args.output` is to become.
fn begin(sampled: &Sampled, args: &Args) -> anyhow::Result<Box<dyn Recording>> {
    let file = args.output.display();
    let extension = args.output.extension().unwrap_or_default();
    Ok(match sampled.spec.gives_pictures() {
        true if sampled.by_daemon() => bail!(
            "the running daemon has {}, and hands out no pictures; `systemctl stop edgerun` frees it",
            sampled.name
        ),
        true if extension.is_empty() || args.output.is_dir() => {
            Box::new(Folder::begin(&args.output, args.force)?)
        }
        true => bail!(
            "{} gives pictures: {file} must be a folder's name, without an extension",
            sampled.name
        ),
        // Found now, not when a recording of an hour gets its name.
        false if args.output.is_dir() => bail!("{file} is a folder; name a .csv or .npy file"),
        false if is_csv(&args.output) => Box::new(Csv::begin(&args.output, &sampled.spec)?),
        false if extension.eq_ignore_ascii_case("npy") => {
            Box::new(Npy::begin(&args.output, sampled.spec.channels.len()))
        }
        false => bail!("{file} is neither .csv nor .npy"),
    })
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

fn go_on(
    sampled: &mut Sampled,
    mut recording: Box<dyn Recording>,
    args: &Args,
    stop: &std::sync::atomic::AtomicBool,
) -> anyhow::Result<Recorded> {
    let clock = SystemClock;
    let begin = clock.monotonic();
    let end = args.seconds.map(|s| begin + Duration::try_from_secs_f64(s).unwrap_or_default());
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
            frames.truncate(most - done.frames);
        }
        // The beginning of the recording is no gap in it.
        let begins = usize::from(done.frames == 0);
        done.gaps += frames.stamps().iter().skip(begins).filter(|stamp| stamp.gap_before).count();
        done.frames += frames.len();
        recording.write(&frames)?;
        if over || args.frames == Some(done.frames) {
            break;
        }
    }
    recording.end()?;
    Ok(done)
}
