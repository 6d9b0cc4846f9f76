use super::*;
use crate::clock::ManualClock;
use crate::queue::{self, FrameSender};
use crate::sensor::{PicturesSettings, ReplaySettings};
use proptest::prelude::*;

/// Parts by rate, on queues that the test fills.
struct Bench {
    clock: Arc<ManualClock>,
    join: Join,
    senders: Vec<Option<FrameSender>>,
}

impl Bench {
    fn new(rate_hz: f64, parts: &[f64]) -> Self {
        let clock = Arc::new(ManualClock::new());
        let (senders, receivers): (Vec<_>, Vec<_>) =
            parts.iter().map(|_| queue::frames(1, 4096)).unzip();
        let feeds = Feeds::default();
        feeds.set(receivers);
        let channel = |n: usize| Channel { name: format!("c{n}").into(), ..Channel::new("", "") };
        let join = Join {
            lanes: parts.iter().map(|&hz| Lane::new(1, hz, rate_hz)).collect(),
            spec: SensorSpec { channels: (0..parts.len()).map(channel).collect(), rate_hz },
            row: vec![f32::NAN; parts.len()],
            clock: clock.clone(),
            feeds,
            next: None,
            gap: true,
            heard: Duration::ZERO,
        };
        Self { clock, join, senders: senders.into_iter().map(Some).collect() }
    }

    /// A frame of `part` at that time.
    fn gives(&self, part: usize, ms: u64, value: f32, gap_before: bool) {
        let mut frames = Frames::new(1, 1);
        let (start, at) = (ManualClock::new().wall(), Duration::from_millis(ms));
        let wall = Timestamp { since_epoch: start.since_epoch + at, ..start };
        frames.push(&[value], Stamp { at, wall, gap_before });
        self.senders[part].as_ref().unwrap().push(&frames);
    }

    /// What has come by `ms`: time, values, whether a gap is before.
    fn read(&mut self, ms: u64) -> Result<Vec<(u64, Vec<f32>, bool)>, SensorError> {
        let now = self.clock.monotonic();
        self.clock.advance(Duration::from_millis(ms).saturating_sub(now));
        let mut out = Frames::new(self.senders.len(), 16);
        self.join.read(&mut out)?;
        let row = |(values, stamp): (&[f32], Stamp)| {
            (stamp.at.as_millis() as u64, values.to_vec(), stamp.gap_before)
        };
        Ok(out.iter().map(row).collect())
    }
}

const NONE: f32 = f32::NAN;

/// Equal, and missing where missing.
fn same(found: &[(u64, Vec<f32>, bool)], expected: &[(u64, &[f32], bool)]) {
    let text = |rows: Vec<(u64, Vec<f32>, bool)>| format!("{rows:?}");
    let expected = expected.iter().map(|(at, values, gap)| (*at, values.to_vec(), *gap)).collect();
    assert_eq!(text(found.to_vec()), text(expected));
}

#[test]
fn two_fast_sensors_meet_on_one_grid() {
    let mut bench = Bench::new(100.0, &[100.0, 200.0]);
    for n in 0..4 {
        bench.gives(0, 10 * n, n as f32, n == 0);
    }
    for n in 0..7 {
        // Between the first one's frames, on the straight line of 1 a millisecond.
        bench.gives(1, 3 + 5 * n, (3 + 5 * n) as f32, n == 0);
    }
    let rows = bench.read(34).unwrap();
    let expected: [(u64, &[f32], bool); 4] = [
        (0, &[0.0, NONE], true),
        (10, &[1.0, 10.0], false),
        (20, &[2.0, 20.0], false),
        (30, &[3.0, 30.0], false),
    ];
    same(&rows, &expected);
}

#[test]
fn a_slow_sensor_s_value_stands_until_its_next_one_and_not_for_ever() {
    let mut bench = Bench::new(10.0, &[10.0, 2.0]);
    for n in 0..26 {
        bench.gives(0, 100 * n, n as f32, n == 0);
    }
    bench.gives(1, 0, 20.0, true);
    bench.gives(1, 500, 21.0, false);
    let rows = bench.read(2500).unwrap();
    let slow: Vec<_> = rows.iter().map(|(_, values, _)| values[1]).collect();
    assert_eq!((rows.len(), &slow[..6]), (25, &[20.0, 20.0, 20.0, 20.0, 20.0, 21.0][..]));
    // Two periods and a half after the last one it is none.
    assert_eq!((slow[17], slow[18].is_nan()), (21.0, true));
}

#[test]
fn nothing_is_invented_across_a_gap() {
    let mut bench = Bench::new(10.0, &[10.0, 10.0]);
    for n in 0..10 {
        bench.gives(0, 100 * n, n as f32, n == 0);
        if !(3..6).contains(&n) {
            bench.gives(1, 100 * n + 50, n as f32, n == 0 || n == 6);
        }
    }
    let rows = bench.read(5000).unwrap();
    let second: Vec<_> = rows.iter().map(|(_, values, _)| values[1]).collect();
    assert_eq!(format!("{second:?}"), "[NaN, 0.5, 1.5, NaN, NaN, NaN, NaN, 6.5, 7.5, 8.5]");
    assert!(rows.iter().skip(1).all(|(.., gap)| !gap), "the first one went on");
}

#[test]
fn when_all_are_silent_there_are_no_rows_and_then_a_gap() {
    let mut bench = Bench::new(10.0, &[10.0, 10.0]);
    for n in [0, 1, 9, 10] {
        bench.gives(0, 100 * n, n as f32, n == 0);
        bench.gives(1, 100 * n, n as f32, n == 0);
    }
    let rows = bench.read(1100).unwrap();
    let places: Vec<_> = rows.iter().map(|(at, _, gap)| (*at, *gap)).collect();
    assert_eq!(places, [(0, true), (100, false), (900, true), (1000, false)]);
    let error = bench.read(60_000).unwrap_err().to_string();
    assert_eq!(error, "joining: none of its sensors gave a value for 59s");
}

#[test]
fn a_sensor_that_is_away_is_waited_for_only_so_long() {
    let mut bench = Bench::new(10.0, &[10.0, 10.0]);
    bench.gives(0, 0, 0.0, true);
    assert_eq!(bench.read(400).unwrap(), []);
    let rows = bench.read(500).unwrap();
    same(&rows, &[(0, &[0.0, NONE], true)]);
}

#[test]
fn it_ends_when_all_its_recordings_have() {
    let mut bench = Bench::new(10.0, &[10.0, 10.0]);
    for n in 0..3 {
        bench.gives(0, 100 * n, n as f32, n == 0);
        bench.gives(1, 100 * n, n as f32, n == 0);
    }
    bench.senders = vec![None, None];
    bench.senders.truncate(2);
    assert_eq!(bench.read(200).unwrap().len(), 3);
    assert_eq!(bench.read(300).unwrap_err(), SensorError::Ended);
}

#[test]
fn channels_that_several_have_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let part = |name: &str, header: &str| {
        let path = dir.path().join(format!("{name}.csv"));
        std::fs::write(&path, format!("{header}\n1,2\n")).unwrap();
        let replay = ReplaySettings { path, rate_hz: Some(10.0), ..Default::default() };
        Part { name: name.into(), settings: DriverSettings::Replay(replay) }
    };
    let parts = vec![part("room", "temperature,humidity"), part("duct", "temperature,flow")];
    let settings = JoinSettings { parts, rate_hz: 5.0, feeds: Feeds::default() };
    let spec = settings.spec().unwrap();
    let names: Vec<&str> = spec.channels.iter().map(|c| c.name.as_ref()).collect();
    assert_eq!(names, ["room.temperature", "humidity", "duct.temperature", "flow"]);
    let error = settings.open(Arc::new(ManualClock::new())).err().unwrap().to_string();
    assert_eq!(error, "room and duct are joined by the daemon: without one, look at each of them");
}

#[test]
fn pictures_are_no_channels_to_be_joined() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.jpg"), "not looked into").unwrap();
    let folder = PicturesSettings { path: dir.path().into(), rate_hz: 1.0, repeat: false };
    let eye = Part { name: "eye".into(), settings: DriverSettings::Pictures(folder) };
    let settings = JoinSettings { parts: vec![eye], rate_hz: 5.0, feeds: Feeds::default() };
    let error = settings.spec().unwrap_err().to_string();
    assert_eq!(error, "eye gives pictures, which cannot be joined");
}

proptest! {
    /// However frames come in bursts and whenever it looks, the rows are those of their times.
    #[test]
    fn rows_do_not_depend_on_when_frames_come(
        bursts in prop::collection::vec((0usize..2, 1u64..9), 1..60), looks in 1usize..7,
    ) {
        let run = |looks: Option<usize>| {
            let mut bench = Bench::new(50.0, &[100.0, 80.0]);
            let mut next = [1u64, 1];
            bench.gives(0, 0, 0.0, true);
            bench.gives(1, 1, 0.0, true);
            let mut rows = Vec::new();
            for (turn, &(part, count)) in bursts.iter().enumerate() {
                for n in next[part]..next[part] + count {
                    let ms = if part == 0 { 10 * n } else { 12 * n + 1 };
                    bench.gives(part, ms, (n * n % 37) as f32, false);
                }
                next[part] += count;
                if looks.is_some_and(|looks| turn % looks == 0) {
                    // Time stands: nothing is given up for being late.
                    rows.extend(bench.read(0).unwrap());
                }
            }
            rows.extend(bench.read(0).unwrap());
            rows
        };
        let all = run(None);
        prop_assert_eq!(format!("{:?}", run(Some(looks))), format!("{all:?}"));
    }
}
