//! One JSON object a line, the same as on MQTT: for standard output, a pipe, or files that take turns.

mod rotation;
mod text;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Relay, SinkStats, Taken, Tray, Worker, relay};
use crate::clock::Stopwatch;
use crate::data::Session;
use crate::storage::Disk;
pub use rotation::Rotation;
use text::Text;

/// Entries between a pipeline and this thread.
const CAPACITY: usize = 1024;
/// Entries that are written at once.
const BATCH: usize = 256;
/// So much text is written before its time.
const FULL: usize = 64 << 10;
/// The most text that waits for a disk that takes none; the oldest lines go first.
const TEXT_MAX: usize = 512 << 10;
/// How often a thread without work looks up.
const IDLE: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// To standard output, each at once.
    Stdout,
    /// Into a file and those that it was before.
    File(FileSettings),
}

/// Files of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// The file that is written; the one before it is `PATH.1`, and so on. A pipe or a device gets each line at
    /// once, and takes no turns.
    pub path: PathBuf,
    /// All files together, in bytes.
    pub bytes_max: u64,
    /// How many there are, 2 at least.
    pub files: u32,
    /// How old a line may get before it is on disk: what a power cut can cost.
    pub commit: Duration,
}

/// Starts the thread that writes.
///
/// # Errors
/// When the system has no thread left. A file that cannot be written is trouble of the sink, and tried again.
pub fn start(
    settings: Settings,
    session: Session,
    disk: Arc<dyn Disk>,
) -> io::Result<(Relay, Worker)> {
    let stats = Arc::<SinkStats>::default();
    let (sink, tray) = relay(CAPACITY, stats.clone());
    let own = stats.clone();
    let worker = Worker::spawn("json_lines", stats, move || match settings {
        Settings::Stdout => each_at_once(io::stdout(), &tray, &session, &own),
        Settings::File(file) if is_special(&file) => {
            match OpenOptions::new().append(true).open(&file.path) {
                Ok(out) => each_at_once(out, &tray, &session, &own),
                Err(error) => ended(&own, &error),
            }
        }
        Settings::File(file) => {
            let commit = file.commit;
            let rotation = Rotation::new(disk, &file.path, file.bytes_max, file.files);
            to_files(rotation, commit, &tray, &session, &own);
        }
    })?;
    Ok((sink, worker))
}

/// Whether the path is there and no plain file.
fn is_special(file: &FileSettings) -> bool {
    std::fs::metadata(&file.path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// A reader that has gone (`edgerun run | head`) does not come back: the sink is closed then.
fn ended(stats: &SinkStats, error: &io::Error) {
    log::warn!("JSON lines end here: cannot write them: {error}");
    stats.set_trouble(Some(format!("cannot write them: {error}")));
}

/// As fast as `out`: when its reader stands still, entries are dropped before this thread.
fn each_at_once(mut out: impl Write, tray: &Tray, session: &Session, stats: &SinkStats) {
    let (mut batch, mut line) = (Vec::new(), Vec::with_capacity(512));
    loop {
        if tray.take(&mut batch, BATCH, IDLE) == Taken::Closed {
            return;
        }
        for (index, entry) in batch.iter().enumerate() {
            line.clear();
            entry.write(session, &mut line);
            line.push(b'\n');
            if let Err(error) = out.write_all(&line).and_then(|()| out.flush()) {
                stats.dropped((batch.len() - index) as u64);
                return ended(stats, &error);
            }
            stats.delivered(1);
        }
        batch.clear();
    }
}

/// Many lines with one write, `commit` after the first of them at the latest; a disk that takes none is tried again
/// as often.
fn to_files(
    mut rotation: Rotation,
    commit: Duration,
    tray: &Tray,
    session: &Session,
    stats: &SinkStats,
) {
    let (mut batch, mut text) = (Vec::new(), Text::new(TEXT_MAX));
    let mut since: Option<Stopwatch> = None;
    let mut works = true;
    loop {
        let patience = since.as_ref().map_or(IDLE, |since| commit.saturating_sub(since.elapsed()));
        let taken = tray.take(&mut batch, BATCH, patience);
        for entry in batch.drain(..) {
            stats.dropped(text.push(|line| entry.write(session, line)));
        }
        if since.is_none() && !text.is_empty() {
            since = Some(Stopwatch::start());
        }
        let due = since.as_ref().is_some_and(|since| since.elapsed() >= commit);
        let closed = taken == Taken::Closed;
        if due || closed || (works && text.bytes().len() >= FULL) {
            works = write(&mut rotation, &mut text, stats);
            since = (!text.is_empty()).then(Stopwatch::start);
        }
        if closed {
            return stats.dropped(text.lines());
        }
    }
}

/// Whether the disk took it.
fn write(rotation: &mut Rotation, text: &mut Text, stats: &SinkStats) -> bool {
    if text.is_empty() {
        return true;
    }
    let path = rotation.path().display().to_string();
    match rotation.write(text.bytes()) {
        Ok(()) => {
            stats.delivered(text.lines());
            text.clear();
            if stats.set_trouble(None) {
                log::info!("{path}: can be written again");
            }
            true
        }
        Err(error) => {
            let trouble = format!("{path}: {error}");
            if stats.set_trouble(Some(trouble.clone())) {
                log::error!(
                    "JSON lines wait in memory, and the oldest are dropped in the end: {trouble}"
                );
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Sink as _;
    use crate::sink::memory::examples;
    use crate::storage::OsDisk;
    use crate::storage::power::PowerDisk;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn session() -> Session {
        Session::from_bits([1; 16])
    }

    fn file(path: impl Into<PathBuf>) -> Settings {
        let commit = Duration::from_secs(3600);
        Settings::File(FileSettings { path: path.into(), bytes_max: 4 << 20, files: 4, commit })
    }

    fn lines(text: &[u8]) -> Vec<serde_json::Value> {
        let text = std::str::from_utf8(text).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_result_and_event_is_one_line_of_json_and_a_stop_writes_what_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        let (mut sink, worker) = start(file(&path), session(), Arc::new(OsDisk)).unwrap();
        sink.publish(examples::inference(1)).unwrap();
        sink.event(examples::event("walking")).unwrap();
        sink.publish(examples::inference(2)).unwrap();
        drop(sink);
        let stats = worker.stats().clone();
        worker.stop(PATIENCE);
        let lines = lines(&std::fs::read(&path).unwrap());
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["seq"], &lines[2]["seq"]), (&1.into(), &2.into()));
        assert_eq!(lines[1]["event"], "label_changed");
        let expected = super::super::SinkReading { delivered: 3, dropped: 0, trouble: None };
        assert_eq!(stats.read(), expected);
    }

    #[test]
    fn a_reader_that_has_gone_closes_the_sink() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let stats = Arc::<SinkStats>::default();
        let (mut sink, tray) = relay(8, stats.clone());
        sink.publish(examples::inference(1)).unwrap();
        sink.publish(examples::inference(2)).unwrap();
        each_at_once(Gone, &tray, &session(), &stats);
        drop(tray);
        assert!(sink.publish(examples::inference(3)).is_err());
        assert_eq!(stats.read().dropped, 3);
        assert!(stats.read().trouble.is_some());
    }

    #[test]
    fn a_full_disk_costs_the_oldest_lines_and_when_there_is_room_the_rest_is_written() {
        let disk = PowerDisk::new(100);
        let path = PathBuf::from("/log/results.jsonl");
        let stats = Arc::<SinkStats>::default();
        let mut rotation = Rotation::new(Arc::new(disk.clone()), &path, 4 << 20, 4);
        let mut text = Text::new(2000);
        for seq in 0..20 {
            let found = super::super::Found::Result(examples::inference(seq));
            stats.dropped(text.push(|line| found.write(&session(), line)));
        }
        assert!(!write(&mut rotation, &mut text, &stats));
        assert!(stats.read().trouble.unwrap().starts_with("/log/results.jsonl: "));
        disk.set_capacity(1 << 20);
        assert!(write(&mut rotation, &mut text, &stats));
        let reading = stats.read();
        assert_eq!((reading.delivered + reading.dropped, reading.trouble), (20, None));
        let mut written = Vec::new();
        std::io::Read::read_to_end(&mut disk.open(&path).unwrap(), &mut written).unwrap();
        let lines = lines(&written);
        assert_eq!(lines.len() as u64, reading.delivered);
        assert_eq!(lines.last().unwrap()["seq"], 19);
    }
}
