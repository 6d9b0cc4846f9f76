//! The keys of `[[sensor]]` for chips that are asked for one measurement at a time.

use super::{Key, Table, optional, required};

const BUS: Key = required("bus", "\"/dev/i2c-1\"", "The I²C bus's device file.");

const BUS_OR_SPI: Key = required(
    "bus",
    "\"/dev/i2c-1\"",
    "The I²C bus's device file, or on SPI the chip select's, `\"/dev/spidev0.0\"`.",
);

const fn speed(about: &'static str) -> Key {
    optional("speed", "\"2 MHz\"", "`\"1 MHz\"`", about)
}

const fn rate(about: &'static str) -> Key {
    required("rate", "\"1 Hz\"", about)
}

pub(in crate::config) const BME280: Table = Table {
    header: "[[sensor]] with driver = \"bme280\" or \"bmp280\"",
    about: "Bosch BME280: temperature (°C), pressure (Pa), relative humidity (%); BMP280: without humidity; over I²C or SPI.",
    keys: &[
        BUS_OR_SPI,
        speed("SPI's clock, 10 MHz at most; for SPI only."),
        optional("address", "0x76", "`0x76`", "`0x76`, or `0x77` where the pin SDO is high."),
        rate("Measurements a second, up to 107 with the least `oversampling`."),
        optional(
            "oversampling",
            "4",
            "`1`",
            "Samples that make one value: 1, 2, 4, 8 or 16. More are slower and less noisy.",
        ),
    ],
    later: &[],
};

pub(in crate::config) const LIS3DH: Table = Table {
    header: "[[sensor]] with driver = \"lis3dh\" or \"adxl345\"",
    about: "ST LIS3DH, LIS2DH12; Analog Devices ADXL345, ADXL343: three axes of acceleration (m/s²), over I²C or SPI.",
    keys: &[
        BUS_OR_SPI,
        optional(
            "address",
            "0x19",
            "`0x18`; `0x53`",
            "LIS3DH: `0x18`, or `0x19` where the pin SA0 is high; ADXL345: `0x53`, or `0x1d` where ALT ADDRESS is high.",
        ),
        speed("SPI's clock, 10 MHz at most (ADXL345: 1.6 MHz); for SPI only."),
        required(
            "rate",
            "\"100 Hz\"",
            "Samples a second. LIS3DH: 1, 10, 25, 50, 100, 200, 400 or 1344 Hz; ADXL345: 6.25, 12.5, 25, 50, 100, 200, 400 or 800 Hz.",
        ),
        optional(
            "accel_range",
            "\"4 g\"",
            "`\"4 g\"`",
            "Full scale: `\"2 g\"`, `\"4 g\"`, `\"8 g\"` or `\"16 g\"`.",
        ),
    ],
    later: &[],
};

pub(in crate::config) const SHT3X: Table = Table {
    header: "[[sensor]] with driver = \"sht3x\"",
    about: "Sensirion SHT30, SHT31, SHT35: temperature (°C) and relative humidity (%), over I²C.",
    keys: &[
        BUS,
        optional("address", "0x44", "`0x44`", "`0x44`, or `0x45` where the pin ADDR is high."),
        rate("Measurements a second, up to 58."),
    ],
    later: &[],
};

pub(in crate::config) const ADS1115: Table = Table {
    header: "[[sensor]] with driver = \"ads1115\" or \"ads1015\"",
    about: "TI ADS1115 (16 bits) and ADS1015 (12 bits): voltages (V), over I²C.",
    keys: &[
        BUS,
        optional("address", "0x48", "`0x48`", "`0x48` to `0x4b`, by the pin ADDR."),
        rate("Frames a second; all inputs are converted for each, as slowly as that allows."),
        required(
            "inputs",
            "[\"A0\", \"A1\"]",
            "A channel for each: `A0` to `A3` against ground, or a difference: `A0-A1`, `A0-A3`, `A1-A3`, `A2-A3`.",
        ),
        optional(
            "full_scale",
            "\"4.096 V\"",
            "`\"2.048 V\"`",
            "What is just out of range: `\"6.144 V\"`, `\"4.096 V\"`, `\"2.048 V\"`, `\"1.024 V\"`, `\"0.512 V\"`, `\"0.256 V\"`. No input may exceed the supply.",
        ),
    ],
    later: &[],
};

pub(in crate::config) const OPT3001: Table = Table {
    header: "[[sensor]] with driver = \"opt3001\"",
    about: "TI OPT3001: illuminance (lx), over I²C.",
    keys: &[
        BUS,
        optional("address", "0x44", "`0x44`", "`0x44` to `0x47`, by the pin ADDR."),
        rate("Measurements a second, up to 8."),
    ],
    later: &[],
};

pub(in crate::config) const VL53L0X: Table = Table {
    header: "[[sensor]] with driver = \"vl53l0x\"",
    about: "ST VL53L0X: distance (m), over I²C.",
    keys: &[
        BUS,
        optional("address", "0x29", "`0x29`", "`0x29`; the chip has no other after power-up."),
        rate(
            "Measurements a second, up to 43; slower ones are measured longer, so with less noise.",
        ),
    ],
    later: &[],
};

pub(in crate::config) const REGISTERS: Table = Table {
    header: "[[sensor]] with driver = \"registers\"",
    about: "Any chip over I²C or SPI whose numbers stand in registers, see [sensors.md](sensors.md).",
    keys: &[
        BUS_OR_SPI,
        optional("address", "0x48", "needed on I²C", "Its address, `0x03` to `0x77`; none on SPI."),
        speed("SPI's clock; for SPI only."),
        optional("mode", "3", "`0`", "SPI's clock polarity and phase, 0 to 3."),
        optional(
            "read_bits",
            "0x80",
            "`0x80`",
            "Bits of a register's number that are 1 in a read and 0 in a write over SPI.",
        ),
        optional(
            "burst_bits",
            "0x40",
            "`0`",
            "Bits of a register's number where several bytes go over SPI at once.",
        ),
        rate("Measurements a second."),
        optional(
            "id",
            "{ register = 0x0f, value = 0x90 }",
            "not asked",
            "A byte that tells the chip from others.",
        ),
        optional(
            "init",
            "[[0x01, 0x60]]",
            "nothing",
            "What is written at the start, a list of bytes for each transfer.",
        ),
        optional(
            "trigger",
            "[0x01, 0xe1]",
            "nothing",
            "Bytes that are written before each measurement.",
        ),
        optional(
            "settle",
            "\"30 ms\"",
            "`\"0 s\"`",
            "From the trigger to the result, `\"10 s\"` at most.",
        ),
        optional(
            "register_bytes",
            "2",
            "`1`",
            "Bytes of a register's number, 1 or 2; the high one is sent first.",
        ),
        required("channel", "[[sensor.channel]]", "A table for each number, see below."),
    ],
    later: &[],
};

pub(in crate::config) const ID: Table = Table {
    header: "[sensor.id]",
    about: "A byte that is read at the start and before each measurement. With it a dead bus is always found.",
    keys: &[
        required("register", "0x0f", "Where it stands."),
        required("value", "0x90", "What it is."),
        optional("mask", "0xf0", "`0xff`", "Which of its bits count."),
    ],
    later: &[],
};

pub(in crate::config) const CHANNEL: Table = Table {
    header: "[[sensor.channel]]",
    about: "One number: bytes, of them the bits from `shift` on, as a number times `scale` plus `offset`.",
    keys: &[
        required("name", "\"temperature\"", "The channel's name, as a recipe has it."),
        optional("unit", "\"°C\"", "none", "Its unit."),
        optional("register", "0x00", "read without saying where", "Where its first byte stands."),
        optional("bytes", "2", "`1`", "How many bytes it has, 1 to 4."),
        optional(
            "order",
            "\"little\"",
            "`\"big\"`",
            "`\"big\"`: high byte first; `\"little\"`: low byte first.",
        ),
        optional("signed", "true", "`false`", "Whether it is a two's complement."),
        optional("shift", "4", "`0`", "Bits below it that are not its own."),
        optional("bits", "12", "all that are left", "How many bits it has."),
        optional("scale", "0.0625", "`1`", "What one step is in the unit."),
        optional("offset", "-40.0", "`0`", "What is added."),
        optional(
            "range",
            "[-55, 128]",
            "not known",
            "The least and the most that the chip can measure, in the unit.",
        ),
    ],
    later: &[],
};
