//! Loops compiled for AVX2.
#![allow(unsafe_code)]

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
