//! Slow chips that are asked for one measurement at a time: what is common to all of them.
//!
//! A chip's file says how to start it and how to measure; here are deadlines, stamps and gaps. A bus that hangs, a
//! chip that is never ready and one that answers late are faults like one that does not answer.

#[cfg(test)]
pub(super) mod bench;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::ads1x15::Ads1x15;
use super::bme280::Bme280;
use super::bus::{Dialect, Place, Port, fault};
use super::opt3001::Opt3001;
use super::pace::Pace;
use super::register_map::RegisterMap;
use super::sht3x::Sht3x;
use super::vl53l0x::Vl53l0x;
use super::{BadSetting, Channel, Sensor, SensorError, SensorSpec};
use crate::clock::Clock;
use crate::data::{Frames, Stamp};

/// No measurement may take longer than this beyond what the chip says: its stamp would be wrong.
const LATE: Duration = Duration::from_millis(500);
/// Slower than this is no sampling.
const RATE_MIN_HZ: f64 = 1.0 / 3600.0;

/// What a chip is, known without one.
pub trait Model {
    /// The addresses that it can have; the first is usual. Empty: any.
    fn addresses(&self) -> &[u8];

    /// What it wants beside a register's number, and whether it has SPI.
    fn dialect(&self) -> Dialect {
        Dialect::default()
    }

    /// What a frame holds.
    fn channels(&self) -> Vec<Channel>;

    /// How long one measurement takes at most.
    fn takes(&self) -> Duration;

    /// See [`super::DriverSettings::stuck_after`].
    fn stuck_after(&self) -> Option<Duration>;

    /// A driver, before it has met its chip. `rate_hz`: how often it will be asked.
    fn driver(&self, rate_hz: f64) -> Box<dyn Chip>;

    /// What else of the settings it cannot do.
    fn validate(&self) -> Vec<BadSetting> {
        Vec::new()
    }
}

/// A driver of one chip.
pub trait Chip: Send {
    /// Checks that it is this chip, and sets it up.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError>;

    /// Measures once; one value for each channel, as [`Sensor::read`] has them.
    ///
    /// # Errors
    /// As [`Chip::start`].
    fn measure(
        &mut self,
        port: &mut dyn Port,
        wait: &Wait<'_>,
        values: &mut [f32],
    ) -> Result<(), SensorError>;
}

/// Waiting for a chip.
pub struct Wait<'a>(pub(super) &'a dyn Clock);

impl Wait<'_> {
    /// Lets `time` go by.
    pub fn pause(&self, time: Duration) {
        self.0.sleep_until(self.0.monotonic() + time);
    }

    /// Asks until `ready` says so: first after `first`, then more often, for `limit` at most.
    ///
    /// # Errors
    /// [`SensorError::Bus`] when the time is over, and whatever `ready` fails with.
    pub fn until(
        &self,
        first: Duration,
        limit: Duration,
        doing: &'static str,
        mut ready: impl FnMut() -> Result<bool, SensorError>,
    ) -> Result<(), SensorError> {
        let deadline = self.0.monotonic() + limit;
        self.pause(first);
        while !ready()? {
            if self.0.monotonic() >= deadline {
                let limit = humantime::format_duration(limit);
                return Err(fault(doing, format!("it is not ready after {limit}")));
            }
            self.pause((first / 8).max(Duration::from_millis(1)));
        }
        Ok(())
    }
}

/// Settings of a driver here.
#[derive(Clone, Debug, PartialEq)]
pub struct PolledSettings {
    /// Where the chip is. Not used when its port is handed over.
    pub place: Place,
    /// Frames a second.
    pub rate_hz: f64,
    /// Which chip, with what only that has.
    pub kind: Kind,
}

/// The chips.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Bosch BME280, BMP280.
    Bme280(Bme280),
    /// Sensirion SHT30, SHT31, SHT35.
    Sht3x(Sht3x),
    /// TI ADS1115, ADS1015 and their smaller brothers.
    Ads1x15(Ads1x15),
    /// TI OPT3001.
    Opt3001(Opt3001),
    /// ST VL53L0X.
    Vl53l0x(Vl53l0x),
    /// Whatever the configuration describes.
    Registers(RegisterMap),
}

impl Kind {
    /// What the chip is.
    pub fn model(&self) -> &dyn Model {
        match self {
            Self::Bme280(model) => model,
            Self::Sht3x(model) => model,
            Self::Ads1x15(model) => model,
            Self::Opt3001(model) => model,
            Self::Vl53l0x(model) => model,
            Self::Registers(model) => model,
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bme280(Bme280 { humidity: true, .. }) => "bme280",
            Self::Bme280(_) => "bmp280",
            Self::Sht3x(_) => "sht3x",
            Self::Ads1x15(Ads1x15 { bits: 12, .. }) => "ads1015",
            Self::Ads1x15(_) => "ads1115",
            Self::Opt3001(_) => "opt3001",
            Self::Vl53l0x(_) => "vl53l0x",
            Self::Registers(_) => "registers",
        }
    }
}

impl PolledSettings {
    /// Everything that the chip cannot do; empty when all is well.
    pub fn validate(&self) -> Vec<BadSetting> {
        let model = self.kind.model();
        let mut bad = model.validate();
        bad.extend(self.place.validate(model.addresses(), model.dialect()));
        let highest = 1.0 / model.takes().as_secs_f64();
        if !(RATE_MIN_HZ..=highest).contains(&self.rate_hz) {
            let (takes, rate) = (model.takes(), self.rate_hz);
            let why = format!(
                "one measurement takes {takes:.1?}, so {highest:.1} Hz at most; asked for {rate} Hz"
            );
            bad.push(BadSetting { key: "rate", why });
        }
        bad
    }

    /// What the sensor will give.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when the chip cannot do what is set.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        match self.validate().as_slice() {
            [] => {
                let channels = self.kind.model().channels();
                Ok(SensorSpec { channels, rate_hz: self.rate_hz })
            }
            bad => Err(BadSetting::refuse(self.kind.name(), bad)),
        }
    }
}

/// A slow chip as a sensor.
pub struct Polled {
    chip: Box<dyn Chip>,
    port: Box<dyn Port>,
    clock: Arc<dyn Clock>,
    spec: SensorSpec,
    takes: Duration,
    values: Vec<f32>,
    pace: Pace,
}

impl Polled {
    /// Starts the chip behind `port`.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    pub fn new(
        port: Box<dyn Port>,
        settings: &PolledSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SensorError> {
        let spec = settings.spec()?;
        let model = settings.kind.model();
        let mut polled = Self {
            chip: model.driver(spec.rate_hz),
            port,
            clock,
            values: vec![f32::NAN; spec.channels.len()],
            pace: Pace::new(spec.period(), spec.period()),
            spec,
            takes: model.takes(),
        };
        let Self { chip, port, clock, .. } = &mut polled;
        chip.start(port.as_mut(), &Wait(clock.as_ref()))?;
        Ok(polled)
    }
}

impl Sensor for Polled {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let at = self.clock.monotonic();
        if !self.pace.is_due(at) {
            return Ok(0);
        }
        self.pace.begin(at);
        let wall = self.clock.wall();
        self.values.fill(f32::NAN);
        let Self { chip, port, clock, values, .. } = self;
        chip.measure(port.as_mut(), &Wait(clock.as_ref()), values)?;
        let took = self.clock.monotonic().saturating_sub(at);
        if took > self.takes + LATE {
            let (took, usual) = (took, self.takes);
            let why =
                format!("it took {took:.1?} instead of {usual:.1?}: bus or chip are too slow");
            return Err(fault("measuring", why));
        }
        let gap_before = self.pace.is_gap(at);
        out.push(&self.values, Stamp { at, wall, gap_before });
        Ok(1)
    }
}
