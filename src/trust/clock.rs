//! What expiry means on a board whose clock may be wrong: floors of time, and one verdict.
//!
//! See `docs/decisions/0015-trust.md`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::{ClockState, Timestamp};

const DAY: u64 = 24 * 60 * 60;

/// How far a synchronised clock may be behind a publisher's and is still believed.
const SKEW_S: u64 = 60 * 60;
/// How far the last synchronised time counts beyond the newest signed one: a clock that was once
/// set to 2099 by mistake must not block an unsynchronised board for long.
const SOFT_MAX_S: u64 = 30 * DAY;
/// The soft floor is kept once it moved by this much, not at every check: flash wears out.
const SOFT_STEP_S: u64 = DAY;

/// The earliest that it can be, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Floors {
    /// Proven: when this program was built, or when the newest timestamp seen was signed.
    pub(super) hard: u64,
    /// Seen: the last synchronised time.
    pub(super) soft: u64,
}

/// What the clock is worth, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing has expired, by a synchronised clock.
    Fresh,
    /// Nothing has surely expired; what time it is, nobody here knows.
    TimeUnknown,
}

impl Floors {
    /// Raises the proven floor.
    pub(super) fn prove(&mut self, seconds: u64) {
        self.hard = self.hard.max(seconds);
    }

    /// Takes note of a synchronised time that is not plainly wrong, earlier ones included: so a
    /// mistaken 2099 heals.
    pub(super) fn see(&mut self, now: Timestamp) {
        let Some(now) = believed(*self, now) else { return };
        let soft = now.min(self.hard.saturating_add(SOFT_MAX_S));
        if soft.abs_diff(self.soft) >= SOFT_STEP_S {
            self.soft = soft;
        }
    }
}

/// The present, if the clock is synchronised and does not contradict what is proven.
fn believed(floors: Floors, now: Timestamp) -> Option<u64> {
    let seconds = now.since_epoch.as_secs();
    let credible = now.clock == ClockState::Synced && seconds + SKEW_S >= floors.hard;
    credible.then_some(seconds)
}

/// Judges the `expiries` of the roles, in seconds since 1970.
///
/// # Errors
/// The first role that has surely expired.
pub(super) fn judge(
    floors: Floors,
    now: Timestamp,
    expiries: &[(&'static str, u64)],
) -> Result<Verdict, (&'static str, Duration)> {
    let (earliest, verdict) = match believed(floors, now) {
        Some(now) => (now, Verdict::Fresh),
        None => (floors.hard.max(floors.soft), Verdict::TimeUnknown),
    };
    match expiries.iter().find(|(_, expires)| *expires < earliest) {
        Some((role, expires)) => Err((role, Duration::from_secs(*expires))),
        None => Ok(verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: u64 = 1_000 * DAY;

    fn synced(seconds: u64) -> Timestamp {
        Timestamp { since_epoch: Duration::from_secs(seconds), clock: ClockState::Synced }
    }

    fn unsynced(seconds: u64) -> Timestamp {
        Timestamp { clock: ClockState::Unsynced, ..synced(seconds) }
    }

    fn floors() -> Floors {
        Floors { hard: BUILD, soft: 0 }
    }

    #[test]
    fn a_board_without_a_clock_takes_what_has_not_surely_expired() {
        let expires = [("timestamp", BUILD + 7 * DAY)];
        assert_eq!(judge(floors(), unsynced(0), &expires), Ok(Verdict::TimeUnknown));
        assert_eq!(judge(floors(), synced(BUILD + DAY), &expires), Ok(Verdict::Fresh));
        assert!(judge(floors(), unsynced(0), &[("timestamp", BUILD - 1)]).is_err());
    }

    #[test]
    fn a_synchronised_clock_that_contradicts_the_build_counts_as_none() {
        let expires = [("timestamp", BUILD + 7 * DAY)];
        assert_eq!(judge(floors(), synced(1_000), &expires), Ok(Verdict::TimeUnknown));
        assert_eq!(judge(floors(), synced(BUILD - 2 * SKEW_S), &expires), Ok(Verdict::TimeUnknown));
        assert_eq!(judge(floors(), synced(BUILD - SKEW_S / 2), &expires), Ok(Verdict::Fresh));
    }

    #[test]
    fn turning_the_clock_back_does_not_revive_what_expired() {
        let mut floors = floors();
        floors.see(synced(BUILD + 10 * DAY));
        let old = [("timestamp", BUILD + 5 * DAY)];
        assert_eq!(judge(floors, unsynced(BUILD), &old).map_err(|found| found.0), Err("timestamp"));
        floors.prove(BUILD + 10 * DAY);
        assert!(judge(floors, synced(BUILD + DAY), &old).is_err());
    }

    #[test]
    fn a_mistaken_2099_blocks_nobody_for_long_and_heals() {
        let mut floors = floors();
        floors.see(synced(BUILD + 70 * 365 * DAY));
        assert_eq!(floors.soft, BUILD + SOFT_MAX_S);
        let later = [("timestamp", BUILD + 31 * DAY)];
        assert_eq!(judge(floors, unsynced(0), &later), Ok(Verdict::TimeUnknown));
        floors.see(synced(BUILD + 2 * DAY));
        assert_eq!(floors.soft, BUILD + 2 * DAY);
        let soon = [("timestamp", BUILD + 7 * DAY)];
        assert_eq!(judge(floors, synced(BUILD + 2 * DAY), &soon), Ok(Verdict::Fresh));
    }

    #[test]
    fn an_unsynchronised_time_is_never_taken_note_of() {
        let mut floors = floors();
        floors.see(unsynced(BUILD + 9 * DAY));
        assert_eq!(floors, Floors { hard: BUILD, soft: 0 });
    }

    #[test]
    fn the_soft_floor_moves_at_most_once_a_day() {
        let mut floors = floors();
        floors.see(synced(BUILD + DAY));
        floors.see(synced(BUILD + DAY + DAY / 2));
        assert_eq!(floors.soft, BUILD + DAY);
        floors.see(synced(BUILD + 2 * DAY));
        assert_eq!(floors.soft, BUILD + 2 * DAY);
    }
}
