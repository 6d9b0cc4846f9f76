//! Wall-clock stamps that say whether the clock could be trusted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether the kernel says that the wall clock is synchronised (NTP, PTP or an operator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockState {
    /// The wall clock is synchronised.
    Synced,
    /// The wall clock may be wrong by anything: a board without a battery clock starts in the past.
    Unsynced,
}

impl ClockState {
    /// The word that stands in payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Unsynced => "unsynced",
        }
    }
}

/// A wall-clock time for payloads. Never used for intervals: those come from `Clock::monotonic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Time since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub since_epoch: Duration,
    /// Whether the clock was trusted when the stamp was taken.
    pub clock: ClockState,
}

impl Timestamp {
    /// RFC 3339 in UTC with milliseconds, as in `2026-11-23T09:30:00.125Z`.
    pub fn rfc3339(&self) -> String {
        humantime::format_rfc3339_millis(self.system_time()).to_string()
    }

    /// The same instant as the standard library's type.
    pub fn system_time(&self) -> SystemTime {
        // RFC 3339 ends with the year 9999; a clock beyond that is shown as its last second.
        const LAST: Duration = Duration::from_secs(253_402_300_799);
        UNIX_EPOCH + self.since_epoch.min(LAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_rfc3339_in_utc_with_milliseconds() {
        let at = |since_epoch| Timestamp { since_epoch, clock: ClockState::Synced }.rfc3339();
        assert_eq!(at(Duration::from_millis(1_700_000_000_125)), "2023-11-14T22:13:20.125Z");
        assert_eq!(at(Duration::MAX), "9999-12-31T23:59:59.000Z");
    }
}
