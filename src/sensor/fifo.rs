//! Chips that sample by their own clock into a memory (FIFO): what is common to all of them.
//!
//! A chip's file says how to start it, how many frames wait and how to take them; here are bursts, stamps, gaps and what
//! happens when the memory overflowed.

#[cfg(test)]
pub(super) mod bench;

use std::sync::Arc;
use std::time::Duration;

use super::adxl345::Adxl345;
use super::bus::{Dialect, Place, Port, fault};
use super::lis3dh::Lis3dh;
use super::mpu6050::Mpu6050;
use super::polled::Wait;
use super::{BadSetting, Channel, Placed, Sensor, SensorError, SensorSpec, Timeline};
use crate::clock::Clock;
use crate::data::Frames;

/// A memory holds several frames, so there is no need to come more often than this.
const POLL_PERIOD_MIN: Duration = Duration::from_millis(5);
/// A chip whose values may stay the same for ever is frozen when no frame comes for this long.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Channels of an accelerometer.
pub(super) const ACCELERATION: [Channel; 3] = [
    Channel::new("accel_x", "m/s²"),
    Channel::new("accel_y", "m/s²"),
    Channel::new("accel_z", "m/s²"),
];

/// What a chip is, known without one.
pub trait Model {
    /// The addresses that it can have; the first is usual.
    fn addresses(&self) -> &[u8];

    /// What it wants beside a register's number, and whether it has SPI.
    fn dialect(&self) -> Dialect {
        Dialect::default()
    }

    /// What a frame holds.
    fn channels(&self) -> Vec<Channel>;

    /// The chip's own rate that is meant by `rate_hz`, frames a second.
    ///
    /// # Errors
    /// What is wrong with it and which ones are near.
    fn rate(&self, rate_hz: f64) -> Result<f64, String>;

    /// See [`super::DriverSettings::stuck_after`], at `rate_hz`.
    fn stuck_after(&self, rate_hz: f64) -> Option<Duration>;

    /// What else of the settings it cannot do.
    fn validate(&self) -> Vec<BadSetting>;

    /// A driver for frames at one of the chip's own rates, before it has met its chip.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when the chip cannot do what is set.
    fn driver(&self, rate_hz: f64) -> Result<Box<dyn Chip>, SensorError>;
}

/// A driver of one chip.
pub trait Chip: Send {
    /// Checks that it is this chip, and sets it up. [`Chip::restart`] follows.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError>;

    /// Frames that its memory holds; known once it was started.
    fn capacity(&self) -> usize;

    /// Empties the memory and lets it fill.
    ///
    /// # Errors
    /// As [`Chip::start`].
    fn restart(&mut self, port: &mut dyn Port) -> Result<(), SensorError>;

    /// How many whole frames wait.
    ///
    /// # Errors
    /// As [`Chip::start`].
    fn waiting(&mut self, port: &mut dyn Port) -> Result<usize, SensorError>;

    /// Takes the oldest frames, a value for each channel of each; `values` has room for no more than wait.
    ///
    /// # Errors
    /// As [`Chip::start`].
    fn take(&mut self, port: &mut dyn Port, values: &mut [f32]) -> Result<(), SensorError>;

    /// Fails unless the chip still runs as it was set up: after a dip of its supply it has its reset values, and a dead
    /// bus reads as anything. Says what became of the memory up to now.
    ///
    /// # Errors
    /// As [`Chip::start`].
    fn check(&mut self, port: &mut dyn Port) -> Result<Memory, SensorError>;
}

/// What became of a chip's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Every frame since the last look was in it.
    Whole,
    /// Frames were lost: it overflowed, or its frames no longer begin where they should.
    Lost,
}

/// Settings of a driver here.
#[derive(Clone, Debug, PartialEq)]
pub struct FifoSettings {
    /// Where the chip is. Not used when its port is handed over.
    pub place: Place,
    /// Frames a second that are wished for.
    pub rate_hz: f64,
    /// Which chip, with what only that has.
    pub kind: Kind,
}

/// The chips.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// InvenSense MPU-6050 and its relatives.
    Mpu6050(Mpu6050),
    /// ST LIS3DH, LIS2DH12.
    Lis3dh(Lis3dh),
    /// Analog Devices ADXL345, ADXL343.
    Adxl345(Adxl345),
}

impl Kind {
    /// What the chip is.
    pub fn model(&self) -> &dyn Model {
        match self {
            Self::Mpu6050(model) => model,
            Self::Lis3dh(model) => model,
            Self::Adxl345(model) => model,
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mpu6050(_) => "mpu6050",
            Self::Lis3dh(_) => "lis3dh",
            Self::Adxl345(_) => "adxl345",
        }
    }
}

impl FifoSettings {
    /// Everything that the chip cannot do; empty when all is well.
    pub fn validate(&self) -> Vec<BadSetting> {
        let model = self.kind.model();
        let mut bad = self.place.validate(model.addresses(), model.dialect());
        bad.extend(model.rate(self.rate_hz).err().map(|why| BadSetting { key: "rate", why }));
        bad.extend(model.validate());
        bad
    }

    /// Channels and the chip's exact rate, known without a chip.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when the chip cannot do what is set.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        let model = self.kind.model();
        match (self.validate().as_slice(), model.rate(self.rate_hz)) {
            ([], Ok(rate_hz)) => Ok(SensorSpec { channels: model.channels(), rate_hz }),
            (bad, _) => Err(BadSetting::refuse(self.kind.name(), bad)),
        }
    }

    /// See [`super::DriverSettings::stuck_after`].
    pub fn stuck_after(&self) -> Option<Duration> {
        self.kind.model().stuck_after(self.rate_hz)
    }
}

/// A chip with a memory as a sensor.
pub struct Fifo {
    chip: Box<dyn Chip>,
    port: Box<dyn Port>,
    clock: Arc<dyn Clock>,
    spec: SensorSpec,
    timeline: Timeline,
    values: Vec<f32>,
    /// When a frame came last, or the memory was emptied.
    heard: Duration,
    silence_max: Option<Duration>,
}

impl Fifo {
    /// Starts the chip behind `port`; takes up to a second of `clock`.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    pub fn new(
        port: Box<dyn Port>,
        settings: &FifoSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SensorError> {
        let spec = settings.spec()?;
        let now = clock.monotonic();
        let mut fifo = Self {
            chip: settings.kind.model().driver(spec.rate_hz)?,
            port,
            timeline: Timeline::new(spec.period(), now),
            clock,
            values: Vec::new(),
            heard: now,
            silence_max: match settings.stuck_after() {
                Some(_) => None,
                None => Some(SILENCE_MAX.max(spec.period() * 100)),
            },
            spec,
        };
        let Self { chip, port, clock, .. } = &mut fifo;
        chip.start(port.as_mut(), &Wait(clock.as_ref()))?;
        fifo.values = vec![0.0; fifo.chip.capacity() * fifo.spec.channels.len()];
        fifo.restart()?;
        Ok(fifo)
    }

    /// Empties the memory; the next frame begins with a gap.
    fn restart(&mut self) -> Result<(), SensorError> {
        self.chip.restart(self.port.as_mut())?;
        let now = self.clock.monotonic();
        self.timeline.lose(now);
        self.heard = now;
        Ok(())
    }

    /// Whether `frames` that waited at `asked` may have been overrun by later ones before they were taken.
    fn overtaken(&self, frames: usize, asked: Duration) -> bool {
        let took = self.clock.monotonic().saturating_sub(asked);
        let came = (took.as_secs_f64() * self.spec.rate_hz) as usize + 1;
        frames + came > self.chip.capacity() + 1
    }
}

impl Sensor for Fifo {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn poll_period(&self) -> Duration {
        self.spec.period().max(POLL_PERIOD_MIN)
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let frames = self.chip.waiting(self.port.as_mut())?;
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let channels = self.spec.channels.len();
        let Some(values) = self.values.get_mut(..frames * channels) else {
            let why = format!("says {frames} frames, the FIFO holds {}", self.chip.capacity());
            return Err(fault("reading how many frames wait", why));
        };
        if frames > 0 {
            self.chip.take(self.port.as_mut(), values)?;
        }
        // Asked after the transfer: what happened during it counts, too.
        let memory = self.chip.check(self.port.as_mut())?;
        if memory == Memory::Lost || self.overtaken(frames, now) {
            self.restart()?;
            return Ok(0);
        }
        if frames == 0 {
            self.timeline.nothing(now);
            let silence = now.saturating_sub(self.heard);
            return match self.silence_max {
                Some(most) if silence >= most => Err(SensorError::Stuck(format!(
                    "frozen: it answers, and has not sampled for {silence:.0?}"
                ))),
                _ => Ok(0),
            };
        }
        self.heard = now;
        // No more than a memory holds.
        let Placed::At(burst) = self.timeline.place(frames as u32, now, wall) else {
            return Ok(0);
        };
        for (index, frame) in (0..).zip(self.values[..frames * channels].chunks_exact(channels)) {
            out.push(frame, burst.stamp(index));
        }
        Ok(frames)
    }
}
