//! What must outlive a power cut: messages on disk, in two lanes, until they are finished.
//!
//! A small segmented log for each lane, bounded together. When there is no room the oldest results go
//! before the oldest events, a segment at a time. Nothing here waits for anything but the disk: whoever must not,
//! leaves it to a thread.

mod log;
mod record;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::log::Chunk;
use self::log::Log;
use crate::storage::Disk;

/// Counts the messages of a lane, from its first one on.
pub type Index = u64;

/// Which lane a message stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Given up first.
    Result,
    /// Given up when no result is left.
    Event,
}

/// Both, in the order in which they are given up.
pub const LANES: [Lane; 2] = [Lane::Result, Lane::Event];

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it open.
    #[error("{}: in use by another edgerun", .0.display())]
    Locked(PathBuf),
    /// The file system's word.
    #[error("the spool in {} cannot be {doing}: {source}", path.display())]
    Disk {
        /// `opened`, `written` or `read`.
        doing: &'static str,
        /// Its folder.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// What was given up, by lane.
pub type Gone = Vec<(Lane, Range<Index>)>;

/// The two lanes on disk.
pub struct Spool {
    dir: PathBuf,
    results: Log,
    events: Log,
    bytes_max: u64,
    _lock: Option<File>,
}

impl Spool {
    /// The least that a spool may be bounded to.
    pub const BYTES_MIN: u64 = 256 << 10;

    /// Opens the spool in `dir`, makes it where there is none, and locks it against other processes. It never
    /// takes more than `bytes_max` bytes (at least [`Spool::BYTES_MIN`]).
    ///
    /// # Errors
    /// [`SpoolError`]; nothing is lost by trying again.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::Disk { doing: "opened", path: dir.to_owned(), source };
        disk.make_folder(dir).map_err(failed)?;
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(SpoolError::Locked(dir.to_owned()));
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Self { _lock: Some(lock), ..Self::unlocked(disk, dir, bytes_max)? })
    }

    /// The same without a lock: for a disk that no other process sees.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn unlocked(disk: Arc<dyn Disk>, dir: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::Disk { doing: "opened", path: dir.to_owned(), source };
        let bytes_max = bytes_max.max(Self::BYTES_MIN);
        let segment = segment_bytes(bytes_max);
        let open = |name| Log::open(Arc::clone(&disk), &dir.join(name), segment).map_err(failed);
        let (results, events) = (open("results")?, open("events")?);
        Ok(Self { dir: dir.to_owned(), results, events, bytes_max, _lock: None })
    }

    fn lane(&self, lane: Lane) -> &Log {
        match lane {
            Lane::Result => &self.results,
            Lane::Event => &self.events,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut Log {
        match lane {
            Lane::Result => &mut self.results,
            Lane::Event => &mut self.events,
        }
    }

    fn written<T>(&self, done: io::Result<T>) -> Result<T, SpoolError> {
        let path = || self.dir.clone();
        done.map_err(|source| SpoolError::Disk { doing: "written", path: path(), source })
    }

    /// The messages of `lane` that are not finished: indices up to the next one's.
    pub fn range(&self, lane: Lane) -> Range<Index> {
        self.lane(lane).range()
    }

    /// The last message of `lane` that was found at opening, finished or not.
    pub fn newest(&self, lane: Lane) -> Option<&[u8]> {
        self.lane(lane).newest()
    }

    /// Bytes that it takes on disk.
    pub fn bytes(&self) -> u64 {
        self.results.bytes() + self.events.bytes()
    }

    /// Whether a message of this length can be kept at all.
    pub fn takes(&self, body: &[u8]) -> bool {
        self.results.takes(body)
    }

    /// Appends `bodies`, each of which [`Spool::takes`]; they are durable when it returns. Their first index;
    /// `None` when there is no room for them. What is given up for them is added to `gone`, also before an error.
    ///
    /// # Errors
    /// The disk's; it is not known then what has become durable: drop the spool, and open it again.
    pub fn append(
        &mut self,
        lane: Lane,
        bodies: &[Vec<u8>],
        gone: &mut Gone,
    ) -> Result<Option<Index>, SpoolError> {
        while self.bytes() + self.lane(lane).growth(bodies) > self.bytes_max {
            // No event goes for a result; with neither left it is more than everything.
            let is_event = lane == Lane::Event;
            let dropped = self.drop_oldest(Lane::Result, gone)?
                || (is_event && self.drop_oldest(Lane::Event, gone)?);
            if !dropped {
                return Ok(None);
            }
        }
        let first = self.lane_mut(lane).append(bodies);
        self.written(first).map(Some)
    }

    /// Makes room by the oldest messages of `lane`; `false` when there are none. They are in `gone` before their room is
    /// taken: a disk that fails there may have taken it all the same.
    fn drop_oldest(&mut self, lane: Lane, gone: &mut Gone) -> Result<bool, SpoolError> {
        let Some(range) = self.lane_mut(lane).give_up_oldest() else { return Ok(false) };
        gone.push((lane, range));
        let freed = self.lane_mut(lane).free();
        self.written(freed).map(|()| true)
    }

    /// Messages of `lane` from `from` on, as many as lie together.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self, lane: Lane, from: Index) -> Result<Chunk, SpoolError> {
        let path = || self.dir.clone();
        let read = self.lane(lane).read(from);
        read.map_err(|source| SpoolError::Disk { doing: "read", path: path(), source })
    }

    /// Everything of `lane` below `floor` is finished. A power cut may undo that until [`Spool::save`], or the
    /// next message.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(&mut self, lane: Lane, floor: Index) -> Result<(), SpoolError> {
        let done = self.lane_mut(lane).finish(floor);
        self.written(done)
    }

    /// Makes durable what is finished.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&mut self) -> Result<(), SpoolError> {
        let done = self.results.save().and_then(|()| self.events.save());
        self.written(done)
    }
}

/// A sixteenth of the whole, in whole pages: small enough to give up at once, large enough to be seldom made.
fn segment_bytes(bytes_max: u64) -> u64 {
    const PAGE: u64 = 4096;
    (bytes_max / 16 / PAGE * PAGE).clamp(4 * PAGE, 64 * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::OsDisk;
    use crate::storage::power::PowerDisk;
    use proptest::prelude::*;

    const DIR: &str = "/spool";

    fn open(disk: &PowerDisk, bytes_max: u64) -> Result<Spool, SpoolError> {
        Spool::unlocked(Arc::new(disk.clone()), Path::new(DIR), bytes_max)
    }

    fn body(n: u64, length: usize) -> Vec<u8> {
        let mut body = n.to_le_bytes().to_vec();
        body.resize(length.max(8), b'x');
        body
    }

    /// Appends to a spool that has room.
    fn append(spool: &mut Spool, lane: Lane, bodies: &[Vec<u8>]) -> Index {
        let mut gone = Gone::new();
        let first = spool.append(lane, bodies, &mut gone).unwrap();
        assert_eq!(gone, []);
        first.unwrap()
    }

    fn number(body: &[u8]) -> u64 {
        u64::from_le_bytes(body[..8].try_into().unwrap())
    }

    fn all(spool: &Spool, lane: Lane) -> Vec<(Index, u64)> {
        let Range { start, end } = spool.range(lane);
        let (mut from, mut all) = (start, Vec::new());
        while from < end {
            let chunk = spool.read(lane, from).unwrap();
            assert!(chunk.next > from, "it goes on");
            all.extend(chunk.messages.iter().map(|(index, body)| (*index, number(body))));
            from = chunk.next;
        }
        all
    }

    #[test]
    fn what_was_appended_is_there_after_reopening_until_it_is_finished() {
        let disk = PowerDisk::new(u64::MAX);
        let mut spool = open(&disk, 1 << 20).unwrap();
        for n in 0..2000 {
            append(&mut spool, Lane::Result, &[body(n, 300)]);
        }
        append(&mut spool, Lane::Event, &[body(7, 100), body(8, 100)]);
        spool.finish(Lane::Result, 1500).unwrap();
        spool.save().unwrap();
        drop(spool);
        let spool = open(&disk, 1 << 20).unwrap();
        let expected: Vec<_> = (1500..2000).map(|n| (n, n)).collect();
        assert_eq!(all(&spool, Lane::Result), expected);
        assert_eq!(all(&spool, Lane::Event), [(0, 7), (1, 8)]);
        assert_eq!(spool.newest(Lane::Result).map(number), Some(1999));
        // A run that only finishes something begins a segment without a message.
        let mut spool = spool;
        spool.finish(Lane::Result, 1501).unwrap();
        spool.save().unwrap();
        drop(spool);
        let spool = open(&disk, 1 << 20).unwrap();
        assert_eq!(spool.newest(Lane::Result).map(number), Some(1999));
        assert_eq!(all(&spool, Lane::Result).len(), 499);
    }

    #[test]
    fn the_oldest_results_go_before_any_event_and_no_event_for_a_result() {
        let disk = PowerDisk::new(u64::MAX);
        let mut spool = open(&disk, Spool::BYTES_MIN).unwrap();
        let mut next = [0u64; 2];
        let mut gone = [0u64; 2];
        let mut refused = 0;
        let mut push = |spool: &mut Spool, lane: Lane| {
            let n = &mut next[lane as usize];
            let mut given_up = Gone::new();
            let first = spool.append(lane, &[body(*n, 1000)], &mut given_up).unwrap();
            assert!(spool.bytes() <= Spool::BYTES_MIN, "bounded");
            for (lane, range) in given_up {
                assert_eq!(range.start, gone[lane as usize], "the oldest first");
                gone[lane as usize] = range.end;
            }
            match first {
                Some(index) => {
                    assert_eq!(index, *n);
                    *n += 1;
                }
                None => refused += 1,
            }
            gone
        };
        for _ in 0..300 {
            push(&mut spool, Lane::Event);
        }
        let before = (0..300).map(|_| push(&mut spool, Lane::Result)).last().unwrap();
        let events = all(&spool, Lane::Event).len();
        assert!(before[1] > 0 && before[0] == 0 && refused == 300, "{before:?} {refused}");
        let Range { start, end } = spool.range(Lane::Event);
        assert_eq!(events as u64, end - start);

        let mut spool = open(&PowerDisk::new(u64::MAX), Spool::BYTES_MIN).unwrap();
        for n in 0..150 {
            append(&mut spool, Lane::Result, &[body(n, 1000)]);
        }
        let mut gone = Vec::new();
        for n in 0..150 {
            spool.append(Lane::Event, &[body(n, 1000)], &mut gone).unwrap().unwrap();
        }
        assert!(gone.iter().all(|(lane, _)| *lane == Lane::Result), "{gone:?}");
        assert_eq!(all(&spool, Lane::Event).len(), 150);
        assert!(all(&spool, Lane::Result).len() > 10);
    }

    #[test]
    fn a_spool_that_is_emptied_again_and_again_takes_the_same_files() {
        let disk = PowerDisk::new(u64::MAX);
        let mut spool = open(&disk, 1 << 20).unwrap();
        let mut at = 0;
        for n in 0..20_000 {
            at = append(&mut spool, Lane::Result, &[body(n, 200)]);
            spool.finish(Lane::Result, at).unwrap();
        }
        assert_eq!(all(&spool, Lane::Result), [(at, 19_999)]);
        assert!(spool.bytes() <= 2 * segment_bytes(1 << 20));
        // What was ever written: the messages and what stands around them, not zeros over and over.
        assert!(disk.written() < 20_000 * 270 + (1 << 20), "{}", disk.written());
    }

    #[test]
    fn rot_costs_the_messages_that_it_hits() {
        let disk = PowerDisk::new(u64::MAX);
        let mut spool = open(&disk, 1 << 20).unwrap();
        for n in 0..500 {
            append(&mut spool, Lane::Event, &[body(n, 300)]);
        }
        disk.rot(&Path::new(DIR).join("events").join(format!("{:016x}.seg", 0)));
        drop(spool);
        let spool = open(&disk, 1 << 20).unwrap();
        let left = all(&spool, Lane::Event);
        assert_eq!(left.len(), 499);
        assert!(left.iter().all(|(index, n)| index == n));
    }

    #[test]
    fn a_full_disk_is_an_error_and_what_was_kept_stays() {
        let disk = PowerDisk::new(200_000);
        let mut spool = open(&disk, 1 << 30).unwrap();
        let mut kept = 0;
        let error = loop {
            match spool.append(Lane::Event, &[body(kept, 500)], &mut Gone::new()) {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("the spool in /spool cannot be written"), "{error}");
        drop(spool);
        assert_eq!(all(&open(&disk, 1 << 30).unwrap(), Lane::Event).len() as u64, kept);
        disk.set_capacity(u64::MAX);
        let mut spool = open(&disk, 1 << 30).unwrap();
        append(&mut spool, Lane::Event, &[body(kept, 500)]);
        assert_eq!(all(&spool, Lane::Event).len() as u64, kept + 1);
    }

    #[test]
    fn two_processes_cannot_have_one_spool() {
        let dir = tempfile::tempdir().unwrap();
        let first = Spool::open(Arc::new(OsDisk), dir.path(), 1 << 20).unwrap();
        let second = Spool::open(Arc::new(OsDisk), dir.path(), 1 << 20);
        assert!(matches!(second, Err(SpoolError::Locked(_))));
        drop(first);
        Spool::open(Arc::new(OsDisk), dir.path(), 1 << 20).unwrap();
    }

    #[test]
    fn what_others_put_into_its_folder_is_no_message() {
        let dir = tempfile::tempdir().unwrap();
        let events = dir.path().join("events");
        std::fs::create_dir_all(&events).unwrap();
        for name in ["ffffffffffffffff.seg", "0000000000000000.seg", "zz.seg", "spare", "new"] {
            let mut file = OsDisk.create(&events.join(name)).unwrap();
            file.write_at(0, b"edgespl1 and what else may lie there, of no use to anybody")
                .unwrap();
        }
        let mut spool = Spool::open(Arc::new(OsDisk), dir.path(), 1 << 20).unwrap();
        append(&mut spool, Lane::Event, &[body(1, 100)]);
        assert_eq!(all(&spool, Lane::Event), [(0, 1)]);
    }

    /// What a run does between two power cuts.
    #[derive(Clone, Debug)]
    enum Act {
        Append(Lane, usize, usize),
        Finish(Lane, u64),
        Save,
    }

    fn act() -> impl Strategy<Value = Act> {
        let lane = || prop_oneof![Just(Lane::Result), Just(Lane::Event)];
        prop_oneof![
            4 => (lane(), 1usize..6, 8usize..3000).prop_map(|(l, n, b)| Act::Append(l, n, b)),
            2 => (lane(), 0u64..8).prop_map(|(l, n)| Act::Finish(l, n)),
            1 => Just(Act::Save),
        ]
    }

    proptest! {
        /// Over power cuts at any step: what was said to be durable is there or was said to be gone, in order,
        /// each index with the message that it was given to.
        #[test]
        fn nothing_durable_is_lost_to_a_power_cut(
            runs in prop::collection::vec((prop::collection::vec(act(), 1..60), 1u64..150), 1..6),
        ) {
            let disk = PowerDisk::new(u64::MAX);
            // Of each lane: by index, what was made durable; and below which all was finished or given up.
            let mut durable: [Vec<Option<u64>>; 2] = [Vec::new(), Vec::new()];
            let mut floor = [0u64; 2];
            let mut next = 0u64;
            for (seed, (acts, cut)) in runs.into_iter().enumerate() {
                let Ok(mut spool) = open(&disk, Spool::BYTES_MIN) else {
                    prop_assert!(disk.is_off());
                    disk.power_on(seed as u64);
                    continue;
                };
                for lane in LANES {
                    let Range { start, end } = spool.range(lane);
                    let known = &mut durable[lane as usize];
                    let found = all(&spool, lane);
                    for (index, n) in &found {
                        if let Some(Some(expected)) = known.get(*index as usize) {
                            prop_assert_eq!(n, expected, "{:?} {}", lane, index);
                        }
                    }
                    // An emptied lane begins anew.
                    let lost = (floor[lane as usize]..known.len() as u64).filter(|index| {
                        known[*index as usize].is_some() && !found.iter().any(|(at, _)| at == index)
                    });
                    prop_assert_eq!(lost.collect::<Vec<_>>(), Vec::<u64>::new(), "{:?}", lane);
                    known.clear();
                    known.resize(end as usize, None);
                    found.iter().for_each(|(index, n)| known[*index as usize] = Some(*n));
                    floor[lane as usize] = start;
                }
                disk.cut_after(cut);
                for act in acts {
                    let done = match act {
                        Act::Append(lane, count, length) => {
                            let bodies: Vec<_> =
                                (next..).take(count).map(|n| body(n, length)).collect();
                            next += count as u64;
                            let mut gone = Gone::new();
                            let done = spool.append(lane, &bodies, &mut gone);
                            for (lane, range) in gone {
                                floor[lane as usize] = range.end;
                            }
                            done.map(|first| {
                                if let Some(first) = first {
                                    let known = &mut durable[lane as usize];
                                    assert_eq!(first as usize, known.len());
                                    known.extend(bodies.iter().map(|body| Some(number(body))));
                                }
                            })
                        }
                        Act::Finish(lane, count) => {
                            let Range { start, end } = spool.range(lane);
                            let to = (start + count).min(end);
                            floor[lane as usize] = floor[lane as usize].max(to);
                            spool.finish(lane, to)
                        }
                        Act::Save => spool.save(),
                    };
                    if done.is_err() {
                        prop_assert!(disk.is_off());
                        break;
                    }
                }
                disk.cut_after(0);
                disk.power_on(seed as u64);
            }
        }
    }
}
