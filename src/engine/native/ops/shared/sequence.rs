//! Sequences of rows: `[batch, time, n]`, or `[time, batch, n]` where time is major.

use super::super::{Refusal, malformed};

/// The outer dimensions of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Sequence {
    pub(in super::super) time: usize,
    pub(in super::super) batch: usize,
    time_major: bool,
}

impl Sequence {
    /// Of a tensor of `shape`, and the length of its rows. Without an axis of time there is one step.
    pub(in super::super) fn of(
        shape: &[usize],
        time_major: bool,
    ) -> Result<(Self, usize), Refusal> {
        match shape[..] {
            [.., 0] => Err(malformed("a sequence of empty rows")),
            [batch, n] => Ok((Self { time: 1, batch, time_major }, n)),
            [time, batch, n] if time_major => Ok((Self { time, batch, time_major }, n)),
            [batch, time, n] => Ok((Self { time, batch, time_major }, n)),
            _ => Err(malformed(format!("a sequence of shape {shape:?}"))),
        }
    }

    /// Calls `each` with batch and row, batch after batch, each in time's order or against it.
    pub(in super::super) fn rows(&self, backward: bool, mut each: impl FnMut(usize, usize)) {
        for batch in 0..self.batch {
            for step in 0..self.time {
                let at = if backward { self.time - 1 - step } else { step };
                let row =
                    if self.time_major { at * self.batch + batch } else { batch * self.time + at };
                each(batch, row);
            }
        }
    }

    /// Rows in all.
    pub(in super::super) fn len(&self) -> usize {
        self.time * self.batch
    }
}
