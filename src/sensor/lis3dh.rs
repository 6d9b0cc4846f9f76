//! ST LIS3DH over I²C or SPI: acceleration through the chip's FIFO; also the LIS2DH12, which has the same registers.
//!
//! Sources: ST DocID17530 revision 2 (LIS3DH; sensitivity, table 4; SPI, section 6.2; registers, section 8) and AN3308
//! (FIFO, section 9; wake-up times, table 6). High-resolution mode: 12 bits, left-aligned in 16.

use std::time::Duration;

use super::bus::{Dialect, Port, SpiDialect, fault, identify};
use super::fifo::{ACCELERATION, Chip, Memory, Model};
use super::gravity::GRAVITY;
use super::polled::Wait;
use super::{BadSetting, Channel, SensorError};

const WHO_AM_I: u8 = 0x0f;
/// CTRL_REG1 to CTRL_REG6 follow one another.
const CTRL_REG1: u8 = 0x20;
/// X, Y and Z, low byte first; a burst goes round and round.
const OUT_X_L: u8 = 0x28;
/// FIFO_SRC_REG follows it.
const FIFO_CTRL_REG: u8 = 0x2e;

const ID: u8 = 0x33;
/// CTRL_REG1: all three axes.
const AXES: u8 = 0x07;
/// CTRL_REG4: both bytes of a value are of one sample; high resolution.
const BLOCK_DATA_UPDATE: u8 = 0x80;
const HIGH_RESOLUTION: u8 = 0x08;
/// CTRL_REG5: the FIFO is in use.
const FIFO_EN: u8 = 0x40;
/// FIFO_CTRL_REG: off, which empties it; the oldest go when it is full.
const BYPASS: u8 = 0x00;
const STREAM: u8 = 0x80;
/// FIFO_SRC_REG: it is full, and the next sample overwrites the oldest; it is empty; how many wait.
const OVERRUN: u8 = 0x40;
const EMPTY: u8 = 0x20;
const STORED: u8 = 0x1f;

const FIFO_FRAMES: usize = 32;
const FRAME_BYTES: usize = 6;

/// Rates in Hz by their bits (table 31), those of high resolution.
const RATES: [(f64, u8); 8] =
    [(1.0, 1), (10.0, 2), (25.0, 3), (50.0, 4), (100.0, 5), (200.0, 6), (400.0, 7), (1344.0, 9)];

/// Full scales in g, their bits, and mg of one step of 12 bits (table 4). The last is no power of two.
const RANGES: [(u16, u8, f32); 4] = [(2, 0, 1.0), (4, 1, 2.0), (8, 2, 4.0), (16, 3, 12.0)];

/// Samples until the first good one after the rate was set (AN3308, table 6), and how long they are waited for.
const WAKING_SAMPLES: f64 = 7.0;
const WAKING_MAX: Duration = Duration::from_secs(1);

/// Settings of the driver `lis3dh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lis3dh {
    /// Full scale in g: 2, 4, 8 or 16.
    pub range_g: u16,
}

impl Lis3dh {
    fn range(&self) -> Option<(u8, f32)> {
        let range = RANGES.iter().find(|(g, _, _)| *g == self.range_g);
        range.map(|(_, bits, step_mg)| (*bits, *step_mg))
    }
}

/// The one of `rates` that is meant by `rate_hz`, as near as a person writes "3.13 Hz", with its bits.
///
/// # Errors
/// Which ones there are.
pub(super) fn choose(rates: &[(f64, u8)], rate_hz: f64) -> Result<(f64, u8), String> {
    let near = rates.iter().find(|(rate, _)| (rate_hz / rate - 1.0).abs() <= 0.01);
    near.copied().ok_or_else(|| {
        let all: Vec<String> = rates.iter().map(|(rate, _)| rate.to_string()).collect();
        format!("the chip does {} Hz, asked for {rate_hz} Hz", all.join(", "))
    })
}

impl Model for Lis3dh {
    /// The second with the pin SA0 high, as most breakout boards have it; the first is the usual order here.
    fn addresses(&self) -> &[u8] {
        &[0x18, 0x19]
    }

    fn dialect(&self) -> Dialect {
        let spi = SpiDialect { mode: 3, read: 0x80, burst: 0x40, speed_max_hz: 10_000_000 };
        Dialect { i2c_burst: 0x80, spi: Some(spi) }
    }

    fn channels(&self) -> Vec<Channel> {
        ACCELERATION.to_vec()
    }

    fn rate(&self, rate_hz: f64) -> Result<f64, String> {
        choose(&RATES, rate_hz).map(|(rate, _)| rate)
    }

    fn stuck_after(&self, rate_hz: f64) -> Option<Duration> {
        // Its noise, 220 µg/√Hz, is above its resolution only there: elsewhere it may lie still for hours.
        (self.range_g == 2 && rate_hz >= 50.0).then_some(Duration::from_secs(30))
    }

    fn validate(&self) -> Vec<BadSetting> {
        match self.range() {
            Some(_) => Vec::new(),
            None => {
                let why = format!("must be 2, 4, 8 or 16 g, is {} g", self.range_g);
                vec![BadSetting { key: "accel_range", why }]
            }
        }
    }

    fn driver(&self, rate_hz: f64) -> Result<Box<dyn Chip>, SensorError> {
        let (Ok((rate_hz, rate)), Some((range, step_mg))) = (choose(&RATES, rate_hz), self.range())
        else {
            return Err(BadSetting::refuse("lis3dh", &self.validate()));
        };
        let control =
            [rate << 4 | AXES, 0, 0, BLOCK_DATA_UPDATE | range << 4 | HIGH_RESOLUTION, FIFO_EN, 0];
        // 16 steps of 16 bits are one of 12.
        let scale = step_mg / 16.0 / 1000.0 * GRAVITY;
        Ok(Box::new(Driver { control, rate_hz, scale, overrun: false }))
    }
}

struct Driver {
    /// CTRL_REG1 to CTRL_REG6.
    control: [u8; 6],
    rate_hz: f64,
    /// m/s² of one step of 16 bits.
    scale: f32,
    overrun: bool,
}

impl Chip for Driver {
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError> {
        let (doing, mut id) = ("reading WHO_AM_I", [0]);
        port.write_read(&[WHO_AM_I], &mut id, doing)?;
        identify(id[0], &[ID], "0x33 (LIS3DH, LIS2DH12)", doing)?;
        // Off first, so that nothing of before is in the FIFO.
        port.write(&[FIFO_CTRL_REG, BYPASS], "configuring")?;
        for (register, value) in (CTRL_REG1..).zip(self.control) {
            port.write(&[register, value], "configuring")?;
        }
        let waking = Duration::from_secs_f64(WAKING_SAMPLES / self.rate_hz);
        wait.pause(waking.min(WAKING_MAX));
        Ok(())
    }

    fn capacity(&self) -> usize {
        FIFO_FRAMES
    }

    fn restart(&mut self, port: &mut dyn Port) -> Result<(), SensorError> {
        let doing = "restarting the FIFO";
        port.write(&[FIFO_CTRL_REG, BYPASS], doing)?;
        port.write(&[FIFO_CTRL_REG, STREAM], doing)?;
        self.overrun = false;
        Ok(())
    }

    fn waiting(&mut self, port: &mut dyn Port) -> Result<usize, SensorError> {
        let (doing, mut found) = ("reading FIFO_SRC_REG", [0; 2]);
        port.write_read(&[FIFO_CTRL_REG], &mut found, doing)?;
        let [_, source] = found;
        // It says "full" with its last place taken, so the oldest frame may or may not be gone.
        self.overrun = source & OVERRUN != 0;
        let stored = usize::from(source & STORED);
        if (source & EMPTY != 0) != (stored == 0 && !self.overrun) {
            return Err(fault(
                doing,
                format!("{source:#04x} says both empty and not: a dead bus?"),
            ));
        }
        Ok(if self.overrun { 0 } else { stored })
    }

    fn take(&mut self, port: &mut dyn Port, values: &mut [f32]) -> Result<(), SensorError> {
        let mut bytes = [0; FIFO_FRAMES * FRAME_BYTES];
        let bytes = bytes.get_mut(..values.len() * 2).unwrap_or_default();
        port.write_read(&[OUT_X_L], bytes, "reading the FIFO")?;
        for (value, raw) in values.iter_mut().zip(bytes.chunks_exact(2)) {
            *value = f32::from(i16::from_le_bytes([raw[0], raw[1]])) * self.scale;
        }
        Ok(())
    }

    fn check(&mut self, port: &mut dyn Port) -> Result<Memory, SensorError> {
        let doing = "checking that the chip still runs";
        let (mut control, mut fifo) = ([0; 6], [0]);
        port.write_read(&[CTRL_REG1], &mut control, doing)?;
        port.write_read(&[FIFO_CTRL_REG], &mut fifo, doing)?;
        if control != self.control || fifo[0] != STREAM {
            let why = format!(
                "CTRL_REG1 to 6 and FIFO_CTRL_REG read {control:02x?} {fifo:02x?}: the chip lost its configuration \
                 (supply voltage?) or the bus is dead"
            );
            return Err(fault(doing, why));
        }
        Ok(if self.overrun { Memory::Lost } else { Memory::Whole })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::sensor::bus::Place;
    use crate::sensor::fifo::bench::{self, Sampling};
    use crate::sensor::fifo::{FifoSettings, Kind};
    use crate::sensor::sim::Device;

    /// The chip at register level: a 32-frame FIFO in stream mode, bursts only with bit 7 of the number.
    struct Model3dh {
        registers: [u8; 128],
        id: u8,
        sampling: Sampling,
        fifo: VecDeque<[i16; 3]>,
        full: bool,
        pointer: u8,
        burst: bool,
        now: Duration,
    }

    fn model() -> Model3dh {
        let mut model = Model3dh {
            registers: [0; 128],
            id: ID,
            sampling: Sampling::default(),
            fifo: VecDeque::new(),
            full: false,
            pointer: 0,
            burst: false,
            now: Duration::ZERO,
        };
        model.power(true);
        model
    }

    impl Model3dh {
        fn get(&self, register: u8) -> u8 {
            self.registers[usize::from(register)]
        }
    }

    impl Device for Model3dh {
        fn catch_up(&mut self, now: Duration) {
            self.now = now;
            let on = self.get(FIFO_CTRL_REG) == STREAM && self.get(0x24) & FIFO_EN != 0;
            while let Some(frame) = self.sampling.next(now) {
                if on {
                    if self.fifo.len() == FIFO_FRAMES {
                        self.fifo.pop_front();
                    }
                    self.fifo.push_back(frame);
                    self.full |= self.fifo.len() == FIFO_FRAMES;
                }
            }
        }

        fn write(&mut self, bytes: &[u8]) {
            let Some((&number, values)) = bytes.split_first() else { return };
            (self.pointer, self.burst) = (number & 0x7f, number & 0x80 != 0);
            assert!(values.len() < 2, "the driver writes one register at a time");
            let Some(&value) = values.first() else { return };
            self.registers[usize::from(self.pointer)] = value;
            match self.pointer {
                FIFO_CTRL_REG if value == BYPASS => {
                    self.fifo.clear();
                    self.full = false;
                }
                CTRL_REG1 => {
                    let rate = RATES.iter().find(|(_, bits)| *bits == value >> 4);
                    self.sampling.run(self.now, rate.map(|(hz, _)| *hz));
                }
                _ => {}
            }
        }

        fn read_byte(&mut self) -> u8 {
            let register = self.pointer;
            if self.burst {
                // A burst over the values goes round.
                self.pointer = if register == OUT_X_L + 5 { OUT_X_L } else { register + 1 };
            }
            match register {
                WHO_AM_I => self.id,
                0x2f => {
                    let stored = self.fifo.len().min(31) as u8;
                    let full = if self.full { OVERRUN } else { 0 };
                    full | if stored == 0 { EMPTY } else { 0 } | stored
                }
                OUT_X_L..=0x2d => {
                    let at = register - OUT_X_L;
                    let word = self.fifo.front().map_or(0, |frame| frame[usize::from(at / 2)]);
                    if at == 5 {
                        self.fifo.pop_front();
                        self.full = false;
                    }
                    word.to_le_bytes()[usize::from(at % 2)]
                }
                other => self.get(other),
            }
        }

        fn power(&mut self, on: bool) {
            self.registers = [0; 128];
            self.registers[usize::from(CTRL_REG1)] = AXES;
            self.fifo.clear();
            self.full = false;
            if !on {
                self.sampling.run(self.now, None);
            }
        }
    }

    fn settings(rate_hz: f64, range_g: u16) -> FifoSettings {
        let kind = Kind::Lis3dh(Lis3dh { range_g });
        FifoSettings { place: Place::i2c("/dev/i2c-1", 0x18), rate_hz, kind }
    }

    #[test]
    fn steps_are_the_data_sheet_s() {
        // Table 4: at ±2 g 1 mg a step of 12 bits, at ±16 g 12 mg.
        for (range_g, step_mg) in [(2, 1.0), (4, 2.0), (8, 4.0), (16, 12.0)] {
            bench::step_is(&settings(100.0, range_g), model(), step_mg / 1000.0 * 9.806_65 / 16.0);
        }
    }

    #[test]
    fn it_streams_bridges_and_notices_what_it_lost() {
        for (rate_hz, _) in RATES {
            bench::stream(&settings(rate_hz, 4), model);
        }
    }

    #[test]
    fn over_spi_it_is_the_same_chip() {
        let place = Place::Spi { device: "/dev/spidev0.0".into(), speed_hz: 10_000_000 };
        bench::stream(&FifoSettings { place: place.clone(), ..settings(400.0, 2) }, model);
        bench::dead_line(&FifoSettings { place, ..settings(400.0, 2) }, model);
    }

    #[test]
    fn faults_are_faults_and_never_data() {
        bench::faults(&settings(100.0, 2), model);
    }

    #[test]
    fn what_happens_to_it_is_told_and_it_comes_back_by_itself() {
        bench::told(&settings(100.0, 2), model);
        bench::told(&settings(100.0, 16), model);
    }

    #[test]
    fn another_chip_is_refused_by_its_id() {
        let error = bench::refused(&settings(100.0, 2), Model3dh { id: 0x44, ..model() });
        assert!(matches!(error, SensorError::WrongChip { found: 0x44, .. }), "{error}");
    }

    #[test]
    fn what_the_chip_cannot_do_is_refused() {
        let keys = |rate_hz, range_g| {
            let bad = settings(rate_hz, range_g).validate();
            bad.into_iter().map(|bad| bad.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(1344.0, 16), [""; 0]);
        assert_eq!(keys(1340.0, 16), [""; 0]);
        assert_eq!(keys(150.0, 3), ["rate", "accel_range"]);
        let slow = settings(150.0, 2).validate();
        assert!(slow[0].why.contains("does 1, 10, 25, 50, 100, 200, 400, 1344 Hz"), "{slow:?}");
        let place = Place::Spi { device: "/dev/spidev0.0".into(), speed_hz: 20_000_000 };
        let fast = FifoSettings { place, ..settings(100.0, 2) }.validate();
        assert_eq!(fast[0].key, "speed");
    }
}
