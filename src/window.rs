//! Frames → overlapping windows of `length` frames, one every `stride` frames, none across a gap.

use crate::data::{Stamp, WindowSpan};

/// Cuts a stream of frames into windows. All memory is taken when it is made.
#[derive(Debug)]
pub struct Windower {
    channels: usize,
    length: usize,
    stride: usize,
    values: Vec<f32>,
    stamps: Vec<Stamp>,
    emitted: bool,
    fresh: usize,
}

/// One window: row-major `[length, channels]` values, and where they lie in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window<'a> {
    /// `[length, channels]`, oldest frame first.
    pub values: &'a [f32],
    /// First and last sample.
    pub span: WindowSpan,
    /// How many of the frames, the last ones, were not in the window before.
    pub fresh: usize,
}

impl Windower {
    /// Windows of `length` frames of `channels` values, one every `stride` frames.
    ///
    /// # Panics
    /// When `length` is 0 or `stride` is not in `1..=length`: the configuration checks both.
    pub fn new(channels: usize, length: usize, stride: usize) -> Self {
        assert!(length > 0 && (1..=length).contains(&stride), "checked by the configuration");
        Self {
            channels,
            length,
            stride,
            values: Vec::with_capacity(length * channels),
            stamps: Vec::with_capacity(length),
            emitted: false,
            fresh: length,
        }
    }

    /// Takes one frame, `[channels]`; gives the window that it completes, if it does.
    ///
    /// A frame that follows a gap begins a new window: what was collected before is given up, since
    /// a model must not see two stretches of time as one.
    pub fn push(&mut self, frame: &[f32], stamp: Stamp) -> Option<Window<'_>> {
        if stamp.gap_before {
            self.clear();
        } else if self.emitted {
            self.fresh = self.stride;
            self.values.drain(..self.stride * self.channels);
            self.stamps.drain(..self.stride);
            self.emitted = false;
        }
        self.values.extend_from_slice(frame);
        self.stamps.push(stamp);
        if self.stamps.len() < self.length {
            return None;
        }
        self.emitted = true;
        let span = WindowSpan {
            start: self.stamps[0].wall,
            end: self.stamps[self.length - 1].wall,
            frames: self.length,
        };
        Some(Window { values: &self.values, span, fresh: self.fresh })
    }

    /// Forgets all frames.
    pub fn clear(&mut self) {
        self.values.clear();
        self.stamps.clear();
        self.emitted = false;
        self.fresh = self.length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ClockState, Timestamp};
    use proptest::prelude::*;
    use std::time::Duration;

    fn stamp(n: u64, gap_before: bool) -> Stamp {
        let at = Duration::from_millis(n * 100);
        Stamp { at, wall: Timestamp { since_epoch: at, clock: ClockState::Synced }, gap_before }
    }

    fn windows(length: usize, stride: usize, gaps: &[u64], frames: u64) -> Vec<Vec<f32>> {
        let mut windower = Windower::new(1, length, stride);
        (0..frames)
            .filter_map(|n| {
                windower.push(&[n as f32], stamp(n, gaps.contains(&n))).map(|w| w.values.to_vec())
            })
            .collect()
    }

    #[test]
    fn stride_of_half_a_window_overlaps_by_half() {
        assert_eq!(windows(4, 2, &[], 8), [[0., 1., 2., 3.], [2., 3., 4., 5.], [4., 5., 6., 7.]]);
    }

    #[test]
    fn no_window_spans_a_gap() {
        assert_eq!(windows(3, 1, &[2], 6), [[2., 3., 4.], [3., 4., 5.]]);
        assert_eq!(windows(3, 3, &[3], 6), [[0., 1., 2.], [3., 4., 5.]]);
    }

    #[test]
    fn the_span_is_that_of_the_first_and_last_sample() {
        let mut windower = Windower::new(1, 2, 1);
        assert!(windower.push(&[0.0], stamp(5, false)).is_none());
        let span = windower.push(&[0.0], stamp(6, false)).expect("two frames are a window").span;
        assert_eq!(
            (span.start, span.end, span.frames),
            (stamp(5, false).wall, stamp(6, false).wall, 2)
        );
    }

    #[test]
    fn a_window_says_how_much_of_it_is_new() {
        let mut windower = Windower::new(1, 4, 1);
        let gaps = [6];
        let fresh: Vec<_> = (0..11)
            .filter_map(|n| windower.push(&[0.0], stamp(n, gaps.contains(&n))).map(|w| w.fresh))
            .collect();
        assert_eq!(fresh, [4, 1, 1, 4, 1]);
    }

    proptest! {
        #[test]
        fn windows_lose_no_frame_and_lie_one_stride_apart(
            length in 1usize..20, overlap in 0usize..20, frames in 0u64..200,
        ) {
            let stride = length - overlap.min(length - 1);
            let all = windows(length, stride, &[], frames);
            let expected = (frames as usize).checked_sub(length).map_or(0, |rest| rest / stride + 1);
            prop_assert_eq!(all.len(), expected);
            for (k, window) in all.iter().enumerate() {
                let first = (k * stride) as f32;
                prop_assert!(window.iter().enumerate().all(|(i, &v)| v == first + i as f32));
            }
        }
    }
}
