//! Sound becomes what its models were trained on, however its windows overlap.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgerun::arrays;
use edgerun::clock::Clock;
use edgerun::config::{Config, Machine, ModelSource};
use edgerun::daemon::{Loaded, driver_settings, fit};
use edgerun::data::{ClockState, EventKind, Finding, Tensor, TensorData, Timestamp};
use edgerun::model::{Bundle, Manifest, Recipe};
use edgerun::pipeline::{Pipeline, Publish, Switch, Taps};
use edgerun::preprocess::Preprocessor;
use edgerun::sensor::Sampler;
use edgerun::sequence::Sequence;
use edgerun::sink::{Kept, Memory};
use edgerun::storage::{FileName, MemoryStorage};
use edgerun::window::Windower;

use crate::support::cases::{self, HEAD};
use crate::zoo::zoo;

/// Log-mel energies of 32 ms windows every 16 ms.
const LOG_MEL: &str = r#"
    { do = "preemphasis", coefficient = 0.97 },
    { do = "spectrogram", like = "tensorflow", window = 512, hop = 256, of = "power", mel = { bands = 24, high_hz = 8000.0 } },
    { do = "log", of = "natural", offset = 1e-6 },
    { do = "dct", like = "tensorflow", coefficients = 10 },
"#;

fn parsed(frames: usize, steps: &str) -> Result<Recipe, String> {
    let rows =
        format!("frames = {frames}\nrate = \"16000 Hz\"\nchannels = [{{ name = \"audio\" }}]");
    let text = format!("{HEAD}\n[preprocess]\n{rows}\nstep = [{steps}]");
    Manifest::parse(&text).map(|manifest| manifest.recipe).map_err(|why| why.to_string())
}

fn preprocessor(frames: usize, steps: &str) -> (Preprocessor, Tensor, [usize; 2]) {
    let recipe = parsed(frames, steps).unwrap();
    let made = [recipe.made().rows, recipe.made().columns.len()];
    let (preprocessor, input) = cases::preprocessor(&recipe);
    (preprocessor, input, made)
}

/// What `steps` make of all of `samples` at once.
fn at_once(samples: &[f32], steps: &str) -> (Vec<f32>, usize) {
    let (mut all, mut input, made) = preprocessor(samples.len(), steps);
    all.apply(samples, usize::MAX, &mut input).unwrap();
    (all.real().to_vec(), made[1])
}

/// Noise that grows louder.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 7_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 65_536.0 - 0.5
    };
    (0..count).map(|n| next() * n as f32 / count as f32).collect()
}

#[test]
fn overlapping_windows_see_what_the_whole_stream_sees() {
    let samples = noise(12_000);
    for (steps, hop, window) in [(LOG_MEL, 256, 512), ("{ do = \"micro_frontend\" }", 160, 480)] {
        let (whole, columns) = at_once(&samples, steps);
        let (length, stride) = (window + 9 * hop, 3 * hop);
        let (mut windows, mut input, made) = preprocessor(length, steps);
        assert_eq!(made, [10, columns]);
        for (index, start) in (0..=samples.len() - length).step_by(stride).enumerate() {
            let fresh = if start == 0 { length } else { stride };
            windows.apply(&samples[start..start + length], fresh, &mut input).unwrap();
            // The very same bits: each window's sums are made once.
            assert_eq!(windows.real(), &whole[3 * index * columns..][..10 * columns]);
        }
        // Behind a gap, as at first.
        windows.reset();
        windows.apply(&samples[..length], stride, &mut input).unwrap();
        assert_eq!(windows.real(), &whole[..10 * columns]);
    }
}

#[test]
fn what_cannot_be_heard_is_refused_by_its_key() {
    let step = |step: &str| parsed(1000, step).expect_err("refused");
    let spectrogram = |rest: &str| {
        step(&format!("{{ do = 'spectrogram', window = 400, hop = 160, of = 'power', {rest} }}"))
    };
    let all = [
        step("{ do = 'preemphasis', coefficient = 1.5 }"),
        spectrogram("like = 'tensorflow', fft = 256"),
        spectrogram("like = 'tensorflow', centre = true"),
        spectrogram("like = 'librosa', fft = 2048"),
        spectrogram("like = 'tensorflow', mel = { bands = 40, high_hz = 9000.0 }"),
        spectrogram("like = 'tensorflow', mel = { bands = 40, high_hz = 8000.0, htk = true }"),
        spectrogram("like = 'tensorflow', factor = 0.0"),
        step("{ do = 'log', of = 'natural' }"),
        step("{ do = 'dct', like = 'librosa', coefficients = 2 }"),
        step("{ do = 'micro_frontend', hop = 500 }"),
        step("{ do = 'dynamic_range', range = 80.0 }, { do = 'preemphasis', coefficient = 0.9 }"),
    ];
    assert_eq!(
        all.join("\n"),
        "preprocess.step[0].coefficient: must be 0 to 1, is 1.5\n\
         preprocess.step[0].fft: must be even and 400..=65536, as long as the window; is 256\n\
         preprocess.step[0].centre: is librosa's; tf.signal.stft has no such thing\n\
         preprocess.step[0]: needs 2048 samples for one window; there are 1000\n\
         preprocess.step[0].mel.high_hz: must lie between low_hz, 0, and 8000 Hz, half the rate of the samples; is 9000\n\
         preprocess.step[0].mel.htk: is librosa's; tf.signal has one kind of mel filters\n\
         preprocess.step[0].factor: must be above 0, is 0\n\
         preprocess.step[0].floor: silence has no logarithm: say a floor above 0, or an offset\n\
         preprocess.step[0].coefficients: must be 1..=1, is 2\n\
         preprocess.step[0].hop: must be 1..=480, is 500\n\
         preprocess.step[1].do: goes on from window to window: put it before `dynamic_range`"
    );
}

fn golden(name: &str) -> Tensor {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/audio/wakeword.npz");
    let found = arrays::read(path.as_ref()).unwrap();
    found.into_iter().find(|array| array.name == name).unwrap().tensor
}

/// The first channel of the zoo's ten seconds.
fn recording() -> Option<Vec<f32>> {
    let bytes = fs::read(zoo()?.join("audio/short_wav_easy10s.wav")).unwrap();
    let (data, _) = bytes[44..].as_chunks::<4>();
    Some(data.iter().map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect())
}

/// Ten seconds of speech: 39,920 values.
#[test]
fn the_micro_front_end_hears_speech_as_tflite_micro_does() {
    let Some(samples) = recording() else { return };
    let (values, _) = at_once(&samples, "{ do = \"micro_frontend\" }");
    assert_eq!(values.len(), 998 * 40);
    let bytes = values.iter().flat_map(|&value| (value as u16).to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let TensorData::U8(expected) = golden("micro_fnv64").data().clone() else { panic!("bytes") };
    assert_eq!(hash.to_le_bytes().as_slice(), expected);
}

/// `examples/wakeword.toml` with the model and the recording of the zoo, in a folder of its own.
fn example() -> Option<tempfile::TempDir> {
    let zoo = zoo()?;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    fs::create_dir(at("wakeword")).unwrap();
    for name in ["wakeword.toml", "wakeword/manifest.toml"] {
        fs::copy(examples.join(name), at(name)).unwrap();
    }
    let model = "str_ww_ref_model.tflite";
    fs::copy(zoo.join("mlperf-tiny").join(model), at("wakeword").join(model)).unwrap();
    fs::copy(zoo.join("audio/short_wav_easy10s.wav"), at("speech.wav")).unwrap();
    Some(folder)
}

/// Where whoever sleeps wakes up at once, as late as it wanted.
#[derive(Default)]
struct Hurried(Mutex<Duration>);

impl Clock for Hurried {
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn wall(&self) -> Timestamp {
        Timestamp { since_epoch: self.monotonic(), clock: ClockState::Synced }
    }

    fn sleep_until(&self, deadline: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = deadline.max(*now);
    }
}

/// What the example's pipeline finds in its recording: driver, sampling thread, windows, recipe, model and
/// postprocessing as `run` joins them, on a clock that does not wait.
fn played(folder: &Path) -> Kept {
    let machine = Machine { host_name: None, machine_id: None, state_directory: None };
    let config = Config::load(&folder.join("wakeword.toml"), &machine).unwrap();
    let (settings, sensor) = (&config.pipelines[0], &config.sensors[0]);
    let ModelSource::Path(path) = &settings.model else { panic!("a folder") };
    let loaded = Loaded::new(&Bundle::open(path).unwrap(), settings).unwrap();
    let driver = driver_settings(&sensor.driver);
    let (spec, window) = (driver.spec().unwrap(), settings.feed.as_ref().unwrap().window);
    let columns = fit(&loaded.manifest, window, &spec).unwrap();
    let (length, stride) = (window.length.get(), window.stride.get());
    let (memory, clock) = (Memory::new(), Arc::new(Hurried::default()));
    let storage = Arc::new(MemoryStorage::default());
    let mut pipeline = Pipeline {
        name: settings.name.as_str().into(),
        windower: Windower::new(spec.channels.len(), length, stride),
        channels: spec.channels.len(),
        serving: Some(loaded.serving(columns).unwrap()),
        exchange: Arc::default(),
        taps: Taps::default(),
        switch: Switch::default(),
        deadline: Duration::from_secs(1),
        publish: Publish::Every,
        sequence: Sequence::open(storage, FileName::new("seq").unwrap(), 0).into(),
        sinks: vec![Box::new(memory.clone())],
        stats: Arc::default(),
        clock: clock.clone(),
        last: None,
    };
    let sampler = Sampler {
        name: sensor.name.as_str().into(),
        spec,
        stuck_after: None,
        clock: clock.clone(),
        open: Box::new(move || driver.open(clock.clone())),
        frames: Box::new(move |frames| pipeline.turn(frames)),
        changes: Box::new(|change| panic!("{change:?}")),
        stats: Arc::default(),
        stop: Arc::default(),
    };
    sampler.run();
    memory.take()
}

#[test]
fn every_wake_word_is_found_in_its_second_and_nothing_else() {
    let Some(folder) = example() else { return };
    let kept = played(folder.path());
    let golden = golden("scores");
    let TensorData::I8(expected) = golden.data() else { panic!("bytes") };
    assert_eq!(kept.results.len() * 3, expected.len());
    for (hop, (found, expected)) in kept.results.iter().zip(expected.chunks_exact(3)).enumerate() {
        let Finding::Classification { top, .. } = &found.finding else { panic!("a label") };
        for (label, &expected) in ["marvin", "silence", "unknown"].iter().zip(expected) {
            let score = top.iter().find(|scored| &*scored.label == *label).unwrap().score;
            let units = score * 256.0 - 128.0;
            assert!((units - f32::from(expected)).abs() <= 2.0, "hop {hop}, {label}: {units}");
        }
    }
    let heard: Vec<f64> = kept
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::LabelChanged { to: Some(label), .. } => {
                assert_eq!(&**label, "marvin");
                Some(event.time.since_epoch.as_secs_f64())
            }
            _ => None,
        })
        .collect();
    // Ends of the words, `sww_short_test.json`.
    let words = [1.647_625, 4.761_75, 7.358_625];
    assert_eq!(heard.len(), words.len(), "{heard:?}");
    for (heard, word) in heard.iter().zip(words) {
        assert!((heard - word).abs() <= 1.0, "{heard} s, the word ends at {word} s");
    }
}
