//! Plain loops that are compiled once for each instruction set: the compiler makes vectors of them.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::isa::Set;

/// A loop that the compiler can vectorize.
///
/// It gives the same bytes whatever it is compiled for: the compiler neither reorders nor fuses
/// operations on floats.
pub(crate) trait Plain {
    /// Carries it out. Has to be `#[inline(always)]`, as all that it calls in the loop: only what
    /// becomes part of the caller is compiled for the caller's instructions.
    fn run(self);
}

/// A closure that calls nothing that is not inlined, and itself is `#[inline(always)]`: of its own the
/// compiler inlines it only where it is small. Not `FnOnce`: what adapts a closure to that is a function
/// around it, which is not inlined.
impl<F: FnMut()> Plain for F {
    #[inline(always)]
    fn run(mut self) {
        self();
    }
}

impl Isa {
    /// Carries out `plain` with the vectors of this set: those of AVX2 also where there are longer ones,
    /// which were no quicker. What is compiled for 64-bit ARM has its vectors anyway.
    #[inline]
    pub(crate) fn run(self, plain: impl Plain) {
        match self.set() {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni | Set::Avx512Vnni => x86::avx2(self, plain),
            _ => plain.run(),
        }
    }
}

/// Adds each of `x` to each of `sums`, which wrap.
#[inline(always)]
pub(crate) fn add_bytes<const N: usize>(sums: &mut [i32; N], x: &[i8; N]) {
    #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
    if let (sums, []) = sums.as_chunks_mut() {
        for (sums, x) in sums.iter_mut().zip(x.as_chunks().0) {
            #[cfg(target_arch = "aarch64")]
            super::neon::add_bytes(sums, x);
            #[cfg(target_arch = "x86_64")]
            x86::add_bytes(sums, x);
        }
        return;
    }
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum = sum.wrapping_add(i32::from(x));
    }
}
