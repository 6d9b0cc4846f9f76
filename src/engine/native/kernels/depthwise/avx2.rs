//! Depthwise convolution with AVX2: 16 channels in the 32-bit lanes of two vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::gemm::{requantize, store_part};
use super::Depthwise;

/// The constants of one block of lanes.
#[derive(Clone, Copy)]
struct Block {
    weights: *const i32,
    /// Lanes from tap to tap.
    row: usize,
    bias: [__m256i; 2],
    scales: [__m256; 2],
    lanes: usize,
}

impl Block {
    /// Sixteen values as 32-bit lanes.
    ///
    /// # Safety
    /// There are 16 bytes at `x`; the caller has AVX2, here and below.
    #[inline(always)]
    unsafe fn load(x: *const i8) -> [__m256i; 2] {
        // SAFETY: as the caller says.
        unsafe { [0, 8].map(|at| _mm256_cvtepi8_epi32(_mm_loadl_epi64(x.add(at).cast()))) }
    }

    #[inline(always)]
    unsafe fn weight(&self, tap: usize) -> [__m256i; 2] {
        // SAFETY: each tap has a row of weights, and a block fits into it.
        unsafe {
            let row = self.weights.add(tap * self.row);
            [0, 8].map(|at| _mm256_loadu_si256(row.add(at).cast()))
        }
    }

    #[inline(always)]
    unsafe fn add(sum: &mut [__m256i; 2], x: [__m256i; 2], w: [__m256i; 2]) {
        // SAFETY: as the caller says.
        unsafe {
            for half in 0..2 {
                sum[half] = _mm256_add_epi32(sum[half], _mm256_madd_epi16(x[half], w[half]));
            }
        }
    }
}

/// All outputs.
///
/// # Safety
/// The CPU has AVX2; windows and outputs lie in `x` and `y`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn run(of: &Depthwise, weights: &[i32], x: *const i8, y: *mut i8) {
    // SAFETY: as the caller says.
    unsafe {
        match (of.walk.a.taps, of.walk.shared) {
            (3, Some(1)) => lines(of, weights, x, y, shared::<3, 1, 4, 2>, shared::<3, 1, 3, 1>),
            (3, Some(2)) => lines(of, weights, x, y, shared::<3, 2, 5, 2>, shared::<3, 2, 3, 1>),
            _ => lines(of, weights, x, y, any::<2>, any::<1>),
        }
    }
}

/// Computes outputs along `a`, from one place on.
type Tile = unsafe fn(&Depthwise, &Block, *const i8, *mut i8);

/// Goes over all places with `two` outputs at once, and `one`.
///
/// # Safety
/// As for [`run`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn lines(of: &Depthwise, weights: &[i32], x: *const i8, y: *mut i8, two: Tile, one: Tile) {
    // SAFETY: as the caller says; blocks lie in the lanes and in the constants.
    unsafe {
        let walk = &of.walk;
        for b in 0..walk.b.count {
            for [first, constant, lanes] in walk.blocks() {
                let (bias, scales) = (of.bias.as_ptr(), of.scales.as_ptr());
                let block = Block {
                    weights: weights.as_ptr().add(constant),
                    row: walk.row(),
                    bias: [0, 8].map(|at| _mm256_loadu_si256(bias.add(constant + at).cast())),
                    scales: [0, 8].map(|at| _mm256_loadu_ps(scales.add(constant + at))),
                    lanes,
                };
                let mut x = x.add(b * walk.b.step + first);
                let mut y = y.add(b * walk.b.step_out + first);
                let mut left = walk.a.count;
                while left >= 2 {
                    two(of, &block, x, y);
                    x = x.wrapping_add(2 * walk.a.step);
                    y = y.wrapping_add(2 * walk.a.step_out);
                    left -= 2;
                }
                if left > 0 {
                    one(of, &block, x, y);
                }
            }
        }
    }
}

/// `TILE` outputs of `TAPS` taps along `a`, `STRIDE` taps apart: their `LOADS` inputs are loaded once.
///
/// # Safety
/// As for [`run`].
#[target_feature(enable = "avx2")]
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
            // Input by input: 16 registers do not hold them all.
            for i in 0..LOADS {
                let value = Block::load(x.add(i * a.tap));
                for (out, sum) in sums.iter_mut().enumerate() {
                    if i >= out * STRIDE && i < out * STRIDE + TAPS {
                        let weight = block.weight(row * TAPS + i - out * STRIDE);
                        Block::add(sum, value, weight);
                    }
                }
            }
        }
        for (i, &sum) in sums.iter().enumerate() {
            let bytes = requantize(of.output, sum, block.scales);
            store_part(bytes, y.add(i * a.step_out), block.lanes);
        }
    }
}

/// `TILE` outputs along `a`, whatever the window.
///
/// # Safety
/// As for [`run`].
#[target_feature(enable = "avx2")]
unsafe fn any<const TILE: usize>(of: &Depthwise, block: &Block, x: *const i8, y: *mut i8) {
    // SAFETY: as the caller says.
    unsafe {
        let mut sums = [block.bias; TILE];
        for (tap, &place) in of.walk.taps.iter().enumerate() {
            let (x, weight) = (x.add(place as usize), block.weight(tap));
            for (i, sum) in sums.iter_mut().enumerate() {
                Block::add(sum, Block::load(x.add(i * of.walk.a.step)), weight);
            }
        }
        for (i, &sum) in sums.iter().enumerate() {
            let bytes = requantize(of.output, sum, block.scales);
            store_part(bytes, y.add(i * of.walk.a.step_out), block.lanes);
        }
    }
}
