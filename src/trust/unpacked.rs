//! The private copy that tough works on: its own folder is written plainly, so it never sees ours.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::state::{ROLES, version};

/// A folder that only this user can enter, in memory where there is such a place.
pub(super) struct Unpacked {
    dir: TempDir,
}

impl Unpacked {
    /// Unpacks `roles`, and never a `latest_known_time.json`: by that tough refuses to work when the
    /// clock goes back, even by seconds.
    ///
    /// # Errors
    /// When there is no place for a folder.
    pub(super) fn new(roles: &BTreeMap<String, String>) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("edgerun-trust-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(place())?;
        for (name, text) in roles {
            fs::write(dir.path().join(name), text)?;
        }
        Ok(Self { dir })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What tough left: all of it verified, whether or not the check went well to the end.
    ///
    /// A file that is gone was taken back on purpose (a rotated key). One that cannot be read was
    /// torn by a full disk, so what was there `before` holds.
    pub(super) fn read(&self, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut now = BTreeMap::new();
        for role in ROLES {
            match fs::read_to_string(self.dir.path().join(role)) {
                Ok(text) if version(&text) > 0 => {
                    now.insert(role.to_owned(), text);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => {
                    if let Some(text) = before.get(role) {
                        now.insert(role.to_owned(), text.clone());
                    }
                }
            }
        }
        // Root is removed and written again by tough: without it the rest means nothing.
        if now.contains_key("root.json") { now } else { before.clone() }
    }
}

/// systemd's folder for this service, or else shared memory, or else the usual place.
fn place() -> PathBuf {
    let service = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    let memory = Some(PathBuf::from("/dev/shm"));
    let usable = |dir: &PathBuf| {
        dir.is_absolute() && rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
    };
    [service, memory].into_iter().flatten().find(usable).unwrap_or_else(std::env::temp_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(root: &str, timestamp: &str) -> BTreeMap<String, String> {
        let text = |version: &str| format!("{{\"signed\":{{\"version\":{version}}}}}");
        BTreeMap::from([
            ("root.json".to_owned(), text(root)),
            ("timestamp.json".to_owned(), text(timestamp)),
        ])
    }

    #[test]
    fn a_file_torn_by_a_full_disk_does_not_lose_what_was_known() {
        let before = roles("1", "7");
        let copy = Unpacked::new(&before).expect("a folder");
        fs::write(copy.path().join("timestamp.json"), "{\"signed\":{\"ver").expect("written");
        assert_eq!(copy.read(&before), before);
        fs::remove_file(copy.path().join("root.json")).expect("removed");
        assert_eq!(copy.read(&before), before);
    }

    #[test]
    fn a_file_that_was_taken_back_is_gone_and_only_we_can_look_inside() {
        let before = roles("1", "7");
        let copy = Unpacked::new(&before).expect("a folder");
        fs::remove_file(copy.path().join("timestamp.json")).expect("removed");
        assert_eq!(copy.read(&before).len(), 1);
        let mode = fs::metadata(copy.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
