//! Sensors: timestamped samples with units, each sensor on its own thread.
//!
//! A new chip is one file here and one line of the driver table.

use std::time::Duration;

use crate::data::Frames;

/// A source of frames. Blocking; lives on its own thread.
pub trait Sensor: Send {
    /// Channels and rate; constant for the life of the sensor.
    fn spec(&self) -> &SensorSpec;

    /// Appends the frames that are ready, oldest first, and says how many (0 is normal).
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError>;
}

/// What a sensor gives.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorSpec {
    /// One for each value of a frame, in order.
    pub channels: Vec<Channel>,
    /// Frames a second.
    pub rate_hz: f64,
}

impl SensorSpec {
    /// Time between two frames.
    pub fn period(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate_hz)
    }
}

/// One value of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// As in `accel_x`.
    pub name: &'static str,
    /// SI symbol, as in `m/s²`.
    pub unit: &'static str,
}

/// Why a read failed, by what the sampling thread does next.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// The bus or the device did not answer: retried with back-off, the device set up anew.
    #[error("{doing}: {why}")]
    Bus {
        /// What the driver was doing, as in `reading WHO_AM_I`.
        doing: &'static str,
        /// The bus's own words.
        why: String,
    },
    /// Another chip answers at this address: retried slowly, since only a person can change it.
    #[error("found chip id {found:#04x}, expected {expected}: check the address and the wiring")]
    WrongChip {
        /// What it said.
        found: u8,
        /// What the driver knows.
        expected: &'static str,
    },
    /// The recording has ended: the thread stops, nothing is wrong.
    #[error("the recording has ended")]
    Ended,
}
