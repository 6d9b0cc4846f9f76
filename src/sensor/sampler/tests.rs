use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::clock::{ManualClock, ScaledClock};
use crate::sensor::SensorReading;
use crate::sensor::bus::Place;
use crate::sensor::fifo::{Fifo, FifoSettings, Kind};
use crate::sensor::mpu6050::Mpu6050;
use crate::sensor::sim::{ADDRESS, Playback, Segment, SimChip};

const PERIOD: Duration = Duration::from_millis(10);

/// What a sampler told, and the parts to make it.
struct Bench {
    clock: Arc<dyn Clock>,
    stats: Arc<SensorStats>,
    stop: Arc<AtomicBool>,
    changes: Arc<Mutex<Vec<SensorChange>>>,
    frames: Arc<Mutex<Frames>>,
}

impl Bench {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            stats: Arc::default(),
            stop: Arc::default(),
            changes: Arc::default(),
            frames: Arc::new(Mutex::new(Frames::new(6, 4096))),
        }
    }

    /// A sampler that ends when `done` says so, asked at each opening, batch and change.
    fn sampler(
        &self,
        mut open: impl FnMut() -> Result<Box<dyn Sensor>, SensorError> + Send + 'static,
        done: impl Fn(&Bench) -> bool + Clone + Send + 'static,
    ) -> Sampler {
        let look = {
            let bench = self.share();
            move || {
                if done(&bench) {
                    bench.stop.store(true, Ordering::Relaxed);
                }
            }
        };
        let (at_open, at_frames, at_changes) = (look.clone(), look.clone(), look);
        let (frames, changes) = (self.frames.clone(), self.changes.clone());
        Sampler {
            name: "imu".into(),
            spec: settings().spec().expect("fine settings"),
            stuck_after: None,
            clock: self.clock.clone(),
            open: Box::new(move || {
                at_open();
                open()
            }),
            frames: Box::new(move |batch| {
                for (values, stamp) in batch.iter() {
                    frames.lock().unwrap().push(values, stamp);
                }
                at_frames();
            }),
            changes: Box::new(move |change| {
                changes.lock().unwrap().push(change);
                at_changes();
            }),
            stats: self.stats.clone(),
            stop: self.stop.clone(),
        }
    }

    fn share(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            stats: self.stats.clone(),
            stop: self.stop.clone(),
            changes: self.changes.clone(),
            frames: self.frames.clone(),
        }
    }

    fn changes(&self) -> Vec<SensorChange> {
        self.changes.lock().unwrap().clone()
    }

    fn frames(&self) -> Frames {
        self.frames.lock().unwrap().clone()
    }

    fn gaps(&self) -> usize {
        self.frames().stamps().iter().filter(|stamp| stamp.gap_before).count()
    }

    fn reading(&self) -> SensorReading {
        self.stats.read()
    }
}

impl Clone for Bench {
    fn clone(&self) -> Self {
        self.share()
    }
}

fn chip(clock: &Arc<ManualClock>, frames: usize) -> SimChip {
    let segments = vec![Segment { frames: vec![[1.0, 2.0, 3.0, 0.1, 0.2, 0.3]; frames] }];
    SimChip::new(clock.clone(), Playback { segments, gap: Duration::ZERO, repeat: false })
}

fn settings() -> FifoSettings {
    let kind = Kind::Mpu6050(Mpu6050::default());
    FifoSettings { place: Place::i2c("/dev/i2c-1", ADDRESS), rate_hz: 100.0, kind }
}

fn open(chip: &SimChip, clock: Arc<dyn Clock>) -> Result<Box<dyn Sensor>, SensorError> {
    let settings = settings();
    let port = chip.port(&settings.place, Default::default());
    Ok(Box::new(Fifo::new(port, &settings, clock)?))
}

/// A sensor that does what a test says, once a poll.
struct Scripted<F>(SensorSpec, F);

impl<F: FnMut(&mut Frames) -> Result<usize, SensorError> + Send> Sensor for Scripted<F> {
    fn spec(&self) -> &SensorSpec {
        &self.0
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        (self.1)(out)
    }
}

fn scripted(
    read: impl FnMut(&mut Frames) -> Result<usize, SensorError> + Send + 'static,
) -> Result<Box<dyn Sensor>, SensorError> {
    let spec = settings().spec().expect("fine settings");
    Ok(Box::new(Scripted(spec, read)))
}

fn bus_fault() -> SensorError {
    SensorError::Bus { doing: "reading", why: "no".into() }
}

fn one_frame(clock: &dyn Clock, out: &mut Frames) -> Result<usize, SensorError> {
    let stamp = crate::data::Stamp { at: clock.monotonic(), wall: clock.wall(), gap_before: false };
    out.push(&[0.0; 6], stamp);
    Ok(1)
}

#[test]
fn healthy_sensor_gives_every_frame_at_its_deadline() {
    let clock = Arc::new(ManualClock::auto());
    let chip = chip(&clock, 500);
    let bench = Bench::new(clock.clone());
    let done = |bench: &Bench| bench.stats.frames.load(Ordering::Relaxed) == 500;
    bench.sampler(move || open(&chip, clock.clone()), done).run();
    let reading = bench.reading();
    assert_eq!((reading.frames, reading.gaps, reading.missed_deadlines), (500, 0, 0));
    assert_eq!((reading.state, reading.jitter_max), (SensorState::Ended, Duration::ZERO));
    assert_eq!((bench.changes(), bench.gaps()), (vec![], 1));
}

#[test]
fn stalled_machine_makes_scaled_time_slower_and_loses_nothing() {
    let under = Arc::new(ManualClock::auto());
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::over(under.clone(), 1000.0).unwrap());
    let segments = vec![Segment { frames: vec![[0.0; 6]; 300] }; 2];
    let playback = Playback { segments, gap: PERIOD * 50, repeat: false };
    let chip = SimChip::new(clock.clone(), playback);
    let bench = Bench::new(clock.clone());
    let done = move |bench: &Bench| {
        // A second of real time is 1000 s here, and the FIFO holds 0.85 s.
        under.advance(Duration::from_secs(1));
        bench.stats.frames.load(Ordering::Relaxed) == 600
    };
    bench.sampler(move || open(&chip, clock.clone()), done).run();
    let reading = bench.reading();
    assert_eq!((reading.frames, reading.gaps, reading.missed_deadlines), (600, 1, 0));
    assert_eq!(bench.changes(), []);
}

#[test]
fn removed_sensor_is_lost_once_and_back_once_with_a_gap() {
    let clock = Arc::new(ManualClock::auto());
    let chip = chip(&clock, 100_000);
    let bench = Bench::new(clock.clone());
    let openings = Arc::new(AtomicU32::new(0));
    let done = |bench: &Bench| bench.stats.frames.load(Ordering::Relaxed) >= 100;
    let in_frames = chip.clone();
    let mut sampler = bench.sampler(
        {
            let (chip, openings) = (chip.clone(), openings.clone());
            move || {
                if openings.fetch_add(1, Ordering::Relaxed) == 5 {
                    chip.plug_in();
                }
                open(&chip, clock.clone())
            }
        },
        done,
    );
    let mut deliver = sampler.frames;
    let mut removed = false;
    sampler.frames = Box::new(move |batch| {
        deliver(batch);
        if !std::mem::replace(&mut removed, true) {
            in_frames.remove();
        }
    });
    sampler.run();
    let changes = bench.changes();
    let [SensorChange::Lost { reason }, SensorChange::Back { after }] = &changes[..] else {
        panic!("not lost and back: {changes:?}");
    };
    assert!(reason.contains("nothing answers at address 0x68"), "{reason}");
    // 100 + 200 + 400 + 800 + 1600 ms of back-off, the set-up's 150 ms, the first frame's 10.
    assert_eq!(after.as_millis(), 3260);
    let reading = bench.reading();
    assert_eq!((reading.errors, reading.times_lost, reading.gaps), (5, 1, 1));
    assert_eq!((bench.gaps(), reading.last_error), (2, None));
}

#[test]
fn sensor_that_is_not_there_at_the_start_is_retried_ever_more_slowly_up_to_ten_seconds() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock.clone());
    let times = Arc::new(Mutex::new(Vec::new()));
    let opened = times.clone();
    let done = move |_: &Bench| opened.lock().unwrap().len() >= 12;
    let noted = times.clone();
    bench
        .sampler(
            move || {
                noted.lock().unwrap().push(clock.monotonic());
                Err(bus_fault())
            },
            done,
        )
        .run();
    let times = times.lock().unwrap();
    let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(pauses[..8], [100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
    assert!(pauses[8..].iter().all(|pause| *pause == 10_000));
    assert_eq!(bench.changes(), [SensorChange::Lost { reason: "reading: no".into() }]);
    assert_eq!(bench.reading().last_error.as_deref(), Some("reading: no"));
}

#[test]
fn wrong_chip_is_retried_slowly_from_the_start() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock.clone());
    let done = |bench: &Bench| bench.stats.errors.load(Ordering::Relaxed) >= 3;
    let wrong = || Err(SensorError::WrongChip { found: 0xd1, expected: "0x68" });
    bench.sampler(wrong, done).run();
    assert!(clock.monotonic() >= RETRY_LONGEST * 3);
    assert_eq!(bench.changes().len(), 1);
}

#[test]
fn driver_that_panics_is_lost_and_opened_anew() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock.clone());
    let done = |bench: &Bench| bench.stats.frames.load(Ordering::Relaxed) >= 10;
    let openings = AtomicU32::new(0);
    let open = move || {
        let clock = clock.clone();
        match openings.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("while opening"),
            1 => scripted(|_| panic!("register {} is odd", 7)),
            _ => scripted(move |out| one_frame(clock.as_ref(), out)),
        }
    };
    bench.sampler(open, done).run();
    let changes = bench.changes();
    let reason = "running the driver: it panicked: while opening".to_owned();
    assert_eq!(changes[0], SensorChange::Lost { reason });
    assert!(matches!(changes[1], SensorChange::Back { .. }));
    assert_eq!((changes.len(), bench.reading().errors), (2, 2));
}

#[test]
fn frames_of_a_failed_read_are_not_used() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock.clone());
    let done = |bench: &Bench| bench.stats.errors.load(Ordering::Relaxed) >= 2;
    let open = move || {
        let clock = clock.clone();
        scripted(move |out| one_frame(clock.as_ref(), out).and(Err(bus_fault())))
    };
    bench.sampler(open, done).run();
    assert_eq!(bench.frames().len(), 0);
}

#[test]
fn end_of_a_recording_ends_the_thread() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock);
    bench.sampler(|| scripted(|_| Err(SensorError::Ended)), |_| false).run();
    assert_eq!(bench.changes(), []);
    assert_eq!(bench.reading().state, SensorState::Ended);
}

#[test]
fn late_thread_leaves_deadlines_out_and_counts_them() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock.clone());
    let done = |bench: &Bench| bench.stats.frames.load(Ordering::Relaxed) >= 3;
    let open = move || {
        let clock = clock.clone();
        scripted(move |out| {
            let read = one_frame(clock.as_ref(), out);
            clock.advance(PERIOD * 7 / 2);
            read
        })
    };
    bench.sampler(open, done).run();
    // Each read ends at 45 or 80: 20 is met 25 late, 30 and 40 are left out; 50 is met 30 late, 60 to
    // 80 are left out.
    let at: Vec<_> = bench.frames().stamps().iter().map(|s| s.at.as_millis()).collect();
    assert_eq!(at, [10, 45, 80]);
    let reading = bench.reading();
    assert_eq!(reading.missed_deadlines, 2 + 3);
    assert_eq!(reading.jitter_max, PERIOD * 3);
}

#[test]
fn sensor_that_changed_its_channels_is_not_read() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock.clone());
    let done = |bench: &Bench| bench.stats.errors.load(Ordering::Relaxed) >= 1;
    let open = || {
        let spec = SensorSpec { channels: vec![], rate_hz: 1.0 };
        let sensor: Box<dyn Sensor> = Box::new(Scripted(spec, |_: &mut Frames| panic!("read")));
        Ok(sensor)
    };
    bench.sampler(open, done).run();
    let [SensorChange::Lost { reason }] = &bench.changes()[..] else { panic!("not lost") };
    assert!(reason.contains("restart edgerun"), "{reason}");
}

#[test]
fn stop_ends_a_thread_that_waits_within_two_slices() {
    let clock = Arc::new(ManualClock::new());
    let bench = Bench::new(clock.clone());
    let thread = bench.sampler(|| Err(bus_fault()), |_| false).spawn().expect("a thread");
    for _ in 0..200 {
        clock.wait_for_sleepers(1);
        clock.advance(Duration::from_millis(100));
    }
    clock.wait_for_sleepers(1);
    assert!(clock.monotonic() > RETRY_LONGEST);
    bench.stop.store(true, Ordering::Relaxed);
    clock.advance(SLICE);
    thread.join().expect("no panic");
    // It never was there, and the last report says so.
    assert_eq!(bench.reading().state, SensorState::Lost);
}

#[test]
fn frozen_chip_is_told_once_set_up_anew_and_back_with_the_first_new_value() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock.clone());
    // A chip at rest with a little noise, and one whose converter stands still from the 100th sample on.
    let frames = (0..4000).map(|k| match k {
        100..2500 => [0.0; 6],
        k => [k as f32 * 0.01, 0.0, 9.81, 0.0, 0.0, 0.0],
    });
    let segments = vec![Segment { frames: frames.collect() }];
    let chip =
        SimChip::new(clock.clone(), Playback { segments, gap: Duration::ZERO, repeat: false });
    chip.allow_transactions(100_000);
    let opened = Arc::new(AtomicU32::new(0));
    let open = {
        let (chip, clock, opened) = (chip.clone(), clock.clone(), opened.clone());
        move || {
            opened.fetch_add(1, Ordering::Relaxed);
            open(&chip, clock.clone())
        }
    };
    let mut sampler = bench.sampler(open, |bench| bench.changes().len() >= 2);
    sampler.stuck_after = Some(Duration::from_secs(5));
    sampler.run();
    let changes = bench.changes();
    let [SensorChange::Stuck { reason }, SensorChange::Back { after }] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(reason, "frozen: 6 values stayed the same to the last bit for 5s");
    // 24 s of the same values, of which the first 5 s were believed.
    assert!((15..25).contains(&after.as_secs()), "{after:?}");
    assert!(opened.load(Ordering::Relaxed) >= 3, "set up anew again and again");
    let frames = bench.frames();
    let same = frames.iter().filter(|(values, _)| values[..3] == [0.0; 3]).count();
    assert!((499..=501).contains(&same), "{same} frozen frames were used");
    let (_, last) = frames.frame(frames.len() - 1);
    assert!(last.gap_before);
}

#[test]
fn chip_that_answers_and_samples_no_more_is_frozen_too() {
    let clock = Arc::new(ManualClock::auto());
    let bench = Bench::new(clock.clone());
    let chip = chip(&clock, 100);
    let open = {
        let (chip, clock) = (chip.clone(), clock.clone());
        move || open(&chip, clock.clone())
    };
    let mut sampler = bench.sampler(open, |bench| !bench.changes().is_empty());
    sampler.stuck_after = Some(Duration::from_secs(5));
    sampler.run();
    let changes = bench.changes();
    let [SensorChange::Stuck { reason }] = &changes[..] else { panic!("{changes:?}") };
    assert!(reason.contains("has not sampled for 5s"), "{reason}");
    assert_eq!(bench.reading().state, SensorState::Stuck);
}
