//! What is wrong and for how long it is said: conditions begin at once and end late, so that health does not flap.
//!
//! ```text
//!            bad                         good for as long as `hold`
//!  ┌──────┐ ─────► ┌────────┐ ◄─── bad ────┐
//!  │ quiet│        │ raised │              │
//!  └──────┘ ◄───── └────────┘ ──between────┘  (neither: below the limit, not yet below limit − margin)
//! ```

use std::time::Duration;

use super::problem::{Code, Problem};

/// How long a state must have been good before it is no longer a reason.
const SETTLE: Duration = Duration::from_secs(10);
/// How long something that happened is a reason.
const RECENT: Duration = Duration::from_secs(120);

/// A condition as it is at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is a reason.
    Bad,
    /// It is none, and does not end one either.
    Between,
    /// It is none.
    Good,
}

impl Reading {
    /// Bad from `limit` on; good below `limit - margin`.
    pub fn above(value: f64, limit: f64, margin: f64) -> Self {
        match value {
            value if value >= limit => Self::Bad,
            value if value < limit - margin => Self::Good,
            // What is no number ends nothing and begins nothing.
            _ => Self::Between,
        }
    }

    /// Bad below `limit`; good from `limit + margin` on.
    pub fn below(value: f64, limit: f64, margin: f64) -> Self {
        match value {
            value if value < limit => Self::Bad,
            value if value >= limit + margin => Self::Good,
            _ => Self::Between,
        }
    }

    /// Bad where `bad`, otherwise good.
    pub fn of(bad: bool) -> Self {
        if bad { Self::Bad } else { Self::Good }
    }
}

/// Whether a condition is a reason: begins at the first bad reading, ends when none but good ones came for as long
/// as `hold`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latch {
    /// The last moment at which it was not good; `None` when it is no reason.
    last: Option<Duration>,
}

impl Latch {
    /// The latch after `reading` at `now` (monotonic).
    #[must_use]
    pub fn step(self, reading: Reading, now: Duration, hold: Duration) -> Self {
        let last = match (reading, self.last) {
            (Reading::Bad, _) | (Reading::Between, Some(_)) => Some(now),
            (Reading::Between, None) => None,
            (Reading::Good, last) => last.filter(|last| now.saturating_sub(*last) < hold),
        };
        Self { last }
    }

    /// Whether it is a reason.
    pub fn is_raised(self) -> bool {
        self.last.is_some()
    }
}

#[derive(Debug)]
struct Held {
    code: Code,
    part: String,
    latch: Latch,
    message: String,
    /// It is over, and only held.
    over: bool,
    /// How often it has happened: at the last reading, and before it became a reason.
    count: u64,
    count_before: u64,
    read: bool,
}

/// All conditions, in the order in which they were first read.
#[derive(Debug, Default)]
pub struct Conditions {
    held: Vec<Held>,
}

/// One round over all conditions at one moment; one that is not read is forgotten at its end.
#[derive(Debug)]
pub struct Round<'a> {
    held: &'a mut Vec<Held>,
    now: Duration,
}

impl Conditions {
    /// Begins a round at `now` (monotonic).
    pub fn round(&mut self, now: Duration) -> Round<'_> {
        self.held.iter_mut().for_each(|held| held.read = false);
        Round { held: &mut self.held, now }
    }

    /// What is a reason now.
    pub fn problems(&self) -> impl Iterator<Item = Problem> + '_ {
        self.raised().map(|held| {
            let until = if held.over { "until a moment ago: " } else { "" };
            Problem {
                code: held.code,
                part: held.part.clone(),
                message: format!("{until}{}", held.message),
            }
        })
    }

    /// Code and part of what is a reason now.
    pub fn keys(&self) -> impl Iterator<Item = (Code, &str)> {
        self.raised().map(|held| (held.code, held.part.as_str()))
    }

    fn raised(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.latch.is_raised())
    }
}

impl Round<'_> {
    /// A state, of the part `part` (empty: of the board or the whole). `message` is asked for when it is bad.
    pub fn state(
        &mut self,
        code: Code,
        part: &str,
        reading: Reading,
        message: impl FnOnce() -> String,
    ) {
        let now = self.now;
        let held = self.held(code, part, 0);
        held.latch = held.latch.step(reading, now, SETTLE);
        held.over = reading == Reading::Good;
        if reading == Reading::Bad {
            held.message = message();
        }
    }

    /// Something that happens: a counter of it that only grows. `message` is asked with how often it has
    /// happened since it became a reason.
    pub fn count(
        &mut self,
        code: Code,
        part: &str,
        count: u64,
        message: impl FnOnce(u64) -> String,
    ) {
        let now = self.now;
        let held = self.held(code, part, count);
        let grew = count > std::mem::replace(&mut held.count, count);
        held.latch = held.latch.step(Reading::of(grew), now, RECENT);
        if grew {
            held.message = message(count.saturating_sub(held.count_before));
        } else if !held.latch.is_raised() {
            held.count_before = count;
        }
    }

    /// Ends the round.
    pub fn end(self) {
        self.held.retain(|held| held.read);
    }

    fn held(&mut self, code: Code, part: &str, count: u64) -> &mut Held {
        let known = self.held.iter().position(|held| held.code == code && held.part == part);
        let index = known.unwrap_or_else(|| {
            self.held.push(Held {
                code,
                part: part.to_owned(),
                latch: Latch::default(),
                message: String::new(),
                over: false,
                count,
                count_before: count,
                read: true,
            });
            self.held.len() - 1
        });
        let held = &mut self.held[index];
        held.read = true;
        held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_temperature_ends_below_its_limit_less_the_margin() {
        let read = |value| Reading::above(value, 85.0, 5.0);
        assert_eq!(
            [85.0, 84.9, 80.0, 79.9, f64::NAN].map(read),
            [Reading::Bad, Reading::Between, Reading::Between, Reading::Good, Reading::Between]
        );
        let read = |value| Reading::below(value, 100.0, 25.0);
        assert_eq!(
            [99.0, 100.0, 124.0, 125.0].map(read),
            [Reading::Bad, Reading::Between, Reading::Between, Reading::Good]
        );
    }

    #[test]
    fn a_state_is_said_at_once_and_until_it_has_been_good_for_a_while() {
        let mut conditions = Conditions::default();
        let mut say = |second, bad: bool| {
            let mut round = conditions.round(at(second));
            round
                .state(Code::SensorLost, "imu", Reading::of(bad), || format!("no answer {second}"));
            round.end();
            conditions.problems().map(|problem| problem.message).collect::<Vec<_>>()
        };
        assert!(say(0, false).is_empty());
        assert_eq!(say(1, true), ["no answer 1"]);
        assert_eq!(say(2, false), ["until a moment ago: no answer 1"]);
        assert_eq!(say(3, true), ["no answer 3"]);
        assert_eq!(say(12, false), ["until a moment ago: no answer 3"]);
        assert!(say(13, false).is_empty());
    }

    #[test]
    fn what_happened_is_said_for_a_while_and_counted_from_its_beginning() {
        let mut conditions = Conditions::default();
        let mut say = |second, count| {
            let mut round = conditions.round(at(second));
            round.count(Code::DeadlineMisses, "gestures", count, |n| format!("{n} misses"));
            round.end();
            conditions.problems().map(|problem| problem.message).collect::<Vec<_>>()
        };
        // What was counted before anybody looked is no news.
        assert!(say(0, 7).is_empty());
        assert_eq!(say(1, 9), ["2 misses"]);
        assert_eq!(say(100, 10), ["3 misses"]);
        assert_eq!(say(219, 10), ["3 misses"]);
        assert!(say(220, 10).is_empty());
        assert_eq!(say(221, 11), ["1 misses"]);
    }

    #[test]
    fn what_is_not_read_any_more_is_forgotten() {
        let mut conditions = Conditions::default();
        let mut round = conditions.round(at(0));
        round.state(Code::SensorLost, "imu", Reading::Bad, String::new);
        round.end();
        assert_eq!(conditions.keys().collect::<Vec<_>>(), [(Code::SensorLost, "imu")]);
        conditions.round(at(1)).end();
        assert_eq!(conditions.keys().count(), 0);
    }

    fn readings() -> impl Strategy<Value = Vec<(u64, Reading)>> {
        let reading = prop_oneof![Just(Reading::Bad), Just(Reading::Between), Just(Reading::Good)];
        proptest::collection::vec((0u64..20, reading), 0..200)
    }

    proptest! {
        #[test]
        fn a_latch_begins_at_once_ends_late_and_never_flaps(
            readings in readings(), hold in 1u64..30,
        ) {
            let (mut latch, mut now) = (Latch::default(), 0);
            let (mut last_bad, mut good_since, mut ends) = (None, None, Vec::new());
            for (passed, reading) in readings {
                now += passed;
                let before = latch.is_raised();
                latch = latch.step(reading, at(now), at(hold));
                match reading {
                    Reading::Bad => {
                        prop_assert!(latch.is_raised());
                        last_bad = Some(now);
                        good_since = None;
                    }
                    Reading::Between => {
                        prop_assert_eq!(latch.is_raised(), before);
                        good_since = None;
                    }
                    Reading::Good => {
                        let since = *good_since.get_or_insert(now);
                        prop_assert!(!latch.is_raised() || before);
                        // Nothing bad for so long: over.
                        prop_assert!(!(latch.is_raised() && now - since >= hold));
                    }
                }
                // Never without a bad reading.
                prop_assert!(!latch.is_raised() || last_bad.is_some());
                if before && !latch.is_raised() {
                    prop_assert!(now - last_bad.unwrap_or(0) >= hold);
                    ends.push(now);
                }
            }
            prop_assert!(ends.windows(2).all(|two| two[1] - two[0] >= hold));
        }

        #[test]
        fn noise_within_the_margin_neither_begins_nor_ends_a_reason(
            noise in proptest::collection::vec(80.0f64..85.0, 1..100), raised: bool,
        ) {
            let mut latch = Latch::default();
            if raised {
                latch = latch.step(Reading::Bad, at(0), at(1));
            }
            for (second, value) in (1u64..).zip(noise) {
                latch = latch.step(Reading::above(value, 85.0, 5.0), at(second * 60), at(1));
                prop_assert_eq!(latch.is_raised(), raised);
            }
        }
    }
}
