//! Floats with NEON.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::lanes::Lanes;
use super::tiles::{Lines, Panel, depthwise, tiles};

impl Lanes for float32x4_t {
    const COUNT: usize = 4;
    type Four = float32x4_t;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: NEON is part of the architecture, here and below.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller says.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller says.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        // SAFETY: as the caller says.
        unsafe {
            if count > 0 {
                vst1q_lane_f32::<0>(to, self);
            }
            if count > 1 {
                vst1q_lane_f32::<1>(to.add(1), self);
            }
            if count > 2 {
                vst1q_lane_f32::<2>(to.add(2), self);
            }
            if count > 3 {
                vst1q_lane_f32::<3>(to.add(3), self);
            }
        }
    }

    #[inline(always)]
    unsafe fn fma(self, x: Self, w: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe { vfmaq_f32(self, x, w) }
    }

    #[inline(always)]
    unsafe fn four(from: *const f32) -> Self {
        // SAFETY: as the caller says.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn fma_lane<const LANE: usize>(self, x: Self, w: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe {
            match LANE {
                0 => vfmaq_laneq_f32::<0>(self, w, x),
                1 => vfmaq_laneq_f32::<1>(self, w, x),
                2 => vfmaq_laneq_f32::<2>(self, w, x),
                _ => vfmaq_laneq_f32::<3>(self, w, x),
            }
        }
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: as the caller says. NaN passes through both.
        unsafe { vminq_f32(vmaxq_f32(self, low), high) }
    }
}

/// All rows of the panel by a block of `vectors` vectors.
///
/// # Safety
/// The panel is as [`Panel`] says.
#[target_feature(enable = "neon")]
pub(super) unsafe fn block(panel: &Panel<'_>, vectors: usize) {
    // SAFETY: as the caller says.
    unsafe {
        match vectors {
            1 => {
                let next = tiles::<float32x4_t, 8, 1>(panel, 0);
                let next = tiles::<float32x4_t, 2, 1>(panel, next);
                tiles::<float32x4_t, 1, 1>(panel, next);
            }
            2 => {
                let next = tiles::<float32x4_t, 8, 2>(panel, 0);
                let next = tiles::<float32x4_t, 4, 2>(panel, next);
                tiles::<float32x4_t, 1, 2>(panel, next);
            }
            _ => {
                let next = tiles::<float32x4_t, 4, 4>(panel, 0);
                tiles::<float32x4_t, 1, 4>(panel, next);
            }
        }
    }
}

/// A depthwise convolution.
///
/// # Safety
/// As for [`depthwise`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn depthwise_neon(of: &Lines<'_>) {
    // SAFETY: as the caller says.
    unsafe { depthwise::<float32x4_t>(of) }
}
