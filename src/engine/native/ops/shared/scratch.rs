//! Room for what a kernel works with.

use super::super::Refusal;
use crate::engine::EngineError;
use crate::engine::native::limits::ARENA_MAX;

/// Bytes of scratch for `count` values of `T`.
pub(in super::super) fn scratch_for<T>(count: usize) -> Result<usize, Refusal> {
    let needed = count.saturating_mul(size_of::<T>());
    if needed > ARENA_MAX {
        return Err(EngineError::TooLarge { what: "scratch", needed, limit: ARENA_MAX }.into());
    }
    Ok(needed)
}
