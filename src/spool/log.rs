//! One lane on disk: segments of a fixed size, written ahead with zeros, so that a sync writes data and nothing
//! of the file system's own.
//!
//! A segment's name is the index of its first message. After an opening a new one is begun, and the old one is
//! cut off where its records end: what a power cut has left behind them can never follow a record of ours.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Index;
use super::record::{self, AROUND, HEADER, Header, Record, Records};
use crate::storage::{Disk, DiskFile};

/// The file that the next segment is made of, if there is one.
const SPARE: &str = "spare";
/// A segment that is being made.
const NEW: &str = "new";
const SUFFIX: &str = ".seg";
/// No log of ours comes near: what claims to is damaged.
const INDEX_MAX: Index = 1 << 62;

#[derive(Debug)]
struct Segment {
    first: Index,
    bytes: u64,
}

/// The segment that is appended to.
struct Open {
    file: Box<dyn DiskFile>,
    salt: u32,
    used: u64,
}

/// A file that was a segment, and the salt of that use.
#[derive(Clone, Copy, Debug)]
struct Spare {
    salt: u32,
}

/// The messages of one lane.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    /// The oldest first; the last one is `open`, if that is there.
    segments: VecDeque<Segment>,
    open: Option<Open>,
    spare: Option<Spare>,
    /// Everything below is finished.
    floor: Index,
    saved_floor: Index,
    /// The next message's.
    end: Index,
    /// The body of the last message found at opening.
    newest: Option<Vec<u8>>,
}

/// Messages that were read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// With their indices, in order. An index that is missing below `next` cannot be read any more.
    pub messages: Vec<(Index, Vec<u8>)>,
    /// Where the next chunk begins.
    pub next: Index,
}

impl Log {
    /// Opens what is in `dir`, which is made where there is none.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64) -> io::Result<Self> {
        disk.make_folder(dir)?;
        disk.remove(&dir.join(NEW))?;
        let mut segments: Vec<Segment> = disk
            .list(dir)?
            .into_iter()
            .filter_map(|(name, bytes)| Some(Segment { first: first_of(&name)?, bytes }))
            .collect();
        segments.sort_by_key(|segment| segment.first);
        let mut log = Self {
            disk,
            dir: dir.to_owned(),
            segment_bytes,
            segments: segments.into(),
            open: None,
            spare: None,
            floor: 0,
            saved_floor: 0,
            end: 0,
            newest: None,
        };
        log.recover()?;
        Ok(log)
    }

    fn recover(&mut self) -> io::Result<()> {
        // One without a header holds nothing that was ever synced.
        while let Some(last) = self.segments.back() {
            let (first, path) = (last.first, self.path(last.first));
            let bytes = self.read_file(&path)?;
            let header = Header::decode(&bytes).filter(|header| header.first == first);
            let Some(header) = header else {
                log::warn!("{}: no segment of a spool; removed", path.display());
                self.disk.remove(&path)?;
                self.segments.pop_back();
                continue;
            };
            (self.floor, self.end) = (header.floor, first);
            let mut records = Records::new(&bytes, &header);
            for record in records.by_ref() {
                match record {
                    Record::Message(index, body) if (self.end..INDEX_MAX).contains(&index) => {
                        self.end = index + 1;
                        self.newest = Some(body.to_vec());
                    }
                    Record::Message(..) => {}
                    Record::Floor(floor) => self.floor = self.floor.max(floor),
                }
            }
            let used = records.end() as u64;
            self.floor = self.floor.min(self.end);
            self.saved_floor = self.floor;
            if let Some(last) = self.segments.back_mut()
                && self.floor < self.end
                && used < last.bytes
            {
                last.bytes = used;
                self.disk.truncate(&path, used)?;
            }
            break;
        }
        self.free()?;
        self.find_newest()?;
        if let Some(spare) = self.header_of(SPARE)? {
            self.spare = Some(Spare { salt: spare.salt });
        }
        if let Some(oldest) = self.segments.front() {
            self.floor = self.floor.max(oldest.first);
        }
        Ok(())
    }

    /// The last segment may hold no message: then the newest is in one before it.
    fn find_newest(&mut self) -> io::Result<()> {
        for at in (0..self.segments.len()).rev() {
            if self.newest.is_some() {
                break;
            }
            let first = self.segments[at].first;
            let bytes = self.read_file(&self.path(first))?;
            let header = Header::decode(&bytes).filter(|header| header.first == first);
            let last = header.and_then(|header| {
                let body = |record| match record {
                    Record::Message(_, body) => Some(body),
                    Record::Floor(_) => None,
                };
                Records::new(&bytes, &header).filter_map(body).last()
            });
            self.newest = last.map(<[u8]>::to_vec);
        }
        Ok(())
    }

    /// The header of a whole file; a file without one is removed.
    fn header_of(&self, name: &str) -> io::Result<Option<Header>> {
        let path = self.dir.join(name);
        match self.read_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) if bytes.len() as u64 == self.segment_bytes => Ok(Header::decode(&bytes)),
            Ok(_) => self.disk.remove(&path).map(|()| None),
        }
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A segment of an earlier configuration may be larger; what others put there is not read whole.
        const BYTES_MAX: u64 = 16 << 20;
        let mut bytes = Vec::new();
        self.disk.open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn path(&self, first: Index) -> PathBuf {
        self.dir.join(format!("{first:016x}{SUFFIX}"))
    }

    /// Messages that are not finished: indices from the first such one to the next one's.
    pub(super) fn range(&self) -> Range<Index> {
        self.floor..self.end
    }

    /// The last message that was found at opening.
    pub(super) fn newest(&self) -> Option<&[u8]> {
        self.newest.as_deref()
    }

    /// Bytes of the files.
    pub(super) fn bytes(&self) -> u64 {
        let spare = if self.spare.is_some() { self.segment_bytes } else { 0 };
        self.segments.iter().map(|segment| segment.bytes).sum::<u64>() + spare
    }

    /// Bytes by which the files grow when `bodies` are appended; at most.
    pub(super) fn growth(&self, bodies: &[Vec<u8>]) -> u64 {
        let wanted: u64 = bodies.iter().map(|body| cost(body)).sum();
        let room = self.open.as_ref().map_or(0, |open| self.segment_bytes - open.used);
        let spare = if self.spare.is_some() { self.segment_bytes } else { 0 };
        if wanted <= room {
            return 0;
        }
        // The rest of a segment that the next message does not fit into stays empty: at worst the half of it.
        let each = self.segment_bytes / 2;
        (wanted - room).div_ceil(each).saturating_mul(self.segment_bytes).saturating_sub(spare)
    }

    /// Whether `body` fits into a segment, with as much room again.
    pub(super) fn takes(&self, body: &[u8]) -> bool {
        cost(body) <= (self.segment_bytes - HEADER as u64) / 2
    }

    /// Appends `bodies`, each of which [`Log::takes`]; they are durable when it returns. Their first index.
    ///
    /// After an error it is not known what is on disk: open the log anew.
    pub(super) fn append(&mut self, bodies: &[Vec<u8>]) -> io::Result<Index> {
        let first = self.end;
        let mut buffer = Vec::new();
        for body in bodies {
            let room = self.open.as_ref().map_or(0, |open| self.segment_bytes - open.used);
            if buffer.len() as u64 + cost(body) > room {
                self.write(&buffer)?;
                buffer.clear();
                self.begin()?;
            }
            let Some(open) = &self.open else { return Err(io::ErrorKind::NotFound.into()) };
            record::write_message(&mut buffer, open.salt, self.end, body);
            self.end += 1;
        }
        // What is finished goes along, for nothing, where there is room.
        self.write_floor(&mut buffer);
        self.write(&buffer)?;
        Ok(first)
    }

    /// Adds a record of the floor to `buffer` if it is news and fits.
    fn write_floor(&mut self, buffer: &mut Vec<u8>) {
        let Some(open) = &self.open else { return };
        let fits = open.used + (buffer.len() + AROUND) as u64 <= self.segment_bytes;
        if fits && self.floor > self.saved_floor {
            record::write_floor(buffer, open.salt, self.floor);
            self.saved_floor = self.floor;
        }
    }

    /// Writes `buffer` behind what is there, durably.
    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|_| !buffer.is_empty()) else { return Ok(()) };
        open.file.write_at(open.used, buffer)?;
        open.file.sync_contents()?;
        open.used += buffer.len() as u64;
        Ok(())
    }

    /// Begins the next segment, from a spare file or a new one.
    fn begin(&mut self) -> io::Result<()> {
        self.open = None;
        let salt = self.spare.map_or(1, |spare| spare.salt.wrapping_add(1));
        let header = Header { salt, first: self.end, floor: self.floor };
        let source = match self.spare {
            Some(_) => {
                let path = self.dir.join(SPARE);
                let mut file = self.disk.update(&path)?;
                file.write_at(0, &header.encode())?;
                file.sync_contents()?;
                path
            }
            None => {
                let path = self.dir.join(NEW);
                let made = self.make(&path, &header);
                // On a full disk the half of it would keep the space that is missing.
                made.inspect_err(|_| drop(self.disk.remove(&path)))?;
                path
            }
        };
        let path = self.path(self.end);
        self.disk.rename(&source, &path)?;
        self.spare = None;
        self.disk.sync_folder(&self.dir)?;
        // An empty one of the same index is replaced by the rename.
        self.segments.retain(|segment| segment.first != self.end);
        self.segments.push_back(Segment { first: self.end, bytes: self.segment_bytes });
        let file = self.disk.update(&path)?;
        self.open = Some(Open { file, salt, used: HEADER as u64 });
        self.saved_floor = self.floor;
        Ok(())
    }

    fn make(&self, path: &Path, header: &Header) -> io::Result<()> {
        const BLOCK: usize = 16 << 10;
        let mut file = self.disk.create(path)?;
        file.write_all(&header.encode())?;
        let mut left = usize::try_from(self.segment_bytes).unwrap_or(BLOCK) - HEADER;
        let zeros = [0; BLOCK];
        while left > 0 {
            let now = left.min(BLOCK);
            file.write_all(&zeros[..now])?;
            left -= now;
        }
        file.sync()
    }

    /// Everything below `floor` is finished; what is only known here is saved with the next message or by
    /// [`Log::save`].
    pub(super) fn finish(&mut self, floor: Index) -> io::Result<()> {
        self.floor = self.floor.max(floor.min(self.end));
        self.free()
    }

    /// Makes durable what is finished.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if self.floor == self.saved_floor || self.segments.is_empty() {
            return Ok(());
        }
        let room = self.open.as_ref().map_or(0, |open| self.segment_bytes - open.used);
        if room < AROUND as u64 {
            return self.begin();
        }
        let mut buffer = Vec::new();
        self.write_floor(&mut buffer);
        self.write(&buffer)
    }

    /// Gives the oldest segment up, with all that is not finished in it: which that is, before [`Log::free`] takes its
    /// room. `None` without segments.
    pub(super) fn give_up_oldest(&mut self) -> Option<Range<Index>> {
        let oldest = self.segments.front()?;
        let gone = self.floor.max(oldest.first)..self.segments.get(1).map_or(self.end, |s| s.first);
        if self.segments.len() == 1 {
            self.open = None;
        }
        self.floor = gone.end;
        Some(gone)
    }

    /// Removes segments that hold nothing but what is finished; the first one becomes the spare.
    pub(super) fn free(&mut self) -> io::Result<()> {
        while let Some(oldest) = self.segments.front() {
            let end = self.segments.get(1).map_or(self.end, |next| next.first);
            let is_open = self.segments.len() == 1 && self.open.is_some();
            if is_open || end > self.floor {
                break;
            }
            let path = self.path(oldest.first);
            let salt = match self.spare {
                None if oldest.bytes == self.segment_bytes => {
                    Header::decode(&self.read_file(&path)?).map(|header| header.salt)
                }
                _ => None,
            };
            match salt {
                Some(salt) => {
                    self.disk.rename(&path, &self.dir.join(SPARE))?;
                    // Before it is written to: under its old name it would look damaged.
                    self.disk.sync_folder(&self.dir)?;
                    self.spare = Some(Spare { salt });
                }
                None => self.disk.remove(&path)?,
            }
            self.segments.pop_front();
        }
        Ok(())
    }

    /// Messages from `from` on, as many as lie in one segment with it.
    pub(super) fn read(&self, from: Index) -> io::Result<Chunk> {
        let from = from.max(self.floor);
        let at = self.segments.partition_point(|segment| segment.first <= from);
        let Some(segment) = at.checked_sub(1).and_then(|at| self.segments.get(at)) else {
            return Ok(Chunk { messages: Vec::new(), next: self.end });
        };
        let next = self.segments.get(at).map_or(self.end, |next| next.first);
        let bytes = self.read_file(&self.path(segment.first))?;
        let mut messages: Vec<(Index, Vec<u8>)> = Vec::new();
        if let Some(header) = Header::decode(&bytes).filter(|header| header.first == segment.first)
        {
            let mut expected = from;
            for record in Records::new(&bytes, &header) {
                if let Record::Message(index, body) = record
                    && (expected..next).contains(&index)
                {
                    expected = index + 1;
                    messages.push((index, body.to_vec()));
                }
            }
        }
        Ok(Chunk { messages, next })
    }
}

/// Bytes that a message takes on disk.
fn cost(body: &[u8]) -> u64 {
    (AROUND + body.len()) as u64
}

fn first_of(name: &str) -> Option<Index> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 16
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let first = plain.then(|| Index::from_str_radix(digits, 16).ok()).flatten();
    first.filter(|first| *first < INDEX_MAX)
}
