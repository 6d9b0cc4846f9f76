use super::*;
use crate::clock::ManualClock;
use crate::engine::{self, Choice, Model};
use crate::model::Bundle;
use crate::predict::Predictor;
use crate::sink::Memory;
use crate::storage::{FileName, MemoryStorage};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of the gesture model.
const FRAMES: usize = 40;
const CHANNELS: usize = 6;
/// The sensor gives one channel more than the recipe takes, in front.
const SENSOR_CHANNELS: usize = 7;
const STRIDE: usize = 10;

struct Bench {
    bundle: Bundle,
    model: Arc<dyn Model>,
}

impl Bench {
    fn new() -> Self {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gestures");
        let bundle = Bundle::open(&folder).unwrap();
        let model = Arc::from(engine::load(&bundle.model, Choice::Auto).unwrap());
        Self { bundle, model }
    }

    /// The same model as version `version`.
    fn serving(&self, version: &str) -> Box<Serving> {
        let predictor = Predictor::new(&self.bundle.manifest, self.model.clone()).unwrap();
        Box::new(Serving::new("gestures", version, (1..=CHANNELS).collect(), predictor))
    }

    fn pipeline(&self, serving: Option<Box<Serving>>) -> (Pipeline, Memory) {
        let memory = Memory::new();
        let name = FileName::new("seq-test").unwrap();
        let sequence = Sequence::open(Arc::new(MemoryStorage::default()), name, 0);
        let pipeline = Pipeline {
            name: Arc::from("test"),
            windower: Windower::new(SENSOR_CHANNELS, FRAMES, STRIDE),
            channels: SENSOR_CHANNELS,
            serving,
            exchange: Arc::default(),
            taps: Taps::default(),
            switch: Switch::default(),
            deadline: Duration::from_secs(1),
            publish: Publish::Every,
            sequence: Arc::new(sequence),
            sinks: vec![Box::new(memory.clone())],
            stats: Arc::default(),
            clock: Arc::new(ManualClock::new()),
            last: None,
        };
        (pipeline, memory)
    }
}

/// `count` frames from number `first` on, one every 100 ms.
fn frames(first: usize, count: usize) -> Frames {
    let mut frames = Frames::new(SENSOR_CHANNELS, count);
    let start = ManualClock::new().wall();
    for n in first..first + count {
        let at = Duration::from_millis(100 * n as u64);
        let wall = crate::data::Timestamp { since_epoch: start.since_epoch + at, ..start };
        let values: Vec<f32> =
            (0..SENSOR_CHANNELS).map(|c| ((n * 7 + c * 3) % 19) as f32 - 9.0).collect();
        frames.push(&values, Stamp { at, wall, gap_before: false });
    }
    frames
}

#[test]
fn fifty_versions_take_over_back_to_back_and_no_window_is_missing() {
    let bench = Bench::new();
    let (mut pipeline, memory) = bench.pipeline(Some(bench.serving("0.0.0")));
    let exchange = pipeline.exchange.clone();
    let versions: Vec<_> = (1..=50).map(|n| bench.serving(&format!("0.{n}.0"))).collect();
    let exchanged = std::thread::spawn(move || {
        for serving in versions {
            let left = exchange.order(Order::Serve(Some(serving)), PATIENCE).unwrap();
            assert!(left.is_some(), "what served before is given back to be freed here");
        }
    });
    let mut sent = 0;
    while !exchanged.is_finished() || sent < 600 {
        // Batches of all sizes, so that versions change everywhere between two windows.
        let count = 1 + sent % 13;
        pipeline.turn(&frames(sent, count));
        sent += count;
    }
    exchanged.join().unwrap();
    // A window for the last one.
    pipeline.turn(&frames(sent, STRIDE));
    sent += STRIDE;

    let results = memory.take().results;
    assert_eq!(results.len(), (sent - FRAMES) / STRIDE + 1);
    for (index, found) in results.iter().enumerate() {
        assert_eq!(found.seq, index as u64);
        assert_eq!(found.window.frames, FRAMES);
    }
    let starts: Vec<_> = results.iter().map(|found| found.window.start.since_epoch).collect();
    let period = Duration::from_millis(100 * STRIDE as u64);
    assert!(
        starts.windows(2).all(|pair| pair[1] - pair[0] == period),
        "windows are a stride apart"
    );
    let mut versions: Vec<_> = results.iter().map(|found| found.version.to_string()).collect();
    versions.dedup();
    let minor = |version: &String| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(versions.iter().is_sorted_by_key(minor), "{versions:?}");
    assert_eq!(versions.last().map(String::as_str), Some("0.50.0"));
    assert_eq!(pipeline.stats.dropped_windows.load(Ordering::Relaxed), 0);
}

#[test]
fn another_version_finds_what_it_would_have_found_from_the_start() {
    let bench = Bench::new();
    let (mut always, expected) = bench.pipeline(Some(bench.serving("1.0.0")));
    let (mut changed, found) = bench.pipeline(Some(bench.serving("1.0.0")));
    let exchange = changed.exchange.clone();
    let new = bench.serving("1.0.0");
    let ordered = std::thread::spawn(move || exchange.order(Order::Serve(Some(new)), PATIENCE));
    let mut sent = 0;
    while !ordered.is_finished() || sent < 300 {
        always.turn(&frames(sent, 7));
        changed.turn(&frames(sent, 7));
        sent += 7;
    }
    assert!(ordered.join().unwrap().unwrap().is_some());
    let (expected, found) = (expected.take(), found.take());
    let findings = |kept: &[crate::data::Inference]| {
        kept.iter().map(|one| one.finding.clone()).collect::<Vec<_>>()
    };
    assert_eq!(findings(&found.results), findings(&expected.results));
    assert_eq!(found.events, expected.events, "a label that holds is not announced again");
}

#[test]
fn a_pipeline_without_a_version_waits_for_the_first() {
    let bench = Bench::new();
    let (mut pipeline, memory) = bench.pipeline(None);
    pipeline.turn(&frames(0, 100));
    assert_eq!(memory.take().results.len(), 0);
    let exchange = pipeline.exchange.clone();
    let first = bench.serving("1.0.0");
    let ordered = std::thread::spawn(move || exchange.order(Order::Serve(Some(first)), PATIENCE));
    let mut sent = 100;
    while !ordered.is_finished() {
        pipeline.turn(&frames(sent, 10));
        sent += 10;
    }
    assert!(ordered.join().unwrap().unwrap().is_none());
    pipeline.turn(&frames(sent, 10));
    assert!(!memory.take().results.is_empty());
}

#[test]
fn an_order_that_nobody_takes_is_withdrawn() {
    let bench = Bench::new();
    let exchange = Exchange::default();
    let order = || Order::Serve(Some(bench.serving("1.0.0")));
    assert_eq!(exchange.order(order(), Duration::ZERO).err(), Some(NotTaken::TooLate));
    let (mut serving, mut taps) = (None, Taps::default());
    exchange.take(&mut serving, &mut taps);
    assert!(serving.is_none());
    exchange.end();
    assert_eq!(exchange.order(order(), PATIENCE).err(), Some(NotTaken::Ended));
}

#[test]
fn windows_are_copied_as_long_as_there_is_room() {
    let bench = Bench::new();
    let (mut pipeline, memory) = bench.pipeline(Some(bench.serving("1.0.0")));
    let (sender, served) = std::sync::mpsc::sync_channel(2);
    pipeline.taps.shadow = Some(exchange::Shadow::new(sender));
    pipeline.turn(&frames(0, 100));
    let copies: Vec<_> = served.try_iter().collect();
    let results = memory.take().results;
    assert_eq!((copies.len(), results.len()), (2, 7), "what serves does not wait");
    let crate::data::Kept::Rows(rows) = &copies[0].window else { panic!("rows") };
    assert_eq!(rows.len(), FRAMES * SENSOR_CHANNELS);
    assert_eq!(copies[0].finding, results[0].finding);
}

#[test]
fn a_paused_pipeline_makes_no_results_and_its_windows_can_still_be_captured() {
    let bench = Bench::new();
    let (mut pipeline, memory) = bench.pipeline(Some(bench.serving("1.0.0")));
    let switch = pipeline.switch.clone();
    switch.pause(true);
    let exchange = pipeline.exchange.clone();
    let (sender, windows) = std::sync::mpsc::sync_channel(1);
    let ordered = std::thread::spawn(move || exchange.order(Order::Capture(sender), PATIENCE));
    let mut sent = 0;
    while !ordered.is_finished() || sent < 100 {
        pipeline.turn(&frames(sent, 10));
        sent += 10;
    }
    assert_eq!(memory.take().results.len(), 0);
    assert_eq!(windows.recv().unwrap().len(), FRAMES * SENSOR_CHANNELS);
    drop(windows);
    switch.pause(false);
    pipeline.turn(&frames(sent, 10));
    assert!(pipeline.taps.capture.is_none(), "nobody receives any more");
    let results = memory.take().results;
    assert_eq!((results.len(), results[0].seq), (1, 0), "the window that the pause ended in");
}
