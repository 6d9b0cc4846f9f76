//! A microphone, or any other ALSA input, spoken to by the kernel's own interface: no libasound, no conversions.
//!
//! The kernel moves samples into a ring; a read takes those that are there. Nothing is resampled and no device is shared: what the
//! hardware does not offer is refused with what it does offer.

#[cfg(target_os = "linux")]
mod alsa;
mod format;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{AudioChannel, BadSetting, Channel, Sensor, SensorError, SensorSpec};
use crate::clock::Clock;
use crate::data::{Frames, Stamp, Timestamp};
use format::Format;

/// Share of a late read's error that stamps take over with each read: they follow the device's clock, not the reader's jitter.
const FOLLOW: f64 = 1.0 / 64.0;

/// Stamps that lag further behind the reader than the ring is long: something was not recorded.
const RING: Duration = Duration::from_millis(500);

/// Settings of the `microphone` driver as plain values.
#[derive(Clone, Debug, PartialEq)]
pub struct MicrophoneSettings {
    /// `hw:CARD` or `hw:CARD,DEVICE`, a card by number or name, or the device's file.
    pub device: String,
    /// Samples a second.
    pub rate_hz: f64,
    /// What is taken of several channels.
    pub channel: AudioChannel,
    /// Channels that the device is opened with; `None`: the fewest that it offers and `channel` needs.
    pub channels: Option<u16>,
}

impl MicrophoneSettings {
    /// Everything that cannot be done; empty when all is well. Does not look for the device.
    pub fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        if let Err(why) = Place::parse(&self.device) {
            bad.push(BadSetting { key: "device", why });
        }
        if self.rate_hz.fract() != 0.0 || !(4000.0..=100_000.0).contains(&self.rate_hz) {
            let why =
                format!("must be a whole number of Hz, 4 kHz to 100 kHz, is {}", self.rate_hz);
            bad.push(BadSetting { key: "rate", why });
        }
        if let (AudioChannel::Index(channel), Some(channels)) = (self.channel, self.channels)
            && channel >= channels
        {
            let why = format!("of {channels} channels the last is {}", channels.saturating_sub(1));
            bad.push(BadSetting { key: "channel", why });
        }
        bad
    }

    /// What the sensor will give; opens nothing.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when it cannot work as it is set up.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        let bad = self.validate();
        if !bad.is_empty() {
            return Err(BadSetting::refuse("microphone", &bad));
        }
        Ok(SensorSpec { channels: vec![Channel::new("audio", "")], rate_hz: self.rate_hz })
    }

    /// Opens the device and begins to record.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    #[cfg(target_os = "linux")]
    pub fn open(&self, clock: Arc<dyn Clock>) -> Result<Box<dyn Sensor>, SensorError> {
        let spec = self.spec()?;
        let place = Place::parse(&self.device).map_err(SensorError::Unusable)?;
        let pcm = alsa::Device::open(&place, self)?;
        Ok(Box::new(Microphone::new(pcm, spec, self.channel, clock)))
    }

    /// Opens the device and begins to record.
    ///
    /// # Errors
    /// Always: microphones are reached through Linux only.
    #[cfg(not(target_os = "linux"))]
    pub fn open(&self, _clock: Arc<dyn Clock>) -> Result<Box<dyn Sensor>, SensorError> {
        Err(SensorError::Unusable("microphone: ALSA is reached through Linux only".into()))
    }
}

impl Default for MicrophoneSettings {
    fn default() -> Self {
        let channel = AudioChannel::Index(0);
        Self { device: String::new(), rate_hz: 16_000.0, channel, channels: None }
    }
}

/// Where the device's file is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Card { card: String, device: u32 },
}

impl Place {
    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("/dev/snd/") && !text.contains('\0') {
            return Ok(Self::File(text.into()));
        }
        let bad = || {
            format!(
                "{text:?} is no device: write it as \"hw:0,0\", as \"hw:NAME\" with a name out of /proc/asound/cards, or as \
                 \"/dev/snd/pcmC0D0c\""
            )
        };
        let (card, device) = match text.strip_prefix("hw:").ok_or_else(bad)?.split_once(',') {
            Some((card, device)) => (card, device.parse().map_err(|_| bad())?),
            None => (text.strip_prefix("hw:").ok_or_else(bad)?, 0),
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if card.is_empty() || card.len() > 32 || !card.chars().all(word) {
            return Err(bad());
        }
        Ok(Self::Card { card: card.to_owned(), device })
    }
}

/// A device that records: the seam between the driver and the kernel.
trait Pcm: Send {
    /// Moves what was recorded, whole frames, into `bytes` and says how many bytes; `WouldBlock` where there is nothing.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize>;

    /// Begins anew after the ring was full (`EPIPE`) or the system slept (`ESTRPIPE`).
    fn prepare(&mut self) -> io::Result<()>;

    /// How samples are written, and channels of a frame.
    fn format(&self) -> (Format, u16);
}

/// The driver.
struct Microphone<P> {
    pcm: P,
    spec: SensorSpec,
    clock: Arc<dyn Clock>,
    channel: AudioChannel,
    period: Duration,
    bytes: Vec<u8>,
    /// Stamp of the newest frame; `None` where the next one follows none.
    last: Option<Duration>,
}

/// Frames of one read: a quarter of a second, so that two of them empty any ring.
fn batch_frames(rate_hz: f64) -> usize {
    (rate_hz / 4.0) as usize
}

impl<P: Pcm> Microphone<P> {
    fn new(pcm: P, spec: SensorSpec, channel: AudioChannel, clock: Arc<dyn Clock>) -> Self {
        let (format, channels) = pcm.format();
        let bytes = vec![0; batch_frames(spec.rate_hz) * format.width() * usize::from(channels)];
        Self { pcm, period: spec.period(), spec, clock, channel, bytes, last: None }
    }

    /// The bytes that there are; none is normal.
    fn fill(&mut self) -> Result<usize, SensorError> {
        match self.pcm.read(&mut self.bytes) {
            Ok(count) => Ok(count.min(self.bytes.len())),
            Err(error) => match error.raw_os_error() {
                _ if error.kind() == io::ErrorKind::WouldBlock
                    || error.kind() == io::ErrorKind::Interrupted =>
                {
                    Ok(0)
                }
                // The ring was full, or the system slept: what was not recorded is a gap.
                Some(libc::EPIPE | libc::ESTRPIPE) => {
                    self.last = None;
                    self.pcm.prepare().map_err(|error| bus("beginning to record anew", &error))?;
                    Ok(0)
                }
                _ => Err(bus("reading samples", &error)),
            },
        }
    }

    /// Stamps for `frames` frames that were read at `now`: the first one, and whether there is a gap before it.
    fn place(&mut self, frames: u32, now: Duration) -> (Duration, bool) {
        let predicted = self.last.map(|last| last + self.period * frames);
        // A device that stood still and says nothing of it.
        let follows = predicted.filter(|newest| now.saturating_sub(*newest) <= RING);
        let newest = match follows {
            Some(newest) if newest <= now => newest + (now - newest).mul_f64(FOLLOW),
            // Nothing is newer than the read.
            _ => now,
        };
        let first = newest.saturating_sub(self.period * frames.saturating_sub(1));
        let first = self.last.map_or(first, |last| first.max(last));
        self.last = Some(newest);
        (first, follows.is_none())
    }
}

impl<P: Pcm> Sensor for Microphone<P> {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let count = self.fill()?;
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let (format, channels) = self.pcm.format();
        let block = format.width() * usize::from(channels);
        let frames = count / block;
        if frames == 0 {
            return Ok(0);
        }
        let (first, mut gap_before) = self.place(frames as u32, now);
        for (index, block) in self.bytes[..frames * block].chunks_exact(block).enumerate() {
            let at = (first + self.period * index as u32).min(now);
            let since_epoch = wall.since_epoch.saturating_sub(now - at);
            let stamp = Stamp { at, wall: Timestamp { since_epoch, ..wall }, gap_before };
            out.push(&[format.frame(block, self.channel)], stamp);
            gap_before = false;
        }
        Ok(frames)
    }
}

fn bus(doing: &'static str, error: &io::Error) -> SensorError {
    let why = match error.raw_os_error() {
        Some(libc::ENODEV | libc::EBADFD) => format!("{error}: was the device unplugged?"),
        _ => error.to_string(),
    };
    SensorError::Bus { doing, why }
}

#[cfg(test)]
mod tests;
