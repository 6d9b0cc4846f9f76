//! Products without dot products: by 16 lanes, what most of a convolution goes through on plain NEON,
//! and by 32 lanes of a single row.
//!
//! Loops in assembly, in an order that suits cores that issue in order. Six chains of 16-bit lanes grow
//! side by side, as the next link of one has to wait six cycles for the one before. A core that ends
//! instructions in order waits with a short one until all before it have ended, so these (steps of
//! pointers, loads that make one, the branch) lie together between two turns of a loop.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::super::neon::opaque;
use super::super::pack;
use super::super::panel::Panel;
use super::store::store;

/// Two chains, the halves of eight lanes: products of weights `$w` with values `$d`, which are the same
/// two in all lanes.
macro_rules! chains {
    ($op:literal, $low:literal $high:literal, $w:literal $d:literal) => {
        concat!(
            concat!($op, " v", $low, ".8h, v", $w, ".8b, v", $d, ".8b\n"),
            concat!($op, "2 v", $high, ".8h, v", $w, ".16b, v", $d, ".16b\n"),
        )
    };
}

/// A link of the chains of three rows.
macro_rules! six {
    ($op:literal, $w0:literal $d0:literal, $w1:literal $d1:literal, $w2:literal $d2:literal) => {
        concat!(
            chains!($op, 12 13, $w0 $d0),
            chains!($op, 20 21, $w1 $d1),
            chains!($op, 22 23, $w2 $d2),
        )
    };
}

/// A link of the chains of fewer rows.
macro_rules! few {
    ($op:literal, $w0:literal $d0:literal, $w1:literal $d1:literal) => {
        concat!(chains!($op, 8 9, $w0 $d0), chains!($op, 10 11, $w1 $d1))
    };
    ($op:literal, $w0:literal $d0:literal, $w1:literal $d1:literal,
        $w2:literal $d2:literal, $w3:literal $d3:literal) => {
        concat!(
            few!($op, $w0 $d0, $w1 $d1),
            chains!($op, 12 13, $w2 $d2),
            chains!($op, 14 15, $w3 $d3),
        )
    };
}

/// Adds chains to sums.
macro_rules! add {
    ($($sum:literal $chain:literal),*) => {
        concat!($(concat!("sadalp v", $sum, ".4s, v", $chain, ".8h\n")),*)
    };
}
macro_rules! add_first {
    () => {
        add!(0 12, 1 13, 2 20, 3 21, 4 22, 5 23)
    };
}
macro_rules! add_second {
    () => {
        add!(6 12, 7 13, 8 20, 9 21, 10 22, 11 23)
    };
}
macro_rules! add_few {
    (1) => {
        add!(0 8, 1 9, 2 10, 3 11)
    };
    ($height:tt) => {
        add!(0 8, 1 9, 2 10, 3 11, 4 12, 5 13, 6 14, 7 15)
    };
}

/// Loads the next values of a row, each two into all lanes of a register.
macro_rules! values {
    (four $d0:literal $d1:literal $d2:literal $d3:literal, $from:literal) => {
        concat!(
            "ld4r {{v", $d0, ".8h, v", $d1, ".8h, v", $d2, ".8h, v", $d3, ".8h}}, [", $from, "\n"
        )
    };
    (two $d0:literal $d1:literal, $from:literal) => {
        concat!("ld2r {{v", $d0, ".8h, v", $d1, ".8h}}, [", $from, "\n")
    };
}

/// Loads 64 weights.
macro_rules! weights {
    ($w0:literal $w1:literal $w2:literal $w3:literal, $from:literal) => {
        concat!(
            "ld1 {{v",
            $w0,
            ".16b, v",
            $w1,
            ".16b, v",
            $w2,
            ".16b, v",
            $w3,
            ".16b}}, [",
            $from,
            "\n"
        )
    };
}

/// Two groups of three rows: first all of the first row and half of the second, then the rest.
///
/// A register more would be needed than there are, so the second group's weights take the place of
/// some of the first's, which are loaded again. They are there when this begins, and in the end
/// those of the next pair are.
macro_rules! three {
    ($middle:literal, $between_first:expr, $between_second:expr) => {
        concat!(
            values!(four 24 25 26 27, "{x0}], #8"),
            values!(four 28 29 30 31, "{x1}], #8"),
            six!("smull", 16 24, 17 24, 16 28),
            weights!(14 15 16 17, "{w1}]"),
            six!("smlal", 18 25, 19 25, 18 29),
            $between_first,
            six!($middle, 14 26, 15 26, 14 30),
            six!("smlal", 16 27, 17 27, 16 31),
            values!(four 24 25 26 27, "{x2}]"),
            add_first!(),
            six!("smull", 17 31, 16 27, 17 27),
            weights!(16 17 18 19, "{w0}]"),
            six!("smlal", 15 30, 14 26, 15 26),
            $between_second,
            six!($middle, 19 29, 18 25, 19 25),
            six!("smlal", 17 28, 16 24, 17 24),
            weights!(16 17 18 19, "{w2}]"),
            add_second!(),
            "add {x2}, {x2}, #8\n",
            "add {w0}, {w0}, #128\n",
            "add {w1}, {w1}, #128\n",
            "add {w2}, {w2}, #128\n",
        )
    };
}

/// Two groups of fewer rows, or of 32 lanes.
macro_rules! fewer {
    (1, $middle:literal, $between:expr) => {
        concat!(
            values!(four 24 25 26 27, "{x0}], #8"),
            weights!(16 17 18 19, "{w0}], #64"),
            weights!(20 21 22 23, "{w0}], #64"),
            few!("smull", 16 24, 17 24),
            few!("smlal", 18 25, 19 25),
            $between,
            few!($middle, 20 26, 21 26),
            few!("smlal", 22 27, 23 27),
            add_few!(1),
        )
    };
    (2, $middle:literal, $between:expr) => {
        concat!(
            values!(four 24 25 26 27, "{x0}], #8"),
            values!(four 28 29 30 31, "{x1}], #8"),
            weights!(16 17 18 19, "{w0}], #64"),
            weights!(20 21 22 23, "{w0}], #64"),
            few!("smull", 16 24, 17 24, 16 28, 17 28),
            few!("smlal", 18 25, 19 25, 18 29, 19 29),
            $between,
            few!($middle, 20 26, 21 26, 20 30, 21 30),
            few!("smlal", 22 27, 23 27, 22 31, 23 31),
            add_few!(2),
        )
    };
    (wide, $middle:literal, $between:expr) => {
        concat!(
            values!(four 24 25 26 27, "{x0}], #8"),
            weights!(16 17 18 19, "{w0}], #64"),
            weights!(20 21 22 23, "{w0}], #64"),
            weights!(28 29 30 31, "{w0}], #64"),
            few!("smull", 16 24, 17 24, 18 24, 19 24),
            weights!(16 17 18 19, "{w0}], #64"),
            few!("smlal", 20 25, 21 25, 22 25, 23 25),
            $between,
            few!($middle, 28 26, 29 26, 30 26, 31 26),
            few!("smlal", 16 27, 17 27, 18 27, 19 27),
            add_few!(wide),
        )
    };
}

/// Two groups, in chains of four products or of two.
macro_rules! pair {
    (3, four) => {
        three!("smlal", "", "")
    };
    (3, two) => {
        three!("smull", add_first!(), add_second!())
    };
    ($height:tt, four) => {
        fewer!($height, "smlal", "")
    };
    ($height:tt, two) => {
        fewer!($height, "smull", add_few!($height))
    };
}

/// The group after the last pair.
macro_rules! last {
    (3) => {
        concat!(
            values!(two 24 25, "{x0}], #4"),
            values!(two 28 29, "{x1}], #4"),
            weights!(16 17 18 19, "{w0}]"),
            six!("smull", 16 24, 17 24, 16 28),
            six!("smlal", 18 25, 19 25, 18 29),
            add_first!(),
            values!(two 24 25, "{x2}], #4"),
            six!("smull", 17 28, 16 24, 17 24),
            six!("smlal", 19 29, 18 25, 19 25),
            add_second!(),
            "add {w0}, {w0}, #64\n",
            "add {w1}, {w1}, #64\n",
            "add {w2}, {w2}, #64\n",
        )
    };
    (2) => {
        concat!(
            values!(two 24 25, "{x0}], #4"),
            values!(two 28 29, "{x1}], #4"),
            weights!(16 17 18 19, "{w0}], #64"),
            few!("smull", 16 24, 17 24, 16 28, 17 28),
            few!("smlal", 18 25, 19 25, 18 29, 19 29),
            add_few!(2),
        )
    };
    (1) => {
        concat!(
            values!(two 24 25, "{x0}], #4"),
            weights!(16 17 18 19, "{w0}], #64"),
            few!("smull", 16 24, 17 24),
            few!("smlal", 18 25, 19 25),
            add_few!(1),
        )
    };
    (wide) => {
        concat!(
            values!(two 24 25, "{x0}], #4"),
            weights!(16 17 18 19, "{w0}], #64"),
            weights!(20 21 22 23, "{w0}], #64"),
            few!("smull", 16 24, 17 24, 18 24, 19 24),
            few!("smlal", 20 25, 21 25, 22 25, 23 25),
            add_few!(wide),
        )
    };
}

/// What is loaded before a loop.
macro_rules! begin {
    (3) => {
        weights!(16 17 18 19, "{w0}]")
    };
    ($height:tt) => {
        ""
    };
}

/// Pairs of groups, as a word of [`pack::Block::fours`] says: its highest bit, which goes to the carry,
/// tells of the next pair, and after the last 1 nothing is left.
macro_rules! pairs {
    ($height:tt) => {
        concat!(
            begin!($height),
            "adds {fours}, {fours}, {fours}\n",
            "b.lo 3f\n",
            "b.eq 4f\n",
            "2:\n",
            pair!($height, four),
            "adds {fours}, {fours}, {fours}\n",
            "b.hi 2b\n",
            "b.hs 4f\n",
            "3:\n",
            pair!($height, two),
            "adds {fours}, {fours}, {fours}\n",
            "b.lo 3b\n",
            "b.hi 2b\n",
            "4:\n",
        )
    };
}

/// Loads the bias into the sums of all rows.
macro_rules! bias {
    (1) => {
        "ld1 {{v0.4s, v1.4s, v2.4s, v3.4s}}, [{bias}]\n"
    };
    (2) => {
        concat!(bias!(1), "ld1 {{v4.4s, v5.4s, v6.4s, v7.4s}}, [{bias}]\n")
    };
    (3) => {
        concat!(bias!(2), "ld1 {{v8.4s, v9.4s, v10.4s, v11.4s}}, [{bias}]\n")
    };
    (wide) => {
        "ld1 {{v0.4s, v1.4s, v2.4s, v3.4s}}, [{bias}], #64
         ld1 {{v4.4s, v5.4s, v6.4s, v7.4s}}, [{bias}]\n"
    };
}

/// Runs `$text` with the sums of a tile, its rows at `$x`, the weights at `$w` and what else it names;
/// or only with sums.
macro_rules! run {
    (1, $text:expr, $s:ident, $x:ident, $w:ident $($more:tt)*) => {
        run!(1, inout, $s, $text, x0 = inout(reg) $x[0], w0 = inout(reg) $w[0] $($more)*)
    };
    (wide, $text:expr, $s:ident, $x:ident, $w:ident $($more:tt)*) => {
        run!(wide, inout, $s, $text, x0 = inout(reg) $x[0], w0 = inout(reg) $w[0] $($more)*)
    };
    (2, $text:expr, $s:ident, $x:ident, $w:ident $($more:tt)*) => {
        run!(2, inout, $s, $text, x0 = inout(reg) $x[0], x1 = inout(reg) $x[1],
            w0 = inout(reg) $w[0] $($more)*)
    };
    (3, $text:expr, $s:ident, $x:ident, $w:ident $($more:tt)*) => {
        run!(3, inout, $s, $text,
            x0 = inout(reg) $x[0], x1 = inout(reg) $x[1], x2 = inout(reg) $x[2],
            w0 = inout(reg) $w[0], w1 = inout(reg) $w[1], w2 = inout(reg) $w[2] $($more)*)
    };
    (1, $way:ident, $s:ident, $($more:tt)*) => {
        run!($($more)*,
            $way("v0") $s[0][0], $way("v1") $s[0][1], $way("v2") $s[0][2], $way("v3") $s[0][3],
            out("v8") _, out("v9") _, out("v10") _, out("v11") _)
    };
    (wide, $way:ident, $s:ident, $($more:tt)*) => {
        run!($($more)*,
            $way("v0") $s[0][0], $way("v1") $s[0][1], $way("v2") $s[0][2], $way("v3") $s[0][3],
            $way("v4") $s[0][4], $way("v5") $s[0][5], $way("v6") $s[0][6], $way("v7") $s[0][7],
            out("v8") _, out("v9") _, out("v10") _, out("v11") _)
    };
    (2, $way:ident, $s:ident, $($more:tt)*) => {
        run!($($more)*,
            $way("v0") $s[0][0], $way("v1") $s[0][1], $way("v2") $s[0][2], $way("v3") $s[0][3],
            $way("v4") $s[1][0], $way("v5") $s[1][1], $way("v6") $s[1][2], $way("v7") $s[1][3],
            out("v8") _, out("v9") _, out("v10") _, out("v11") _)
    };
    (3, $way:ident, $s:ident, $($more:tt)*) => {
        run!($($more)*,
            $way("v0") $s[0][0], $way("v1") $s[0][1], $way("v2") $s[0][2], $way("v3") $s[0][3],
            $way("v4") $s[1][0], $way("v5") $s[1][1], $way("v6") $s[1][2], $way("v7") $s[1][3],
            $way("v8") $s[2][0], $way("v9") $s[2][1], $way("v10") $s[2][2], $way("v11") $s[2][3])
    };
    ($text:expr, $($operands:tt)*) => {
        asm!($text, $($operands)*,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(readonly, nostack))
    };
}

macro_rules! tile {
    ($name:ident, $kind:tt, $height:literal, $quads:literal) => {
        /// Tiles of some rows by some times 16 lanes, from row `first` on.
        ///
        /// # Safety
        /// The rows exist; see [`Panel`], whose weights may be chained.
        #[target_feature(enable = "neon")]
        // Where `x` and `w` end after the last segment.
        #[allow(unused_assignments)]
        unsafe fn $name(panel: &Panel<'_>, first: usize, tiles: usize) {
            let [before, after] = pack::stretches(panel.run);
            let [before, after] = [pack::words(before), pack::words(after)];
            let rest = (panel.run % 16).div_ceil(4);
            // Groups after the last whole chunk end with the segment, so they begin before its end.
            let back = 4 * rest - panel.run % 16;
            // SAFETY: offsets lie in the input, the weights have a vector for each lane and group and
            // 64 bytes after them, and the words say where four products fit.
            unsafe {
                for tile in 0..tiles {
                    let row = first + $height * tile;
                    let rows = opaque(panel.rows.as_ptr().add(row));
                    let mut x = [panel.x.cast::<i8>().wrapping_add(panel.run); $height];
                    for i in 0..$height {
                        x[i] = x[i].wrapping_add(*rows.add(i) as usize);
                    }
                    let mut sums = [[vdupq_n_s32(0); 4 * $quads]; $height];
                    run!($kind, out, sums, bias!($kind), bias = inout(reg) panel.bias.as_ptr() => _);
                    let mut w = [0, 64, 128].map(|at| panel.weights.as_ptr().wrapping_add(at));
                    let mut fours = panel.fours.as_ptr();
                    for &delta in panel.deltas {
                        let step = (delta as usize).wrapping_sub(panel.run);
                        x = x.map(|x| x.wrapping_add(step));
                        for stretch in 0..before + after {
                            if stretch == before {
                                // Opaque, so that this is a branch.
                                x = x.map(|x| opaque(x.wrapping_sub(back)));
                            }
                            run!($kind, pairs!($kind), sums, x, w, fours = inout(reg) *fours => _);
                            fours = fours.add(1);
                        }
                        if rest % 2 == 1 {
                            if rest == 1 {
                                x = x.map(|x| opaque(x.wrapping_sub(back)));
                            }
                            run!($kind, last!($kind), sums, x, w);
                        }
                    }
                    store::<$height, { 4 * $quads }>(panel, row, 0, sums);
                }
            }
        }
    };
}

tile!(tile_1, 1, 1, 1);
tile!(tile_2, 2, 2, 1);
tile!(tile_3, 3, 3, 1);
tile!(tile_wide, wide, 1, 2);

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

/// All rows, of which there are few, by a block of 32 filters.
///
/// # Safety
/// As for [`block`].
pub(super) unsafe fn wide(panel: &Panel<'_>) {
    // SAFETY: as the caller says.
    unsafe { tile_wide(panel, 0, panel.rows.len()) }
}
