//! Threads that help a run: made when a session first asks for some, shared by all sessions of the
//! process, asleep in the kernel while no run has them.
//!
//! A run takes as many helpers as it may, that is those that nobody else has, and no more than there are
//! cores without a thread of a run; with none it goes on alone. The thread that runs takes part and never
//! waits for a helper that has not begun, so a busy machine costs speed and nothing else.

mod desk;
mod queue;
mod rooms;
#[cfg(test)]
pub(super) mod tests;

use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};

use self::desk::Desk;
use self::queue::Queue;
pub(crate) use self::rooms::{Rooms, room};
use crate::engine::threads::THREADS_MAX;

/// Most parts of what is shared: one for each thread at least.
pub(crate) const PARTS_MAX: usize = THREADS_MAX;

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

    /// `work` on each of `parts`, at most [`PARTS_MAX`], on as many threads at once as there are `rooms`
    /// and threads; each thread has one room for all that it does, the caller the first one.
    ///
    /// # Panics
    /// When a part does, after all have ended.
    pub(crate) fn share<P: Send, R: Send>(
        &self,
        parts: impl ExactSizeIterator<Item = P> + Send,
        mut rooms: impl DoubleEndedIterator<Item = R> + Send,
        work: impl Fn(P, &mut R) + Sync,
    ) {
        if self.lent == 0 || parts.len() < 2 {
            let mut room = rooms.next().expect("room for one thread");
            return parts.for_each(|part| work(part, &mut room));
        }
        let left = Mutex::new((Queue::new(parts, self.threads()), rooms));
        let first = |thread| {
            let (queue, rooms) = &mut *lock(&left);
            // Without a room no part is taken.
            let room = if thread == 0 { rooms.next() } else { rooms.next_back() }?;
            Some((room, queue.next(thread)?))
        };
        let next = |thread| lock(&left).0.next(thread);
        desk::all(self.desks(), &|thread| {
            let Some((mut room, first)) = first(thread) else { return };
            work(first, &mut room);
            while let Some(part) = next(thread) {
                work(part, &mut room);
            }
        });
    }
}

impl Drop for Team<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool {
            lock(&pool.roster).end(self.lent);
        }
    }
}

/// `all` in stretches of these lengths, one after the other.
pub(crate) fn stretches<T>(
    all: &mut [T],
    lens: impl ExactSizeIterator<Item = usize>,
) -> impl ExactSizeIterator<Item = &mut [T]> {
    let mut rest = all;
    lens.map(move |len| {
        let (stretch, after) = std::mem::take(&mut rest).split_at_mut(len);
        rest = after;
        stretch
    })
}
