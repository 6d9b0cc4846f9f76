//! ST VL53L0X over I²C: distance by the time that light takes.
//!
//! Sources: ST DocID029104 revision 2 (the chip; it documents few registers), UM2039 and ST's API STSW-IMG005 for the order
//! of what is written, the timing budget and the meaning of a result's status. The public crate counts bus reads instead of
//! time and passes the status over, so this is a driver of our own.

mod budget;
#[cfg(test)]
mod tests;
mod tuning;

use std::time::Duration;

use super::bus::{Port, driven, fault, identify};
use super::polled::{Chip, Model, Wait};
use super::{Channel, SensorError};
use budget::{LEAST_US, final_range};
use tuning::TUNING;

const SYSRANGE_START: u8 = 0x00;
const SEQUENCE_CONFIG: u8 = 0x01;
const INTERRUPT_CONFIG_GPIO: u8 = 0x0a;
const INTERRUPT_CLEAR: u8 = 0x0b;
const RESULT_INTERRUPT_STATUS: u8 = 0x13;
/// 12 bytes; the first is the status, the last two are the distance in mm.
const RESULT_RANGE_STATUS: u8 = 0x14;
const MIN_COUNT_RATE_LIMIT: u8 = 0x44;
const MSRC_CONFIG_CONTROL: u8 = 0x60;
/// Two bytes, see [`budget`].
const FINAL_RANGE_TIMEOUT: u8 = 0x71;
const GPIO_HV_MUX_ACTIVE_HIGH: u8 = 0x84;
/// Bit 0: the bus's lines are at 2.8 V, as on every breakout board.
const PAD_CONFIG: u8 = 0x89;
/// Six bytes: which of the reference detectors are in use.
const SPAD_ENABLES: u8 = 0xb0;
const REF_START_SELECT: u8 = 0xb6;
const MODEL_ID: u8 = 0xc0;
/// Which page of registers the others are of; 0 but for settings.
const PAGE: u8 = 0xff;

const ID: u8 = 0xee;
/// DSS, pre-range and final range.
const SEQUENCE: u8 = 0xe8;
/// Results with a signal below 0.25 million counts a second are marked; 9.7 bits.
const MIN_COUNT_RATE: u16 = 32;
/// RESULT_INTERRUPT_STATUS: a result is there.
const READY: u8 = 0x07;

/// What a calibration or the non-volatile memory may take.
const STEP_MAX: Duration = Duration::from_millis(100);
/// Transfers, and a budget that is kept within a few percent.
const OVERHEAD: Duration = Duration::from_millis(3);
/// More does not make a result much better, and nothing is known of what moves meanwhile.
const BUDGET_MAX_US: u32 = 200_000;
/// Share of a period that a measurement may take.
const SHARE: f64 = 0.8;

/// Settings of the driver `vl53l0x`: there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vl53l0x;

impl Model for Vl53l0x {
    fn addresses(&self) -> &[u8] {
        &[0x29]
    }

    fn channels(&self) -> Vec<Channel> {
        vec![Channel::new("distance", "m").within(0.0, 2.0)]
    }

    /// With the least budget.
    fn takes(&self) -> Duration {
        Duration::from_micros(LEAST_US.into()) + OVERHEAD
    }

    fn stuck_after(&self) -> Option<Duration> {
        // A wall may be as many millimetres away for hours.
        None
    }

    fn driver(&self, rate_hz: f64) -> Box<dyn Chip> {
        Box::new(Driver { budget_us: budget_us(rate_hz), stop: 0 })
    }
}

/// The longest measurement that fits: the longer, the less noise.
fn budget_us(rate_hz: f64) -> u32 {
    let fits = SHARE * 1e6 / rate_hz - OVERHEAD.as_micros() as f64;
    (fits as u32).clamp(LEAST_US, BUDGET_MAX_US)
}

struct Driver {
    budget_us: u32,
    /// What ST calls the stop variable: read once, written before each measurement.
    stop: u8,
}

/// A port to this chip.
struct Registers<'a>(&'a mut dyn Port);

impl Registers<'_> {
    fn set(&mut self, register: u8, value: u8, doing: &'static str) -> Result<(), SensorError> {
        self.0.write(&[register, value], doing)
    }

    fn set_all(&mut self, all: &[(u8, u8)], doing: &'static str) -> Result<(), SensorError> {
        all.iter().try_for_each(|(register, value)| self.set(*register, *value, doing))
    }

    fn get(&mut self, register: u8, doing: &'static str) -> Result<u8, SensorError> {
        let mut value = [0];
        self.0.write_read(&[register], &mut value, doing)?;
        Ok(value[0])
    }

    fn change(
        &mut self,
        register: u8,
        doing: &'static str,
        to: impl FnOnce(u8) -> u8,
    ) -> Result<(), SensorError> {
        let value = self.get(register, doing)?;
        self.set(register, to(value), doing)
    }

    /// Waits for a result, asking first after `first`.
    fn ready(
        &mut self,
        wait: &Wait<'_>,
        first: Duration,
        limit: Duration,
        doing: &'static str,
    ) -> Result<(), SensorError> {
        wait.until(first, limit, doing, || {
            let status = self.get(RESULT_INTERRUPT_STATUS, doing)?;
            if status == 0xff {
                driven(&[status], doing)?;
            }
            Ok(status & READY != 0)
        })
    }

    /// One of the two calibrations that come before the first measurement.
    fn calibrate(&mut self, wait: &Wait<'_>, step: u8, start: u8) -> Result<(), SensorError> {
        let doing = "calibrating";
        self.set(SEQUENCE_CONFIG, step, doing)?;
        self.set(SYSRANGE_START, start, doing)?;
        self.ready(wait, Duration::from_millis(1), STEP_MAX, doing)?;
        self.set_all(&[(INTERRUPT_CLEAR, 1), (SYSRANGE_START, 0)], doing)
    }

    /// How many reference detectors the factory chose, and whether they are those with an aperture.
    fn spads(&mut self, wait: &Wait<'_>) -> Result<(u8, bool), SensorError> {
        let doing = "reading the reference detectors";
        self.set_all(&[(0x80, 1), (PAGE, 1), (0x00, 0), (PAGE, 6)], doing)?;
        self.change(0x83, doing, |value| value | 0x04)?;
        self.set_all(&[(PAGE, 7), (0x81, 1), (0x80, 1), (0x94, 0x6b), (0x83, 0)], doing)?;
        wait.until(Duration::from_millis(1), STEP_MAX, doing, || Ok(self.get(0x83, doing)? != 0))?;
        self.set(0x83, 1, doing)?;
        let found = self.get(0x92, doing)?;
        self.set_all(&[(0x81, 0), (PAGE, 6)], doing)?;
        self.change(0x83, doing, |value| value & !0x04)?;
        self.set_all(&[(PAGE, 1), (0x00, 1), (PAGE, 0), (0x80, 0)], doing)?;
        Ok((found & 0x7f, found & 0x80 != 0))
    }
}

/// Of the detectors that are good, `count` stay in use; those with an aperture begin at the twelfth.
fn enabled(good: [u8; 6], count: u8, aperture: bool) -> [u8; 6] {
    let (mut left, mut kept) = (count, [0; 6]);
    for detector in if aperture { 12 } else { 0 }..48 {
        let (byte, bit) = (detector / 8, 1 << (detector % 8));
        if left > 0 && good[byte] & bit != 0 {
            kept[byte] |= bit;
            left -= 1;
        }
    }
    kept
}

impl Driver {
    /// ST's "data init" and "static init".
    fn set_up(&mut self, chip: &mut Registers<'_>, wait: &Wait<'_>) -> Result<(), SensorError> {
        let doing = "configuring";
        chip.set(PAGE, 0, doing)?;
        chip.change(PAD_CONFIG, doing, |value| value | 0x01)?;
        chip.set_all(&[(0x88, 0), (0x80, 1), (PAGE, 1), (0x00, 0)], doing)?;
        self.stop = chip.get(0x91, doing)?;
        chip.set_all(&[(0x00, 1), (PAGE, 0), (0x80, 0)], doing)?;
        // The limits of the steps before the last are for its result alone to keep.
        chip.change(MSRC_CONFIG_CONTROL, doing, |value| value | 0x12)?;
        chip.set(SEQUENCE_CONFIG, 0xff, doing)?;
        let (count, aperture) = chip.spads(wait)?;
        let mut good = [0; 6];
        chip.0.write_read(&[SPAD_ENABLES], &mut good, doing)?;
        chip.set_all(&[(PAGE, 1), (0x4f, 0), (0x4e, 0x2c), (PAGE, 0)], doing)?;
        chip.set(REF_START_SELECT, 0xb4, doing)?;
        let [a, b, c, d, e, f] = enabled(good, count, aperture);
        chip.0.write(&[SPAD_ENABLES, a, b, c, d, e, f], doing)?;
        chip.set_all(&TUNING, "tuning")?;
        // The tuning has another.
        let [high, low] = MIN_COUNT_RATE.to_be_bytes();
        chip.0.write(&[MIN_COUNT_RATE_LIMIT, high, low], doing)?;
        // "A new result" is what its interrupt says.
        chip.set(INTERRUPT_CONFIG_GPIO, 0x04, doing)?;
        chip.change(GPIO_HV_MUX_ACTIVE_HIGH, doing, |value| value & !0x10)?;
        chip.set_all(&[(INTERRUPT_CLEAR, 1), (SEQUENCE_CONFIG, SEQUENCE)], doing)?;
        let [high, low] = final_range(self.budget_us);
        chip.0.write(&[FINAL_RANGE_TIMEOUT, high, low], doing)
    }

    /// Fails unless the chip still is as it was set up.
    fn check(&self, chip: &mut Registers<'_>) -> Result<(), SensorError> {
        let doing = "checking that the chip still is as it was set up";
        let mut timeout = [0; 2];
        let (id, sequence) = (chip.get(MODEL_ID, doing)?, chip.get(SEQUENCE_CONFIG, doing)?);
        chip.0.write_read(&[FINAL_RANGE_TIMEOUT], &mut timeout, doing)?;
        if (id, sequence, timeout) == (ID, SEQUENCE, final_range(self.budget_us)) {
            return Ok(());
        }
        let why = format!(
            "its id, sequence and time-out read {id:#04x} {sequence:#04x} {timeout:02x?}: the chip lost its configuration \
             (supply voltage?) or the bus is dead"
        );
        Err(fault(doing, why))
    }
}

impl Chip for Driver {
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError> {
        let (mut chip, doing) = (Registers(port), "reading the chip's id");
        let mut id = chip.get(MODEL_ID, doing)?;
        if id != ID {
            // A transfer that failed may have left it at another page.
            chip.set_all(&[(PAGE, 0), (0x80, 0)], doing)?;
            id = chip.get(MODEL_ID, doing)?;
        }
        identify(id, &[ID], "0xee (VL53L0X)", doing)?;
        self.set_up(&mut chip, wait)?;
        chip.calibrate(wait, 0x01, 0x41)?;
        chip.calibrate(wait, 0x02, 0x01)?;
        chip.set(SEQUENCE_CONFIG, SEQUENCE, "configuring")?;
        self.check(&mut chip)
    }

    fn measure(
        &mut self,
        port: &mut dyn Port,
        wait: &Wait<'_>,
        values: &mut [f32],
    ) -> Result<(), SensorError> {
        let mut chip = Registers(port);
        let doing = "starting a measurement";
        chip.set_all(&[(0x80, 1), (PAGE, 1), (0x00, 0), (0x91, self.stop)], doing)?;
        chip.set_all(&[(0x00, 1), (PAGE, 0), (0x80, 0), (SYSRANGE_START, 1)], doing)?;
        let budget = Duration::from_micros(self.budget_us.into());
        chip.ready(wait, budget, budget + STEP_MAX, "waiting for the measurement")?;
        let (doing, mut result) = ("reading the measurement", [0; 12]);
        chip.0.write_read(&[RESULT_RANGE_STATUS], &mut result, doing)?;
        driven(&result, doing)?;
        chip.set(INTERRUPT_CLEAR, 1, doing)?;
        self.check(&mut chip)?;
        let [status, .., high, low] = result;
        values[0] = distance(status >> 3 & 0x0f, u16::from_be_bytes([high, low]))?;
        Ok(())
    }
}

/// Metres from a result of ST's status `status`: infinite where nothing reflects within reach, minus infinite where it is
/// too near, NaN where light came back that says nothing.
fn distance(status: u8, mm: u16) -> Result<f32, SensorError> {
    match status {
        11 => Ok(f32::from(mm) / 1000.0),
        1..=3 => {
            let why = format!("the laser failed its own test ({status})");
            Err(fault("measuring", why))
        }
        // Nothing there; a phase that belongs to something beyond the reach.
        4 | 6 | 9 => Ok(f32::INFINITY),
        8 | 10 => Ok(f32::NEG_INFINITY),
        // Too noisy, below or above what can be computed, covered by what is next to it.
        _ => Ok(f32::NAN),
    }
}
