//! What a person can set of an MPU-6050, and which of it the chip can do.

use std::path::PathBuf;

use super::registers::{AccelRange, GyroRange};
use crate::sensor::{BadSetting, Channel, SensorError, SensorSpec};

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

/// Settings of the `mpu6050` driver as plain values.
#[derive(Clone, Debug, PartialEq)]
pub struct Mpu6050Settings {
    /// The bus's device file, as in `/dev/i2c-1`. Not used when the bus is handed over.
    pub bus: PathBuf,
    /// 0x68, or 0x69 with the pin AD0 high.
    pub address: u8,
    /// Frames a second, 4 to 1000: 1000 / n for a whole n up to 256.
    pub rate_hz: f64,
    /// Full scale of the accelerometer in g: 2, 4, 8 or 16.
    pub accel_range_g: u16,
    /// Full scale of the gyroscope in °/s: 250, 500, 1000 or 2000.
    pub gyro_range_dps: u16,
}

impl Default for Mpu6050Settings {
    fn default() -> Self {
        Self {
            bus: PathBuf::from("/dev/i2c-1"),
            address: 0x68,
            rate_hz: 100.0,
            accel_range_g: 4,
            gyro_range_dps: 2000,
        }
    }
}

/// Settings that the chip can do, in its own terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) address: u8,
    pub(super) divider: u8,
    pub(super) rate_hz: f64,
    pub(super) accel_range: AccelRange,
    pub(super) gyro_range: GyroRange,
}

impl Mpu6050Settings {
    /// Everything that the chip cannot do; empty when all is well.
    pub fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        if !matches!(self.address, 0x68 | 0x69) {
            let why = format!("must be 0x68 or 0x69, is {:#04x}", self.address);
            bad.push(BadSetting { key: "address", why });
        }
        if let Err(why) = divider(self.rate_hz) {
            bad.push(BadSetting { key: "rate", why });
        }
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

    /// Channels and the chip's exact rate, known without a chip.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when the chip cannot do what is set.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        let rate_hz = self.checked()?.rate_hz;
        Ok(SensorSpec { channels: CHANNELS.to_vec(), rate_hz })
    }

    pub(super) fn checked(&self) -> Result<Checked, SensorError> {
        let parts = (
            divider(self.rate_hz),
            AccelRange::from_g(self.accel_range_g),
            GyroRange::from_dps(self.gyro_range_dps),
        );
        match (self.validate().as_slice(), parts) {
            ([], (Ok(divider), Some(accel_range), Some(gyro_range))) => Ok(Checked {
                address: self.address,
                divider,
                rate_hz: BASE_RATE_HZ / (f64::from(divider) + 1.0),
                accel_range,
                gyro_range,
            }),
            (bad, _) => Err(BadSetting::refuse("mpu6050", bad)),
        }
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

    #[test]
    fn every_setting_that_the_chip_cannot_do_is_listed() {
        let settings = Mpu6050Settings {
            address: 0x70,
            rate_hz: f64::NAN,
            accel_range_g: 3,
            gyro_range_dps: 100,
            ..Default::default()
        };
        let keys: Vec<_> = settings.validate().iter().map(|bad| bad.key).collect();
        assert_eq!(keys, ["address", "rate", "accel_range", "gyro_range"]);
        assert!(matches!(settings.spec(), Err(SensorError::Unusable(_))));
    }

    #[test]
    fn spec_has_six_channels_in_si_units_at_the_exact_rate() {
        let settings = Mpu6050Settings { rate_hz: 33.333, ..Default::default() };
        let spec = settings.spec().expect("fine settings");
        assert_eq!(spec.rate_hz, 1000.0 / 30.0);
        let names: Vec<&str> = spec.channels.iter().map(|c| c.name.as_ref()).collect();
        assert_eq!(names, ["accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"]);
        assert_eq!(
            (spec.channels[2].unit.as_ref(), spec.channels[3].unit.as_ref()),
            ("m/s²", "rad/s")
        );
    }
}
