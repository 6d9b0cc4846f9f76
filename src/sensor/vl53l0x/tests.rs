use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::data::Frames;
use crate::sensor::Sensor as _;
use crate::sensor::bus::Place;
use crate::sensor::polled::bench::{Bench, opened};
use crate::sensor::polled::{Kind, PolledSettings};
use crate::sensor::sim::{Device, Sim};

/// The chip as far as ST's order of things shows it: registers in pages, results after the budget.
struct Laser {
    registers: BTreeMap<(u8, u8), u8>,
    page: u8,
    pointer: u8,
    now: Duration,
    ready_at: Option<Duration>,
    status: u8,
    mm: u16,
    never_ready: bool,
}

fn laser() -> Laser {
    let mut laser = Laser {
        registers: BTreeMap::new(),
        page: 0,
        pointer: 0,
        now: Duration::ZERO,
        ready_at: None,
        status: 11,
        mm: 1234,
        never_ready: false,
    };
    laser.power(true);
    laser
}

impl Device for Laser {
    fn catch_up(&mut self, now: Duration) {
        self.now = now;
        if self.ready_at.is_some_and(|at| now >= at) && !self.never_ready {
            self.ready_at = None;
            self.registers.insert((0, RESULT_INTERRUPT_STATUS), 0x44);
            self.registers.insert((0, RESULT_RANGE_STATUS), self.status << 3 | 0x01);
            let [high, low] = self.mm.to_be_bytes();
            self.registers.insert((0, RESULT_RANGE_STATUS + 10), high);
            self.registers.insert((0, RESULT_RANGE_STATUS + 11), low);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((&register, values)) = bytes.split_first() else { return };
        self.pointer = register;
        for &value in values {
            let register = self.pointer;
            self.pointer = register.wrapping_add(1);
            if register == PAGE {
                self.page = value;
                continue;
            }
            self.registers.insert((self.page, register), value);
            match (self.page, register) {
                (0, SYSRANGE_START) if value & 1 != 0 => {
                    let sequence = self.registers.get(&(0, SEQUENCE_CONFIG));
                    let ms = if sequence == Some(&SEQUENCE) { 20 } else { 2 };
                    self.ready_at = Some(self.now + Duration::from_millis(ms));
                }
                (0, INTERRUPT_CLEAR) => {
                    self.registers.insert((0, RESULT_INTERRUPT_STATUS), 0x40);
                }
                // The non-volatile memory answers: 5 detectors with an aperture.
                (7, 0x94) => {
                    self.registers.insert((7, 0x92), 0x85);
                }
                (7, 0x83) if value == 0 => {
                    self.registers.insert((7, 0x83), 0x10);
                }
                _ => {}
            }
        }
    }

    fn read_byte(&mut self) -> u8 {
        let at = (self.page, self.pointer);
        self.pointer = self.pointer.wrapping_add(1);
        self.registers.get(&at).copied().unwrap_or(0)
    }

    fn power(&mut self, _: bool) {
        self.registers.clear();
        self.page = 0;
        self.ready_at = None;
        for (register, value) in [(MODEL_ID, 0xee), (SEQUENCE_CONFIG, 0xff), (0xb1, 0xf0)] {
            self.registers.insert((0, register), value);
        }
        self.registers.insert((0, 0xb2), 0xff);
        self.registers.insert((1, 0x91), 0x3c);
    }
}

fn settings(rate_hz: f64) -> PolledSettings {
    PolledSettings { place: Place::i2c("/dev/i2c-1", 0x29), rate_hz, kind: Kind::Vl53l0x(Vl53l0x) }
}

#[test]
fn a_distance_is_in_metres_and_the_chip_was_told_what_st_tells_it() {
    let clock = Arc::new(ManualClock::auto());
    let sim = Sim::at(0x29, clock.clone(), laser());
    let mut sensor = opened(&sim, &settings(10.0), clock).unwrap();
    let mut frames = Frames::new(1, 4);
    assert_eq!(sensor.read(&mut frames), Ok(1));
    assert_eq!(frames.values(), [1.234]);
    sim.with(|laser| {
        let at = |page: u8, register: u8| laser.registers.get(&(page, register)).copied();
        // The tuning's last word for each page; the stop variable goes back as it was.
        assert_eq!((at(0, 0x46), at(1, 0x46), at(1, 0x91)), (Some(0x25), Some(0x05), Some(0x3c)));
        assert_eq!((at(0, 0x44), at(0, 0x45)), (Some(0), Some(32)));
        // Five of the good detectors from the twelfth on.
        assert_eq!((at(0, 0xb1), at(0, 0xb2)), (Some(0xf0), Some(0x01)));
    });
}

#[test]
fn what_the_status_says_is_never_a_distance() {
    for (status, expected) in [(4, f32::INFINITY), (6, f32::INFINITY), (10, f32::NEG_INFINITY)] {
        assert_eq!(distance(status, 321), Ok(expected), "{status}");
    }
    assert!([0, 5, 7, 12, 15].iter().all(|status| distance(*status, 321).unwrap().is_nan()));
    assert!(distance(2, 321).unwrap_err().to_string().contains("the laser failed its own test"));
    assert_eq!(distance(11, 8190), Ok(8.19), "beyond the range, which the sampler takes out");
}

#[test]
fn faults_are_faults_and_never_data() {
    Bench::faults_of(settings(1.0), laser);
}

#[test]
fn a_chip_that_is_never_ready_is_a_fault_in_time() {
    let clock = Arc::new(ManualClock::auto());
    let sim = Sim::at(0x29, clock.clone(), laser());
    let mut sensor = opened(&sim, &settings(10.0), clock.clone()).unwrap();
    sim.with(|laser| laser.never_ready = true);
    let begun = crate::clock::Clock::monotonic(clock.as_ref());
    let error = sensor.read(&mut Frames::new(1, 1)).unwrap_err().to_string();
    assert!(error.contains("waiting for the measurement: it is not ready after"), "{error}");
    let took = crate::clock::Clock::monotonic(clock.as_ref()) - begun;
    assert!(took < Duration::from_millis(250), "{took:?}");
}

#[test]
fn another_chip_is_refused() {
    let clock = Arc::new(ManualClock::auto());
    let mut other = laser();
    other.registers.insert((0, MODEL_ID), 0xea);
    let sim = Sim::at(0x29, clock.clone(), other);
    let error = opened(&sim, &settings(10.0), clock).err().unwrap();
    assert!(matches!(error, SensorError::WrongChip { found: 0xea, .. }), "{error}");
}

#[test]
fn the_slower_it_is_asked_the_longer_it_measures() {
    assert_eq!([40.0, 20.0, 1.0].map(budget_us), [20_000, 37_000, 200_000]);
    assert!(settings(40.0).validate().is_empty());
    assert_eq!(settings(50.0).validate()[0].key, "rate");
}
