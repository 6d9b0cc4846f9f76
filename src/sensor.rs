//! Sensors: timestamped samples with units, each sensor on its own thread.
//!
//! A new chip is one file here and one variant in `driver.rs`; `docs/sensors.md` says how.

pub mod ads1x15;
pub mod adxl345;
pub mod bme280;
pub mod bus;
pub mod camera;
mod driver;
pub mod fifo;
pub mod gpio;
mod gravity;
pub mod input;
mod join;
#[cfg(target_os = "linux")]
mod linux;
pub mod lis3dh;
mod microphone;
pub mod mpu6050;
pub mod opt3001;
mod pace;
pub mod pictures;
pub mod polled;
pub mod register_map;
pub mod replay;
mod sampler;
pub mod sht3x;
#[cfg(any(test, feature = "demo"))]
pub mod sim;
mod stats;
mod timeline;
pub mod vl53l0x;

use std::borrow::Cow;
use std::time::Duration;

pub use camera::CameraSettings;
pub use driver::{BadSetting, DRIVERS, DriverInfo, DriverSettings};
pub use fifo::{Fifo, FifoSettings};
pub use gpio::{Gpio, GpioSettings};
pub use input::InputSettings;
pub use join::{Feeds, JoinSettings, Part};
pub use microphone::MicrophoneSettings;
pub use pictures::{Pictures, PicturesSettings};
pub use polled::{Kind, Polled, PolledSettings};
pub use replay::{AudioChannel, Replay, ReplaySettings};
pub use sampler::{OpenSensor, Sampler, SensorChange};
pub use stats::{SensorReading, SensorState, SensorStats};
pub use timeline::{Burst, Placed, Timeline};

use crate::data::Frames;

/// A source of frames. Blocking; lives on its own thread.
pub trait Sensor: Send {
    /// Channels and rate; constant for the life of the sensor.
    fn spec(&self) -> &SensorSpec;

    /// Appends the frames that are ready, oldest first, and says how many (0 is normal).
    ///
    /// The first frame that a sensor gives has `gap_before` set, and so has each one that does not
    /// follow the frame before it.
    ///
    /// A value that was beyond what the device can measure is infinite, one that there was none of is NaN.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`]. What was appended is then not to be used.
    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError>;

    /// How often to call [`Sensor::read`]. A device with a memory of its own needs it less often than
    /// a frame comes.
    fn poll_period(&self) -> Duration {
        self.spec().poll_period()
    }
}

/// What a sensor gives.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorSpec {
    /// One for each value of a frame, in order; none where frames are pictures.
    pub channels: Vec<Channel>,
    /// Frames a second.
    pub rate_hz: f64,
}

impl SensorSpec {
    /// Whether frames are pictures.
    pub fn gives_pictures(&self) -> bool {
        self.channels.is_empty()
    }

    /// Time between two frames.
    pub fn period(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate_hz)
    }

    /// Time between two reads, and so the longest that a frame waits for one: a period, or 10 ms where frames come faster
    /// than 1 kHz and are read in pieces.
    pub fn poll_period(&self) -> Duration {
        let period = self.period();
        if period < Duration::from_millis(1) { Duration::from_millis(10) } else { period }
    }
}

/// One value of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// As in `accel_x`.
    pub name: Cow<'static, str>,
    /// SI symbol, as in `m/s²`; empty where nobody said.
    pub unit: Cow<'static, str>,
    /// The least and the most that the device can measure; beyond it there is no value. `None`: not known.
    pub range: Option<[f32; 2]>,
}

impl Channel {
    /// A channel that a driver knows beforehand.
    pub const fn new(name: &'static str, unit: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), unit: Cow::Borrowed(unit), range: None }
    }

    /// The same with its range.
    pub const fn within(mut self, low: f32, high: f32) -> Self {
        self.range = Some([low, high]);
        self
    }
}

/// Why a read failed, by what the sampling thread does next.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SensorError {
    /// The bus or the device did not answer: retried with back-off, the device set up anew.
    #[error("{doing}: {why}")]
    Bus {
        /// What the driver was doing, as in `reading WHO_AM_I`.
        doing: &'static str,
        /// The bus's own words.
        why: String,
    },
    /// Another process has it: retried with back-off.
    #[error("{0}")]
    InUse(String),
    /// Another chip answers at this address: retried slowly, since only a person can change it.
    #[error("found chip id {found:#04x}, expected {expected}: check the address and the wiring")]
    WrongChip {
        /// What it said.
        found: u8,
        /// What the driver knows.
        expected: &'static str,
    },
    /// It cannot work as it is set up (a rate that the chip cannot do, a broken recording): retried
    /// slowly, since only a person can change it.
    #[error("{0}")]
    Unusable(String),
    /// It answers, but its values have not changed for too long: set up anew like one that does not answer.
    #[error("{0}")]
    Stuck(String),
    /// The recording has ended: the thread stops, nothing is wrong.
    #[error("the recording has ended")]
    Ended,
}
