//! Floats with AVX2 and FMA, and with AVX-512.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::lanes::Lanes;
use super::tiles::{Lines, Panel, depthwise, tiles};

impl Lanes for __m256 {
    const COUNT: usize = 8;
    type Four = *const f32;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller has the instructions, here and below.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller says.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller says.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        let mut all = [0.0; 8];
        // SAFETY: as the caller says.
        unsafe {
            _mm256_storeu_ps(all.as_mut_ptr(), self);
            std::ptr::copy_nonoverlapping(all.as_ptr(), to, count.min(8));
        }
    }

    #[inline(always)]
    unsafe fn fma(self, x: Self, w: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { _mm256_fmadd_ps(x, w, self) }
    }

    #[inline(always)]
    unsafe fn four(from: *const f32) -> *const f32 {
        from
    }

    #[inline(always)]
    unsafe fn fma_lane<const LANE: usize>(self, x: *const f32, w: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { _mm256_fmadd_ps(_mm256_set1_ps(*x.add(LANE)), w, self) }
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: as the caller says. Where one is NaN, the second operand is taken.
        unsafe { _mm256_min_ps(high, _mm256_max_ps(low, self)) }
    }
}

impl Lanes for __m512 {
    const COUNT: usize = 16;
    type Four = *const f32;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller has the instructions, here and below.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller says.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller says.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        let mask = ((1u32 << count.min(16)) - 1) as u16;
        // SAFETY: as the caller says.
        unsafe { _mm512_mask_storeu_ps(to, mask, self) }
    }

    #[inline(always)]
    unsafe fn fma(self, x: Self, w: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { _mm512_fmadd_ps(x, w, self) }
    }

    #[inline(always)]
    unsafe fn four(from: *const f32) -> *const f32 {
        from
    }

    #[inline(always)]
    unsafe fn fma_lane<const LANE: usize>(self, x: *const f32, w: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { _mm512_fmadd_ps(_mm512_set1_ps(*x.add(LANE)), w, self) }
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: as the caller says. Where one is NaN, the second operand is taken.
        unsafe { _mm512_min_ps(high, _mm512_max_ps(low, self)) }
    }
}

/// All rows of the panel by a block of `vectors` vectors.
///
/// # Safety
/// The CPU has AVX2 and FMA; the panel is as [`Panel`] says.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn block_avx2(panel: &Panel<'_>, vectors: usize) {
    // SAFETY: as the caller says.
    unsafe {
        match vectors {
            1 => {
                let next = tiles::<__m256, 8, 1>(panel, 0);
                let next = tiles::<__m256, 2, 1>(panel, next);
                tiles::<__m256, 1, 1>(panel, next);
            }
            2 => {
                let next = tiles::<__m256, 6, 2>(panel, 0);
                let next = tiles::<__m256, 3, 2>(panel, next);
                tiles::<__m256, 1, 2>(panel, next);
            }
            _ => {
                let next = tiles::<__m256, 2, 4>(panel, 0);
                tiles::<__m256, 1, 4>(panel, next);
            }
        }
    }
}

/// All rows of the panel by a block of `vectors` vectors.
///
/// # Safety
/// The CPU has AVX-512; the panel is as [`Panel`] says.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn block_avx512(panel: &Panel<'_>, vectors: usize) {
    // SAFETY: as the caller says.
    unsafe {
        match vectors {
            1 => {
                let next = tiles::<__m512, 12, 1>(panel, 0);
                let next = tiles::<__m512, 4, 1>(panel, next);
                tiles::<__m512, 1, 1>(panel, next);
            }
            2 => {
                let next = tiles::<__m512, 12, 2>(panel, 0);
                let next = tiles::<__m512, 4, 2>(panel, next);
                tiles::<__m512, 1, 2>(panel, next);
            }
            _ => {
                let next = tiles::<__m512, 6, 4>(panel, 0);
                let next = tiles::<__m512, 3, 4>(panel, next);
                tiles::<__m512, 1, 4>(panel, next);
            }
        }
    }
}

/// A depthwise convolution.
///
/// # Safety
/// The CPU has AVX2 and FMA; as for [`depthwise`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn depthwise_avx2(of: &Lines<'_>) {
    // SAFETY: as the caller says.
    unsafe { depthwise::<__m256>(of) }
}

/// A depthwise convolution.
///
/// # Safety
/// The CPU has AVX-512; as for [`depthwise`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn depthwise_avx512(of: &Lines<'_>) {
    // SAFETY: as the caller says.
    unsafe { depthwise::<__m512>(of) }
}
