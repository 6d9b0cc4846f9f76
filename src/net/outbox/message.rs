//! A message as the broker gets it, and as it lies in the spool.

use crate::sink::Qos;
use crate::spool::Lane;

/// A message as the broker gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::net) struct Message {
    pub(in crate::net) lane: Lane,
    pub(in crate::net) qos: Qos,
    pub(in crate::net) topic: String,
    /// A JSON object.
    pub(in crate::net) payload: Vec<u8>,
}

/// Names a message in the outbox of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::net) struct Id(pub(super) u64);

/// The place of a message in time; grows with each one, also over restarts while the spool is not empty. Not its
/// name: where the newest in the spool cannot be read any more, two may have one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u64);

impl Message {
    /// What it costs to keep in memory, in bytes.
    pub(super) fn cost(&self) -> usize {
        const BOOKKEEPING: usize = 64;
        self.topic.len() + self.payload.len() + BOOKKEEPING
    }

    /// The bytes that the spool keeps: place (8), length of the topic (2), topic, payload; numbers little-endian.
    pub(super) fn encode(&self, place: Place) -> Vec<u8> {
        let topic = &self.topic.as_bytes()[..self.topic.len().min(usize::from(u16::MAX))];
        let mut body = Vec::with_capacity(10 + topic.len() + self.payload.len());
        body.extend_from_slice(&place.0.to_le_bytes());
        // Cannot be cut: MQTT's topics are no longer.
        body.extend_from_slice(&u16::try_from(topic.len()).unwrap_or(u16::MAX).to_le_bytes());
        body.extend_from_slice(topic);
        body.extend_from_slice(&self.payload);
        body
    }

    /// The message that `body` holds; `None` when it is none. What is kept is at least once.
    pub(super) fn decode(lane: Lane, body: &[u8]) -> Option<(Place, Self)> {
        let (place, rest) = body.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (topic, payload) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let topic = std::str::from_utf8(topic).ok()?.to_owned();
        let message = Self { lane, qos: Qos::AtLeastOnce, topic, payload: payload.to_vec() };
        Some((Place(u64::from_le_bytes(*place)), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_from_its_bytes_and_damage_is_none() {
        let (lane, qos) = (Lane::Event, Qos::AtLeastOnce);
        let message = Message { lane, qos, topic: "t/é".into(), payload: b"{}".to_vec() };
        let body = message.encode(Place(7));
        assert_eq!(Message::decode(Lane::Event, &body), Some((Place(7), message)));
        for length in 0..14 {
            assert_eq!(Message::decode(Lane::Event, &body[..length.min(body.len() - 2)]), None);
        }
    }
}
