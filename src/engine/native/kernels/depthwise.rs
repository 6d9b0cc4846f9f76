//! Depthwise convolution: each channel has its own filter; channels lie in vector lanes.
//!
//! Lanes are 16 neighbours in memory. Usually these are channels of one pixel. Where there are fewer
//! channels and pixels lie side by side (a stride of 1), a whole line of the output is one stretch of
//! lanes, and weights repeat along it. The last lanes of a stretch may be computed twice.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod dotprod;
mod fours;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
pub(super) mod walk;

use std::sync::Arc;

use self::walk::Walk;
use super::isa::{Isa, Set};
use super::output::Output;
use super::parts::Lined;

/// Lanes of a block.
const LANES: usize = 16;
/// Those of ARM's dot products.
const LANES_DOT: usize = 8;

/// A window over a bordered input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlidingWindow {
    /// `[height, width]`, as all the following.
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) output: [usize; 2],
    /// Values from one row of the input to the next.
    pub(crate) pitch: usize,
}

/// Filters as they come, and the window that they slide over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DepthwiseFilters<'a> {
    /// `[kh, kw, channels]`.
    pub(crate) weights: &'a [i8],
    /// `[channels]`, in steps of input times weight scale.
    pub(crate) bias: &'a [i32],
    /// `[channels]`: from sums to steps of the output.
    pub(crate) scales: &'a [f32],
    /// Of the weights.
    pub(crate) zero_point: i32,
    /// Of the inputs.
    pub(crate) input_zero_point: i32,
    pub(crate) window: SlidingWindow,
}

/// Packed filters, ready to run; parts of the lines share them.
#[derive(Debug)]
pub(crate) struct Depthwise {
    isa: Isa,
    walk: Walk,
    weights: Arc<Weights>,
    /// With the input's zero point folded in; one for each lane of a period, and `LANES` more.
    bias: Arc<[i32]>,
    scales: Arc<[f32]>,
    output: Output,
    /// Sums in steps of the output fit 16 bits, whatever the input.
    #[cfg(target_arch = "aarch64")]
    short: bool,
}

/// `[taps, lanes of a period and more]`, less their zero point.
#[derive(Debug)]
enum Weights {
    /// Two products of which fit 16 bits, whatever the input.
    Narrow(Vec<i8>),
    Wide(Vec<i16>),
    /// Of three rows in each 32-bit lane; see [`fours`].
    Fours(Vec<i8>),
    /// The same twice, to be added: where one does not fit 8 bits.
    FoursTwice([Vec<i8>; 2]),
    /// 16 bits of a 32-bit lane: what x86-64 multiplies in pairs.
    Pairs(Vec<i32>),
}

impl Depthwise {
    /// Packs `filters`.
    pub(crate) fn new(isa: Isa, filters: DepthwiseFilters<'_>, output: Output) -> Self {
        let channels = filters.bias.len();
        let kernel = filters.window.kernel;
        let taps = kernel[0] * kernel[1];
        assert!(channels > 0 && taps > 0 && filters.weights.len() == taps * channels);
        assert!(filters.scales.len() == channels);
        let fours = fours_lanes(isa, &filters, channels);
        let walk = match fours {
            Some(lanes) => Walk::pixels(&filters.window, channels, lanes),
            None => Walk::new(&filters.window, channels, LANES),
        };
        // Lanes of a block begin anywhere in a period where it is shorter than a block.
        let lanes = walk.row();
        let channel = |lane: usize| (lane < walk.filled).then(|| lane % channels);
        let at = |tap: [usize; 2], lane: usize| {
            let [y, x] = if walk.along == 0 { tap } else { [tap[1], tap[0]] };
            let w = |channel| filters.weights[(y * kernel[1] + x) * channels + channel];
            channel(lane).map_or(0, |channel| i32::from(w(channel)) - filters.zero_point)
        };
        let (a, b) = (walk.a.taps, walk.b.taps);
        let places = (0..b).flat_map(|b| (0..a).map(move |a| [a, b]));
        let all = places.flat_map(|tap| (0..lanes).map(move |lane| (tap, lane)));
        let values: Vec<i32> = all.map(|(tap, lane)| at(tap, lane)).collect();
        let each = |of: &dyn Fn(usize) -> i32| (0..lanes).map(of).collect::<Vec<i32>>();
        let sum = |lane: usize| {
            let column = values.iter().skip(lane).step_by(lanes);
            column.fold(0i32, |sum, &w| sum.wrapping_add(w))
        };
        // Four products on x86-64 are of unsigned values, 128 higher.
        let unsigned = fours.is_some() && isa.set() == Set::Avx512Vnni;
        let shift = filters.input_zero_point + if unsigned { 128 } else { 0 };
        let bias = each(&|lane| {
            let folded = shift.wrapping_mul(sum(lane));
            channel(lane).map_or(0, |channel| filters.bias[channel].wrapping_sub(folded))
        });
        let scale = |lane: usize| channel(lane).map_or(0.0, |channel| filters.scales[channel]);
        let scales: Vec<f32> = (0..lanes).map(scale).collect();
        #[cfg(target_arch = "aarch64")]
        let short = (0..lanes).all(|lane| {
            let column = values.iter().skip(lane).step_by(lanes);
            let products = column.map(|&w| 128 * i64::from(w).abs()).sum::<i64>();
            Output::is_short(i64::from(bias[lane]).abs() + products, scales[lane])
        });
        let weights = match isa.set() {
            _ if fours.is_some() => {
                let w = |[y, x]: [usize; 2], channel: usize| {
                    let w = filters.weights[(y * 3 + x) * channels + channel];
                    i32::from(w) - filters.zero_point
                };
                let first = |tap, channel| w(tap, channel).clamp(-128, 127) as i8;
                let rest = |tap, channel| (w(tap, channel) - i32::from(first(tap, channel))) as i8;
                if values.iter().all(|&w| i8::try_from(w).is_ok()) {
                    Weights::Fours(fours::pack(&walk, first))
                } else {
                    Weights::FoursTwice([fours::pack(&walk, first), fours::pack(&walk, rest)])
                }
            }
            Set::Scalar => Weights::Wide(values.iter().map(|&w| w as i16).collect()),
            Set::Avx2 | Set::AvxVnni | Set::Avx512Vnni | Set::Amx => {
                Weights::Pairs(values.iter().map(|&w| w & 0xffff).collect())
            }
            Set::Neon | Set::DotProd => {
                let fits = values.iter().all(|&w| i8::try_from(w).is_ok());
                // -128 · -128 twice is the one sum of two products that 16 bits do not hold.
                let mut pairs = values.chunks(2 * lanes).filter(|pair| pair.len() == 2 * lanes);
                let both =
                    |pair: &[i32]| (0..lanes).any(|i| pair[i] == -128 && pair[i + lanes] == -128);
                if fits && !pairs.any(both) {
                    Weights::Narrow(values.iter().map(|&w| w as i8).collect())
                } else {
                    Weights::Wide(values.iter().map(|&w| w as i16).collect())
                }
            }
        };
        Self {
            isa,
            walk,
            weights: Arc::new(weights),
            bias: bias.into(),
            scales: scales.into(),
            output: output.of_scales(filters.scales),
            #[cfg(target_arch = "aarch64")]
            short,
        }
    }

    /// Whether the input has to be a copy with slack after it: fewer lanes than a block are loaded.
    pub(crate) fn needs_slack(&self) -> bool {
        self.isa.set() != Set::Scalar && self.walk.lanes < self.walk.block
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        let weights = match &*self.weights {
            Weights::Narrow(weights) | Weights::Fours(weights) => weights.len(),
            Weights::FoursTwice(both) => both[0].len() + both[1].len(),
            Weights::Wide(weights) => 2 * weights.len(),
            Weights::Pairs(weights) => 4 * weights.len(),
        };
        weights + 4 * (self.bias.len() + self.scales.len())
    }

    /// Bytes that packing filters `[taps, channels]` may take, for a budget; `None` on overflow.
    pub(crate) fn bytes_max(taps: usize, channels: usize) -> Option<usize> {
        // Weights are made as words first.
        channels.checked_add(LANES)?.checked_mul(taps.checked_add(2)?)?.checked_mul(8)
    }

    /// `y`, `[height, width, channels]`, from `x`, whose first window begins at `start`.
    pub(crate) fn run(&self, x: &[i8], start: usize, y: &mut [i8]) {
        let block = if self.isa.set() == Set::Scalar { 0 } else { self.walk.block };
        let reach = self.walk.reach() + self.walk.lanes.max(block);
        assert!(start + reach <= x.len(), "windows lie in the input");
        assert!(self.walk.reach_out() + self.walk.lanes <= y.len(), "outputs have room");
        let x = &x[start..];
        match (self.isa.set(), &*self.weights) {
            (Set::Scalar, Weights::Wide(weights)) => scalar::run(self, weights, x, y),
            // SAFETY: an `Isa` exists only where the CPU has the instructions. All windows, with the
            // lanes of a block after their last tap, lie in `x`, all outputs in `y`, and the
            // constants have lanes for a block anywhere in a period.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            (Set::Avx2 | Set::AvxVnni, Weights::Pairs(weights)) => unsafe {
                avx2::run(self, weights, x.as_ptr(), y.as_mut_ptr());
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            (Set::Avx512Vnni, Weights::Pairs(weights)) => unsafe {
                avx512::run(self, weights, x.as_ptr(), y.as_mut_ptr());
            },
            // SAFETY: as above; `fours_lanes` checked the window.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            (Set::Avx512Vnni, Weights::Fours(weights)) => unsafe {
                avx512::run_fours::<false>(self, [weights, &[]], x.as_ptr(), y.as_mut_ptr());
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            (Set::Avx512Vnni, Weights::FoursTwice([first, rest])) => unsafe {
                avx512::run_fours::<true>(self, [first, rest], x.as_ptr(), y.as_mut_ptr());
            },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            #[allow(unsafe_code)]
            (Set::Neon | Set::DotProd, Weights::Narrow(weights)) => unsafe {
                neon::run_narrow(self, weights, x.as_ptr(), y.as_mut_ptr());
            },
            // SAFETY: as above; `fours_lanes` checked the window.
            #[cfg(target_arch = "aarch64")]
            #[allow(unsafe_code)]
            (Set::DotProd, Weights::Fours(weights)) => unsafe {
                dotprod::run(self, weights, x.as_ptr(), y.as_mut_ptr());
            },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            #[allow(unsafe_code)]
            (Set::Neon | Set::DotProd, Weights::Wide(weights)) => unsafe {
                neon::run_wide(self, weights, x.as_ptr(), y.as_mut_ptr());
            },
            _ => unreachable!("weights are packed for the instruction set"),
        }
    }
}

impl Lined for Depthwise {
    fn walk(&self) -> &Walk {
        &self.walk
    }

    fn over(&self, walk: Walk) -> Self {
        Self {
            walk,
            weights: self.weights.clone(),
            bias: self.bias.clone(),
            scales: self.scales.clone(),
            ..*self
        }
    }
}

/// Lanes of a block where the set has a kernel of four products a lane, and it takes these filters.
fn fours_lanes(isa: Isa, filters: &DepthwiseFilters<'_>, channels: usize) -> Option<usize> {
    let SlidingWindow { kernel, stride, dilation, output, .. } = filters.window;
    let (lanes, twice) = match isa.set() {
        Set::DotProd => (LANES_DOT, false),
        Set::Avx512Vnni => (LANES, true),
        _ => return None,
    };
    // The sum of two weights reaches 254.
    let fits = |&w: &i8| {
        let w = i32::from(w) - filters.zero_point;
        i8::try_from(w).is_ok() || (twice && w < 255)
    };
    let takes = kernel == [3, 3]
        && stride == [1, 1]
        && dilation == [1, 1]
        && output[1] >= 2
        && channels >= lanes
        && filters.weights.iter().all(fits);
    takes.then_some(lanes)
}
