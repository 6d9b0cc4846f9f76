//! Numbers that no two results of a pipeline share, also after SIGKILL or a power cut.
//!
//! Blocks are reserved durably ahead of use and skipped after a crash, so that one small write covers
//! thousands of results. A stop gives back what was not used.
//!
//! What is kept is the first number that was never reserved, and after a stop the word `clean`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::{FileName, Storage, StorageError};

/// Numbers a reservation covers: at one result a second a write every 68 minutes.
const BLOCK: u64 = 4096;

/// The next number of one pipeline. Shared by its thread, which takes, and the daemon, which tops up.
pub struct Sequence {
    storage: Arc<dyn Storage>,
    name: FileName,
    next: AtomicU64,
    /// Numbers below this are reserved durably.
    reserved: AtomicU64,
    writing: Mutex<()>,
    durable: AtomicBool,
    skipped: bool,
}

/// Behind the number that a stop has kept.
const CLEAN: &str = " clean";

impl Sequence {
    /// The sequence kept under `seq-<pipeline>`; goes on after everything ever reserved.
    ///
    /// `fallback` begins the numbers when what was kept cannot be read: a random number of at most 52
    /// bits keeps repeats as unlikely as can be had without a medium. The sequence is then not durable.
    pub fn open(storage: Arc<dyn Storage>, name: FileName, fallback: u64) -> Self {
        let kept = storage.read(&name).map(|bytes| match bytes {
            None => Some((0, false)),
            Some(bytes) => std::str::from_utf8(&bytes).ok().and_then(|text| {
                let (number, clean) = match text.trim().strip_suffix(CLEAN) {
                    Some(number) => (number, true),
                    None => (text.trim(), false),
                };
                Some((number.parse().ok()?, !clean))
            }),
        });
        let mut skipped = true;
        let (start, durable) = match kept {
            Ok(Some((start, crashed))) => {
                skipped = crashed;
                (start, true)
            }
            Ok(None) => {
                log::warn!("the kept sequence number is damaged; going on from a random one");
                (fallback, true)
            }
            Err(error) => {
                log::warn!("{error}; sequence numbers go on from a random one");
                (fallback, false)
            }
        };
        let sequence = Self {
            storage,
            name,
            next: AtomicU64::new(start),
            reserved: AtomicU64::new(start),
            writing: Mutex::new(()),
            durable: AtomicBool::new(durable),
            skipped,
        };
        sequence.top_up();
        sequence
    }

    /// The next number. Waits for the medium only when [`Sequence::top_up`] was not called in time.
    pub fn take(&self) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.reserved.load(Ordering::Acquire) {
            self.reserve(number + 1);
        }
        number
    }

    /// Reserves the next block when less than half of one is left. Writes to the medium: not for the
    /// inference thread.
    pub fn top_up(&self) {
        let next = self.next.load(Ordering::Relaxed);
        if self.reserved.load(Ordering::Acquire) < next + BLOCK / 2 {
            self.reserve(next);
        }
    }

    /// Reserves anew where that failed the last time: for now and then, since a medium that was full or away
    /// comes back long before the next block is due. Writes to the medium.
    pub fn try_again(&self) {
        if !self.is_durable() {
            self.reserve(self.next.load(Ordering::Relaxed));
        }
    }

    /// The first number of this run, where there was a run before that ended without a stop.
    pub fn resumes_at(&self) -> Option<u64> {
        self.skipped.then(|| self.next.load(Ordering::Relaxed))
    }

    /// Gives back what was reserved and not taken: for a stop, after the last [`Sequence::take`].
    pub fn close(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.next.load(Ordering::Relaxed);
        // What cannot be kept stays as after a crash.
        if let Err(error) = self.storage.replace(&self.name, format!("{next}{CLEAN}").as_bytes()) {
            log::warn!("{error}; some sequence numbers are skipped at the next start");
        }
    }

    /// Whether the numbers taken so far were reserved durably; if not, a crash may repeat some.
    pub fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Relaxed)
    }

    fn reserve(&self, at_least: u64) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_durable() && self.reserved.load(Ordering::Acquire) >= at_least + BLOCK / 2 {
            return; // another thread did it while this one waited
        }
        let until = at_least + BLOCK;
        let kept: Result<(), StorageError> =
            self.storage.replace(&self.name, until.to_string().as_bytes());
        if let Err(error) = &kept
            && self.is_durable()
        {
            log::warn!("{error}; results go on, but their numbers may repeat after a crash");
        }
        self.durable.store(kept.is_ok(), Ordering::Relaxed);
        self.reserved.store(until, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::DirStorage;
    use std::collections::HashSet;

    fn name() -> FileName {
        FileName::new("seq-p").expect("plain")
    }

    #[test]
    fn no_number_is_given_twice_over_crashes() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut seen = HashSet::new();
        // A crash is a sequence that is dropped without saying goodbye.
        for taken in [0, 1, 3000, 5000, 2] {
            let storage = Arc::new(DirStorage::new(dir.path()));
            let sequence = Sequence::open(storage, name(), 0);
            for _ in 0..taken {
                assert!(seen.insert(sequence.take()));
            }
        }
    }

    #[test]
    fn a_stop_gives_back_what_was_not_taken_and_a_crash_is_told() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let open = || Sequence::open(Arc::new(DirStorage::new(dir.path())), name(), 0);
        let first = open();
        assert_eq!((first.resumes_at(), first.take(), first.take()), (None, 0, 1));
        first.close();
        let second = open();
        assert_eq!((second.resumes_at(), second.take()), (None, 2));
        drop(second);
        let third = open();
        assert_eq!(third.resumes_at(), Some(2 + BLOCK));
        assert_eq!(third.take(), 2 + BLOCK);
    }

    #[test]
    fn numbers_are_durable_again_once_the_medium_has_room() {
        /// Without room until told otherwise.
        struct Full(DirStorage, AtomicBool);
        impl Storage for Full {
            fn read(&self, name: &FileName) -> Result<Option<Vec<u8>>, StorageError> {
                self.0.read(name)
            }
            fn replace(&self, name: &FileName, bytes: &[u8]) -> Result<(), StorageError> {
                if self.1.load(Ordering::Relaxed) {
                    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
                    return Err(StorageError { doing: "replace", path: "seq-p".into(), source });
                }
                self.0.replace(name, bytes)
            }
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let storage = Arc::new(Full(DirStorage::new(dir.path()), AtomicBool::new(true)));
        let sequence = Sequence::open(storage.clone(), name(), 0);
        sequence.try_again();
        assert_eq!((sequence.take(), sequence.is_durable()), (0, false));
        storage.1.store(false, Ordering::Relaxed);
        sequence.try_again();
        assert!(sequence.is_durable());
        // A crash.
        drop(sequence);
        assert_eq!(Sequence::open(storage, name(), 0).take(), 1 + BLOCK);
    }

    #[test]
    fn damaged_or_unreadable_state_goes_on_from_the_fallback() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("seq-p"), b"\xff\xfe").expect("damage");
        let storage = Arc::new(DirStorage::new(dir.path()));
        assert_eq!(Sequence::open(storage, name(), 1 << 40).take(), 1 << 40);

        struct Broken;
        impl Storage for Broken {
            fn read(&self, _: &FileName) -> Result<Option<Vec<u8>>, StorageError> {
                Err(broken())
            }
            fn replace(&self, _: &FileName, _: &[u8]) -> Result<(), StorageError> {
                Err(broken())
            }
        }
        fn broken() -> StorageError {
            let source = std::io::Error::other("no medium");
            StorageError { doing: "read", path: "seq-p".into(), source }
        }
        let sequence = Sequence::open(Arc::new(Broken), name(), 77);
        assert_eq!((sequence.take(), sequence.take(), sequence.is_durable()), (77, 78, false));
    }
}
