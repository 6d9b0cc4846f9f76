//! Products by 16 lanes without dot products: what most of a convolution goes through on plain NEON.
//!
//! Blocks of `asm!`, in an order that suits cores that issue in order: products of a row grow in four
//! chains of 16-bit lanes, while the values of the next row are loaded.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::super::neon::opaque;
use super::super::panel::Panel;
use super::store;

/// Loads the next eight or, with `one`, four values of row `$x`, each two into all lanes of a register.
macro_rules! values {
    ($chain:tt, none) => {
        ""
    };
    (one, 0) => {
        "ld2r {{v28.8h, v29.8h}}, [{x0}], #4\n"
    };
    (one, 1) => {
        "ld2r {{v24.8h, v25.8h}}, [{x1}], #4\n"
    };
    (one, 2) => {
        "ld2r {{v28.8h, v29.8h}}, [{x2}], #4\n"
    };
    ($chain:tt, 0) => {
        "ld4r {{v28.8h, v29.8h, v30.8h, v31.8h}}, [{x0}], #8\n"
    };
    ($chain:tt, 1) => {
        "ld4r {{v24.8h, v25.8h, v26.8h, v27.8h}}, [{x1}], #8\n"
    };
    ($chain:tt, 2) => {
        "ld4r {{v28.8h, v29.8h, v30.8h, v31.8h}}, [{x2}], #8\n"
    };
}

/// Products of the values in `$d` with the weights of 16 lanes in `$w0` and `$w1`, in four chains.
macro_rules! products {
    ($op:literal, $w0:literal, $w1:literal, $d:literal) => {
        concat!(
            concat!($op, " v12.8h, v", $w0, ".8b, v", $d, ".8b\n"),
            concat!($op, "2 v13.8h, v", $w0, ".16b, v", $d, ".16b\n"),
            concat!($op, " v14.8h, v", $w1, ".8b, v", $d, ".8b\n"),
            concat!($op, "2 v15.8h, v", $w1, ".16b, v", $d, ".16b\n"),
        )
    };
}

/// Adds the chains to the sums of row `$x`.
macro_rules! add {
    ($x:literal) => {
        concat!(
            concat!("sadalp {s", $x, "0:v}.4s, v12.8h\n"),
            concat!("sadalp {s", $x, "1:v}.4s, v13.8h\n"),
            concat!("sadalp {s", $x, "2:v}.4s, v14.8h\n"),
            concat!("sadalp {s", $x, "3:v}.4s, v15.8h\n"),
        )
    };
}

/// Row `$x` by two groups of weights in chains of four products, in chains of two, or by one group;
/// meanwhile values of row `$next` are loaded. The values lie in registers from `$d0` on.
macro_rules! row {
    ($chain:tt, $x:literal, $next:tt) => {
        row!($chain, $x, $next, 28, 29, 30, 31)
    };
    ($chain:tt, odd $x:literal, $next:tt) => {
        row!($chain, $x, $next, 24, 25, 26, 27)
    };
    (four, $x:literal, $next:tt, $d0:literal, $d1:literal, $d2:literal, $d3:literal) => {
        concat!(
            concat!(products!("smull", 16, 17, $d0), values!(four, $next)),
            products!("smlal", 18, 19, $d1),
            products!("smlal", 20, 21, $d2),
            products!("smlal", 22, 23, $d3),
            add!($x),
        )
    };
    (two, $x:literal, $next:tt, $d0:literal, $d1:literal, $d2:literal, $d3:literal) => {
        concat!(
            concat!(products!("smull", 16, 17, $d0), values!(two, $next)),
            concat!(products!("smlal", 18, 19, $d1), add!($x)),
            products!("smull", 20, 21, $d2),
            concat!(products!("smlal", 22, 23, $d3), add!($x)),
        )
    };
    (one, $x:literal, $next:tt, $d0:literal, $d1:literal, $d2:literal, $d3:literal) => {
        concat!(
            concat!(products!("smull", 16, 17, $d0), values!(one, $next)),
            concat!(products!("smlal", 18, 19, $d1), add!($x)),
        )
    };
}

/// All rows of a tile.
macro_rules! rows {
    ($chain:tt, 1) => {
        row!($chain, 0, none)
    };
    ($chain:tt, 2) => {
        concat!(row!($chain, 0, 1), row!($chain, odd 1, none))
    };
    ($chain:tt, 3) => {
        concat!(row!($chain, 0, 1), row!($chain, odd 1, 2), row!($chain, 2, none))
    };
}

/// Adds groups of weights at `$w` times values at `$x` to `$sums`, and goes on in both.
///
/// The registers are named, as sums leave none to spare, and as neighbours are loaded together.
macro_rules! groups {
    (one, $height:tt, $sums:ident, $x:ident, $w:ident) => {
        groups!(one, $height, $sums, $x, $w, "")
    };
    ($chain:tt, $height:tt, $sums:ident, $x:ident, $w:ident) => {
        groups!($chain, $height, $sums, $x, $w,
            "ld1 {{v20.16b, v21.16b, v22.16b, v23.16b}}, [{w}], #64")
    };
    ($chain:tt, 1, $sums:ident, $x:ident, $w:ident, $second:expr) => {
        groups!($chain, 1, $w, $second,
            x0 = inout(reg) $x[0],
            s00 = inout(vreg) $sums[0][0], s01 = inout(vreg) $sums[0][1],
            s02 = inout(vreg) $sums[0][2], s03 = inout(vreg) $sums[0][3])
    };
    ($chain:tt, 2, $sums:ident, $x:ident, $w:ident, $second:expr) => {
        groups!($chain, 2, $w, $second,
            x0 = inout(reg) $x[0], x1 = inout(reg) $x[1],
            s00 = inout(vreg) $sums[0][0], s01 = inout(vreg) $sums[0][1],
            s02 = inout(vreg) $sums[0][2], s03 = inout(vreg) $sums[0][3],
            s10 = inout(vreg) $sums[1][0], s11 = inout(vreg) $sums[1][1],
            s12 = inout(vreg) $sums[1][2], s13 = inout(vreg) $sums[1][3])
    };
    ($chain:tt, 3, $sums:ident, $x:ident, $w:ident, $second:expr) => {
        groups!($chain, 3, $w, $second,
            x0 = inout(reg) $x[0], x1 = inout(reg) $x[1], x2 = inout(reg) $x[2],
            s00 = inout(vreg) $sums[0][0], s01 = inout(vreg) $sums[0][1],
            s02 = inout(vreg) $sums[0][2], s03 = inout(vreg) $sums[0][3],
            s10 = inout(vreg) $sums[1][0], s11 = inout(vreg) $sums[1][1],
            s12 = inout(vreg) $sums[1][2], s13 = inout(vreg) $sums[1][3],
            s20 = inout(vreg) $sums[2][0], s21 = inout(vreg) $sums[2][1],
            s22 = inout(vreg) $sums[2][2], s23 = inout(vreg) $sums[2][3])
    };
    ($chain:tt, $height:tt, $w:ident, $second:expr, $($operands:tt)*) => {
        asm!(
            values!($chain, 0),
            "ld1 {{v16.16b, v17.16b, v18.16b, v19.16b}}, [{w}], #64",
            $second,
            rows!($chain, $height),
            w = inout(reg) $w,
            $($operands)*,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(readonly, nostack, preserves_flags)
        )
    };
}

macro_rules! tile {
    ($name:ident, $height:tt) => {
        /// Tiles of some rows by 16 lanes, from row `first` on.
        ///
        /// # Safety
        /// The rows exist; see [`Panel`], whose weights may be chained.
        #[target_feature(enable = "neon")]
        // Where `x` ends after the last group of a segment.
        #[allow(unused_assignments)]
        unsafe fn $name(panel: &Panel<'_>, first: usize, tiles: usize) {
            let whole = panel.run / 16 * 2;
            let rest = (panel.run % 16).div_ceil(4);
            // Groups after the last whole chunk end with the segment, so they begin before its end.
            let back = 4 * rest - panel.run % 16;
            // SAFETY: offsets lie in the input, the weights have a vector for each lane and group, and
            // there is a chain for each two groups.
            unsafe {
                for tile in 0..tiles {
                    let row = first + $height * tile;
                    let rows = opaque(panel.rows.as_ptr().add(row));
                    let mut segments = [panel.x.cast::<i8>(); $height];
                    for i in 0..$height {
                        segments[i] = segments[i].add(*rows.add(i) as usize);
                    }
                    let bias = opaque(panel.bias.as_ptr());
                    let bias = [0, 4, 8, 12].map(|lane| vld1q_s32(bias.add(lane)));
                    let mut sums = [bias; $height];
                    let mut w = panel.weights.as_ptr();
                    let mut fours = panel.fours.as_ptr();
                    for &delta in panel.deltas {
                        segments = segments.map(|x| x.add(delta as usize));
                        let mut x = segments;
                        for pair in 0..whole + rest / 2 {
                            if back > 0 && pair == whole {
                                x = x.map(|x| x.wrapping_sub(back));
                            }
                            if *fours {
                                groups!(four, $height, sums, x, w);
                            } else {
                                groups!(two, $height, sums, x, w);
                            }
                            fours = fours.add(1);
                        }
                        if rest % 2 == 1 {
                            if back > 0 && rest == 1 {
                                x = x.map(|x| x.wrapping_sub(back));
                            }
                            groups!(one, $height, sums, x, w);
                        }
                    }
                    store::<$height, 4>(panel, row, 0, sums);
                }
            }
        }
    };
}

tile!(tile_1, 1);
tile!(tile_2, 2);
tile!(tile_3, 3);

/// All rows of the panel by a block of 16 filters.
///
/// # Safety
/// See [`Panel`], whose weights may be chained.
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
