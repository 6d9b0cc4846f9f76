//! How often edgerun has been started on this board, and how the run before ended.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::storage::{FileName, Storage};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was stopped.
    Clean,
    /// It said an error and ended: a configuration that cannot run.
    Failed,
    /// The board went down under it: a power cut, or a reset.
    Reboot,
    /// It was killed or fell over.
    Crash,
    /// The service manager ended it because it made no progress.
    Watchdog,
    /// The kernel or the service manager ended it because memory ran out.
    OutOfMemory,
    /// It took too long to start or to stop.
    Timeout,
    /// What was kept of it cannot be read.
    Unknown,
}

impl Stop {
    /// The word in payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Failed => "failed",
            Self::Reboot => "reboot",
            Self::Crash => "crash",
            Self::Watchdog => "watchdog",
            Self::OutOfMemory => "out_of_memory",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
        }
    }

    fn is_clean(self) -> bool {
        matches!(self, Self::Clean | Self::Failed)
    }
}

/// What is known of the runs before this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Starts after the first.
    pub restarts: u64,
    /// Runs that ended without being stopped.
    pub unclean_stops: u64,
    /// How the last one ended; `None` when this is the first.
    pub last_stop: Option<Stop>,
}

impl Run {
    /// How the run before ended, where nobody stopped it.
    pub fn unclean(&self) -> Option<Stop> {
        self.last_stop.filter(|stop| !stop.is_clean())
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    starts: u64,
    unclean_stops: u64,
    boot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ended {
    Clean,
    Failed,
}

/// This run's mark on the disk: while it stands there, the run has not been stopped.
pub struct Runs {
    storage: Arc<dyn Storage>,
    record: Record,
    run: Run,
}

fn file(name: &str) -> FileName {
    FileName::new(name).expect("the names here are plain")
}

/// What the unit's `ExecStopPost` leaves: systemd's `$SERVICE_RESULT`, see `systemd.exec(5)`.
const SERVICE_RESULT: &str = "service-result";
const RECORD: &str = "runs";

impl Runs {
    /// Reads how the last run ended and marks that this one has begun, on the boot with the id `boot`. A medium
    /// that fails costs the count and is logged.
    pub fn begin(storage: Arc<dyn Storage>, boot: &str) -> Self {
        let result = take_service_result(storage.as_ref());
        let before = match storage.read(&file(RECORD)) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => {
                serde_json::from_slice::<Record>(&bytes).map(Some).map_err(|error| {
                    log::warn!("the record of runs cannot be read and begins anew: {error}");
                })
            }
            Err(error) => {
                log::warn!("{error}");
                Err(())
            }
        };
        let last_stop = match &before {
            Ok(None) => None,
            Err(()) => Some(Stop::Unknown),
            Ok(Some(record)) => Some(how_it_ended(record, boot, result.as_deref())),
        };
        let before = before.ok().flatten();
        let (starts, unclean) = before.map_or((0, 0), |r| (r.starts, r.unclean_stops));
        let is_unclean = last_stop.is_some_and(|stop| !stop.is_clean());
        let unclean_stops = unclean.saturating_add(u64::from(is_unclean));
        let run = Run { restarts: starts, unclean_stops, last_stop };
        let starts = starts.saturating_add(1);
        let record = Record { starts, unclean_stops, boot: boot.to_owned(), ended: None };
        let mut runs = Self { storage, record, run };
        runs.keep();
        runs
    }

    /// What is known of the runs before.
    pub fn run(&self) -> Run {
        self.run
    }

    /// This run ends in order, `well` or with an error that it has said.
    pub fn end(mut self, well: bool) {
        self.record.ended = Some(if well { Ended::Clean } else { Ended::Failed });
        self.keep();
    }

    fn keep(&mut self) {
        let bytes = serde_json::to_vec(&self.record).expect("a plain struct");
        if let Err(error) = self.storage.replace(&file(RECORD), &bytes) {
            log::warn!("restarts are not counted: {error}");
        }
    }
}

/// Read once: it is about one run only.
fn take_service_result(storage: &dyn Storage) -> Option<String> {
    let bytes = storage.read(&file(SERVICE_RESULT)).ok().flatten()?;
    let result = String::from_utf8_lossy(&bytes).trim().to_owned();
    if !bytes.is_empty()
        && let Err(error) = storage.replace(&file(SERVICE_RESULT), b"")
    {
        log::warn!("{error}");
    }
    (!result.is_empty()).then_some(result)
}

fn how_it_ended(record: &Record, boot: &str, result: Option<&str>) -> Stop {
    match (record.ended, result) {
        (Some(Ended::Clean), _) => Stop::Clean,
        (Some(Ended::Failed), _) => Stop::Failed,
        (None, Some("watchdog")) => Stop::Watchdog,
        (None, Some("oom-kill")) => Stop::OutOfMemory,
        (None, Some("timeout")) => Stop::Timeout,
        (None, _) if record.boot != boot => Stop::Reboot,
        (None, _) => Stop::Crash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{DirStorage, MemoryStorage, StorageError};

    fn begin(storage: &Arc<dyn Storage>, boot: &str) -> Runs {
        Runs::begin(storage.clone(), boot)
    }

    #[test]
    fn each_way_to_end_is_told_from_the_others() {
        for (ended, result, boot, stop) in [
            (Some(true), None, "boot-1", Stop::Clean),
            // A stop in order says so itself, whatever came after it.
            (Some(true), Some("exit-code"), "boot-2", Stop::Clean),
            (Some(false), Some("exit-code"), "boot-1", Stop::Failed),
            (None, None, "boot-1", Stop::Crash),
            (None, Some("signal"), "boot-1", Stop::Crash),
            (None, Some("watchdog\n"), "boot-1", Stop::Watchdog),
            (None, Some("oom-kill"), "boot-1", Stop::OutOfMemory),
            (None, Some("timeout"), "boot-1", Stop::Timeout),
            (None, None, "boot-2", Stop::Reboot),
        ] {
            let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
            let first = begin(&storage, "boot-1");
            assert_eq!(first.run(), Run::default());
            match ended {
                Some(well) => first.end(well),
                None => drop(first),
            }
            let result = result.unwrap_or_default();
            storage.replace(&file(SERVICE_RESULT), result.as_bytes()).unwrap();
            let second = begin(&storage, boot);
            let unclean_stops = u64::from(ended.is_none());
            let expected = Run { restarts: 1, unclean_stops, last_stop: Some(stop) };
            assert_eq!(second.run(), expected, "{ended:?} {result:?} {boot}");
            second.end(true);
            // What systemd said is about one run only.
            drop(begin(&storage, boot));
            let fourth = begin(&storage, boot).run();
            assert_eq!((fourth.restarts, fourth.last_stop), (3, Some(Stop::Crash)));
            assert_eq!(fourth.unclean_stops, unclean_stops + 1);
        }
    }

    #[test]
    fn an_error_that_was_said_is_no_crash() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        begin(&storage, "b").end(false);
        let run = begin(&storage, "b").run();
        assert_eq!(
            (run.last_stop, run.unclean(), run.unclean_stops),
            (Some(Stop::Failed), None, 0)
        );
    }

    #[test]
    fn a_record_that_cannot_be_read_begins_anew_and_says_so() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        for torn in ["", "{\"starts\":", "[]", "\u{0}\u{0}"] {
            storage.replace(&file(RECORD), torn.as_bytes()).unwrap();
            let run = begin(&storage, "b").run();
            let expected = Run { restarts: 0, unclean_stops: 1, last_stop: Some(Stop::Unknown) };
            assert_eq!(run, expected, "{torn:?}");
        }
    }

    #[test]
    fn a_disk_that_fails_stops_nobody() {
        struct Broken;
        impl Storage for Broken {
            fn read(&self, _: &FileName) -> Result<Option<Vec<u8>>, StorageError> {
                Err(self.replace(&file("x"), b"").unwrap_err())
            }
            fn replace(&self, _: &FileName, _: &[u8]) -> Result<(), StorageError> {
                let source = std::io::Error::other("gone");
                Err(StorageError { doing: "replace", path: "x".into(), source })
            }
        }
        let runs = Runs::begin(Arc::new(Broken), "b");
        assert_eq!(runs.run().last_stop, Some(Stop::Unknown));
        runs.end(true);
    }

    #[test]
    fn the_record_survives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let open = || -> Arc<dyn Storage> { Arc::new(DirStorage::new(dir.path())) };
        drop(begin(&open(), "b"));
        assert_eq!(begin(&open(), "b").run().last_stop, Some(Stop::Crash));
    }
}
