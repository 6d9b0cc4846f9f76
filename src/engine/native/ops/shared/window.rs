//! A kernel window over height and width: sizes, borders, places.

use super::super::{Refusal, malformed};
use crate::engine::native::graph::{Padding, Window};

/// Input rows that a kernel may span; more than any tensor has.
const REACH_MAX: usize = 1 << 28;

/// A window fitted to one input; `[height, width]` everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::engine::native) struct Sliding {
    pub(in crate::engine::native) input: [usize; 2],
    pub(in crate::engine::native) output: [usize; 2],
    pub(in crate::engine::native) kernel: [usize; 2],
    pub(in crate::engine::native) stride: [usize; 2],
    pub(in crate::engine::native) dilation: [usize; 2],
    /// Rows above and columns left of the input.
    pub(in crate::engine::native) before: [usize; 2],
}

impl Sliding {
    /// Fits `window` with `kernel` onto `input`.
    pub(in super::super) fn new(
        window: Window,
        kernel: [usize; 2],
        input: [usize; 2],
    ) -> Result<Self, Refusal> {
        let Window { padding, stride, dilation } = window;
        let (mut before, mut output) = ([0; 2], [0; 2]);
        for axis in 0..2 {
            let (size, step) = (input[axis], stride[axis]);
            if kernel[axis] == 0 || step == 0 || dilation[axis] == 0 {
                return Err(malformed(format!(
                    "kernel {kernel:?}, stride {stride:?}, dilation {dilation:?}"
                )));
            }
            let reach = (kernel[axis] - 1).checked_mul(dilation[axis]).filter(|&r| r < REACH_MAX);
            let reach = reach
                .ok_or_else(|| malformed(format!("kernel {kernel:?}, dilation {dilation:?}")))?
                + 1;
            let valid = |size: usize| size.checked_sub(reach).map_or(0, |rest| rest / step + 1);
            output[axis] = match padding {
                Padding::Same => size.div_ceil(step),
                Padding::Valid => valid(size),
                Padding::Explicit { before, after } => {
                    valid(size.saturating_add(before[axis]).saturating_add(after[axis]))
                }
            };
            if output[axis] == 0 || output[axis] > REACH_MAX {
                return Err(malformed(format!(
                    "kernel {kernel:?} over {input:?} with {window:?} leaves no output"
                )));
            }
            before[axis] = match padding {
                Padding::Same => {
                    let covered = (output[axis] - 1).saturating_mul(step).saturating_add(reach);
                    covered.saturating_sub(size) / 2
                }
                Padding::Valid => 0,
                Padding::Explicit { before, .. } => before[axis],
            };
        }
        Ok(Self { input, output, kernel, stride, dilation, before })
    }

    /// Checks that nothing of it overflows.
    pub(in crate::engine::native) fn check(&self) -> Result<(), Refusal> {
        let fits = (0..2).all(|axis| {
            let reach = (self.kernel[axis].wrapping_sub(1)).checked_mul(self.dilation[axis]);
            let far = (self.output[axis].wrapping_sub(1)).checked_mul(self.stride[axis]);
            let sizes =
                [self.input[axis], self.output[axis], self.stride[axis], self.dilation[axis]];
            let within = |n: usize| n < REACH_MAX;
            sizes.into_iter().all(|n| n > 0 && within(n))
                && reach.is_some_and(within)
                && far.is_some_and(within)
                && within(self.before[axis])
        });
        if fits { Ok(()) } else { Err(malformed(format!("a window {self:?}"))) }
    }

    /// Whether output pixel (y, x) reads only input pixel (y, x), times the stride.
    pub(in super::super) fn is_pointwise(&self) -> bool {
        let inside = |axis: usize| (self.output[axis] - 1) * self.stride[axis] < self.input[axis];
        self.kernel == [1, 1] && self.before == [0, 0] && inside(0) && inside(1)
    }

    /// The taps along `axis` of output `at` that lie inside the input: `(tap, place)`.
    #[inline(always)]
    pub(in crate::engine::native) fn taps(
        &self,
        axis: usize,
        at: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let (before, step) = (self.before[axis], self.dilation[axis]);
        let first = at * self.stride[axis];
        let inside = |place: usize| place.saturating_sub(first).div_ceil(step);
        let end = inside(before + self.input[axis]).min(self.kernel[axis]);
        (inside(before)..end).map(move |tap| (tap, first + tap * step - before))
    }

    /// Taps that an output pixel has inside the input, at most.
    pub(in super::super) fn taps_max(&self) -> usize {
        (0..2).map(|axis| self.kernel[axis].min(self.input[axis])).product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(stride: usize, dilation: usize) -> Window {
        Window { padding: Padding::Same, stride: [stride; 2], dilation: [dilation; 2] }
    }

    #[test]
    fn same_puts_the_odd_border_at_the_end() {
        let window = Sliding::new(same(2, 1), [3, 3], [10, 9]).unwrap();
        assert_eq!(window.output, [5, 5]);
        assert_eq!(window.before, [0, 1]);
        assert_eq!(window.taps(0, 4).collect::<Vec<_>>(), [(0, 8), (1, 9)]);
        assert_eq!(window.taps(1, 0).collect::<Vec<_>>(), [(1, 0), (2, 1)]);
    }

    #[test]
    fn explicit_borders_are_kept() {
        let padding = Padding::Explicit { before: [1, 0], after: [0, 2] };
        let window = Sliding::new(Window { padding, ..same(1, 1) }, [2, 3], [4, 4]).unwrap();
        assert_eq!((window.output, window.before), ([4, 4], [1, 0]));
        assert_eq!(window.taps(1, 3).collect::<Vec<_>>(), [(0, 3)]);
        let padding = Padding::Explicit { before: [0, 0], after: [0, 1] };
        let window = Sliding::new(Window { padding, ..same(1, 1) }, [1, 1], [4, 4]).unwrap();
        assert!(!window.is_pointwise());
    }

    #[test]
    fn dilated_taps_lie_apart() {
        let window = Sliding::new(same(1, 2), [3, 1], [8, 1]).unwrap();
        assert_eq!(window.taps(0, 1).collect::<Vec<_>>(), [(1, 1), (2, 3)]);
    }

    #[test]
    fn an_empty_output_is_refused() {
        let valid = Window { padding: Padding::Valid, ..same(1, 1) };
        assert_eq!(Sliding::new(valid, [3, 3], [8, 8]).unwrap().output, [6, 6]);
        assert!(Sliding::new(valid, [9, 1], [8, 8]).is_err());
        let far = Window { padding: Padding::Same, stride: [1, 1], dilation: [usize::MAX; 2] };
        assert!(Sliding::new(far, [3, 3], [8, 8]).is_err());
    }
}
