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

/// [`Output`] in registers.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    zero_point: int16x8_t,
    low: int8x16_t,
    high: int8x16_t,
}

impl Bytes {
    #[inline(always)]
    pub(super) fn new(output: Output) -> Self {
        let [low, high] = output.range();
        // SAFETY: NEON is part of the architecture.
        unsafe {
            Self {
                zero_point: vdupq_n_s16(output.zero_point() as i16),
                low: vdupq_n_s8(low),
                high: vdupq_n_s8(high),
            }
        }
    }

    /// Sums to 16-bit steps with the zero point added. Conversions saturate, so that clamping can wait.
    #[inline(always)]
    pub(super) fn halves(self, sums: [int32x4_t; 2], scales: [float32x4_t; 2]) -> int16x8_t {
        // SAFETY: NEON is part of the architecture.
        unsafe {
            let step = |i: usize| vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[i]), scales[i]));
            vqaddq_s16(vqmovn_high_s32(vqmovn_s32(step(0)), step(1)), self.zero_point)
        }
    }

    /// Two of [`Bytes::halves`] to bytes.
    #[inline(always)]
    pub(super) fn narrow(self, low: int16x8_t, high: int16x8_t) -> int8x16_t {
        // SAFETY: NEON is part of the architecture.
        unsafe {
            let bytes = vqmovn_high_s16(vqmovn_s16(low), high);
            vminq_s8(vmaxq_s8(bytes, self.low), self.high)
        }
    }
}
