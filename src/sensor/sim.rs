//! Simulated chips at register level: the driver on top cannot tell them from the real ones.
//!
//! [`Sim`] is the bus, on which a test injects faults; [`SimChip`] an MPU-6050 on it: registers with reset values,
//! sleep, device reset, ranges that change the encoding, the sample clock, a 1024-byte FIFO that overflows. Not
//! simulated there: interrupts' pin, low-pass filters, self-test, the auxiliary bus.

mod bus;
mod chip;
mod device;
mod playback;

use std::sync::Arc;
use std::time::Duration;

pub use bus::{Sim, SimBus, SimSpi};
pub use chip::Chip;
pub use device::Device;
pub use playback::{Playback, Segment};

use crate::clock::Clock;

/// The address of the simulated MPU-6050: its pin AD0 is low.
pub const ADDRESS: u8 = 0x68;

/// A simulated MPU-6050. Clones are the same chip.
pub type SimChip = Sim<Chip>;

impl SimChip {
    /// A chip that has just been powered. It plays `playback` from the moment that a driver turns its
    /// FIFO on, at the sample rate that the driver has set then.
    pub fn new(clock: Arc<dyn Clock>, playback: Playback) -> Self {
        Self::at(ADDRESS, clock, Chip::new(playback))
    }

    /// Monotonic time at which playing began.
    pub fn started(&self) -> Option<Duration> {
        self.with(|chip| chip.world.started())
    }

    /// The round, from 0 on, and in it the segment whose sample was taken at `monotonic`, or the last one
    /// before it: the pause after a segment belongs to it, since a sample is read, and stamped, up to a
    /// period after it was taken. `None` before and after the playback.
    pub fn segment_at(&self, monotonic: Duration) -> Option<(u32, usize)> {
        self.with(|chip| chip.world.segment_at(monotonic))
    }

    /// Monotonic time of each segment's first and last sample in the first round; empty before playing
    /// began.
    pub fn segments(&self) -> Vec<(Duration, Duration)> {
        self.with(|chip| chip.world.segments())
    }

    /// Whether all was played and nothing is left in the FIFO.
    pub fn finished(&self) -> bool {
        self.with(|chip| chip.finished())
    }

    /// Another chip: answers `id` to WHO_AM_I.
    pub fn set_id(&self, id: u8) {
        self.with(|chip| chip.set_id(id));
    }

    /// The oldest `count` bytes in the FIFO are lost: frames no longer begin where they should.
    pub fn lose_fifo_bytes(&self, count: usize) {
        self.with(|chip| chip.lose_fifo_bytes(count));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use embedded_hal::i2c::{ErrorKind, I2c as _, NoAcknowledgeSource};

    use super::*;
    use crate::clock::ManualClock;
    use crate::sensor::mpu6050::registers::*;

    fn chip(frames: Vec<[f32; 6]>) -> (Arc<ManualClock>, SimChip) {
        let clock = Arc::new(ManualClock::new());
        let playback =
            Playback { segments: vec![Segment { frames }], gap: Duration::ZERO, repeat: false };
        (clock.clone(), SimChip::new(clock, playback))
    }

    fn get<const N: usize>(bus: &mut SimBus<Chip>, register: u8) -> [u8; N] {
        let mut bytes = [0; N];
        bus.write_read(ADDRESS, &[register], &mut bytes).expect("the chip answers");
        bytes
    }

    fn set(bus: &mut SimBus<Chip>, register: u8, values: &[u8]) {
        let bytes: Vec<u8> = [&[register], values].concat();
        bus.write(ADDRESS, &bytes).expect("the chip answers");
    }

    #[test]
    fn registers_have_their_reset_values() {
        let (_, chip) = chip(vec![]);
        let mut bus = chip.bus();
        assert_eq!(get(&mut bus, WHO_AM_I), [0x68]);
        assert_eq!(get(&mut bus, PWR_MGMT_1), [SLEEP]);
        assert_eq!(get(&mut bus, SMPLRT_DIV), [0; 4]);
    }

    #[test]
    fn other_addresses_are_not_acknowledged() {
        let (_, chip) = chip(vec![]);
        let answer = chip.bus().write_read(0x69, &[WHO_AM_I], &mut [0]);
        assert_eq!(answer, Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)));
    }

    #[test]
    fn reset_takes_time_and_then_all_registers_have_their_reset_values() {
        let (clock, chip) = chip(vec![]);
        let mut bus = chip.bus();
        set(&mut bus, SMPLRT_DIV, &[7]);
        set(&mut bus, PWR_MGMT_1, &[DEVICE_RESET]);
        set(&mut bus, CONFIG, &[3]);
        assert_eq!(get(&mut bus, PWR_MGMT_1), [DEVICE_RESET]);
        clock.advance(Duration::from_millis(100));
        assert_eq!(get(&mut bus, PWR_MGMT_1), [SLEEP]);
        assert_eq!(get(&mut bus, SMPLRT_DIV), [0, 0]);
    }

    #[test]
    fn data_registers_show_the_sample_in_the_ranges_that_are_set() {
        let g = GRAVITY;
        let frame = [g, -g, 100.0 * g, 1_f32.to_radians(), -10_f32.to_radians(), 0.0];
        let (clock, chip) = chip(vec![frame]);
        let mut bus = chip.bus();
        set(&mut bus, SMPLRT_DIV, &[9, 1, 0x18, 0x08]);
        set(&mut bus, PWR_MGMT_1, &[CLKSEL_PLL_X]);
        set(&mut bus, USER_CTRL, &[USER_FIFO_EN]);
        clock.advance(Duration::from_millis(10));
        assert_eq!(get(&mut bus, INT_STATUS), [DATA_RDY]);
        assert_eq!(get(&mut bus, INT_STATUS), [0]);
        let bytes: [u8; 14] = get(&mut bus, ACCEL_XOUT_H);
        let words: Vec<i16> =
            bytes.chunks_exact(2).map(|b| i16::from_be_bytes([b[0], b[1]])).collect();
        assert_eq!(words, [8192, -8192, i16::MAX, -3920, 16, -164, 0]);
    }

    #[test]
    fn fifo_takes_what_is_enabled_and_gives_its_last_byte_when_empty() {
        let (clock, chip) = chip(vec![[GRAVITY, 0.0, 0.0, 0.0, 0.0, 0.0]; 3]);
        let mut bus = chip.bus();
        set(&mut bus, SMPLRT_DIV, &[0, 1]);
        set(&mut bus, PWR_MGMT_1, &[CLKSEL_PLL_X]);
        set(&mut bus, FIFO_EN, &[0x08]);
        set(&mut bus, USER_CTRL, &[USER_FIFO_EN]);
        clock.advance(Duration::from_millis(2));
        assert_eq!(get(&mut bus, FIFO_COUNT_H), [0, 12]);
        assert_eq!(get(&mut bus, FIFO_R_W), [0x40, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0]);
        clock.advance(Duration::from_millis(1));
        set(&mut bus, USER_CTRL, &[USER_FIFO_EN | USER_FIFO_RESET]);
        assert_eq!(get(&mut bus, FIFO_COUNT_H), [0, 6], "no reset while the FIFO is on");
        set(&mut bus, USER_CTRL, &[USER_FIFO_RESET]);
        assert_eq!(get(&mut bus, FIFO_COUNT_H), [0, 0]);
    }

    #[test]
    fn sleeping_chip_samples_nothing_and_the_world_goes_on() {
        let (clock, chip) = chip(vec![[0.0; 6]; 10]);
        let mut bus = chip.bus();
        set(&mut bus, SMPLRT_DIV, &[9, 1]);
        set(&mut bus, PWR_MGMT_1, &[CLKSEL_PLL_X]);
        set(&mut bus, FIFO_EN, &[FIFO_EN_GYRO_ACCEL]);
        set(&mut bus, USER_CTRL, &[USER_FIFO_EN]);
        clock.advance(Duration::from_millis(30));
        set(&mut bus, PWR_MGMT_1, &[SLEEP]);
        clock.advance(Duration::from_millis(40));
        set(&mut bus, PWR_MGMT_1, &[CLKSEL_PLL_X]);
        clock.advance(Duration::from_millis(1000));
        assert_eq!(get(&mut bus, FIFO_COUNT_H), [0, 6 * 12]);
        assert!(!chip.finished());
        let _: [u8; 72] = get(&mut bus, FIFO_R_W);
        assert!(chip.finished());
    }

    #[test]
    fn segments_follow_each_other_with_a_pause() {
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_secs(5));
        let segment = || Segment { frames: vec![[0.0; 6]; 4] };
        let gap = Duration::from_millis(500);
        let playback = Playback { segments: vec![segment(), segment()], gap, repeat: false };
        let chip = SimChip::new(clock, playback);
        assert_eq!((chip.started(), chip.segments()), (None, vec![]));
        let mut bus = chip.bus();
        set(&mut bus, SMPLRT_DIV, &[99, 1]);
        set(&mut bus, USER_CTRL, &[USER_FIFO_EN]);
        let ms = Duration::from_millis;
        assert_eq!(chip.started(), Some(ms(5000)));
        assert_eq!(chip.segments(), [(ms(5100), ms(5400)), (ms(6000), ms(6300))]);
        let at = |time| chip.segment_at(ms(time));
        assert_eq!(at(5000), None);
        assert_eq!([at(5100), at(5450), at(5950)], [(0, 0), (0, 0), (0, 1)].map(Some));
        assert_eq!([at(6300), at(6700), at(6900)], [Some((0, 1)), Some((0, 1)), None]);
    }

    #[test]
    fn a_playback_begins_again_where_it_is_to() {
        let clock = Arc::new(ManualClock::new());
        let segment = |value: f32| Segment { frames: vec![[value; 6]; 2] };
        let gap = Duration::from_millis(100);
        let playback = Playback { segments: vec![segment(1.0), segment(2.0)], gap, repeat: true };
        let chip = SimChip::new(clock.clone(), playback);
        let mut bus = chip.bus();
        set(&mut bus, SMPLRT_DIV, &[99, 1]);
        set(&mut bus, PWR_MGMT_1, &[0]);
        set(&mut bus, FIFO_EN, &[FIFO_EN_GYRO_ACCEL]);
        set(&mut bus, USER_CTRL, &[USER_FIFO_EN]);
        // Two samples and a pause each: 0.3 s, so two rounds take 1.2 s.
        clock.advance(Duration::from_millis(1150));
        let [high, low]: [u8; 2] = get(&mut bus, FIFO_COUNT_H);
        assert_eq!(usize::from(u16::from_be_bytes([high, low])), 8 * FRAME_BYTES);
        assert!(!chip.finished());
        let at = |ms| chip.segment_at(Duration::from_millis(ms));
        assert_eq!([at(100), at(500)], [Some((0, 0)), Some((0, 1))]);
        assert_eq!([at(600), at(700), at(1000)], [Some((0, 1)), Some((1, 0)), Some((1, 1))]);
    }
}
