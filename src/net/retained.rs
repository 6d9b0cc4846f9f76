//! The retained topics: only the latest value counts, and each new connection says it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A retained topic of the device, in the order in which a new connection says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Status,
    Info,
    Health,
}

impl Slot {
    /// The topic's last level.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Info => "info",
            Self::Health => "health",
        }
    }
}

#[derive(Debug, Default)]
struct Value {
    payload: Option<Vec<u8>>,
    unsaid: bool,
}

#[derive(Debug, Default)]
struct Shared {
    values: Mutex<[Value; 3]>,
    changed: Notify,
}

/// The latest payload of each retained topic; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Retained(Arc<Shared>);

impl Retained {
    const SLOTS: [Slot; 3] = [Slot::Status, Slot::Info, Slot::Health];

    fn values(&self) -> MutexGuard<'_, [Value; 3]> {
        self.0.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the value of `slot`.
    pub(super) fn set(&self, slot: Slot, payload: Vec<u8>) {
        self.values()[slot as usize] = Value { payload: Some(payload), unsaid: true };
        self.0.changed.notify_one();
    }

    /// Returns when a value was set since the last call; cancelling it loses nothing.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// A value that this connection has not said yet; it counts as said from now on.
    pub(super) fn next(&self) -> Option<(Slot, Vec<u8>)> {
        let mut values = self.values();
        Self::SLOTS.into_iter().find_map(|slot| {
            let value = &mut values[slot as usize];
            if !value.unsaid {
                return None;
            }
            value.unsaid = false;
            value.payload.clone().map(|payload| (slot, payload))
        })
    }

    /// A new connection: everything is to be said again.
    pub(super) fn rewind(&self) {
        for value in self.values().iter_mut() {
            value.unsaid = value.payload.is_some();
        }
    }

    /// Whether this connection has said everything.
    pub(super) fn all_said(&self) -> bool {
        self.values().iter().all(|value| !value.unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_value_is_said_and_a_new_connection_says_all_again() {
        let retained = Retained::default();
        retained.set(Slot::Health, b"1".to_vec());
        retained.set(Slot::Health, b"2".to_vec());
        retained.set(Slot::Status, b"online".to_vec());
        let say = || std::iter::from_fn(|| retained.next()).collect::<Vec<_>>();
        let expected = vec![(Slot::Status, b"online".to_vec()), (Slot::Health, b"2".to_vec())];
        assert_eq!(say(), expected);
        assert!(retained.all_said());
        retained.rewind();
        assert_eq!(say(), expected);
    }
}
