//! Two boards with one id, found by a foreign session on our own `status` topic.
//!
//! A broker lets one client of an id in at a time: two boards throw each other out for ever, and not every broker
//! says why (mosquitto 2.0 and rumqttd do not). Each leaves its status behind, though, or has the broker leave its
//! last will: after the first connection of this run, every session there that is not ours is somebody else's.

use std::time::Duration;

use serde_json::Value;

use crate::data::Session;

/// A payload of ours is far below this.
const BYTES_MAX: usize = 4096;
/// Without a sign of the other for so long it is taken for gone.
pub(super) const FORGET: Duration = Duration::from_secs(3600);

/// What the own status topic has said.
#[derive(Debug)]
pub(super) struct Twin {
    own: Session,
    /// Whether this run has spoken on the topic: what is there from before may be of our own earlier runs.
    has_spoken: bool,
}

impl Twin {
    pub(super) fn new(own: Session) -> Self {
        Self { own, has_spoken: false }
    }

    /// The broker has our own status of this run.
    pub(super) fn spoke(&mut self) {
        self.has_spoken = true;
    }

    /// Whether what the topic holds can be judged.
    pub(super) fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    /// The other's session, where `payload` on our status topic is not of this run and can be of no earlier one.
    pub(super) fn hear(&self, payload: &[u8]) -> Option<String> {
        if !self.has_spoken || payload.len() > BYTES_MAX {
            return None;
        }
        let status: Value = serde_json::from_slice(payload).ok()?;
        let session = status.get("session")?.as_str()?;
        let is_session = session.len() == 32 && session.bytes().all(|b| b.is_ascii_hexdigit());
        (is_session && session != self.own.as_str()).then(|| session.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(session: &Session) -> Vec<u8> {
        format!(r#"{{"state":"offline","session":"{}"}}"#, session.as_str()).into_bytes()
    }

    #[test]
    fn a_foreign_session_after_our_own_birth_is_another_board() {
        let (own, other) = (Session::from_bits([1; 16]), Session::from_bits([2; 16]));
        let mut twin = Twin::new(own.clone());
        assert_eq!(twin.hear(&status(&other)), None, "of an earlier run of ours, for all we know");
        twin.spoke();
        assert_eq!(twin.hear(&status(&own)), None);
        assert_eq!(twin.hear(&status(&other)).as_deref(), Some(other.as_str()));
        for garbage in [&b""[..], b"{", b"[]", b"\xff", br#"{"session":7}"#, br#"{"session":"x"}"#]
        {
            assert_eq!(twin.hear(garbage), None);
        }
    }
}
