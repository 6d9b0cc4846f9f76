//! What is made of rows before a kernel reads them: gathered where they do not lie as it wants them, and summed
//! where the filters have a zero point.

#[cfg(target_arch = "aarch64")]
use super::super::border::CHUNK;
use super::super::border::{Form, SLACK};
use super::Gemm;
use super::Set;
#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(target_arch = "x86_64")]
use super::{amx, avx512};

impl Gemm {
    /// Lays out `rows` of `x`, none of them after `last`, in one piece each, side by side.
    #[cfg_attr(not(target_arch = "aarch64"), allow(unused_variables))]
    pub(super) fn gather(&self, x: &[u8], rows: &[u32], last: usize, scratch: &mut [u8]) {
        #[cfg(target_arch = "aarch64")]
        if self.isa.set() != Set::Scalar && last + self.layout.span() + CHUNK <= x.len() {
            let room = rows.len() * self.k() + CHUNK;
            let to = scratch[SLACK..][..room].as_mut_ptr();
            // SAFETY: a chunk from the beginning of any segment lies in `x`, and one after all rows in
            // the scratch.
            #[allow(unsafe_code)]
            unsafe {
                neon::gather(x.as_ptr(), rows, &self.layout.segments, self.layout.run, to);
            }
            return;
        }
        match self.packing.form {
            Form::Signed => self.gather_as(Form::Signed, x, rows, scratch),
            Form::Unsigned => self.gather_as(Form::Unsigned, x, rows, scratch),
            Form::Wide => self.gather_as(Form::Wide, x, rows, scratch),
        }
    }

    #[inline(always)]
    fn gather_as(&self, form: Form, x: &[u8], rows: &[u32], scratch: &mut [u8]) {
        let x: &[i8] = bytemuck::cast_slice(x);
        let (run, segments) = (self.layout.run, &self.layout.segments[..]);
        let follow = |pair: &[u32]| pair[0] as usize + run == pair[1] as usize;
        if segments.len() == 1 && rows.windows(2).all(follow) {
            let row = (rows[0] + segments[0]) as usize;
            form.convert(&x[row..], run * rows.len(), &mut scratch[SLACK..]);
            return;
        }
        let (mut at, step) = (SLACK, run * form.bytes());
        for &row in rows {
            for &segment in segments {
                form.convert(&x[(row + segment) as usize..], run, &mut scratch[at..]);
                at += step;
            }
        }
    }

    /// What the zero point of the weights adds to the sums of each of `rows`.
    pub(super) fn correct(&self, x: &[u8], rows: &[u32], sums: &mut [i32]) {
        let factor = self.zero_point.wrapping_neg();
        #[cfg(target_arch = "x86_64")]
        if self.isa.set() == Set::Avx512Vnni {
            let segments = (&self.deltas[..], self.run);
            // SAFETY: an `Isa` exists only where the CPU has the instructions; all rows lie in `x`.
            #[allow(unsafe_code)]
            unsafe {
                match self.packing.form {
                    Form::Signed => amx::sums(x.as_ptr().cast(), rows, segments, factor, sums),
                    _ => avx512::sums(x.as_ptr(), rows, segments, factor, sums),
                }
            }
            return;
        }
        #[cfg(target_arch = "aarch64")]
        if self.isa.set() != Set::Scalar {
            // SAFETY: a row's segments lie in `x`, with a chunk up to their end, as for products.
            #[allow(unsafe_code)]
            unsafe {
                neon::sums(x.as_ptr().cast(), rows, &self.deltas, self.run, factor, sums);
            }
            return;
        }
        self.isa.run(
            #[inline(always)]
            || {
                for (sum, &row) in sums.iter_mut().zip(rows) {
                    *sum = self.sum(x, row as usize).wrapping_mul(factor);
                }
            },
        );
    }

    /// The sum of a row's values as the kernel reads them.
    #[inline(always)]
    fn sum(&self, x: &[u8], row: usize) -> i32 {
        let (mut at, mut sum) = (row, 0i32);
        for &delta in &self.deltas {
            at += delta as usize;
            let size = self.packing.form.bytes();
            let run = &x[at * size..(at + self.run) * size];
            sum = sum.wrapping_add(match self.packing.form {
                Form::Signed => total(run, |x| x.cast_signed().into()),
                Form::Unsigned => total(run, i32::from),
                Form::Wide => total(run.as_chunks().0, |x| i16::from_ne_bytes(x).into()),
            });
        }
        sum
    }
}

/// The sum of `values`, in lanes that the compiler makes vectors of.
#[inline(always)]
fn total<T: Copy>(values: &[T], of: impl Fn(T) -> i32) -> i32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut lanes = [0i32; 8];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(of(value));
        }
    }
    let rest = rest.iter().fold(0i32, |sum, &value| sum.wrapping_add(of(value)));
    lanes.iter().fold(rest, |sum, &lane| sum.wrapping_add(lane))
}
