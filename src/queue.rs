//! The bounded queue between a sensor's thread and a pipeline's: never blocks the sensor, drops the
//! oldest frames when full, counts them, allocates nothing after it was made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::data::{Frames, Picture, Stamp};

/// Makes a queue of at most `capacity` frames of `channels` values, or of pictures with 0 channels.
///
/// # Panics
/// When `capacity` is 0: the caller computes it from a window's length.
pub fn frames(channels: usize, capacity: usize) -> (FrameSender, FrameReceiver) {
    assert!(capacity > 0, "a queue holds at least one frame");
    let ring = Ring {
        channels,
        capacity,
        values: vec![0.0; channels * capacity],
        stamps: Vec::with_capacity(capacity),
        pictures: vec![None; if channels == 0 { capacity } else { 0 }],
        first: 0,
        len: 0,
        open: true,
        lost: false,
    };
    let shared = Arc::new(Shared {
        ring: Mutex::new(ring),
        filled: Condvar::new(),
        dropped: AtomicU64::new(0),
    });
    (FrameSender { shared: shared.clone() }, FrameReceiver { shared })
}

/// The sensor's end. Dropping it closes the queue.
#[derive(Debug)]
pub struct FrameSender {
    shared: Arc<Shared>,
}

/// The pipeline's end.
#[derive(Debug)]
pub struct FrameReceiver {
    shared: Arc<Shared>,
}

/// What a wait on the queue ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// There were frames.
    Frames,
    /// Nothing came in time.
    Nothing,
    /// Nothing is left and the sensor's end is gone.
    Closed,
}

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    filled: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Ring {
    channels: usize,
    capacity: usize,
    values: Vec<f32>,
    /// Grows to `capacity` once and is then overwritten in a circle; `first` is the oldest.
    stamps: Vec<Stamp>,
    /// A slot for each frame where frames are pictures, otherwise none.
    pictures: Vec<Option<Arc<Picture>>>,
    first: usize,
    len: usize,
    open: bool,
    /// The oldest frame was dropped: the one that is the oldest now follows a gap.
    lost: bool,
}

impl Ring {
    /// Whether an old frame had to go.
    fn push(&mut self, values: &[f32], picture: Option<&Arc<Picture>>, stamp: Stamp) -> bool {
        let full = self.len == self.capacity;
        if full {
            self.first = (self.first + 1) % self.capacity;
            self.len -= 1;
            self.lost = true;
        }
        let slot = (self.first + self.len) % self.capacity;
        if slot == self.stamps.len() {
            self.stamps.push(stamp);
        } else {
            self.stamps[slot] = stamp;
        }
        self.values[slot * self.channels..][..self.channels].copy_from_slice(values);
        if let Some(held) = self.pictures.get_mut(slot) {
            *held = picture.cloned();
        }
        self.len += 1;
        full
    }

    fn drain(&mut self, out: &mut Frames) {
        for k in 0..self.len {
            let slot = (self.first + k) % self.capacity;
            let mut stamp = self.stamps[slot];
            stamp.gap_before |= self.lost && k == 0;
            match self.pictures.get_mut(slot).and_then(Option::take) {
                Some(picture) => out.push_picture(picture, stamp),
                None => out.push(&self.values[slot * self.channels..][..self.channels], stamp),
            }
        }
        self.first = (self.first + self.len) % self.capacity;
        (self.len, self.lost) = (0, false);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        // A panic elsewhere cannot leave the ring half-changed: every change below is complete.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameSender {
    /// Adds frames; the oldest ones make room when the queue is full.
    pub fn push(&self, frames: &Frames) {
        let mut dropped = 0;
        let mut ring = self.shared.lock();
        for (index, (values, stamp)) in frames.iter().enumerate() {
            dropped += u64::from(ring.push(values, frames.picture(index), stamp));
        }
        drop(ring);
        self.shared.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.shared.filled.notify_one();
    }
}

impl Drop for FrameSender {
    fn drop(&mut self) {
        self.shared.lock().open = false;
        self.shared.filled.notify_one();
    }
}

impl FrameReceiver {
    /// Waits at most `patience` for frames and moves all there are into `out`, which is cleared first.
    pub fn take(&self, out: &mut Frames, patience: Duration) -> Waited {
        out.clear();
        let ring = self.shared.lock();
        let waited = self
            .shared
            .filled
            .wait_timeout_while(ring, patience, |ring| ring.len == 0 && ring.open);
        let (mut ring, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if ring.len == 0 {
            return if ring.open { Waited::Nothing } else { Waited::Closed };
        }
        ring.drain(out);
        Waited::Frames
    }

    /// Frames dropped since the queue was made.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ClockState, Timestamp};
    use proptest::prelude::*;

    fn batch(numbers: impl IntoIterator<Item = u64>) -> Frames {
        let mut frames = Frames::new(1, 8);
        for n in numbers {
            let at = Duration::from_millis(n);
            let wall = Timestamp { since_epoch: at, clock: ClockState::Synced };
            frames.push(&[n as f32], Stamp { at, wall, gap_before: false });
        }
        frames
    }

    #[test]
    fn a_full_queue_drops_its_oldest_frames_counts_them_and_marks_the_gap() {
        let (sender, receiver) = frames(1, 3);
        sender.push(&batch(0..5));
        let mut out = Frames::new(1, 3);
        assert_eq!(receiver.take(&mut out, Duration::ZERO), Waited::Frames);
        assert_eq!(out.values(), [2.0, 3.0, 4.0]);
        let gaps: Vec<_> = out.stamps().iter().map(|stamp| stamp.gap_before).collect();
        assert_eq!(gaps, [true, false, false]);
        assert_eq!(receiver.dropped(), 2);
    }

    #[test]
    fn what_is_left_is_taken_before_the_end_is_seen() {
        let (sender, receiver) = frames(1, 3);
        let mut out = Frames::new(1, 3);
        assert_eq!(receiver.take(&mut out, Duration::ZERO), Waited::Nothing);
        sender.push(&batch([7]));
        drop(sender);
        assert_eq!(receiver.take(&mut out, Duration::from_secs(60)), Waited::Frames);
        assert_eq!(receiver.take(&mut out, Duration::from_secs(60)), Waited::Closed);
    }

    #[test]
    fn pictures_are_handed_over_and_not_kept() {
        let (sender, receiver) = frames(0, 2);
        let picture = |side| Arc::new(Picture::new(side, 1, vec![0; 3 * side]).unwrap());
        let pictures = [1, 2, 3].map(picture);
        let mut sent = Frames::new(0, 3);
        for (picture, stamp) in pictures.iter().zip(batch(0..3).stamps()) {
            sent.push_picture(picture.clone(), *stamp);
        }
        sender.push(&sent);
        drop(sent);
        assert_eq!(Arc::strong_count(&pictures[0]), 1, "the oldest was dropped");
        let mut out = Frames::new(0, 2);
        assert_eq!(receiver.take(&mut out, Duration::ZERO), Waited::Frames);
        let widths: Vec<_> = (0..2).map(|n| out.picture(n).unwrap().width()).collect();
        assert_eq!((widths, receiver.dropped()), (vec![2, 3], 1));
        assert!(out.stamps()[0].gap_before);
        assert_eq!(Arc::strong_count(&pictures[2]), 2, "here and in `out`");
    }

    proptest! {
        #[test]
        fn every_frame_is_taken_or_counted_as_dropped(
            batches in prop::collection::vec((0u64..9, any::<bool>()), 0..40), capacity in 1usize..12,
        ) {
            let (sender, receiver) = frames(1, capacity);
            let mut out = Frames::new(1, capacity);
            let (mut next, mut last, mut taken) = (0u64, None, 0u64);
            for (count, take) in batches {
                sender.push(&batch(next..next + count));
                next += count;
                if take && receiver.take(&mut out, Duration::ZERO) == Waited::Frames {
                    taken += out.len() as u64;
                    for (values, stamp) in out.iter() {
                        let follows = last.is_none_or(|last: f32| values[0] == last + 1.0);
                        prop_assert!(follows || stamp.gap_before);
                        last = Some(values[0]);
                    }
                }
            }
            if receiver.take(&mut out, Duration::ZERO) == Waited::Frames {
                taken += out.len() as u64;
            }
            prop_assert_eq!(taken + receiver.dropped(), next);
        }
    }
}
