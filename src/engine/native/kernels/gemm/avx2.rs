//! Products with 256-bit vectors: AVX2 multiplies 16-bit values, AVX-VNNI has 8-bit dot products.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::panel::{Panel, To};

/// What differs: a group is four bytes of a row, for each of 8 lanes in a vector.
trait Dot {
    /// Bytes of the weights of 8 lanes.
    const WEIGHTS: usize;
    /// Bytes of a value.
    const VALUE: usize;

    /// Loads the weights of 8 lanes.
    unsafe fn load(w: *const i8) -> __m256i;

    /// `sums + x · w` for each lane.
    unsafe fn dot(sums: __m256i, x: __m256i, w: __m256i) -> __m256i;
}

/// Two products of 16 bits for each lane.
struct Pairs;

impl Dot for Pairs {
    const WEIGHTS: usize = 16;
    const VALUE: usize = 2;

    #[inline(always)]
    unsafe fn load(w: *const i8) -> __m256i {
        // SAFETY: the caller has AVX2, and 16 bytes there.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(w.cast())) }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(x, w)) }
    }
}

/// Four products of 8 bits for each lane.
struct Fours;

impl Dot for Fours {
    const WEIGHTS: usize = 32;
    const VALUE: usize = 1;

    #[inline(always)]
    unsafe fn load(w: *const i8) -> __m256i {
        // SAFETY: the caller has AVX2, and 32 bytes there.
        unsafe { _mm256_loadu_si256(w.cast()) }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: the caller has AVX-VNNI.
        unsafe { _mm256_dpbusd_avx_epi32(sums, x, w) }
    }
}

/// [`Fours`] in the encoding of AVX-512: lets machines without AVX-VNNI test its kernels.
#[cfg(test)]
struct FoursAvx512;

#[cfg(test)]
impl Dot for FoursAvx512 {
    const WEIGHTS: usize = 32;
    const VALUE: usize = 1;

    #[inline(always)]
    unsafe fn load(w: *const i8) -> __m256i {
        // SAFETY: the caller has AVX2, and 32 bytes there.
        unsafe { _mm256_loadu_si256(w.cast()) }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: the caller has AVX512-VNNI and VL.
        unsafe { _mm256_dpbusd_epi32(sums, x, w) }
    }
}

/// One group for all rows and lanes; `x` tells where row i has its four bytes.
///
/// # Safety
/// `w` points to the weights of `NV` vectors, `x` to four bytes; the caller has the target features.
#[inline(always)]
unsafe fn group<D: Dot, const MR: usize, const NV: usize>(
    sums: &mut [[__m256i; NV]; MR],
    x: impl Fn(usize) -> *const u8,
    w: *const i8,
) {
    // SAFETY: as the caller says.
    unsafe {
        let mut weights = [_mm256_setzero_si256(); NV];
        for v in 0..NV {
            weights[v] = D::load(w.add(D::WEIGHTS * v));
        }
        for i in 0..MR {
            let values = _mm256_set1_epi32(x(i).cast::<i32>().read_unaligned());
            for v in 0..NV {
                sums[i][v] = D::dot(sums[i][v], values, weights[v]);
            }
        }
    }
}

/// `tiles` tiles of `MR` rows by `8 * NV` lanes, from row `first` on.
///
/// # Safety
/// The caller has the features; the rows exist; see [`Panel`].
#[inline(always)]
unsafe fn tile<D: Dot, const MR: usize, const NV: usize>(
    panel: &Panel<'_>,
    first: usize,
    tiles: usize,
) {
    let run = panel.run * D::VALUE;
    let (groups, rest) = (run / 4, !run.is_multiple_of(4));
    // SAFETY: offsets lie in the input; the weights have a vector for each 8 lanes and group.
    unsafe {
        for tile in 0..tiles {
            let row = first + tile * MR;
            let mut x = [panel.x; MR];
            for i in 0..MR {
                x[i] = x[i].add(*panel.rows.as_ptr().add(row + i) as usize * D::VALUE);
            }
            let mut sums = [[_mm256_setzero_si256(); NV]; MR];
            for v in 0..NV {
                let bias = _mm256_loadu_si256(panel.bias.as_ptr().add(8 * v).cast());
                for i in 0..MR {
                    sums[i][v] = bias;
                }
            }
            let mut w = panel.weights.as_ptr();
            for &delta in panel.deltas {
                for i in 0..MR {
                    x[i] = x[i].add(delta as usize * D::VALUE);
                }
                for k in 0..groups {
                    group::<D, MR, NV>(&mut sums, |i| x[i].add(4 * k), w);
                    w = w.add(D::WEIGHTS * NV);
                }
                if rest {
                    // The last four bytes of the segment; what was read before has weights 0.
                    let last = |i: usize| x[i].wrapping_add(run).wrapping_sub(4);
                    group::<D, MR, NV>(&mut sums, last, w);
                    w = w.add(D::WEIGHTS * NV);
                }
            }
            store(panel, row, sums);
        }
    }
}

/// The sums of a tile to bytes.
///
/// # Safety
/// Rows `first..first + MR` of the panel exist and have room in the output; the caller has AVX2.
#[inline(always)]
unsafe fn store<const MR: usize, const NV: usize>(
    panel: &Panel<'_>,
    first: usize,
    mut sums: [[__m256i; NV]; MR],
) {
    // SAFETY: as the caller says; scales has all lanes of the block.
    unsafe {
        if !panel.sums.is_empty() {
            for i in 0..MR {
                let add = _mm256_set1_epi32(*panel.sums.as_ptr().add(first + i));
                for v in 0..NV {
                    sums[i][v] = _mm256_add_epi32(sums[i][v], add);
                }
            }
        }
        let to = match panel.y {
            To::Bytes(y) => y,
            To::Sums(y) => return store_sums(panel, y, first, &sums),
        };
        for v in (0..NV).step_by(2) {
            let scales = [0, 8].map(|at| _mm256_loadu_ps(panel.scales.as_ptr().add(8 * v + at)));
            let lanes = panel.lanes.saturating_sub(8 * v);
            for i in 0..MR {
                let bytes = requantize(panel.output, [sums[i][v], sums[i][v + 1]], scales);
                let y = to.add(*panel.outs.as_ptr().add(first + i) as usize);
                store_part(bytes, y.wrapping_add(8 * v), lanes);
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
    sums: &[[__m256i; NV]; MR],
) {
    const PLACES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: as the caller says; masked lanes are not written.
    unsafe {
        for v in 0..NV {
            let lanes = panel.lanes.saturating_sub(8 * v).min(8);
            let mask = _mm256_loadu_si256(PLACES.as_ptr().add(8 - lanes).cast());
            for i in 0..MR {
                let y = y.add(*panel.outs.as_ptr().add(first + i) as usize);
                _mm256_maskstore_epi32(y.wrapping_add(8 * v), mask, sums[i][v]);
            }
        }
    }
}

/// Sixteen sums to bytes.
///
/// # Safety
/// The caller has AVX2.
#[inline(always)]
pub(in super::super) unsafe fn requantize(
    output: super::super::output::Output,
    sums: [__m256i; 2],
    scales: [__m256; 2],
) -> __m128i {
    // SAFETY: as the caller says.
    unsafe {
        let mut scaled = scales;
        for (scaled, sums) in scaled.iter_mut().zip(sums) {
            *scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), *scaled);
        }
        if !output.fits() {
            // What is too large would become negative; what is too small becomes the lowest anyway.
            let high = _mm256_set1_ps(output.bounds()[1]);
            for scaled in &mut scaled {
                *scaled = _mm256_min_ps(*scaled, high);
            }
        }
        let halves =
            _mm256_packs_epi32(_mm256_cvtps_epi32(scaled[0]), _mm256_cvtps_epi32(scaled[1]));
        // Packing works within 128 bits, so the quarters have to be put in order.
        let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(halves);
        let halves = _mm256_adds_epi16(halves, _mm256_set1_epi16(output.zero_point() as i16));
        let [lower, upper] =
            [_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves)];
        let mut bytes = _mm_packs_epi16(lower, upper);
        // Packing saturates.
        if !output.is_unbounded() {
            let [low, high] = output.range();
            bytes = _mm_min_epi8(_mm_max_epi8(bytes, _mm_set1_epi8(low)), _mm_set1_epi8(high));
        }
        bytes
    }
}

/// The first `lanes` bytes, at most 16.
///
/// # Safety
/// `y` has room for them.
#[inline(always)]
pub(in super::super) unsafe fn store_part(bytes: __m128i, y: *mut i8, lanes: usize) {
    // SAFETY: as the caller says.
    unsafe {
        if lanes >= 16 {
            _mm_storeu_si128(y.cast(), bytes);
        } else {
            let mut all = [0i8; 16];
            _mm_storeu_si128(all.as_mut_ptr().cast(), bytes);
            std::ptr::copy_nonoverlapping(all.as_ptr(), y, lanes);
        }
    }
}

/// Runs tiles of `$lanes` vectors over all rows of `$panel`, of the heights given, tallest first.
macro_rules! rows {
    ($panel:ident, $dot:ty, $lanes:literal, [$($height:literal),*]) => {{
        let (mut first, count) = (0, $panel.rows.len());
        $(
            let tiles = (count - first) / $height;
            if tiles > 0 {
                tile::<$dot, $height, $lanes>($panel, first, tiles);
                first += tiles * $height;
            }
        )*
        debug_assert_eq!(first, count);
    }};
}

macro_rules! block {
    ($name:ident, $dot:ty, $features:literal) => {
        /// All rows of the panel by a block of `lanes` filters.
        ///
        /// # Safety
        /// The CPU has the features; the panel is as [`Panel`] says.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(panel: &Panel<'_>, lanes: usize) {
            // SAFETY: as the caller says.
            unsafe {
                match lanes {
                    16 => rows!(panel, $dot, 2, [6, 4, 2, 1]),
                    _ => rows!(panel, $dot, 4, [2, 1]),
                }
            }
        }
    };
}

block!(block_avx2, Pairs, "avx2");
#[cfg(not(test))]
block!(block_vnni, Fours, "avx2,avxvnni");
#[cfg(test)]
block!(block_vnni_itself, Fours, "avx2,avxvnni");
#[cfg(test)]
block!(block_vnni_avx512, FoursAvx512, "avx2,avx512vl,avx512vnni");

/// With AVX-VNNI, or the same in the encoding of AVX-512.
///
/// # Safety
/// The CPU has one of them; the panel is as [`Panel`] says.
#[cfg(test)]
pub(super) unsafe fn block_vnni(panel: &Panel<'_>, lanes: usize) {
    // SAFETY: as the caller says.
    unsafe {
        if is_x86_feature_detected!("avxvnni") {
            block_vnni_itself(panel, lanes);
        } else {
            block_vnni_avx512(panel, lanes);
        }
    }
}
