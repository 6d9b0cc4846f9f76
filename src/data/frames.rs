//! Timestamped samples: `[frames, channels]`, or pictures.

use std::sync::Arc;
use std::time::Duration;

use super::{Picture, Timestamp};

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
/// A missing value is NaN; the recipe says what becomes of it. Without channels each frame is a picture, which is
/// handed on and never copied.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    channels: usize,
    values: Vec<f32>,
    stamps: Vec<Stamp>,
    /// One a frame, where there are no channels.
    pictures: Vec<Arc<Picture>>,
}

impl Frames {
    /// An empty batch of `channels` values a frame with room for `capacity` frames.
    pub fn new(channels: usize, capacity: usize) -> Self {
        Self {
            channels,
            values: Vec::with_capacity(channels * capacity),
            stamps: Vec::with_capacity(capacity),
            pictures: Vec::new(),
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

    /// The picture that frame `index` is, where frames are pictures.
    pub fn picture(&self, index: usize) -> Option<&Arc<Picture>> {
        self.pictures.get(index)
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

    /// Appends one frame that is a picture.
    ///
    /// # Panics
    /// When there are channels: the caller built it, so it is a bug.
    pub fn push_picture(&mut self, picture: Arc<Picture>, stamp: Stamp) {
        assert_eq!(self.channels, 0, "a frame is a picture or values");
        self.pictures.push(picture);
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
        self.pictures.drain(..count.min(self.pictures.len()));
    }

    /// Forgets all but the `count` oldest frames.
    pub fn truncate(&mut self, count: usize) {
        self.values.truncate(count * self.channels);
        self.stamps.truncate(count);
        self.pictures.truncate(count);
    }

    /// Appends all frames of a batch of the same sensor.
    ///
    /// # Panics
    /// When they have other channels: the caller built it, so it is a bug.
    pub fn append(&mut self, others: &Self) {
        assert_eq!(self.channels, others.channels, "batches of one sensor have the same channels");
        self.values.extend_from_slice(&others.values);
        self.stamps.extend_from_slice(&others.stamps);
        self.pictures.extend_from_slice(&others.pictures);
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
        self.pictures.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ClockState;

    #[test]
    fn pictures_come_and_go_with_their_stamps() {
        let picture = |side| Arc::new(Picture::new(side, 1, vec![0; 3 * side]).unwrap());
        let mut frames = Frames::new(0, 4);
        for n in 1..=3 {
            let at = Duration::from_secs(n as u64);
            let wall = Timestamp { since_epoch: at, clock: ClockState::Synced };
            frames.push_picture(picture(n), Stamp { at, wall, gap_before: false });
        }
        frames.forget_first(1);
        assert_eq!((frames.len(), frames.stamps()[0].at), (2, Duration::from_secs(2)));
        assert_eq!(frames.picture(0).map(|picture| picture.width()), Some(2));
        assert!(frames.frame(1).0.is_empty() && frames.picture(2).is_none());
        let mut more = frames.clone();
        more.append(&frames);
        more.truncate(3);
        let widths = (0..4).map(|n| more.picture(n).map(|picture| picture.width()));
        assert_eq!(widths.collect::<Vec<_>>(), [Some(2), Some(3), Some(2), None]);
        assert_eq!(more.len(), 3);
        frames.clear();
        assert!(frames.picture(0).is_none());
    }
}
