//! Products with AVX512-VNNI: 16 lanes in a vector, four products for each lane at once.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::output::Output;
use super::pack::Block;
use super::panel::{Panel, To};

/// `tiles` tiles of `MR` rows by `16 * NV` lanes, from row `first` on.
///
/// # Safety
/// The CPU has the features; the rows exist; see [`Panel`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<const MR: usize, const NV: usize>(panel: &Panel<'_>, first: usize, tiles: usize) {
    let (groups, rest) = (panel.run / 4, !panel.run.is_multiple_of(4));
    // SAFETY: offsets lie in the input; the weights have a vector for each 16 lanes and group.
    unsafe {
        for tile in 0..tiles {
            let row = first + tile * MR;
            let mut x = [panel.x; MR];
            for i in 0..MR {
                x[i] = x[i].add(*panel.rows.as_ptr().add(row + i) as usize);
            }
            let mut sums = [[_mm512_setzero_si512(); NV]; MR];
            for v in 0..NV {
                let bias = _mm512_loadu_si512(panel.bias.as_ptr().add(16 * v).cast());
                for i in 0..MR {
                    sums[i][v] = bias;
                }
            }
            let mut w = panel.weights.as_ptr();
            for &delta in panel.deltas {
                for i in 0..MR {
                    x[i] = x[i].add(delta as usize);
                }
                for k in 0..groups {
                    group(&mut sums, |i| x[i].add(4 * k), w);
                    w = w.add(64 * NV);
                }
                if rest {
                    // The last four values of the segment; what was read before has weights 0.
                    group(&mut sums, |i| x[i].wrapping_add(panel.run).wrapping_sub(4), w);
                    w = w.add(64 * NV);
                }
            }
            store(panel, row, sums);
        }
    }
}

/// One group for all rows and lanes; `x` tells where row i has its four values.
///
/// # Safety
/// `w` points to `NV` vectors, `x` to four bytes; the caller has the target features.
#[inline(always)]
unsafe fn group<const MR: usize, const NV: usize>(
    sums: &mut [[__m512i; NV]; MR],
    x: impl Fn(usize) -> *const u8,
    w: *const i8,
) {
    // SAFETY: as the caller says.
    unsafe {
        let mut weights = [_mm512_setzero_si512(); NV];
        for v in 0..NV {
            weights[v] = _mm512_loadu_si512(w.add(64 * v).cast());
        }
        for i in 0..MR {
            let values = _mm512_set1_epi32(x(i).cast::<i32>().read_unaligned());
            for v in 0..NV {
                sums[i][v] = _mm512_dpbusd_epi32(sums[i][v], values, weights[v]);
            }
        }
    }
}

/// The sums of a tile to bytes, or as they are.
///
/// # Safety
/// Rows `first..first + MR` of the panel exist and have room in the output.
#[inline(always)]
pub(super) unsafe fn store<const MR: usize, const NV: usize>(
    panel: &Panel<'_>,
    first: usize,
    mut sums: [[__m512i; NV]; MR],
) {
    // SAFETY: as the caller says; scales has all lanes of the block.
    unsafe {
        if !panel.sums.is_empty() {
            for i in 0..MR {
                let add = _mm512_set1_epi32(*panel.sums.as_ptr().add(first + i));
                for v in 0..NV {
                    sums[i][v] = _mm512_add_epi32(sums[i][v], add);
                }
            }
        }
        match panel.y {
            To::Bytes(y) if panel.output.is_simple() && panel.lanes >= 16 * NV => {
                store_bytes::<MR, NV, true>(panel, y, first, &sums);
            }
            // Not part of the caller: a loop over sums that it does not unroll has them in memory, and so
            // would all else that is done with them.
            _ => store_any(panel, first, &{ sums }),
        }
    }
}

/// [`store`] for all outputs, without the sums of rows.
///
/// # Safety
/// As for [`store`]; the CPU has the features.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn store_any<const MR: usize, const NV: usize>(
    panel: &Panel<'_>,
    first: usize,
    sums: &[[__m512i; NV]; MR],
) {
    // SAFETY: as the caller says.
    unsafe {
        let y = match panel.y {
            To::Bytes(y) => return store_bytes::<MR, NV, false>(panel, y, first, sums),
            To::Sums(y) => y,
        };
        for v in 0..NV {
            let lanes = panel.lanes.saturating_sub(16 * v).min(16);
            let mask = ((1u32 << lanes) - 1) as u16;
            for i in 0..MR {
                let y = y.add(*panel.outs.as_ptr().add(first + i) as usize);
                _mm512_mask_storeu_epi32(y.wrapping_add(16 * v), mask, sums[i][v]);
            }
        }
    }
}

/// The sums of a tile to bytes; `SIMPLE`: of all lanes, for a [simple] output.
///
/// [simple]: Output::is_simple
///
/// # Safety
/// As for [`store`].
#[inline(always)]
unsafe fn store_bytes<const MR: usize, const NV: usize, const SIMPLE: bool>(
    panel: &Panel<'_>,
    to: *mut i8,
    first: usize,
    sums: &[[__m512i; NV]; MR],
) {
    // SAFETY: as the caller says; scales has all lanes of the block.
    unsafe {
        let mut scales = [_mm512_setzero_ps(); NV];
        for v in 0..NV {
            scales[v] = _mm512_loadu_ps(panel.scales.as_ptr().add(16 * v));
        }
        // Four vectors become bytes together: those of a row, or of neighbouring rows.
        for four in 0..(MR * NV).div_ceil(4) {
            let place = |i: usize| (4 * four + i).min(MR * NV - 1);
            let some = [0, 1, 2, 3].map(|i| sums[place(i) / NV][place(i) % NV]);
            let scale = [0, 1, 2, 3].map(|i| scales[place(i) % NV]);
            let bytes = requantize::<SIMPLE>(panel.output, some, scale);
            let y = |i: usize| to.add(*panel.outs.as_ptr().add(first + place(i) / NV) as usize);
            if NV == 4 && (SIMPLE || panel.lanes >= 64) {
                _mm512_storeu_si512(y(0).cast(), bytes);
                continue;
            }
            for (i, part) in parts(bytes).into_iter().enumerate().take(MR * NV - 4 * four) {
                let v = place(i) % NV;
                let lanes = if SIMPLE { 16 } else { panel.lanes.saturating_sub(16 * v) };
                store_part(part, y(i).wrapping_add(16 * v), lanes);
            }
        }
    }
}

/// Four vectors of sums to bytes, those of one vector after those of the one before; `SIMPLE`: for a
/// [simple] output.
///
/// [simple]: Output::is_simple
///
/// # Safety
/// The caller has the features.
#[inline(always)]
pub(in super::super) unsafe fn requantize<const SIMPLE: bool>(
    output: Output,
    sums: [__m512i; 4],
    scales: [__m512; 4],
) -> __m512i {
    // SAFETY: as the caller says.
    unsafe {
        // No closures: the compiler may leave them as calls, and then without the features.
        let mut scaled = scales;
        for (scaled, sums) in scaled.iter_mut().zip(sums) {
            *scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), *scaled);
        }
        if !SIMPLE && !output.fits() {
            // What is too large would become negative; what is too small becomes the lowest anyway.
            let high = _mm512_set1_ps(output.bounds()[1]);
            for scaled in &mut scaled {
                *scaled = _mm512_min_ps(*scaled, high);
            }
        }
        let mut steps = sums;
        for (steps, scaled) in steps.iter_mut().zip(scaled) {
            *steps = _mm512_cvtps_epi32(scaled);
        }
        let zero_point = _mm512_set1_epi16(output.zero_point() as i16);
        let lower = _mm512_adds_epi16(_mm512_packs_epi32(steps[0], steps[1]), zero_point);
        let upper = _mm512_adds_epi16(_mm512_packs_epi32(steps[2], steps[3]), zero_point);
        let mut bytes = _mm512_packs_epi16(lower, upper);
        // Packing saturates.
        if !SIMPLE && !output.is_unbounded() {
            let [low, high] = output.range();
            bytes = _mm512_max_epi8(bytes, _mm512_set1_epi8(low));
            bytes = _mm512_min_epi8(bytes, _mm512_set1_epi8(high));
        }
        // Packing works within 128 bits, so the quarters have to be put in order.
        let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_permutexvar_epi32(order, bytes)
    }
}

/// The quarters of a vector.
///
/// # Safety
/// The caller has the features.
#[inline(always)]
pub(in super::super) unsafe fn parts(bytes: __m512i) -> [__m128i; 4] {
    // SAFETY: as the caller says.
    unsafe {
        [
            _mm512_castsi512_si128(bytes),
            _mm512_extracti32x4_epi32::<1>(bytes),
            _mm512_extracti32x4_epi32::<2>(bytes),
            _mm512_extracti32x4_epi32::<3>(bytes),
        ]
    }
}

/// The first `lanes` bytes, at most 16.
///
/// # Safety
/// `y` has room for them; the caller has the features.
#[inline(always)]
pub(in super::super) unsafe fn store_part(bytes: __m128i, y: *mut i8, lanes: usize) {
    // SAFETY: as the caller says; masked lanes are not written.
    unsafe {
        if lanes >= 16 {
            _mm_storeu_si128(y.cast(), bytes);
        } else {
            _mm_mask_storeu_epi8(y, ((1u32 << lanes) - 1) as u16, bytes);
        }
    }
}

/// The sum of the values of each row times `factor`; `deltas` and `run` are those of a [`Panel`].
///
/// # Safety
/// Segments of all `rows` can be read; the CPU has the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn sums(
    x: *const u8,
    rows: &[u32],
    (deltas, run): (&[u32], usize),
    factor: i32,
    sums: &mut [i32],
) {
    let (whole, mask) = ((run - 1) / 32, u32::MAX >> (31 - (run - 1) % 32));
    let zero = _mm256_setzero_si256();
    for (sum, &row) in sums.iter_mut().zip(rows) {
        // SAFETY: as the caller says; what the mask leaves out is not read.
        unsafe {
            let (mut x, mut all) = (x.add(row as usize), zero);
            for &delta in deltas {
                x = x.add(delta as usize);
                for chunk in 0..whole {
                    let values = _mm256_loadu_si256(x.add(32 * chunk).cast());
                    all = _mm256_add_epi64(all, _mm256_sad_epu8(values, zero));
                }
                let values = _mm256_maskz_loadu_epi8(mask, x.add(32 * whole).cast());
                all = _mm256_add_epi64(all, _mm256_sad_epu8(values, zero));
            }
            let all =
                _mm_add_epi64(_mm256_castsi256_si128(all), _mm256_extracti128_si256::<1>(all));
            let all = _mm_add_epi64(all, _mm_unpackhi_epi64(all, all));
            *sum = _mm_cvtsi128_si32(all).wrapping_mul(factor);
        }
    }
}

/// Runs tiles of `$lanes` vectors over rows of `$panel` from `$first` on, of the heights given, tallest first.
macro_rules! rows {
    ($panel:ident, $first:expr, $lanes:literal, [$($height:literal),*]) => {{
        let (mut first, count) = ($first, $panel.rows.len());
        $(
            let tiles = (count - first) / $height;
            if tiles > 0 {
                tile::<$height, $lanes>($panel, first, tiles);
                first += tiles * $height;
            }
        )*
        debug_assert_eq!(first, count);
    }};
}

/// All rows of the panel by a block of `lanes` filters.
///
/// # Safety
/// The CPU has the features; the panel is as [`Panel`] says.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn block(panel: &Panel<'_>, lanes: usize) {
    // SAFETY: as the caller says.
    unsafe {
        match lanes {
            16 => rows!(panel, 0, 1, [12, 8, 4, 2, 1]),
            32 => rows!(panel, 0, 2, [12, 8, 4, 2, 1]),
            _ => {
                // One row alone would wait for its weights, which come from the second cache: 7 are 4 and 3, 5 are 3 and 2.
                let count = panel.rows.len();
                let sixes = (count / 6).saturating_sub(usize::from(count % 6 == 1));
                tile::<6, 4>(panel, 0, sixes);
                match count - 6 * sixes {
                    5 => rows!(panel, 6 * sixes, 4, [3, 2]),
                    _ => rows!(panel, 6 * sixes, 4, [4, 3, 2, 1]),
                }
            }
        }
    }
}

/// Rows of signed values, each on its own, through all of `blocks`, which the panel begins with.
///
/// # Safety
/// The CPU has the features; the panel is as [`Panel`] says.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn flipped(panel: &Panel<'_>, blocks: &[Block]) {
    // SAFETY: as the caller says; blocks lie side by side.
    unsafe {
        for row in 0..panel.rows.len() {
            let mut panel = *panel;
            for block in blocks {
                match block.lanes {
                    16 => flipped_row::<1>(&panel, row),
                    32 => flipped_row::<2>(&panel, row),
                    _ => flipped_row::<4>(&panel, row),
                }
                panel.weights = panel.weights.get_unchecked(block.bytes..);
                panel.bias = panel.bias.get_unchecked(block.lanes..);
                panel.scales = panel.scales.get_unchecked(block.lanes..);
                panel.lanes = panel.lanes.saturating_sub(block.lanes);
                panel.y = match panel.y {
                    To::Bytes(y) => To::Bytes(y.wrapping_add(block.lanes)),
                    To::Sums(y) => To::Sums(y.wrapping_add(block.lanes)),
                };
            }
        }
    }
}

/// One row by the first `16 * NV` lanes.
///
/// # Safety
/// As for [`flipped`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn flipped_row<const NV: usize>(panel: &Panel<'_>, row: usize) {
    // SAFETY: as the caller says.
    unsafe {
        let x = panel.x.add(*panel.rows.as_ptr().add(row) as usize);
        let mut w = panel.weights.as_ptr();
        let mut sums = [[_mm512_setzero_si512(); NV]; 1];
        for v in 0..NV {
            sums[0][v] = _mm512_loadu_si512(panel.bias.as_ptr().add(16 * v).cast());
        }
        for k in 0..panel.run / 4 {
            flipped_group(&mut sums[0], x.add(4 * k), w);
            w = w.add(64 * NV);
        }
        if !panel.run.is_multiple_of(4) {
            // The last four values; the weights of those that were read before are 0.
            flipped_group(&mut sums[0], x.add(panel.run).sub(4), w);
        }
        store(panel, row, sums);
    }
}

/// One group of a row of signed values.
///
/// # Safety
/// As for [`group`].
#[inline(always)]
unsafe fn flipped_group<const NV: usize>(sums: &mut [__m512i; NV], x: *const u8, w: *const i8) {
    // SAFETY: as the caller says.
    unsafe {
        let values = _mm512_set1_epi32(x.cast::<i32>().read_unaligned());
        let values = _mm512_xor_si512(values, _mm512_set1_epi8(i8::MIN));
        for v in 0..NV {
            let w = _mm512_loadu_si512(w.add(64 * v).cast());
            sums[v] = _mm512_dpbusd_epi32(sums[v], values, w);
        }
    }
}
