//! When the frames of a burst were sampled, and whether the stream was broken: for devices that
//! sample by a clock of their own into a memory that is read now and then.

use std::time::Duration;

use crate::data::{Stamp, Timestamp};

/// Share of a late read's error that each frame's stamp takes over: a reader's jitter is damped by
/// it, a drift of the device's clock is followed.
const FOLLOW: f64 = 1.0 / 8.0;

/// How far behind the reader a stream's newest frame may be, in periods, before that is a gap. A
/// frame is read up to one period after it was sampled, a reader may be one period late, and the
/// stamps lag behind a slow device by half a period.
const GAP_PERIODS: f64 = 2.5;

/// How wrong a device's clock may be: the MPU-6050's free-running oscillator is given as ±5 %.
const CLOCK_TOLERANCE: f64 = 1.0 / 16.0;

/// A device's frames on the reader's clock.
///
/// The caller empties the device's memory at each [`Timeline::place`] and says how many frames were
/// in it. Stamps are spaced by the nominal period. The newest frame of a burst is never later than
/// the read; when the read comes later than the nominal rate predicts, the stamps follow slowly.
///
/// # The gap rule
/// With `n` frames read, the newest is predicted at the last stamp + `n` periods. The read is more
/// than 2.5 + `n` / 16 periods after that: the stream stood still. If the `n` frames fill the time
/// since the read before, the pause was before the first of them, which gets `gap_before`. If not,
/// the pause may be between any two of them: they are all given up and the next burst begins with
/// `gap_before`. So a pause of more than 3.6 periods beyond the ordinary one is always found when the
/// reader comes once a period, and a reader that comes late, with the frames waiting, is never a gap.
#[derive(Clone, Debug)]
pub struct Timeline {
    period: Duration,
    /// Stamp of the newest frame; `None` before the first and after [`Timeline::lose`].
    last: Option<Duration>,
    /// When the memory was last emptied.
    emptied: Duration,
}

/// Where a burst's frames are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placed {
    /// On the timeline.
    At(Burst),
    /// Samples are missing somewhere among them: not to be used.
    Torn,
}

/// Equally spaced frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    first: Duration,
    step: Duration,
    gap: bool,
    now: Duration,
    wall: Timestamp,
}

impl Burst {
    /// Stamp of frame `index`, 0 for the oldest.
    pub fn stamp(&self, index: u32) -> Stamp {
        let at = self.first + self.step * index;
        let age = self.now.saturating_sub(at);
        let since_epoch = self.wall.since_epoch.saturating_sub(age);
        Stamp {
            at,
            wall: Timestamp { since_epoch, ..self.wall },
            gap_before: self.gap && index == 0,
        }
    }
}

impl Timeline {
    /// Begins at `now` with an empty memory; `period` is the nominal time between two frames.
    pub fn new(period: Duration, now: Duration) -> Self {
        Self { period, last: None, emptied: now }
    }

    /// Samples were lost at an unknown place up to `now`, and the memory is empty: the next frame
    /// begins anew, with a gap.
    pub fn lose(&mut self, now: Duration) {
        self.last = None;
        self.emptied = now;
    }

    /// Places the `frames` frames that were in the memory at `now` (monotonic; `wall` is the same
    /// moment), one at least.
    pub fn place(&mut self, frames: u32, now: Duration, wall: Timestamp) -> Placed {
        let whole = self.period * frames;
        let before_read = std::mem::replace(&mut self.emptied, now);
        let slack = self.period.mul_f64(GAP_PERIODS + CLOCK_TOLERANCE * f64::from(frames));
        let predicted = self.last.map(|last| last + whole);
        let gap = predicted.is_none_or(|newest| now.saturating_sub(newest) > slack);
        let newest = match predicted {
            _ if gap => {
                if now.saturating_sub(before_read) > whole + slack {
                    self.last = None;
                    return Placed::Torn;
                }
                now
            }
            Some(newest) if newest < now => {
                let share = 1.0 - (1.0 - FOLLOW).powf(f64::from(frames));
                newest + (now - newest).mul_f64(share)
            }
            _ => now,
        };
        // A device faster than its nominal rate: its frames share the time that there was.
        let step = match self.last {
            Some(last) if !gap => newest.saturating_sub(last) / frames.max(1),
            _ => self.period,
        };
        self.last = Some(newest);
        let first = newest.saturating_sub(step * frames.saturating_sub(1));
        Placed::At(Burst { first, step, gap, now, wall })
    }

    /// Notes that the memory was empty at `now`.
    pub fn nothing(&mut self, now: Duration) {
        self.emptied = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::ClockState;

    const PERIOD: Duration = Duration::from_millis(10);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn wall(now: Duration) -> Timestamp {
        Timestamp { since_epoch: ms(1_000_000) + now, clock: ClockState::Synced }
    }

    /// Stamps of `frames` frames read at `now`; empty when they were torn.
    fn read(timeline: &mut Timeline, frames: u32, now: Duration) -> Vec<Stamp> {
        if frames == 0 {
            timeline.nothing(now);
            return Vec::new();
        }
        match timeline.place(frames, now, wall(now)) {
            Placed::At(burst) => (0..frames).map(|k| burst.stamp(k)).collect(),
            Placed::Torn => Vec::new(),
        }
    }

    /// A timeline that has read one frame a period up to 100 ms.
    fn running() -> Timeline {
        let mut timeline = Timeline::new(PERIOD, Duration::ZERO);
        for k in 1..=10 {
            assert_eq!(read(&mut timeline, 1, PERIOD * k).len(), 1);
        }
        timeline
    }

    #[test]
    fn the_first_frame_begins_the_stream_with_a_gap() {
        let mut timeline = Timeline::new(PERIOD, Duration::ZERO);
        let stamps = read(&mut timeline, 2, ms(20));
        assert_eq!(stamps[0], Stamp { at: ms(10), wall: wall(ms(10)), gap_before: true });
        assert_eq!(stamps[1], Stamp { at: ms(20), wall: wall(ms(20)), gap_before: false });
    }

    #[test]
    fn a_late_reader_with_the_frames_waiting_is_no_gap() {
        let stamps = read(&mut running(), 30, ms(400));
        assert_eq!(stamps.first().map(|s| (s.at, s.gap_before)), Some((ms(110), false)));
        assert_eq!(stamps.last().map(|s| s.at), Some(ms(400)));
    }

    #[test]
    fn a_late_reader_hardly_moves_the_stamps() {
        let mut timeline = running();
        let late = read(&mut timeline, 1, ms(118));
        assert!(late[0].at >= ms(110) && late[0].at <= ms(111), "{:?}", late[0].at);
        let punctual = read(&mut timeline, 1, ms(120));
        assert_eq!(punctual[0].at, ms(120));
    }

    #[test]
    fn frame_after_a_pause_has_a_gap_before_it_and_is_stamped_when_it_was_read() {
        let mut timeline = running();
        for k in 11..=14 {
            read(&mut timeline, 0, PERIOD * k);
        }
        let stamps = read(&mut timeline, 1, ms(150));
        assert_eq!((stamps[0].at, stamps[0].gap_before), (ms(150), true));
        let next = read(&mut timeline, 1, ms(160));
        assert_eq!((next[0].at, next[0].gap_before), (ms(160), false));
    }

    #[test]
    fn frames_around_an_unseen_pause_are_given_up() {
        let mut timeline = running();
        assert_eq!(read(&mut timeline, 10, ms(300)), []);
        let next = read(&mut timeline, 1, ms(310));
        assert!(next[0].gap_before);
    }

    #[test]
    fn lost_samples_are_a_gap_before_the_next_frame() {
        let mut timeline = running();
        timeline.lose(ms(105));
        let stamps = read(&mut timeline, 1, ms(110));
        assert_eq!((stamps[0].at, stamps[0].gap_before), (ms(110), true));
    }

    proptest! {
        /// A device of any tolerable clock error, a reader of any tolerable jitter: no gap is made
        /// up, no frame lost, stamps are in order, never in the future, never far from the truth.
        #[test]
        fn steady_device_gives_one_ordered_stream(
            error in -0.05_f64..0.05,
            phase in 0.0_f64..1.0,
            late in prop::collection::vec(0.0_f64..0.9, 1..400),
        ) {
            let true_period = PERIOD.mul_f64(1.0 + error);
            let sampled = |k: u32| true_period.mul_f64(f64::from(k) + phase);
            let mut timeline = Timeline::new(PERIOD, Duration::ZERO);
            let (mut given, mut last) = (0_u32, Duration::ZERO);
            for (poll, late) in late.iter().enumerate() {
                let now = PERIOD.mul_f64(poll as f64 + 1.0 + late);
                let ready = (given..).take_while(|k| sampled(*k) <= now).count() as u32;
                let stamps = read(&mut timeline, ready, now);
                prop_assert_eq!(stamps.len(), ready as usize);
                for stamp in stamps {
                    prop_assert_eq!(stamp.gap_before, given == 0);
                    prop_assert!(stamp.at >= last && stamp.at <= now);
                    let truth = sampled(given);
                    let off = stamp.at.abs_diff(truth);
                    prop_assert!(off <= PERIOD * 3, "off by {:?}", off);
                    last = stamp.at;
                    given += 1;
                }
            }
        }

        /// Whatever the phase, a pause of four periods beyond the ordinary one is found.
        #[test]
        fn pause_is_found_at_one_poll_a_period(
            phase in 0.0_f64..1.0,
            before in 1_u32..50,
            pause in 3.6_f64..100.0,
        ) {
            let sampled = |k: u32| {
                let moved = if k >= before { pause } else { 0.0 };
                PERIOD.mul_f64(f64::from(k) + phase + moved)
            };
            let mut timeline = Timeline::new(PERIOD, Duration::ZERO);
            let (mut given, mut gaps) = (0_u32, Vec::new());
            for poll in 1..(before + 120) {
                let now = PERIOD * poll;
                let ready = (given..).take_while(|k| sampled(*k) <= now).count() as u32;
                for stamp in read(&mut timeline, ready, now) {
                    if stamp.gap_before {
                        gaps.push(given);
                    }
                    given += 1;
                }
            }
            prop_assert_eq!(gaps, [0, before]);
        }
    }
}
