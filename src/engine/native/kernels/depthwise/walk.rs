//! Where the windows of a depthwise convolution lie, seen from the lanes.

use std::ops::Range;
use std::sync::Arc;

use super::SlidingWindow;
use crate::engine::native::pool::portion;

/// With fewer channels than this a line of pixels is taken as one stretch.
const LINE: usize = 16;

/// One direction of the window.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Axis {
    pub(in super::super) taps: usize,
    /// Values from tap to tap.
    pub(in super::super) tap: usize,
    /// Outputs.
    pub(in super::super) count: usize,
    /// Values from an output's window to the next one's.
    pub(in super::super) step: usize,
    /// Values from output to output.
    pub(in super::super) step_out: usize,
}

/// The windows: outputs along `b`, each a line of outputs along `a`, each a stretch of lanes.
#[derive(Clone, Debug)]
pub(in super::super) struct Walk {
    /// Neighbouring outputs along it share inputs, and go together.
    pub(in super::super) a: Axis,
    pub(in super::super) b: Axis,
    /// Of `[height, width]`, which `a` is.
    pub(in super::super) along: usize,
    /// Outputs side by side at each place.
    pub(in super::super) lanes: usize,
    /// Lanes that are computed at once.
    pub(in super::super) block: usize,
    /// After so many lanes weights repeat.
    pub(in super::super) period: usize,
    /// Lanes of the packed constants that have a filter.
    pub(in super::super) filled: usize,
    /// Where each tap lies, `[b, a]`.
    pub(in super::super) taps: Arc<[u32]>,
    /// Strides of `a` in taps, where neighbours share inputs.
    pub(in super::super) shared: Option<usize>,
}

impl Walk {
    /// `block`: lanes that the kernel computes at once.
    pub(in super::super) fn new(window: &SlidingWindow, channels: usize, block: usize) -> Self {
        // The order of taps must not depend on the instruction set: floats are added in it.
        let line = channels < LINE && window.stride[1] == 1;
        Self::over(window, channels, block, line)
    }

    /// The same with the channels of a pixel as lanes, however few.
    pub(in super::super) fn pixels(window: &SlidingWindow, channels: usize, block: usize) -> Self {
        Self::over(window, channels, block, false)
    }

    fn over(window: &SlidingWindow, channels: usize, block: usize, line: bool) -> Self {
        let columns = window.output[1];
        let axis = |i: usize, pitch: usize, step_out: usize| Axis {
            taps: window.kernel[i],
            tap: window.dilation[i] * pitch,
            count: window.output[i],
            step: window.stride[i] * pitch,
            step_out,
        };
        let height = axis(0, window.pitch, columns * channels);
        let width = axis(1, channels, channels);
        let along = usize::from(!line && columns > 1);
        let (a, mut b) = if along == 1 { (width, height) } else { (height, width) };
        if line {
            b.count = 1;
        }
        let lanes = if line { columns * channels } else { channels };
        let places = (0..b.taps).flat_map(|y| (0..a.taps).map(move |x| y * b.tap + x * a.tap));
        let taps = places.map(|place| place as u32).collect();
        let shared = (a.tap > 0 && a.step.is_multiple_of(a.tap)).then(|| a.step / a.tap);
        // A period of whole blocks needs no lanes beyond it; where there is less than a block of
        // lanes in all, the rest of the block has no window.
        let filled = if line { usize::MAX } else { channels };
        Self { a, b, along, lanes, block, period: channels, filled, taps, shared }
    }

    /// Lines of the output.
    pub(in super::super) fn lines(&self) -> usize {
        if self.along == 0 { self.a.count } else { self.b.count }
    }

    /// In `count` parts, or fewer, each of two lines or more, with these: where its first window begins,
    /// and how many values of the output it has.
    pub(in super::super) fn divided(
        &self,
        count: usize,
    ) -> impl Iterator<Item = (Self, Range<usize>, [usize; 2])> {
        let all = self.lines();
        let count = count.min(all / 2).max(1);
        (0..count).map(move |i| {
            let lines = portion(i, count, all);
            let mut part = self.clone();
            let axis = if self.along == 0 { &mut part.a } else { &mut part.b };
            axis.count = lines.len();
            let places = [lines.start * axis.step, axis.count * axis.step_out];
            (part, lines, places)
        })
    }

    /// From the first value of the first window to that of the last tap of the last one.
    pub(in super::super) fn reach(&self) -> usize {
        let axis = |axis: &Axis| (axis.count - 1) * axis.step + (axis.taps - 1) * axis.tap;
        axis(&self.a) + axis(&self.b)
    }

    /// From the first output to the last one.
    pub(in super::super) fn reach_out(&self) -> usize {
        [&self.a, &self.b].iter().map(|axis| (axis.count - 1) * axis.step_out).sum()
    }

    /// Lanes of a row of packed constants: blocks may begin anywhere in a period.
    pub(in super::super) fn row(&self) -> usize {
        let beyond = self.filled == usize::MAX || self.period < self.block;
        self.period + if beyond { self.block } else { 0 }
    }

    /// The blocks of lanes: where each begins among the lanes and among the constants, and how many
    /// of its lanes count.
    #[inline(always)]
    pub(in super::super) fn blocks(&self) -> impl Iterator<Item = [usize; 3]> {
        let size = self.block;
        let whole = self.lanes.div_ceil(size);
        (0..whole).map(move |block| {
            // The last block ends with the lanes.
            let first = (block * size).min(self.lanes.saturating_sub(size));
            [first, first % self.period, self.lanes.min(size)]
        })
    }
}
