//! How the threads of a walk take turns: which of them does which part, and when all parts are done.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::hint;
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use super::{LOOKS, PARTS_MAX, lock, portion};

/// A turn is one piece of work in parts. Every thread of a walk comes to the same turns in the same order, takes
/// parts of each, and goes on to the next when all parts are done, whoever did them. Of those who take part nobody is
/// waited for who has not begun one; the first thread, whose run it is, always takes part.
///
/// What a thread changes lies in a cache line of its own, apart also from the one that is fetched with it: to go
/// on takes one look at each other thread's, and nothing is handed over.
#[derive(Debug)]
pub(in super::super) struct Turns {
    lines: Box<[Line]>,
    rest: Rest,
}

/// One thread's.
#[derive(Debug, Default)]
#[repr(C, align(128))]
struct Line {
    /// Which of its parts of a turn are left; see [`Left`].
    left: AtomicU64,
    /// Parts that it has done in all turns of the walk, its own and others'.
    done: AtomicU64,
}

/// What changes seldom.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Rest {
    sleepers: AtomicUsize,
    panicked: AtomicBool,
    lock: Mutex<()>,
    woken: Condvar,
}

/// Some parts of the turn of this number, in one word: the number of the turn, the first part and the last one's end.
#[derive(Debug)]
struct Left {
    turn: u64,
    parts: Range<usize>,
}

const _: () = assert!(PARTS_MAX < 256, "parts have 8 bits");

impl Left {
    fn packed(&self) -> u64 {
        self.turn << 16 | (self.parts.start as u64) << 8 | self.parts.end as u64
    }

    fn unpacked(word: u64) -> Self {
        Self { turn: word >> 16, parts: (word >> 8 & 0xff) as usize..(word & 0xff) as usize }
    }
}

/// One turn, the same for all threads of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Counted from 1 in each walk.
    pub(super) number: u64,
    /// Parts of all turns up to this one.
    pub(super) due: u64,
    /// Its parts, fewer than 256.
    pub(super) parts: usize,
    /// Threads that take part, the first ones of the walk.
    pub(super) threads: usize,
}

impl Turn {
    /// A thread's own parts: the same share of every turn's, so that it finds in its own cache what it wrote before.
    fn own(&self, thread: usize) -> Range<usize> {
        if thread >= self.threads {
            return 0..0;
        }
        portion(thread, self.threads, self.parts)
    }

    /// What `word` says of a thread's parts: all its own where it has not come to this turn, nor anybody in its place;
    /// `None` where that thread is beyond it.
    fn left(&self, thread: usize, word: u64) -> Option<Left> {
        let left = Left::unpacked(word);
        match left.turn.cmp(&self.number) {
            Less => Some(Left { turn: self.number, parts: self.own(thread) }),
            Equal => Some(left),
            Greater => None,
        }
    }
}

impl Turns {
    /// For so many threads.
    pub(in super::super) fn new(threads: usize) -> Self {
        let lines = iter::repeat_with(Line::default).take(threads).collect();
        Self { lines, rest: Rest::default() }
    }

    /// How many threads there may be.
    pub(super) fn threads(&self) -> usize {
        self.lines.len()
    }

    /// Nobody is in a walk; one begins.
    pub(super) fn begin(&self) {
        for line in &self.lines {
            line.left.store(0, Ordering::Relaxed);
            line.done.store(0, Ordering::Relaxed);
        }
        self.rest.panicked.store(false, Ordering::Relaxed);
    }

    /// Does parts of `turn` as long as there are any, as this thread, and returns when all of them are done.
    ///
    /// It takes its own from the front; when it has done them, it helps who is behind, from the back.
    ///
    /// # Panics
    /// When a part of another thread did.
    #[inline(always)]
    pub(super) fn take(&self, turn: Turn, thread: usize, work: impl Fn(usize)) {
        if thread < turn.threads {
            let mut done = 0;
            while let Some(part) = self.take_one(turn, thread, Range::next) {
                work(part);
                done += 1;
            }
            self.did(thread, done);
            while let Some(part) = self.take_behind(turn) {
                work(part);
                self.did(thread, 1);
            }
        }
        self.wait(turn.due);
    }

    /// A part of the thread that has most left.
    fn take_behind(&self, turn: Turn) -> Option<usize> {
        let left = |thread: usize| {
            let word = self.lines[thread].left.load(Ordering::Relaxed);
            (turn.left(thread, word).map_or(0, |left| left.parts.len()), thread)
        };
        loop {
            let (left, most) = (0..turn.threads).map(left).max()?;
            if left == 0 {
                return None;
            }
            if let Some(part) = self.take_one(turn, most, Range::next_back) {
                return Some(part);
            }
        }
    }

    fn take_one(
        &self,
        turn: Turn,
        thread: usize,
        which: impl Fn(&mut Range<usize>) -> Option<usize>,
    ) -> Option<usize> {
        // Who comes to a turn knows that the one before is over, so that order is no matter.
        let mut taken = None;
        let after = |word| {
            let mut left = turn.left(thread, word)?;
            taken = which(&mut left.parts);
            taken.map(|_| left.packed())
        };
        let word = &self.lines[thread].left;
        word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).ok()?;
        taken
    }

    /// This thread has done so many parts more.
    fn did(&self, thread: usize, parts: u64) {
        self.lines[thread].done.fetch_add(parts, Ordering::SeqCst);
        // Who sleeps said so before it looked for the last time.
        if self.rest.sleepers.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    fn is_done(&self, due: u64) -> bool {
        self.lines.iter().map(|line| line.done.load(Ordering::SeqCst)).sum::<u64>() >= due
    }

    /// Looks often for a while, then sleeps.
    fn wait(&self, due: u64) {
        for _ in 0..LOOKS {
            if self.is_done(due) {
                return;
            }
            hint::spin_loop();
        }
        self.sleep(due);
    }

    #[cold]
    fn sleep(&self, due: u64) {
        let panicked = || self.rest.panicked.load(Ordering::SeqCst);
        self.rest.sleepers.fetch_add(1, Ordering::SeqCst);
        let lasts = |_: &mut ()| !self.is_done(due) && !panicked();
        drop(self.rest.woken.wait_while(lock(&self.rest.lock), lasts));
        self.rest.sleepers.fetch_sub(1, Ordering::SeqCst);
        assert!(!panicked(), "another thread of the walk panicked");
    }

    #[cold]
    fn wake(&self) {
        drop(lock(&self.rest.lock));
        self.rest.woken.notify_all();
    }

    /// Threads that sleep until a turn is over.
    #[cfg(test)]
    pub(super) fn sleepers(&self) -> usize {
        self.rest.sleepers.load(Ordering::SeqCst)
    }

    /// A thread leaves the walk before its end: nobody waits for its parts.
    pub(super) fn give_up(&self) {
        self.rest.panicked.store(true, Ordering::SeqCst);
        self.wake();
    }
}
