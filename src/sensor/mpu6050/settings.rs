//! What a person can set of an MPU-6050, and which of it the chip can do.

use std::time::Duration;

use super::registers::{AccelRange, GyroRange};
use crate::sensor::fifo::{Chip, Model};
use crate::sensor::{BadSetting, Channel, SensorError};

/// Samples a second before the divider, with the low-pass filter on.
const BASE_RATE_HZ: f64 = 1000.0;

/// How far the chip's rate may be from the one asked for.
const RATE_TOLERANCE: f64 = 1e-3;

const CHANNELS: [Channel; 6] = [
    Channel::new("accel_x", "m/s²"),
    Channel::new("accel_y", "m/s²"),
    Channel::new("accel_z", "m/s²"),
    Channel::new("gyro_x", "rad/s"),
    Channel::new("gyro_y", "rad/s"),
    Channel::new("gyro_z", "rad/s"),
];

/// What the `mpu6050` driver has beside place and rate, as plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mpu6050 {
    /// Full scale of the accelerometer in g: 2, 4, 8 or 16.
    pub accel_range_g: u16,
    /// Full scale of the gyroscope in °/s: 250, 500, 1000 or 2000.
    pub gyro_range_dps: u16,
}

impl Default for Mpu6050 {
    fn default() -> Self {
        Self { accel_range_g: 4, gyro_range_dps: 2000 }
    }
}

/// Settings that the chip can do, in its own terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) divider: u8,
    pub(super) rate_hz: f64,
    pub(super) accel_range: AccelRange,
    pub(super) gyro_range: GyroRange,
}

impl Model for Mpu6050 {
    /// 0x69 with the pin AD0 high.
    fn addresses(&self) -> &[u8] {
        &[0x68, 0x69]
    }

    fn channels(&self) -> Vec<Channel> {
        CHANNELS.to_vec()
    }

    fn rate(&self, rate_hz: f64) -> Result<f64, String> {
        Ok(BASE_RATE_HZ / (f64::from(divider(rate_hz)?) + 1.0))
    }

    fn stuck_after(&self, _: f64) -> Option<Duration> {
        // Its noise is above its resolution, also at rest.
        Some(Duration::from_secs(30))
    }

    fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        if AccelRange::from_g(self.accel_range_g).is_none() {
            let why = format!("must be 2, 4, 8 or 16 g, is {} g", self.accel_range_g);
            bad.push(BadSetting { key: "accel_range", why });
        }
        if GyroRange::from_dps(self.gyro_range_dps).is_none() {
            let why = format!("must be 250, 500, 1000 or 2000 dps, is {} dps", self.gyro_range_dps);
            bad.push(BadSetting { key: "gyro_range", why });
        }
        bad
    }

    fn driver(&self, rate_hz: f64) -> Result<Box<dyn Chip>, SensorError> {
        let parts = (
            divider(rate_hz),
            AccelRange::from_g(self.accel_range_g),
            GyroRange::from_dps(self.gyro_range_dps),
        );
        let (Ok(divider), Some(accel_range), Some(gyro_range)) = parts else {
            return Err(BadSetting::refuse("mpu6050", &self.validate()));
        };
        let settings = Checked { divider, rate_hz, accel_range, gyro_range };
        Ok(Box::new(super::Driver { settings, capacity: 0, partial_reads: 0 }))
    }
}

/// SMPLRT_DIV for a rate (register map, section 4.2), or why there is none.
fn divider(rate_hz: f64) -> Result<u8, String> {
    let lowest = BASE_RATE_HZ / 256.0;
    if !(lowest..=BASE_RATE_HZ).contains(&rate_hz) {
        return Err(format!("the chip does 4 to 1000 Hz, asked for {rate_hz} Hz"));
    }
    let exact = BASE_RATE_HZ / rate_hz;
    let steps = exact.round().clamp(1.0, 256.0);
    if (exact / steps - 1.0).abs() > RATE_TOLERANCE {
        let (above, below) = (BASE_RATE_HZ / exact.floor(), BASE_RATE_HZ / exact.ceil());
        return Err(format!(
            "the chip divides 1000 Hz by a whole number: {below:.3} Hz and {above:.3} Hz are the \
             nearest to {rate_hz} Hz"
        ));
    }
    // 1 to 256 by the line above that clamps it.
    Ok((steps as u16 - 1) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::bus::Place;
    use crate::sensor::fifo::{FifoSettings, Kind};

    #[test]
    fn divider_is_as_the_data_sheet_has_it() {
        assert_eq!(divider(1000.0), Ok(0));
        assert_eq!(divider(100.0), Ok(9));
        assert_eq!(divider(10.0), Ok(99));
        assert_eq!(divider(33.333), Ok(29));
        assert_eq!(divider(4.0), Ok(249));
        assert_eq!(divider(3.90625), Ok(255));
    }

    #[test]
    fn rate_between_two_dividers_names_both_neighbours() {
        let why = divider(400.0).expect_err("1000 / 2.5");
        assert!(why.contains("333.333 Hz and 500.000 Hz"), "{why}");
    }

    fn settings(rate_hz: f64, chip: Mpu6050, address: u8) -> FifoSettings {
        FifoSettings {
            place: Place::i2c("/dev/i2c-1", address),
            rate_hz,
            kind: Kind::Mpu6050(chip),
        }
    }

    #[test]
    fn every_setting_that_the_chip_cannot_do_is_listed() {
        let chip = Mpu6050 { accel_range_g: 3, gyro_range_dps: 100 };
        let settings = settings(f64::NAN, chip, 0x70);
        let keys: Vec<_> = settings.validate().iter().map(|bad| bad.key).collect();
        assert_eq!(keys, ["address", "rate", "accel_range", "gyro_range"]);
        assert!(matches!(settings.spec(), Err(SensorError::Unusable(_))));
    }

    #[test]
    fn it_has_no_spi_here() {
        let place = Place::Spi { device: "/dev/spidev0.0".into(), speed_hz: 1_000_000 };
        let settings = FifoSettings { place, ..settings(100.0, Mpu6050::default(), 0x68) };
        assert_eq!(settings.validate()[0].key, "bus");
    }

    #[test]
    fn spec_has_six_channels_in_si_units_at_the_exact_rate() {
        let spec = settings(33.333, Mpu6050::default(), 0x68).spec().expect("fine settings");
        assert_eq!(spec.rate_hz, 1000.0 / 30.0);
        assert_eq!(spec.period(), std::time::Duration::from_millis(30));
        let names: Vec<&str> = spec.channels.iter().map(|c| c.name.as_ref()).collect();
        assert_eq!(names, ["accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"]);
        assert_eq!(
            (spec.channels[2].unit.as_ref(), spec.channels[3].unit.as_ref()),
            ("m/s²", "rad/s")
        );
    }
}
