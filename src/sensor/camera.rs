//! Cameras of the kernel (V4L2): USB cameras and what else gives MJPEG or YUYV.
//!
//! The device keeps filling a few buffers by itself; this driver empties them, leaves out what is faster than asked
//! for, and decodes the rest. A camera that is unplugged, hangs, or gives nothing but damaged pictures is a fault and
//! opened again.

mod device;
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
mod v4l2;
mod yuyv;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use device::{Filled, PixelFormat, Taken, Video};

use super::{BadSetting, Sensor, SensorError, SensorSpec};
use crate::clock::Clock;
use crate::data::{Frames, Picture, PicturePool, Stamp, Timestamp};
use crate::pictures;

/// How long a camera may take to its first picture: exposure and white balance settle first.
const FIRST: Duration = Duration::from_secs(5);
/// How long it may be silent after that, and pictures' time of that at least.
const SILENCE: Duration = Duration::from_secs(2);
const SILENCE_PICTURES: u32 = 5;
/// Damaged pictures in a row after which the camera is set up anew.
const DAMAGED_MAX: u32 = 10;
/// Sides of a picture.
const SIDE_MAX: usize = 8192;

/// Settings of the `camera` driver as plain values.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraSettings {
    /// Its device file, as in `/dev/video0`.
    pub device: PathBuf,
    /// Pixels a row, even, and rows.
    pub size: [usize; 2],
    /// Pictures a second, above 0 and up to 240: what is more is left out.
    pub rate_hz: f64,
    /// How it sends them; `None`: YUYV where that is fast enough, otherwise MJPEG.
    pub format: Option<PixelFormat>,
}

impl Default for CameraSettings {
    fn default() -> Self {
        Self { device: "/dev/video0".into(), size: [640, 480], rate_hz: 10.0, format: None }
    }
}

impl CameraSettings {
    /// Everything that cannot be done; empty when all is well. Opens nothing.
    pub fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        let [width, height] = self.size;
        if width % 2 != 0 || !(2..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
            let why = format!("an even width and a height up to {SIDE_MAX}, is {width}x{height}");
            bad.push(BadSetting { key: "size", why });
        }
        if !(self.rate_hz > 0.0 && self.rate_hz <= 240.0) {
            let why = format!("must be above 0 Hz and up to 240 Hz, is {} Hz", self.rate_hz);
            bad.push(BadSetting { key: "rate", why });
        }
        bad
    }

    /// What the camera will give.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] for settings that are wrong.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        match self.validate().as_slice() {
            [] => Ok(SensorSpec { channels: Vec::new(), rate_hz: self.rate_hz }),
            bad => Err(BadSetting::refuse("camera", bad)),
        }
    }
}

/// A camera at work.
pub struct Camera<V> {
    video: V,
    eye: Eye,
    /// Since when there was nothing, and how long there may be.
    heard_at: Duration,
    patience: Duration,
    damaged: u32,
}

/// Makes pictures of buffers.
struct Eye {
    spec: SensorSpec,
    clock: Arc<dyn Clock>,
    taken: Taken,
    is_jpeg: bool,
    pool: PicturePool,
    last: Option<Last>,
}

/// The newest buffer that was seen, and the newest picture that was given.
#[derive(Clone, Copy)]
struct Last {
    sequence: u32,
    /// Pictures were lost since the last one that was given.
    lost: bool,
    given_at: Option<Duration>,
    /// When the next one is due, for cameras that are faster.
    due: Duration,
}

#[cfg(target_os = "linux")]
/// Opens the camera of `settings`.
///
/// # Errors
/// By what the caller does next.
pub(super) fn open(
    settings: &CameraSettings,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Sensor>, SensorError> {
    let spec = settings.spec()?;
    let device = settings.device.display();
    let video = v4l2::Camera::open(&settings.device).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => " (is it plugged in? `ls /dev/v4l/by-id`)",
            io::ErrorKind::PermissionDenied => " (is the user in the group video?)",
            _ => "",
        };
        SensorError::Bus { doing: "opening the camera", why: format!("{device}: {error}{hint}") }
    })?;
    Ok(Box::new(Camera::new(video, settings, spec, clock)?))
}

impl<V: Video> Camera<V> {
    /// Sets `video` up and starts it.
    ///
    /// # Errors
    /// [`SensorError::Unusable`], saying what it can instead; [`SensorError::InUse`] while another program streams.
    pub fn new(
        mut video: V,
        settings: &CameraSettings,
        spec: SensorSpec,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SensorError> {
        let (taken, format) = negotiate(&mut video, settings)?;
        video.start().map_err(|error| failed("starting the camera", settings, error))?;
        let heard_at = clock.monotonic();
        let (is_jpeg, pool) = (format == PixelFormat::Mjpeg, PicturePool::default());
        let eye = Eye { spec, clock, taken, is_jpeg, pool, last: None };
        Ok(Self { video, eye, heard_at, patience: FIRST, damaged: 0 })
    }
}

/// The format that is taken of what `video` offers.
fn negotiate(
    video: &mut impl Video,
    settings: &CameraSettings,
) -> Result<(Taken, PixelFormat), SensorError> {
    let setting_up = "setting the camera up";
    let offered = video.codes().map_err(|error| failed(setting_up, settings, error))?;
    let wanted: &[PixelFormat] = match &settings.format {
        Some(format) => std::slice::from_ref(format),
        // Nothing to decode, and nothing lost; but on USB 2 slow when large.
        None => &[PixelFormat::Yuyv, PixelFormat::Mjpeg],
    };
    let ([width, height], rate_hz) = (settings.size, settings.rate_hz);
    let mut instead = Vec::new();
    for &format in wanted {
        let Some(&code) = format.codes().iter().find(|code| offered.contains(code)) else {
            continue;
        };
        let set = video.set_format(code, width, height);
        let taken = set.map_err(|error| failed(setting_up, settings, error))?;
        if taken.code != code || [taken.width, taken.height] != settings.size {
            let (width, height) = (taken.width, taken.height);
            instead.push(format!("{} of {width}x{height}", format.as_str()));
            continue;
        }
        let rate = video.set_rate(rate_hz).map_err(|error| failed(setting_up, settings, error))?;
        if rate == 0.0 || rate >= rate_hz * 0.99 {
            return Ok((taken, format));
        }
        instead.push(format!("{} at {rate:.4} Hz", format.as_str()));
    }
    let device = settings.device.display();
    if instead.is_empty() {
        let offered: Vec<_> = offered.iter().map(|code| String::from_utf8_lossy(code)).collect();
        let wanted: Vec<_> = wanted.iter().map(|format| format.as_str()).collect();
        return Err(SensorError::Unusable(format!(
            "camera: {device} gives {}, not {}",
            offered.join(", "),
            wanted.join(" or ")
        )));
    }
    Err(SensorError::Unusable(format!(
        "camera: {device} cannot give {width}x{height} at {rate_hz} Hz; it would give {}: change size or rate",
        instead.join(", or ")
    )))
}

fn failed(doing: &'static str, settings: &CameraSettings, error: io::Error) -> SensorError {
    let device = settings.device.display();
    match error.kind() {
        io::ErrorKind::ResourceBusy => {
            SensorError::InUse(format!("{device}: another program takes pictures with it"))
        }
        _ => SensorError::Bus { doing, why: format!("{device}: {error}") },
    }
}

impl Eye {
    /// What to do with a buffer: nothing, or the picture in it with its stamp.
    fn look(&mut self, filled: Filled<'_>) -> Result<Option<(Picture, Stamp)>, String> {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let age = filled.age.unwrap_or_default();
        let at = now.saturating_sub(age);
        let period = self.spec.period();
        let skipped = self.last.is_none_or(|last| filled.sequence != last.sequence.wrapping_add(1));
        let mut last = self.last.unwrap_or(Last {
            sequence: filled.sequence,
            lost: true,
            given_at: None,
            due: at,
        });
        (last.sequence, last.lost) = (filled.sequence, last.lost || skipped);
        // A tenth of a period early is in time: cameras jitter.
        if at + period / 10 < last.due {
            self.last = Some(last);
            return Ok(None);
        }
        let decoded = match filled.is_damaged {
            true => Err("the driver says that it is damaged".into()),
            false => self.decode(filled.bytes),
        };
        let picture = decoded.inspect_err(|_| {
            last.lost = true;
            self.last = Some(last);
        })?;
        // What is lost between two that are in time is none that was due.
        let late = last.given_at.is_none_or(|given| at.saturating_sub(given) > period * 3 / 2);
        let gap_before = last.lost && late;
        let due = last.due + period;
        let due = if due < at { at + period } else { due };
        self.last = Some(Last { sequence: filled.sequence, lost: false, given_at: Some(at), due });
        let since_epoch = wall.since_epoch.saturating_sub(age);
        Ok(Some((picture, Stamp { at, wall: Timestamp { since_epoch, ..wall }, gap_before })))
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Picture, String> {
        let Taken { width, height, stride, .. } = self.taken;
        let mut into = self.pool.take();
        if self.is_jpeg {
            let picture = pictures::decode(bytes, into).map_err(|why| why.to_string())?;
            if (picture.width(), picture.height()) != (width, height) {
                return Err(format!("it is {} x {}", picture.width(), picture.height()));
            }
            return Ok(picture);
        }
        let stride = stride.max(2 * width);
        // The last row may end with its last pixel.
        let needed = stride * (height - 1) + 2 * width;
        if bytes.len() < needed {
            return Err(format!("{} bytes of {needed}", bytes.len()));
        }
        into.resize(3 * width * height, 0);
        for (from, to) in bytes.chunks(stride).zip(into.chunks_exact_mut(3 * width)) {
            yuyv::row(&from[..2 * width], to);
        }
        Picture::new(width, height, into).map_err(|why| why.to_string())
    }
}

impl<V: Video> Sensor for Camera<V> {
    fn spec(&self) -> &SensorSpec {
        &self.eye.spec
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let mut given = 0;
        loop {
            let mut sight = Ok(None);
            // The buffer goes back to the device behind the closure: what is kept of it is decoded by then.
            let found = self.video.next(&mut |filled| sight = self.eye.look(filled));
            let gone = |error: io::Error| SensorError::Bus {
                doing: "taking a picture",
                why: error.to_string(),
            };
            if !found.map_err(gone)? {
                break;
            }
            self.heard_at = self.eye.clock.monotonic();
            match sight {
                Ok(None) => {}
                Ok(Some((picture, stamp))) => {
                    self.damaged = 0;
                    self.patience = SILENCE.max(self.eye.spec.period() * SILENCE_PICTURES);
                    out.push_picture(self.eye.pool.give(picture), stamp);
                    given += 1;
                }
                Err(why) => {
                    self.damaged += 1;
                    if self.damaged >= DAMAGED_MAX {
                        let why = format!("{DAMAGED_MAX} pictures in a row are damaged: {why}");
                        return Err(SensorError::Bus { doing: "taking pictures", why });
                    }
                }
            }
        }
        let silence = self.eye.clock.monotonic().saturating_sub(self.heard_at);
        if given == 0 && silence > self.patience {
            let why = format!("none came for {:.1} s", silence.as_secs_f64());
            return Err(SensorError::Bus { doing: "taking pictures", why });
        }
        Ok(given)
    }

    fn poll_period(&self) -> Duration {
        (self.eye.spec.period() / 4).clamp(Duration::from_millis(2), Duration::from_millis(20))
    }
}
