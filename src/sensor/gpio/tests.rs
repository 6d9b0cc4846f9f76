use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;

/// A wire that a test moves, and the kernel that watches it.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    level: bool,
    queue: Vec<Seen>,
    /// What the queue has room for; 0: without end.
    room: usize,
    numbered: bool,
    number: u32,
    only: Option<bool>,
    gone: bool,
    debounced: bool,
}

impl Wire {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The level from `at` on.
    fn goes(&self, level: bool, at: Duration) {
        let mut state = self.state();
        if state.level == level {
            return;
        }
        state.level = level;
        if state.only.is_some_and(|only| only != level) {
            return;
        }
        state.number += 1;
        let number = state.numbered.then_some(state.number);
        if state.room > 0 && state.queue.len() == state.room {
            state.queue.remove(0);
        }
        state.queue.push(Seen { at, rising: level, number });
    }

    fn pulse(&self, at: Duration, width: Duration) {
        self.goes(true, at);
        self.goes(false, at + width);
    }
}

impl Open for Wire {
    fn level(&mut self) -> Result<bool, SensorError> {
        if self.state().gone {
            return Err(super::super::bus::fault("reading a line", "No such device"));
        }
        Ok(self.state().level)
    }

    fn edges(&mut self, each: &mut dyn FnMut(Seen)) -> Result<(), SensorError> {
        self.level()?;
        let queue = std::mem::take(&mut self.state().queue);
        queue.into_iter().for_each(each);
        Ok(())
    }

    fn is_debounced(&self) -> bool {
        self.state().debounced
    }
}

fn line(name: &str, measure: Measure) -> Line {
    Line {
        name: name.into(),
        id: LineId::Name(name.to_uppercase()),
        measure,
        edge: Edge::Rising,
        bias: Bias::AsIs,
        active_low: false,
        debounce: Duration::ZERO,
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    wire: Wire,
    gpio: Gpio,
    frames: Frames,
}

fn bench(rate_hz: f64, line: Line, state: State) -> Bench {
    let clock = Arc::new(ManualClock::auto());
    let wire = Wire(Arc::new(Mutex::new(state)));
    let lines = Lines { chip: "/dev/gpiochip0".into(), lines: vec![line] };
    let settings = GpioSettings { lines, rate_hz };
    let open = |_: &Path, _: &Line| Ok(Box::new(wire.clone()) as Box<dyn Open>);
    let gpio = Gpio::new(&settings, clock.clone(), &mut { open }).unwrap();
    Bench { clock, wire, gpio, frames: Frames::new(1, 64) }
}

const MS: Duration = Duration::from_millis(1);

impl Bench {
    /// Polls as the sampling thread does until `until`; gives the frames' values.
    fn run(&mut self, until: Duration) -> Vec<f32> {
        let before = self.frames.len();
        while self.clock.monotonic() < until {
            self.clock.advance(self.gpio.poll_period());
            self.gpio.read(&mut self.frames).unwrap();
        }
        self.frames.values()[before..].to_vec()
    }
}

#[test]
fn a_level_is_one_or_nought_at_each_deadline() {
    let mut bench = bench(10.0, line("door", Measure::Level), State::default());
    assert_eq!(bench.run(MS * 300), [0.0, 0.0, 0.0]);
    bench.wire.goes(true, MS * 310);
    assert_eq!(bench.run(MS * 500), [1.0, 1.0]);
    let gaps: Vec<bool> = bench.frames.stamps().iter().map(|stamp| stamp.gap_before).collect();
    assert_eq!(gaps, [true, false, false, false, false]);
}

#[test]
fn edges_are_counted_by_frame_and_their_rate_is_by_their_times() {
    for measure in [Measure::Count, Measure::Rate] {
        let mut bench =
            bench(1.0, line("flow", measure), State { numbered: true, ..State::default() });
        bench.run(MS * 10);
        // 7 Hz: no whole number of them fits into a frame.
        for k in 0..70_u32 {
            bench.wire.pulse(Duration::from_secs(k.into()) / 7 + MS * 20, MS * 5);
        }
        let values = bench.run(MS * 10_100);
        assert_eq!(values.len(), 10, "{values:?}");
        match measure {
            // The simulated kernel has them all at once.
            Measure::Count => assert_eq!((values[0], values[1..].iter().sum()), (70.0, 0.0)),
            _ => assert!((values[0] - 7.0).abs() < 0.01, "{values:?}"),
        }
    }
}

#[test]
fn a_wheel_that_slows_down_comes_to_rest() {
    let state = State { numbered: true, ..State::default() };
    let mut bench = bench(1.0, line("wheel", Measure::Rate), state);
    for k in 1..=10_u32 {
        bench.run(MS * 500 * k);
        bench.wire.pulse(MS * 500 * k, MS);
    }
    let values = bench.run(MS * 5100);
    assert!((values[0] - 2.0).abs() < 0.1, "{values:?}");
    let values = bench.run(MS * 12_100);
    assert!(values[0] > 0.4 && values[0] < 2.0 && values[1] < values[0], "{values:?}");
    assert_eq!(values[6], 0.0, "{values:?}");
}

#[test]
fn edges_that_found_no_room_are_counted_where_the_kernel_numbers_them() {
    let only = Some(true);
    let state = State { numbered: true, room: 16, only, ..State::default() };
    let mut bench = bench(1.0, line("flow", Measure::Count), state);
    bench.run(MS * 10);
    (0..100_u32).for_each(|k| bench.wire.pulse(MS * (20 + k), MS / 2));
    assert_eq!(bench.run(MS * 1010), [100.0]);
}

#[test]
fn bouncing_is_kept_away_here_where_the_kernel_cannot() {
    let settings = |measure| Line { debounce: MS * 5, ..line("button", measure) };
    for measure in [Measure::Count, Measure::Level] {
        let mut bench = bench(100.0, settings(measure), State::default());
        bench.run(MS * 20);
        // Ten times up and down within a millisecond each, then it stays.
        for k in 0..10_u32 {
            bench.wire.pulse(MS * 20 + MS * k, MS / 2);
        }
        bench.wire.goes(true, MS * 30);
        let values = bench.run(MS * 100);
        match measure {
            Measure::Count => assert_eq!(values.iter().sum::<f32>(), 1.0, "{values:?}"),
            _ => {
                assert_eq!(values[0], 0.0, "{values:?}");
                assert!(values[3..].iter().all(|level| *level == 1.0), "{values:?}");
            }
        }
        // A spike is nothing.
        bench.wire.goes(false, MS * 100);
        bench.wire.goes(true, MS * 101);
        let values = bench.run(MS * 150);
        let expected = if measure == Measure::Count { 0.0 } else { 1.0 };
        assert!(values.iter().all(|value| *value == expected), "{values:?}");
    }
}

#[test]
fn a_chip_that_is_pulled_out_is_a_fault_and_no_frame() {
    for measure in [Measure::Level, Measure::Count] {
        let mut bench = bench(10.0, line("door", measure), State::default());
        bench.run(MS * 200);
        let before = bench.frames.len();
        bench.wire.state().gone = true;
        bench.clock.advance(MS * 100);
        let error = bench.gpio.read(&mut bench.frames).unwrap_err();
        assert!(matches!(error, SensorError::Bus { .. }), "{error}");
        assert_eq!(bench.frames.len(), before);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let keys = |lines: Vec<Line>, rate_hz| {
        let lines = Lines { chip: "/dev/gpiochip0".into(), lines };
        let bad = GpioSettings { lines, rate_hz }.validate();
        bad.into_iter().map(|bad| bad.key).collect::<Vec<_>>()
    };
    let door = || line("door", Measure::Level);
    assert_eq!(keys(vec![door()], 1.0), [""; 0]);
    assert_eq!(keys(vec![], 0.0), ["rate", "line"]);
    assert_eq!(keys(vec![door(), door()], 1.0), ["line"]);
    assert_eq!(keys(vec![door(), Line { name: "other".into(), ..door() }], 1.0), ["line"]);
    assert_eq!(keys(vec![Line { debounce: MS * 1001, ..door() }], 1.0), ["line"]);
}

proptest! {
    /// Whatever the polls and the frames, no edge is lost or counted twice.
    #[test]
    fn every_edge_is_counted_once(
        times in prop::collection::vec(1_u32..400, 0..200),
        numbered in any::<bool>(),
    ) {
        let state = State { numbered, ..State::default() };
        let mut bench = bench(5.0, line("flow", Measure::Count), state);
        let (mut at, mut sum) = (Duration::ZERO, 0.0);
        for ms in &times {
            at += MS * *ms;
            bench.wire.pulse(at, MS / 2);
            sum += bench.run(at).iter().sum::<f32>();
        }
        sum += bench.run(at + MS * 500).iter().sum::<f32>();
        prop_assert_eq!(sum, times.len() as f32);
    }
}
