//! Where a chip is: `bus`, `address`, `speed`.

use std::path::PathBuf;

use toml::de::DeValue;

use super::super::quantity::Frequency;
use super::super::raw::Section;
use super::super::value::{Bad, quantity, text};
use crate::sensor::bus::Place;

/// SPI's clock where nobody says another.
const SPEED_HZ: u32 = 1_000_000;

/// Which buses a driver's keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buses {
    I2c,
    /// There is a key `speed`.
    I2cOrSpi,
}

/// The place; `address` reads the address, for a chip on I²C.
pub(super) fn place(
    section: &Section<'_>,
    buses: Buses,
    address: impl FnOnce() -> Option<u8>,
) -> Option<Place> {
    let bus = section.require("bus", bus);
    let speed = match buses {
        Buses::I2cOrSpi => section.get("speed", quantity::<Frequency>),
        Buses::I2c => None,
    };
    if !bus.as_ref().is_some_and(|bus| is_spi(bus)) {
        let address = address();
        if buses == Buses::I2cOrSpi && section.has("speed") {
            let why = "is for SPI only; an I²C bus's speed is set in the board's device tree";
            section.wrong("speed", why);
            return None;
        }
        return Some(Place::I2c { bus: bus?, address: address? });
    }
    if section.has("address") {
        let why = "a chip on SPI has none: the device file is its chip select";
        section.wrong("address", why);
        return None;
    }
    let speed_hz = match buses == Buses::I2cOrSpi && section.has("speed") {
        true => speed?.hz(),
        false => SPEED_HZ,
    };
    Some(Place::Spi { device: bus?, speed_hz })
}

/// The kernel calls them `spidevBUS.SELECT`.
fn is_spi(bus: &std::path::Path) -> bool {
    bus.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"spidev"))
}

fn bus<'a>(value: &'a DeValue<'a>) -> Result<PathBuf, Bad> {
    if let Some(number) = value.as_integer() {
        let message = format!("must be the bus's device file; write it as \"/dev/i2c-{number}\"");
        return Err(Bad::Says(message));
    }
    let bus = text(value)?;
    if !bus.starts_with('/') || bus.contains('\0') {
        let known = |name: &&str| name.starts_with("i2c-") || name.starts_with("spidev");
        let name = bus.rsplit('/').next().filter(known).unwrap_or("i2c-1");
        let message =
            format!("{bus:?} is not a device file; write it as {:?}", format!("/dev/{name}"));
        return Err(Bad::Says(message));
    }
    Ok(bus.into())
}
