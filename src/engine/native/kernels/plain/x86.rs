//! Loops compiled for AVX2.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::isa::{Isa, Set};
use super::Plain;

/// With vectors of 32 bytes, where `isa` has them.
#[inline]
pub(super) fn avx2(isa: Isa, plain: impl Plain) {
    #[target_feature(enable = "avx2,fma")]
    fn run(plain: impl Plain) {
        plain.run();
    }
    assert!(matches!(isa.set(), Set::Avx2 | Set::AvxVnni | Set::Avx512Vnni), "{isa:?}");
    // SAFETY: an `Isa` of these sets is proof that the CPU has AVX2 and FMA.
    unsafe { run(plain) }
}

/// Adds bytes to sums, with the vectors that every x86-64 has: the compiler makes none of it.
#[inline(always)]
pub(super) fn add_bytes(sums: &mut [i32; 16], x: &[i8; 16]) {
    let (to, _) = sums.as_chunks_mut::<4>();
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| bytemuck::cast::<[i32; 4], __m128i>(to[i]));
    let x: __m128i = bytemuck::cast(*x);
    // SAFETY: every x86-64 has SSE2.
    let sums = unsafe {
        let signs = _mm_cmpgt_epi8(_mm_setzero_si128(), x);
        let (low, high) = (_mm_unpacklo_epi8(x, signs), _mm_unpackhi_epi8(x, signs));
        let (low_signs, high_signs) = (_mm_srai_epi16::<15>(low), _mm_srai_epi16::<15>(high));
        [
            _mm_add_epi32(a, _mm_unpacklo_epi16(low, low_signs)),
            _mm_add_epi32(b, _mm_unpackhi_epi16(low, low_signs)),
            _mm_add_epi32(c, _mm_unpacklo_epi16(high, high_signs)),
            _mm_add_epi32(d, _mm_unpackhi_epi16(high, high_signs)),
        ]
    };
    for (to, sums) in to.iter_mut().zip(sums) {
        *to = bytemuck::cast(sums);
    }
}
