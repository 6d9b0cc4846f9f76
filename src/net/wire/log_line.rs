//! `log`: a warning or an error of the daemon.

use serde::Serialize;

use crate::data::{Session, Timestamp};

/// The payload of `log`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogLine<'a> {
    /// When it was logged, RFC 3339.
    pub time: String,
    /// `synced` or `unsynced`.
    pub clock: &'static str,
    /// The run.
    pub session: &'a str,
    /// `error` or `warning`.
    pub level: &'static str,
    /// For people.
    pub message: &'a str,
    /// Lines that were left out since the one before, because they came too fast.
    pub suppressed: u64,
}

impl<'a> LogLine<'a> {
    /// A line that was logged at `time`.
    pub fn new(
        level: log::Level,
        message: &'a str,
        suppressed: u64,
        session: &'a Session,
        time: Timestamp,
    ) -> Self {
        Self {
            time: time.rfc3339(),
            clock: time.clock.as_str(),
            session: session.as_str(),
            level: if level == log::Level::Error { "error" } else { "warning" },
            message,
            suppressed,
        }
    }
}
