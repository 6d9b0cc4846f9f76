//! `edgerun sensors read`: values as they come.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::daemon::Daemon;
use super::sampling::{Inbox, Sampled};
use super::{Outcome, named};
use crate::cli::stop_on_signal;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::data::Stamp;
use crate::sensor::{Channel, SensorSpec};

/// Arguments of `edgerun sensors read`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Which; all of them without it
    names: Vec<String>,

    /// Ends after this many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,

    /// Ends after this many frames of each
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
}

const DRAW: Duration = Duration::from_millis(200);
/// Between two lines where no terminal draws.
const LINE: Duration = Duration::from_secs(1);
/// Values in a sparkline, one for each drawing.
const SPARKS: usize = 40;

/// A sensor as it is shown.
struct Shown {
    sampled: Sampled,
    seen: u64,
    latest: Vec<f32>,
    history: Vec<VecDeque<f32>>,
    news: Option<String>,
}

pub(super) fn run(
    config: &Config,
    args: &Args,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let stop = stop_on_signal()?;
    let live = !json && io::stdout().is_terminal();
    let mut shown = Vec::new();
    let daemon = Daemon::of(config)?;
    for sensor in named(config, &args.names)? {
        let sampled = Sampled::start(sensor, daemon.as_ref(), &stop)?;
        let channels = sampled.spec.channels.len();
        let latest = vec![f32::NAN; channels];
        let history = vec![VecDeque::with_capacity(SPARKS); channels];
        shown.push(Shown { sampled, seen: 0, latest, history, news: None });
    }
    let clock = SystemClock;
    let begin = clock.monotonic();
    let end = args.seconds.map(|s| begin + Duration::try_from_secs_f64(s).unwrap_or_default());
    let mut line_due = begin + LINE;
    let result = loop {
        clock.sleep_until(clock.monotonic() + DRAW);
        let now = clock.monotonic();
        let enough = |shown: &Shown| args.frames.is_some_and(|frames| shown.seen >= frames);
        let mut written = Ok(());
        for shown in &mut shown {
            let left = args.frames.map(|frames| frames.saturating_sub(shown.seen));
            written = written.and_then(|()| shown.take(left, json, out));
        }
        let over = stop.load(Ordering::Relaxed)
            || end.is_some_and(|end| now >= end)
            || shown.iter().all(|shown| enough(shown) || shown.sampled.has_ended());
        if live {
            written = written.and_then(|()| draw(&shown, out));
        } else if !json && (now >= line_due || over) {
            line_due = now + LINE;
            written = written.and_then(|()| shown.iter().try_for_each(|shown| shown.line(out)));
        }
        if written.is_err() || over {
            break written;
        }
    };
    stop.store(true, Ordering::Relaxed);
    for shown in &mut shown {
        shown.sampled.finish()?;
    }
    result?;
    let away = shown.iter().filter(|shown| shown.seen == 0);
    Ok(if away.count() == 0 { Outcome::Good } else { Outcome::Failed })
}

impl Shown {
    /// Takes what has come; `left` frames at most count.
    fn take(&mut self, left: Option<u64>, json: bool, out: &mut dyn Write) -> io::Result<()> {
        let Inbox { frames, news, .. } = self.sampled.take();
        for what in news {
            if json {
                writeln!(out, "{}", json!({"sensor": self.sampled.name, "event": what}))?;
            }
            self.news = Some(what);
        }
        let left = usize::try_from(left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        for (values, stamp) in frames.iter().take(left) {
            self.seen += 1;
            self.latest.copy_from_slice(values);
            if json {
                writeln!(out, "{}", frame(&self.sampled.name, &self.sampled.spec, values, stamp))?;
            }
        }
        if json {
            out.flush()?;
        }
        for (history, value) in self.history.iter_mut().zip(&self.latest) {
            if history.len() == SPARKS {
                history.pop_front();
            }
            history.push_back(*value);
        }
        Ok(())
    }

    fn head(&self) -> String {
        let (sampled, reading) = (&self.sampled, self.sampled.reading());
        let wanted = sampled.spec.rate_hz;
        let mut head = format!(
            "{}: {}, {:.2} of {wanted} Hz, jitter p99 {:.1?} max {:.1?}, {} gaps, {} errors",
            sampled.name,
            reading.state.as_str(),
            sampled.rate_hz(),
            reading.jitter_p99,
            reading.jitter_max,
            reading.gaps,
            reading.errors,
        );
        if let Some(error) = &reading.last_error {
            head += &format!(": {error}");
        } else if let Some(news) = &self.news {
            head += &format!(" ({news})");
        }
        head
    }

    /// One line, for a file or another program.
    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let values = self.sampled.spec.channels.iter().zip(&self.latest);
        let text = |(channel, value): (&Channel, &f32)| {
            format!("{} {value} {}", channel.name, channel.unit).trim_end().to_owned()
        };
        let values: Vec<String> = values.map(text).collect();
        writeln!(out, "{}: {}", self.head(), values.join(", "))?;
        out.flush()
    }
}

fn frame(name: &str, spec: &SensorSpec, values: &[f32], stamp: Stamp) -> Value {
    let values: Map<String, Value> = spec
        .channels
        .iter()
        .zip(values)
        .map(|(channel, value)| (channel.name.to_string(), json!(value)))
        .collect();
    json!({
        "sensor": name, "time": stamp.wall.rfc3339(), "clock": stamp.wall.clock.as_str(),
        "at_s": stamp.at.as_secs_f64(), "gap_before": stamp.gap_before, "values": values,
    })
}

/// The whole screen, in place.
fn draw(shown: &[Shown], out: &mut dyn Write) -> io::Result<()> {
    // Without wrapping: a narrow terminal would show every line twice.
    let mut text = "\x1b[?7l\x1b[H".to_owned();
    for shown in shown {
        text += &format!("{}\x1b[K\r\n", shown.head());
        let channels = shown.sampled.spec.channels.iter();
        for ((channel, value), history) in channels.zip(&shown.latest).zip(&shown.history) {
            let (name, unit, sparks) = (&channel.name, &channel.unit, sparkline(history));
            text += &format!("  {name:<16} {value:>12.4} {unit:<6} {sparks}\x1b[K\r\n");
        }
    }
    text += "Ctrl-C ends\x1b[J\x1b[?7h\r\n";
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The values between their least and their most, a sign each; a missing one is a blank.
fn sparkline(values: &VecDeque<f32>) -> String {
    const SIGNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (known().fold(f32::MAX, f32::min), known().fold(f32::MIN, f32::max));
    let sign = |value: &f32| match (value - low) / (high - low) {
        _ if !value.is_finite() => ' ',
        share if share.is_finite() => SIGNS[((share * 7.0).round() as usize).min(7)],
        _ => SIGNS[0],
    };
    values.iter().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_goes_from_the_least_to_the_most() {
        let line = |values: &[f32]| sparkline(&values.iter().copied().collect());
        assert_eq!(line(&[0.0, 3.5, 7.0]), "▁▅█");
        assert_eq!(line(&[2.0, 2.0]), "▁▁");
        assert_eq!(line(&[f32::NAN, -1.0, 1.0, f32::INFINITY]), " ▁█ ");
        assert_eq!(line(&[]), "");
        assert_eq!(line(&[f32::MIN, f32::MAX]), "▁▁");
    }
}
