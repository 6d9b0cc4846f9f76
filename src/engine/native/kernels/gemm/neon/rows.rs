//! Rows before they are multiplied: laid out in one piece each, and summed up.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

/// Writes `rows`, each of `segments` of `run` values from the row on, one after the other: for first
/// layers, which have few channels.
///
/// # Safety
/// 16 bytes from the beginning of any segment can be read, and 16 more than all rows can be written.
pub(in super::super) unsafe fn gather(
    x: *const u8,
    rows: &[u32],
    segments: &[u32],
    run: usize,
    to: *mut u8,
) {
    // SAFETY: as the caller says: no segment is longer than what is copied of it.
    unsafe {
        match run {
            0..=4 => pieces(x, rows, segments, run, to, |from, to| {
                to.cast::<u32>().write_unaligned(from.cast::<u32>().read_unaligned());
            }),
            5..=8 => pieces(x, rows, segments, run, to, |from, to| vst1_u8(to, vld1_u8(from))),
            9..=16 => pieces(x, rows, segments, run, to, |from, to| vst1q_u8(to, vld1q_u8(from))),
            _ => pieces(x, rows, segments, run, to, |from, to| {
                // The last chunk ends with the segment.
                for at in (0..run - 16).step_by(16).chain([run - 16]) {
                    vst1q_u8(to.add(at), vld1q_u8(from.add(at)));
                }
            }),
        }
    }
}

/// The same by `copy`, which may write up to 16 bytes.
///
/// # Safety
/// As for [`gather`].
#[inline(always)]
unsafe fn pieces(
    x: *const u8,
    rows: &[u32],
    segments: &[u32],
    run: usize,
    mut to: *mut u8,
    copy: impl Fn(*const u8, *mut u8),
) {
    for &row in rows {
        let x = x.wrapping_add(row as usize);
        // Windows of three rows are the usual ones.
        if let &[a, b, c] = segments {
            copy(x.wrapping_add(a as usize), to);
            copy(x.wrapping_add(b as usize), to.wrapping_add(run));
            copy(x.wrapping_add(c as usize), to.wrapping_add(2 * run));
            to = to.wrapping_add(3 * run);
            continue;
        }
        for &segment in segments {
            copy(x.wrapping_add(segment as usize), to);
            to = to.wrapping_add(run);
        }
    }
}

/// The sums of the values of each row, times `factor`; `sums` has room for all rows.
///
/// # Safety
/// The rows' segments, `run` values at `deltas` from one another, can be read, and where they are no
/// multiple of 16 also 16 values up to the last one.
#[target_feature(enable = "neon")]
pub(in super::super) unsafe fn sums(
    x: *const i8,
    rows: &[u32],
    deltas: &[u32],
    run: usize,
    factor: i32,
    sums: &mut [i32],
) {
    const PLACES: [i8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let (whole, rest) = (run / 16 * 16, run % 16);
    // SAFETY: as the caller says.
    unsafe {
        // The values of the last 16 that were not in the chunk before.
        let new = vcgeq_s8(vld1q_s8(PLACES.as_ptr()), vdupq_n_s8((16 - rest) as i8));
        let new = vreinterpretq_s8_u8(new);
        for (sum, &row) in sums.iter_mut().zip(rows) {
            let mut x = x.add(row as usize);
            let mut all = vdupq_n_s32(0);
            for &delta in deltas {
                x = x.add(delta as usize);
                for at in (0..whole).step_by(16) {
                    all = vpadalq_s16(all, vpaddlq_s8(vld1q_s8(x.add(at))));
                }
                if rest > 0 {
                    let last = vld1q_s8(x.wrapping_add(run).wrapping_sub(16));
                    all = vpadalq_s16(all, vpaddlq_s8(vandq_s8(last, new)));
                }
            }
            *sum = vaddvq_s32(all).wrapping_mul(factor);
        }
    }
}
