//! Vectors of floats, as the kernels see them.
#![allow(unsafe_code)]

/// Some neighbouring floats in one register.
///
/// # Safety
/// Methods may only be called, and so inlined, where the CPU has the instructions; pointers have as
/// many floats as the method says.
pub(super) trait Lanes: Copy {
    /// How many.
    const COUNT: usize;
    /// Four values of which each is multiplied with all lanes.
    type Four: Copy;

    /// The same value in all lanes.
    unsafe fn splat(value: f32) -> Self;
    /// `COUNT` floats.
    unsafe fn load(from: *const f32) -> Self;
    /// `COUNT` floats.
    unsafe fn store(self, to: *mut f32);
    /// The first `count` of them.
    unsafe fn store_part(self, to: *mut f32, count: usize);
    /// `self + x · w`, rounded once.
    unsafe fn fma(self, x: Self, w: Self) -> Self;
    /// Four floats.
    unsafe fn four(from: *const f32) -> Self::Four;
    /// `self + x[LANE] · w`, rounded once.
    unsafe fn fma_lane<const LANE: usize>(self, x: Self::Four, w: Self) -> Self;
    /// Between `low` and `high`; NaN stays.
    unsafe fn clamp(self, low: Self, high: Self) -> Self;
}

/// The specification: one float.
impl Lanes for f32 {
    const COUNT: usize = 1;
    type Four = [f32; 4];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        value
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller says.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller says.
        unsafe { *to = self }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        if count > 0 {
            // SAFETY: as the caller says.
            unsafe { *to = self }
        }
    }

    #[inline(always)]
    unsafe fn fma(self, x: Self, w: Self) -> Self {
        x.mul_add(w, self)
    }

    #[inline(always)]
    unsafe fn four(from: *const f32) -> [f32; 4] {
        // SAFETY: as the caller says.
        unsafe { from.cast::<[f32; 4]>().read() }
    }

    #[inline(always)]
    unsafe fn fma_lane<const LANE: usize>(self, x: [f32; 4], w: Self) -> Self {
        x[LANE].mul_add(w, self)
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        if self < low {
            low
        } else if self > high {
            high
        } else {
            self
        }
    }
}
