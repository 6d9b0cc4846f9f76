//! A file of whole lines and those that it was before: bounded together, and no line torn for a reader, whatever
//! became of the process or the power.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::{Disk, DiskFile, folder_of};

/// `PATH`, and `PATH.1` (the one before it) to `PATH.N`.
#[derive(Debug)]
pub struct Rotation {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    bytes_each: u64,
    files: u32,
    open: Option<Open>,
}

/// The file that is written; `length` is the end of its last whole line.
struct Open {
    file: Box<dyn DiskFile>,
    length: u64,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Rotation {
    /// `files` files (2 at least) at and beside `path`, which together hold `bytes_max`, but each of them one write
    /// at least. Opens nothing yet.
    pub fn new(disk: Arc<dyn Disk>, path: &Path, bytes_max: u64, files: u32) -> Self {
        let files = files.max(2);
        let bytes_each = (bytes_max / u64::from(files)).max(1);
        Self { disk, path: path.to_owned(), bytes_each, files, open: None }
    }

    /// The file that is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes whole `lines` and returns when they are on disk.
    ///
    /// # Errors
    /// The system's; then none of them is there for a reader, and they may be written again. After a power cut some
    /// may be.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let more = lines.len() as u64;
        let mut open = self.opened()?;
        if open.length > 0 && open.length + more > self.bytes_each {
            drop(open);
            self.turn()?;
            open = self.opened()?;
        }
        let length = open.length;
        let written = open.file.write_all(lines).and_then(|()| open.file.sync());
        if let Err(error) = written {
            drop(open);
            // Where even that fails, opening it again does it.
            self.disk.truncate(&self.path, length).ok();
            return Err(error);
        }
        self.open = Some(Open { length: length + more, ..open });
        Ok(())
    }

    fn opened(&mut self) -> io::Result<Open> {
        if let Some(open) = self.open.take() {
            return Ok(open);
        }
        let mut file = self.disk.append(&self.path)?;
        let length = file.length()?;
        if length == 0 {
            // Its name lies in the folder.
            self.disk.sync_folder(folder_of(&self.path))?;
        }
        // One that is full is not written any more, so it need not be looked at.
        if length == 0 || length >= self.bytes_each {
            return Ok(Open { file, length });
        }
        match self.tail()? {
            Tail::Whole => {}
            // Ours, and cut short: nobody can read it.
            Tail::Torn(whole) => {
                drop(file);
                self.disk.truncate(&self.path, whole)?;
                let file = self.disk.append(&self.path)?;
                return Ok(Open { file, length: whole });
            }
            Tail::Foreign => file.write_all(b"\n")?,
        }
        let length = file.length()?;
        Ok(Open { file, length })
    }

    /// How the file ends.
    fn tail(&self) -> io::Result<Tail> {
        let mut file = self.disk.open(&self.path)?;
        let mut chunk = [0; 8 << 10];
        // Bytes so far, and the first byte of the last line with its place.
        let (mut at, mut last, mut start, mut first) = (0_u64, b'\n', 0_u64, None);
        loop {
            let count = match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for byte in &chunk[..count] {
                if last == b'\n' {
                    (start, first) = (at, Some(*byte));
                }
                last = *byte;
                at += 1;
            }
        }
        Ok(match (last, first) {
            (b'\n', _) => Tail::Whole,
            (_, Some(b'{' | 0)) => Tail::Torn(start),
            _ => Tail::Foreign,
        })
    }

    /// The file becomes `PATH.1`, that one `PATH.2`, up to the first number that is free; where none is, the last one
    /// goes. Each move is durable before the next, so that a power cut between them loses no file.
    fn turn(&self) -> io::Result<()> {
        let name = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            if number > 0 {
                name.push(format!(".{number}"));
            }
            PathBuf::from(name)
        };
        let folder = folder_of(&self.path);
        let there = self.disk.list(folder)?;
        let is_there = |number: u32| {
            let name = name(number);
            let name = name.file_name().and_then(|name| name.to_str());
            there.iter().any(|(file, _)| Some(file.as_str()) == name)
        };
        let last = self.files - 1;
        let free = (1..=last).find(|number| !is_there(*number));
        if free.is_none() {
            self.disk.remove(&name(last))?;
        }
        for number in (0..free.unwrap_or(last)).rev() {
            self.disk.rename(&name(number), &name(number + 1))?;
            self.disk.sync_folder(folder)?;
        }
        Ok(())
    }
}

enum Tail {
    /// With a whole line.
    Whole,
    /// With a line of ours that was cut short; whole lines end there.
    Torn(u64),
    /// With something else that has no line end.
    Foreign,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::OsDisk;
    use crate::storage::power::PowerDisk;

    const PATH: &str = "/log/r.jsonl";

    fn text(disk: &dyn Disk, path: impl AsRef<Path>) -> Option<String> {
        let mut text = String::new();
        disk.open(path.as_ref()).ok()?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn files_take_turns_and_together_stay_within_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let mut rotation = Rotation::new(Arc::new(OsDisk), &path, 60, 3);
        for number in 0..50 {
            rotation.write(format!("{{\"n\":{number:02}}}\n").as_bytes()).unwrap();
            let files = OsDisk.list(dir.path()).unwrap();
            assert!(files.iter().map(|(_, bytes)| bytes).sum::<u64>() <= 60, "{files:?}");
        }
        let read = |name: &str| text(&OsDisk, dir.path().join(name));
        assert_eq!(read("r.jsonl").as_deref(), Some("{\"n\":48}\n{\"n\":49}\n"));
        assert_eq!(read("r.jsonl.1").as_deref(), Some("{\"n\":46}\n{\"n\":47}\n"));
        assert_eq!(read("r.jsonl.2").as_deref(), Some("{\"n\":44}\n{\"n\":45}\n"));
        assert_eq!(read("r.jsonl.3"), None);
    }

    #[test]
    fn a_line_that_a_killed_process_left_torn_is_cut_off_and_what_is_not_ours_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        for (before, after) in [
            ("{\"n\":1}\n{\"n\":", "{\"n\":1}\n{\"n\":9}\n"),
            ("{\"n\":", "{\"n\":9}\n"),
            ("{\"n\":1}\n", "{\"n\":1}\n{\"n\":9}\n"),
            ("notes", "notes\n{\"n\":9}\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            let mut rotation = Rotation::new(Arc::new(OsDisk), &path, 1 << 20, 2);
            rotation.write(b"{\"n\":9}\n").unwrap();
            assert_eq!(text(&OsDisk, &path).as_deref(), Some(after), "{before:?}");
        }
    }

    #[test]
    fn a_full_disk_leaves_no_part_of_a_line() {
        let disk = PowerDisk::new(20);
        let mut rotation = Rotation::new(Arc::new(disk.clone()), Path::new(PATH), 1 << 20, 2);
        rotation.write(b"{\"n\":1}\n").unwrap();
        rotation.write(b"{\"n\":2,\"long\":true}\n").unwrap_err();
        assert_eq!(text(&disk, PATH).as_deref(), Some("{\"n\":1}\n"));
        disk.set_capacity(1 << 10);
        rotation.write(b"{\"n\":2}\n").unwrap();
        assert_eq!(text(&disk, PATH).as_deref(), Some("{\"n\":1}\n{\"n\":2}\n"));
    }

    #[test]
    fn wherever_the_power_goes_a_reader_finds_whole_lines_and_all_that_were_acknowledged() {
        for cut in 1..60 {
            for seed in 0..4 {
                let disk = PowerDisk::new(1 << 20);
                let shared: Arc<dyn Disk> = Arc::new(disk.clone());
                let mut rotation = Rotation::new(shared.clone(), Path::new(PATH), 90, 3);
                disk.cut_after(cut);
                let mut acknowledged = 0;
                while rotation.write(format!("{{\"n\":{acknowledged}}}\n").as_bytes()).is_ok() {
                    acknowledged += 1;
                    if acknowledged == 8 {
                        break;
                    }
                }
                disk.power_on(seed);
                let mut rotation = Rotation::new(shared, Path::new(PATH), 90, 3);
                rotation.write(b"{\"n\":99}\n").unwrap();
                let names = [format!("{PATH}.2"), format!("{PATH}.1"), PATH.to_owned()];
                let all: String = names.iter().filter_map(|name| text(&disk, name)).collect();
                let found: Vec<u64> = all
                    .lines()
                    .map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line))
                    .map(|line| line["n"].as_u64().unwrap())
                    .collect();
                let missing: Vec<_> = (0..acknowledged).filter(|n| !found.contains(n)).collect();
                assert!(missing.is_empty(), "cut {cut}, seed {seed}: {missing:?} of {found:?}");
            }
        }
    }
}
