//! What the network says about itself, readable from every thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::data::Session;

/// A snapshot; counters run since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetState {
    /// Whether the broker has accepted the present connection.
    pub connected: bool,
    /// This run, as on the `status` topic.
    pub session: Session,
    /// Messages handed to a connection, repeats included.
    pub published: u64,
    /// Results and events that the broker has acknowledged (at QoS 0: that were written out).
    pub acked: u64,
    /// Results and events given up: no room, too large for the broker, best effort while it was away,
    /// or refused by it.
    pub dropped: u64,
    /// Of those, the ones that the broker refused (a missing permission on the topic, a quota).
    pub refused: u64,
    /// Connections that were accepted after the first.
    pub reconnects: u64,
    /// Results and events that wait, those on their way included.
    pub queue: usize,
    /// Why there is no connection, or what the broker refused last. `None` once it is well again.
    pub last_error: Option<String>,
}

/// The one place that holds the [`NetState`].
#[derive(Clone, Debug)]
pub(super) struct Board(Arc<Mutex<NetState>>);

impl Board {
    pub(super) fn new(session: Session) -> Self {
        Self(Arc::new(Mutex::new(NetState {
            connected: false,
            session,
            published: 0,
            acked: 0,
            dropped: 0,
            refused: 0,
            reconnects: 0,
            queue: 0,
            last_error: None,
        })))
    }

    pub(super) fn write(&self) -> MutexGuard<'_, NetState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> NetState {
        self.write().clone()
    }
}
