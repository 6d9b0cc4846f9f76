//! What becomes of the sums of a tile.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::super::super::neon::{Bytes, opaque};
use super::super::panel::{Panel, To};

/// The sums of a tile to bytes: `MR` rows of `4 * NV` lanes from `lane` on, of which those are stored
/// that the panel has.
///
/// # Safety
/// Rows `first..first + MR` of the panel exist and have room in the output.
#[inline(always)]
pub(super) unsafe fn store<const MR: usize, const NV: usize>(
    panel: &Panel<'_>,
    first: usize,
    lane: usize,
    mut sums: [[int32x4_t; NV]; MR],
) {
    let lanes = panel.lanes - lane;
    // SAFETY: as the caller says; bias, scales have all lanes of a block.
    unsafe {
        if !panel.sums.is_empty() {
            for i in 0..MR {
                let add = vdupq_n_s32(*panel.sums.as_ptr().add(first + i));
                for v in 0..NV {
                    sums[i][v] = vaddq_s32(sums[i][v], add);
                }
            }
        }
        let to = match panel.y {
            To::Bytes(y) => y.add(lane),
            To::Sums(y) => {
                let mut all = [[[0; 4]; NV]; MR];
                for i in 0..MR {
                    for v in 0..NV {
                        vst1q_s32(all[i][v].as_mut_ptr(), sums[i][v]);
                    }
                }
                let outs = panel.outs.as_ptr().add(first);
                return store_sums(&all, lanes.min(4 * NV), y.add(lane), outs);
            }
        };
        let bytes = Bytes::new(panel.output, panel.short);
        let scales = opaque(panel.scales.as_ptr().add(lane));
        let outs = opaque(panel.outs.as_ptr().add(first));
        let mut scale = [vdupq_n_f32(0.0); NV];
        for v in 0..NV {
            scale[v] = vld1q_f32(scales.add(4 * v));
        }
        let halves = bytes.halves(&sums, &scale);
        let mut rows = [[vdupq_n_s8(0); NV]; MR];
        for i in 0..MR {
            for v in 0..NV / 4 {
                rows[i][v] = bytes.narrow(halves[i][2 * v], halves[i][2 * v + 1]);
            }
            if NV == 2 && i % 2 == 0 {
                // Two rows in a register.
                rows[i][0] = bytes.narrow(halves[i][0], halves[(i + 1).min(MR - 1)][0]);
            }
        }
        bytes.clamp(&mut rows);
        if lanes < 4 * NV {
            // Written here: what a call is shown would lie in memory for whole blocks, too.
            let mut part = [[[0i8; 16]; NV]; MR];
            for i in 0..MR {
                for v in 0..NV.div_ceil(4) {
                    vst1q_s8(part[i][v].as_mut_ptr(), rows[i][v]);
                }
            }
            return store_part(&part, lanes, to, outs);
        }
        for i in 0..MR {
            let y = to.add(*outs.add(i) as usize);
            match NV {
                2 if i % 2 == 0 => vst1_s8(y, vget_low_s8(rows[i][0])),
                2 => vst1_s8(y, vget_high_s8(rows[i - 1][0])),
                _ => {
                    for v in 0..NV / 4 {
                        vst1q_s8(y.add(16 * v), rows[i][v]);
                    }
                }
            }
        }
    }
}

/// The first `lanes` of each of `rows`, as [`store`] has them: the last block's, of fewer filters.
///
/// # Safety
/// There is room for them at `outs` from `to` on.
#[cold]
#[inline(never)]
unsafe fn store_part<const MR: usize, const NV: usize>(
    rows: &[[[i8; 16]; NV]; MR],
    lanes: usize,
    to: *mut i8,
    outs: *const u32,
) {
    for i in 0..MR {
        // With eight lanes two rows lie in a register.
        let (row, skip) = if NV == 2 { (i / 2 * 2, i % 2 * 8) } else { (i, 0) };
        // SAFETY: lanes are those of the registers at most; the rest as the caller says.
        unsafe {
            let from = rows[row].as_ptr().cast::<i8>().add(skip);
            std::ptr::copy_nonoverlapping(from, to.add(*outs.add(i) as usize), lanes);
        }
    }
}

/// The first `lanes` sums of each of `rows` as they are. Not a part of its caller, which would keep
/// what this needs for each tile.
///
/// # Safety
/// There are so many, and there is room for them at `outs` from `to` on.
#[inline(never)]
unsafe fn store_sums<const MR: usize, const NV: usize>(
    rows: &[[[i32; 4]; NV]; MR],
    lanes: usize,
    to: *mut i32,
    outs: *const u32,
) {
    for i in 0..MR {
        // SAFETY: as the caller says.
        unsafe {
            let from = rows[i].as_ptr().cast::<i32>();
            std::ptr::copy_nonoverlapping(from, to.add(*outs.add(i) as usize), lanes);
        }
    }
}
