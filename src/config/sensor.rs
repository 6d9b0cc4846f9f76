//! `[[sensor]]`: what is sampled, by which driver.

mod chips;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys;
use super::name::SensorName;
use super::quantity::{AccelRange, GyroRange, Rate, Span};
use super::raw::Section;
use super::value::{Bad, boolean, one_of, parsed, path, quantity, text};
use crate::sensor::PolledSettings;
use chips::Chip;

/// A sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// What pipelines call it; no other sensor has it.
    pub name: SensorName,
    /// The driver with its own settings.
    pub driver: Driver,
    /// How long all values may stay the same before the device counts as frozen; zero for ever. `None`: as the
    /// driver has it.
    pub stuck_after: Option<Duration>,
}

/// A driver with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Driver {
    /// InvenSense MPU-6050 over I²C.
    Mpu6050(Mpu6050),
    /// A chip that is asked for one measurement at a time.
    Polled(PolledSettings),
    /// A recording.
    Replay(Replay),
}

/// Settings of [`Driver::Mpu6050`].
#[derive(Clone, Debug, PartialEq)]
pub struct Mpu6050 {
    /// Absolute, as in `/dev/i2c-1`.
    pub bus: PathBuf,
    /// 7 bits: 0x68 or 0x69.
    pub address: u8,
    /// 4 Hz to 1 kHz: 1 kHz divided by a whole number, within a thousandth.
    pub rate: Rate,
    /// Full scale.
    pub accel_range: AccelRange,
    /// Full scale.
    pub gyro_range: GyroRange,
}

/// Settings of [`Driver::Replay`].
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// `.csv` or `.npy`.
    pub path: PathBuf,
    /// Samples a second.
    pub rate: Rate,
    /// Whether it starts anew at its end.
    pub repeat: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Mpu6050,
    Polled(Chip),
    Replay,
}

const DRIVERS: &[(&str, Kind)] = &[
    ("mpu6050", Kind::Mpu6050),
    ("bme280", Kind::Polled(Chip::Bme280)),
    ("bmp280", Kind::Polled(Chip::Bmp280)),
    ("sht3x", Kind::Polled(Chip::Sht3x)),
    ("ads1115", Kind::Polled(Chip::Ads1115)),
    ("ads1015", Kind::Polled(Chip::Ads1015)),
    ("opt3001", Kind::Polled(Chip::Opt3001)),
    ("registers", Kind::Polled(Chip::Registers)),
    ("replay", Kind::Replay),
];

impl Sensor {
    /// All sensors; those that are wrong are noted and left out.
    pub(super) fn read_all(root: &Section<'_>, base: &Path) -> Vec<Self> {
        let sections = root.tables("sensor", &keys::SENSOR);
        let mut taken: Vec<(&str, &str)> = Vec::new();
        for section in &sections {
            // Names that are no strings are noted by `read`.
            let Some(name) = section.peek("name") else { continue };
            match taken.iter().find(|(other, _)| *other == name) {
                Some((_, first)) => {
                    section.wrong("name", format!("{name:?} is the name of {first}, too"));
                }
                None => taken.push((name, section.path())),
            }
        }
        let sensors: Vec<(usize, Self)> = sections
            .iter()
            .enumerate()
            .filter_map(|(n, section)| Some((n, Self::read(section, base)?)))
            .collect();
        one_opening_each(&sections, &sensors);
        sensors.into_iter().map(|(_, sensor)| sensor).collect()
    }

    fn read(section: &Section<'_>, base: &Path) -> Option<Self> {
        let name = section.require("name", parsed::<SensorName>);
        let driver = match section.require("driver", one_of(DRIVERS)) {
            Some(Kind::Mpu6050) => Mpu6050::read(section.with(&keys::MPU6050)).map(Driver::Mpu6050),
            Some(Kind::Polled(chip)) => chip.read(section).map(Driver::Polled),
            Some(Kind::Replay) => {
                Replay::read(section.with(&keys::REPLAY), base).map(Driver::Replay)
            }
            // Which keys there may be is not known: those of any driver pass.
            None => {
                let known = section.with(&keys::MPU6050).with(&keys::REPLAY);
                chips::TABLES.iter().fold(known, |known, table| known.with(table)).close();
                None
            }
        };
        let stuck_after = section.get("stuck_after", quantity::<Span>).map(Span::duration);
        Some(Self { name: name?, driver: driver?, stuck_after })
    }
}

impl Driver {
    /// The chip that it opens, by bus and address.
    fn chip(&self) -> Option<(&Path, u8)> {
        match self {
            Self::Mpu6050(chip) => Some((&chip.bus, chip.address)),
            Self::Polled(chip) => Some((&chip.bus, chip.address)),
            Self::Replay(_) => None,
        }
    }
}

impl Mpu6050 {
    fn read(section: Section<'_>) -> Option<Self> {
        section.close();
        let bus = section.require("bus", bus);
        let address = section.get("address", address);
        let rate = section.require("rate", rate);
        let accel_range = section.get("accel_range", quantity::<AccelRange>);
        let gyro_range = section.get("gyro_range", quantity::<GyroRange>);
        Some(Self {
            bus: bus?,
            address: address.unwrap_or(0x68),
            rate: rate?,
            accel_range: accel_range.unwrap_or_default(),
            gyro_range: gyro_range.unwrap_or_default(),
        })
    }
}

impl Replay {
    fn read(section: Section<'_>, base: &Path) -> Option<Self> {
        section.close();
        let path = section.require("path", recording(base));
        let rate = section.require("rate", quantity::<Rate>);
        let repeat = section.get("repeat", boolean).unwrap_or(false);
        Some(Self { path: path?, rate: rate?, repeat })
    }
}

fn bus<'a>(value: &'a toml::de::DeValue<'a>) -> Result<PathBuf, Bad> {
    if let Some(number) = value.as_integer() {
        let message = format!("must be the bus's device file; write it as \"/dev/i2c-{number}\"");
        return Err(Bad::Says(message));
    }
    let bus = text(value)?;
    if !bus.starts_with('/') || bus.contains('\0') {
        let name = bus.rsplit('/').next().filter(|n| n.starts_with("i2c-")).unwrap_or("i2c-1");
        let message =
            format!("{bus:?} is not a device file; write it as {:?}", format!("/dev/{name}"));
        return Err(Bad::Says(message));
    }
    Ok(bus.into())
}

fn address<'a>(value: &'a toml::de::DeValue<'a>) -> Result<u8, Bad> {
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
fn rate<'a>(value: &'a toml::de::DeValue<'a>) -> Result<Rate, Bad> {
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

fn recording<'a>(base: &Path) -> impl FnOnce(&'a toml::de::DeValue<'a>) -> Result<PathBuf, Bad> {
    move |value| {
        let file = path(base)(value)?;
        let known = ["csv", "npy"];
        if !file.extension().is_some_and(|e| known.iter().any(|k| e.eq_ignore_ascii_case(k))) {
            return Err(Bad::Says(format!("{:?} is neither .csv nor .npy", text(value)?)));
        }
        Ok(file)
    }
}

/// Two drivers on one chip would take each other's samples.
fn one_opening_each(sections: &[Section<'_>], sensors: &[(usize, Sensor)]) {
    for (k, (n, sensor)) in sensors.iter().enumerate() {
        let Some((bus, address)) = sensor.driver.chip() else { continue };
        let other =
            sensors[..k].iter().find(|(_, other)| other.driver.chip() == Some((bus, address)));
        if let Some((_, other)) = other {
            let (bus, name) = (bus.display(), &other.name);
            sections[*n].wrong(
                "address",
                format!("{address:#04x} on {bus} is opened by sensor \"{name}\" already"),
            );
        }
    }
}
