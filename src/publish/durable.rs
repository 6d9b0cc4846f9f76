//! Files that a web server may read at any moment: whole, the old or the new.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::PublishError;
use crate::storage::{self, OsDisk};

/// Puts `bytes` at `path`.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    storage::replace(&OsDisk, path, bytes).map_err(PublishError::io("write", path))
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
