//! Depthwise convolution with AVX-512: 16 channels in the 32-bit lanes of a vector.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::array::from_fn;

use super::super::gemm::{
    parts_avx512 as parts, requantize_avx512 as requantize, store_part_avx512 as store_part,
};
use super::super::output::Output;
use super::Depthwise;

/// The constants of one block of lanes.
#[derive(Clone, Copy)]
struct Block {
    weights: *const i32,
    /// Lanes from tap to tap.
    row: usize,
    bias: __m512i,
    scale: __m512,
    output: Output,
    lanes: usize,
}

impl Block {
    /// Sixteen values as 32-bit lanes.
    ///
    /// # Safety
    /// There are 16 bytes at `x`; the caller has the features, here and below.
    #[inline(always)]
    unsafe fn load(x: *const i8) -> __m512i {
        // SAFETY: as the caller says.
        unsafe { _mm512_cvtepi8_epi32(_mm_loadu_si128(x.cast())) }
    }

    #[inline(always)]
    unsafe fn weight(&self, tap: usize) -> __m512i {
        // SAFETY: each tap has a row of weights, and a block fits into it.
        unsafe { _mm512_loadu_si512(self.weights.add(tap * self.row).cast()) }
    }

    /// Up to four vectors of sums to bytes, from `y` on so many places apart.
    #[inline(always)]
    unsafe fn store<const N: usize>(&self, sums: [__m512i; N], y: *mut i8, step: usize) {
        // SAFETY: `y` has room for the lanes of each.
        unsafe {
            let sums = [0, 1, 2, 3].map(|i: usize| sums[i.min(N - 1)]);
            let bytes = parts(requantize::<false>(self.output, sums, [self.scale; 4]));
            for (i, &bytes) in bytes.iter().enumerate().take(N) {
                store_part(bytes, y.wrapping_add(i * step), self.lanes);
            }
        }
    }
}

/// All outputs.
///
/// # Safety
/// The CPU has the features; windows and outputs lie in `x` and `y`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn run(of: &Depthwise, weights: &[i32], x: *const i8, y: *mut i8) {
    // SAFETY: as the caller says.
    unsafe {
        match (of.walk.a.taps, of.walk.shared) {
            (3, Some(1)) => lines(of, weights, x, y, shared::<3, 1, 6, 4>, shared::<3, 1, 3, 1>),
            (3, Some(2)) => lines(of, weights, x, y, shared::<3, 2, 9, 4>, shared::<3, 2, 3, 1>),
            (5, Some(1)) => lines(of, weights, x, y, shared::<5, 1, 8, 4>, shared::<5, 1, 5, 1>),
            (5, Some(2)) => lines(of, weights, x, y, shared::<5, 2, 11, 4>, shared::<5, 2, 5, 1>),
            _ => lines(of, weights, x, y, any::<4>, any::<1>),
        }
    }
}

/// Computes outputs along `a`, from one place on.
type Tile = unsafe fn(&Depthwise, &Block, *const i8, *mut i8);

/// Goes over all places with `four` outputs at once, and `one`.
///
/// # Safety
/// As for [`run`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
unsafe fn lines(of: &Depthwise, weights: &[i32], x: *const i8, y: *mut i8, four: Tile, one: Tile) {
    // SAFETY: as the caller says; blocks lie in the lanes and in the constants.
    unsafe {
        let walk = &of.walk;
        for b in 0..walk.b.count {
            for [first, constant, lanes] in walk.blocks() {
                let block = Block {
                    weights: weights.as_ptr().add(constant),
                    row: walk.row(),
                    bias: _mm512_loadu_si512(of.bias.as_ptr().add(constant).cast()),
                    scale: _mm512_loadu_ps(of.scales.as_ptr().add(constant)),
                    output: of.output,
                    lanes,
                };
                let mut x = x.add(b * walk.b.step + first);
                let mut y = y.add(b * walk.b.step_out + first);
                let mut left = walk.a.count;
                while left >= 4 {
                    four(of, &block, x, y);
                    x = x.wrapping_add(4 * walk.a.step);
                    y = y.wrapping_add(4 * walk.a.step_out);
                    left -= 4;
                }
                for _ in 0..left {
                    one(of, &block, x, y);
                    x = x.wrapping_add(walk.a.step);
                    y = y.wrapping_add(walk.a.step_out);
                }
            }
        }
    }
}

/// `TILE` outputs of `TAPS` taps along `a`, `STRIDE` taps apart: their `LOADS` inputs are loaded once.
///
/// # Safety
/// As for [`run`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn shared<const TAPS: usize, const STRIDE: usize, const LOADS: usize, const TILE: usize>(
    of: &Depthwise,
    block: &Block,
    x: *const i8,
    y: *mut i8,
) {
    const { assert!(LOADS == (TILE - 1) * STRIDE + TAPS) };
    let (a, b) = (of.walk.a, of.walk.b);
    // SAFETY: as the caller says.
    unsafe {
        let mut sums = [block.bias; TILE];
        for row in 0..b.taps {
            let x = x.add(row * b.tap);
            let mut values = [_mm512_setzero_si512(); LOADS];
            for (i, value) in values.iter_mut().enumerate() {
                *value = Block::load(x.add(i * a.tap));
            }
            for tap in 0..TAPS {
                let weight = block.weight(row * TAPS + tap);
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_dpwssd_epi32(*sum, values[i * STRIDE + tap], weight);
                }
            }
        }
        block.store(sums, y, a.step_out);
    }
}

/// `TILE` outputs along `a`, whatever the window.
///
/// # Safety
/// As for [`run`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn any<const TILE: usize>(of: &Depthwise, block: &Block, x: *const i8, y: *mut i8) {
    // SAFETY: as the caller says.
    unsafe {
        let mut sums = [block.bias; TILE];
        for (tap, &place) in of.walk.taps.iter().enumerate() {
            let (x, weight) = (x.add(place as usize), block.weight(tap));
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_dpwssd_epi32(*sum, Block::load(x.add(i * of.walk.a.step)), weight);
            }
        }
        block.store(sums, y, of.walk.a.step_out);
    }
}

/// All outputs of a window of 3 by 3 with a stride of 1; see [`super::fours`].
///
/// `TWICE`: weights are the sum of two; otherwise the second ones are not read.
///
/// # Safety
/// As for [`run`]; there is a block of lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn run_fours<const TWICE: bool>(
    of: &Depthwise,
    weights: [&[i8]; 2],
    x: *const i8,
    y: *mut i8,
) {
    let count = of.walk.b.count;
    // SAFETY: as the caller says.
    unsafe {
        for pair in 0..count / 2 {
            rows_fours::<TWICE, 2>(of, weights, 2 * pair, x, y);
        }
        if count % 2 == 1 {
            rows_fours::<TWICE, 1>(of, weights, count - 1, x, y);
        }
    }
}

/// `ROWS` rows of outputs, two or one, from `row` on.
///
/// Columns of the rows under them stay in registers while the window slides over them.
///
/// # Safety
/// As for [`run_fours`]; these rows are outputs.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn rows_fours<const TWICE: bool, const ROWS: usize>(
    of: &Depthwise,
    weights: [&[i8]; 2],
    row: usize,
    x: *const i8,
    y: *mut i8,
) {
    let (a, b) = (of.walk.a, of.walk.b);
    // Four rows of 16 bytes to 16 lanes of 4: dwords first, then bytes within 128 bits.
    let dwords = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let bytes = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let bytes = _mm512_broadcast_i32x4(bytes);
    let flip = _mm512_set1_epi8(-128);
    for (block, [first, constant, _]) in of.walk.blocks().enumerate() {
        // SAFETY: as the caller says; blocks lie in the lanes and in the constants.
        unsafe {
            let load = |weights: &[i8]| -> [[__m512i; ROWS]; 3] {
                let w = weights.as_ptr().add(block * 3 * 2 * 64);
                from_fn(|column| {
                    from_fn(|row| _mm512_loadu_si512(w.add((column * 2 + row) * 64).cast()))
                })
            };
            let w = load(weights[0]);
            let more = if TWICE { load(weights[1]) } else { w };
            let bias = _mm512_loadu_si512(of.bias.as_ptr().add(constant).cast());
            let scale = _mm512_loadu_ps(of.scales.as_ptr().add(constant));
            let mut at = x.add(row * b.step + first);
            let mut to = y.add(row * b.step_out + first);
            let mut column = || {
                // A single row of outputs has no weights for the fourth.
                let rows = [0, 1, 2, ROWS + 1];
                let rows = rows.map(|i| _mm_loadu_si128(at.wrapping_add(i * b.tap).cast()));
                at = at.wrapping_add(a.tap);
                let rows01 = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(rows[0]), rows[1]);
                let rows23 = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(rows[2]), rows[3]);
                let all = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(rows01), rows23);
                let all = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(dwords, all), bytes);
                _mm512_xor_si512(all, flip)
            };
            let mut output = |x0: __m512i, x1: __m512i, x2: __m512i| {
                let mut sums = [bias; ROWS];
                for (row, sum) in sums.iter_mut().enumerate() {
                    for (column, x) in [x0, x1, x2].into_iter().enumerate() {
                        *sum = _mm512_dpbusd_epi32(*sum, x, w[column][row]);
                        if TWICE {
                            *sum = _mm512_dpbusd_epi32(*sum, x, more[column][row]);
                        }
                    }
                }
                let sums = [0, 1, 0, 1].map(|row: usize| sums[row.min(ROWS - 1)]);
                let rows = parts(requantize::<false>(of.output, sums, [scale; 4]));
                for (row, &values) in rows.iter().enumerate().take(ROWS) {
                    _mm_storeu_si128(to.wrapping_add(row * b.step_out).cast(), values);
                }
                to = to.wrapping_add(a.step_out);
            };
            let (mut x0, mut x1) = (column(), column());
            let mut left = a.count;
            // Three at a time, so that columns need not move between registers.
            while left >= 3 {
                let x2 = column();
                output(x0, x1, x2);
                x0 = column();
                output(x1, x2, x0);
                x1 = column();
                output(x2, x0, x1);
                left -= 3;
            }
            if left > 0 {
                let x2 = column();
                output(x0, x1, x2);
                if left > 1 {
                    x0 = column();
                    output(x1, x2, x0);
                }
            }
        }
    }
}
