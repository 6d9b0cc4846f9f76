//! `[[sensor]]` for chips that sample into a memory of their own.

use toml::de::DeValue;

use super::super::keys;
use super::super::keys::Table;
use super::super::quantity::{AccelRange, GyroRange, Rate};
use super::super::raw::Section;
use super::super::value::{Bad, quantity, text};
use super::chips::address as any_address;
use super::place::{Buses, place};
use crate::sensor::FifoSettings;
use crate::sensor::adxl345::Adxl345;
use crate::sensor::fifo::Kind;
use crate::sensor::lis3dh::Lis3dh;
use crate::sensor::mpu6050::Mpu6050;

/// Which chip, by the driver's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chip {
    Mpu6050,
    Lis3dh,
    Adxl345,
}

/// The tables of all of them, for a driver that is none.
pub(super) const TABLES: [&Table; 2] = [&keys::MPU6050, &keys::LIS3DH];

impl Chip {
    pub(super) fn read(self, section: &Section<'_>) -> Option<FifoSettings> {
        match self {
            Self::Mpu6050 => mpu6050(&section.with(&keys::MPU6050)),
            Self::Lis3dh | Self::Adxl345 => self.accelerometer(&section.with(&keys::LIS3DH)),
        }
    }

    fn accelerometer(self, section: &Section<'_>) -> Option<FifoSettings> {
        section.close();
        let range = section.get("accel_range", quantity::<AccelRange>).unwrap_or_default();
        let range_g = range.g().into();
        let kind = match self {
            Self::Adxl345 => Kind::Adxl345(Adxl345 { range_g }),
            _ => Kind::Lis3dh(Lis3dh { range_g }),
        };
        let usual = kind.model().addresses().first().copied();
        let place = place(section, Buses::I2cOrSpi, || match section.has("address") {
            true => section.get("address", any_address),
            false => usual,
        });
        let rate = section.require("rate", quantity::<Rate>);
        let settings = FifoSettings { place: place?, rate_hz: rate?.hz(), kind };
        let bad = settings.validate();
        for bad in &bad {
            section.wrong(bad.key, bad.why.clone());
        }
        bad.is_empty().then_some(settings)
    }
}

fn mpu6050(section: &Section<'_>) -> Option<FifoSettings> {
    section.close();
    let place = place(section, Buses::I2c, || match section.has("address") {
        true => section.get("address", address),
        false => Some(0x68),
    });
    let rate = section.require("rate", rate);
    let accel_range = section.get("accel_range", quantity::<AccelRange>).unwrap_or_default();
    let gyro_range = section.get("gyro_range", quantity::<GyroRange>).unwrap_or_default();
    let chip = Mpu6050 { accel_range_g: accel_range.g().into(), gyro_range_dps: gyro_range.dps() };
    let kind = Kind::Mpu6050(chip);
    let settings = FifoSettings { place: place?, rate_hz: rate?.hz(), kind };
    let bad = settings.validate();
    for bad in &bad {
        section.wrong(bad.key, bad.why.clone());
    }
    bad.is_empty().then_some(settings)
}

fn address<'a>(value: &'a DeValue<'a>) -> Result<u8, Bad> {
    let number = value.as_integer().ok_or(Bad::Type("a whole number"))?;
    match u8::from_str_radix(number.as_str(), number.radix()) {
        Ok(address @ (0x68 | 0x69)) => Ok(address),
        // `i2cdetect` prints hexadecimal without its 0x.
        Ok(decimal @ (68 | 69)) => {
            Err(Bad::Says(format!("{decimal} is decimal; write it as 0x{decimal}")))
        }
        _ => Err(Bad::Says(format!("the chip answers at 0x68 or 0x69 only, not at {number}"))),
    }
}

/// The chip samples at 1 kHz and keeps each n-th sample, n to 256 (register map, SMPLRT_DIV).
fn rate<'a>(value: &'a DeValue<'a>) -> Result<Rate, Bad> {
    let rate = quantity::<Rate>(value)?;
    if !(4.0..=1000.0).contains(&rate.hz()) {
        return Err(Bad::Says(format!("{:?} is outside 4 Hz to 1 kHz", text(value)?)));
    }
    let every = 1000.0 / rate.hz();
    // As near as a person writes "33.3 Hz".
    if (every / every.round() - 1.0).abs() > 1e-3 {
        let (low, high) = (1000.0 / every.ceil(), 1000.0 / every.floor());
        return Err(Bad::Says(format!(
            "the chip divides 1 kHz by a whole number; nearest to {:?} are \"{low:.3} Hz\" and \
             \"{high:.3} Hz\"",
            text(value)?
        )));
    }
    Ok(rate)
}
