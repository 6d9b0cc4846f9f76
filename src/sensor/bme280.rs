//! Bosch BME280 and BMP280 over I²C or SPI: temperature, pressure and, on the BME280, relative humidity.
//!
//! Sources: BST-BME280-DS002 revision 1.6 (registers, section 5.4; compensation in floating point, section 8.1;
//! measurement time, section 9.1) and BST-BMP280-DS001 revision 1.14 (ids, the worked example).

use std::time::Duration;

use super::bus::{Dialect, Port, SpiDialect, driven, fault, identify};
use super::polled::{Chip, Model, Wait};
use super::{BadSetting, Channel, SensorError};

const ID: u8 = 0xd0;
const RESET: u8 = 0xe0;
const CTRL_HUM: u8 = 0xf2;
const STATUS: u8 = 0xf3;
const CTRL_MEAS: u8 = 0xf4;
/// Pressure, temperature, humidity: 3 + 3 + 2 bytes.
const DATA: u8 = 0xf7;
/// One burst reads both.
const _: () = assert!(DATA == CTRL_HUM + 5);
/// 26 bytes of calibration; dig_H1 is the last.
const CALIBRATION: u8 = 0x88;
/// 7 bytes: dig_H2 to dig_H6.
const CALIBRATION_HUMIDITY: u8 = 0xe1;

const SOFT_RESET: u8 = 0xb6;
/// STATUS: calibration is being copied; a measurement runs.
const IM_UPDATE: u8 = 0x01;
const MEASURING: u8 = 0x08;
/// CTRL_MEAS: measures once and sleeps again.
const FORCED: u8 = 0b01;

const START_WAIT: Duration = Duration::from_millis(2);
/// What stands in the data registers where nothing was measured.
const SKIPPED: u32 = 0x8_0000;
const SKIPPED_HUMIDITY: u16 = 0x8000;

/// Settings of the drivers `bme280` and `bmp280`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bme280 {
    /// Samples that make one value: 1, 2, 4, 8 or 16.
    pub oversampling: u8,
    /// Whether the chip has a humidity sensor, and is to be a BME280.
    pub humidity: bool,
}

impl Model for Bme280 {
    fn addresses(&self) -> &[u8] {
        &[0x76, 0x77]
    }

    /// Section 6.3: the highest bit of a register's number, which is 1 in all of them, says whether it is read.
    fn dialect(&self) -> Dialect {
        let spi = SpiDialect { mode: 0, read: 0x80, burst: 0, speed_max_hz: 10_000_000 };
        Dialect { i2c_burst: 0, spi: Some(spi) }
    }

    fn channels(&self) -> Vec<Channel> {
        let mut channels = vec![
            Channel::new("temperature", "°C").within(-40.0, 85.0),
            Channel::new("pressure", "Pa").within(30_000.0, 110_000.0),
        ];
        if self.humidity {
            channels.push(Channel::new("humidity", "%").within(0.0, 100.0));
        }
        channels
    }

    /// Section 9.1, the maximum.
    fn takes(&self) -> Duration {
        let samples = u32::from(self.oversampling);
        let others = if self.humidity { 2 } else { 1 };
        let us = 1250 + 2300 * samples + others * (2300 * samples + 575);
        Duration::from_micros(us.into())
    }

    fn stuck_after(&self) -> Option<Duration> {
        // The pressure's noise is above its resolution: no two measurements in a minute are alike.
        Some(Duration::from_secs(60))
    }

    fn driver(&self, _: f64) -> Box<dyn Chip> {
        Box::new(Driver { settings: *self, calibration: Calibration::default() })
    }

    fn validate(&self) -> Vec<BadSetting> {
        match self.oversampling {
            1 | 2 | 4 | 8 | 16 => Vec::new(),
            other => {
                let why = format!("must be 1, 2, 4, 8 or 16, is {other}");
                vec![BadSetting { key: "oversampling", why }]
            }
        }
    }
}

struct Driver {
    settings: Bme280,
    calibration: Calibration,
}

impl Driver {
    /// The settings' bits: 1 for one sample, 2 for two, 3 for four…
    fn oversampling(&self) -> u8 {
        self.settings.oversampling.ilog2() as u8 + 1
    }
}

impl Chip for Driver {
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError> {
        let doing = "reading the chip's id";
        let mut id = [0];
        port.write_read(&[ID], &mut id, doing)?;
        match self.settings.humidity {
            true => {
                identify(id[0], &[0x60], "0x60 (BME280); for 0x58 use driver = \"bmp280\"", doing)?
            }
            false => identify(id[0], &[0x56, 0x57, 0x58, 0x60], "0x58 (BMP280)", doing)?,
        };
        port.write(&[RESET, SOFT_RESET], "resetting")?;
        let doing = "waiting for the end of the reset";
        wait.until(START_WAIT, START_WAIT * 10, doing, || {
            let mut status = [0];
            port.write_read(&[STATUS], &mut status, doing)?;
            Ok(status[0] & IM_UPDATE == 0)
        })?;
        let doing = "reading the calibration";
        let (mut first, mut second) = ([0; 26], [0; 7]);
        port.write_read(&[CALIBRATION], &mut first, doing)?;
        driven(&first, doing)?;
        if self.settings.humidity {
            port.write_read(&[CALIBRATION_HUMIDITY], &mut second, doing)?;
            driven(&second, doing)?;
            // Takes effect with the next write of CTRL_MEAS.
            port.write(&[CTRL_HUM, self.oversampling()], "configuring")?;
        }
        self.calibration = Calibration::new(&first, &second);
        // Zero would be divided by: no chip has it.
        if self.calibration.p[0] == 0.0 {
            return Err(fault(doing, "dig_P1 is 0, which no chip has"));
        }
        Ok(())
    }

    fn measure(
        &mut self,
        port: &mut dyn Port,
        wait: &Wait<'_>,
        values: &mut [f32],
    ) -> Result<(), SensorError> {
        let bits = self.oversampling();
        port.write(&[CTRL_MEAS, bits << 5 | bits << 2 | FORCED], "starting a measurement")?;
        let (takes, doing) = (self.settings.takes(), "waiting for the measurement");
        wait.until(takes, takes * 3, doing, || {
            let mut status = [0];
            port.write_read(&[STATUS], &mut status, doing)?;
            Ok(status[0] & MEASURING == 0)
        })?;
        // From CTRL_HUM on, to see that the chip still is as it was set up.
        let mut bytes = [0; 13];
        let doing = "reading the measurement";
        port.write_read(&[CTRL_HUM], &mut bytes, doing)?;
        let [hum, _, meas, _, _, data @ ..] = bytes;
        let as_set = meas & !0b11 == (bits << 5 | bits << 2)
            && (!self.settings.humidity || hum & 0b111 == bits);
        if !as_set {
            let why = format!(
                "CTRL_HUM and CTRL_MEAS read {hum:#04x} {meas:#04x}: the chip lost its \
                               configuration (supply voltage?) or the bus is dead"
            );
            return Err(fault(doing, why));
        }
        let word = |at: usize| {
            u32::from(data[at]) << 12 | u32::from(data[at + 1]) << 4 | u32::from(data[at + 2]) >> 4
        };
        let (pressure, temperature) = (word(0), word(3));
        let humidity = u16::from_be_bytes([data[6], data[7]]);
        if pressure == SKIPPED || temperature == SKIPPED {
            return Err(fault(doing, "nothing was measured"));
        }
        let t_fine = self.calibration.t_fine(temperature);
        values[0] = (t_fine / 5120.0) as f32;
        values[1] = self.calibration.pressure(pressure, t_fine) as f32;
        if self.settings.humidity {
            if humidity == SKIPPED_HUMIDITY {
                return Err(fault(doing, "no humidity was measured"));
            }
            values[2] = self.calibration.humidity(humidity, t_fine) as f32;
        }
        Ok(())
    }
}

/// dig_T1 to dig_H6, section 4.2.2.
#[derive(Debug, Default)]
struct Calibration {
    t: [f64; 3],
    p: [f64; 9],
    h: [f64; 6],
}

impl Calibration {
    fn new(first: &[u8; 26], second: &[u8; 7]) -> Self {
        let unsigned = |at: usize| f64::from(u16::from_le_bytes([first[at], first[at + 1]]));
        let signed = |at: usize| f64::from(i16::from_le_bytes([first[at], first[at + 1]]));
        // H4 and H5 are 12 bits each and share a byte.
        let nibbles = |high: u8, low: u8| f64::from(i16::from(high as i8) << 4 | i16::from(low));
        Self {
            t: [unsigned(0), signed(2), signed(4)],
            p: std::array::from_fn(|n| if n == 0 { unsigned(6) } else { signed(6 + 2 * n) }),
            h: [
                f64::from(first[25]),
                f64::from(i16::from_le_bytes([second[0], second[1]])),
                f64::from(second[2]),
                nibbles(second[3], second[4] & 0x0f),
                nibbles(second[5], second[4] >> 4),
                f64::from(second[6] as i8),
            ],
        }
    }

    /// 5120 times the temperature in °C.
    fn t_fine(&self, raw: u32) -> f64 {
        let [t1, t2, t3] = self.t;
        let raw = f64::from(raw);
        let first = (raw / 16_384.0 - t1 / 1024.0) * t2;
        let second = raw / 131_072.0 - t1 / 8192.0;
        first + second * second * t3
    }

    /// Pa.
    fn pressure(&self, raw: u32, t_fine: f64) -> f64 {
        let [p1, p2, p3, p4, p5, p6, p7, p8, p9] = self.p;
        let a = t_fine / 2.0 - 64_000.0;
        let b = a * a * p6 / 32_768.0 + a * p5 * 2.0;
        let b = b / 4.0 + p4 * 65_536.0;
        let a = (p3 * a * a / 524_288.0 + p2 * a) / 524_288.0;
        let a = (1.0 + a / 32_768.0) * p1;
        let p = (1_048_576.0 - f64::from(raw) - b / 4096.0) * 6250.0 / a;
        p + (p9 * p * p / 2_147_483_648.0 + p * p8 / 32_768.0 + p7) / 16.0
    }

    /// % relative humidity. The data sheet cuts it to 0 to 100; here that is out of range.
    fn humidity(&self, raw: u16, t_fine: f64) -> f64 {
        let [h1, h2, h3, h4, h5, h6] = self.h;
        let t = t_fine - 76_800.0;
        let h = f64::from(raw) - (h4 * 64.0 + h5 / 16_384.0 * t);
        let h = h * (h2 / 65_536.0 * (1.0 + h6 / 67_108_864.0 * t * (1.0 + h3 / 67_108_864.0 * t)));
        h * (1.0 - h1 * h / 524_288.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::bus::Place;
    use crate::sensor::polled::Kind;
    use crate::sensor::polled::bench::{Bench, Bytes};

    /// The BMP280 data sheet's example, section 3.12, with a humidity sensor's calibration beside it.
    fn registers(bytes: &mut Bytes) {
        let t_p: [u16; 12] = [
            27504,
            26435,
            -1000i16 as u16,
            36477,
            -10685i16 as u16,
            3024,
            2855,
            140,
            -7i16 as u16,
            15500,
            -14600i16 as u16,
            6000,
        ];
        for (n, word) in t_p.into_iter().enumerate() {
            bytes.set(CALIBRATION + 2 * n as u8, &word.to_le_bytes());
        }
        // H1 75, H2 361, H3 0, H4 324, H5 0, H6 30: as real chips have them.
        bytes.set(0xa1, &[75]);
        bytes.set(CALIBRATION_HUMIDITY, &[0x69, 0x01, 0, 0x14, 0x04, 0x00, 30]);
        bytes.set(ID, &[0x60]);
        bytes.set(CTRL_HUM, &[0, 0, 0]);
        bytes.set(DATA, &[0x80, 0, 0, 0x80, 0, 0, 0x80, 0]);
    }

    fn model(humidity: bool) -> Kind {
        Kind::Bme280(Bme280 { oversampling: 1, humidity })
    }

    fn bench(humidity: bool) -> Bench {
        Bench::new(model(humidity), 0x76, 1.0, registers, |bytes, register, now| match register {
            RESET => registers(bytes),
            CTRL_MEAS if bytes.get(CTRL_MEAS) & 0b11 != 0 => {
                bytes.set(CTRL_MEAS, &[bytes.get(CTRL_MEAS) & !0b11]);
                let noise = (now.as_millis() % 7) as u32 * 16;
                let word = |raw: u32| [(raw >> 12) as u8, (raw >> 4) as u8, (raw << 4) as u8];
                bytes.set(DATA, &word(415_148 + noise));
                bytes.set(DATA + 3, &word(519_888));
                if bytes.get(CTRL_HUM) != 0 {
                    bytes.set(DATA + 6, &28_000u16.to_be_bytes());
                }
            }
            _ => {}
        })
    }

    #[test]
    fn the_data_sheet_s_example_comes_out() {
        let mut first = [0; 26];
        let mut bytes = Bytes::default();
        registers(&mut bytes);
        for (n, byte) in first.iter_mut().enumerate() {
            *byte = bytes.get(CALIBRATION + n as u8);
        }
        let calibration = Calibration::new(&first, &[0x69, 0x01, 0, 0x14, 0x04, 0x00, 30]);
        assert_eq!(calibration.h, [75.0, 361.0, 0.0, 324.0, 0.0, 30.0]);
        let t_fine = calibration.t_fine(519_888);
        assert!((t_fine / 5120.0 - 25.08).abs() < 0.005, "{t_fine}");
        let pressure = calibration.pressure(415_148, t_fine);
        assert!((pressure - 100_653.27).abs() < 0.05, "{pressure}");
    }

    /// Section 4.2.3: the same in 32-bit integers, 1/1024 %.
    fn humidity_in_integers(raw: i32, t_fine: i32, [h1, h2, h3, h4, h5, h6]: [i32; 6]) -> u32 {
        let v = t_fine - 76_800;
        let left = ((raw << 14) - (h4 << 20) - (h5 * v) + 16_384) >> 15;
        let right = ((((((v * h6) >> 10) * (((v * h3) >> 11) + 32_768)) >> 10) + 2_097_152) * h2
            + 8192)
            >> 14;
        let v = left * right;
        let v = v - (((((v >> 15) * (v >> 15)) >> 7) * h1) >> 4);
        (v.clamp(0, 419_430_400) >> 12) as u32
    }

    #[test]
    fn humidity_is_what_the_data_sheet_s_integers_give() {
        let digits = [75, 361, 0, 324, 7, 30];
        let calibration = Calibration { h: digits.map(f64::from), ..Calibration::default() };
        for raw in [22_000, 25_000, 28_000, 33_000] {
            for t_fine in [0, 60_000, 128_422, 300_000] {
                let expected = f64::from(humidity_in_integers(raw, t_fine, digits)) / 1024.0;
                let found = calibration.humidity(raw as u16, t_fine.into());
                assert!((found - expected).abs() < 0.05, "{raw} {t_fine}: {found} {expected}");
            }
        }
    }

    #[test]
    fn frames_have_their_units_and_come_once_a_second() {
        for humidity in [true, false] {
            let mut bench = bench(humidity);
            let frames = bench.frames(5);
            let (values, _) = frames.frame(0);
            assert!((values[0] - 25.08).abs() < 0.01 && (values[1] - 100_653.0).abs() < 50.0);
            assert_eq!(values.len(), if humidity { 3 } else { 2 });
            if humidity {
                assert!((20.0..80.0).contains(&values[2]), "{values:?}");
            }
        }
    }

    #[test]
    fn faults_are_faults_and_never_data() {
        bench(true).faults();
        bench(false).faults();
    }

    #[test]
    fn over_spi_it_is_the_same_chip() {
        for humidity in [true, false] {
            let (reset, on_write) = bench(humidity).made();
            Bench::over_spi(bench(humidity).settings(), || {
                let mut bytes = Bytes::new(reset, on_write);
                bytes.high = 0x80;
                bytes
            });
        }
    }

    #[test]
    fn another_chip_and_a_chip_without_humidity_are_refused_by_their_id() {
        for (id, humidity) in [(0x58, true), (0x61, true), (0x61, false)] {
            let bench = bench(humidity);
            bench.bytes(|bytes| bytes.set(ID, &[id]));
            let error = bench.open().err().unwrap();
            assert!(
                matches!(error, SensorError::WrongChip { found, .. } if found == id),
                "{error}"
            );
        }
    }

    #[test]
    fn a_chip_that_is_never_ready_is_a_fault() {
        let mut bench = bench(true);
        bench.frames(1);
        bench.bytes(|bytes| bytes.hold(STATUS, MEASURING));
        assert!(bench.error().contains("waiting for the measurement: it is not ready after"));
    }

    #[test]
    fn rates_and_oversampling_that_the_chip_cannot_do_are_refused() {
        let settings = |oversampling, rate_hz| crate::sensor::PolledSettings {
            place: Place::i2c("/dev/i2c-1", 0x76),
            rate_hz,
            kind: Kind::Bme280(Bme280 { oversampling, humidity: true }),
        };
        assert!(settings(1, 100.0).validate().is_empty());
        assert_eq!(settings(16, 100.0).validate()[0].key, "rate");
        assert_eq!(settings(3, 1.0).validate()[0].key, "oversampling");
        assert_eq!(settings(1, 0.0).validate()[0].key, "rate");
    }
}
