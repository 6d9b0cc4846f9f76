//! `model/NAME/reported`: which version of a model runs, and how its updates go.

use serde::Serialize;

/// The payload of `model/NAME/reported`. What there is not, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// When it was composed, RFC 3339.
    pub time: String,
    /// `synced` or `unsynced`.
    pub clock: String,
    /// The run.
    pub session: String,
    /// `idle`, a step of an update, or how the last one ended.
    pub state: String,
    /// What serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<ReportedBundle>,
    /// What a roll-back returns to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<ReportedBundle>,
    /// The version that is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How much of it has arrived, while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Why the last update did not go through, or a wish is not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<ReportedFailure>,
}

/// A bundle in the board's store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReportedBundle {
    /// The manifest's version.
    pub version: String,
    /// SHA-256 of the bundle file, 64 hex digits.
    pub digest: String,
    /// `repository`: signed; `local`: an administrator's own.
    pub origin: String,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Bytes that have arrived.
    pub bytes: u64,
    /// Bytes in all.
    pub of: u64,
    /// The same, 0 to 100, rounded down.
    pub percent: u8,
}

impl Progress {
    /// `bytes` of `of` have arrived.
    pub fn new(bytes: u64, of: u64) -> Self {
        let hundredths = u128::from(bytes) * 100 / u128::from(of.max(1));
        Self {
            bytes,
            of,
            percent: u8::try_from(hundredths).map_or(100, |percent| percent.min(100)),
        }
    }
}

/// Why an update did not go through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReportedFailure {
    /// The version that it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The kind, from the list in `docs/mqtt.md`.
    pub code: String,
    /// What happened and what to do, for people.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::wire;

    #[test]
    fn what_there_is_not_is_absent() {
        let reported = Reported { state: "idle".to_owned(), ..Reported::default() };
        assert_eq!(
            wire::json(&reported),
            br#"{"time":"","clock":"","session":"","state":"idle"}"#.to_vec()
        );
    }

    #[test]
    fn percent_is_never_rounded_up_to_all_and_never_more() {
        for (bytes, of, percent) in
            [(0, 0, 0), (0, 7, 0), (999, 1000, 99), (1000, 1000, 100), (9, 1, 100), (7, 0, 100)]
        {
            assert_eq!(Progress::new(bytes, of).percent, percent, "{bytes} of {of}");
        }
        assert_eq!(Progress::new(u64::MAX, u64::MAX).percent, 100);
    }
}
