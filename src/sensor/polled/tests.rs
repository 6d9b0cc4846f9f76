//! A slow chip on its sampling thread: what is told of it, and that it comes back by itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::bench::{Words, opened};
use super::*;
use crate::clock::ManualClock;
use crate::sensor::sim::Sim;
use crate::sensor::{Sampler, SensorChange, SensorStats};

/// An OPT3001 that is always ready.
fn light() -> Words {
    Words::new(&[(0x7e, 0x5449), (0x7f, 0x3001)], |words, _, now| {
        words[0] = 0x2100 + (now.as_millis() % 3) as u16;
        words[1] |= 0x0080;
    })
}

#[test]
fn a_chip_that_is_dazzled_and_then_unplugged_is_told_and_comes_back_by_itself() {
    const DAZZLED: u16 = 0x0100;
    let clock = Arc::new(ManualClock::auto());
    let settings = PolledSettings {
        place: Place::i2c("/dev/i2c-1", 0x44),
        rate_hz: 1.0,
        kind: Kind::Opt3001(Opt3001),
    };
    let sim = Sim::at(0x44, clock.clone(), light());
    sim.allow_transactions(5000);
    let (told, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let missing = Arc::new(AtomicU32::new(0));
    let stats = Arc::new(SensorStats::default());
    let mut openings = 0;
    let open = {
        let (sim, clock, settings) = (sim.clone(), clock.clone(), settings.clone());
        move || {
            openings += 1;
            if openings == 4 {
                sim.plug_in();
            }
            Ok(Box::new(opened(&sim, &settings, clock.clone())?) as Box<dyn Sensor>)
        }
    };
    let frames = {
        let (sim, missing, stop) = (sim.clone(), missing.clone(), stop.clone());
        let mut count = 0;
        move |frames: &Frames| {
            count += frames.len();
            missing.fetch_add(
                frames.values().iter().filter(|v| v.is_nan()).count() as u32,
                Ordering::Relaxed,
            );
            match count {
                5 => sim.with(|chip| chip.also(0x01, DAZZLED)),
                8 => sim.with(|chip| chip.also(0x01, 0)),
                25 => sim.remove(),
                30 => stop.store(true, Ordering::Relaxed),
                _ => {}
            }
        }
    };
    let changes = told.clone();
    Sampler {
        name: "light".into(),
        spec: settings.spec().unwrap(),
        stuck_after: settings.kind.model().stuck_after(),
        clock,
        open: Box::new(open),
        frames: Box::new(frames),
        changes: Box::new(move |change| changes.lock().unwrap().push(change)),
        stats: stats.clone(),
        stop,
    }
    .run();
    let told = told.lock().unwrap();
    let [
        SensorChange::OutOfRange { channel, value },
        SensorChange::InRange { .. },
        SensorChange::Lost { reason },
        SensorChange::Back { .. },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((channel.as_str(), *value), ("illuminance", f32::INFINITY));
    assert!(reason.contains("nothing answers at address 0x44"), "{reason}");
    assert_eq!(missing.load(Ordering::Relaxed), 3, "dazzled for three frames");
    let reading = stats.read();
    assert_eq!((reading.gaps, reading.times_lost, reading.outside), (1, 1, Vec::<String>::new()));
}

#[test]
fn a_measurement_every_ten_seconds_is_one_though_the_thread_looks_every_second() {
    let clock = Arc::new(ManualClock::auto());
    let settings = PolledSettings {
        place: Place::i2c("/dev/i2c-1", 0x44),
        rate_hz: 0.1,
        kind: Kind::Opt3001(Opt3001),
    };
    let sim = Sim::at(0x44, clock.clone(), light());
    let mut sensor = opened(&sim, &settings, clock.clone()).unwrap();
    let mut frames = Frames::new(1, 8);
    for _ in 0..35 {
        sensor.read(&mut frames).unwrap();
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(frames.len(), 4);
    assert!(frames.stamps()[1..].iter().all(|stamp| !stamp.gap_before));
}
