//! What the network says about itself, readable from every thread.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    /// Bytes that waiting messages take on disk.
    pub spool_bytes: u64,
    /// Why they cannot be kept on disk; `None` while they can, and where they need not.
    pub spool_error: Option<String>,
    /// Messages on topics of commands that were no command, or came too fast to be answered.
    pub ignored: u64,
    /// Whether another board uses this one's id: seen within the last hour.
    pub twin: bool,
    /// Why there is no connection, or what the broker refused last. `None` once it is well again.
    pub last_error: Option<String>,
}

impl NetState {
    /// Nothing has happened yet.
    pub fn new(session: Session) -> Self {
        Self {
            connected: false,
            session,
            published: 0,
            acked: 0,
            dropped: 0,
            refused: 0,
            reconnects: 0,
            queue: 0,
            ignored: 0,
            spool_bytes: 0,
            spool_error: None,
            twin: false,
            last_error: None,
        }
    }
}

/// The one place that holds the [`NetState`].
#[derive(Clone, Debug)]
pub(super) struct Board(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<NetState>,
    changed: Condvar,
}

impl Board {
    pub(super) fn new(session: Session) -> Self {
        let state = NetState::new(session);
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, NetState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes who waits for it.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut NetState) -> T) -> T {
        let done = change(&mut self.lock());
        self.0.changed.notify_all();
        done
    }

    pub(super) fn snapshot(&self) -> NetState {
        self.lock().clone()
    }

    /// Waits until `wanted` holds, at most `within`; whether it does.
    pub(super) fn wait(&self, within: Duration, wanted: impl Fn(&NetState) -> bool) -> bool {
        let unwanted = |state: &mut NetState| !wanted(state);
        match self.0.changed.wait_timeout_while(self.lock(), within, unwanted) {
            Ok((_, timeout)) => !timeout.timed_out(),
            Err(_) => false,
        }
    }
}
