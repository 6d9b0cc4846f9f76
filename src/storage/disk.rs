//! The file system as a seam: what durable state is made of, one call for each step that a power cut can fall
//! between.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

/// Who may reach a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits, as in `0o640`.
    pub mode: u32,
    /// User and group by number; `None` for those of this process.
    pub owner: Option<(u32, u32)>,
}

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

    /// As [`Disk::create`], but nobody whom `access` leaves out can reach the file at any moment, and a link at
    /// `path` is replaced, not followed.
    ///
    /// # Errors
    /// The system's, also where this process may not give files away.
    fn create_for(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

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

    /// Makes a folder for `access` and those above it; one that is there stays as it is.
    ///
    /// # Errors
    /// The system's.
    fn make_folder_for(&self, path: &Path, access: Access) -> io::Result<()>;

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
    replaced(disk, path, bytes, &|new| disk.create(new))
}

/// As [`replace`], for `access`.
///
/// # Errors
/// As [`replace`].
pub fn replace_for(disk: &dyn Disk, path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    replaced(disk, path, bytes, &|new| disk.create_for(new, access))
}

fn replaced(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    create: &dyn Fn(&Path) -> io::Result<Box<dyn DiskFile>>,
) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let write = || {
        let mut file = create(new)?;
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
pub(crate) fn folder_of(path: &Path) -> &Path {
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

    fn create_for(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.remove(path)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(access.mode & 0o600).open(path)?;
        if let Some((user, group)) = access.owner {
            std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
        }
        // Only now may others: what the process's umask takes away is given back.
        file.set_permissions(fs::Permissions::from_mode(access.mode))?;
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

    fn make_folder_for(&self, path: &Path, access: Access) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(folder_of(path))?;
        fs::DirBuilder::new().mode(access.mode & 0o700).create(path)?;
        if let Some((user, group)) = access.owner {
            std::os::unix::fs::lchown(path, Some(user), Some(group))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(access.mode))
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
