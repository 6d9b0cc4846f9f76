//! Keeps the demo's score from what the broker delivered: windows, accuracy, latency.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// What the demo ends with; the JSON of `--json` is a public interface (contract section 4).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Results that arrived from the broker.
    pub windows: usize,
    /// Share of them with the label that the recording has; 0 to 1.
    pub accuracy: f64,
    /// Frames, windows and messages given up anywhere on the way.
    pub dropped: u64,
    /// Messages that arrived from the broker, of any topic.
    pub messages: u64,
    /// Preprocess, engine and postprocess together.
    pub latency_us: Latency,
    /// Model updates performed, in their order.
    pub updates: Vec<Update>,
}

/// Exact percentiles over all results, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // each name says all
pub struct Latency {
    pub min: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub mean: u64,
}

/// A model update that the demo performed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Update {
    /// `NAME-VERSION`.
    pub bundle: String,
    /// How it ended.
    pub outcome: Ending,
    /// Why it did not go through, as the board says.
    pub reason: Option<String>,
}

/// The end of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It serves.
    Committed,
    /// It never served.
    Rejected,
    /// It served on trial; the version before serves again.
    Reverted,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Committed => "committed",
            Self::Rejected => "rejected",
            Self::Reverted => "reverted",
        })
    }
}

/// One result as judged by the subscriber.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    /// How often all recordings had been played before.
    pub(super) round: u32,
    /// Index of the recording that was playing.
    pub(super) recording: usize,
    /// The model's version.
    pub(super) version: String,
    /// What the pipeline said; `None` below the threshold.
    pub(super) label: Option<String>,
    /// The score of that label.
    pub(super) score: f64,
    /// Whether it is the recording's label.
    pub(super) right: bool,
    /// As the result says.
    pub(super) latency_us: u64,
}

/// Adds up what arrives.
#[derive(Clone, Debug, Default)]
pub(super) struct Score {
    latencies: Vec<u64>,
    right: usize,
    messages: u64,
    /// For each version: results, and those that were right.
    versions: BTreeMap<String, (usize, usize)>,
}

impl Score {
    /// Counts a message of any topic.
    pub(super) fn message(&mut self) {
        self.messages += 1;
    }

    /// Counts a result.
    pub(super) fn result(&mut self, judged: &Judged) {
        self.latencies.push(judged.latency_us);
        self.right += usize::from(judged.right);
        let (results, right) = self.versions.entry(judged.version.clone()).or_default();
        *results += 1;
        *right += usize::from(judged.right);
    }

    /// Each version with its results so far, and how many of them were right.
    pub(super) fn versions(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.versions.iter().map(|(version, &(results, right))| (version.as_str(), results, right))
    }

    /// Results so far.
    pub(super) fn windows(&self) -> usize {
        self.latencies.len()
    }

    /// Results so far that were right.
    pub(super) fn right(&self) -> usize {
        self.right
    }

    /// Share of right results so far; 0 without any.
    pub(super) fn accuracy(&self) -> f64 {
        self.right as f64 / self.latencies.len().max(1) as f64
    }

    /// The whole, with what was dropped elsewhere, and the updates meanwhile.
    pub(super) fn summary(&self, dropped: u64, updates: Vec<Update>) -> Summary {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or(0)
        };
        let mean = sorted.iter().sum::<u64>() / sorted.len().max(1) as u64;
        let min = sorted.first().copied().unwrap_or(0);
        Summary {
            windows: self.windows(),
            accuracy: self.accuracy(),
            dropped,
            messages: self.messages,
            latency_us: Latency { min, p50: at(50), p90: at(90), p99: at(99), mean },
            updates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_the_json_of_the_contract() {
        let mut score = Score::default();
        for k in 1..=100 {
            score.message();
            let label = Some("walking".to_owned());
            score.result(&Judged {
                round: 0,
                recording: 0,
                version: "1.0.0".into(),
                label,
                score: 0.9,
                right: k > 1,
                latency_us: k,
            });
        }
        let updates = vec![Update {
            bundle: "a-1.1.0".into(),
            outcome: Ending::Reverted,
            reason: Some("trial_failed: slow".into()),
        }];
        let json = serde_json::to_string(&score.summary(2, updates)).expect("plain");
        assert_eq!(
            json,
            r#"{"windows":100,"accuracy":0.99,"dropped":2,"messages":100,"latency_us":{"min":1,"p50":50,"p90":90,"p99":99,"mean":50},"updates":[{"bundle":"a-1.1.0","outcome":"reverted","reason":"trial_failed: slow"}]}"#
        );
    }

    #[test]
    fn an_empty_score_is_all_zeros() {
        assert_eq!(Score::default().summary(0, Vec::new()), Summary::default());
    }
}
