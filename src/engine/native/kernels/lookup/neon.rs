//! 16 answers at once with NEON's table instructions.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

/// `y[i] = answers[x[i]]`; both have one length.
pub(super) fn apply(answers: &[u8; 256], x: &[u8], y: &mut [u8]) {
    assert_eq!(x.len(), y.len());
    // SAFETY: `y` is as long as `x`.
    unsafe { look_up(answers, x.as_ptr(), y.as_mut_ptr(), x.len()) }
}

/// `bytes[i] = answers[bytes[i]]`.
pub(super) fn apply_over(answers: &[u8; 256], bytes: &mut [u8]) {
    let y = bytes.as_mut_ptr();
    // SAFETY: each vector is read before it is written.
    unsafe { look_up(answers, y, y, bytes.len()) }
}

/// # Safety
/// `x` may be read and `y` written for `len` bytes, and `y` is `x` or apart from it.
unsafe fn look_up(answers: &[u8; 256], x: *const u8, y: *mut u8, len: usize) {
    // SAFETY: places are below `len`; the table has 256 bytes; NEON is part of every 64-bit ARM CPU
    // that this is compiled for.
    unsafe {
        let quarter = |i: usize| vld1q_u8_x4(answers.as_ptr().add(64 * i));
        let (a, b, c, d) = (quarter(0), quarter(1), quarter(2), quarter(3));
        let next = vdupq_n_u8(64);
        let mut at = 0;
        while at + 16 <= len {
            // Places beyond a quarter leave the answer as it is.
            let x = vld1q_u8(x.add(at));
            let answer = vqtbl4q_u8(a, x);
            let x = vsubq_u8(x, next);
            let answer = vqtbx4q_u8(answer, b, x);
            let x = vsubq_u8(x, next);
            let answer = vqtbx4q_u8(answer, c, x);
            let answer = vqtbx4q_u8(answer, d, vsubq_u8(x, next));
            vst1q_u8(y.add(at), answer);
            at += 16;
        }
        while at < len {
            *y.add(at) = answers[usize::from(*x.add(at))];
            at += 1;
        }
    }
}
