//! Dot products by 32 lanes, and by 64 of a single row.
//!
//! Weights are loaded four registers at a time, which have to be neighbours: the compiler makes pairs
//! of such loads.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::super::neon::opaque;
use super::super::panel::Panel;
use super::store::store;

/// The next 64 weights. There are two pointers, each of which goes on by twice as much, as some cores
/// have the address for the next load only when this one has ended.
macro_rules! weights {
    ($w:literal) => {
        concat!("ld1 {{v28.16b, v29.16b, v30.16b, v31.16b}}, [{w", $w, "}], {step}\n")
    };
}

/// These times group `$lane` of row `$x`, added to four of its sums.
macro_rules! add {
    ($lane:literal, $x:literal, $s0:literal, $s1:literal, $s2:literal, $s3:literal) => {
        concat!(
            concat!("sdot {s", $x, $s0, ":v}.4s, v28.16b, {x", $x, ":v}.4b[", $lane, "]\n"),
            concat!("sdot {s", $x, $s1, ":v}.4s, v29.16b, {x", $x, ":v}.4b[", $lane, "]\n"),
            concat!("sdot {s", $x, $s2, ":v}.4s, v30.16b, {x", $x, ":v}.4b[", $lane, "]\n"),
            concat!("sdot {s", $x, $s3, ":v}.4s, v31.16b, {x", $x, ":v}.4b[", $lane, "]\n"),
        )
    };
}

/// Group `$lane` of a chunk for all rows of a tile.
macro_rules! rows {
    ($lane:literal, 1) => {
        concat!(weights!(0), add!($lane, 0, 0, 1, 2, 3), weights!(1), add!($lane, 0, 4, 5, 6, 7))
    };
    ($lane:literal, 2) => {
        concat!(
            concat!(weights!(0), add!($lane, 0, 0, 1, 2, 3), add!($lane, 1, 0, 1, 2, 3)),
            concat!(weights!(1), add!($lane, 0, 4, 5, 6, 7), add!($lane, 1, 4, 5, 6, 7)),
        )
    };
    ($lane:literal, 3) => {
        concat!(
            concat!(weights!(0), add!($lane, 0, 0, 1, 2, 3), add!($lane, 1, 0, 1, 2, 3)),
            concat!(add!($lane, 2, 0, 1, 2, 3), weights!(1), add!($lane, 0, 4, 5, 6, 7)),
            concat!(add!($lane, 1, 4, 5, 6, 7), add!($lane, 2, 4, 5, 6, 7)),
        )
    };
}

/// Adds group `$lane` of a chunk to `$sums` of 32 lanes, and goes on in the weights.
macro_rules! group {
    ($lane:literal, 1, $sums:expr, $x:ident, $w:ident) => {{
        let [[a0, a1, a2, a3, a4, a5, a6, a7]] = $sums;
        asm!(
            rows!($lane, 1),
            w0 = inout(reg) $w[0], w1 = inout(reg) $w[1], step = in(reg) 128usize, x0 = in(vreg) $x[0],
            s00 = inout(vreg) *a0, s01 = inout(vreg) *a1, s02 = inout(vreg) *a2, s03 = inout(vreg) *a3,
            s04 = inout(vreg) *a4, s05 = inout(vreg) *a5, s06 = inout(vreg) *a6, s07 = inout(vreg) *a7,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(pure, readonly, nostack, preserves_flags)
        );
    }};
    ($lane:literal, 2, $sums:expr, $x:ident, $w:ident) => {{
        let [[a0, a1, a2, a3, a4, a5, a6, a7], [b0, b1, b2, b3, b4, b5, b6, b7]] = $sums;
        asm!(
            rows!($lane, 2),
            w0 = inout(reg) $w[0], w1 = inout(reg) $w[1], step = in(reg) 128usize, x0 = in(vreg) $x[0], x1 = in(vreg) $x[1],
            s00 = inout(vreg) *a0, s01 = inout(vreg) *a1, s02 = inout(vreg) *a2, s03 = inout(vreg) *a3,
            s04 = inout(vreg) *a4, s05 = inout(vreg) *a5, s06 = inout(vreg) *a6, s07 = inout(vreg) *a7,
            s10 = inout(vreg) *b0, s11 = inout(vreg) *b1, s12 = inout(vreg) *b2, s13 = inout(vreg) *b3,
            s14 = inout(vreg) *b4, s15 = inout(vreg) *b5, s16 = inout(vreg) *b6, s17 = inout(vreg) *b7,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(pure, readonly, nostack, preserves_flags)
        );
    }};
    ($lane:literal, 3, $sums:expr, $x:ident, $w:ident) => {{
        let [
            [a0, a1, a2, a3, a4, a5, a6, a7],
            [b0, b1, b2, b3, b4, b5, b6, b7],
            [c0, c1, c2, c3, c4, c5, c6, c7],
        ] = $sums;
        asm!(
            rows!($lane, 3),
            w0 = inout(reg) $w[0], w1 = inout(reg) $w[1], step = in(reg) 128usize, x0 = in(vreg) $x[0], x1 = in(vreg) $x[1], x2 = in(vreg) $x[2],
            s00 = inout(vreg) *a0, s01 = inout(vreg) *a1, s02 = inout(vreg) *a2, s03 = inout(vreg) *a3,
            s04 = inout(vreg) *a4, s05 = inout(vreg) *a5, s06 = inout(vreg) *a6, s07 = inout(vreg) *a7,
            s10 = inout(vreg) *b0, s11 = inout(vreg) *b1, s12 = inout(vreg) *b2, s13 = inout(vreg) *b3,
            s14 = inout(vreg) *b4, s15 = inout(vreg) *b5, s16 = inout(vreg) *b6, s17 = inout(vreg) *b7,
            s20 = inout(vreg) *c0, s21 = inout(vreg) *c1, s22 = inout(vreg) *c2, s23 = inout(vreg) *c3,
            s24 = inout(vreg) *c4, s25 = inout(vreg) *c5, s26 = inout(vreg) *c6, s27 = inout(vreg) *c7,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(pure, readonly, nostack, preserves_flags)
        );
    }};
}

/// Loads the bias of 32 lanes into `$sums`: once for each row, which takes fewer instructions than
/// copies.
macro_rules! eight {
    ($sums:expr, $bias:expr, $v0:tt $v1:tt $v2:tt $v3:tt
        $v4:tt $v5:tt $v6:tt $v7:tt) => {{
        let [a0, a1, a2, a3, a4, a5, a6, a7] = &mut $sums;
        asm!(
            concat!("ld1 {{", $v0, ".4s, ", $v1, ".4s, ", $v2, ".4s, ", $v3, ".4s}}, [{low}]"),
            concat!("ld1 {{", $v4, ".4s, ", $v5, ".4s, ", $v6, ".4s, ", $v7, ".4s}}, [{high}]"),
            low = in(reg) $bias, high = in(reg) $bias.add(16),
            out($v0) *a0, out($v1) *a1, out($v2) *a2, out($v3) *a3,
            out($v4) *a4, out($v5) *a5, out($v6) *a6, out($v7) *a7,
            options(pure, readonly, nostack, preserves_flags)
        );
    }};
}

macro_rules! tile {
    ($name:ident, $height:tt, $halves:literal) => {
        /// Tiles of some rows by one or, for all blocks of the panel, two times 32 lanes, from row
        /// `first` on.
        ///
        /// # Safety
        /// The CPU has `dotprod`; the rows exist; see [`Panel`].
        #[target_feature(enable = "neon,dotprod")]
        unsafe fn $name(panel: &Panel<'_>, first: usize, tiles: usize) {
            let whole = panel.run / 16 * 16;
            let rest = (panel.run % 16).div_ceil(4);
            // SAFETY: offsets lie in the input, the weights have a vector for each lane and group.
            unsafe {
                for tile in 0..tiles {
                    let row = first + $height * tile;
                    let rows = opaque(panel.rows.as_ptr().add(row));
                    let mut starts = [panel.x.cast::<i8>(); $height];
                    for i in 0..$height {
                        starts[i] = starts[i].add(*rows.add(i) as usize);
                    }
                    let mut w = [0, 64].map(|at| panel.weights.as_ptr().wrapping_add(at));
                    macro_rules! lanes {
                        ($sums:ident, $lane:literal, $values:ident) => {
                            for half in 0..$halves {
                                group!($lane, $height, &mut $sums[half], $values, w);
                            }
                        };
                    }
                    let mut lane = 0;
                    loop {
                        let bias = panel.bias.as_ptr().add(lane);
                        let mut sums = [[[vdupq_n_s32(0); 8]; $height]; $halves];
                        eight!(sums[0][0], bias, "v0" "v1" "v2" "v3" "v4" "v5" "v6" "v7");
                        if $height * $halves > 1 {
                            // The next half, or the next row.
                            let bias = bias.add(32 * ($halves - 1));
                            eight!(sums[1 % $halves][1 % $height], bias, "v8" "v9" "v10" "v11" "v12" "v13" "v14" "v15");
                        }
                        if $height > 2 {
                            eight!(sums[0][2 % $height], bias, "v16" "v17" "v18" "v19" "v20" "v21" "v22" "v23");
                        }
                        let mut x = starts;
                        for &delta in panel.deltas {
                            x = x.map(|x| x.add(delta as usize));
                            for at in (0..whole).step_by(16) {
                                let values = x.map(|x| vld1q_s8(x.add(at)));
                                lanes!(sums, 0, values);
                                lanes!(sums, 1, values);
                                lanes!(sums, 2, values);
                                lanes!(sums, 3, values);
                            }
                            if rest > 0 {
                                // The last 16 values of the segment; what was read before has
                                // weights 0.
                                let last = panel.run.wrapping_sub(16);
                                let values = x.map(|x| vld1q_s8(x.wrapping_add(last)));
                                if rest > 3 {
                                    lanes!(sums, 0, values);
                                }
                                if rest > 2 {
                                    lanes!(sums, 1, values);
                                }
                                if rest > 1 {
                                    lanes!(sums, 2, values);
                                }
                                lanes!(sums, 3, values);
                            }
                        }
                        let mut all = [[vdupq_n_s32(0); 8 * $halves]; $height];
                        for i in 0..$height {
                            for v in 0..8 * $halves {
                                all[i][v] = sums[v / 8][i][v % 8];
                            }
                        }
                        store::<$height, { 8 * $halves }>(panel, row, lane, all);
                        lane += 32 * $halves;
                        // Only those of a single row go on.
                        if $halves == 1 || lane >= panel.lanes {
                            break;
                        }
                    }
                }
            }
        }
    };
}

tile!(tile_1, 1, 1);
tile!(tile_2, 2, 1);
tile!(tile_3, 3, 1);
tile!(row, 1, 2);

/// All rows of the panel by a block of 32 filters.
///
/// # Safety
/// The CPU has `dotprod`; see [`Panel`].
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn block(panel: &Panel<'_>) {
    let whole = panel.rows.len() / 3;
    // SAFETY: as the caller says.
    unsafe {
        if whole > 0 {
            tile_3(panel, 0, whole);
        }
        match panel.rows.len() % 3 {
            0 => {}
            1 => tile_1(panel, 3 * whole, 1),
            _ => tile_2(panel, 3 * whole, 1),
        }
    }
}

/// All rows, of which there are few, by blocks of 64 filters.
///
/// # Safety
/// The CPU has `dotprod`; see [`Panel`], which has the blocks one after the other.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn blocks(panel: &Panel<'_>) {
    // SAFETY: as the caller says.
    unsafe { row(panel, 0, panel.rows.len()) }
}
