//! One helper, and how work is handed to it.

use std::cell::UnsafeCell;
use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::{self, Thread};

use rustix::thread::{Pid, gettid};

use super::{LOOKS, lock};
use crate::engine::threads::Affinity;

// What lies on a desk.
/// Nothing.
const EMPTY: u8 = 0;
/// A job that the helper has not begun.
const POSTED: u8 = 1;
/// A job that it is at.
const BEGUN: u8 = 2;
/// Nothing, for ever: the helper ends.
const CLOSED: u8 = 3;

/// What is to be done, once by each helper of a run, which gets its number.
type Job = &'static (dyn Fn(usize) + Sync);

/// A helper's place.
///
/// What a job changes lies together, so that its hands over to another core are few: in a cache line of its
/// own, apart also from the one that is fetched with it.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(super) struct Desk {
    state: AtomicU8,
    /// The last job panicked.
    panicked: AtomicBool,
    /// Its number among the job's threads.
    number: AtomicUsize,
    job: Posted,
    home: Home,
}

/// The job, while the state is [`POSTED`] or [`BEGUN`].
#[derive(Debug, Default)]
struct Posted(UnsafeCell<Option<Job>>);

// SAFETY: the caller writes it while there is no job, and makes one of it by a release store; the helper reads
// it once it has begun that job, until whose end the caller waits.
#[allow(unsafe_code)]
unsafe impl Sync for Posted {}

/// What a job leaves as it is.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Home {
    /// Whose run has the helper, and waits for it.
    caller: Mutex<Option<Thread>>,
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

impl Desk {
    /// It is the calling thread's, the helper's.
    pub(super) fn sit(&self) {
        let home = Affinity::current();
        *lock(&self.home.place) = Some(Place { helper: gettid(), given: home.clone(), home });
        // Hired once.
        self.home.helper.set(thread::current()).ok();
    }

    /// The calling thread's run has the helper from now on, which wakes up meanwhile.
    pub(super) fn lend(&self, core: Option<usize>) {
        if let Some(place) = &mut *lock(&self.home.place) {
            place.give(core);
        }
        *lock(&self.home.caller) = Some(thread::current());
        self.wake();
    }

    /// The helper ends; it has no work.
    pub(super) fn close(&self) {
        self.state.store(CLOSED, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(helper) = self.home.helper.get() {
            helper.unpark();
        }
    }

    /// Puts a job for the thread of this number there.
    ///
    /// # Safety
    /// No job is there, only the thread whose run has the helper posts any, and recalls this one before it is over.
    #[allow(unsafe_code)]
    unsafe fn post(&self, number: usize, job: Job) {
        self.panicked.store(false, Ordering::Relaxed);
        self.number.store(number, Ordering::Relaxed);
        // SAFETY: as the caller says; the helper reads it only once a job is there.
        unsafe { *self.job.0.get() = Some(job) };
        self.state.store(POSTED, Ordering::Release);
        self.wake();
    }

    /// Takes the job back where it was not begun; otherwise waits for its end.
    fn recall(&self) {
        let taken =
            self.state.compare_exchange(POSTED, EMPTY, Ordering::Acquire, Ordering::Acquire);
        if taken.is_err() {
            wait(|| self.state.load(Ordering::Acquire) != BEGUN);
        }
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
            let number = self.number.load(Ordering::Relaxed);
            // SAFETY: who posted it keeps it, and writes no other, until the helper is no longer at it: see `recall`.
            #[allow(unsafe_code)]
            let job = unsafe { *self.job.0.get() };
            let done =
                catch_unwind(AssertUnwindSafe(|| job.into_iter().for_each(|job| job(number))));
            if done.is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            // From here on the caller may be gone, and the job with it.
            self.state.store(EMPTY, Ordering::Release);
            if let Some(caller) = &*lock(&self.home.caller) {
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

/// Does `own` on the calling thread, number 0, and `job` at most once on each of `desks`, with their numbers;
/// returns when all who began it have ended.
pub(super) fn all<'d>(
    desks: impl Iterator<Item = &'d Desk> + Clone,
    own: impl FnOnce(),
    job: &(dyn Fn(usize) + Sync),
) {
    // SAFETY: only `post` gets it, and `recall` has taken it back or waited for its end before this
    // function returns or unwinds: nobody has it any longer than the caller lends it.
    #[allow(unsafe_code)]
    let lasting = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) };
    let recall = Recall(desks.clone());
    for (number, desk) in (1..).zip(desks.clone()) {
        // SAFETY: those of the run's helpers are empty between its jobs, and the job is recalled below.
        #[allow(unsafe_code)]
        unsafe {
            desk.post(number, lasting);
        }
    }
    own();
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
