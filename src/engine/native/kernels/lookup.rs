//! Functions of one byte, looked up in a table of all 256 answers.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod vbmi;

use std::fmt;

use super::isa::Isa;
#[cfg(target_arch = "aarch64")]
use super::isa::Set;

/// The answers, in the order of the bytes as they lie in memory.
#[derive(Clone)]
pub(crate) struct Lookup {
    answers: Box<[u8; 256]>,
    by: By,
}

/// How they are looked up.
#[derive(Clone, Copy, Debug)]
enum By {
    /// One byte after the other.
    Bytes,
    #[cfg(target_arch = "x86_64")]
    Vbmi(vbmi::Vbmi),
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("by", &self.by).finish_non_exhaustive()
    }
}

impl Lookup {
    /// A table of `answers`.
    pub(crate) fn new(isa: Isa, answers: Box<[u8; 256]>) -> Self {
        #[cfg(target_arch = "x86_64")]
        let by = vbmi::Vbmi::detect(isa).map_or(By::Bytes, By::Vbmi);
        #[cfg(target_arch = "aarch64")]
        let by = if isa.set() == Set::Scalar { By::Bytes } else { By::Neon };
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let by = By::Bytes;
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = isa;
        Self { answers, by }
    }

    /// The answer for `x`.
    #[inline(always)]
    pub(crate) fn answer(&self, x: u8) -> u8 {
        self.answers[usize::from(x)]
    }

    /// `y[i]` is the answer for `x[i]`.
    pub(crate) fn apply(&self, x: &[u8], y: &mut [u8]) {
        let len = x.len().min(y.len());
        let (x, y) = (&x[..len], &mut y[..len]);
        match self.by {
            By::Bytes => {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = self.answers[usize::from(x)];
                }
            }
            #[cfg(target_arch = "x86_64")]
            By::Vbmi(vbmi) => vbmi.apply(&self.answers, x, y),
            #[cfg(target_arch = "aarch64")]
            By::Neon => neon::apply(&self.answers, x, y),
        }
    }

    /// Each byte becomes its answer.
    pub(crate) fn apply_over(&self, bytes: &mut [u8]) {
        match self.by {
            By::Bytes => {
                for byte in bytes {
                    *byte = self.answers[usize::from(*byte)];
                }
            }
            #[cfg(target_arch = "x86_64")]
            By::Vbmi(vbmi) => vbmi.apply_over(&self.answers, bytes),
            #[cfg(target_arch = "aarch64")]
            By::Neon => neon::apply_over(&self.answers, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_set_gives_the_answers_of_the_table(
            answers in prop::array::uniform32(any::<u8>()),
            x in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let answers: Box<[u8; 256]> =
                Box::new(std::array::from_fn(|i| answers[i % 32].wrapping_mul(31) ^ i as u8));
            let expected: Vec<u8> = x.iter().map(|&x| answers[usize::from(x)]).collect();
            for isa in Isa::available() {
                let lookup = Lookup::new(isa, answers.clone());
                let mut y = vec![0; x.len()];
                lookup.apply(&x, &mut y);
                prop_assert_eq!(&y, &expected, "{:?}", isa);
                let mut over = x.clone();
                lookup.apply_over(&mut over);
                prop_assert_eq!(&over, &expected, "{:?}", isa);
            }
        }
    }
}
