//! When a sensor that is asked for one frame in a period is due, and which frames follow each other.

use std::time::Duration;

/// Frames that are further apart than this many periods do not follow each other.
const GAP_PERIODS: f64 = 1.5;
/// A poll comes at least that often, however long the period is.
const POLL_MAX: Duration = Duration::from_secs(1);

/// The deadlines of such a sensor, one in each period, and when its last frame was.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    period: Duration,
    /// Between two polls.
    poll: Duration,
    due: Option<Duration>,
    last: Option<Duration>,
}

impl Pace {
    /// One frame in each `period`, polled every `poll` or every second.
    pub(super) fn new(period: Duration, poll: Duration) -> Self {
        Self { period, poll: poll.min(POLL_MAX), due: None, last: None }
    }

    /// Whether a frame is to be had at `now`. A poll that comes a little early is the one that was meant.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.due.is_none_or(|due| now + self.poll / 2 >= due)
    }

    /// A frame is asked for at `now`; the next is due a period later. Deadlines that have passed are left out.
    pub(super) fn begin(&mut self, now: Duration) {
        let due = self.due.map_or(now, |due| due.max(now.saturating_sub(self.period)));
        self.due = Some(due + self.period);
    }

    /// The frame that was asked for at `at` is there; whether it does not follow the one before.
    pub(super) fn is_gap(&mut self, at: Duration) -> bool {
        let follows = |last: Duration| at.saturating_sub(last) <= self.period.mul_f64(GAP_PERIODS);
        let gap = !self.last.is_some_and(follows);
        self.last = Some(at);
        gap
    }
}
