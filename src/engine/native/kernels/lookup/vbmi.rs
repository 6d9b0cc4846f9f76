//! 64 answers at once with AVX512-VBMI.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::isa::{Isa, Set};

/// Proof that the CPU has AVX512-VBMI, and that it may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vbmi(());

impl Vbmi {
    /// Where `isa` is AVX-512 and the CPU has this part of it, too.
    pub(super) fn detect(isa: Isa) -> Option<Self> {
        let has = isa.set() == Set::Avx512Vnni && is_x86_feature_detected!("avx512vbmi");
        has.then_some(Self(()))
    }

    /// `y[i] = answers[x[i]]`; both have one length.
    pub(super) fn apply(self, answers: &[u8; 256], x: &[u8], y: &mut [u8]) {
        assert_eq!(x.len(), y.len());
        // SAFETY: `self` proves the features; `y` is as long as `x`.
        unsafe { look_up(answers, x.as_ptr(), y.as_mut_ptr(), x.len()) }
    }

    /// `bytes[i] = answers[bytes[i]]`.
    pub(super) fn apply_over(self, answers: &[u8; 256], bytes: &mut [u8]) {
        let y = bytes.as_mut_ptr();
        // SAFETY: as above; each vector is read before it is written.
        unsafe { look_up(answers, y, y, bytes.len()) }
    }
}

/// # Safety
/// The CPU has the features; `x` may be read and `y` written for `len` bytes, and `y` is `x` or apart
/// from it.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn look_up(answers: &[u8; 256], x: *const u8, y: *mut u8, len: usize) {
    // SAFETY: places are below `len`, masks leave out what is beyond; the table has 256 bytes.
    unsafe {
        let quarter = |i: usize| _mm512_loadu_si512(answers.as_ptr().add(64 * i).cast());
        let (a, b, c, d) = (quarter(0), quarter(1), quarter(2), quarter(3));
        let answer = |x: __m512i| {
            let low = _mm512_permutex2var_epi8(a, x, b);
            let high = _mm512_permutex2var_epi8(c, x, d);
            _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high)
        };
        let mut at = 0;
        while at + 64 <= len {
            let values = _mm512_loadu_si512(x.add(at).cast());
            _mm512_storeu_si512(y.add(at).cast(), answer(values));
            at += 64;
        }
        if at < len {
            let mask = (1u64 << (len - at)) - 1;
            let values = _mm512_maskz_loadu_epi8(mask, x.add(at).cast());
            _mm512_mask_storeu_epi8(y.add(at).cast(), mask, answer(values));
        }
    }
}
