//! A recording, CSV, NPY or WAVE, played at its rate: tests without a device, and data from elsewhere.

mod csv;
mod npy;
#[cfg(test)]
mod tests;
mod wav;

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

/// Frames of one read at least: a reader that comes late catches up in several.
const BATCH_FRAMES: usize = 256;

/// Settings of the `replay` driver as plain values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplaySettings {
    /// The recording: `.csv`, `.npy` or `.wav`.
    pub path: PathBuf,
    /// Frames a second, above 0 and up to 100 000; `None` for a WAVE, which has its own.
    pub rate_hz: Option<f64>,
    /// Whether it starts anew at its end, with a gap.
    pub repeat: bool,
    /// NPY only: one `name [unit]` a column, as in `accel_x [m/s²]`; empty: `channel_0` and so on. A
    /// CSV names its own.
    pub channels: Vec<String>,
    /// WAVE only: what of its channels is taken; `None`: the first.
    pub channel: Option<AudioChannel>,
}

/// Which of several channels of sound is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioChannel {
    /// One, counted from 0.
    Index(u16),
    /// The mean of all.
    Mix,
}

impl ReplaySettings {
    /// Everything that cannot be done; empty when all is well. Does not look at the file.
    pub fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        if self.format().is_none() {
            let why = format!("{:?} is none of .csv, .npy, .wav", self.path);
            bad.push(BadSetting { key: "path", why });
        }
        let wave = self.format() == Some(Format::Wav);
        let rate = match self.rate_hz {
            Some(_) if wave => Some("a .wav has its own rate; remove the key".into()),
            Some(hz) if hz > 0.0 && hz <= 100_000.0 => None,
            Some(hz) => Some(format!("must be above 0 Hz and up to 100 kHz, is {hz} Hz")),
            None if wave => None,
            None => Some("is missing; add it as in rate = \"10 Hz\"".into()),
        };
        bad.extend(rate.map(|why| BadSetting { key: "rate", why }));
        if self.channel.is_some() && !wave {
            let why = "is for .wav; other recordings give all of their channels".into();
            bad.push(BadSetting { key: "channel", why });
        }
        if !self.channels.is_empty() && self.format() != Some(Format::Npy) {
            let why = "only a .npy has channels without names".into();
            bad.push(BadSetting { key: "channels", why });
        }
        bad
    }

    /// Reads the recording and says what it gives.
    ///
    /// # Errors
    /// [`SensorError::Unusable`], naming the file and the place in it.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        let (recording, rate_hz) = self.load()?;
        Ok(SensorSpec { channels: recording.channels, rate_hz })
    }

    /// The recording with its rate in Hz.
    fn load(&self) -> Result<(Recording, f64), SensorError> {
        let bad = self.validate();
        let Some(format) = self.format().filter(|_| bad.is_empty()) else {
            return Err(BadSetting::refuse("replay", &bad));
        };
        let refuse = |why: String| SensorError::Unusable(format!("{}: {why}", self.path.display()));
        let bytes = read_file(&self.path).map_err(|error| refuse(error.to_string()))?;
        // Only a WAVE is without, which gives its own.
        let rate_hz = self.rate_hz.unwrap_or(1.0);
        let (recording, rate_hz) = match format {
            Format::Csv => csv::parse(&bytes, Duration::from_secs_f64(1.0 / rate_hz))
                .map(|recording| (recording, rate_hz))
                .map_err(|bad| {
                    SensorError::Unusable(format!(
                        "{}:{}: {}",
                        self.path.display(),
                        bad.line,
                        bad.why
                    ))
                })?,
            Format::Npy => (npy::parse(&bytes, &self.channels).map_err(refuse)?, rate_hz),
            Format::Wav => {
                let channel = self.channel.unwrap_or(AudioChannel::Index(0));
                wav::parse(&bytes, channel).map_err(refuse)?
            }
        };
        if recording.gaps.is_empty() {
            return Err(refuse("there is no frame in it".into()));
        }
        Ok((recording, rate_hz))
    }

    fn format(&self) -> Option<Format> {
        let extension = self.path.extension()?;
        let is = |name: &str| extension.eq_ignore_ascii_case(name);
        if is("csv") {
            Some(Format::Csv)
        } else if is("npy") {
            Some(Format::Npy)
        } else if is("wav") {
            Some(Format::Wav)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Npy,
    Wav,
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
    batch: usize,
    next: usize,
    next_at: Duration,
}

impl Replay {
    /// Reads the recording; it begins to play at once.
    ///
    /// # Errors
    /// [`SensorError::Unusable`], naming the file and the place in it.
    pub fn open(settings: &ReplaySettings, clock: Arc<dyn Clock>) -> Result<Self, SensorError> {
        let (recording, rate_hz) = settings.load()?;
        let spec = SensorSpec { channels: recording.channels.clone(), rate_hz };
        let period = spec.period();
        // As much as comes in two polls, so that a late reader gains on it.
        let batch = BATCH_FRAMES.max((2.0 * rate_hz * spec.poll_period().as_secs_f64()) as usize);
        let next_at = clock.monotonic() + period;
        let repeat = settings.repeat;
        Ok(Self { recording, spec, clock, repeat, period, batch, next: 0, next_at })
    }
}

impl Sensor for Replay {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let channels = self.recording.channels.len();
        for given in 0..self.batch {
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
        Ok(self.batch)
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
