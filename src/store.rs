//! Bundles on disk, each under its digest: received, looked up, collected. What is wanted of them, and for
//! how long, is decided elsewhere.
//!
//! ```text
//! models/objects/DIGEST.edge    whole and checked
//! models/partial/DIGEST         as much as has been received
//! models/reserve                space that a full disk leaves for the small writes of a roll-back
//! models/lock                   held by the one process that writes here
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::model::{ArchiveError, Bundle, Digest, archive};
use crate::storage::{Disk, DiskFile};

/// Kept free for state files: they have a few KiB each, and a replacement stands beside the old one.
const RESERVE_BYTES: u64 = 256 << 10;
/// Beyond a bundle's own size that much must be free before it is fetched.
const SPARE_BYTES: u64 = 1 << 20;

/// Why the store could not do something; each names the file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("{} is in use by another edgerun: stop it, or ask it", .0.display())]
    Locked(PathBuf),
    #[error("{} has room for {free} bytes, {needed} are needed", dir.display())]
    Full { dir: PathBuf, free: u64, needed: u64 },
    #[error("bundle {}: {source}", digest.short())]
    Archive { digest: Digest, source: ArchiveError },
    #[error("bundle {}: its bytes have another digest; it is removed", .0.short())]
    Damaged(Digest),
    #[error("bundle {} is not in the store", .0.short())]
    Missing(Digest),
}

/// The store; one process at a time.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Let go when the store is closed, however the process ends.
    _lock: Option<File>,
}

impl Store {
    /// Where the store of a board lies that keeps its state in `state`.
    pub fn folder(state: &Path) -> PathBuf {
        state.join("models")
    }

    /// Opens the store in `dir`, makes it where there is none, and locks it.
    ///
    /// # Errors
    /// When another process has it, or the disk refuses.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, StoreError> {
        let store = Self::unlocked(disk, dir)?;
        let path = dir.join("lock");
        let failed = |source| StoreError::Disk { path: path.clone(), source };
        let lock = File::create(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: Some(lock), ..store }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Locked(dir.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The same without a lock: for a disk that no other process sees.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn unlocked(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, StoreError> {
        let store = Self { disk, dir: dir.to_owned(), _lock: None };
        for folder in [store.objects(), store.partials()] {
            store.disk.make_folder(&folder).map_err(|source| at(&folder, source))?;
        }
        Ok(store)
    }

    fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    fn partials(&self) -> PathBuf {
        self.dir.join("partial")
    }

    /// Where the bundle `digest` lies, if it is there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        Self::file(&self.dir, digest)
    }

    /// The same for the store in `dir`, which is not opened.
    pub fn file(dir: &Path, digest: &Digest) -> PathBuf {
        dir.join("objects").join(format!("{digest}.edge"))
    }

    fn partial(&self, digest: &Digest) -> PathBuf {
        self.partials().join(digest.as_str())
    }

    /// Every whole bundle: digest and bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>, StoreError> {
        let objects = self.objects();
        let files = self.disk.list(&objects).map_err(|source| at(&objects, source))?;
        let bundle = |(name, bytes): (String, u64)| {
            let digest = Digest::try_from(name.strip_suffix(".edge")?.to_owned()).ok()?;
            Some((digest, bytes))
        };
        Ok(files.into_iter().filter_map(bundle).collect())
    }

    /// Whether the whole bundle is there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.list()?.iter().any(|(there, _)| there == digest))
    }

    /// Reads a bundle and checks every byte; a damaged one is removed, so that it can be fetched again.
    ///
    /// # Errors
    /// When it is not there, damaged, or no bundle.
    pub fn read(&self, digest: &Digest) -> Result<Bundle, StoreError> {
        let path = self.path(digest);
        let mut file = match self.disk.open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing(digest.clone()));
            }
            file => file.map_err(|source| at(&path, source))?,
        };
        let read = archive::read(&mut io::BufReader::new(&mut file));
        match read {
            Ok(bundle) if bundle.digest == *digest => Ok(bundle),
            Err(ArchiveError::Read(source)) => Err(at(&path, source)),
            read => {
                // Either damaged on this disk, or never a bundle: the digest tells.
                if self.hash(&path)? == *digest
                    && let Err(source) = read
                {
                    return Err(StoreError::Archive { digest: digest.clone(), source });
                }
                self.remove(&path)?;
                Err(StoreError::Damaged(digest.clone()))
            }
        }
    }

    /// Begins or goes on receiving a bundle of `length` bytes.
    ///
    /// # Errors
    /// When there is no room for the rest: nothing is begun then.
    pub fn receive(&self, digest: &Digest, length: u64) -> Result<Receiving, StoreError> {
        let path = self.partial(digest);
        let mut file = self.disk.append(&path).map_err(|source| at(&path, source))?;
        let mut there = file.length().map_err(|source| at(&path, source))?;
        if there > length {
            file = self.disk.create(&path).map_err(|source| at(&path, source))?;
            there = 0;
        }
        let free = self.disk.free_bytes(&self.dir).map_err(|source| at(&self.dir, source))?;
        let needed = (length - there).saturating_add(SPARE_BYTES);
        if free < needed {
            drop(file);
            if there == 0 {
                self.remove(&path)?;
            }
            return Err(StoreError::Full { dir: self.dir.clone(), free, needed });
        }
        Ok(Receiving { file, path, there })
    }

    /// Reads what has been received of a bundle, from its start.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn received(&self, digest: &Digest) -> Result<Box<dyn Read + Send>, StoreError> {
        let path = self.partial(digest);
        self.disk.open(&path).map_err(|source| at(&path, source))
    }

    /// Takes a received bundle in: checks its digest, then moves it to the whole ones, durably.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its bytes have another digest: what was received is removed.
    pub fn admit(&self, digest: &Digest) -> Result<(), StoreError> {
        let (from, to) = (self.partial(digest), self.path(digest));
        // The move below may have happened before a power cut.
        if self.has(digest)? {
            return self.remove(&from);
        }
        if self.hash(&from)? != *digest {
            self.remove(&from)?;
            return Err(StoreError::Damaged(digest.clone()));
        }
        let moved = self.disk.append(&from).and_then(|mut file| file.sync());
        let moved = moved.and_then(|()| self.disk.rename(&from, &to));
        moved.map_err(|source| at(&to, source))?;
        let objects = self.objects();
        self.disk.sync_folder(&objects).map_err(|source| at(&objects, source))
    }

    /// Forgets what has been received of a bundle.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn forget(&self, digest: &Digest) -> Result<(), StoreError> {
        self.remove(&self.partial(digest))
    }

    /// Takes a bundle from outside the store in; gives the length of its file.
    ///
    /// # Errors
    /// When it is no bundle, or there is no room.
    pub fn import(&self, bundle: &Bundle) -> Result<u64, StoreError> {
        let mut length = Counted::default();
        archive::write(bundle, &mut length).map_err(|source| at(&self.dir, source))?;
        self.forget(&bundle.digest)?;
        let mut receiving = self.receive(&bundle.digest, length.0)?;
        let written = archive::write(bundle, &mut receiving);
        written.map_err(|source| at(&receiving.path, source))?;
        drop(receiving);
        self.admit(&bundle.digest)?;
        Ok(length.0)
    }

    /// Removes every bundle that is not in `keep`, and everything received that is not in `receiving`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn collect(
        &self,
        keep: &BTreeSet<Digest>,
        receiving: &BTreeSet<Digest>,
    ) -> Result<(), StoreError> {
        for (digest, _) in self.list()? {
            if !keep.contains(&digest) {
                self.remove(&self.path(&digest))?;
            }
        }
        let partials = self.partials();
        for (name, _) in self.disk.list(&partials).map_err(|source| at(&partials, source))? {
            if !receiving.iter().any(|digest| digest.as_str() == name) {
                self.remove(&partials.join(name))?;
            }
        }
        Ok(())
    }

    /// Sets space aside for the small writes of a roll-back. On a disk that is full already there is none.
    pub fn reserve(&self) {
        let path = self.dir.join("reserve");
        let is_there = |(name, bytes): &(String, u64)| name == "reserve" && *bytes >= RESERVE_BYTES;
        if self.disk.list(&self.dir).is_ok_and(|files| files.iter().any(is_there)) {
            return;
        }
        let write = || {
            let mut file = self.disk.create(&path)?;
            io::copy(&mut io::repeat(0).take(RESERVE_BYTES), &mut file)?;
            file.sync()
        };
        if let Err(error) = write() {
            log::warn!("{}: no space can be kept in reserve: {error}", path.display());
            self.disk.remove(&path).ok();
        }
    }

    /// Gives the reserve back to the disk, which is full; whether there was one.
    pub fn spend_reserve(&self) -> bool {
        let is_there = |(name, _): &(String, u64)| name == "reserve";
        let there = self.disk.list(&self.dir).is_ok_and(|files| files.iter().any(is_there));
        there && self.disk.remove(&self.dir.join("reserve")).is_ok()
    }

    fn remove(&self, path: &Path) -> Result<(), StoreError> {
        self.disk.remove(path).map_err(|source| at(path, source))
    }

    fn hash(&self, path: &Path) -> Result<Digest, StoreError> {
        let mut hash = Sha256::new();
        let hashed = self.disk.open(path).and_then(|mut file| io::copy(&mut file, &mut hash));
        hashed.map_err(|source| at(path, source))?;
        Ok(Digest::new(&hash.finalize().into()))
    }
}

fn at(path: &Path, source: io::Error) -> StoreError {
    StoreError::Disk { path: path.to_owned(), source }
}

/// A bundle that is being received; written at its end.
pub struct Receiving {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    there: u64,
}

impl Receiving {
    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    pub fn length(&self) -> u64 {
        self.there
    }

    /// Makes what is there survive a power cut.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync().map_err(|source| at(&self.path, source))
    }
}

impl Write for Receiving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.there += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[derive(Default)]
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
