//! Small durable files as a seam: a reader sees the old bytes or the new, wherever the power goes.

mod disk;
#[cfg(test)]
pub(crate) mod power;

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use disk::folder_of;
pub use disk::{Access, Disk, DiskFile, OsDisk, replace, replace_for};

/// Largest file that is read back; ours are a few hundred bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Where small durable state is kept.
pub trait Storage: Send + Sync {
    /// The bytes kept under `name`; `None` when there are none yet.
    ///
    /// # Errors
    /// When the medium fails: go on without, and report it.
    fn read(&self, name: &FileName) -> Result<Option<Vec<u8>>, StorageError>;

    /// Keeps `bytes` under `name`. After power loss a reader sees the old bytes or the new.
    ///
    /// # Errors
    /// When the medium fails; the old bytes are still there.
    fn replace(&self, name: &FileName, bytes: &[u8]) -> Result<(), StorageError>;
}

/// A plain file name: `[a-z0-9][A-Za-z0-9._-]{0,99}`, so that no name leads out of its folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    /// `name` if it is a plain file name.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        (begins && name.len() <= 100 && name.chars().all(good)).then_some(Self(name))
    }
}

/// Why something could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct StorageError {
    /// `read` or `replace`.
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The system's word.
    pub source: io::Error,
}

/// Files in one folder, replaced by write, fsync, rename, fsync of the folder.
#[derive(Clone, Debug)]
pub struct DirStorage {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl DirStorage {
    /// Storage in `dir`, which is made when something is first kept there.
    pub fn new(dir: &Path) -> Self {
        Self::on(Arc::new(OsDisk), dir)
    }

    /// The same on another disk.
    pub fn on(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned() }
    }
}

impl Storage for DirStorage {
    fn read(&self, name: &FileName) -> Result<Option<Vec<u8>>, StorageError> {
        let path = self.dir.join(&name.0);
        let mut bytes = Vec::new();
        match self.disk.open(&path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StorageError { doing: "read", path, source }),
        }
    }

    fn replace(&self, name: &FileName, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.dir.join(&name.0);
        let made = self.disk.make_folder(&self.dir);
        let kept = made.and_then(|()| replace(self.disk.as_ref(), &path, bytes));
        kept.map_err(|source| StorageError { doing: "replace", path, source })
    }
}

/// Storage that ends with the process: for the demo, which leaves nothing behind.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    files: Mutex<HashMap<FileName, Vec<u8>>>,
}

impl MemoryStorage {
    fn files(&self) -> MutexGuard<'_, HashMap<FileName, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn read(&self, name: &FileName) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.files().get(name).cloned())
    }

    fn replace(&self, name: &FileName, bytes: &[u8]) -> Result<(), StorageError> {
        self.files().insert(name.clone(), bytes.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_is_read_back_by_another_opening() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let name = FileName::new("seq-gestures").expect("plain");
        let mut inner = dir.path().to_owned();
        inner.push("state/deeper");
        let storage = DirStorage::new(&inner);
        assert_eq!(storage.read(&name).expect("readable"), None);
        storage.replace(&name, b"1").expect("kept");
        storage.replace(&name, b"22").expect("kept");
        let again = DirStorage::new(&inner);
        assert_eq!(again.read(&name).expect("readable").as_deref(), Some(&b"22"[..]));
    }

    #[test]
    fn a_torn_new_file_does_not_hide_the_old_one() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let storage = DirStorage::new(dir.path());
        let name = FileName::new("seq").expect("plain");
        storage.replace(&name, b"old").expect("kept");
        std::fs::write(dir.path().join("seq.new"), b"n").expect("a write that power cut short");
        assert_eq!(storage.read(&name).expect("readable").as_deref(), Some(&b"old"[..]));
        storage.replace(&name, b"new").expect("kept");
        assert_eq!(storage.read(&name).expect("readable").as_deref(), Some(&b"new"[..]));
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_file_names() {
        for name in ["", ".", "..", "../x", "a/b", "/etc/passwd", "-x", "a\0b", "é"] {
            assert_eq!(FileName::new(name), None, "{name:?}");
        }
    }
}
