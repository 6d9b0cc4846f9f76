//! Threads that help a run: made when a session first asks for some, shared by all sessions of the
//! process, asleep in the kernel while no run has them.
//!
//! A run takes as many helpers as it may, that is those that nobody else has, and no more than there are
//! cores without a thread of a run; with none it goes on alone. Its threads walk through the program together
//! and take [turns](Turns). The thread that runs takes part and never waits for a helper that has not begun, so a busy
//! machine costs speed and nothing else.

mod apart;
mod desk;
#[cfg(test)]
pub(super) mod tests;
mod turns;

use std::cell::Cell;
use std::iter;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};

pub(crate) use self::apart::{Claim, Others, Rooms, Stretches, View, ViewMut, room};
use self::desk::Desk;
use self::turns::Turn;
pub(super) use self::turns::Turns;
use crate::engine::threads::THREADS_MAX;

/// Most parts of what is shared: one for each thread at least.
pub(crate) const PARTS_MAX: usize = THREADS_MAX;

/// Bytes of a copy from which on it is worth sharing: about a microsecond.
pub(crate) const SHARED_COPY: usize = 1 << 14;

/// How often a thread looks for what it waits for before it sleeps: 10 to 50 µs, longer than most
/// operators that are not shared, and about what waking it costs.
const LOOKS: u32 = 1000;

/// The one of this number of `count` portions of `len`, which are as equal as can be.
pub(crate) fn portion(number: usize, count: usize, len: usize) -> Range<usize> {
    number * len / count..(number + 1) * len / count
}

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

    /// The crew of a run that begins on the calling thread, with as many helpers as `turns` is for and there
    /// are, each on its own of `cores` where these are given. Ends the run when dropped.
    pub(super) fn begin<'p>(&'p self, turns: &'p mut Turns, cores: &[usize]) -> Crew<'p> {
        let lent = lock(&self.roster).begin(turns.threads() - 1, self.cores);
        let crew = Crew { of: Some((self, turns)), lent };
        for (i, desk) in crew.desks().enumerate() {
            desk.lend(cores.get(i).copied());
        }
        crew
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
pub(crate) struct Crew<'p> {
    of: Option<(&'p Pool, &'p Turns)>,
    lent: u64,
}

impl Crew<'static> {
    /// No helpers.
    pub(crate) const ALONE: Self = Crew { of: None, lent: 0 };
}

impl Crew<'_> {
    /// Whether there are no helpers.
    pub(crate) fn is_alone(&self) -> bool {
        self.lent == 0
    }

    fn desks(&self) -> impl Iterator<Item = &Desk> + Clone {
        let desks = self.of.map_or(&[][..], |(pool, _)| &pool.desks);
        desks.iter().enumerate().filter(|(i, _)| self.lent & 1 << i != 0).map(|(_, desk)| &**desk)
    }

    /// `own` on the calling thread, and `helpers` on all others: both come to the same turns in the same order, whatever
    /// is in `arena`. Returns when all have ended.
    ///
    /// # Panics
    /// When one of them does.
    pub(crate) fn walk<T: Send>(
        &self,
        arena: &mut [T],
        own: impl FnOnce(&Team<'_>, ViewMut<'_, T>),
        helpers: impl Fn(&Team<'_>, ViewMut<'_, T>) + Sync,
    ) {
        let arena = ViewMut::new(arena);
        let (Some((_, turns)), false) = (self.of, self.is_alone()) else {
            return own(&Team::alone(), arena);
        };
        let threads = 1 + self.lent.count_ones() as usize;
        let member = |thread| Team { of: Some((turns, thread)), threads, turn: Cell::default() };
        turns.begin();
        let arena = &arena;
        let own = || {
            let _leaves = Leaves(turns);
            own(&member(0), arena.again());
        };
        desk::all(self.desks(), own, &move |thread| {
            let _leaves = Leaves(turns);
            helpers(&member(thread), arena.again());
        });
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        if let Some((pool, _)) = self.of {
            lock(&pool.roster).end(self.lent);
        }
    }
}

/// A thread in a walk: when it panics, it tells the others.
struct Leaves<'t>(&'t Turns);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.give_up();
        }
    }
}

/// The threads that walk together, as one of them has them. All of them come to the same turns.
#[derive(Debug)]
pub(crate) struct Team<'t> {
    /// And the thread's number; none where it is alone.
    of: Option<(&'t Turns, usize)>,
    threads: usize,
    /// How many turns there were, and parts of them.
    turn: Cell<[u64; 2]>,
}

impl Team<'static> {
    /// The calling thread, for views of what it has for itself: not within a walk.
    pub(crate) fn alone() -> Self {
        Team { of: None, threads: 1, turn: Cell::default() }
    }
}

impl Team<'_> {
    /// How many threads.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// A turn: `work` on each of `parts`, at most [`PARTS_MAX`], with its claim and its stretch, on as many threads
    /// at once as there are `rooms` and threads; each thread has one room for all that it does.
    ///
    /// # Panics
    /// When a part does.
    #[inline(always)]
    pub(crate) fn share<Y: Send, S: Send>(
        &self,
        parts: Stretches<'_, Y>,
        rooms: Rooms<'_, S>,
        work: impl Fn(&Claim, &mut [Y], &mut [S]),
    ) {
        let count = parts.count();
        // SAFETY: below: the part and the room of this number are the calling thread's until it is done.
        #[allow(unsafe_code)]
        let one = |part, room| unsafe {
            work(&Claim::new(part), parts.stretch(part), rooms.room(room));
        };
        let Some((turns, thread)) = self.of else {
            // The only thread there is: it has everything.
            return (0..count).for_each(|part| one(part, 0));
        };
        assert!(count <= PARTS_MAX, "operators are cut into few parts");
        let [turn, due] = self.turn.get();
        let (number, due) = (turn + 1, due + count as u64);
        self.turn.set([number, due]);
        let threads = self.threads.min(rooms.count()).min(count).max(1);
        // Each part is taken once, threads have different numbers, and a turn is over when all parts are done.
        turns.take(Turn { number, due, parts: count, threads }, thread, |part| one(part, thread));
    }

    /// A turn of one part: `work` on the first of the threads, which has the only room.
    #[inline(always)]
    pub(crate) fn once<Y: Send, S: Send>(
        &self,
        y: ViewMut<'_, Y>,
        scratch: ViewMut<'_, S>,
        work: impl Fn(&Claim, &mut [Y], &mut [S]),
    ) {
        if self.of.is_none() {
            // SAFETY: the only thread there is has everything.
            #[allow(unsafe_code)]
            return unsafe { work(&Claim::new(0), y.all(), scratch.all()) };
        }
        let ends = [y.len()];
        self.share(Stretches::new(y, &ends), Rooms::new(scratch, 1), work);
    }

    /// A turn: `work` on `y` in as many stretches of whole rows as there are `threads`, each with the numbers of its
    /// rows; what lies beyond the last of these `rows` of `len` values is in the last stretch.
    pub(crate) fn share_rows<Y: Send>(
        &self,
        threads: usize,
        y: ViewMut<'_, Y>,
        [rows, len]: [usize; 2],
        work: impl Fn(&Claim, Range<usize>, &mut [Y]),
    ) {
        let count = threads.min(self.threads()).min(rows).max(1);
        let part = move |number| portion(number, count, rows);
        let mut ends = [0; PARTS_MAX];
        // Not all of them: small operators take no longer than so many divisions.
        for (i, end) in ends[..count].iter_mut().enumerate() {
            *end = part(i).end * len;
        }
        ends[count - 1] = y.len();
        let parts = Stretches::new(y, &ends[..count]);
        self.share(parts, Rooms::none(), move |claim, y, _| work(claim, part(claim.part()), y));
    }
}
