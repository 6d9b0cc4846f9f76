//! The retained topics: only the latest value counts, and each new connection says it again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::wire::Topics;

/// A retained topic of the device, in the order in which a new connection says them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Status,
    Info,
    Health,
    /// Of the model with this name.
    Reported(Arc<str>),
    /// Outside of the device's topics: Home Assistant's, at this topic.
    Discovery(Arc<str>),
}

impl Slot {
    /// Where it is said.
    pub(super) fn topic(&self, topics: &Topics) -> String {
        match self {
            Self::Discovery(topic) => topic.to_string(),
            of_device => topics.of_device(&of_device.to_string()),
        }
    }
}

/// What stands in the topic behind the device, or the whole topic where it is not the device's.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Info => f.write_str("info"),
            Self::Health => f.write_str("health"),
            Self::Reported(model) => write!(f, "model/{model}/reported"),
            Self::Discovery(topic) => f.write_str(topic),
        }
    }
}

#[derive(Debug)]
struct Value {
    payload: Vec<u8>,
    unsaid: bool,
}

#[derive(Debug, Default)]
struct Shared {
    values: Mutex<BTreeMap<Slot, Value>>,
    changed: Notify,
}

/// The latest payload of each retained topic; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Retained(Arc<Shared>);

impl Retained {
    fn values(&self) -> MutexGuard<'_, BTreeMap<Slot, Value>> {
        self.0.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the value of `slot`.
    pub(super) fn set(&self, slot: Slot, payload: Vec<u8>) {
        self.values().insert(slot, Value { payload, unsaid: true });
        self.0.changed.notify_one();
    }

    /// Returns when a value was set since the last call; cancelling it loses nothing.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// A value that this connection has not said yet; it counts as said from now on.
    pub(super) fn next(&self) -> Option<(Slot, Vec<u8>)> {
        let mut values = self.values();
        let (slot, value) = values.iter_mut().find(|(_, value)| value.unsaid)?;
        value.unsaid = false;
        Some((slot.clone(), value.payload.clone()))
    }

    /// A new connection: everything is to be said again.
    pub(super) fn rewind(&self) {
        for value in self.values().values_mut() {
            value.unsaid = true;
        }
    }

    /// Whether this connection has said everything.
    pub(super) fn all_said(&self) -> bool {
        self.values().values().all(|value| !value.unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_value_is_said_and_a_new_connection_says_all_again() {
        let retained = Retained::default();
        let reported = |model: &str| Slot::Reported(model.into());
        retained.set(reported("pump"), b"idle".to_vec());
        retained.set(reported("gestures"), b"idle".to_vec());
        retained.set(Slot::Health, b"1".to_vec());
        retained.set(Slot::Health, b"2".to_vec());
        retained.set(Slot::Status, b"online".to_vec());
        let topics = Topics::new(None, "bench-07");
        assert_eq!(reported("pump").topic(&topics), "edgerun/bench-07/model/pump/reported");
        let discovery = Slot::Discovery("homeassistant/device/bench-07/config".into());
        assert_eq!(discovery.topic(&topics), "homeassistant/device/bench-07/config");
        let say = || std::iter::from_fn(|| retained.next()).collect::<Vec<_>>();
        let expected = vec![
            (Slot::Status, b"online".to_vec()),
            (Slot::Health, b"2".to_vec()),
            (reported("gestures"), b"idle".to_vec()),
            (reported("pump"), b"idle".to_vec()),
        ];
        assert_eq!(say(), expected);
        assert!(retained.all_said());
        retained.rewind();
        assert_eq!(say(), expected);
    }
}
