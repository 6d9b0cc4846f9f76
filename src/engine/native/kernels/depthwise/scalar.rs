//! The specification of depthwise convolution.

use super::{Depthwise, LANES};

/// All outputs.
pub(super) fn run(of: &Depthwise, weights: &[i16], x: &[i8], y: &mut [i8]) {
    let walk = &of.walk;
    for b in 0..walk.b.count {
        for [first, constant, lanes] in walk.blocks() {
            for a in 0..walk.a.count {
                let x = &x[b * walk.b.step + a * walk.a.step + first..];
                let y = &mut y[b * walk.b.step_out + a * walk.a.step_out + first..][..lanes];
                let mut sums = [0; LANES];
                sums[..lanes].copy_from_slice(&of.bias[constant..constant + lanes]);
                for (&tap, weights) in walk.taps.iter().zip(weights.chunks_exact(walk.row())) {
                    let x = &x[tap as usize..];
                    accumulate(&mut sums, &x[..lanes], &weights[constant..constant + lanes]);
                }
                for ((y, sum), &scale) in y.iter_mut().zip(sums).zip(&of.scales[constant..]) {
                    *y = of.output.apply(sum, scale);
                }
            }
        }
    }
}

/// `sums += x * w`, lane by lane.
#[inline(always)]
fn accumulate(sums: &mut [i32; LANES], x: &[i8], w: &[i16]) {
    let lane = |sum: &mut i32, x: i8, w: i16| {
        *sum = sum.wrapping_add(i32::from(x) * i32::from(w));
    };
    // A known length is what lets the compiler keep the whole block in vector registers.
    if let (Some(x), Some(w)) = (x.as_array::<LANES>(), w.as_array::<LANES>()) {
        for i in 0..LANES {
            lane(&mut sums[i], x[i], w[i]);
        }
        return;
    }
    for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(w) {
        lane(sum, x, w);
    }
}
