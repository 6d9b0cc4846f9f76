//! What every chip with a memory must do and survive, on simulated buses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Fifo, FifoSettings};
use crate::clock::ManualClock;
use crate::data::Frames;
use crate::sensor::sim::{Device, Sim};
use crate::sensor::{Sampler, Sensor, SensorChange, SensorError, SensorStats};

/// A simulated chip's sample clock.
#[derive(Default)]
pub(in crate::sensor) struct Sampling {
    /// When it was started, and how often it samples.
    running: Option<(Duration, f64)>,
    next: usize,
    /// Counts through all runs.
    given: usize,
}

impl Sampling {
    /// Samples from `now` on, or no longer; a rate that it has already changes nothing.
    pub(in crate::sensor) fn run(&mut self, now: Duration, rate_hz: Option<f64>) {
        if self.running.map(|(_, rate)| rate) != rate_hz {
            (self.running, self.next) = (rate_hz.map(|rate_hz| (now, rate_hz)), 0);
        }
    }

    /// The next sample that is due by `now`.
    pub(in crate::sensor) fn next(&mut self, now: Duration) -> Option<[i16; 3]> {
        let (start, rate_hz) = self.running?;
        if start + Duration::from_secs_f64((self.next as f64 + 1.0) / rate_hz) > now {
            return None;
        }
        (self.next, self.given) = (self.next + 1, self.given + 1);
        Some(frame(self.given - 1))
    }
}

/// Sample `k`: told from its neighbours, and the first two axes belong together.
fn frame(k: usize) -> [i16; 3] {
    let k = (k % 1000) as i16;
    [16 * k, -16 * k, 4096]
}

struct Stand<D> {
    clock: Arc<ManualClock>,
    sim: Sim<D>,
    settings: FifoSettings,
}

impl<D: Device + 'static> Stand<D> {
    fn new(settings: &FifoSettings, device: D) -> Self {
        let clock = Arc::new(ManualClock::auto());
        let sim = Sim::at(settings.place.address().unwrap_or(0), clock.clone(), device);
        sim.allow_transactions(20_000);
        Self { clock, sim, settings: settings.clone() }
    }

    fn open(&self) -> Result<Fifo, SensorError> {
        let port = self.sim.port(&self.settings.place, self.settings.kind.model().dialect());
        Fifo::new(port, &self.settings, self.clock.clone())
    }

    fn period(&self) -> Duration {
        self.settings.spec().expect("fine settings").period()
    }

    /// Goes on by `periods` and reads.
    fn poll(&self, fifo: &mut Fifo, periods: f64, out: &mut Frames) -> Result<usize, SensorError> {
        self.clock.advance(self.period().mul_f64(periods));
        fifo.read(out)
    }
}

fn gaps(frames: &Frames) -> Vec<usize> {
    let stamps = frames.stamps().iter().enumerate();
    stamps.filter(|(_, stamp)| stamp.gap_before).map(|(index, _)| index).collect()
}

/// What it refuses the chip with.
pub(in crate::sensor) fn refused<D: Device + 'static>(
    settings: &FifoSettings,
    device: D,
) -> SensorError {
    Stand::new(settings, device).open().err().expect("refused")
}

/// A step of the chip's 16 bits is `scale` m/s², on each axis and with its sign.
pub(in crate::sensor) fn step_is<D: Device + 'static>(
    settings: &FifoSettings,
    device: D,
    scale: f32,
) {
    let stand = Stand::new(settings, device);
    let mut fifo = stand.open().expect("the chip is fine");
    let mut out = Frames::new(3, 64);
    for _ in 0..6 {
        stand.poll(&mut fifo, 1.0, &mut out).expect("the chip is fine");
    }
    assert!(out.len() > 4, "{}", out.len());
    // What it sampled before its memory was on is not in it.
    let first = (out.values()[0] / scale / 16.0).round() as usize;
    for (k, (values, _)) in out.iter().enumerate() {
        for (value, raw) in values.iter().zip(frame(first + k)) {
            let expected = f32::from(raw) * scale;
            assert!((value - expected).abs() < 1e-3, "frame {k}: {value}, not {expected}");
        }
    }
}

/// It streams without a gap, a late reader gets all frames, an overflow is a gap, and no frame is out of line.
pub(in crate::sensor) fn stream<D: Device + 'static>(settings: &FifoSettings, make: fn() -> D) {
    let stand = Stand::new(settings, make());
    let mut fifo = stand.open().expect("the chip is fine");
    let capacity = fifo.chip.capacity();
    let (mut out, name) = (Frames::new(3, 4096), settings.rate_hz);
    for _ in 0..20 {
        stand.poll(&mut fifo, 1.0, &mut out).expect("the chip is fine");
    }
    assert!((19..=20).contains(&out.len()), "{name} Hz: {} frames", out.len());
    // Late, but not too late.
    let before = out.len();
    let waited = capacity - 3;
    stand.poll(&mut fifo, waited as f64, &mut out).expect("the chip is fine");
    assert!((waited - 1..=waited + 1).contains(&(out.len() - before)), "{name} Hz");
    assert_eq!(gaps(&out), [0], "{name} Hz");
    let in_line = |out: &Frames| {
        for (k, (values, _)) in out.iter().enumerate() {
            let whole = (values[0] + values[1]).abs() < 1e-3 && values[2] == out.values()[2];
            assert!(whole, "{name} Hz, frame {k}: {values:?}");
        }
    };
    in_line(&out);
    let step = out.values()[3] - out.values()[0];
    let firsts: Vec<f32> = out.iter().map(|(values, _)| values[0]).collect();
    for (k, pair) in firsts.windows(2).enumerate() {
        assert!((pair[1] - pair[0] - step).abs() < 1e-3, "{name} Hz: after frame {k}");
    }
    // Too late.
    let before = out.len();
    assert_eq!(stand.poll(&mut fifo, capacity as f64 + 20.0, &mut out), Ok(0), "{name} Hz");
    for _ in 0..10 {
        stand.poll(&mut fifo, 1.0, &mut out).expect("the chip is fine");
    }
    assert!(out.len() >= before + 9, "{name} Hz");
    assert_eq!(gaps(&out), [0, before], "{name} Hz");
    in_line(&out);
    let ordered = out.stamps().windows(2).all(|pair| pair[0].at < pair[1].at);
    assert!(ordered, "{name} Hz: stamps are in order");
    // The thread was held up between asking and taking.
    let before = out.len();
    stand.sim.stretch(stand.period() * (capacity as u32 * 2));
    assert_eq!(stand.poll(&mut fifo, 1.0, &mut out), Ok(0), "{name} Hz");
    stand.sim.stretch(Duration::ZERO);
    for _ in 0..10 {
        stand.poll(&mut fifo, 1.0, &mut out).expect("the chip is fine");
    }
    assert_eq!(gaps(&out)[2..], [before], "{name} Hz");
}

/// Over SPI nothing acknowledges: a dead line and a chip that is gone are faults by what they read as.
pub(in crate::sensor) fn dead_line<D: Device + 'static>(settings: &FifoSettings, make: fn() -> D) {
    for what in ["zeros", "ones", "removed", "failing"] {
        let stand = Stand::new(settings, make());
        let begin = || match what {
            "zeros" => stand.sim.stuck_at(Some(0x00)),
            "ones" => stand.sim.stuck_at(Some(0xff)),
            "removed" => stand.sim.remove(),
            _ => stand.sim.nack_next(1),
        };
        let end = || {
            stand.sim.stuck_at(None);
            stand.sim.plug_in();
        };
        begin();
        let error = stand.open().err().expect(what);
        assert!(matches!(error, SensorError::Bus { .. }), "{what}: {error}");
        end();
        let (mut fifo, mut out) = (stand.open().expect(what), Frames::new(3, 64));
        stand.poll(&mut fifo, 3.0, &mut out).expect(what);
        let good = out.len();
        begin();
        let error = stand.poll(&mut fifo, 3.0, &mut out).expect_err(what);
        assert!(matches!(error, SensorError::Bus { .. }), "{what}: {error}");
        assert_eq!(out.len(), good, "{what}");
    }
}

/// Every fault of an I²C bus: an error, no frame, and all well after it.
pub(in crate::sensor) fn faults<D: Device + 'static>(settings: &FifoSettings, make: fn() -> D) {
    dead_line(settings, make);
    // Each transaction of the start and of the first bursts may fail.
    for failing in 0.. {
        let stand = Stand::new(settings, make());
        let mut out = Frames::new(3, 64);
        stand.sim.nack_at(failing);
        let read = stand.open().and_then(|mut fifo| {
            stand.poll(&mut fifo, 4.0, &mut out)?;
            stand.poll(&mut fifo, 4.0, &mut out)
        });
        match read {
            Err(error) => assert!(error.to_string().contains("nothing answers"), "{error}"),
            Ok(_) => break,
        }
        let (mut fifo, mut out) = (stand.open().expect("again"), Frames::new(3, 64));
        assert!(stand.poll(&mut fifo, 4.0, &mut out).expect("again") > 0);
    }
    // A burst that breaks off anywhere.
    for bytes in 0..6 {
        let stand = Stand::new(settings, make());
        let (mut fifo, mut out) = (stand.open().expect("fine"), Frames::new(3, 64));
        stand.poll(&mut fifo, 3.0, &mut out).expect("fine");
        let good = out.len();
        stand.sim.nack_after_bytes(bytes);
        // Two bytes of a count, then frames of six: some part is longer than that.
        let error = stand.poll(&mut fifo, 3.0, &mut out);
        assert!(matches!(error, Err(SensorError::Bus { .. })), "{bytes}: {error:?}");
        assert_eq!(out.len(), good);
        let mut fifo = stand.open().expect("again");
        assert!(stand.poll(&mut fifo, 4.0, &mut out).expect("again") > 0);
        assert!(out.stamps()[good].gap_before, "what broke off is a gap");
    }
    // A supply that dips is always noticed.
    let stand = Stand::new(settings, make());
    let (mut fifo, mut out) = (stand.open().expect("fine"), Frames::new(3, 64));
    stand.poll(&mut fifo, 3.0, &mut out).expect("fine");
    stand.sim.brown_out();
    let error = stand.poll(&mut fifo, 3.0, &mut out).expect_err("a chip that lost its settings");
    assert!(error.to_string().contains("lost its configuration"), "{error}");
}

/// On its sampling thread: pulled out, then frozen; each is told once, and it comes back by itself.
pub(in crate::sensor) fn told<D: Device + 'static>(settings: &FifoSettings, make: fn() -> D) {
    let stand = Stand::new(settings, make());
    let told = Arc::new(Mutex::new(Vec::new()));
    let (stop, stats) = (Arc::new(AtomicBool::new(false)), Arc::new(SensorStats::default()));
    let (mut openings, at) = (0, stand.settings.clone());
    let open = {
        let (sim, clock) = (stand.sim.clone(), stand.clock.clone());
        move || {
            openings += 1;
            match openings {
                // Back at the third try; thawed at the first.
                4 => sim.plug_in(),
                5 => sim.freeze(false),
                _ => {}
            }
            let port = sim.port(&at.place, at.kind.model().dialect());
            Ok(Box::new(Fifo::new(port, &at, clock.clone())?) as Box<dyn Sensor>)
        }
    };
    let frames = {
        let (sim, stop) = (stand.sim.clone(), stop.clone());
        let (mut count, mut did) = (0, 0);
        move |frames: &Frames| {
            count += frames.len();
            match (count, did) {
                (50.., 0) => sim.remove(),
                (100.., 1) => sim.freeze(true),
                (150.., 2) => stop.store(true, Ordering::Relaxed),
                _ => return,
            }
            did += 1;
        }
    };
    let changes = told.clone();
    Sampler {
        name: "imu".into(),
        spec: settings.spec().expect("fine settings"),
        stuck_after: settings.stuck_after(),
        clock: stand.clock.clone(),
        open: Box::new(open),
        frames: Box::new(frames),
        changes: Box::new(move |change| changes.lock().unwrap().push(change)),
        stats: stats.clone(),
        stop,
    }
    .run();
    let told = told.lock().unwrap();
    let [
        SensorChange::Lost { reason },
        SensorChange::Back { .. },
        SensorChange::Stuck { reason: frozen },
        SensorChange::Back { .. },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert!(reason.contains("nothing answers at address"), "{reason}");
    assert!(frozen.contains("has not sampled for 30"), "{frozen}");
    let reading = stats.read();
    assert_eq!((reading.gaps, reading.times_lost), (2, 2));
}
