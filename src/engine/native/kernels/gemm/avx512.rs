//! Products with AVX512-VNNI: 16 lanes in a vector, four products for each lane at once.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

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

/// The sums of a tile to bytes.
///
/// # Safety
/// Rows `first..first + MR` of the panel exist and have room in the output.
#[inline(always)]
unsafe fn store<const MR: usize, const NV: usize>(
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
        let to = match panel.y {
            To::Bytes(y) => y,
            To::Sums(y) => {
                for v in 0..NV {
                    let lanes = panel.lanes.saturating_sub(16 * v).min(16);
                    let mask = ((1u32 << lanes) - 1) as u16;
                    for i in 0..MR {
                        let y = y.add(*panel.outs.as_ptr().add(first + i) as usize);
                        _mm512_mask_storeu_epi32(y.wrapping_add(16 * v), mask, sums[i][v]);
                    }
                }
                return;
            }
        };
        let [low, high] = panel.output.bounds().map(|bound| _mm512_set1_ps(bound));
        let zero_point = _mm512_set1_epi32(panel.output.zero_point());
        for v in 0..NV {
            let scale = _mm512_loadu_ps(panel.scales.as_ptr().add(16 * v));
            let lanes = panel.lanes.saturating_sub(16 * v).min(16);
            let mask = ((1u32 << lanes) - 1) as u16;
            for i in 0..MR {
                let steps = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i][v]), scale);
                let steps = _mm512_max_ps(_mm512_min_ps(steps, high), low);
                let value = _mm512_add_epi32(_mm512_cvtps_epi32(steps), zero_point);
                let y = to.add(*panel.outs.as_ptr().add(first + i) as usize);
                let y = y.wrapping_add(16 * v);
                _mm512_mask_cvtepi32_storeu_epi8(y.cast(), mask, value);
            }
        }
    }
}

/// Runs tiles of `$lanes` vectors over all rows of `$panel`, of the heights given, tallest first.
macro_rules! rows {
    ($panel:ident, $lanes:literal, [$($height:literal),*]) => {{
        let (mut first, count) = (0, $panel.rows.len());
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
            16 => rows!(panel, 1, [12, 8, 4, 2, 1]),
            32 => rows!(panel, 2, [12, 8, 4, 2, 1]),
            _ => rows!(panel, 4, [6, 4, 2, 1]),
        }
    }
}
