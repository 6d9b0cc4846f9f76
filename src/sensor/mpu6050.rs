//! InvenSense MPU-6050 over I²C: acceleration and angular rate through the chip's FIFO.
//!
//! The chip samples by its own clock into its FIFO (85 frames; half of that on its successors), so
//! that the reading thread's jitter costs nothing. Also for the chips that behave the same in what is
//! used here: MPU-6000 and MPU-9150 (id 0x68), MPU-6500 (0x70), MPU-9250 (0x71), MPU-9255 (0x73).

pub(crate) mod registers;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use embedded_hal::i2c::I2c;

use registers::*;
pub use registers::{AccelRange, GyroRange, acceleration, angular_rate};
pub use settings::Mpu6050Settings;

use self::settings::Checked;
use super::bus::{bus_error, identify};
use super::{Placed, Sensor, SensorError, SensorSpec, Timeline};
use crate::clock::Clock;
use crate::data::Frames;

/// Frames of one bus transfer. Some adapters take no more than 255 bytes.
const TRANSFER_FRAMES: usize = 20;

/// The data sheet gives 100 ms for a reset, and 30 ms for the gyroscope to start.
const RESET_WAIT: Duration = Duration::from_millis(100);
const START_WAIT: Duration = Duration::from_millis(50);

/// The FIFO holds several frames, so there is no need to come more often than this.
const POLL_PERIOD_MIN: Duration = Duration::from_millis(5);

/// Reads in a row that may find part of a frame in the FIFO: the chip was writing. More of them mean
/// that bytes were lost and that frames no longer begin where they should.
const PARTIAL_READS_MAX: u32 = 8;

/// An MPU-6050 on a bus of its own.
pub struct Mpu6050<I2C> {
    bus: I2C,
    settings: Checked,
    spec: SensorSpec,
    clock: Arc<dyn Clock>,
    timeline: Timeline,
    /// Bytes that the FIFO can hold.
    capacity: usize,
    buffer: Box<[u8; 1024]>,
    partial_reads: u32,
}

impl<I2C: I2c> Mpu6050<I2C> {
    /// Checks the chip's id, resets it, sets it up and starts the FIFO; takes 150 ms of `clock`.
    ///
    /// # Errors
    /// [`SensorError::WrongChip`] when another chip answers, [`SensorError::Unusable`] when the chip
    /// cannot do what is set, [`SensorError::Bus`] otherwise.
    pub fn new(
        bus: I2C,
        settings: &Mpu6050Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SensorError> {
        let checked = settings.checked()?;
        let spec = settings.spec()?;
        let period = Duration::from_millis(u64::from(checked.divider) + 1);
        let mut chip = Self {
            bus,
            settings: checked,
            spec,
            timeline: Timeline::new(period, clock.monotonic()),
            clock,
            capacity: 0,
            buffer: Box::new([0; 1024]),
            partial_reads: 0,
        };
        let id = chip.identify()?;
        chip.capacity = if id == 0x68 { 1024 } else { 512 };
        chip.reset()?;
        chip.configure(id)?;
        chip.restart_fifo()?;
        Ok(chip)
    }

    fn identify(&mut self) -> Result<u8, SensorError> {
        let doing = "reading WHO_AM_I";
        let found = self.get(WHO_AM_I, doing)?;
        let expected = "0x68 (MPU-6050), 0x70 (MPU-6500), 0x71 (MPU-9250) or 0x73 (MPU-9255)";
        identify(found, &[0x68, 0x70, 0x71, 0x73], expected, doing)
    }

    fn reset(&mut self) -> Result<(), SensorError> {
        self.set(PWR_MGMT_1, DEVICE_RESET, "resetting")?;
        self.wait(RESET_WAIT);
        let doing = "waiting for the end of the reset";
        if self.get(PWR_MGMT_1, doing)? & DEVICE_RESET != 0 {
            return Err(SensorError::Bus { doing, why: "DEVICE_RESET stays set".into() });
        }
        self.set(PWR_MGMT_1, CLKSEL_PLL_X, "waking")?;
        self.wait(START_WAIT);
        Ok(())
    }

    fn configure(&mut self, id: u8) -> Result<(), SensorError> {
        let low_pass = low_pass(self.settings.rate_hz);
        let wanted = [
            (SMPLRT_DIV, "SMPLRT_DIV", self.settings.divider),
            (CONFIG, "CONFIG", low_pass),
            (GYRO_CONFIG, "GYRO_CONFIG", self.settings.gyro_range.bits()),
            (ACCEL_CONFIG, "ACCEL_CONFIG", self.settings.accel_range.bits()),
            (INT_ENABLE, "INT_ENABLE", FIFO_OFLOW),
            (FIFO_EN, "FIFO_EN", FIFO_EN_GYRO_ACCEL),
            (ACCEL_CONFIG_2, "ACCEL_CONFIG_2", low_pass),
        ];
        // On the MPU-6050 itself one filter serves both, and the last register is another.
        let wanted = if id == 0x68 { &wanted[..6] } else { &wanted[..] };
        for (register, _, value) in wanted {
            self.set(*register, *value, "configuring")?;
        }
        for (register, name, value) in wanted {
            let doing = "checking the configuration";
            let found = self.get(*register, doing)?;
            if found != *value {
                let why = format!("wrote {value:#04x} to {name}, it reads {found:#04x}");
                return Err(SensorError::Bus { doing, why });
            }
        }
        Ok(())
    }

    /// Empties the FIFO and lets it run; the next frame begins with a gap.
    fn restart_fifo(&mut self) -> Result<(), SensorError> {
        let doing = "restarting the FIFO";
        // The reset works only while the FIFO is off (section 4.29).
        self.set(USER_CTRL, USER_FIFO_RESET, doing)?;
        self.get(INT_STATUS, doing)?;
        self.set(USER_CTRL, USER_FIFO_EN, doing)?;
        self.partial_reads = 0;
        self.timeline.lose(self.clock.monotonic());
        Ok(())
    }

    /// Fails unless the chip still runs as it was set up: after a dip of its supply it has its reset
    /// values, and a dead bus reads as anything.
    fn check_running(&mut self) -> Result<(), SensorError> {
        let doing = "checking that the chip still runs";
        let mut found = [0; 3];
        self.get_burst(USER_CTRL, &mut found, doing)?;
        if found == [USER_FIFO_EN, CLKSEL_PLL_X, 0] {
            return Ok(());
        }
        let [user_ctrl, power_1, power_2] = found;
        let why = format!(
            "USER_CTRL, PWR_MGMT_1 and 2 read {user_ctrl:#04x} {power_1:#04x} {power_2:#04x}: the \
             chip lost its configuration (supply voltage?) or the bus is dead"
        );
        Err(SensorError::Bus { doing, why })
    }

    fn wait(&self, time: Duration) {
        self.clock.sleep_until(self.clock.monotonic() + time);
    }

    fn set(&mut self, register: u8, value: u8, doing: &'static str) -> Result<(), SensorError> {
        let address = self.settings.address;
        let written = self.bus.write(address, &[register, value]);
        written.map_err(|error| bus_error(doing, address, &error))
    }

    fn get(&mut self, register: u8, doing: &'static str) -> Result<u8, SensorError> {
        let mut value = [0];
        self.get_burst(register, &mut value, doing)?;
        Ok(value[0])
    }

    fn get_burst(
        &mut self,
        register: u8,
        into: &mut [u8],
        doing: &'static str,
    ) -> Result<(), SensorError> {
        let address = self.settings.address;
        let read = self.bus.write_read(address, &[register], into);
        read.map_err(|error| bus_error(doing, address, &error))
    }

    /// Takes `bytes` bytes out of the FIFO into the buffer.
    fn take_fifo(&mut self, bytes: usize) -> Result<(), SensorError> {
        let address = self.settings.address;
        for part in self.buffer[..bytes].chunks_mut(TRANSFER_FRAMES * FRAME_BYTES) {
            let read = self.bus.write_read(address, &[FIFO_R_W], part);
            read.map_err(|error| bus_error("reading the FIFO", address, &error))?;
        }
        Ok(())
    }

    fn convert(&self, frame: &[u8]) -> [f32; 6] {
        std::array::from_fn(|axis| {
            let raw = i16::from_be_bytes([frame[2 * axis], frame[2 * axis + 1]]);
            match axis {
                0..3 => acceleration(raw, self.settings.accel_range),
                _ => angular_rate(raw, self.settings.gyro_range),
            }
        })
    }
}

impl<I2C: I2c + Send> Sensor for Mpu6050<I2C> {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn poll_period(&self) -> Duration {
        self.spec.period().max(POLL_PERIOD_MIN)
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let doing = "reading FIFO_COUNT";
        let mut count = [0; 2];
        self.get_burst(FIFO_COUNT_H, &mut count, doing)?;
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let count = usize::from(u16::from_be_bytes(count));
        if count > self.capacity {
            let why = format!("says {count} bytes, the FIFO holds {}", self.capacity);
            return Err(SensorError::Bus { doing, why });
        }
        let frames = count / FRAME_BYTES;
        self.take_fifo(frames * FRAME_BYTES)?;
        // Asked after the transfer: an overflow during it moves the frames' borders, too.
        let status = self.get(INT_STATUS, "reading INT_STATUS")?;
        self.check_running()?;
        let partial = !count.is_multiple_of(FRAME_BYTES);
        self.partial_reads = if partial { self.partial_reads + 1 } else { 0 };
        if status & FIFO_OFLOW != 0 || self.partial_reads > PARTIAL_READS_MAX {
            self.restart_fifo()?;
            return Ok(0);
        }
        if frames == 0 {
            self.timeline.nothing(now);
            return Ok(0);
        }
        // At most 85 by the check of the count.
        let Placed::At(burst) = self.timeline.place(frames as u32, now, wall) else {
            return Ok(0);
        };
        for (index, frame) in
            (0..).zip(self.buffer[..frames * FRAME_BYTES].chunks_exact(FRAME_BYTES))
        {
            out.push(&self.convert(frame), burst.stamp(index));
        }
        Ok(frames)
    }
}
