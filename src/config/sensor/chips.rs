//! `[[sensor]]` for chips that are asked for one measurement at a time. What they can do is for them to say.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::super::keys;
use super::super::keys::Table;
use super::super::quantity::{Rate, Span, Voltage};
use super::super::raw::Section;
use super::super::value::{Bad, boolean, list, number, one_of, quantity, text, whole};
use super::place::{Buses, place};
use crate::sensor::ads1x15::Ads1x15;
use crate::sensor::bme280::Bme280;
use crate::sensor::bus::SpiDialect;
use crate::sensor::opt3001::Opt3001;
use crate::sensor::register_map::{Field, Id, RegisterMap};
use crate::sensor::sht3x::Sht3x;
use crate::sensor::vl53l0x::Vl53l0x;
use crate::sensor::{Kind, PolledSettings};

/// Which chip, by the driver's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chip {
    Bme280,
    Bmp280,
    Sht3x,
    Ads1115,
    Ads1015,
    Opt3001,
    Vl53l0x,
    Registers,
}

/// The tables of all of them, for a driver that is none.
pub(super) const TABLES: [&Table; 6] =
    [&keys::BME280, &keys::SHT3X, &keys::ADS1115, &keys::OPT3001, &keys::VL53L0X, &keys::REGISTERS];

/// No controller of a board is faster; what the chip can do is for its data sheet to say.
const SPEED_MAX_HZ: u32 = 100_000_000;

/// A channel's name may be any that a recipe can have.
const NAME_MAX: usize = 64;

impl Chip {
    fn table(self) -> &'static Table {
        match self {
            Self::Bme280 | Self::Bmp280 => &keys::BME280,
            Self::Sht3x => &keys::SHT3X,
            Self::Ads1115 | Self::Ads1015 => &keys::ADS1115,
            Self::Opt3001 => &keys::OPT3001,
            Self::Vl53l0x => &keys::VL53L0X,
            Self::Registers => &keys::REGISTERS,
        }
    }

    pub(super) fn read(self, section: &Section<'_>) -> Option<PolledSettings> {
        let section = section.with(self.table());
        section.close();
        let rate = section.require("rate", quantity::<Rate>);
        let kind = self.kind(&section);
        // What is noted of the kind is not judged again.
        let usual = kind.as_ref().and_then(|kind| kind.model().addresses().first().copied());
        let buses = match self {
            Self::Bme280 | Self::Bmp280 | Self::Registers => Buses::I2cOrSpi,
            _ => Buses::I2c,
        };
        let place = place(&section, buses, || match self {
            Self::Registers => section.require("address", address),
            _ if section.has("address") => section.get("address", address),
            _ => usual,
        });
        let settings = PolledSettings { place: place?, rate_hz: rate?.hz(), kind: kind? };
        let bad = settings.validate();
        for bad in &bad {
            section.wrong(bad.key, bad.why.clone());
        }
        bad.is_empty().then_some(settings)
    }

    fn kind(self, section: &Section<'_>) -> Option<Kind> {
        Some(match self {
            Self::Bme280 | Self::Bmp280 => {
                let oversampling = match section.has("oversampling") {
                    true => section.get("oversampling", whole(1..=16))? as u8,
                    false => 1,
                };
                Kind::Bme280(Bme280 { oversampling, humidity: self == Self::Bme280 })
            }
            Self::Sht3x => Kind::Sht3x(Sht3x),
            Self::Ads1115 | Self::Ads1015 => {
                let full_scale = section.get("full_scale", quantity::<Voltage>);
                let full_scale_mv = match section.has("full_scale") {
                    true => full_scale?.millivolts(),
                    false => 2048,
                };
                let inputs =
                    section.require("inputs", list(|value| text(value).map(str::to_owned)))?;
                let bits = if self == Self::Ads1015 { 12 } else { 16 };
                Kind::Ads1x15(Ads1x15 { bits, inputs, full_scale_mv })
            }
            Self::Opt3001 => Kind::Opt3001(Opt3001),
            Self::Vl53l0x => Kind::Vl53l0x(Vl53l0x),
            Self::Registers => Kind::Registers(register_map(section)?),
        })
    }
}

fn register_map(section: &Section<'_>) -> Option<RegisterMap> {
    let id = section.table("id", &keys::ID).map(|id| {
        id.close();
        let register = id.require("register", whole(0..=0xffff));
        let value = id.require("value", whole(0..=0xff));
        let mask = id.get("mask", whole(0..=0xff)).unwrap_or(0xff) as u8;
        Some(Id { register: register? as u16, mask, value: value? as u8 })
    });
    let init = section.get("init", list(list(byte))).unwrap_or_default();
    let trigger = section.get("trigger", list(byte)).unwrap_or_default();
    let settle = section.get("settle", quantity::<Span>).map(Span::duration).unwrap_or_default();
    let register_bytes = section.get("register_bytes", whole(1..=2)).unwrap_or(1) as u8;
    let bits = |key: &str| section.get(key, whole(0..=0xff)).map(|bits| bits as u8);
    let (read, burst) = (bits("read_bits").unwrap_or(0x80), bits("burst_bits").unwrap_or(0));
    let mode = section.get("mode", whole(0..=3)).unwrap_or(0) as u8;
    let spi = Some(SpiDialect { mode, read, burst, speed_max_hz: SPEED_MAX_HZ });
    let sections = section.tables("channel", &keys::CHANNEL);
    if sections.is_empty() && !section.has("channel") {
        section.missing("channel");
        return None;
    }
    let highest = if register_bytes == 2 { 0xffff } else { 0xff };
    let fields: Option<Vec<Field>> = sections
        .iter()
        .map(|section| field(section, 0..=highest))
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    let id = match id {
        Some(id) => Some(id?),
        None => None,
    };
    Some(RegisterMap { id, init, trigger, settle, register_bytes, spi, fields: fields? })
}

fn field(section: &Section<'_>, registers: RangeInclusive<u32>) -> Option<Field> {
    const ORDERS: &[(&str, bool)] = &[("big", false), ("little", true)];
    section.close();
    let name = section.require("name", channel_name);
    let unit = section.get("unit", |value| text(value).map(str::to_owned));
    let register = section.get("register", whole(registers));
    let small = |key: &str, range| section.get(key, whole(range)).map(|number| number as u8);
    let bytes = small("bytes", 1..=4);
    let (shift, bits) = (small("shift", 0..=31), small("bits", 1..=32));
    let little_endian = section.get("order", one_of(ORDERS));
    let signed = section.get("signed", boolean);
    let (scale, offset) = (section.get("scale", number), section.get("offset", number));
    let range = section.get("range", |value| {
        let pair = list(number)(value)?;
        <[f32; 2]>::try_from(pair).map_err(|_| Bad::Says("must be [least, most]".into()))
    });
    // One that is there and wrong is noted; nothing is built of it.
    let whole_register = register.is_some() || !section.has("register");
    Some(Field {
        name: name?,
        unit: unit.unwrap_or_default(),
        register: register.map(|number| number as u16).filter(|_| whole_register),
        bytes: bytes.unwrap_or(1),
        little_endian: little_endian.unwrap_or(false),
        signed: signed.unwrap_or(false),
        shift: shift.unwrap_or(0),
        bits,
        scale: scale.map_or(1.0, f64::from),
        offset: offset.map_or(0.0, f64::from),
        range,
    })
}

pub(super) fn channel_name(value: &DeValue<'_>) -> Result<String, Bad> {
    let name = text(value)?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if (1..=NAME_MAX).contains(&name.len()) && name.chars().all(good) {
        return Ok(name.to_owned());
    }
    Err(Bad::Says(format!("{name:?} must be 1 to 64 letters, digits or `_`")))
}

fn byte<'a>(value: &'a DeValue<'a>) -> Result<u8, Bad> {
    whole(0..=0xff)(value).map(|number| number as u8)
}

/// 7 bits; the addresses before and after are the bus's own.
pub(super) fn address<'a>(value: &'a DeValue<'a>) -> Result<u8, Bad> {
    whole(0x03..=0x77)(value).map(|number| number as u8).map_err(|bad| match bad {
        Bad::Says(_) => {
            Bad::Says("must be 0x03 to 0x77, as `i2cdetect` shows it with 0x before it".into())
        }
        other => other,
    })
}
