//! InvenSense MPU-6050 over I²C: acceleration and angular rate through the chip's FIFO.
//!
//! The chip samples by its own clock into its FIFO (85 frames; half of that on its successors), so
//! that the reading thread's jitter costs nothing. Also for the chips that behave the same in what is
//! used here: MPU-6000 and MPU-9150 (id 0x68), MPU-6500 (0x70), MPU-9250 (0x71), MPU-9255 (0x73).

pub(crate) mod registers;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use registers::*;
pub use registers::{AccelRange, GyroRange, acceleration, angular_rate};
pub use settings::Mpu6050;

use self::settings::Checked;
use super::SensorError;
use super::bus::{Port, fault, identify};
use super::fifo::{Chip, Memory};
use super::polled::Wait;

/// Frames of one bus transfer. Some adapters take no more than 255 bytes.
const TRANSFER_FRAMES: usize = 20;

/// The data sheet gives 100 ms for a reset, and 30 ms for the gyroscope to start.
const RESET_WAIT: Duration = Duration::from_millis(100);
const START_WAIT: Duration = Duration::from_millis(50);

/// Reads in a row that may find part of a frame in the FIFO: the chip was writing. More of them mean
/// that bytes were lost and that frames no longer begin where they should.
const PARTIAL_READS_MAX: u32 = 8;

/// A driver of an MPU-6050.
struct Driver {
    settings: Checked,
    /// Bytes that the FIFO can hold.
    capacity: usize,
    partial_reads: u32,
}

impl Driver {
    fn configure(&self, port: &mut dyn Port, id: u8) -> Result<(), SensorError> {
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
            port.write(&[*register, *value], "configuring")?;
        }
        for (register, name, value) in wanted {
            let doing = "checking the configuration";
            let found = get(port, *register, doing)?;
            if found != *value {
                return Err(fault(
                    doing,
                    format!("wrote {value:#04x} to {name}, it reads {found:#04x}"),
                ));
            }
        }
        Ok(())
    }

    fn check_running(&self, port: &mut dyn Port) -> Result<(), SensorError> {
        let doing = "checking that the chip still runs";
        let mut found = [0; 3];
        port.write_read(&[USER_CTRL], &mut found, doing)?;
        if found == [USER_FIFO_EN, CLKSEL_PLL_X, 0] {
            return Ok(());
        }
        let [user_ctrl, power_1, power_2] = found;
        let why = format!(
            "USER_CTRL, PWR_MGMT_1 and 2 read {user_ctrl:#04x} {power_1:#04x} {power_2:#04x}: the \
             chip lost its configuration (supply voltage?) or the bus is dead"
        );
        Err(fault(doing, why))
    }

    fn convert(&self, frame: &[u8], values: &mut [f32]) {
        for (axis, (raw, value)) in frame.chunks_exact(2).zip(values).enumerate() {
            let raw = i16::from_be_bytes([raw[0], raw[1]]);
            *value = match axis {
                0..3 => acceleration(raw, self.settings.accel_range),
                _ => angular_rate(raw, self.settings.gyro_range),
            };
        }
    }
}

fn get(port: &mut dyn Port, register: u8, doing: &'static str) -> Result<u8, SensorError> {
    let mut value = [0];
    port.write_read(&[register], &mut value, doing)?;
    Ok(value[0])
}

impl Chip for Driver {
    /// Takes 150 ms.
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError> {
        let doing = "reading WHO_AM_I";
        let found = get(port, WHO_AM_I, doing)?;
        let expected = "0x68 (MPU-6050), 0x70 (MPU-6500), 0x71 (MPU-9250) or 0x73 (MPU-9255)";
        let id = identify(found, &[0x68, 0x70, 0x71, 0x73], expected, doing)?;
        self.capacity = if id == 0x68 { 1024 } else { 512 };
        port.write(&[PWR_MGMT_1, DEVICE_RESET], "resetting")?;
        wait.pause(RESET_WAIT);
        let doing = "waiting for the end of the reset";
        if get(port, PWR_MGMT_1, doing)? & DEVICE_RESET != 0 {
            return Err(fault(doing, "DEVICE_RESET stays set"));
        }
        port.write(&[PWR_MGMT_1, CLKSEL_PLL_X], "waking")?;
        wait.pause(START_WAIT);
        self.configure(port, id)
    }

    fn capacity(&self) -> usize {
        self.capacity / FRAME_BYTES
    }

    fn restart(&mut self, port: &mut dyn Port) -> Result<(), SensorError> {
        let doing = "restarting the FIFO";
        // The reset works only while the FIFO is off (section 4.29).
        port.write(&[USER_CTRL, USER_FIFO_RESET], doing)?;
        get(port, INT_STATUS, doing)?;
        port.write(&[USER_CTRL, USER_FIFO_EN], doing)?;
        self.partial_reads = 0;
        Ok(())
    }

    fn waiting(&mut self, port: &mut dyn Port) -> Result<usize, SensorError> {
        let doing = "reading FIFO_COUNT";
        let mut count = [0; 2];
        port.write_read(&[FIFO_COUNT_H], &mut count, doing)?;
        let count = usize::from(u16::from_be_bytes(count));
        if count > self.capacity {
            let why = format!("says {count} bytes, the FIFO holds {}", self.capacity);
            return Err(fault(doing, why));
        }
        let partial = !count.is_multiple_of(FRAME_BYTES);
        self.partial_reads = if partial { self.partial_reads + 1 } else { 0 };
        Ok(count / FRAME_BYTES)
    }

    fn take(&mut self, port: &mut dyn Port, values: &mut [f32]) -> Result<(), SensorError> {
        let mut bytes = [0; TRANSFER_FRAMES * FRAME_BYTES];
        for part in values.chunks_mut(TRANSFER_FRAMES * CHANNELS) {
            let bytes = &mut bytes[..part.len() * 2];
            port.write_read(&[FIFO_R_W], bytes, "reading the FIFO")?;
            for (frame, values) in
                bytes.chunks_exact(FRAME_BYTES).zip(part.chunks_exact_mut(CHANNELS))
            {
                self.convert(frame, values);
            }
        }
        Ok(())
    }

    fn check(&mut self, port: &mut dyn Port) -> Result<Memory, SensorError> {
        // An overflow moves the frames' borders, too.
        let status = get(port, INT_STATUS, "reading INT_STATUS")?;
        self.check_running(port)?;
        let lost = status & FIFO_OFLOW != 0 || self.partial_reads > PARTIAL_READS_MAX;
        Ok(if lost { Memory::Lost } else { Memory::Whole })
    }
}
