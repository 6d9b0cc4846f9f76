//! Sensirion SHT30, SHT31 and SHT35 over I²C: temperature and relative humidity.
//!
//! Source: "Datasheet SHT3x-DIS", version 6 (commands, section 4; measurement time, table 4; conversion, section
//! 4.13; checksum, section 4.12). The chip has no id; its checksums are what tells it from another.

use std::time::Duration;

use super::bus::{Port, driven, fault};
use super::polled::{Chip, Model, Wait};
use super::{Channel, SensorError};

/// Single shot, high repeatability, without holding the clock.
const MEASURE: [u8; 2] = [0x24, 0x00];
const SOFT_RESET: [u8; 2] = [0x30, 0xa2];
const READ_STATUS: [u8; 2] = [0xf3, 0x2d];

const RESET_WAIT: Duration = Duration::from_millis(2);
/// 15.5 ms at most, with a little over.
const MEASURE_WAIT: Duration = Duration::from_millis(17);

/// Settings of the driver `sht3x`: there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sht3x;

impl Model for Sht3x {
    fn addresses(&self) -> &[u8] {
        &[0x44, 0x45]
    }

    fn channels(&self) -> Vec<Channel> {
        vec![
            Channel::new("temperature", "°C").within(-40.0, 125.0),
            Channel::new("humidity", "%").within(0.0, 100.0),
        ]
    }

    fn takes(&self) -> Duration {
        MEASURE_WAIT
    }

    fn stuck_after(&self) -> Option<Duration> {
        // Two words of 16 bits with noise above their resolution.
        Some(Duration::from_secs(60))
    }

    fn driver(&self, _: f64) -> Box<dyn Chip> {
        Box::new(Driver)
    }
}

struct Driver;

impl Chip for Driver {
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError> {
        port.write(&SOFT_RESET, "resetting")?;
        wait.pause(RESET_WAIT);
        let doing = "reading the status";
        let mut bytes = [0; 3];
        port.write_read(&READ_STATUS, &mut bytes, doing)?;
        driven(&bytes, doing)?;
        word(bytes, doing)?;
        Ok(())
    }

    fn measure(
        &mut self,
        port: &mut dyn Port,
        wait: &Wait<'_>,
        values: &mut [f32],
    ) -> Result<(), SensorError> {
        port.write(&MEASURE, "starting a measurement")?;
        wait.pause(MEASURE_WAIT);
        let mut bytes = [0; 6];
        let doing = "reading the measurement";
        port.read(&mut bytes, doing)?;
        driven(&bytes, doing)?;
        let [a, b, c, d, e, f] = bytes;
        values[0] = -45.0 + 175.0 * f32::from(word([a, b, c], doing)?) / 65_535.0;
        values[1] = 100.0 * f32::from(word([d, e, f], doing)?) / 65_535.0;
        Ok(())
    }
}

/// Two bytes whose checksum is right.
fn word([high, low, sum]: [u8; 3], doing: &'static str) -> Result<u16, SensorError> {
    let expected = checksum(&[high, low]);
    if sum != expected {
        let why = format!(
            "the checksum is {sum:#04x} and should be {expected:#04x}: noise on the bus, or another chip"
        );
        return Err(fault(doing, why));
    }
    Ok(u16::from_be_bytes([high, low]))
}

/// CRC-8, polynomial 0x31, begins with 0xff.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| crc << 1 ^ if crc & 0x80 != 0 { 0x31 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::sensor::Sensor as _;
    use crate::sensor::bus::Place;
    use crate::sensor::polled::bench::{Bench, opened};
    use crate::sensor::polled::{Kind, PolledSettings};
    use crate::sensor::sim::{Device, Sim};

    /// Answers commands of two bytes.
    #[derive(Default)]
    struct Model {
        now: Duration,
        answer: Vec<u8>,
        spoilt: bool,
    }

    impl Device for Model {
        fn catch_up(&mut self, now: Duration) {
            self.now = now;
        }

        fn write(&mut self, bytes: &[u8]) {
            let noise = (self.now.as_millis() % 5) as u16;
            let words: &[u16] = match bytes {
                [0x24, 0x00] => &[0x6666 + noise, 0x8000],
                [0xf3, 0x2d] => &[0x8010],
                _ => &[],
            };
            self.answer.clear();
            for word in words {
                let word = word.to_be_bytes();
                self.answer.extend([word[0], word[1], checksum(&word) ^ u8::from(self.spoilt)]);
            }
        }

        fn read_byte(&mut self) -> u8 {
            if self.answer.is_empty() { 0xff } else { self.answer.remove(0) }
        }

        fn power(&mut self, _: bool) {
            self.answer.clear();
        }
    }

    fn settings() -> PolledSettings {
        PolledSettings {
            place: Place::i2c("/dev/i2c-1", 0x44),
            rate_hz: 1.0,
            kind: Kind::Sht3x(Sht3x),
        }
    }

    #[test]
    fn the_data_sheet_s_checksum_comes_out() {
        assert_eq!(checksum(&[0xbe, 0xef]), 0x92);
    }

    #[test]
    fn a_measurement_has_its_units() {
        let clock = std::sync::Arc::new(ManualClock::auto());
        let sim = Sim::at(0x44, clock.clone(), Model::default());
        let mut sensor = opened(&sim, &settings(), clock.clone()).unwrap();
        let mut frames = crate::data::Frames::new(2, 4);
        assert_eq!(sensor.read(&mut frames), Ok(1));
        let (values, _) = frames.frame(0);
        assert!((values[0] - 25.0).abs() < 0.02 && (values[1] - 50.0).abs() < 0.01, "{values:?}");
        sim.with(|chip| chip.spoilt = true);
        clock.advance(Duration::from_secs(1));
        let error = sensor.read(&mut frames).unwrap_err().to_string();
        assert!(error.contains("the checksum is"), "{error}");
    }

    #[test]
    fn faults_are_faults_and_never_data() {
        Bench::faults_of(settings(), Model::default);
    }
}
