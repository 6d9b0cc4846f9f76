//! Depthwise convolution with NEON: 16 channels in a vector.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::super::neon::{Bytes, load_sixteen, opaque, smlal, smlal2, smull, smull2};
use super::{Depthwise, LANES};

/// Sixteen sums.
type Sums = [int32x4_t; 4];

/// The constants of one block of lanes.
struct Block<W> {
    weights: *const W,
    /// Lanes from tap to tap.
    row: usize,
    bias: *const i32,
    scales: *const f32,
    bytes: Bytes,
    lanes: usize,
}

impl<W> Block<W> {
    #[inline(always)]
    unsafe fn bias(&self) -> Sums {
        let bias = opaque(self.bias);
        // SAFETY: constants have lanes for a whole block.
        unsafe { [0, 4, 8, 12].map(|at| vld1q_s32(bias.add(at))) }
    }

    /// Sums of `TILE` outputs to bytes, `step` apart.
    #[inline(always)]
    unsafe fn store<const TILE: usize, const PART: bool>(
        &self,
        sums: &[Sums; TILE],
        y: *mut i8,
        step: usize,
    ) {
        let scales = opaque(self.scales);
        // SAFETY: constants have lanes for a whole block, `y` has room for the outputs.
        unsafe {
            let scales = [0, 4, 8, 12].map(|at| vld1q_f32(scales.add(at)));
            let halves = self.bytes.halves(sums, &scales);
            let mut rows = halves.map(|[low, high, ..]| [self.bytes.narrow(low, high)]);
            self.bytes.clamp(&mut rows);
            let mut y = y;
            for [row] in rows {
                if PART {
                    let mut all = [0i8; LANES];
                    vst1q_s8(all.as_mut_ptr(), row);
                    std::ptr::copy_nonoverlapping(all.as_ptr(), y, self.lanes);
                } else {
                    vst1q_s8(y, row);
                }
                y = y.wrapping_add(step);
            }
        }
    }
}

/// Adds 16-bit lanes to sums.
#[inline(always)]
fn widen(sums: &mut Sums, of: [int16x8_t; 2]) {
    // SAFETY: NEON is part of the architecture.
    unsafe {
        sums[0] = vaddw_s16(sums[0], vget_low_s16(of[0]));
        sums[1] = vaddw_high_s16(sums[1], of[0]);
        sums[2] = vaddw_s16(sums[2], vget_low_s16(of[1]));
        sums[3] = vaddw_high_s16(sums[3], of[1]);
    }
}

#[inline(always)]
fn products(x: int8x16_t, w: int8x16_t) -> [int16x8_t; 2] {
    [smull(x, w), smull2(x, w)]
}

#[inline(always)]
fn add_products(sum: [int16x8_t; 2], x: int8x16_t, w: int8x16_t) -> [int16x8_t; 2] {
    [smlal(sum[0], x, w), smlal2(sum[1], x, w)]
}

/// Computes outputs along `a`, from one place on.
trait Tile<W> {
    /// How many.
    const OUTPUTS: usize;

    /// Weights that stay in registers.
    type Held: Copy;

    /// # Safety
    /// The block has a row of weights for each tap.
    unsafe fn hold(block: &Block<W>) -> Self::Held;

    /// # Safety
    /// Windows and outputs lie in `x` and `y`.
    unsafe fn run(of: &Depthwise, block: &Block<W>, held: Self::Held, x: *const i8, y: *mut i8);
}

/// Goes over all places with tiles `T`, and single outputs `O`.
///
/// # Safety
/// Windows and outputs lie in `x` and `y`.
#[inline(always)]
unsafe fn lines<W, T: Tile<W>, O: Tile<W>>(
    of: &Depthwise,
    bytes: Bytes,
    weights: &[W],
    x: *const i8,
    y: *mut i8,
) {
    let walk = &of.walk;
    for b in 0..walk.b.count {
        for [first, constant, lanes] in walk.blocks() {
            // SAFETY: as the caller says; blocks lie in the lanes and in the constants.
            unsafe {
                let block = Block {
                    weights: weights.as_ptr().add(constant),
                    row: walk.row(),
                    bias: of.bias.as_ptr().add(constant),
                    scales: of.scales.as_ptr().add(constant),
                    bytes,
                    lanes,
                };
                let mut x = x.add(b * walk.b.step + first);
                let mut y = y.add(b * walk.b.step_out + first);
                let mut left = walk.a.count;
                let held = T::hold(&block);
                while left >= T::OUTPUTS {
                    T::run(of, &block, held, x, y);
                    x = x.wrapping_add(T::OUTPUTS * walk.a.step);
                    y = y.wrapping_add(T::OUTPUTS * walk.a.step_out);
                    left -= T::OUTPUTS;
                }
                if left == 0 {
                    continue;
                }
                let held = O::hold(&block);
                for _ in 0..left {
                    O::run(of, &block, held, x, y);
                    x = x.wrapping_add(walk.a.step);
                    y = y.wrapping_add(walk.a.step_out);
                }
            }
        }
    }
}

/// All outputs of windows of 3 by 3, `STRIDE` taps apart; `SIMPLE` where [`Bytes::is_simple`] holds.
///
/// # Safety
/// Windows and outputs lie in `x` and `y`.
#[target_feature(enable = "neon")]
unsafe fn squares<const STRIDE: usize, const LOADS: usize, const SIMPLE: bool>(
    of: &Depthwise,
    weights: &[i8],
    x: *const i8,
    y: *mut i8,
) {
    let bytes = if SIMPLE { Bytes::simple(of.output) } else { Bytes::new(of.output, of.short) };
    // SAFETY: as the caller says.
    unsafe {
        lines::<_, Square<STRIDE, LOADS, 2>, Square<STRIDE, 3, 1>>(of, bytes, weights, x, y);
    }
}

/// All outputs, from weights of which two products fit 16 bits.
///
/// # Safety
/// Windows and outputs lie in `x` and `y`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run_narrow(of: &Depthwise, weights: &[i8], x: *const i8, y: *mut i8) {
    // SAFETY: as the caller says.
    unsafe {
        let bytes = Bytes::new(of.output, of.short);
        let simple = Bytes::is_simple(of.output, of.short);
        match (of.walk.a.taps, of.walk.b.taps, of.walk.shared) {
            _ if of.walk.lanes < LANES => {
                lines::<_, Narrow<1, true>, Narrow<1, true>>(of, bytes, weights, x, y);
            }
            (3, 3, Some(1)) if simple => squares::<1, 4, true>(of, weights, x, y),
            (3, 3, Some(2)) if simple => squares::<2, 5, true>(of, weights, x, y),
            (3, 3, Some(1)) => squares::<1, 4, false>(of, weights, x, y),
            (3, 3, Some(2)) => squares::<2, 5, false>(of, weights, x, y),
            _ => lines::<_, Narrow<4, false>, Narrow<1, false>>(of, bytes, weights, x, y),
        }
    }
}

/// All outputs, from any weights.
///
/// # Safety
/// Windows and outputs lie in `x` and `y`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run_wide(of: &Depthwise, weights: &[i16], x: *const i8, y: *mut i8) {
    // SAFETY: as the caller says.
    unsafe {
        let bytes = Bytes::new(of.output, of.short);
        match (of.walk.a.taps, of.walk.shared) {
            _ if of.walk.lanes < LANES => {
                lines::<_, Wide<1, true>, Wide<1, true>>(of, bytes, weights, x, y);
            }
            (3, Some(1)) => {
                lines::<_, WideThree<1, 6, 4>, Wide<1, false>>(of, bytes, weights, x, y)
            }
            (3, Some(2)) => {
                lines::<_, WideThree<2, 5, 2>, Wide<1, false>>(of, bytes, weights, x, y)
            }
            _ => lines::<_, Wide<4, false>, Wide<1, false>>(of, bytes, weights, x, y),
        }
    }
}

/// Windows of 3 by 3, `STRIDE` taps apart: the `LOADS` inputs of a row are loaded once, and products
/// are chained in pairs through all nine taps.
struct Square<const STRIDE: usize, const LOADS: usize, const TILE: usize>;

impl<const STRIDE: usize, const LOADS: usize, const TILE: usize> Tile<i8>
    for Square<STRIDE, LOADS, TILE>
{
    const OUTPUTS: usize = TILE;
    type Held = [int8x16_t; 9];

    #[inline(always)]
    unsafe fn hold(block: &Block<i8>) -> Self::Held {
        // SAFETY: as the caller says.
        unsafe { std::array::from_fn(|tap| vld1q_s8(block.weights.add(tap * block.row))) }
    }

    #[inline(always)]
    unsafe fn run(of: &Depthwise, block: &Block<i8>, held: Self::Held, x: *const i8, y: *mut i8) {
        const { assert!(LOADS == (TILE - 1) * STRIDE + 3) };
        // SAFETY: as the caller says; nine rows of weights.
        unsafe {
            let (step, line) = (of.walk.a.tap, of.walk.b.tap);
            let mut sums = [block.bias(); TILE];
            let mut pending = [[vdupq_n_s16(0); 2]; TILE];
            macro_rules! row {
                ($row:literal) => {{
                    let x = opaque(x.add($row * line));
                    let mut values = [vdupq_n_s8(0); LOADS];
                    for (i, value) in values.iter_mut().enumerate() {
                        *value = vld1q_s8(x.add(i * step));
                    }
                    for tap in 0..3 {
                        let weight = held[$row * 3 + tap];
                        for i in 0..TILE {
                            let x = values[i * STRIDE + tap];
                            if ($row * 3 + tap) % 2 == 0 {
                                pending[i] = products(x, weight);
                            } else {
                                widen(&mut sums[i], add_products(pending[i], x, weight));
                            }
                        }
                    }
                }};
            }
            row!(0);
            row!(1);
            row!(2);
            for i in 0..TILE {
                widen(&mut sums[i], pending[i]);
            }
            block.store::<TILE, false>(&sums, y, of.walk.a.step_out);
        }
    }
}

/// Any window, taps in pairs.
struct Narrow<const TILE: usize, const PART: bool>;

impl<const TILE: usize, const PART: bool> Tile<i8> for Narrow<TILE, PART> {
    const OUTPUTS: usize = TILE;
    type Held = ();

    #[inline(always)]
    unsafe fn hold(_: &Block<i8>) -> Self::Held {}

    #[inline(always)]
    unsafe fn run(of: &Depthwise, block: &Block<i8>, (): (), x: *const i8, y: *mut i8) {
        // SAFETY: as the caller says; a row of weights for each tap.
        unsafe {
            let step = of.walk.a.step;
            let mut sums = [block.bias(); TILE];
            let mut w = block.weights;
            let (pairs, last) = of.walk.taps.as_chunks::<2>();
            for &[first, second] in pairs {
                let weights = [vld1q_s8(w), vld1q_s8(w.add(block.row))];
                w = w.wrapping_add(2 * block.row);
                let mut at = [x.add(first as usize), x.add(second as usize)];
                for sum in &mut sums {
                    let products = products(load_sixteen(&mut at[0], step), weights[0]);
                    widen(sum, add_products(products, load_sixteen(&mut at[1], step), weights[1]));
                }
            }
            if let [last] = last {
                let (weight, mut at) = (vld1q_s8(w), x.add(*last as usize));
                for sum in &mut sums {
                    widen(sum, products(load_sixteen(&mut at, step), weight));
                }
            }
            block.store::<TILE, PART>(&sums, y, of.walk.a.step_out);
        }
    }
}

/// Sixteen values as 16-bit lanes.
///
/// # Safety
/// There are 16 bytes at `x`.
#[inline(always)]
unsafe fn load_wide(x: *const i8) -> [int16x8_t; 2] {
    // SAFETY: as the caller says.
    unsafe {
        let x = vld1q_s8(x);
        [vmovl_s8(vget_low_s8(x)), vmovl_high_s8(x)]
    }
}

/// `sums += x · w`.
#[inline(always)]
fn accumulate(sums: &mut Sums, x: [int16x8_t; 2], w: [int16x8_t; 2]) {
    // SAFETY: NEON is part of the architecture.
    unsafe {
        for half in 0..2 {
            let (x, w) = (x[half], w[half]);
            sums[2 * half] = vmlal_s16(sums[2 * half], vget_low_s16(x), vget_low_s16(w));
            sums[2 * half + 1] = vmlal_high_s16(sums[2 * half + 1], x, w);
        }
    }
}

/// Rows of three taps, `STRIDE` taps apart, with weights of any size: `LOADS` inputs are widened once.
struct WideThree<const STRIDE: usize, const LOADS: usize, const TILE: usize>;

impl<const STRIDE: usize, const LOADS: usize, const TILE: usize> Tile<i16>
    for WideThree<STRIDE, LOADS, TILE>
{
    const OUTPUTS: usize = TILE;
    type Held = ();

    #[inline(always)]
    unsafe fn hold(_: &Block<i16>) -> Self::Held {}

    #[inline(always)]
    unsafe fn run(of: &Depthwise, block: &Block<i16>, (): (), x: *const i8, y: *mut i8) {
        const { assert!(LOADS == (TILE - 1) * STRIDE + 3) };
        // SAFETY: as the caller says; a row of weights for each tap.
        unsafe {
            let mut sums = [block.bias(); TILE];
            let mut w = block.weights;
            for row in 0..of.walk.b.taps {
                let x = x.add(row * of.walk.b.tap);
                let weights = [0, 1, 2].map(|tap| {
                    let w = w.add(tap * block.row);
                    [vld1q_s16(w), vld1q_s16(w.add(8))]
                });
                w = w.wrapping_add(3 * block.row);
                for i in 0..LOADS {
                    let value = load_wide(x.add(i * of.walk.a.tap));
                    for (out, sum) in sums.iter_mut().enumerate() {
                        if i >= out * STRIDE && i < out * STRIDE + 3 {
                            accumulate(sum, value, weights[i - out * STRIDE]);
                        }
                    }
                }
            }
            block.store::<TILE, false>(&sums, y, of.walk.a.step_out);
        }
    }
}

/// Any window, with weights of any size.
struct Wide<const TILE: usize, const PART: bool>;

impl<const TILE: usize, const PART: bool> Tile<i16> for Wide<TILE, PART> {
    const OUTPUTS: usize = TILE;
    type Held = ();

    #[inline(always)]
    unsafe fn hold(_: &Block<i16>) -> Self::Held {}

    #[inline(always)]
    unsafe fn run(of: &Depthwise, block: &Block<i16>, (): (), x: *const i8, y: *mut i8) {
        // SAFETY: as the caller says; a row of weights for each tap.
        unsafe {
            let mut sums = [block.bias(); TILE];
            let mut w = block.weights;
            for &tap in of.walk.taps.iter() {
                let weights = [vld1q_s16(w), vld1q_s16(w.add(8))];
                w = w.wrapping_add(block.row);
                let mut x = x.add(tap as usize);
                for sum in &mut sums {
                    accumulate(sum, load_wide(x), weights);
                    x = x.wrapping_add(of.walk.a.step);
                }
            }
            block.store::<TILE, PART>(&sums, y, of.walk.a.step_out);
        }
    }
}
