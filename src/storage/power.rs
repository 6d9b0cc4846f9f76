//! A disk in memory that loses power at a chosen step: what was not synced is kept, lost or torn, as the dice
//! fall. A process kill alone cannot show that.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, Disk, DiskFile};

/// The disk; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct PowerDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that no folder sync has followed yet.
    pending: Vec<Change>,
    steps: u64,
    cut_at: u64,
    dice: u64,
    capacity: u64,
    written: u64,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(PathBuf, usize),
    Move(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn folder(&self) -> &Path {
        let (Self::Link(path, _) | Self::Move(_, path) | Self::Remove(path)) = self;
        path.parent().unwrap_or(Path::new("/"))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Move(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl State {
    /// One step that changes the disk; after the cut there are no more.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        if self.steps >= self.cut_at {
            return Err(io::Error::other("power cut"));
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64, Marsaglia 2003.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % sides.max(1) as u64) as usize
    }

    /// Each sector as it was synced or as it is now, and of what was added behind that, some length; never less
    /// than what was synced.
    fn torn(&mut self, now: &[u8], durable: &[u8]) -> Vec<u8> {
        const SECTOR: usize = 512;
        let synced = durable.len().min(now.len());
        let length = synced + self.roll(now.len() - synced + 1);
        let mut after = durable.to_vec();
        after.resize(length, 0);
        for (index, sector) in after.chunks_mut(SECTOR).enumerate() {
            if self.roll(2) == 0 {
                let from = index * SECTOR;
                sector.copy_from_slice(&now[from..from + sector.len()]);
            }
        }
        after
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].now.len() as u64).sum()
    }
}

impl PowerDisk {
    /// An empty disk of `capacity` bytes.
    pub(crate) fn new(capacity: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            steps: 0,
            cut_at: u64::MAX,
            dice: 1,
            capacity,
            written: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes at the `after`th step from now.
    pub(crate) fn cut_after(&self, after: u64) {
        let mut state = self.state();
        state.cut_at = state.steps + after;
    }

    /// Whether the power has gone.
    pub(crate) fn is_off(&self) -> bool {
        let state = self.state();
        state.steps >= state.cut_at
    }

    /// Bytes written since the start, and steps.
    pub(crate) fn written(&self) -> u64 {
        self.state().written
    }

    /// Changes how much fits.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// The power is back: of what was not synced, some is there, as `seed` has it.
    pub(crate) fn power_on(&self, seed: u64) {
        let mut state = self.state();
        state.dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let pending = std::mem::take(&mut state.pending);
        let mut names = state.durable_names.clone();
        // Journals keep the order; some file systems do not.
        let in_order = state.roll(2) == 0;
        let first_lost = state.roll(pending.len() + 1);
        for (index, change) in pending.iter().enumerate() {
            let kept = if in_order { index < first_lost } else { state.roll(2) == 0 };
            if kept {
                change.apply(&mut names);
            }
        }
        for file in 0..state.files.len() {
            let Contents { now, durable } = state.files[file].clone();
            if now == durable {
                continue;
            }
            let after = match state.roll(3) {
                0 => durable,
                1 => now,
                _ => state.torn(&now, &durable),
            };
            state.files[file] = Contents { durable: after.clone(), now: after };
        }
        state.durable_names.clone_from(&names);
        state.names = names;
        state.cut_at = u64::MAX;
    }

    /// Flips a bit in the middle of a file that lies there, as worn flash does.
    pub(crate) fn rot(&self, path: &Path) {
        let mut state = self.state();
        let file = state.names[path];
        let contents = &mut state.files[file];
        let middle = contents.now.len() / 2;
        contents.now[middle] ^= 1;
        contents.durable.clone_from(&contents.now);
    }

    /// The file under a name.
    fn there(&self, path: &Path) -> io::Result<usize> {
        self.state().names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, path: &Path, keep: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.step()?;
        let there = state.names.get(path).copied();
        let file = match there {
            Some(file) if keep => file,
            Some(file) => {
                state.files[file].now.clear();
                file
            }
            None => {
                state.files.push(Contents::default());
                let file = state.files.len() - 1;
                state.change(Change::Link(path.to_owned(), file));
                file
            }
        };
        Ok(Box::new(PowerFile { disk: self.clone(), file }))
    }
}

struct PowerFile {
    disk: PowerDisk,
    file: usize,
}

impl Write for PowerFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.step()?;
        if state.used() + bytes.len() as u64 > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.written += bytes.len() as u64;
        state.files[self.file].now.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for PowerFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        let contents = &mut state.files[self.file];
        contents.durable.clone_from(&contents.now);
        Ok(())
    }

    fn sync_contents(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        let from = usize::try_from(offset).expect("small");
        let (end, length) = (from + bytes.len(), state.files[self.file].now.len());
        let grown = end.saturating_sub(length) as u64;
        if state.used() + grown > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.written += bytes.len() as u64;
        let contents = &mut state.files[self.file].now;
        contents.resize(end.max(length), 0);
        contents[from..end].copy_from_slice(bytes);
        Ok(())
    }

    fn length(&mut self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].now.len() as u64)
    }
}

impl Disk for PowerDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(path, false)
    }

    fn create_for(&self, path: &Path, _: Access) -> io::Result<Box<dyn DiskFile>> {
        self.remove(path)?;
        self.file(path, false)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(path, true)
    }

    fn update(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.there(path)?;
        Ok(Box::new(PowerFile { disk: self.clone(), file }))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = self.there(path)?;
        let mut state = self.state();
        state.step()?;
        let contents = &mut state.files[file];
        contents.now.truncate(usize::try_from(length).expect("small"));
        contents.durable.clone_from(&contents.now);
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let state = self.state();
        let file = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(state.files[*file].now.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(path) {
            return Ok(());
        }
        state.step()?;
        state.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn make_folder_for(&self, _: &Path, _: Access) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        let each = inside.map(|(path, &file)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, state.files[file].now.len() as u64)
        });
        Ok(each.collect())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let pending = std::mem::take(&mut state.pending);
        let (synced, rest): (Vec<_>, Vec<_>) = pending.into_iter().partition(|change| {
            // A move out of another folder becomes durable with either.
            change.folder() == folder
        });
        for change in &synced {
            if let Change::Move(from, _) = change {
                // The file may have been linked under a name that was never synced.
                if let Some(Change::Link(_, file)) =
                    rest.iter().find(|other| matches!(other, Change::Link(path, _) if path == from))
                {
                    state.durable_names.insert(from.clone(), *file);
                }
            }
            let mut names = std::mem::take(&mut state.durable_names);
            change.apply(&mut names);
            state.durable_names = names;
        }
        state.pending = rest;
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.capacity.saturating_sub(state.used()))
    }
}
