//! Products on 64-bit ARM: plain NEON, and the dot products of Armv8.2.
//!
//! One instruction for each `asm!`, in the order of four independent chains: the compiler schedules
//! and allocates registers, but cannot hoist the halves of weights into registers of their own, which
//! intrinsics make it do. The intrinsics of the dot products are not stable.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::neon::{Bytes, opaque, sadalp, smlal, smlal2, smull, smull2};
use super::panel::{Panel, To};

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
        let mut weights = [vdupq_n_s8(0); NV];
        for v in 0..NV {
            weights[v] = vld1q_s8(w.add(16 * v));
        }
        for v in 0..NV {
            for i in 0..MR {
                sdot::<LANE>(&mut sums[i][v], weights[v], x[i]);
            }
        }
    }
}

/// One group of four rows by 16 lanes, chained, in an order that suits cores that issue in order: a row
/// has four chains, and the next row's values are spread while they wait. `$a` and `$b` are the lanes. One block, as
/// the compiler would order single instructions its own way; weights are loaded in it, as with more
/// operands it runs out of registers.
macro_rules! four_rows {
    ($sums:ident, $x:ident, $w:ident, $a:literal, $b:literal) => {
        // Reads the 64 bytes of weights at `$w`, otherwise registers only.
            asm!(
                concat!("dup {d0:v}.8h, {x0:v}.h[", $a, "]"),
                "ldp {w0:q}, {w1:q}, [{w}]",
                concat!("dup {d1:v}.8h, {x0:v}.h[", $b, "]"),
                "ldp {w2:q}, {w3:q}, [{w}, #32]",
                "smull {t0:v}.8h, {w0:v}.8b, {d0:v}.8b",
                "smull2 {t1:v}.8h, {w0:v}.16b, {d0:v}.16b",
                "smull {t2:v}.8h, {w1:v}.8b, {d0:v}.8b",
                "smull2 {t3:v}.8h, {w1:v}.16b, {d0:v}.16b",
                concat!("dup {d0:v}.8h, {x1:v}.h[", $a, "]"),
                "smlal {t0:v}.8h, {w2:v}.8b, {d1:v}.8b",
                "smlal2 {t1:v}.8h, {w2:v}.16b, {d1:v}.16b",
                "smlal {t2:v}.8h, {w3:v}.8b, {d1:v}.8b",
                "smlal2 {t3:v}.8h, {w3:v}.16b, {d1:v}.16b",
                concat!("dup {d1:v}.8h, {x1:v}.h[", $b, "]"),
                "sadalp {s00:v}.4s, {t0:v}.8h",
                "sadalp {s01:v}.4s, {t1:v}.8h",
                "sadalp {s02:v}.4s, {t2:v}.8h",
                "sadalp {s03:v}.4s, {t3:v}.8h",
                "smull {t0:v}.8h, {w0:v}.8b, {d0:v}.8b",
                "smull2 {t1:v}.8h, {w0:v}.16b, {d0:v}.16b",
                "smull {t2:v}.8h, {w1:v}.8b, {d0:v}.8b",
                "smull2 {t3:v}.8h, {w1:v}.16b, {d0:v}.16b",
                concat!("dup {d0:v}.8h, {x2:v}.h[", $a, "]"),
                "smlal {t0:v}.8h, {w2:v}.8b, {d1:v}.8b",
                "smlal2 {t1:v}.8h, {w2:v}.16b, {d1:v}.16b",
                "smlal {t2:v}.8h, {w3:v}.8b, {d1:v}.8b",
                "smlal2 {t3:v}.8h, {w3:v}.16b, {d1:v}.16b",
                concat!("dup {d1:v}.8h, {x2:v}.h[", $b, "]"),
                "sadalp {s10:v}.4s, {t0:v}.8h",
                "sadalp {s11:v}.4s, {t1:v}.8h",
                "sadalp {s12:v}.4s, {t2:v}.8h",
                "sadalp {s13:v}.4s, {t3:v}.8h",
                "smull {t0:v}.8h, {w0:v}.8b, {d0:v}.8b",
                "smull2 {t1:v}.8h, {w0:v}.16b, {d0:v}.16b",
                "smull {t2:v}.8h, {w1:v}.8b, {d0:v}.8b",
                "smull2 {t3:v}.8h, {w1:v}.16b, {d0:v}.16b",
                concat!("dup {d0:v}.8h, {x3:v}.h[", $a, "]"),
                "smlal {t0:v}.8h, {w2:v}.8b, {d1:v}.8b",
                "smlal2 {t1:v}.8h, {w2:v}.16b, {d1:v}.16b",
                "smlal {t2:v}.8h, {w3:v}.8b, {d1:v}.8b",
                "smlal2 {t3:v}.8h, {w3:v}.16b, {d1:v}.16b",
                concat!("dup {d1:v}.8h, {x3:v}.h[", $b, "]"),
                "sadalp {s20:v}.4s, {t0:v}.8h",
                "sadalp {s21:v}.4s, {t1:v}.8h",
                "sadalp {s22:v}.4s, {t2:v}.8h",
                "sadalp {s23:v}.4s, {t3:v}.8h",
                "smull {t0:v}.8h, {w0:v}.8b, {d0:v}.8b",
                "smull2 {t1:v}.8h, {w0:v}.16b, {d0:v}.16b",
                "smull {t2:v}.8h, {w1:v}.8b, {d0:v}.8b",
                "smull2 {t3:v}.8h, {w1:v}.16b, {d0:v}.16b",
                "smlal {t0:v}.8h, {w2:v}.8b, {d1:v}.8b",
                "smlal2 {t1:v}.8h, {w2:v}.16b, {d1:v}.16b",
                "smlal {t2:v}.8h, {w3:v}.8b, {d1:v}.8b",
                "smlal2 {t3:v}.8h, {w3:v}.16b, {d1:v}.16b",
                "sadalp {s30:v}.4s, {t0:v}.8h",
                "sadalp {s31:v}.4s, {t1:v}.8h",
                "sadalp {s32:v}.4s, {t2:v}.8h",
                "sadalp {s33:v}.4s, {t3:v}.8h",
                s00 = inout(vreg) $sums[0][0], s01 = inout(vreg) $sums[0][1], s02 = inout(vreg) $sums[0][2], s03 = inout(vreg) $sums[0][3], s10 = inout(vreg) $sums[1][0], s11 = inout(vreg) $sums[1][1], s12 = inout(vreg) $sums[1][2], s13 = inout(vreg) $sums[1][3], s20 = inout(vreg) $sums[2][0], s21 = inout(vreg) $sums[2][1], s22 = inout(vreg) $sums[2][2], s23 = inout(vreg) $sums[2][3], s30 = inout(vreg) $sums[3][0], s31 = inout(vreg) $sums[3][1], s32 = inout(vreg) $sums[3][2], s33 = inout(vreg) $sums[3][3],
                x0 = in(vreg) $x[0], x1 = in(vreg) $x[1], x2 = in(vreg) $x[2], x3 = in(vreg) $x[3],
                w = in(reg) $w,
                w0 = out(vreg) _, w1 = out(vreg) _, w2 = out(vreg) _, w3 = out(vreg) _,
                d0 = out(vreg) _, d1 = out(vreg) _,
                t0 = out(vreg) _, t1 = out(vreg) _, t2 = out(vreg) _, t3 = out(vreg) _,
                options(pure, readonly, nostack, preserves_flags)
            )
    };
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
        if MR == 4 && NV == 4 && CHAINED {
            match LANE {
                0 => four_rows!(sums, x, w, 0, 1),
                1 => four_rows!(sums, x, w, 2, 3),
                2 => four_rows!(sums, x, w, 4, 5),
                _ => four_rows!(sums, x, w, 6, 7),
            }
            return;
        }
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

/// The sums of a tile to bytes: `MR` rows of `4 * NV` lanes, of which `panel.lanes` are stored.
///
/// # Safety
/// Rows `first..first + MR` of the panel exist and have room in the output.
#[inline(always)]
unsafe fn store<const MR: usize, const NV: usize>(
    panel: &Panel<'_>,
    first: usize,
    mut sums: [[int32x4_t; NV]; MR],
) {
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
            To::Bytes(y) => y,
            To::Sums(y) => return store_sums(panel, y, first, &sums),
        };
        let bytes = Bytes::new(panel.output);
        let scales = opaque(panel.scales.as_ptr());
        let outs = opaque(panel.outs.as_ptr().add(first));
        let mut scale = [vdupq_n_f32(0.0); NV];
        for v in 0..NV {
            scale[v] = vld1q_f32(scales.add(4 * v));
        }
        let mut halves = [[vdupq_n_s16(0); NV]; MR];
        for i in 0..MR {
            for v in 0..NV / 2 {
                halves[i][v] = bytes
                    .halves([sums[i][2 * v], sums[i][2 * v + 1]], [scale[2 * v], scale[2 * v + 1]]);
            }
        }
        for i in 0..MR {
            let y = to.add(*outs.add(i) as usize);
            if NV == 2 {
                let row = bytes.narrow(halves[i][0], halves[i][0]);
                if panel.lanes == 8 {
                    vst1_s8(y, vget_low_s8(row));
                } else {
                    part(row, y, panel.lanes);
                }
                continue;
            }
            for v in (0..NV / 2).step_by(2) {
                let row = bytes.narrow(halves[i][v], halves[i][v + 1]);
                let lanes = panel.lanes.saturating_sub(8 * v);
                if lanes >= 16 {
                    vst1q_s8(y.add(8 * v), row);
                } else {
                    part(row, y.add(8 * v), lanes);
                }
            }
        }
    }
}

/// The sums of a tile as they are.
///
/// # Safety
/// As for [`store`].
#[inline(always)]
unsafe fn store_sums<const MR: usize, const NV: usize>(
    panel: &Panel<'_>,
    y: *mut i32,
    first: usize,
    sums: &[[int32x4_t; NV]; MR],
) {
    let outs = opaque(panel.outs.as_ptr().wrapping_add(first));
    // SAFETY: as the caller says.
    unsafe {
        for i in 0..MR {
            let y = y.add(*outs.add(i) as usize);
            for v in 0..NV {
                let (lanes, y) = (panel.lanes.saturating_sub(4 * v), y.wrapping_add(4 * v));
                if lanes >= 4 {
                    vst1q_s32(y, sums[i][v]);
                    continue;
                }
                let mut all = [0; 4];
                vst1q_s32(all.as_mut_ptr(), sums[i][v]);
                std::ptr::copy_nonoverlapping(all.as_ptr(), y, lanes);
            }
        }
    }
}

/// The first `lanes` of `row`.
///
/// # Safety
/// `y` has room for them.
#[inline(always)]
unsafe fn part(row: int8x16_t, y: *mut i8, lanes: usize) {
    let mut all = [0i8; 16];
    // SAFETY: `all` is as wide as the register; the rest as the caller says.
    unsafe {
        vst1q_s8(all.as_mut_ptr(), row);
        std::ptr::copy_nonoverlapping(all.as_ptr(), y, lanes.min(16));
    }
}

/// The sum of `run` values from `x` on.
///
/// # Safety
/// They can be read, and where they are no multiple of 16 also 16 values up to the last one.
#[target_feature(enable = "neon")]
pub(super) unsafe fn sum(x: *const i8, run: usize) -> i32 {
    // SAFETY: as the caller says.
    unsafe {
        let (whole, rest) = (run / 16, run % 16);
        let mut sum = vdupq_n_s32(0);
        for chunk in 0..whole {
            sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(x.add(16 * chunk))));
        }
        if rest > 0 {
            const PLACES: [i8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
            let new = vcgeq_s8(vld1q_s8(PLACES.as_ptr()), vdupq_n_s8((16 - rest) as i8));
            let last = vld1q_s8(x.wrapping_add(run).wrapping_sub(16));
            let last = vandq_s8(last, vreinterpretq_s8_u8(new));
            sum = vpadalq_s16(sum, vpaddlq_s8(last));
        }
        vaddvq_s32(sum)
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
                    let bias = opaque(panel.bias.as_ptr());
                    let mut sums = [[vdupq_n_s32(0); NV]; MR];
                    for v in 0..NV {
                        let bias = vld1q_s32(bias.add(4 * v));
                        for i in 0..MR {
                            sums[i][v] = bias;
                        }
                    }
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
                    store::<MR, NV>(panel, row, sums);
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
            _ => rows!(panel, tile_dot, 8, true, [1]),
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
            (16, true) => rows!(panel, tile_pairs, 4, true, [4, 3, 2, 1]),
            (_, true) => rows!(panel, tile_pairs, 8, true, [1]),
            (8, false) => rows!(panel, tile_pairs, 2, false, [4, 2, 1]),
            (16, false) => rows!(panel, tile_pairs, 4, false, [4, 3, 2, 1]),
            (_, false) => rows!(panel, tile_pairs, 8, false, [1]),
        }
    }
}
