//! How much a model may ask for. A file is hostile until proven otherwise, and a small one can name
//! the same bytes many times; real models for boards stay far below each of these.

use std::cell::Cell;

use crate::engine::EngineError;

/// Operators.
pub(super) const NODES_MAX: usize = 10_000;
/// Graphs within graphs: branches and loops.
pub(super) const DEPTH_MAX: usize = 8;
/// Inputs or outputs of one operator, and of the model.
pub(super) const PORTS_MAX: usize = 256;
/// Dimensions of a tensor.
pub(super) const RANK_MAX: usize = 8;
/// Bytes of one tensor, and of a session's working memory.
pub(super) const ARENA_MAX: usize = 256 << 20;
/// Bytes that everything made while loading may take: packed weights, scales, names, tables.
pub(super) const LOADED_MAX: usize = 512 << 20;
/// Elementary steps (multiply-accumulates, elements touched) of one run: about a minute. A fuzzer, whose
/// build is slow, wants many runs.
pub(super) const WORK_MAX: u64 = if cfg!(fuzzing) { 1 << 24 } else { 1 << 36 };

/// Counts what loading has taken so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: Cell<usize>,
}

impl Budget {
    /// Takes `bytes`, before they are allocated.
    pub(super) fn take(&self, bytes: usize) -> Result<(), EngineError> {
        let needed = self.spent.get().saturating_add(bytes);
        self.spent.set(needed);
        if needed > LOADED_MAX {
            return Err(EngineError::TooLarge {
                what: "weights and tables",
                needed,
                limit: LOADED_MAX,
            });
        }
        Ok(())
    }

    /// Takes room for `count` values of `T`.
    pub(super) fn take_for<T>(&self, count: usize) -> Result<(), EngineError> {
        self.take(count.saturating_mul(size_of::<T>()))
    }
}

/// The steps that loops may still take in one run: their number is known only there.
#[derive(Debug)]
pub(super) struct Fuel {
    left: Cell<Option<u64>>,
}

impl Fuel {
    /// As much as one run may take.
    pub(super) fn new() -> Self {
        Self::of(WORK_MAX)
    }

    /// `steps` of it.
    pub(super) fn of(steps: u64) -> Self {
        Self { left: Cell::new(Some(steps)) }
    }

    /// Takes `steps`; false, now and from now on, where they are not left.
    pub(super) fn take(&self, steps: u64) -> bool {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(steps)));
        self.left.get().is_some()
    }

    /// Whether more was asked for than there was.
    pub(super) fn is_out(&self) -> bool {
        self.left.get().is_none()
    }
}
