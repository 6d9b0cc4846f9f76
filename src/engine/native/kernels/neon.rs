//! What the kernels of 64-bit ARM have in common.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::output::Output;

macro_rules! product {
    ($name:ident, $instruction:literal, $lanes:literal) => {
        /// The 16-bit products of one half of the lanes.
        #[inline(always)]
        pub(super) fn $name(a: int8x16_t, b: int8x16_t) -> int16x8_t {
            let product: int16x8_t;
            // SAFETY: registers only, and an instruction that the architecture has.
            unsafe {
                asm!(concat!($instruction, " {0:v}.8h, {1:v}.", $lanes, ", {2:v}.", $lanes),
                    out(vreg) product, in(vreg) a, in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags));
            }
            product
        }
    };
}
macro_rules! accumulate {
    ($name:ident, $instruction:literal, $lanes:literal) => {
        /// The 16-bit products of one half of the lanes, added to `sum`.
        #[inline(always)]
        pub(super) fn $name(mut sum: int16x8_t, a: int8x16_t, b: int8x16_t) -> int16x8_t {
            // SAFETY: registers only, and an instruction that the architecture has.
            unsafe {
                asm!(concat!($instruction, " {0:v}.8h, {1:v}.", $lanes, ", {2:v}.", $lanes),
                    inout(vreg) sum, in(vreg) a, in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags));
            }
            sum
        }
    };
}
product!(smull, "smull", "8b");
product!(smull2, "smull2", "16b");
accumulate!(smlal, "smlal", "8b");
accumulate!(smlal2, "smlal2", "16b");

/// Adds pairs of neighbours to 32-bit lanes.
#[inline(always)]
pub(super) fn sadalp(mut sum: int32x4_t, pairs: int16x8_t) -> int32x4_t {
    // SAFETY: registers only, and an instruction that the architecture has.
    unsafe {
        asm!("sadalp {0:v}.4s, {1:v}.8h", inout(vreg) sum, in(vreg) pairs,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

macro_rules! load {
    ($name:ident, $lanes:literal) => {
        /// Values at `from`, which goes on by `step`: as many as the name says.
        ///
        /// # Safety
        /// They can be read.
        #[inline(always)]
        pub(super) unsafe fn $name(from: &mut *const i8, step: usize) -> int8x16_t {
            let values: int8x16_t;
            // SAFETY: as the caller says.
            unsafe {
                asm!(concat!("ld1 {{{0:v}.", $lanes, "}}, [{1}], {2}"),
                    out(vreg) values, inout(reg) *from, in(reg) step,
                    options(readonly, nostack, preserves_flags));
            }
            values
        }
    };
}
load!(load_eight, "8b");
load!(load_sixteen, "16b");

/// Stores half `HALF` of `values` at `to`, which goes on by `step`.
///
/// # Safety
/// There is room for eight.
#[inline(always)]
pub(super) unsafe fn store_eight<const HALF: usize>(
    values: int8x16_t,
    to: &mut *mut i8,
    step: usize,
) {
    // SAFETY: as the caller says.
    unsafe {
        if HALF == 0 {
            asm!("st1 {{{0:v}.8b}}, [{1}], {2}", in(vreg) values, inout(reg) *to, in(reg) step,
                options(nostack, preserves_flags));
        } else {
            asm!("st1 {{{0:v}.d}}[1], [{1}], {2}", in(vreg) values, inout(reg) *to, in(reg) step,
                options(nostack, preserves_flags));
        }
    }
}

/// The same pointer, of which the compiler knows nothing: keeps it from making an induction variable
/// of each address that is formed from it.
#[inline(always)]
pub(super) fn opaque<T>(mut pointer: *const T) -> *const T {
    // SAFETY: does nothing.
    unsafe {
        asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
    }
    pointer
}

/// Adds bytes to sums: what the compiler makes no vectors of.
#[inline(always)]
pub(super) fn add_bytes(sums: &mut [i32; 16], x: &[i8; 16]) {
    // SAFETY: both are as long as what is loaded and stored.
    unsafe {
        let x = vld1q_s8(x.as_ptr());
        let (low, high) = (vmovl_s8(vget_low_s8(x)), vmovl_high_s8(x));
        let to = sums.as_mut_ptr();
        let sum = |i: usize| vld1q_s32(to.add(4 * i));
        vst1q_s32(to, vaddw_s16(sum(0), vget_low_s16(low)));
        vst1q_s32(to.add(4), vaddw_high_s16(sum(1), low));
        vst1q_s32(to.add(8), vaddw_s16(sum(2), vget_low_s16(high)));
        vst1q_s32(to.add(12), vaddw_high_s16(sum(3), high));
    }
}

/// Added to a float below 2^22 it leaves the rounded integer in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// [`Output`] in registers.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    /// Steps fit 16 bits, whatever the input.
    short: bool,
    /// [`MAGIC`] and the even part of the zero point: an odd one would turn halves to odd integers.
    rounding: float32x4_t,
    odd: bool,
    zero_point: int16x8_t,
    clamps: bool,
    low: int8x16_t,
    high: int8x16_t,
}

impl Bytes {
    /// `short`: all sums with their scales are what [`Output::is_short`] says.
    #[inline(always)]
    pub(super) fn new(output: Output, short: bool) -> Self {
        let [low, high] = output.range();
        let zero_point = output.zero_point();
        // SAFETY: NEON is part of the architecture.
        unsafe {
            Self {
                short,
                rounding: vdupq_n_f32(MAGIC + (zero_point & !1) as f32),
                odd: zero_point & 1 != 0,
                zero_point: vdupq_n_s16(zero_point as i16),
                clamps: [low, high] != [i8::MIN, i8::MAX],
                low: vdupq_n_s8(low),
                high: vdupq_n_s8(high),
            }
        }
    }

    /// Only scaling and rounding are left: steps are short, the zero point is even, no bounds.
    pub(super) fn is_simple(output: Output, short: bool) -> bool {
        short && output.zero_point() & 1 == 0 && output.range() == [i8::MIN, i8::MAX]
    }

    /// The same where [`Bytes::is_simple`] holds, known to the compiler.
    #[inline(always)]
    pub(super) fn simple(output: Output) -> Self {
        Self { short: true, odd: false, clamps: false, ..Self::new(output, true) }
    }

    /// Rows of sums to 16-bit steps with the zero point added; of `V` vectors the first half is filled.
    #[inline(always)]
    pub(super) fn halves<const ROWS: usize, const V: usize>(
        self,
        sums: &[[int32x4_t; V]; ROWS],
        scales: &[float32x4_t; V],
    ) -> [[int16x8_t; V]; ROWS] {
        // SAFETY: NEON is part of the architecture.
        unsafe {
            let mut halves = [[vdupq_n_s16(0); V]; ROWS];
            if !self.short {
                for v in 0..V / 2 {
                    for i in 0..ROWS {
                        let step = |v: usize| vcvtnq_s32_f32(scaled(sums[i][v], scales[v]));
                        // Saturating, so that clamping can wait.
                        let steps = vqmovn_high_s32(vqmovn_s32(step(2 * v)), step(2 * v + 1));
                        halves[i][v] = vqaddq_s16(steps, self.zero_point);
                    }
                }
                return halves;
            }
            // By columns: then few scales are in registers at a time.
            for v in 0..V / 2 {
                for i in 0..ROWS {
                    let step = |v: usize| {
                        let rounded = vaddq_f32(scaled(sums[i][v], scales[v]), self.rounding);
                        vreinterpretq_s16_f32(rounded)
                    };
                    halves[i][v] = vuzp1q_s16(step(2 * v), step(2 * v + 1));
                }
            }
            if self.odd {
                for i in 0..ROWS {
                    for v in 0..V / 2 {
                        halves[i][v] = vaddq_s16(halves[i][v], vdupq_n_s16(1));
                    }
                }
            }
            halves
        }
    }

    /// Two of [`Bytes::halves`] to bytes, which [`Bytes::clamp`] wants to see.
    #[inline(always)]
    pub(super) fn narrow(self, low: int16x8_t, high: int16x8_t) -> int8x16_t {
        // SAFETY: NEON is part of the architecture.
        unsafe { vqmovn_high_s16(vqmovn_s16(low), high) }
    }

    /// Brings rows of bytes within the bounds.
    #[inline(always)]
    pub(super) fn clamp<const ROWS: usize, const V: usize>(
        self,
        rows: &mut [[int8x16_t; V]; ROWS],
    ) {
        if !self.clamps {
            return;
        }
        for i in 0..ROWS {
            for v in 0..V {
                // SAFETY: NEON is part of the architecture.
                rows[i][v] = unsafe { vminq_s8(vmaxq_s8(rows[i][v], self.low), self.high) };
            }
        }
    }
}

/// Sums in steps of the output.
#[inline(always)]
fn scaled(sums: int32x4_t, scales: float32x4_t) -> float32x4_t {
    // SAFETY: NEON is part of the architecture.
    unsafe { vmulq_f32(vcvtq_f32_s32(sums), scales) }
}
