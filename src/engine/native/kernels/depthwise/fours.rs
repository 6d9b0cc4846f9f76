//! Weights for instructions that sum four products of 8 bits in each 32-bit lane.
//!
//! Of a window of 3 by 3 with a stride of 1 the four are rows: those under two rows of outputs. A lane
//! is a channel. For each column the weights come twice, `w0 w1 w2 0` for the upper row of outputs and
//! `0 w0 w1 w2` for the lower one.

use super::walk::Walk;

/// `[blocks, columns, rows of outputs, lanes, 4]`; `w([y, x], channel)` is the weight.
pub(super) fn pack(walk: &Walk, w: impl Fn([usize; 2], usize) -> i8) -> Vec<i8> {
    let mut packed = Vec::new();
    for [first, ..] in walk.blocks() {
        for column in 0..3 {
            for row in 0..2 {
                for lane in 0..walk.block {
                    let taps = std::array::from_fn(|i: usize| match i.checked_sub(row) {
                        Some(tap) if tap < 3 => w([tap, column], first + lane),
                        _ => 0,
                    });
                    packed.extend::<[i8; 4]>(taps);
                }
            }
        }
    }
    packed
}
