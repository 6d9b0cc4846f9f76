//! What a device's values say about the device: frozen, or outside of what it can measure.

use std::sync::Arc;
use std::time::Duration;

use super::SensorChange;
use crate::data::{Frames, Picture};
use crate::sensor::Channel;

/// How long a channel must be within its range again before that is said: values at the border would flap.
const HOLD: Duration = Duration::from_secs(10);

/// Looks at every frame, over all openings of a sensor.
pub(super) struct Watch {
    stuck_after: Option<Duration>,
    ranges: Vec<Range>,
    last: Vec<f32>,
    last_picture: Option<Arc<Picture>>,
    /// When the newest frame's values were first seen, without another in between.
    same_since: Option<Duration>,
    /// When the device was opened, or the newest frame after that was sampled.
    heard_at: Option<Duration>,
    /// The values of `last` are no measurements any more.
    frozen: bool,
    /// Frames were left out, so the next one does not follow what was before.
    left_out: bool,
}

struct Range {
    channel: String,
    low: f32,
    high: f32,
    began: Option<Duration>,
    outside_at: Duration,
}

/// What to do with a batch.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Use what is left of it, which may be nothing.
    Use,
    /// The device is frozen.
    Stuck(String),
}

impl Watch {
    pub(super) fn new(channels: &[Channel], stuck_after: Option<Duration>) -> Self {
        let range = |channel: &Channel| {
            let [low, high] = channel.range.unwrap_or([f32::MIN, f32::MAX]);
            let name = channel.name.to_string();
            Range { channel: name, low, high, began: None, outside_at: Duration::ZERO }
        };
        Self {
            stuck_after: stuck_after.filter(|time| !time.is_zero()),
            ranges: channels.iter().map(range).collect(),
            last: Vec::with_capacity(channels.len()),
            last_picture: None,
            same_since: None,
            heard_at: None,
            frozen: false,
            left_out: false,
        }
    }

    /// The device was opened anew at `now`: it gets the same time again to show another value.
    pub(super) fn opened(&mut self, now: Duration) {
        self.same_since = None;
        self.heard_at = Some(now);
    }

    /// There was no frame at `now`.
    pub(super) fn nothing(&self, now: Duration) -> Verdict {
        let silence = now.saturating_sub(self.heard_at.unwrap_or(now));
        match self.stuck_after {
            Some(after) if silence >= after => Verdict::Stuck(format!(
                "frozen: it answers, and has not sampled for {}",
                words(after)
            )),
            _ => Verdict::Use,
        }
    }

    /// Takes what is no measurement out of `batch`: values outside become NaN, frozen frames go.
    pub(super) fn look(
        &mut self,
        batch: &mut Frames,
        changes: &mut dyn FnMut(SensorChange),
    ) -> Verdict {
        self.outside(batch, changes);
        self.heard_at = batch.stamps().last().map(|stamp| stamp.at).or(self.heard_at);
        let Some(stuck_after) = self.stuck_after else { return Verdict::Use };
        let mut frozen = 0;
        for (index, (values, stamp)) in batch.iter().enumerate() {
            let picture = batch.picture(index);
            // A missing value is as good as another one: a distance without a target.
            let known = picture.is_some() || values.iter().any(|value| !value.is_nan());
            let same = self.last.len() == values.len()
                && self.last.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits())
                && self.last_picture.as_ref() == picture;
            if !same || !known {
                self.frozen = false;
                self.same_since = Some(stamp.at);
                self.last.clear();
                self.last.extend_from_slice(values);
                self.last_picture = picture.cloned();
                continue;
            }
            let since = *self.same_since.get_or_insert(stamp.at);
            if self.frozen {
                frozen += 1;
            }
            if stamp.at.saturating_sub(since) >= stuck_after {
                self.frozen = true;
                let what = match picture {
                    Some(_) => "the picture".into(),
                    None => format!("{} values", values.len()),
                };
                let time = words(stuck_after);
                return Verdict::Stuck(format!(
                    "frozen: {what} stayed the same to the last bit for {time}"
                ));
            }
        }
        batch.forget_first(frozen);
        self.left_out |= frozen > 0;
        if self.left_out && !batch.is_empty() {
            self.left_out = false;
            batch.mark_gap();
        }
        Verdict::Use
    }

    fn outside(&mut self, batch: &mut Frames, changes: &mut dyn FnMut(SensorChange)) {
        let channels = self.ranges.len().max(1);
        let (values, stamps) = batch.parts_mut();
        for (frame, stamp) in values.chunks_exact_mut(channels).zip(stamps) {
            for (value, range) in frame.iter_mut().zip(&mut self.ranges) {
                let channel = || range.channel.clone();
                if *value < range.low || *value > range.high {
                    range.outside_at = stamp.at;
                    if range.began.is_none() {
                        range.began = Some(stamp.at);
                        changes(SensorChange::OutOfRange { channel: channel(), value: *value });
                    }
                    *value = f32::NAN;
                } else if let Some(began) = range.began
                    && stamp.at.saturating_sub(range.outside_at) >= HOLD
                    && !value.is_nan()
                {
                    range.began = None;
                    let after = stamp.at.saturating_sub(began);
                    changes(SensorChange::InRange { channel: channel(), after });
                }
            }
        }
    }

    /// The channels that are outside.
    pub(super) fn channels_outside(&self) -> Vec<String> {
        let outside = self.ranges.iter().filter(|range| range.began.is_some());
        outside.map(|range| range.channel.clone()).collect()
    }
}

fn words(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_millis(time.as_millis() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ClockState, Stamp, Timestamp};

    const SECOND: Duration = Duration::from_secs(1);

    struct Bench {
        watch: Watch,
        at: Duration,
        said: Vec<SensorChange>,
    }

    impl Bench {
        fn new(channels: &[Channel], stuck_after: u64) -> Self {
            let watch = Watch::new(channels, Some(Duration::from_secs(stuck_after)));
            Self { watch, at: Duration::ZERO, said: Vec::new() }
        }

        /// One batch of frames of two values, a second apart; says what is left of it.
        fn look(&mut self, frames: &[[f32; 2]]) -> (Verdict, Frames) {
            let mut batch = Frames::new(2, frames.len());
            for values in frames {
                self.at += SECOND;
                let wall = Timestamp { since_epoch: self.at, clock: ClockState::Synced };
                batch.push(values, Stamp { at: self.at, wall, gap_before: false });
            }
            let verdict = self.watch.look(&mut batch, &mut |change| self.said.push(change));
            (verdict, batch)
        }
    }

    fn channels() -> [Channel; 2] {
        [Channel::new("a", "").within(-40.0, 85.0), Channel::new("b", "")]
    }

    #[test]
    fn a_device_whose_values_stay_the_same_is_frozen_until_another_comes() {
        let mut bench = Bench::new(&channels(), 5);
        assert_eq!(bench.look(&[[1.0, 2.0]; 5]).0, Verdict::Use);
        let (verdict, _) = bench.look(&[[1.0, 2.0]]);
        assert!(matches!(&verdict, Verdict::Stuck(why) if why.contains("for 5s")), "{verdict:?}");
        bench.watch.opened(bench.at);
        let (verdict, left) = bench.look(&[[1.0, 2.0]; 3]);
        assert_eq!((verdict, left.len()), (Verdict::Use, 0), "what is frozen is no measurement");
        let (verdict, left) = bench.look(&[[1.0, 2.5], [1.0, 2.0]]);
        assert_eq!((verdict, left.len()), (Verdict::Use, 2));
        assert!(left.stamps()[0].gap_before && !left.stamps()[1].gap_before);
        assert_eq!(bench.look(&[[1.0, 2.0]; 4]).1.len(), 4);
    }

    #[test]
    fn a_device_that_stays_frozen_after_it_was_opened_anew_is_so_again() {
        let mut bench = Bench::new(&channels(), 3);
        bench.look(&[[1.0, 2.0]; 3]);
        for _ in 0..3 {
            assert!(matches!(bench.look(&[[1.0, 2.0]]).0, Verdict::Stuck(_)));
            bench.watch.opened(bench.at);
            assert_eq!(bench.look(&[[1.0, 2.0]; 3]).0, Verdict::Use);
        }
    }

    #[test]
    fn a_device_that_answers_without_a_frame_is_frozen_too() {
        let mut bench = Bench::new(&channels(), 5);
        assert_eq!(bench.watch.nothing(SECOND * 9), Verdict::Use, "not opened yet");
        bench.watch.opened(SECOND * 10);
        assert_eq!(bench.watch.nothing(SECOND * 14), Verdict::Use);
        assert!(matches!(bench.watch.nothing(SECOND * 15), Verdict::Stuck(_)));
        bench.at = SECOND * 15;
        bench.look(&[[1.0, 2.0]]);
        assert_eq!(bench.watch.nothing(SECOND * 20), Verdict::Use);
        assert!(matches!(bench.watch.nothing(SECOND * 21), Verdict::Stuck(_)));
    }

    #[test]
    fn missing_values_are_not_frozen_ones_and_zero_means_never() {
        let mut bench = Bench::new(&channels(), 2);
        assert_eq!(bench.look(&[[f32::NAN, f32::NAN]; 9]).0, Verdict::Use);
        let mut bench = Bench::new(&channels(), 0);
        assert_eq!(bench.look(&[[1.0, 2.0]; 99]).0, Verdict::Use);
    }

    #[test]
    fn a_value_outside_becomes_nan_and_is_told_once_until_it_has_been_inside_for_a_while() {
        let mut bench = Bench::new(&channels(), 0);
        let (_, left) = bench.look(&[[86.0, 1e9], [20.0, 0.0], [f32::INFINITY, f32::NEG_INFINITY]]);
        let missing: Vec<bool> = left.values().iter().map(|value| value.is_nan()).collect();
        assert_eq!(missing, [true, false, false, false, true, true]);
        let out =
            |channel: &str, value| SensorChange::OutOfRange { channel: channel.into(), value };
        assert_eq!(bench.said, [out("a", 86.0), out("b", f32::NEG_INFINITY)]);
        assert_eq!(bench.watch.channels_outside(), ["a", "b"]);
        bench.look(&[[20.0, f32::NAN]; 9]);
        assert_eq!(bench.said.len(), 2);
        bench.look(&[[20.0, f32::NAN]; 3]);
        let after = Duration::from_secs(12);
        assert_eq!(bench.said[2..], [SensorChange::InRange { channel: "a".into(), after }]);
        assert_eq!(bench.watch.channels_outside(), ["b"]);
    }
}
