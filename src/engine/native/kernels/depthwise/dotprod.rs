//! Depthwise convolution of 3 by 3, stride 1, with dot products: 8 channels, two rows of outputs.
//!
//! The four input rows under two output rows are interleaved, so that one dot product sums three taps
//! of a column, once from the first row on and once from the second. Columns stay in registers while
//! the window slides over them.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;
use std::array::from_fn;

use super::super::neon::{Bytes, load_eight, store_eight};
use super::{Depthwise, LANES_DOT};

/// Bytes of the weights of a block; see [`super::fours`].
const BLOCK: usize = 3 * 2 * LANES_DOT * 4;

/// `sum` and four products for each lane.
///
/// # Safety
/// The caller has the target feature `dotprod`.
#[inline(always)]
unsafe fn sdot(mut sum: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    // SAFETY: registers only; the caller has the instruction.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) x, in(vreg) w,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// All outputs.
///
/// # Safety
/// The CPU has `dotprod`; windows and outputs lie in `x` and `y`; both axes have three taps a step
/// apart.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn run(of: &Depthwise, weights: &[i8], x: *const i8, y: *mut i8) {
    // SAFETY: as the caller says.
    unsafe {
        if Bytes::is_simple(of.output, of.short) {
            lines::<true>(of, weights, x, y);
        } else {
            lines::<false>(of, weights, x, y);
        }
    }
}

/// The same, `SIMPLE` where [`Bytes::is_simple`] holds.
///
/// # Safety
/// As for [`run`].
#[target_feature(enable = "neon,dotprod")]
unsafe fn lines<const SIMPLE: bool>(of: &Depthwise, weights: &[i8], x: *const i8, y: *mut i8) {
    let count = of.walk.b.count;
    // SAFETY: as the caller says.
    unsafe {
        for pair in 0..count / 2 {
            rows::<SIMPLE, 2>(of, weights, 2 * pair, x, y);
        }
        if count % 2 == 1 {
            rows::<SIMPLE, 1>(of, weights, count - 1, x, y);
        }
    }
}

/// `ROWS` rows of outputs, two or one, from `row` on.
///
/// # Safety
/// As for [`run`]; these rows are outputs.
#[target_feature(enable = "neon,dotprod")]
unsafe fn rows<const SIMPLE: bool, const ROWS: usize>(
    of: &Depthwise,
    weights: &[i8],
    row: usize,
    x: *const i8,
    y: *mut i8,
) {
    let (a, b) = (of.walk.a, of.walk.b);
    let bytes = if SIMPLE { Bytes::simple(of.output) } else { Bytes::new(of.output, of.short) };
    for (block, [first, constant, _]) in of.walk.blocks().enumerate() {
        // SAFETY: as the caller says; blocks lie in the lanes and in the constants.
        unsafe {
            let w = weights.as_ptr().add(block * BLOCK);
            let w: [[[int8x16_t; 2]; ROWS]; 3] = from_fn(|column| {
                from_fn(|row| [0, 1].map(|i| vld1q_s8(w.add((column * 4 + row * 2 + i) * 16))))
            });
            let (bias, scales) = (of.bias.as_ptr(), of.scales.as_ptr());
            let bias = [0, 4].map(|at| vld1q_s32(bias.add(constant + at)));
            let scales = [0, 4].map(|at| vld1q_f32(scales.add(constant + at)));
            // A single row of outputs has no weights for the fourth.
            let under = [0, 1, 2, ROWS + 1];
            let mut at = under.map(|i| x.add(row * b.step + first).wrapping_add(i * b.tap));
            let mut to = [0, ROWS - 1].map(|i| y.add((row + i) * b.step_out + first));
            let mut column = || {
                let [r0, r1, r2, r3] = at.each_mut().map(|at| load_eight(at, a.tap));
                let upper = vreinterpretq_s16_s8(vzip1q_s8(r0, r1));
                let lower = vreinterpretq_s16_s8(vzip1q_s8(r2, r3));
                [vzip1q_s16(upper, lower), vzip2q_s16(upper, lower)]
                    .map(|v| vreinterpretq_s8_s16(v))
            };
            let mut output = |x0: [int8x16_t; 2], x1: [int8x16_t; 2], x2: [int8x16_t; 2]| {
                let sum = |row: usize, i: usize| {
                    let sum = sdot(bias[i], x0[i], w[0][row][i]);
                    sdot(sdot(sum, x1[i], w[1][row][i]), x2[i], w[2][row][i])
                };
                let sums = |row: usize| [sum(row, 0), sum(row, 1)];
                let upper = sums(0);
                let lower = if ROWS == 2 { sums(1) } else { upper };
                let [[upper, _], [lower, _]] = bytes.halves(&[upper, lower], &scales);
                let mut rows = [[bytes.narrow(upper, lower)]];
                bytes.clamp(&mut rows);
                let [[rows]] = rows;
                store_eight::<0>(rows, &mut to[0], a.step_out);
                if ROWS == 2 {
                    store_eight::<1>(rows, &mut to[1], a.step_out);
                }
            };
            let (mut x0, mut x1) = (column(), column());
            let mut left = a.count;
            // Three at a time, so that columns need not move between registers.
            while left >= 3 {
                let x2 = column();
                output(x0, x1, x2);
                x0 = column();
                output(x1, x2, x0);
                x1 = column();
                output(x2, x0, x1);
                left -= 3;
            }
            if left > 0 {
                let x2 = column();
                output(x0, x1, x2);
                if left > 1 {
                    x0 = column();
                    output(x1, x2, x0);
                }
            }
        }
    }
}
