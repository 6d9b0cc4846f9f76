//! Files that a web server may read at any moment: whole, the old or the new.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::PublishError;
use crate::model::release::hex;

/// Puts `bytes` at `path`, which others may read.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    put(path, &mut |file| file.write_all(bytes).map_err(PublishError::io("write", path)))
}

/// Puts `bytes` at `path` for this user alone; never over another file.
pub(super) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let create = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    create().map_err(PublishError::io("write", path))
}

/// Makes a folder for this user alone, where it is not there.
pub(super) fn private_dir(path: &Path) -> Result<(), PublishError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(PublishError::io("make", path))
}

/// Refuses what others can get at.
pub(super) fn check_private(path: &Path) -> Result<(), PublishError> {
    let metadata = fs::metadata(path).map_err(PublishError::io("look at", path))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(PublishError::Exposed { path: path.to_owned() })
}

/// Length and SHA-256 of the file `path`.
pub(super) fn measure(path: &Path) -> Result<(u64, String), PublishError> {
    let mut hash = Sha256::new();
    let length = each_chunk(path, &mut |bytes| {
        hash.update(bytes);
        Ok(())
    })?;
    Ok((length, hex(&hash.finalize())))
}

/// Copies `from` to `to`.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), PublishError> {
    put(to, &mut |file| each_chunk(from, &mut |bytes| file.write_all(bytes)).map(|_| ()))
}

fn each_chunk(
    path: &Path,
    take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<u64, PublishError> {
    let mut file = File::open(path).map_err(PublishError::io("read", path))?;
    let mut chunk = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let count = file.read(&mut chunk).map_err(PublishError::io("read", path))?;
        if count == 0 {
            return Ok(length);
        }
        length += count as u64;
        take(&chunk[..count]).map_err(PublishError::io("write", path))?;
    }
}

fn put(
    path: &Path,
    fill: &mut dyn FnMut(&mut File) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    let failed = || PublishError::io("write", path);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644);
    let mut file = options.open(&new).map_err(failed())?;
    fill(&mut file)?;
    let place = || {
        file.sync_all()?;
        #[expect(clippy::disallowed_methods, reason = "as storage does; these names are not its")]
        fs::rename(&new, path)?;
        match path.parent() {
            // The rename itself lies in the folder.
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    place().map_err(failed())
}
