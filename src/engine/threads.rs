//! How many threads one run of a model may use, and the cores that they are pinned to.

use std::io;
use std::thread;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// Multiply-accumulates from which on an operator is worth sharing: about 30 µs of a Cortex-A57, and 2 µs of
/// a core with AVX512-VNNI, which is what it takes to hand parts over and to wait for their end.
const SHARED_FROM: u64 = 1 << 17;

/// Most threads of a run.
pub(super) const THREADS_MAX: usize = 64;

/// The threads of one run: the one that calls [`Session::infer`](super::Session::infer), and helpers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threads {
    count: usize,
    cores: Vec<usize>,
    shared_from: u64,
}

impl Default for Threads {
    /// The caller's own.
    fn default() -> Self {
        ALONE.clone()
    }
}

/// The caller's own and no other.
pub(super) static ALONE: Threads =
    Threads { count: 1, cores: Vec::new(), shared_from: SHARED_FROM };

impl Threads {
    /// `wanted` threads, but no more than there are cores for this process.
    pub fn up_to(wanted: usize) -> Self {
        Self::exactly(wanted.min(thread::available_parallelism().map_or(1, usize::from)))
    }

    /// So many, 1 to 64, whatever the machine has: work is cut for them, and done by those that there are.
    pub fn exactly(count: usize) -> Self {
        Self { count: count.clamp(1, THREADS_MAX), cores: Vec::new(), shared_from: SHARED_FROM }
    }

    /// The same, each thread pinned to its own of `cores`: the caller's, which pins itself with [`pin`],
    /// to the first.
    ///
    /// # Errors
    /// Names a core that there is not, or that this process may not use.
    pub fn on(self, cores: &[usize]) -> Result<Self, NoCore> {
        let all = Affinity::current();
        match cores.iter().find(|&&core| !all.has(core)) {
            Some(&core) => Err(NoCore(core)),
            None => Ok(Self { cores: cores.to_vec(), ..self }),
        }
    }

    /// The same with operators shared that are too small to gain by it: for tests.
    #[must_use]
    pub fn sharing_all(self) -> Self {
        Self { shared_from: 0, ..self }
    }

    /// How many, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The cores of the helpers.
    pub(super) fn helpers_cores(&self) -> &[usize] {
        self.cores.get(1..).unwrap_or_default()
    }

    /// Into how many threads' parts an operator that takes as long as so many multiply-accumulates of a matrix
    /// product is cut.
    pub(super) fn for_work(&self, macs: u64) -> usize {
        if macs < self.shared_from { 1 } else { self.count }
    }
}

/// A core that no thread can be pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("core {0} is none that this process may use")]
pub struct NoCore(usize);

/// Pins the calling thread to `core`, a number as in `/proc/cpuinfo`.
///
/// # Errors
/// When this machine has no such core, or this process may not use it.
pub fn pin(core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sched_setaffinity(None, &only(core))?)
}

fn only(core: usize) -> CpuSet {
    let mut only = CpuSet::new();
    only.set(core);
    only
}

/// The cores that a thread may run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Affinity(Option<CpuSet>);

impl Affinity {
    /// The calling thread's.
    pub(super) fn current() -> Self {
        // Miri (scripts/sanitize) has threads, but no cores to put them on.
        Self(if cfg!(miri) { None } else { sched_getaffinity(None).ok() })
    }

    /// Whether `core` is one of them.
    pub(super) fn has(&self, core: usize) -> bool {
        core < CpuSet::MAX_CPU && self.0.is_some_and(|cores| cores.is_set(core))
    }

    /// `core` alone; a session found out that there is such a core.
    pub(super) fn pinned(core: usize) -> Self {
        Self(Some(only(core)))
    }

    /// These without the one that the calling thread is on, unless it is the only one.
    pub(super) fn elsewhere(&self) -> Self {
        let others = self.0.map(|mut cores| {
            cores.unset(sched_getcpu());
            cores
        });
        if others.is_some_and(|cores| cores.count() > 0) { Self(others) } else { self.clone() }
    }

    /// Gives them to a thread of this process.
    pub(super) fn give(&self, thread: Pid) -> io::Result<()> {
        match &self.0 {
            Some(cores) => Ok(sched_setaffinity(Some(thread), cores)?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_threads_than_cores() {
        let cores = thread::available_parallelism().unwrap().get();
        assert_eq!(Threads::up_to(0).count(), 1);
        assert_eq!(Threads::up_to(cores + 3), Threads::exactly(cores));
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        let error = Threads::up_to(1).on(&[5000]).unwrap_err();
        assert_eq!(error.to_string(), "core 5000 is none that this process may use");
    }

    #[test]
    fn small_operators_are_not_cut() {
        let two = Threads::exactly(2);
        assert_eq!([0, SHARED_FROM - 1, SHARED_FROM].map(|macs| two.for_work(macs)), [1, 1, 2]);
        assert_eq!(two.sharing_all().for_work(0), 2);
    }
}
