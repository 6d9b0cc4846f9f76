//! A folder of pictures, played at a given rate: tests without a camera, and data from elsewhere.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{BadSetting, Sensor, SensorError, SensorSpec};
use crate::clock::Clock;
use crate::data::{Frames, Picture, PicturePool, Stamp, Timestamp};
use crate::pictures::{self, PictureFormat};

/// Pictures of a folder: more is a mistake.
const FILES_MAX: usize = 1_000_000;

/// Pictures of one read: a reader that comes late catches up in several.
const BATCH_PICTURES: usize = 4;

/// Settings of the `pictures` driver as plain values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PicturesSettings {
    /// The folder: its files `.jpg`, `.jpeg`, `.png` and `.bmp`, by name.
    pub path: PathBuf,
    /// Pictures a second, above 0 and up to 1000.
    pub rate_hz: f64,
    /// Whether it starts anew at its end, with a gap.
    pub repeat: bool,
}

impl PicturesSettings {
    /// Everything that cannot be done; empty when all is well. Does not look at the folder.
    pub fn validate(&self) -> Vec<BadSetting> {
        if self.rate_hz > 0.0 && self.rate_hz <= 1000.0 {
            return Vec::new();
        }
        let why = format!("must be above 0 Hz and up to 1 kHz, is {} Hz", self.rate_hz);
        vec![BadSetting { key: "rate", why }]
    }

    /// What the folder gives.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when there is no picture in it.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        self.files()?;
        Ok(SensorSpec { channels: Vec::new(), rate_hz: self.rate_hz })
    }

    /// Its files by name, one at least.
    fn files(&self) -> Result<Vec<PathBuf>, SensorError> {
        let bad = self.validate();
        if !bad.is_empty() {
            return Err(BadSetting::refuse("pictures", &bad));
        }
        let refuse = |why: String| SensorError::Unusable(format!("{}: {why}", self.path.display()));
        let listed = fs::read_dir(&self.path).map_err(|error| refuse(error.to_string()))?;
        let mut files = Vec::new();
        for entry in listed {
            let path = entry.map_err(|error| refuse(error.to_string()))?.path();
            if path.extension().and_then(|e| e.to_str()).is_some_and(PictureFormat::knows) {
                files.push(path);
            }
            if files.len() > FILES_MAX {
                return Err(refuse(format!("more than {FILES_MAX} pictures: split the folder")));
            }
        }
        if files.is_empty() {
            return Err(refuse("there is no .jpg, .png or .bmp in it".into()));
        }
        files.sort_unstable();
        Ok(files)
    }
}

/// Plays a folder by the clock: picture `k` at the opening + (`k` + 1) periods.
///
/// It never loses a picture: a reader that comes late gets those that have become due.
pub struct Pictures {
    files: Vec<PathBuf>,
    spec: SensorSpec,
    clock: Arc<dyn Clock>,
    pool: PicturePool,
    repeat: bool,
    next: usize,
    next_at: Duration,
}

impl Pictures {
    /// Lists the folder; it begins to play at once. A file is read when its turn comes.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when there is no picture in it.
    pub fn open(settings: &PicturesSettings, clock: Arc<dyn Clock>) -> Result<Self, SensorError> {
        let files = settings.files()?;
        let spec = SensorSpec { channels: Vec::new(), rate_hz: settings.rate_hz };
        let next_at = clock.monotonic() + spec.period();
        let (pool, repeat) = (PicturePool::default(), settings.repeat);
        Ok(Self { files, spec, clock, pool, repeat, next: 0, next_at })
    }
}

impl Sensor for Pictures {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        for given in 0..BATCH_PICTURES {
            if self.next == self.files.len() {
                if !self.repeat {
                    return if given == 0 { Err(SensorError::Ended) } else { Ok(given) };
                }
                self.next = 0;
            }
            if self.next_at > now {
                return Ok(given);
            }
            let file = &self.files[self.next];
            let picture = load(file, self.pool.take())
                .map_err(|why| SensorError::Unusable(format!("{}: {why}", file.display())))?;
            let at = self.next_at;
            let since_epoch = wall.since_epoch.saturating_sub(now - at);
            let wall = Timestamp { since_epoch, ..wall };
            let stamp = Stamp { at, wall, gap_before: self.next == 0 };
            out.push_picture(self.pool.give(picture), stamp);
            self.next += 1;
            self.next_at = at + self.spec.period();
        }
        Ok(BATCH_PICTURES)
    }
}

fn load(path: &Path, into: Vec<u8>) -> Result<Picture, String> {
    let mut bytes = Vec::new();
    let most = pictures::FILE_BYTES_MAX;
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > most {
        return Err(format!("longer than {} MiB", most >> 20));
    }
    pictures::decode(&bytes, into).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    /// A BMP of one row, `width` pixels of value `value`.
    fn bmp(width: u8, value: u8) -> Vec<u8> {
        let mut bytes = vec![0; 54];
        bytes[..2].copy_from_slice(b"BM");
        (bytes[10], bytes[14], bytes[18], bytes[22], bytes[28]) = (54, 40, width, 1, 24);
        bytes.resize(54 + (usize::from(width) * 3).next_multiple_of(4), value);
        bytes
    }

    struct Bench {
        folder: tempfile::TempDir,
        clock: Arc<ManualClock>,
    }

    impl Bench {
        fn new(files: &[(&str, Vec<u8>)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, bytes) in files {
                std::io::Write::write_all(
                    &mut File::create(folder.path().join(name)).unwrap(),
                    bytes,
                )
                .unwrap();
            }
            Self { folder, clock: Arc::new(ManualClock::auto()) }
        }

        fn open(&self, repeat: bool) -> Result<Pictures, SensorError> {
            let path = self.folder.path().to_owned();
            let settings = PicturesSettings { path, rate_hz: 10.0, repeat };
            Pictures::open(&settings, self.clock.clone())
        }

        /// Widths of what has come `ms` later, and whether there was a gap before each.
        fn read(&self, sensor: &mut Pictures, ms: u64) -> Result<Vec<(usize, bool)>, SensorError> {
            self.clock.sleep_until(self.clock.monotonic() + Duration::from_millis(ms));
            let mut frames = Frames::new(0, 4);
            sensor.read(&mut frames)?;
            let each = |index| {
                let picture: &Arc<Picture> = frames.picture(index).unwrap();
                (picture.width(), frames.stamps()[index].gap_before)
            };
            Ok((0..frames.len()).map(each).collect())
        }
    }

    #[test]
    fn pictures_come_by_name_at_their_rate_and_then_the_folder_ends() {
        let files = [("b.bmp", bmp(2, 0)), ("a.BMP", bmp(1, 0)), ("notes.txt", vec![0])];
        let bench = Bench::new(&files);
        let mut sensor = bench.open(false).unwrap();
        assert!(sensor.spec().channels.is_empty());
        assert_eq!(bench.read(&mut sensor, 99), Ok(vec![]));
        assert_eq!(bench.read(&mut sensor, 1), Ok(vec![(1, true)]));
        assert_eq!(bench.read(&mut sensor, 100), Ok(vec![(2, false)]));
        assert_eq!(bench.read(&mut sensor, 100), Err(SensorError::Ended));
    }

    #[test]
    fn a_folder_begins_anew_with_a_gap_and_gives_a_late_reader_all_pictures() {
        let bench = Bench::new(&[("a.bmp", bmp(1, 0)), ("b.bmp", bmp(2, 0))]);
        let mut sensor = bench.open(true).unwrap();
        let all = vec![(1, true), (2, false), (1, true), (2, false)];
        assert_eq!(bench.read(&mut sensor, 500), Ok(all));
        assert_eq!(bench.read(&mut sensor, 0), Ok(vec![(1, true)]));
    }

    #[test]
    fn a_broken_picture_is_named_and_is_not_the_end() {
        let mut short = bmp(9, 0);
        short.pop();
        let bench = Bench::new(&[("a.bmp", bmp(1, 0)), ("broken.bmp", short)]);
        let mut sensor = bench.open(false).unwrap();
        assert_eq!(bench.read(&mut sensor, 100), Ok(vec![(1, true)]));
        let Err(SensorError::Unusable(why)) = bench.read(&mut sensor, 100) else { panic!("read") };
        assert!(
            why.ends_with("broken.bmp: cut off: the file ends before the picture does"),
            "{why}"
        );
    }

    #[test]
    fn a_folder_without_pictures_is_refused() {
        let why = Bench::new(&[]).open(true).err().unwrap().to_string();
        assert!(why.ends_with("there is no .jpg, .png or .bmp in it"), "{why}");
    }
}
