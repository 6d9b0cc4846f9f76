//! The specification of the product.

use super::panel::{Element, Panel};

/// One filter over a panel.
pub(super) fn block<Y: Element>(panel: &Panel<'_>, x: &[u8], y: &mut [Y]) {
    let x: &[i8] = bytemuck::cast_slice(x);
    for (i, (&row, &out)) in panel.rows.iter().zip(panel.outs).enumerate() {
        let mut sum = panel.bias[0].wrapping_add(panel.sums.get(i).copied().unwrap_or(0));
        let mut at = row as usize;
        for (&delta, weights) in panel.deltas.iter().zip(panel.weights.chunks_exact(panel.run)) {
            at += delta as usize;
            sum = sum.wrapping_add(dot(&x[at..at + panel.run], weights));
        }
        y[out as usize] = Y::of(sum, panel.output, panel.scales[0]);
    }
}

/// Products that are summed side by side, each in its own lane.
const LANES: usize = 16;

/// The dot product. Sums wrap, as the reference's do.
///
/// Written so that the compiler keeps the lanes in vector registers: a product of two `i8` fits an
/// `i16`, and lanes are added up only once.
#[inline(always)]
fn dot(x: &[i8], w: &[i8]) -> i32 {
    let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<LANES>(), w.as_chunks::<LANES>());
    let mut sums = [0i32; LANES];
    for (x, w) in x.iter().zip(w) {
        for lane in 0..LANES {
            let product = i16::from(x[lane]) * i16::from(w[lane]);
            sums[lane] = sums[lane].wrapping_add(i32::from(product));
        }
    }
    let sum = sums.iter().fold(0i32, |sum, &lane| sum.wrapping_add(lane));
    let rest = x_rest.iter().zip(w_rest);
    rest.fold(sum, |sum, (&x, &w)| sum.wrapping_add(i32::from(i16::from(x) * i16::from(w))))
}
