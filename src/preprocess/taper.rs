//! The weights of a taper.

use std::f64::consts::TAU;

use crate::model::Taper;

/// `[length]` weights whose cosines come back to their start after `period`: the length for a periodic taper, one less for
/// a symmetric one. All ones where there is no period.
pub(super) fn weights(of: Taper, length: usize, period: usize) -> Vec<f64> {
    let [a, b, c] = of.cosines();
    let weight = |n: usize| match period {
        0 => 1.0,
        _ => {
            let angle = TAU * n as f64 / period as f64;
            a - b * libm::cos(angle) + c * libm::cos(2.0 * angle)
        }
    };
    (0..length).map(weight).collect()
}
