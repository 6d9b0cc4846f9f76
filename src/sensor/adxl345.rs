//! Analog Devices ADXL345 over I²C or SPI: acceleration through the chip's FIFO; also the ADXL343, which is the same to
//! software.
//!
//! Source: ADXL345 data sheet, revision G (FIFO, page 21; registers, pages 23 to 28; SPI, page 15). Full resolution:
//! 3.9 mg a step in every range.

use std::time::Duration;

use super::bus::{Dialect, Port, SpiDialect, fault, identify};
use super::fifo::{ACCELERATION, Chip, Memory, Model};
use super::gravity::GRAVITY;
use super::lis3dh::choose;
use super::polled::Wait;
use super::{BadSetting, Channel, SensorError};

const DEVID: u8 = 0x00;
/// Offsets of x, y and z, which are added to the values.
const OFSX: u8 = 0x1e;
/// POWER_CTL, INT_ENABLE, INT_MAP, INT_SOURCE and DATA_FORMAT follow it.
const BW_RATE: u8 = 0x2c;
const POWER_CTL: u8 = 0x2d;
const INT_ENABLE: u8 = 0x2e;
const DATA_FORMAT: u8 = 0x31;
/// X, Y and Z, low byte first: one frame in one transfer, which takes it out of the FIFO.
const DATAX0: u8 = 0x32;
/// FIFO_STATUS follows it.
const FIFO_CTL: u8 = 0x38;

const ID: u8 = 0xe5;
/// POWER_CTL: it measures.
const MEASURE: u8 = 0x08;
/// DATA_FORMAT: 3.9 mg a step whatever the range.
const FULL_RESOLUTION: u8 = 0x08;
/// FIFO_CTL: off, which empties it; the oldest go when it is full.
const BYPASS: u8 = 0x00;
const STREAM: u8 = 0x80;
/// FIFO_STATUS: how many frames wait.
const ENTRIES: u8 = 0x3f;

const FIFO_FRAMES: usize = 32;
const STEPS_PER_G: f32 = 256.0;

/// Rates in Hz by their bits (table 7). Slower ones are too quiet to tell a frozen chip; for faster ones the FIFO's pause
/// of 5 µs after each frame would have to be kept.
const RATES: [(f64, u8); 8] = [
    (6.25, 0x6),
    (12.5, 0x7),
    (25.0, 0x8),
    (50.0, 0x9),
    (100.0, 0xa),
    (200.0, 0xb),
    (400.0, 0xc),
    (800.0, 0xd),
];

/// 1.1 ms and a period from standby to the first sample (page 10).
const WAKING: Duration = Duration::from_millis(12);

/// Settings of the driver `adxl345`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adxl345 {
    /// Full scale in g: 2, 4, 8 or 16.
    pub range_g: u16,
}

impl Model for Adxl345 {
    /// The second with the pin ALT ADDRESS high.
    fn addresses(&self) -> &[u8] {
        &[0x53, 0x1d]
    }

    /// The chip does 5 MHz; up to 1.6 MHz the register's number takes as long as the FIFO needs between two frames.
    fn dialect(&self) -> Dialect {
        let spi = SpiDialect { mode: 3, read: 0x80, burst: 0x40, speed_max_hz: 1_600_000 };
        Dialect { i2c_burst: 0, spi: Some(spi) }
    }

    fn channels(&self) -> Vec<Channel> {
        ACCELERATION.to_vec()
    }

    fn rate(&self, rate_hz: f64) -> Result<f64, String> {
        choose(&RATES, rate_hz).map(|(rate, _)| rate)
    }

    fn stuck_after(&self, _: f64) -> Option<Duration> {
        // Its noise is about one step on each axis, also at rest.
        Some(Duration::from_secs(30))
    }

    fn validate(&self) -> Vec<BadSetting> {
        match self.range_g {
            2 | 4 | 8 | 16 => Vec::new(),
            other => {
                let why = format!("must be 2, 4, 8 or 16 g, is {other} g");
                vec![BadSetting { key: "accel_range", why }]
            }
        }
    }

    fn driver(&self, rate_hz: f64) -> Result<Box<dyn Chip>, SensorError> {
        let Ok((_, rate)) = choose(&RATES, rate_hz) else {
            return Err(BadSetting::refuse("adxl345", &self.validate()));
        };
        Ok(Box::new(Driver { rate, format: FULL_RESOLUTION | self.range_bits(), overrun: false }))
    }
}

impl Adxl345 {
    /// 0 for ±2 g, 1 for ±4 g and so on (table 21).
    fn range_bits(&self) -> u8 {
        (self.range_g.max(2) / 2).ilog2() as u8 & 0b11
    }
}

struct Driver {
    rate: u8,
    format: u8,
    overrun: bool,
}

impl Chip for Driver {
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError> {
        let (doing, mut id) = ("reading DEVID", [0]);
        port.write_read(&[DEVID], &mut id, doing)?;
        identify(id[0], &[ID], "0xe5 (ADXL345, ADXL343)", doing)?;
        let doing = "configuring";
        // It is set up asleep, and has no reset of its own.
        port.write(&[POWER_CTL, 0], doing)?;
        port.write(&[FIFO_CTL, BYPASS], doing)?;
        for axis in OFSX..OFSX + 3 {
            port.write(&[axis, 0], doing)?;
        }
        port.write(&[INT_ENABLE, 0], doing)?;
        port.write(&[BW_RATE, self.rate], doing)?;
        port.write(&[DATA_FORMAT, self.format], doing)?;
        port.write(&[POWER_CTL, MEASURE], doing)?;
        wait.pause(WAKING);
        Ok(())
    }

    fn capacity(&self) -> usize {
        FIFO_FRAMES
    }

    fn restart(&mut self, port: &mut dyn Port) -> Result<(), SensorError> {
        let doing = "restarting the FIFO";
        port.write(&[FIFO_CTL, BYPASS], doing)?;
        port.write(&[FIFO_CTL, STREAM], doing)?;
        self.overrun = false;
        Ok(())
    }

    fn waiting(&mut self, port: &mut dyn Port) -> Result<usize, SensorError> {
        let (doing, mut found) = ("reading FIFO_STATUS", [0; 2]);
        port.write_read(&[FIFO_CTL], &mut found, doing)?;
        let entries = usize::from(found[1] & ENTRIES);
        if entries > FIFO_FRAMES {
            let why = format!("says {entries} frames, the FIFO holds {FIFO_FRAMES}");
            return Err(fault(doing, why));
        }
        // Full: the oldest frame may or may not be gone.
        self.overrun = entries == FIFO_FRAMES;
        Ok(if self.overrun { 0 } else { entries })
    }

    fn take(&mut self, port: &mut dyn Port, values: &mut [f32]) -> Result<(), SensorError> {
        for frame in values.chunks_exact_mut(3) {
            let mut bytes = [0; 6];
            port.write_read(&[DATAX0], &mut bytes, "reading the FIFO")?;
            for (value, raw) in frame.iter_mut().zip(bytes.chunks_exact(2)) {
                let raw = i16::from_le_bytes([raw[0], raw[1]]);
                *value = f32::from(raw) / STEPS_PER_G * GRAVITY;
            }
        }
        Ok(())
    }

    fn check(&mut self, port: &mut dyn Port) -> Result<Memory, SensorError> {
        let doing = "checking that the chip still runs";
        let (mut found, mut fifo) = ([0; 6], [0]);
        port.write_read(&[BW_RATE], &mut found, doing)?;
        port.write_read(&[FIFO_CTL], &mut fifo, doing)?;
        let [rate, power, interrupts, _, _, format] = found;
        if [rate, power, interrupts, format, fifo[0]]
            != [self.rate, MEASURE, 0, self.format, STREAM]
        {
            let why = format!(
                "BW_RATE, POWER_CTL, INT_ENABLE, DATA_FORMAT and FIFO_CTL read {rate:#04x} {power:#04x} \
                 {interrupts:#04x} {format:#04x} {:#04x}: the chip lost its configuration (supply voltage?) or the bus \
                 is dead",
                fifo[0]
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

    /// The chip at register level: a 32-frame FIFO in stream mode that gives a frame for each transfer from DATAX0 on.
    struct Model345 {
        registers: [u8; 64],
        id: u8,
        sampling: Sampling,
        fifo: VecDeque<[i16; 3]>,
        taken: [i16; 3],
        pointer: u8,
        now: Duration,
    }

    fn model() -> Model345 {
        let mut model = Model345 {
            registers: [0; 64],
            id: ID,
            sampling: Sampling::default(),
            fifo: VecDeque::new(),
            taken: [0; 3],
            pointer: 0,
            now: Duration::ZERO,
        };
        model.power(true);
        model
    }

    impl Device for Model345 {
        fn catch_up(&mut self, now: Duration) {
            self.now = now;
            while let Some(frame) = self.sampling.next(now) {
                if self.registers[usize::from(FIFO_CTL)] == STREAM {
                    if self.fifo.len() == FIFO_FRAMES {
                        self.fifo.pop_front();
                    }
                    self.fifo.push_back(frame);
                }
            }
        }

        fn write(&mut self, bytes: &[u8]) {
            let Some((&number, values)) = bytes.split_first() else { return };
            self.pointer = number;
            if number == DATAX0 {
                self.taken = self.fifo.pop_front().unwrap_or(self.taken);
            }
            for &value in values {
                self.registers[usize::from(self.pointer)] = value;
                match self.pointer {
                    FIFO_CTL if value == BYPASS => self.fifo.clear(),
                    POWER_CTL => {
                        let bits = self.registers[usize::from(BW_RATE)];
                        let rate = RATES.iter().find(|(_, known)| *known == bits);
                        let rate = rate.filter(|_| value == MEASURE);
                        self.sampling.run(self.now, rate.map(|(hz, _)| *hz));
                    }
                    _ => {}
                }
                self.pointer += 1;
            }
        }

        fn read_byte(&mut self) -> u8 {
            let register = self.pointer;
            self.pointer = register.wrapping_add(1);
            match register {
                DEVID => self.id,
                DATAX0..=0x37 => {
                    let at = usize::from(register - DATAX0);
                    self.taken[at / 2].to_le_bytes()[at % 2]
                }
                0x39 => self.fifo.len() as u8,
                other => self.registers.get(usize::from(other)).copied().unwrap_or(0),
            }
        }

        fn power(&mut self, _: bool) {
            self.registers = [0; 64];
            self.registers[usize::from(BW_RATE)] = 0x0a;
            self.fifo.clear();
            self.sampling.run(self.now, None);
        }
    }

    fn settings(rate_hz: f64, range_g: u16) -> FifoSettings {
        let kind = Kind::Adxl345(Adxl345 { range_g });
        FifoSettings { place: Place::i2c("/dev/i2c-1", 0x53), rate_hz, kind }
    }

    #[test]
    fn a_step_is_3_9_mg_in_every_range() {
        for range_g in [2, 4, 8, 16] {
            bench::step_is(&settings(100.0, range_g), model(), 9.806_65 / 256.0);
        }
    }

    #[test]
    fn range_bits_are_the_data_sheet_s() {
        let bits = |range_g| Adxl345 { range_g }.range_bits();
        assert_eq!([2, 4, 8, 16].map(bits), [0, 1, 2, 3]);
    }

    #[test]
    fn it_streams_bridges_and_notices_what_it_lost() {
        for (rate_hz, _) in RATES {
            bench::stream(&settings(rate_hz, 4), model);
        }
    }

    #[test]
    fn over_spi_it_is_the_same_chip() {
        let place = Place::Spi { device: "/dev/spidev0.0".into(), speed_hz: 1_600_000 };
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
    }

    #[test]
    fn another_chip_is_refused_by_its_id() {
        let error = bench::refused(&settings(100.0, 2), Model345 { id: 0xe6, ..model() });
        assert!(matches!(error, SensorError::WrongChip { found: 0xe6, .. }), "{error}");
    }

    #[test]
    fn what_the_chip_cannot_do_is_refused() {
        let keys = |rate_hz, range_g| {
            let bad = settings(rate_hz, range_g).validate();
            bad.into_iter().map(|bad| bad.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(800.0, 16), [""; 0]);
        assert_eq!(keys(1600.0, 3), ["rate", "accel_range"]);
    }
}
