//! A kernel window over height and width: sizes, borders, places.

use super::{Refusal, malformed};
use crate::engine::native::graph::{Padding, Window};

/// Input rows that a kernel may span; more than any tensor has.
const REACH_MAX: usize = 1 << 28;

/// A window fitted to one input; `[height, width]` everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sliding {
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Rows above and columns left of the input.
    pub(super) before: [usize; 2],
}

impl Sliding {
    /// Fits `window`; `output` is what the model declares and has to be right.
    pub(super) fn new(
        window: Window,
        kernel: [usize; 2],
        input: [usize; 2],
        output: [usize; 2],
    ) -> Result<Self, Refusal> {
        let Window { padding, stride, dilation } = window;
        let mut before = [0; 2];
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
            let expected = match padding {
                Padding::Same => size.div_ceil(step),
                Padding::Valid if reach > size => 0,
                Padding::Valid => (size - reach) / step + 1,
            };
            if expected != output[axis] || expected == 0 {
                return Err(malformed(format!(
                    "kernel {kernel:?} over {input:?} with {window:?} gives another size than {output:?}"
                )));
            }
            if padding == Padding::Same {
                let covered = (expected - 1) * step + reach;
                before[axis] = covered.saturating_sub(size) / 2;
            }
        }
        Ok(Self { input, output, kernel, stride, dilation, before })
    }

    /// Whether output pixel (y, x) reads only input pixel (y, x), times the stride.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.before == [0, 0]
    }

    /// The taps along `axis` of output `at` that lie inside the input: `(tap, place)`.
    #[inline(always)]
    pub(super) fn taps(&self, axis: usize, at: usize) -> impl Iterator<Item = (usize, usize)> {
        let (before, size) = (self.before[axis], self.input[axis]);
        let (first, step) = (at * self.stride[axis], self.dilation[axis]);
        (0..self.kernel[axis]).filter_map(move |tap| {
            let place = (first + tap * step).checked_sub(before)?;
            (place < size).then_some((tap, place))
        })
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
        let window = Sliding::new(same(2, 1), [3, 3], [10, 9], [5, 5]).unwrap();
        assert_eq!(window.before, [0, 1]);
        assert_eq!(window.taps(0, 4).collect::<Vec<_>>(), [(0, 8), (1, 9)]);
        assert_eq!(window.taps(1, 0).collect::<Vec<_>>(), [(1, 0), (2, 1)]);
    }

    #[test]
    fn dilated_taps_lie_apart() {
        let window = Sliding::new(same(1, 2), [3, 1], [8, 1], [8, 1]).unwrap();
        assert_eq!(window.taps(0, 1).collect::<Vec<_>>(), [(1, 1), (2, 3)]);
    }

    #[test]
    fn a_wrong_or_empty_output_is_refused() {
        let valid = Window { padding: Padding::Valid, ..same(1, 1) };
        assert!(Sliding::new(valid, [3, 3], [8, 8], [6, 6]).is_ok());
        assert!(Sliding::new(valid, [3, 3], [8, 8], [8, 8]).is_err());
        assert!(Sliding::new(valid, [9, 1], [8, 8], [0, 8]).is_err());
        let far = Window { padding: Padding::Same, stride: [1, 1], dilation: [usize::MAX; 2] };
        assert!(Sliding::new(far, [3, 3], [8, 8], [8, 8]).is_err());
    }
}
