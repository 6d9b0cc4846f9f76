//! A recording, CSV or NPY, played at a given rate: tests without a device, and data from elsewhere.

mod csv;
mod npy;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{BadSetting, Channel, Sensor, SensorError, SensorSpec};
use crate::clock::Clock;
use crate::data::{Frames, Stamp};

/// A recording is held in memory as a whole.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Values a frame, and thereby columns a file.
const CHANNELS_MAX: usize = 4096;

/// Frames of one read: a reader that comes late catches up in several.
const BATCH_FRAMES: usize = 256;

/// Settings of the `replay` driver as plain values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplaySettings {
    /// The recording: `.csv` or `.npy`.
    pub path: PathBuf,
    /// Frames a second, above 0 and up to 100 000.
    pub rate_hz: f64,
    /// Whether it starts anew at its end, with a gap.
    pub repeat: bool,
    /// NPY only: one `name [unit]` a column, as in `accel_x [m/s²]`; empty: `channel_0` and so on. A
    /// CSV names its own.
    pub channels: Vec<String>,
}

impl ReplaySettings {
    /// Everything that cannot be done; empty when all is well. Does not look at the file.
    pub fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        if self.format().is_none() {
            let why = format!("{:?} is neither .csv nor .npy", self.path);
            bad.push(BadSetting { key: "path", why });
        }
        if !(self.rate_hz > 0.0 && self.rate_hz <= 100_000.0) {
            let why = format!("must be above 0 Hz and up to 100 kHz, is {} Hz", self.rate_hz);
            bad.push(BadSetting { key: "rate", why });
        }
        if !self.channels.is_empty() && self.format() == Some(Format::Csv) {
            let why = "a CSV names its channels in its first line".into();
            bad.push(BadSetting { key: "channels", why });
        }
        bad
    }

    /// Reads the recording and says what it gives.
    ///
    /// # Errors
    /// [`SensorError::Unusable`], naming the file and the place in it.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        Ok(SensorSpec { channels: self.load()?.channels, rate_hz: self.rate_hz })
    }

    fn load(&self) -> Result<Recording, SensorError> {
        let bad = self.validate();
        let Some(format) = self.format().filter(|_| bad.is_empty()) else {
            return Err(BadSetting::refuse("replay", &bad));
        };
        let refuse = |why: String| SensorError::Unusable(format!("{}: {why}", self.path.display()));
        let bytes = read_file(&self.path).map_err(|error| refuse(error.to_string()))?;
        let recording = match format {
            Format::Csv => csv::parse(&bytes, Duration::from_secs_f64(1.0 / self.rate_hz))
                .map_err(|bad| {
                    SensorError::Unusable(format!(
                        "{}:{}: {}",
                        self.path.display(),
                        bad.line,
                        bad.why
                    ))
                })?,
            Format::Npy => npy::parse(&bytes, &self.channels).map_err(refuse)?,
        };
        if recording.gaps.is_empty() {
            return Err(refuse("there is no frame in it".into()));
        }
        Ok(recording)
    }

    fn format(&self) -> Option<Format> {
        let extension = self.path.extension()?;
        let is = |name: &str| extension.eq_ignore_ascii_case(name);
        if is("csv") {
            Some(Format::Csv)
        } else if is("npy") {
            Some(Format::Npy)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Npy,
}

/// A recording in memory.
#[derive(Debug, PartialEq)]
struct Recording {
    channels: Vec<Channel>,
    /// Row-major `[frames, channels]`; NaN is a missing value.
    values: Vec<f32>,
    /// For each frame, whether the recording breaks before it.
    gaps: Vec<bool>,
}

/// Plays a recording by the clock: frame `k` at the opening + (`k` + 1) periods.
///
/// It never loses a frame: a reader that comes late gets those that have become due.
pub struct Replay {
    recording: Recording,
    spec: SensorSpec,
    clock: Arc<dyn Clock>,
    repeat: bool,
    period: Duration,
    next: usize,
    next_at: Duration,
}

impl Replay {
    /// Reads the recording; it begins to play at once.
    ///
    /// # Errors
    /// [`SensorError::Unusable`], naming the file and the place in it.
    pub fn open(settings: &ReplaySettings, clock: Arc<dyn Clock>) -> Result<Self, SensorError> {
        let recording = settings.load()?;
        let spec = SensorSpec { channels: recording.channels.clone(), rate_hz: settings.rate_hz };
        let period = spec.period();
        let next_at = clock.monotonic() + period;
        let repeat = settings.repeat;
        Ok(Self { recording, spec, clock, repeat, period, next: 0, next_at })
    }
}

impl Sensor for Replay {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let channels = self.recording.channels.len();
        for given in 0..BATCH_FRAMES {
            if self.next == self.recording.gaps.len() {
                if !self.repeat {
                    return if given == 0 { Err(SensorError::Ended) } else { Ok(given) };
                }
                self.next = 0;
            }
            if self.next_at > now {
                return Ok(given);
            }
            let at = self.next_at;
            let since_epoch = wall.since_epoch.saturating_sub(now - at);
            let gap_before = self.next == 0 || self.recording.gaps[self.next];
            let stamp =
                Stamp { at, wall: crate::data::Timestamp { since_epoch, ..wall }, gap_before };
            let start = self.next * channels;
            out.push(&self.recording.values[start..start + channels], stamp);
            self.next += 1;
            self.next_at = at + self.period;
        }
        Ok(BATCH_FRAMES)
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // The length that the system tells may be wrong, as for a pipe: what is read is what counts.
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let why = format!("longer than {} MiB: split the recording", FILE_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// `name [unit]`, the unit optional.
fn channel(words: &str) -> Result<Channel, String> {
    let words = words.trim();
    let (name, unit) = match words.split_once('[') {
        None => (words, ""),
        Some((name, rest)) => {
            let unit = rest.strip_suffix(']');
            (
                name.trim(),
                unit.ok_or_else(|| format!("`{words}`: the unit's `]` is missing"))?.trim(),
            )
        }
    };
    if name.is_empty() {
        return Err("a channel has no name".into());
    }
    if name.parse::<f64>().is_ok() {
        return Err(format!("`{name}` is a number where the name of a channel should be"));
    }
    Ok(Channel { name: name.to_owned().into(), unit: unit.to_owned().into(), range: None })
}

/// Names that can be told apart, and not more of them than make sense.
fn check_channels(channels: &[Channel]) -> Result<(), String> {
    if channels.is_empty() || channels.len() > CHANNELS_MAX {
        return Err(format!("{} channels; there must be 1 to {CHANNELS_MAX}", channels.len()));
    }
    let mut names = HashSet::<&str>::new();
    match channels.iter().find(|channel| !names.insert(channel.name.as_ref())) {
        Some(twice) => Err(format!("channel `{}` is there twice", twice.name)),
        None => Ok(()),
    }
}
