//! Timestamped samples: `[frames, channels]`.

use std::time::Duration;

use super::Timestamp;

/// When a frame was sampled, and whether the stream was broken before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Monotonic time of the sample; intervals are taken from this.
    pub at: Duration,
    /// Wall-clock time of the sample, for payloads.
    pub wall: Timestamp,
    /// The frame does not follow the one before it: samples were lost or the device was away.
    pub gap_before: bool,
}

/// A batch of frames, oldest first: row-major `[frames, channels]` in the sensor's SI units.
///
/// A missing value is NaN; the recipe says what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    channels: usize,
    values: Vec<f32>,
    stamps: Vec<Stamp>,
}

impl Frames {
    /// An empty batch of `channels` values a frame with room for `capacity` frames.
    pub fn new(channels: usize, capacity: usize) -> Self {
        Self {
            channels,
            values: Vec::with_capacity(channels * capacity),
            stamps: Vec::with_capacity(capacity),
        }
    }

    /// Values a frame.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.stamps.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// All values, row-major `[len, channels]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// One stamp a frame.
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// The values of frame `index`, `[channels]`, with its stamp.
    pub fn frame(&self, index: usize) -> (&[f32], Stamp) {
        let start = index * self.channels;
        (&self.values[start..start + self.channels], self.stamps[index])
    }

    /// Every frame, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&[f32], Stamp)> {
        (0..self.len()).map(|index| self.frame(index))
    }

    /// Appends one frame.
    ///
    /// # Panics
    /// When `values` is not one value for each channel: the caller built it, so it is a bug.
    pub fn push(&mut self, values: &[f32], stamp: Stamp) {
        assert_eq!(values.len(), self.channels, "a frame has one value for each channel");
        self.values.extend_from_slice(values);
        self.stamps.push(stamp);
    }

    /// All values, `[len, channels]`, to be changed, and one stamp a frame.
    pub fn parts_mut(&mut self) -> (&mut [f32], &[Stamp]) {
        (&mut self.values, &self.stamps)
    }

    /// Forgets the `count` oldest frames, or all there are.
    pub fn forget_first(&mut self, count: usize) {
        let count = count.min(self.len());
        self.values.drain(..count * self.channels);
        self.stamps.drain(..count);
    }

    /// The oldest frame does not follow what was before it.
    pub fn mark_gap(&mut self) {
        if let Some(stamp) = self.stamps.first_mut() {
            stamp.gap_before = true;
        }
    }

    /// Forgets all frames and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.stamps.clear();
    }
}
