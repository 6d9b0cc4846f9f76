//! The file system as a seam: what durable state is made of, one call for each step that a power cut can fall
//! between.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Returns when what was written so far survives a power cut.
    ///
    /// # Errors
    /// The system's; what was written since the last sync may be lost.
    fn sync(&mut self) -> io::Result<()>;

    /// As [`DiskFile::sync`] for contents alone, where the file has not grown: cheaper by a write of the file
    /// system's own records.
    ///
    /// # Errors
    /// As [`DiskFile::sync`].
    fn sync_contents(&mut self) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, over what is there.
    ///
    /// # Errors
    /// The system's; a part of it may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Bytes in the file, from its start.
    ///
    /// # Errors
    /// The system's.
    fn length(&mut self) -> io::Result<u64>;
}

/// The calls that durable state needs. Whatever was not synced may be lost or torn by a power cut: the contents
/// by [`DiskFile::sync`], names that were made, moved or removed by [`Disk::sync_folder`].
pub trait Disk: Send + Sync + Debug {
    /// A new, empty file at `path`, in place of one that is there.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// The file at `path`, made where there is none, to be written at its end.
    ///
    /// # Errors
    /// The system's.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// The file at `path` as it is, to be written at places in it.
    ///
    /// # Errors
    /// The system's, also when there is none.
    fn update(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Cuts the file at `path` off behind its first `length` bytes, durably.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;

    /// The file at `path`, to be read from its start.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;

    /// Moves a file within its folder, over one that is there.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; good when there is none.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// The system's.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Names and sizes of the files in a folder; none when it is not there.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>>;

    /// Returns when names that were made, moved or removed in `folder` survive a power cut.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Bytes that may still be written by this user.
    ///
    /// # Errors
    /// The system's.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
}

/// Replaces the file at `path` by write, sync, rename, sync of the folder: a power cut leaves the old contents
/// or the new.
///
/// # Errors
/// The system's; the old contents are still there.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let write = || {
        let mut file = disk.create(new)?;
        file.write_all(bytes)?;
        file.sync()?;
        drop(file);
        disk.rename(new, path)?;
        // The rename itself lies in the folder: without this a power cut may undo it.
        disk.sync_folder(folder_of(path))
    };
    write().inspect_err(|_| {
        // On a full disk the half-written file would keep the space that is missing.
        disk.remove(new).ok();
    })
}

/// The folder that `path` lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

struct OsFile(File);

impl Write for OsFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for OsFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn sync_contents(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn length(&mut self) -> io::Result<u64> {
        self.0.seek(SeekFrom::End(0))
    }
}

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(OsFile(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsFile(OpenOptions::new().append(true).create(true).open(path)?)))
    }

    fn update(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsFile(OpenOptions::new().write(true).open(path)?)))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "the one place that renames")]
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let kind = entry.metadata()?;
            if let (true, Ok(name)) = (kind.is_file(), entry.file_name().into_string()) {
                files.push((name, kind.len()));
            }
        }
        Ok(files)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}
