//! TI OPT3001 over I²C: illuminance as the eye sees it.
//!
//! Source: TI SBOS681C (registers, section 7.6; result, equation 3; ids, tables 12 and 13).

use std::time::Duration;

use super::bus::{Port, driven, fault};
use super::polled::{Chip, Model, Wait};
use super::{Channel, SensorError};

const RESULT: u8 = 0x00;
const CONFIGURATION: u8 = 0x01;
const MANUFACTURER: u8 = 0x7e;
const DEVICE: u8 = 0x7f;

/// Automatic range, 100 ms, one measurement, no latch.
const MEASURE: u16 = 0xc200;
/// CONFIGURATION: what stays as it was written; a measurement ends in shutdown.
const KEPT: u16 = 0xf800;
/// CONFIGURATION: beyond the highest range; a result is ready.
const OVERFLOW: u16 = 0x0100;
const READY: u16 = 0x0080;

/// 100 ms, 10 % slower at most, and 10 ms for the automatic range.
const MEASURE_WAIT: Duration = Duration::from_millis(120);

/// Settings of the driver `opt3001`: there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt3001;

impl Model for Opt3001 {
    fn addresses(&self) -> &[u8] {
        &[0x44, 0x45, 0x46, 0x47]
    }

    fn channels(&self) -> Vec<Channel> {
        vec![Channel::new("illuminance", "lx").within(0.0, 83_865.6)]
    }

    fn takes(&self) -> Duration {
        MEASURE_WAIT
    }

    fn stuck_after(&self) -> Option<Duration> {
        // In the dark it is 0 for a whole night.
        None
    }

    fn driver(&self, _: f64) -> Box<dyn Chip> {
        Box::new(Driver)
    }
}

struct Driver;

fn get(port: &mut dyn Port, register: u8, doing: &'static str) -> Result<u16, SensorError> {
    let mut bytes = [0; 2];
    port.write_read(&[register], &mut bytes, doing)?;
    Ok(u16::from_be_bytes(bytes))
}

impl Chip for Driver {
    fn start(&mut self, port: &mut dyn Port, _: &Wait<'_>) -> Result<(), SensorError> {
        let doing = "reading the chip's id";
        let (manufacturer, device) = (get(port, MANUFACTURER, doing)?, get(port, DEVICE, doing)?);
        // "TI".
        if (manufacturer, device) == (0x5449, 0x3001) {
            return Ok(());
        }
        driven(&manufacturer.to_be_bytes(), doing)?;
        let found = device.to_be_bytes()[1];
        Err(SensorError::WrongChip {
            found,
            expected: "manufacturer 0x5449, device 0x3001 (OPT3001)",
        })
    }

    fn measure(
        &mut self,
        port: &mut dyn Port,
        wait: &Wait<'_>,
        values: &mut [f32],
    ) -> Result<(), SensorError> {
        let [high, low] = MEASURE.to_be_bytes();
        port.write(&[CONFIGURATION, high, low], "starting a measurement")?;
        let mut found = 0;
        let doing = "waiting for the measurement";
        wait.until(MEASURE_WAIT, MEASURE_WAIT * 3, doing, || {
            found = get(port, CONFIGURATION, doing)?;
            driven(&found.to_be_bytes(), doing)?;
            Ok(found & READY != 0)
        })?;
        if found & KEPT != MEASURE & KEPT {
            let why =
                format!("CONFIGURATION reads {found:#06x}: the chip lost it (supply voltage?)");
            return Err(fault(doing, why));
        }
        let raw = get(port, RESULT, "reading the measurement")?;
        if raw == u16::MAX {
            return Err(fault("reading the measurement", "every bit is 1, which no result has"));
        }
        values[0] = match found & OVERFLOW {
            0 => lux(raw),
            _ => f32::INFINITY,
        };
        Ok(())
    }
}

/// lx from the result register: 4 bits of exponent, 12 of mantissa; one step is 0.01 lx and up.
fn lux(raw: u16) -> f32 {
    0.01 * f32::from(1u16 << (raw >> 12)) * f32::from(raw & 0x0fff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::sensor::Sensor as _;
    use crate::sensor::bus::Place;
    use crate::sensor::polled::bench::{Bench, Words, opened};
    use crate::sensor::polled::{Kind, PolledSettings};
    use crate::sensor::sim::Sim;

    fn settings() -> PolledSettings {
        PolledSettings {
            place: Place::i2c("/dev/i2c-1", 0x44),
            rate_hz: 1.0,
            kind: Kind::Opt3001(Opt3001),
        }
    }

    fn model() -> Words {
        let reset = &[(CONFIGURATION, 0xc810), (MANUFACTURER, 0x5449), (DEVICE, 0x3001)];
        Words::new(reset, |words, register, now| {
            if register == CONFIGURATION && words[1] & 0x0600 == 0x0200 {
                words[1] = words[1] & !0x0600 | READY;
                words[0] = 0x2100 + (now.as_millis() % 3) as u16;
            }
        })
    }

    #[test]
    fn results_are_the_data_sheet_s() {
        // Table 9.
        for (raw, expected) in
            [(0x0001, 0.01), (0x3456, 88.80), (0x789a, 2818.56), (0xb000 | 0xfff, 83_865.6)]
        {
            assert!((lux(raw) / expected - 1.0).abs() < 1e-5, "{raw:#06x}: {}", lux(raw));
        }
    }

    #[test]
    fn a_measurement_has_its_unit_and_too_much_light_is_out_of_range() {
        let clock = std::sync::Arc::new(ManualClock::auto());
        let sim = Sim::at(0x44, clock.clone(), model());
        let mut sensor = opened(&sim, &settings(), clock.clone()).unwrap();
        let mut frames = crate::data::Frames::new(1, 4);
        assert_eq!(sensor.read(&mut frames), Ok(1));
        assert!((frames.values()[0] - 10.24).abs() < 0.1, "{:?}", frames.values());
        sim.with(|chip| chip.also(CONFIGURATION, OVERFLOW));
        clock.advance(Duration::from_secs(1));
        assert_eq!(sensor.read(&mut frames), Ok(1));
        assert_eq!(frames.values()[1], f32::INFINITY);
    }

    #[test]
    fn faults_are_faults_and_never_data() {
        Bench::faults_of(settings(), model);
    }

    #[test]
    fn another_chip_is_refused() {
        let clock = std::sync::Arc::new(ManualClock::auto());
        let other = Words::new(&[(MANUFACTURER, 0x5449), (DEVICE, 0x3002)], |_, _, _| {});
        let sim = Sim::at(0x44, clock.clone(), other);
        let error = opened(&sim, &settings(), clock).err().unwrap();
        assert!(matches!(error, SensorError::WrongChip { found: 0x02, .. }), "{error}");
    }
}
