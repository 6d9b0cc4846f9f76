//! Rows of several short segments in one piece each: first layers, which have few channels.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

/// Writes `rows`, each of `segments` of `run` values from the row on, one after the other.
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
