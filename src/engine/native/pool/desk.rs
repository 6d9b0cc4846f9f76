//! One helper, and how work is handed to it.

use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::{self, Thread};

use rustix::thread::{Pid, gettid};

use super::lock;
use crate::engine::threads::Affinity;

/// How often a thread looks for what it waits for before it sleeps: 10 to 50 µs, longer than most
/// operators that are not shared, and about what waking it costs.
const LOOKS: u32 = 1000;

// What lies on a desk.
/// Nothing.
const EMPTY: u8 = 0;
/// A job that the helper has not begun.
const POSTED: u8 = 1;
/// A job that it is at.
const BEGUN: u8 = 2;
/// Nothing, for ever: the helper ends.
const CLOSED: u8 = 3;

/// What is to be done, once by each thread of a run, which gets its number.
type Job = &'static (dyn Fn(usize) + Sync);

/// A helper's place. Neighbours do not share a cache line, nor the two that are fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Desk {
    state: AtomicU8,
    job: Mutex<Option<Posted>>,
    /// Whose run has the helper, and waits for it.
    caller: Mutex<Option<Thread>>,
    /// The last job panicked.
    panicked: AtomicBool,
    helper: OnceLock<Thread>,
    place: Mutex<Option<Place>>,
}

/// Where a helper runs.
#[derive(Debug)]
struct Place {
    helper: Pid,
    /// The cores that it came with, and may have.
    home: Affinity,
    /// Those that it has now.
    given: Affinity,
}

impl Place {
    /// Only on `core`, or on any but its caller's: the kernel would often wake it there, to wait until the
    /// caller is done. The calling thread is the caller.
    fn give(&mut self, core: Option<usize>) {
        let wanted = core.map_or_else(|| self.home.elsewhere(), Affinity::pinned);
        // No run fails for it.
        if wanted != self.given && wanted.give(self.helper).is_ok() {
            self.given = wanted;
        }
    }
}

/// A job for the thread of this number.
struct Posted {
    job: Job,
    number: usize,
}

impl std::fmt::Debug for Posted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Posted").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Desk {
    /// It is the calling thread's, the helper's.
    pub(super) fn sit(&self) {
        let home = Affinity::current();
        *lock(&self.place) = Some(Place { helper: gettid(), given: home.clone(), home });
        // Hired once.
        self.helper.set(thread::current()).ok();
    }

    /// The calling thread's run has the helper from now on, which wakes up meanwhile.
    pub(super) fn lend(&self, core: Option<usize>) {
        if let Some(place) = &mut *lock(&self.place) {
            place.give(core);
        }
        *lock(&self.caller) = Some(thread::current());
        self.wake();
    }

    /// The helper ends; it has no work.
    pub(super) fn close(&self) {
        self.state.store(CLOSED, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(helper) = self.helper.get() {
            helper.unpark();
        }
    }

    fn post(&self, posted: Posted) {
        self.panicked.store(false, Ordering::Relaxed);
        *lock(&self.job) = Some(posted);
        self.state.store(POSTED, Ordering::Release);
        self.wake();
    }

    /// Takes the job back where it was not begun; otherwise waits for its end.
    fn recall(&self) {
        let taken =
            self.state.compare_exchange(POSTED, EMPTY, Ordering::Acquire, Ordering::Acquire);
        if taken.is_ok() {
            *lock(&self.job) = None;
            return;
        }
        wait(|| self.state.load(Ordering::Acquire) != BEGUN);
    }

    /// The helper's life.
    pub(super) fn work(&self) {
        loop {
            wait(|| self.state.load(Ordering::Acquire) != EMPTY);
            if self.state.load(Ordering::Acquire) == CLOSED {
                return;
            }
            // The caller may have taken it back meanwhile.
            let begun =
                self.state.compare_exchange(POSTED, BEGUN, Ordering::Acquire, Ordering::Relaxed);
            if begun.is_err() {
                continue;
            }
            let posted = lock(&self.job).take();
            if let Some(Posted { job, number }) = posted {
                let ended = catch_unwind(AssertUnwindSafe(|| job(number)));
                self.panicked.store(ended.is_err(), Ordering::Relaxed);
            }
            // From here on the caller may be gone, and the job with it.
            self.state.store(EMPTY, Ordering::Release);
            if let Some(caller) = &*lock(&self.caller) {
                caller.unpark();
            }
        }
    }
}

/// Returns when `over` holds; looks often for a while, then sleeps until it is woken.
fn wait(over: impl Fn() -> bool) {
    let mut looks = 0;
    while !over() {
        if looks < LOOKS {
            looks += 1;
            hint::spin_loop();
        } else {
            thread::park();
            looks = 0;
        }
    }
}

/// Does `job` once on the calling thread, as number 0, and at most once on each of `desks`; returns when
/// all who began it have ended.
pub(super) fn all<'d>(desks: impl Iterator<Item = &'d Desk> + Clone, job: &(dyn Fn(usize) + Sync)) {
    // SAFETY: only `post` gets it, and `recall` has taken it back or waited for its end before this
    // function returns or unwinds: nobody has it any longer than the caller lends it.
    #[allow(unsafe_code)]
    let lasting = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) };
    let recall = Recall(desks.clone());
    for (number, desk) in (1..).zip(desks.clone()) {
        desk.post(Posted { job: lasting, number });
    }
    job(0);
    drop(recall);
    let panicked = desks.filter(|desk| desk.panicked.load(Ordering::Relaxed)).count();
    assert!(panicked == 0, "{panicked} helpers panicked");
}

/// Recalls a job from all of these, also when the caller's own part of it panics.
struct Recall<'d, I: Iterator<Item = &'d Desk> + Clone>(I);

impl<'d, I: Iterator<Item = &'d Desk> + Clone> Drop for Recall<'d, I> {
    fn drop(&mut self) {
        self.0.clone().for_each(Desk::recall);
    }
}
