//! The simulated chip's registers and FIFO, as RM-MPU-6000A-00 revision 4.2 describes them.

use std::collections::VecDeque;
use std::time::Duration;

use super::device::Device;
use super::playback::{Playback, World};
use crate::sensor::mpu6050::registers::*;

/// Section 4.33 and the product specification: the FIFO's size.
const FIFO_BYTES: usize = 1024;

/// How long a device reset takes here; the data sheet asks to wait 100 ms.
const RESET_TIME: Duration = Duration::from_millis(50);

const REGISTERS: usize = 128;

/// FIFO_EN: the temperature (bit 7).
const FIFO_EN_TEMP: u8 = 0x80;

/// The chip.
pub struct Chip {
    pub(super) world: World,
    registers: [u8; REGISTERS],
    id: u8,
    powered: bool,
    now: Duration,
    reset_until: Duration,
    /// The register that the next byte is read from or written to.
    pointer: u8,
    fifo: VecDeque<u8>,
    last_from_fifo: u8,
}

impl Device for Chip {
    fn catch_up(&mut self, now: Duration) {
        self.now = now;
        while let Some(sample) = self.world.next(now) {
            let asleep = self.registers[usize::from(PWR_MGMT_1)] & SLEEP != 0;
            if self.powered && !asleep && !self.resetting() {
                self.sample(sample);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((&register, values)) = bytes.split_first() else { return };
        self.pointer = register;
        for &value in values {
            if !self.resetting() {
                self.set(self.pointer, value);
            }
            self.move_pointer();
        }
    }

    fn read_byte(&mut self) -> u8 {
        let register = self.pointer;
        self.move_pointer();
        if self.resetting() {
            return if register == PWR_MGMT_1 { DEVICE_RESET } else { 0 };
        }
        let [count_high, count_low] = (self.fifo.len() as u16).to_be_bytes();
        match register {
            INT_STATUS => std::mem::take(&mut self.registers[usize::from(INT_STATUS)]),
            FIFO_COUNT_H => count_high,
            // FIFO_COUNT_L
            0x73 => count_low,
            FIFO_R_W => {
                self.last_from_fifo = self.fifo.pop_front().unwrap_or(self.last_from_fifo);
                self.last_from_fifo
            }
            other => self.registers.get(usize::from(other)).copied().unwrap_or(0),
        }
    }

    fn power(&mut self, on: bool) {
        self.powered = on;
        self.reset();
    }
}

impl Chip {
    pub(super) fn new(playback: Playback) -> Self {
        let mut chip = Self {
            world: World::new(playback),
            registers: [0; REGISTERS],
            id: 0x68,
            powered: true,
            now: Duration::ZERO,
            reset_until: Duration::ZERO,
            pointer: 0,
            fifo: VecDeque::with_capacity(FIFO_BYTES),
            last_from_fifo: 0,
        };
        chip.reset();
        chip
    }

    pub(super) fn set_id(&mut self, id: u8) {
        self.id = id;
        self.registers[usize::from(WHO_AM_I)] = id;
    }

    pub(super) fn lose_fifo_bytes(&mut self, count: usize) {
        self.fifo.drain(..count.min(self.fifo.len()));
    }

    pub(super) fn finished(&self) -> bool {
        self.world.ended() && self.fifo.len() < FRAME_BYTES
    }

    fn reset(&mut self) {
        self.registers = [0; REGISTERS];
        self.registers[usize::from(PWR_MGMT_1)] = SLEEP;
        self.registers[usize::from(WHO_AM_I)] = self.id;
        self.fifo.clear();
    }

    fn resetting(&self) -> bool {
        self.now < self.reset_until
    }

    /// A burst goes on to the next register, but stays at the FIFO.
    fn move_pointer(&mut self) {
        if self.pointer != FIFO_R_W {
            self.pointer = self.pointer.wrapping_add(1);
        }
    }

    fn set(&mut self, register: u8, value: u8) {
        match register {
            PWR_MGMT_1 if value & DEVICE_RESET != 0 => {
                self.reset();
                self.reset_until = self.now + RESET_TIME;
            }
            USER_CTRL => {
                let fifo_on = value & USER_FIFO_EN != 0;
                if value & USER_FIFO_RESET != 0 && !fifo_on {
                    self.fifo.clear();
                }
                // Bits 2..0 are resets that clear themselves.
                self.registers[usize::from(USER_CTRL)] = value & !0b111;
                if fifo_on {
                    self.world.start(self.now, self.sample_period());
                }
            }
            // Read-only: results, interrupt status, counts, id.
            INT_STATUS..=0x60 | FIFO_COUNT_H..=WHO_AM_I => {}
            other => {
                if let Some(place) = self.registers.get_mut(usize::from(other)) {
                    *place = value;
                }
            }
        }
    }

    /// Section 4.2: the gyroscope's rate is 8 kHz without low-pass filter and 1 kHz with it.
    fn sample_period(&self) -> Duration {
        let filter = self.registers[usize::from(CONFIG)] & 0b111;
        let base = Duration::from_micros(if matches!(filter, 0 | 7) { 125 } else { 1000 });
        base * (u32::from(self.registers[usize::from(SMPLRT_DIV)]) + 1)
    }

    fn sample(&mut self, frame: [f32; 6]) {
        let scale = |register: u8| u32::from(self.registers[usize::from(register)] >> 3 & 0b11);
        let steps_per_g = f32::from(16_384_u16 >> scale(ACCEL_CONFIG));
        let steps_per_dps = [131.0, 65.5, 32.8, 16.4][scale(GYRO_CONFIG) as usize];
        // `as` saturates as the converter does.
        let accel = |axis: usize| (frame[axis] / GRAVITY * steps_per_g).round() as i16;
        let gyro = |axis: usize| (frame[axis].to_degrees() * steps_per_dps).round() as i16;
        // 25 °C (section 4.18): (25 - 36.53) * 340.
        let temperature = -3920;
        let words = [accel(0), accel(1), accel(2), temperature, gyro(3), gyro(4), gyro(5)];
        let enabled = self.registers[usize::from(FIFO_EN)];
        let wanted = [0x08, 0x08, 0x08, FIFO_EN_TEMP, 0x40, 0x20, 0x10];
        let fifo_on = self.registers[usize::from(USER_CTRL)] & USER_FIFO_EN != 0;
        for (index, (word, wanted)) in words.into_iter().zip(wanted).enumerate() {
            let place = usize::from(ACCEL_XOUT_H) + 2 * index;
            self.registers[place..place + 2].copy_from_slice(&word.to_be_bytes());
            if fifo_on && enabled & wanted != 0 {
                self.push(word.to_be_bytes());
            }
        }
        self.registers[usize::from(INT_STATUS)] |= DATA_RDY;
    }

    fn push(&mut self, bytes: [u8; 2]) {
        self.fifo.extend(bytes);
        let over = self.fifo.len().saturating_sub(FIFO_BYTES);
        if over > 0 {
            self.fifo.drain(..over);
            self.registers[usize::from(INT_STATUS)] |= FIFO_OFLOW;
        }
    }
}
