//! Places that a model computes at run time: integers of several widths, of any value.

use super::super::{Refusal, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Value;

/// The type of a tensor of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Index {
    I16,
    I32,
    I64,
}

/// How the places in `value` are read.
pub(in super::super) fn index_of(value: &Value<'_>) -> Result<Index, Refusal> {
    match value.dtype {
        DType::I16 => Ok(Index::I16),
        DType::I32 => Ok(Index::I32),
        DType::I64 => Ok(Index::I64),
        other => Err(unsupported(format!("places of {other}"))),
    }
}

impl Index {
    /// Element `i` of `bytes`, as they lie in the arena.
    #[inline(always)]
    pub(in super::super) fn at(self, bytes: &[u8], i: usize) -> i64 {
        match self {
            Self::I16 => i16::from_le_bytes(bytes.as_chunks().0[i]).into(),
            Self::I32 => i32::from_le_bytes(bytes.as_chunks().0[i]).into(),
            Self::I64 => i64::from_le_bytes(bytes.as_chunks().0[i]),
        }
    }
}
