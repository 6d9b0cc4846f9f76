//! Threads that help a run: made when a session first asks for some, shared by all sessions of the
//! process, asleep in the kernel while no run has them.
//!
//! A run takes as many helpers as it may, that is those that nobody else has, and no more than there are
//! cores without a thread of a run; with none it goes on alone. The thread that runs takes part and never
//! waits for a helper that has not begun, so a busy machine costs speed and nothing else.

mod apart;
mod desk;
mod queue;
#[cfg(test)]
pub(super) mod tests;

use std::iter;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};

pub(crate) use self::apart::{Rooms, Stretches, room};
use self::desk::Desk;
use self::queue::Queue;
use crate::engine::threads::THREADS_MAX;

/// Most parts of what is shared: one for each thread at least.
pub(crate) const PARTS_MAX: usize = THREADS_MAX;

/// Bytes of a copy from which on it is worth sharing: a few microseconds.
pub(crate) const SHARED_COPY: usize = 1 << 16;

/// The process's pool, while a session has it.
static SHARED: Mutex<Weak<Pool>> = Mutex::new(Weak::new());

/// What happens under these locks does not panic, and would leave nothing half-done.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Helpers, and who runs. Its threads end with it.
#[derive(Debug)]
pub(super) struct Pool {
    cores: usize,
    desks: Vec<Arc<Desk>>,
    helpers: Mutex<Vec<JoinHandle<()>>>,
    roster: Mutex<Roster>,
}

#[derive(Debug)]
struct Roster {
    /// Threads of runs that go on now: their own and those lent to them.
    running: usize,
    /// Helpers that no run has, a bit for each: fewer than [`THREADS_MAX`].
    idle: u64,
}

impl Roster {
    /// Lends a new run up to `wanted` helpers on a machine with so many cores.
    fn begin(&mut self, wanted: usize, cores: usize) -> u64 {
        self.running += 1;
        let mut lent = 0;
        for _ in 0..cores.saturating_sub(self.running).min(wanted) {
            let lowest = self.idle & self.idle.wrapping_neg();
            self.idle ^= lowest;
            lent |= lowest;
        }
        self.running += lent.count_ones() as usize;
        lent
    }

    /// Takes them back at the run's end.
    fn end(&mut self, lent: u64) {
        self.running -= 1 + lent.count_ones() as usize;
        self.idle |= lent;
    }
}

impl Pool {
    /// For a machine with so many cores; no helper yet.
    pub(super) fn new(cores: usize) -> Self {
        let desks = iter::repeat_with(Arc::default).take(cores.clamp(1, THREADS_MAX) - 1);
        Self {
            cores,
            desks: desks.collect(),
            helpers: Mutex::new(Vec::new()),
            roster: Mutex::new(Roster { running: 0, idle: 0 }),
        }
    }

    /// The one that all sessions of the process share.
    pub(super) fn shared() -> Arc<Self> {
        let mut shared = lock(&SHARED);
        if let Some(pool) = shared.upgrade() {
            return pool;
        }
        let pool = Arc::new(Self::new(thread::available_parallelism().map_or(1, usize::from)));
        *shared = Arc::downgrade(&pool);
        pool
    }

    /// Sees to it that there are `wanted` helpers, or as many as the machine has cores for.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn hire(&self, wanted: usize) -> std::io::Result<()> {
        let mut helpers = lock(&self.helpers);
        for (number, desk) in self.desks.iter().enumerate().take(wanted).skip(helpers.len()) {
            let own = desk.clone();
            let name = format!("helper-{number}");
            let (seated, is_seated) = mpsc::sync_channel::<()>(1);
            let helper = thread::Builder::new().name(name).spawn(move || {
                own.sit();
                drop(seated);
                own.work();
            })?;
            // Ends when it sits: a run may want it on a core of its own at once.
            is_seated.recv().ok();
            helpers.push(helper);
            lock(&self.roster).idle |= 1 << number;
        }
        Ok(())
    }

    /// The team of a run that begins on the calling thread, with `wanted` helpers at most, each on its
    /// own of `cores` where these are given. Ends the run when dropped.
    pub(super) fn begin(&self, wanted: usize, cores: &[usize]) -> Team<'_> {
        let team = Team { pool: Some(self), lent: lock(&self.roster).begin(wanted, self.cores) };
        for (i, desk) in team.desks().enumerate() {
            desk.lend(cores.get(i).copied());
        }
        team
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.desks.iter().for_each(|desk| desk.close());
        for helper in lock(&self.helpers).drain(..) {
            // A helper catches the panics of its work and has no other.
            helper.join().ok();
        }
    }
}

/// The threads of one run: the caller's own and the helpers that it has.
#[derive(Debug)]
pub(crate) struct Team<'p> {
    pool: Option<&'p Pool>,
    lent: u64,
}

impl Team<'static> {
    /// No helpers.
    pub(crate) const ALONE: Self = Team { pool: None, lent: 0 };
}

impl Team<'_> {
    /// How many threads, the caller's among them.
    pub(crate) fn threads(&self) -> usize {
        1 + self.lent.count_ones() as usize
    }

    fn desks(&self) -> impl Iterator<Item = &Desk> + Clone {
        let desks = self.pool.map_or(&[][..], |pool| &pool.desks);
        desks.iter().enumerate().filter(|(i, _)| self.lent & 1 << i != 0).map(|(_, desk)| &**desk)
    }

    /// `work` on each of `parts`, at most [`PARTS_MAX`], with its number and its stretch, on as many threads
    /// at once as there are `rooms` and threads; each thread has one room for all that it does, the caller
    /// the first one.
    ///
    /// # Panics
    /// When a part does, after all have ended.
    pub(crate) fn share<Y: Send, S: Send>(
        &self,
        parts: Stretches<'_, Y>,
        rooms: Rooms<'_, S>,
        work: impl Fn(usize, &mut [Y], &mut [S]) + Sync,
    ) {
        let count = parts.count();
        assert!(count <= PARTS_MAX, "operators are cut into few parts");
        let threads = self.threads().min(rooms.count()).min(count).max(1);
        let own = |thread: usize| thread * count / threads..(thread + 1) * count / threads;
        let first = Queue::new(own(0));
        let helpers = self.desks().take(threads - 1);
        for (thread, desk) in (1..).zip(helpers.clone()) {
            desk.queue.fill(own(thread));
        }
        let (first, others) = (&first, helpers.clone());
        let queues = move || iter::once(first).chain(others.clone().map(|desk| &desk.queue));
        // All in one place: another core fetches few cache lines before it can begin.
        desk::all(helpers, &move |thread| {
            let behind = || queues().max_by_key(|queue| queue.len())?.last();
            let Some(own) = queues().nth(thread) else { return };
            // SAFETY: threads have different numbers.
            #[allow(unsafe_code)]
            let room = unsafe { rooms.room(thread) };
            while let Some(part) = own.first().or_else(behind) {
                // SAFETY: queues give each number once.
                #[allow(unsafe_code)]
                let stretch = unsafe { parts.stretch(part) };
                work(part, stretch, room);
            }
        });
    }

    /// `work` on `y` in as many stretches of whole rows as there are `threads`, each with the numbers of its
    /// rows; what lies beyond the last of these `rows` of `len` values is in the last stretch.
    pub(crate) fn share_rows<Y: Send>(
        &self,
        threads: usize,
        y: &mut [Y],
        [rows, len]: [usize; 2],
        work: impl Fn(Range<usize>, &mut [Y]) + Sync,
    ) {
        let count = threads.min(self.threads()).min(rows).max(1);
        let part = move |i: usize| i * rows / count..(i + 1) * rows / count;
        let mut ends = [0; PARTS_MAX];
        // Not all of them: small operators take no longer than so many divisions.
        for (i, end) in ends[..count].iter_mut().enumerate() {
            *end = part(i).end * len;
        }
        ends[count - 1] = y.len();
        let parts = Stretches::new(y, &ends[..count]);
        let rooms = Rooms::new(&mut [], count);
        self.share(parts, rooms, move |i, y, _: &mut [u8]| work(part(i), y));
    }
}

impl Drop for Team<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool {
            lock(&pool.roster).end(self.lent);
        }
    }
}
