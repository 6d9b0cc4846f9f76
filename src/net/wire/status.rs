//! `status`: whether the device is there; its birth, its farewell and its last will.

use serde::Serialize;

use crate::data::{Session, Timestamp};

/// Whether a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Connected.
    Online,
    /// The connection broke; said by the broker in the device's place.
    Offline,
    /// Stopped on purpose: going, or gone.
    Stopping,
}

/// The payload of `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether the device is there.
    pub state: DeviceState,
    /// The run that says so; the last will carries the same one.
    pub session: String,
    /// When the run began, RFC 3339.
    pub since: String,
    /// Whether the clock could be trusted then: `synced` or `unsynced`.
    pub clock: &'static str,
    /// edgerun's version.
    pub version: String,
}

impl Status {
    /// The status of the run `session` that began at `since`.
    pub fn new(state: DeviceState, session: &Session, since: Timestamp, version: &str) -> Self {
        Self {
            state,
            session: session.as_str().to_owned(),
            since: since.rfc3339(),
            clock: since.clock.as_str(),
            version: version.to_owned(),
        }
    }
}
