//! Products on 64-bit ARM: plain NEON, and the dot products of Armv8.2. Those by most lanes are written
//! out, see [`pairs`] and [`wide`]; the others are here.
//!
//! One instruction for each `asm!`, in the order of four independent chains: the compiler schedules
//! and allocates registers, but cannot hoist the halves of weights into registers of their own, which
//! intrinsics make it do. The intrinsics of the dot products are not stable.
#![allow(unsafe_code)]

mod pairs;
mod rows;
mod store;
mod wide;

use std::arch::aarch64::*;
use std::arch::asm;

pub(super) use self::rows::{gather, sums};
use self::store::store;
use super::super::neon::{opaque, sadalp, smlal, smlal2, smull, smull2};
use super::panel::Panel;

/// `sum += w · x[LANE]`: for each 32-bit lane four products of a weight with the same four values.
///
/// # Safety
/// The caller has the target feature `dotprod`.
#[inline(always)]
unsafe fn sdot<const LANE: usize>(sum: &mut int32x4_t, w: int8x16_t, x: int8x16_t) {
    macro_rules! sdot {
        ($lane:literal) => {
            // SAFETY: registers only; the caller has the instruction.
            unsafe {
                asm!(concat!("sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[", $lane, "]"),
                    inout(vreg) *sum, in(vreg) w, in(vreg) x,
                    options(pure, nomem, nostack, preserves_flags));
            }
        };
    }
    match LANE {
        0 => sdot!(0),
        1 => sdot!(1),
        2 => sdot!(2),
        _ => sdot!(3),
    }
}

/// Group `LANE` of a chunk for all rows and lanes, by dot products, which need no chains.
///
/// # Safety
/// `w` points to `NV` vectors; the caller has the target feature `dotprod`.
#[inline(always)]
unsafe fn group_dot<const LANE: usize, const MR: usize, const NV: usize, const CHAINED: bool>(
    sums: &mut [[int32x4_t; NV]; MR],
    x: &[int8x16_t; MR],
    w: *const i8,
) {
    // SAFETY: as the caller says.
    unsafe {
        for v in 0..NV {
            let weights = vld1q_s8(w.add(16 * v));
            for i in 0..MR {
                sdot::<LANE>(&mut sums[i][v], weights, x[i]);
            }
        }
    }
}

/// Group `LANE` of a chunk by 16-bit products. Chained, two of them are added before they are widened.
///
/// # Safety
/// `w` points to `NV` vectors.
#[inline(always)]
unsafe fn group_pairs<const LANE: usize, const MR: usize, const NV: usize, const CHAINED: bool>(
    sums: &mut [[int32x4_t; NV]; MR],
    x: &[int8x16_t; MR],
    w: *const i8,
) {
    // SAFETY: as the caller says; plain NEON is part of the architecture.
    unsafe {
        let mut weights = [[vdupq_n_s8(0); NV]; 2];
        for half in 0..2 {
            for v in 0..NV / 2 {
                weights[half][v] = vld1q_s8(w.add((half * NV / 2 + v) * 16));
            }
        }
        for i in 0..MR {
            let x = vreinterpretq_s16_s8(x[i]);
            let [x0, x1] = match LANE {
                0 => [vdupq_laneq_s16::<0>(x), vdupq_laneq_s16::<1>(x)],
                1 => [vdupq_laneq_s16::<2>(x), vdupq_laneq_s16::<3>(x)],
                2 => [vdupq_laneq_s16::<4>(x), vdupq_laneq_s16::<5>(x)],
                _ => [vdupq_laneq_s16::<6>(x), vdupq_laneq_s16::<7>(x)],
            };
            let (x0, x1) = (vreinterpretq_s8_s16(x0), vreinterpretq_s8_s16(x1));
            // Two vectors of weights at a time: four chains.
            for v in (0..NV / 2).step_by(2) {
                let next = (v + 1).min(NV / 2 - 1);
                let [a, b] = [weights[0][v], weights[0][next]];
                let [c, d] = [weights[1][v], weights[1][next]];
                let two = NV > 2;
                let mut t = [smull(a, x0), smull2(a, x0), x, x];
                if two {
                    (t[2], t[3]) = (smull(b, x0), smull2(b, x0));
                }
                if CHAINED {
                    (t[0], t[1]) = (smlal(t[0], c, x1), smlal2(t[1], c, x1));
                    if two {
                        (t[2], t[3]) = (smlal(t[2], d, x1), smlal2(t[3], d, x1));
                    }
                } else {
                    sums[i][2 * v] = sadalp(sums[i][2 * v], t[0]);
                    sums[i][2 * v + 1] = sadalp(sums[i][2 * v + 1], t[1]);
                    (t[0], t[1]) = (smull(c, x1), smull2(c, x1));
                    if two {
                        sums[i][2 * next] = sadalp(sums[i][2 * next], t[2]);
                        sums[i][2 * next + 1] = sadalp(sums[i][2 * next + 1], t[3]);
                        (t[2], t[3]) = (smull(d, x1), smull2(d, x1));
                    }
                }
                sums[i][2 * v] = sadalp(sums[i][2 * v], t[0]);
                sums[i][2 * v + 1] = sadalp(sums[i][2 * v + 1], t[1]);
                if two {
                    sums[i][2 * next] = sadalp(sums[i][2 * next], t[2]);
                    sums[i][2 * next + 1] = sadalp(sums[i][2 * next + 1], t[3]);
                }
            }
        }
    }
}

/// Loads the bias of 16 lanes into `$sums`, registers that are neighbours.
macro_rules! quad {
    ($sums:expr, $nv:ident, $bias:ident, $v0:tt $v1:tt $v2:tt $v3:tt) => {
        asm!(
            concat!("ld1 {{", $v0, ".4s, ", $v1, ".4s, ", $v2, ".4s, ", $v3, ".4s}}, [{bias}]"),
            bias = in(reg) $bias, out($v0) $sums[0], out($v1) $sums[1 % $nv],
            out($v2) $sums[2 % $nv], out($v3) $sums[3 % $nv],
            options(pure, readonly, nostack, preserves_flags)
        )
    };
}

/// The bias for each row of a tile.
///
/// # Safety
/// `from` has that of all lanes.
#[inline(always)]
unsafe fn bias<const MR: usize, const NV: usize>(from: *const i32) -> [[int32x4_t; NV]; MR] {
    // SAFETY: as the caller says.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); NV]; MR];
        if NV == 4 {
            // Loaded for each row: that takes fewer instructions than copies.
            quad!(sums[0], NV, from, "v0" "v1" "v2" "v3");
            if MR > 1 {
                quad!(sums[1 % MR], NV, from, "v4" "v5" "v6" "v7");
            }
            if MR > 2 {
                quad!(sums[2 % MR], NV, from, "v8" "v9" "v10" "v11");
            }
            if MR > 3 {
                quad!(sums[3 % MR], NV, from, "v12" "v13" "v14" "v15");
            }
            if MR > 4 {
                quad!(sums[4 % MR], NV, from, "v16" "v17" "v18" "v19");
                quad!(sums[5 % MR], NV, from, "v20" "v21" "v22" "v23");
            }
            return sums;
        }
        let from = opaque(from);
        for v in 0..NV {
            let bias = vld1q_s32(from.add(4 * v));
            for i in 0..MR {
                sums[i][v] = bias;
            }
        }
        sums
    }
}

macro_rules! tile {
    ($name:ident, $features:literal, $group:ident) => {
        /// `tiles` tiles of `MR` rows by `4 * NV` lanes, from row `first` on.
        ///
        /// # Safety
        /// The CPU has the features; the rows exist; see [`Panel`].
        #[target_feature(enable = $features)]
        unsafe fn $name<const MR: usize, const NV: usize, const CHAINED: bool>(
            panel: &Panel<'_>,
            first: usize,
            tiles: usize,
        ) {
            let whole = panel.run / 16 * 16;
            let rest = (panel.run % 16).div_ceil(4);
            // SAFETY: offsets lie in the input, the weights have a vector for each lane and group.
            unsafe {
                for tile in 0..tiles {
                    let row = first + tile * MR;
                    let rows = opaque(panel.rows.as_ptr().add(row));
                    let mut x = [panel.x.cast::<i8>(); MR];
                    for i in 0..MR {
                        x[i] = x[i].add(*rows.add(i) as usize);
                    }
                    let mut sums = bias::<MR, NV>(panel.bias.as_ptr());
                    let mut w = opaque(panel.weights.as_ptr());
                    for &delta in panel.deltas {
                        for i in 0..MR {
                            x[i] = x[i].add(delta as usize);
                        }
                        let mut k = 0;
                        let mut values = [vdupq_n_s8(0); MR];
                        while k < whole {
                            for i in 0..MR {
                                values[i] = vld1q_s8(x[i].add(k));
                            }
                            k += 16;
                            $group::<0, MR, NV, CHAINED>(&mut sums, &values, w);
                            $group::<1, MR, NV, CHAINED>(&mut sums, &values, w.add(16 * NV));
                            $group::<2, MR, NV, CHAINED>(&mut sums, &values, w.add(32 * NV));
                            $group::<3, MR, NV, CHAINED>(&mut sums, &values, w.add(48 * NV));
                            w = opaque(w.add(64 * NV));
                        }
                        if rest > 0 {
                            // The last 16 values of the segment; what was read before has weights 0.
                            for i in 0..MR {
                                values[i] = vld1q_s8(x[i].wrapping_add(panel.run).wrapping_sub(16));
                            }
                            if rest > 3 {
                                $group::<0, MR, NV, CHAINED>(&mut sums, &values, w);
                                w = w.add(16 * NV);
                            }
                            if rest > 2 {
                                $group::<1, MR, NV, CHAINED>(&mut sums, &values, w);
                                w = w.add(16 * NV);
                            }
                            if rest > 1 {
                                $group::<2, MR, NV, CHAINED>(&mut sums, &values, w);
                                w = w.add(16 * NV);
                            }
                            $group::<3, MR, NV, CHAINED>(&mut sums, &values, w);
                            w = w.add(16 * NV);
                        }
                    }
                    store::<MR, NV>(panel, row, 0, sums);
                }
            }
        }
    };
}

tile!(tile_dot, "neon,dotprod", group_dot);
tile!(tile_pairs, "neon", group_pairs);

/// Runs `$tile` over all rows of `$panel`, in tiles of the heights given, tallest first.
macro_rules! rows {
    ($panel:ident, $tile:ident, $lanes:literal, $chained:literal, [$($height:literal),*]) => {{
        let (mut first, count) = (0, $panel.rows.len());
        $(
            let tiles = (count - first) / $height;
            if tiles > 0 {
                $tile::<$height, $lanes, $chained>($panel, first, tiles);
                first += tiles * $height;
            }
        )*
        debug_assert_eq!(first, count);
    }};
}

/// All rows of the panel by a block of `lanes` filters, with dot products.
///
/// # Safety
/// The CPU has `dotprod`; the panel is as [`Panel`] says.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn block_dot(panel: &Panel<'_>, lanes: usize) {
    // SAFETY: as the caller says.
    unsafe {
        match lanes {
            8 => rows!(panel, tile_dot, 2, true, [6, 4, 3, 2, 1]),
            16 => rows!(panel, tile_dot, 4, true, [6, 4, 3, 2, 1]),
            32 => wide::block(panel),
            _ => wide::blocks(panel),
        }
    }
}

/// All rows of the panel by a block of `lanes` filters, without dot products.
///
/// # Safety
/// The panel is as [`Panel`] says; `chained` only where the weights allow it.
#[target_feature(enable = "neon")]
pub(super) unsafe fn block(panel: &Panel<'_>, lanes: usize, chained: bool) {
    // SAFETY: as the caller says.
    unsafe {
        match (lanes, chained) {
            (8, true) => rows!(panel, tile_pairs, 2, true, [4, 2, 1]),
            (16, true) => pairs::block(panel),
            (_, true) => pairs::wide(panel),
            (8, false) => rows!(panel, tile_pairs, 2, false, [4, 2, 1]),
            (16, false) => rows!(panel, tile_pairs, 4, false, [4, 3, 2, 1]),
            (_, false) => rows!(panel, tile_pairs, 8, false, [1]),
        }
    }
}
