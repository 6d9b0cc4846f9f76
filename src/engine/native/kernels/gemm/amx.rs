//! Products with AMX: tiles of 16 rows by 16 lanes, 64 values of each at once.
//!
//! Two tiles of rows meet two of filters, so four sums are under way at once, as many as hide the
//! multiplier's latency. What becomes of sums is AVX-512's. There are no intrinsics for tiles in stable
//! Rust, so they are `asm!`.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::avx512::store;
use super::panel::{Panel, To};

/// Rows of a tile, and its lanes.
pub(super) const SIDE: usize = 16;
/// Values of a row that one tile holds: segments are packed as if they had a multiple.
pub(super) const STEP: usize = 64;
/// Rows that are multiplied at once.
pub(super) const ROWS: usize = 2 * SIDE;
/// Tiles of filters whose sums become outputs together: a whole line of bytes.
const VECTORS: usize = 4;

/// Whether tiles are faster than vectors for about `rows` rows by `n` filters of `k` values, as measured.
///
/// They take time before the first product and after the last one: to be shaped, 50 ns, and to bring sums
/// through memory to the vectors, which are done with short rows by then.
pub(super) fn pays(n: usize, rows: usize, k: usize) -> bool {
    let enough = if k < 128 { rows >= 64 } else { rows >= 8 && rows * k >= 2048 };
    n >= 16 && k >= 64 && enough
}

/// Bytes of room for rows of `padded` values.
pub(super) fn room(padded: usize) -> usize {
    ROWS * padded + STEP
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    /// Bytes of a row of each tile.
    columns: [u16; 16],
    rows: [u8; 16],
}

/// Tiles of sums, above and below, of [`VECTORS`] tiles of filters.
#[repr(C, align(64))]
struct Sums([Column; VECTORS]);

/// Those of one tile of filters.
type Column = [[[i32; SIDE]; SIDE]; 2];

/// Instructions on tiles. Sums lie in 0 and 1, 2 and 3; rows in 4, 5; filters in 6, 7. They stay there
/// from one of these to the next, as the compiler uses no tiles.
macro_rules! tiles {
    ([$($line:literal),*], $($operands:tt)*) => {
        asm!(
            $($line,)*
            $($operands)*
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, preserves_flags)
        )
    };
}

/// Rows that tiles are loaded from.
#[derive(Clone, Copy)]
struct Rows<'a> {
    /// Where the two tiles begin.
    at: [*const u8; 2],
    /// Bytes from row to row, and from step to step.
    pitch: usize,
    step: usize,
    /// From segment to segment.
    deltas: &'a [u32],
    /// Steps of a segment.
    steps: usize,
}

/// Sums that have yet to become outputs.
struct Done {
    first: usize,
    heights: [usize; 2],
    lane: usize,
}

/// All rows of the panel by all filters, which lie in blocks of two tiles or, at the end, one.
///
/// # Safety
/// The CPU has the features, and tiles may be used; the panel is as [`Panel`] says, with `len` bytes from
/// `x` on; `room` has as many as [`room`] says.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn panel(panel: &Panel<'_>, len: usize, room: *mut u8) {
    let mut sums = [const { MaybeUninit::<Sums>::uninit() }; 2];
    let [mut own, mut other] = sums.each_mut().map(MaybeUninit::as_mut_ptr);
    let (mut first, mut shaped, mut before) = (0, [0; 2], None);
    // SAFETY: as the caller says. What is finished was multiplied, so its sums are there.
    unsafe {
        while first < panel.rows.len() {
            let left = (panel.rows.len() - first).min(ROWS);
            let heights = [left.div_ceil(2), left / 2];
            if heights != shaped {
                shape(heights);
                shaped = heights;
            }
            let rows = even(panel, len, first, heights);
            let rows = rows.unwrap_or_else(|| gather(panel, first, heights, room));
            for lane in (0..panel.bias.len()).step_by(VECTORS * SIDE) {
                multiply(panel, lane, rows, own);
                // Tiles take long to multiply and to be stored: meanwhile vectors finish what they did
                // before.
                if let Some(done) = before.replace(Done { first, heights, lane }) {
                    finish(panel, &done, other);
                }
                (own, other) = (other, own);
            }
            first += left;
        }
        // So that a switch of threads need not keep them.
        asm!("tilerelease", options(nostack, nomem, preserves_flags));
        if let Some(done) = before {
            finish(panel, &done, other);
        }
    }
}

/// Shapes tiles for so many rows above and below; a single one is computed twice.
///
/// # Safety
/// Tiles may be used.
unsafe fn shape(heights: [usize; 2]) {
    let [above, below] = heights.map(|height| height.max(1) as u8);
    let filters = SIDE as u8;
    let mut shapes =
        Shapes { palette: 1, start: 0, reserved: [0; 14], columns: [0; 16], rows: [0; 16] };
    shapes.columns[..8].fill(STEP as u16);
    shapes.rows[..8].copy_from_slice(&[above, above, below, below, above, below, filters, filters]);
    // SAFETY: the shapes are within what palette 1 allows.
    unsafe {
        tiles!(["ldtilecfg [{}]"], in(reg) &raw const shapes,);
    }
}

/// The rows where they lie, if they are evenly apart and whole steps of them lie in the `len` bytes.
fn even<'a>(panel: &Panel<'a>, len: usize, first: usize, heights: [usize; 2]) -> Option<Rows<'a>> {
    let [above, below] = heights;
    let rows = &panel.rows[first..first + above + below];
    let pitch = if above > 1 { rows[1].checked_sub(rows[0])? } else { 0 };
    let (above, below) = rows.split_at(above);
    let is_even = |rows: &[u32]| {
        rows.windows(2).fold(true, |even, pair| even & (pair[0].wrapping_add(pitch) == pair[1]))
    };
    let steps = panel.run.div_ceil(STEP);
    let span = panel.deltas.iter().map(|&delta| delta as usize).sum::<usize>() + steps * STEP;
    let last = |rows: &[u32]| rows.last().map_or(0, |&row| row as usize) + span;
    if !is_even(above) || !is_even(below) || last(above).max(last(below)) > len {
        return None;
    }
    let at = [above[0], *below.first().unwrap_or(&above[0])];
    let at = at.map(|at| panel.x.wrapping_add(at as usize));
    Some(Rows { at, pitch: pitch as usize, step: STEP, deltas: panel.deltas, steps })
}

/// Copies the rows into `room`, as tiles.
///
/// # Safety
/// See [`panel`].
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn gather<'a>(
    panel: &Panel<'_>,
    first: usize,
    heights: [usize; 2],
    room: *mut u8,
) -> Rows<'a> {
    const TILE: usize = SIDE * STEP;
    let (steps, last) = (panel.run.div_ceil(STEP), u64::MAX >> (STEP - 1 - (panel.run - 1) % STEP));
    let all = panel.deltas.len() * steps;
    let room = room.wrapping_add(room.align_offset(STEP));
    let places = [0..heights[0], SIDE..SIDE + heights[1]];
    let rows = &panel.rows[first..first + heights[0] + heights[1]];
    for (place, &row) in places.into_iter().flatten().zip(rows) {
        // SAFETY: as the caller says.
        unsafe {
            let mut x = panel.x.add(row as usize);
            let mut to = room.add(place / SIDE * all * TILE + place % SIDE * STEP);
            for &delta in panel.deltas {
                x = x.add(delta as usize);
                for step in 0..steps {
                    let mask = if step + 1 < steps { u64::MAX } else { last };
                    let values = _mm512_maskz_loadu_epi8(mask, x.add(STEP * step).cast());
                    _mm512_store_si512(to.cast(), values);
                    to = to.wrapping_add(TILE);
                }
            }
        }
    }
    let below = if heights[1] > 0 { all * TILE } else { 0 };
    Rows {
        at: [room, room.wrapping_add(below)].map(<*mut u8>::cast_const),
        pitch: STEP,
        step: TILE,
        deltas: &[0],
        steps: all,
    }
}

/// Rows by the filters of up to [`VECTORS`] tiles, from `lane` on.
///
/// # Safety
/// See [`panel`]; tiles have been shaped.
#[inline(always)]
unsafe fn multiply(panel: &Panel<'_>, lane: usize, rows: Rows<'_>, sums: *mut Sums) {
    let padded = rows.deltas.len() * rows.steps * STEP;
    let vectors = ((panel.bias.len() - lane) / SIDE).min(VECTORS);
    // SAFETY: as the caller says; there are filters for so many vectors.
    unsafe {
        for vector in (0..vectors).step_by(2) {
            let lane = lane + vector * SIDE;
            let of = (&panel.weights[lane * padded..], &panel.bias[lane..]);
            let sums = (&raw mut (*sums).0).cast::<Column>().add(vector);
            if vector + 1 < vectors {
                pair(of, rows, [sums, sums.add(1)]);
            } else {
                single(of, rows, [sums]);
            }
        }
    }
}

/// Sums to where they belong.
///
/// # Safety
/// See [`panel`]; these have been multiplied.
#[inline(always)]
unsafe fn finish(panel: &Panel<'_>, done: &Done, sums: *const Sums) {
    let lane = done.lane;
    let own = Panel {
        y: match panel.y {
            To::Bytes(y) => To::Bytes(y.wrapping_add(lane)),
            To::Sums(y) => To::Sums(y.wrapping_add(lane)),
        },
        bias: &panel.bias[lane..],
        scales: &panel.scales[lane..],
        lanes: panel.lanes - lane,
        ..*panel
    };
    let sums = sums.cast();
    // SAFETY: as the caller says.
    unsafe {
        match own.bias.len() / SIDE {
            1 => vectors::<1>(&own, done, sums),
            2 => vectors::<2>(&own, done, sums),
            3 => vectors::<3>(&own, done, sums),
            _ => vectors::<4>(&own, done, sums),
        }
    }
}

/// A function that multiplies rows with so many tiles of filters: how sums begin, a step, and how they
/// end.
macro_rules! columns {
    ($name:ident, [$($sums:ident),*], $begin:tt, $step:tt, $end:tt) => {
        /// # Safety
        /// See [`panel`]; there are as many filters.
        #[inline(always)]
        unsafe fn $name(
            (weights, bias): (&[i8], &[i32]),
            rows: Rows<'_>,
            [$($sums),*]: [*mut Column; [$(stringify!($sums)),*].len()],
        ) {
            const FILTERS: usize = [$(stringify!($sums)),*].len();
            let (mut w, [mut above, mut below]) = (weights.as_ptr(), rows.at);
            // SAFETY: rows and filters lie where the caller says; tiles have been shaped.
            unsafe {
                // All rows begin with the same: no bytes from one to the next.
                tiles!($begin, bias = in(reg) bias.as_ptr(), none = in(reg) 0usize,);
                for &delta in rows.deltas {
                    above = above.wrapping_add(delta as usize);
                    below = below.wrapping_add(delta as usize);
                    for step in 0..rows.steps {
                        let at = step * rows.step;
                        tiles!(
                            $step,
                            above = in(reg) above.wrapping_add(at),
                            below = in(reg) below.wrapping_add(at),
                            pitch = in(reg) rows.pitch,
                            w = in(reg) w,
                            line = in(reg) FILTERS * STEP,
                        );
                        w = w.wrapping_add(FILTERS * SIDE * STEP);
                    }
                }
                tiles!($end, $($sums = in(reg) $sums,)* line = in(reg) STEP,);
            }
        }
    };
}

columns!(
    pair,
    [left, right],
    [
        "tileloadd tmm0, [{bias} + {none}*1]",
        "tileloadd tmm1, [{bias} + {none}*1 + 64]",
        "tileloadd tmm2, [{bias} + {none}*1]",
        "tileloadd tmm3, [{bias} + {none}*1 + 64]"
    ],
    [
        "tileloadd tmm6, [{w} + {line}*1]",
        "tileloadd tmm4, [{above} + {pitch}*1]",
        "tdpbssd tmm0, tmm4, tmm6",
        "tileloadd tmm7, [{w} + {line}*1 + 64]",
        "tdpbssd tmm1, tmm4, tmm7",
        "tileloadd tmm5, [{below} + {pitch}*1]",
        "tdpbssd tmm2, tmm5, tmm6",
        "tdpbssd tmm3, tmm5, tmm7"
    ],
    [
        "tilestored [{left} + {line}*1], tmm0",
        "tilestored [{right} + {line}*1], tmm1",
        "tilestored [{left} + {line}*1 + 1024], tmm2",
        "tilestored [{right} + {line}*1 + 1024], tmm3"
    ]
);

columns!(
    single,
    [left],
    ["tileloadd tmm0, [{bias} + {none}*1]", "tileloadd tmm2, [{bias} + {none}*1]"],
    [
        "tileloadd tmm6, [{w} + {line}*1]",
        "tileloadd tmm4, [{above} + {pitch}*1]",
        "tdpbssd tmm0, tmm4, tmm6",
        "tileloadd tmm5, [{below} + {pitch}*1]",
        "tdpbssd tmm2, tmm5, tmm6"
    ],
    ["tilestored [{left} + {line}*1], tmm0", "tilestored [{left} + {line}*1 + 1024], tmm2"]
);

/// [`finish`] for so many vectors.
///
/// # Safety
/// See there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn vectors<const NV: usize>(panel: &Panel<'_>, done: &Done, sums: *const Column) {
    let mut row = done.first;
    for (tile, height) in done.heights.into_iter().enumerate() {
        // SAFETY: as the caller says.
        unsafe {
            let load = |i: usize, v: usize| {
                let column = &raw const (*sums.add(v))[tile][i];
                _mm512_load_si512(column.cast())
            };
            let mut i = 0;
            while i + 4 <= height {
                let mut some = [[_mm512_setzero_si512(); NV]; 4];
                for j in 0..4 {
                    for v in 0..NV {
                        some[j][v] = load(i + j, v);
                    }
                }
                store(panel, row + i, some);
                i += 4;
            }
            while i < height {
                let mut some = [[_mm512_setzero_si512(); NV]; 1];
                for v in 0..NV {
                    some[0][v] = load(i, v);
                }
                store(panel, row + i, some);
                i += 1;
            }
        }
        row += height;
    }
}

/// The sum of the values of each row times `factor`; `deltas` and `run` are those of a [`Panel`].
///
/// # Safety
/// Segments of all `rows` can be read; the CPU has the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn sums(
    x: *const i8,
    rows: &[u32],
    (deltas, run): (&[u32], usize),
    factor: i32,
    sums: &mut [i32],
) {
    let (whole, mask) = ((run - 1) / STEP, u64::MAX >> (STEP - 1 - (run - 1) % STEP));
    let ones = _mm512_set1_epi8(1);
    for (sum, &row) in sums.iter_mut().zip(rows) {
        // SAFETY: as the caller says; what the mask leaves out is not read.
        unsafe {
            let (mut x, mut all) = (x.add(row as usize), _mm512_setzero_si512());
            for &delta in deltas {
                x = x.add(delta as usize);
                for chunk in 0..whole {
                    let values = _mm512_loadu_si512(x.add(STEP * chunk).cast());
                    all = _mm512_dpbusd_epi32(all, ones, values);
                }
                let values = _mm512_maskz_loadu_epi8(mask, x.add(STEP * whole));
                all = _mm512_dpbusd_epi32(all, ones, values);
            }
            *sum = _mm512_reduce_add_epi32(all).wrapping_mul(factor);
        }
    }
}
