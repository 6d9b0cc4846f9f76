use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;

const PERIOD: Duration = Duration::from_millis(100);

fn csv(text: &str) -> Result<Recording, String> {
    csv::parse(text.as_bytes(), PERIOD).map_err(|bad| format!("{}: {}", bad.line, bad.why))
}

fn npy_bytes(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn file(extension: &str, bytes: &[u8]) -> (tempfile::TempDir, ReplaySettings) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(format!("recording.{extension}"));
    File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("a file");
    (folder, ReplaySettings { path, rate_hz: Some(10.0), ..Default::default() })
}

#[test]
fn csv_has_names_units_missing_values_and_comments() {
    let text = "\u{feff}# by hand\n\"accel_x [m/s²]\", level\r\n1.5,\n\n-2e3,NaN\n";
    let recording = csv(text).expect("a fine file");
    let units: Vec<_> = recording.channels.iter().map(|c| (&*c.name, &*c.unit)).collect();
    assert_eq!(units, [("accel_x", "m/s²"), ("level", "")]);
    assert_eq!((recording.values[0], recording.values[2]), (1.5, -2000.0));
    assert!(recording.values[1].is_nan() && recording.values[3].is_nan());
    assert_eq!(recording.gaps, [false, false]);
}

#[test]
fn jump_of_the_time_column_is_a_gap() {
    let recording = csv("time,a\n0.0,1\n0.1,2\n0.2,3\n0.5,4\n0.6,5\n0.2,6\n").expect("a fine file");
    assert_eq!(recording.gaps, [false, false, false, true, false, true]);
    assert_eq!(recording.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let recording = csv("a,time [ms]\n1,0\n2,100\n3,300\n").expect("a fine file");
    assert_eq!(recording.gaps, [false, false, true]);
}

#[test]
fn wrong_csv_is_told_with_its_line() {
    let says = |text: &str| csv(text).expect_err("a wrong file");
    assert!(says("").starts_with("1: empty"));
    assert_eq!(says("a,b\n1,2\n1\n"), "3: 1 cells, the first line has 2");
    assert_eq!(says("a,b\n\n1,x\n"), "3: column 2: `x` is not a number");
    assert_eq!(says("a\ninf\n"), "2: column 1: `inf` is not a number");
    assert_eq!(says("a\n1e300\n"), "2: column 1: `1e300` is not a number");
    assert_eq!(says("1,2\n3,4\n"), "1: `1` is a number where the name of a channel should be");
    assert_eq!(says("a,a\n"), "1: channel `a` is there twice");
    assert_eq!(says("a [m\n"), "1: `a [m`: the unit's `]` is missing");
    assert_eq!(says("time [h],a\n"), "1: time in `h`: it must be in s, ms or µs");
    assert_eq!(says("time,a\n,1\n"), "2: column 1: the time is missing");
}

#[test]
fn npy_of_both_widths_and_both_shapes_is_read() {
    let values = [1.0_f32, 2.0, 3.0, f32::NAN, 5.0, 6.0, 7.0, 8.0];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let recording = npy::parse(&npy_bytes("<f4", "(4, 2)", &bytes), &[]).expect("a fine file");
    assert_eq!(recording.gaps, [true, false, false, false]);
    assert_eq!(recording.channels[1].name, "channel_1");
    let wide: Vec<u8> = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    let names = ["accel_x [m/s²]".to_owned(), "accel_y [m/s²]".to_owned()];
    let recording = npy::parse(&npy_bytes("<f8", "(2, 2, 2)", &wide), &names).expect("a fine file");
    assert_eq!(recording.gaps, [true, false, true, false]);
    assert_eq!(recording.channels[0], Channel::new("accel_x", "m/s²"));
    assert_eq!(recording.values[..3], values[..3]);
    assert!(recording.values[3].is_nan());
}

#[test]
fn wrong_npy_is_told() {
    let says = |bytes: &[u8]| npy::parse(bytes, &[]).expect_err("a wrong file");
    assert!(says(b"PK\x03\x04").starts_with("not a NumPy"));
    assert!(says(&npy_bytes("<i2", "(1, 1)", &[0; 2])).contains("elements are <i2"));
    assert!(says(&npy_bytes("<f4", "(3,)", &[0; 12])).contains("must be [frames, channels]"));
    assert!(says(&npy_bytes("<f4", "(2, 2)", &[0; 12])).contains("does not fit the 12 bytes"));
    let infinite = f32::INFINITY.to_le_bytes();
    assert!(
        says(&npy_bytes("<f4", "(1, 1)", &infinite)).contains("frame 0, channel 0 is infinite")
    );
    let huge = npy_bytes("<f4", "(18446744073709551615, 18446744073709551615)", &[0; 8]);
    assert!(says(&huge).contains("does not fit"));
    let one_name = npy::parse(&npy_bytes("<f4", "(1, 2)", &[0; 8]), &["a".to_owned()]);
    assert!(one_name.expect_err("two channels").contains("`channels` names 1"));
}

#[test]
fn errors_name_the_file_and_the_line() {
    let (_folder, settings) = file("csv", b"a\n1\n?\n");
    let error = settings.spec().expect_err("a wrong file").to_string();
    assert!(error.ends_with("recording.csv:3: column 1: `?` is not a number"), "{error}");
    let missing = ReplaySettings { path: "/no/such.csv".into(), ..settings };
    let error = missing.spec().expect_err("no file").to_string();
    assert!(error.starts_with("/no/such.csv: "), "{error}");
    let (_folder, settings) = file("csv", b"a\n");
    let error = settings.spec().expect_err("no frame").to_string();
    assert!(error.contains("there is no frame in it"), "{error}");
}

#[test]
fn settings_that_cannot_be_done_are_all_listed() {
    let settings = ReplaySettings { path: "x.mp3".into(), ..Default::default() };
    let keys: Vec<_> = settings.validate().iter().map(|bad| bad.key).collect();
    assert_eq!(keys, ["path", "rate"]);
    let named = vec!["a".to_owned()];
    let settings = ReplaySettings {
        path: "x.csv".into(),
        channels: named,
        channel: Some(AudioChannel::Mix),
        ..Default::default()
    };
    let keys: Vec<_> = settings.validate().iter().map(|bad| bad.key).collect();
    assert_eq!(keys, ["rate", "channel", "channels"]);
    let settings = ReplaySettings { path: "x.WAV".into(), ..settings };
    let keys: Vec<_> = settings.validate().iter().map(|bad| bad.key).collect();
    assert_eq!(keys, ["channels"]);
    let settings =
        ReplaySettings { path: "x.wav".into(), rate_hz: Some(16e3), ..Default::default() };
    assert_eq!(settings.validate()[0].why, "a .wav has its own rate; remove the key");
}

#[test]
fn frames_come_at_their_rate_and_then_the_recording_ends() {
    let (_folder, settings) = file("csv", b"time,a\n0,1\n0.1,2\n9,3\n");
    let clock = Arc::new(ManualClock::new());
    let mut replay = Replay::open(&settings, clock.clone()).expect("a fine file");
    let mut frames = Frames::new(1, 8);
    assert_eq!(replay.read(&mut frames), Ok(0));
    clock.advance(PERIOD * 2);
    assert_eq!(replay.read(&mut frames), Ok(2));
    clock.advance(PERIOD * 5);
    assert_eq!(replay.read(&mut frames), Ok(1));
    assert_eq!(replay.read(&mut frames), Err(SensorError::Ended));
    let stamps: Vec<_> = frames.stamps().iter().map(|s| (s.at, s.gap_before)).collect();
    assert_eq!(stamps, [(PERIOD, true), (PERIOD * 2, false), (PERIOD * 3, true)]);
    assert_eq!(frames.values(), [1.0, 2.0, 3.0]);
}

#[test]
fn repeated_recording_begins_anew_with_a_gap_and_gives_a_late_reader_all_frames() {
    let (_folder, mut settings) = file("csv", b"a\n1\n2\n3\n");
    settings.repeat = true;
    let clock = Arc::new(ManualClock::new());
    let mut replay = Replay::open(&settings, clock.clone()).expect("a fine file");
    clock.advance(PERIOD * 700);
    let mut frames = Frames::new(1, 700);
    let reads: Vec<_> = (0..4).map(|_| replay.read(&mut frames)).collect();
    assert_eq!(reads, [Ok(256), Ok(256), Ok(188), Ok(0)]);
    for (index, (values, stamp)) in frames.iter().enumerate() {
        assert_eq!(values, [(index % 3 + 1) as f32]);
        assert_eq!(stamp.gap_before, index % 3 == 0);
    }
}

#[test]
fn sound_is_read_in_pieces_of_some_milliseconds() {
    let head = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\x40\x06\0\0";
    let samples: Vec<u8> = (0..800_i16).flat_map(i16::to_le_bytes).collect();
    let (_folder, settings) = file("wav", &[&head[..], &samples].concat());
    let settings = ReplaySettings { rate_hz: None, repeat: true, ..settings };
    let clock = Arc::new(ManualClock::new());
    let mut replay = Replay::open(&settings, clock.clone()).expect("a fine file");
    assert_eq!(replay.spec().rate_hz, 16_000.0);
    assert_eq!(replay.poll_period(), Duration::from_millis(10));
    let mut frames = Frames::new(1, 2000);
    clock.advance(Duration::from_millis(10));
    assert_eq!(replay.read(&mut frames), Ok(160));
    // A reader that comes late catches up in few reads.
    clock.advance(Duration::from_millis(90));
    let reads: Vec<_> = (0..6).map(|_| replay.read(&mut frames)).collect();
    assert_eq!(reads, [Ok(320), Ok(320), Ok(320), Ok(320), Ok(160), Ok(0)]);
    assert_eq!(frames.values()[3], 3.0 / 32768.0);
    let gaps = frames.stamps().iter().enumerate().filter(|(_, stamp)| stamp.gap_before);
    assert_eq!(gaps.map(|(frame, _)| frame).collect::<Vec<_>>(), [0, 800]);
}

proptest! {
    #[test]
    fn no_text_makes_the_csv_reader_panic(text in "[0-9a,.\"\\-#\\[\\] \r\ntimesNaN²]{0,200}") {
        if let Ok(recording) = csv(&text) {
            prop_assert_eq!(recording.values.len(), recording.gaps.len() * recording.channels.len());
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(csv::parse(&bytes, PERIOD));
        drop(npy::parse(&[b"\x93NUMPY\x01\x00", &bytes[..]].concat(), &[]));
    }

    #[test]
    fn no_header_makes_the_npy_reader_panic(
        descr in "<f[48]|[a-z<>0-9']{0,6}",
        shape in "\\([0-9]{0,20}(, [0-9]{0,20}){0,4}\\)?|[(), 0-9-]{0,10}",
        data in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        if let Ok(recording) = npy::parse(&npy_bytes(&descr, &shape, &data), &[]) {
            prop_assert_eq!(recording.values.len(), recording.gaps.len() * recording.channels.len());
        }
    }

    #[test]
    fn numbers_survive_the_csv(rows in prop::collection::vec(prop::array::uniform3(-1e6_f32..1e6), 1..20)) {
        let lines: Vec<String> = rows.iter().map(|[a, b, c]| format!("{a},{b},{c}")).collect();
        let recording = csv(&format!("a,b,c\n{}\n", lines.join("\n"))).expect("a fine file");
        prop_assert_eq!(recording.values, rows.concat());
    }
}
