//! Where things go on the board, for whom, and how they get there durably.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{CONFIGURATION, CREDENTIALS, Done, Existing, ProvisionError, Wish};
use crate::data::Secret;
use crate::storage::{Access, Disk, folder_of, replace_for};

const BYTES_MAX: u64 = 1 << 20;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was none.
    Made,
    /// Another one was there.
    Replaced,
    /// It was there and stays.
    Kept,
}

/// A board's files.
#[derive(Debug)]
pub struct Place<'a> {
    disk: &'a dyn Disk,
    root: PathBuf,
    etc: PathBuf,
    /// User and group of the daemon, where files can be given to it.
    daemon: Option<(u32, u32)>,
    am_root: bool,
    dry: bool,
}

impl<'a> Place<'a> {
    /// The board below `root`, its configuration in `etc`. `am_root`: files may be given away.
    pub fn new(disk: &'a dyn Disk, root: &Path, etc: &Path, am_root: bool) -> Self {
        let daemon = am_root.then(|| account(disk, root)).flatten();
        Self { disk, root: root.to_owned(), etc: etc.to_owned(), daemon, am_root, dry: false }
    }

    /// The same, but nothing is written.
    pub fn dry(self) -> Self {
        Self { dry: true, ..self }
    }

    pub(super) fn is_dry(&self) -> bool {
        self.dry
    }

    /// The path of a file of the configuration.
    pub fn file(&self, name: &str) -> PathBuf {
        self.etc.join(name)
    }

    /// The path of a secret.
    pub fn credential(&self, name: &str) -> PathBuf {
        self.etc.join(CREDENTIALS).join(name)
    }

    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, ProvisionError> {
        let cannot = |source| ProvisionError::Disk { doing: "read", path: path.to_owned(), source };
        read(self.disk, path).map_err(cannot)
    }

    fn put(
        &self,
        path: PathBuf,
        bytes: &[u8],
        access: Access,
        existing: Existing,
        done: &mut Done,
    ) -> Result<(), ProvisionError> {
        let change = match self.read(&path)? {
            None => Change::Made,
            Some(_) if existing == Existing::Keep => Change::Kept,
            Some(there) if there == bytes => Change::Kept,
            Some(_) => Change::Replaced,
        };
        if change != Change::Kept && !self.dry {
            let cannot =
                |source| ProvisionError::Disk { doing: "write", path: path.clone(), source };
            replace_for(self.disk, &path, bytes, access).map_err(cannot)?;
        }
        done.push((path, change));
        Ok(())
    }

    fn folder(&self, path: &Path, access: Access) -> Result<(), ProvisionError> {
        if self.dry {
            return Ok(());
        }
        let cannot = |source| ProvisionError::Disk { doing: "make", path: path.to_owned(), source };
        self.disk.make_folder_for(path, access).map_err(cannot)?;
        // The folder's own name must survive, too.
        self.disk.sync_folder(folder_of(path)).map_err(cannot)
    }

    /// Root's own, where this is root.
    fn ours(&self, mode: u32) -> Access {
        Access { mode, owner: self.am_root.then_some((0, 0)) }
    }

    /// A file that everybody may read.
    pub(super) fn public(
        &self,
        name: &str,
        bytes: &[u8],
        existing: Existing,
        done: &mut Done,
    ) -> Result<(), ProvisionError> {
        self.folder(&self.etc, self.ours(0o755))?;
        self.put(self.file(name), bytes, self.ours(0o644), existing, done)
    }

    /// A file that only the daemon may read.
    pub(super) fn secret(
        &self,
        name: &str,
        secret: &Secret,
        existing: Existing,
        done: &mut Done,
    ) -> Result<(), ProvisionError> {
        self.folder(&self.etc, self.ours(0o755))?;
        let owner = self.daemon.or(self.ours(0).owner);
        self.folder(&self.etc.join(CREDENTIALS), Access { mode: 0o700, owner })?;
        let access = Access { mode: 0o600, owner };
        self.put(self.credential(name), secret.expose().as_bytes(), access, existing, done)
    }

    /// The configuration; one that is replaced stays beside it as `.previous`.
    pub(super) fn configuration(
        &self,
        text: &str,
        existing: Existing,
        done: &mut Done,
    ) -> Result<(), ProvisionError> {
        self.folder(&self.etc, self.ours(0o755))?;
        let access = match self.daemon {
            Some((_, group)) => Access { mode: 0o640, owner: Some((0, group)) },
            None => self.ours(0o644),
        };
        let path = self.file(CONFIGURATION);
        if existing == Existing::Replace
            && let Some(there) = self.read(&path)?
            && there != text.as_bytes()
        {
            let previous = self.file(&format!("{CONFIGURATION}.previous"));
            self.put(previous, &there, access, existing, done)?;
        }
        self.put(path, text.as_bytes(), access, existing, done)
    }

    /// What is the machine's and not edgerun's: its network, its name, who may log in.
    pub(super) fn system(&self, wish: &Wish, done: &mut Done) -> Result<(), ProvisionError> {
        let at = |path: &str| self.root.join(path);
        if let Some(wifi) = &wish.wifi {
            let (path, text) = if self.has_network_manager() {
                let name = "etc/NetworkManager/system-connections/edgerun-wifi.nmconnection";
                (at(name), wifi.network_manager())
            } else {
                (at("etc/wpa_supplicant/wpa_supplicant-wlan0.conf"), wifi.wpa_supplicant())
            };
            self.folder(folder_of(&path), self.ours(0o755))?;
            self.put(path, text.as_bytes(), self.ours(0o600), Existing::Replace, done)?;
            if let Some(text) = wifi.regulatory() {
                self.folder(&at("etc/modprobe.d"), self.ours(0o755))?;
                let path = at("etc/modprobe.d/edgerun-wifi.conf");
                self.put(path, text.as_bytes(), self.ours(0o644), Existing::Replace, done)?;
            }
        }
        if let Some(name) = &wish.hostname {
            let text = format!("{name}\n");
            self.put(
                at("etc/hostname"),
                text.as_bytes(),
                self.ours(0o644),
                Existing::Replace,
                done,
            )?;
        }
        if !wish.authorized_keys.is_empty() {
            let path = at("root/.ssh/authorized_keys");
            let there = self.read(&path)?.unwrap_or_default();
            let mut text = String::from_utf8_lossy(&there).into_owned();
            for key in &wish.authorized_keys {
                if !text.lines().any(|line| line.trim() == key) {
                    if !text.is_empty() && !text.ends_with('\n') {
                        text.push('\n');
                    }
                    text.push_str(key);
                    text.push('\n');
                }
            }
            self.folder(&at("root/.ssh"), self.ours(0o700))?;
            self.put(path, text.as_bytes(), self.ours(0o600), Existing::Replace, done)?;
        }
        Ok(())
    }

    /// Whether NetworkManager is what brings the network up here.
    pub fn has_network_manager(&self) -> bool {
        // Through the disk, which has no folders, only files in them.
        let folder = self.root.join("etc/NetworkManager");
        folder.is_dir() || self.disk.list(&folder).is_ok_and(|files| !files.is_empty())
    }
}

/// All of a file, `None` where there is none.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match disk.open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > BYTES_MAX => Err(io::Error::other("is larger than 1 MiB")),
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The user `edgerun` and its group, passwd(5).
fn account(disk: &dyn Disk, root: &Path) -> Option<(u32, u32)> {
    let text = read(disk, &root.join("etc/passwd")).ok()??;
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| line.starts_with("edgerun:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
