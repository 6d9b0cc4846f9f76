use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::clock::ManualClock;

/// What a [`FakeVideo`] does at its next buffer.
enum Cue {
    /// A buffer of these bytes, numbered so, taken so many milliseconds ago.
    Buffer(Vec<u8>, u32, u64),
    /// The same, and the driver says that it is damaged.
    Damaged(u32),
    /// The device is gone.
    Gone,
}

/// A camera that does what it is told.
#[derive(Clone, Default)]
struct FakeVideo(Arc<Mutex<Fake>>);

#[derive(Default)]
struct Fake {
    codes: Vec<[u8; 4]>,
    /// The size that it gives whatever it is asked for, by code.
    sizes: Vec<([u8; 4], [usize; 2])>,
    rate: f64,
    busy: bool,
    cues: VecDeque<Cue>,
}

impl Video for FakeVideo {
    fn codes(&mut self) -> io::Result<Vec<[u8; 4]>> {
        Ok(self.0.lock().unwrap().codes.clone())
    }

    fn set_format(&mut self, code: [u8; 4], width: usize, height: usize) -> io::Result<Taken> {
        let fake = self.0.lock().unwrap();
        if fake.busy {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let size = fake.sizes.iter().find(|(of, _)| *of == code).map(|(_, size)| *size);
        let [width, height] = size.unwrap_or([width, height]);
        Ok(Taken { code, width, height, stride: 2 * width })
    }

    fn set_rate(&mut self, _rate_hz: f64) -> io::Result<f64> {
        Ok(self.0.lock().unwrap().rate)
    }

    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn next(&mut self, look: &mut dyn FnMut(Filled<'_>)) -> io::Result<bool> {
        let cue = self.0.lock().unwrap().cues.pop_front();
        let (bytes, sequence, age, is_damaged) = match cue {
            None => return Ok(false),
            Some(Cue::Gone) => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
            Some(Cue::Damaged(sequence)) => (Vec::new(), sequence, 0, true),
            Some(Cue::Buffer(bytes, sequence, age)) => (bytes, sequence, age, false),
        };
        let age = Some(Duration::from_millis(age));
        look(Filled { bytes: &bytes, age, sequence, is_damaged });
        Ok(true)
    }
}

struct Bench {
    video: FakeVideo,
    clock: Arc<ManualClock>,
    settings: CameraSettings,
}

/// A gray picture of 4 x 2 as YUYV.
fn gray() -> Vec<u8> {
    [126, 128].repeat(8)
}

impl Bench {
    fn new() -> Self {
        let video = FakeVideo::default();
        video.0.lock().unwrap().codes = vec![*b"YUYV", *b"MJPG"];
        let settings = CameraSettings { size: [4, 2], rate_hz: 10.0, ..Default::default() };
        Self { video, clock: Arc::new(ManualClock::auto()), settings }
    }

    fn fake(&self, change: impl FnOnce(&mut Fake)) {
        change(&mut self.video.0.lock().unwrap());
    }

    fn open(&self) -> Result<Camera<FakeVideo>, SensorError> {
        let spec = self.settings.spec()?;
        Camera::new(self.video.clone(), &self.settings, spec, self.clock.clone())
    }

    /// What a read gives `ms` later: milliseconds of each picture, and whether there was a gap before it.
    fn read(
        &self,
        camera: &mut Camera<FakeVideo>,
        ms: u64,
        cues: impl IntoIterator<Item = Cue>,
    ) -> Result<Vec<(u64, bool)>, SensorError> {
        self.clock.sleep_until(self.clock.monotonic() + Duration::from_millis(ms));
        self.fake(|fake| fake.cues.extend(cues));
        let mut frames = Frames::new(0, 4);
        camera.read(&mut frames)?;
        let of = |stamp: &Stamp| (stamp.at.as_millis() as u64, stamp.gap_before);
        Ok(frames.stamps().iter().map(of).collect())
    }
}

#[test]
fn pictures_are_stamped_when_they_were_taken() {
    let bench = Bench::new();
    let mut camera = bench.open().unwrap();
    let t0 = bench.clock.monotonic().as_millis() as u64;
    assert_eq!(bench.read(&mut camera, 100, []), Ok(vec![]));
    let taken = bench.read(&mut camera, 30, [Cue::Buffer(gray(), 0, 30)]);
    assert_eq!(taken, Ok(vec![(t0 + 100, true)]));
    let taken = bench.read(&mut camera, 100, [Cue::Buffer(gray(), 1, 30)]);
    assert_eq!(taken, Ok(vec![(t0 + 200, false)]));
}

#[test]
fn yuyv_is_converted() {
    let bench = Bench::new();
    let mut camera = bench.open().unwrap();
    bench.fake(|fake| fake.cues.push_back(Cue::Buffer(gray(), 0, 0)));
    let mut frames = Frames::new(0, 1);
    assert_eq!(camera.read(&mut frames), Ok(1));
    let picture = frames.picture(0).unwrap();
    assert_eq!((picture.width(), picture.height()), (4, 2));
    assert_eq!(picture.bytes(), [128; 24]);
}

#[test]
fn of_a_faster_camera_some_pictures_are_left_out_without_a_gap() {
    let bench = Bench::new();
    bench.fake(|fake| fake.rate = 30.0);
    let mut camera = bench.open().unwrap();
    let mut at = Vec::new();
    for n in 0..12 {
        let given = bench.read(&mut camera, 33, [Cue::Buffer(gray(), n, 0)]).unwrap();
        at.extend(given.into_iter().map(|(ms, gap)| (ms / 33 * 33, gap)));
    }
    let gaps: Vec<_> = at.iter().map(|(_, gap)| *gap).collect();
    assert_eq!(gaps, [true, false, false, false]);
    assert_eq!(at[1].0 - at[0].0, 99);
}

#[test]
fn lost_pictures_are_a_gap() {
    let bench = Bench::new();
    let mut camera = bench.open().unwrap();
    let mut gap =
        |ms, cue| bench.read(&mut camera, ms, [cue]).unwrap().first().map(|given| given.1);
    assert_eq!(gap(100, Cue::Buffer(gray(), 0, 0)), Some(true));
    assert_eq!(gap(100, Cue::Buffer(gray(), 1, 0)), Some(false));
    assert_eq!(gap(200, Cue::Buffer(gray(), 3, 0)), Some(true), "2 is missing");
    assert_eq!(gap(100, Cue::Buffer(gray()[..15].to_vec(), 4, 0)), None, "a short buffer");
    assert_eq!(gap(100, Cue::Buffer(gray(), 5, 0)), Some(true));
    assert_eq!(gap(100, Cue::Damaged(6)), None);
    assert_eq!(gap(100, Cue::Buffer(gray(), 7, 0)), Some(true));
    // Late, as in the dark, but nothing was lost.
    assert_eq!(gap(190, Cue::Buffer(gray(), 8, 0)), Some(false));
}

#[test]
fn a_camera_that_gives_only_damaged_pictures_is_a_fault() {
    let mut bench = Bench::new();
    bench.settings.format = Some(PixelFormat::Mjpeg);
    let mut camera = bench.open().unwrap();
    let broken = |n| Cue::Buffer(vec![0xff, 0xd8, 0xff, 0xdb], n, 0);
    for n in 0..9 {
        assert_eq!(bench.read(&mut camera, 100, [broken(n)]), Ok(vec![]));
    }
    let why = bench.read(&mut camera, 100, [broken(9)]).unwrap_err().to_string();
    assert!(why.starts_with("taking pictures: 10 pictures in a row are damaged: cut off"), "{why}");
}

#[test]
fn an_unplugged_and_a_silent_camera_are_faults() {
    let bench = Bench::new();
    let mut camera = bench.open().unwrap();
    assert!(bench.read(&mut camera, 4900, []).is_ok(), "it may take its time to the first one");
    assert!(bench.read(&mut camera, 200, []).is_err());
    let mut camera = bench.open().unwrap();
    bench.read(&mut camera, 100, [Cue::Buffer(gray(), 0, 0)]).unwrap();
    assert!(bench.read(&mut camera, 1900, []).is_ok());
    let why = bench.read(&mut camera, 200, []).unwrap_err().to_string();
    assert_eq!(why, "taking pictures: none came for 2.1 s");
    let why = bench.read(&mut camera, 0, [Cue::Gone]).unwrap_err().to_string();
    assert!(why.starts_with("taking a picture: No such device"), "{why}");
}

#[test]
fn the_first_format_that_is_fast_enough_is_taken() {
    let bench = Bench::new();
    assert!(!bench.open().unwrap().eye.is_jpeg);
    bench.fake(|fake| fake.sizes = vec![(*b"YUYV", [2, 2])]);
    assert!(bench.open().unwrap().eye.is_jpeg, "YUYV has another size");
    bench.fake(|fake| fake.rate = 5.0);
    let why = bench.open().err().unwrap().to_string();
    assert_eq!(
        why,
        "camera: /dev/video0 cannot give 4x2 at 10 Hz; it would give yuyv of 2x2, or mjpeg at 5.0000 Hz: \
         change size or rate"
    );
    bench.fake(|fake| fake.codes = vec![*b"H264"]);
    let why = bench.open().err().unwrap().to_string();
    assert_eq!(why, "camera: /dev/video0 gives H264, not yuyv or mjpeg");
    bench.fake(|fake| (fake.codes, fake.busy) = (vec![*b"MJPG"], true));
    assert!(matches!(bench.open(), Err(SensorError::InUse(_))));
}

#[test]
fn settings_that_no_camera_can_do_are_refused() {
    let settings =
        CameraSettings { size: [641, 480], rate_hz: 1000.0, ..CameraSettings::default() };
    let keys: Vec<_> = settings.validate().iter().map(|bad| bad.key).collect();
    assert_eq!(keys, ["size", "rate"]);
}
