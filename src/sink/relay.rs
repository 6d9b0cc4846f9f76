//! The bounded hand-over from the inference thread to a sink's own: never waits on the one side, waits on the other.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::waiting::{Entry, Waiting};
use super::{Sink, SinkStats};
use crate::data::{Event, Inference, Rejected, Session, payload};

/// A result or an event on its way.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A result.
    Result(Inference),
    /// An event.
    Event(Event),
}

impl Found {
    /// Appends it as a JSON object, as on MQTT, without a line end.
    pub fn write(&self, session: &Session, out: &mut Vec<u8>) {
        match self {
            Self::Result(found) => payload::write_result(found, session, out),
            Self::Event(event) => payload::write_event(event, session, out),
        }
    }
}

impl Entry for Found {
    fn is_result(&self) -> bool {
        matches!(self, Self::Result(_))
    }
}

/// What a wait for entries ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There were some.
    Some,
    /// None came in time.
    Nothing,
    /// Nothing is left, and the pipeline has ended.
    Closed,
}

struct Shared {
    waiting: Mutex<Waiting<Found>>,
    filled: Condvar,
    stats: Arc<SinkStats>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting<Found>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pipeline's end; dropping it closes the hand-over.
pub struct Relay(Arc<Shared>);

/// The thread's end; when it is dropped the sink says closed.
pub struct Tray(Arc<Shared>);

/// Room for `capacity` entries (1 at least), and its two ends. What is given up is counted in `stats`.
pub fn relay(capacity: usize, stats: Arc<SinkStats>) -> (Relay, Tray) {
    let waiting = Mutex::new(Waiting::new(capacity));
    let shared = Arc::new(Shared { waiting, filled: Condvar::new(), stats });
    (Relay(shared.clone()), Tray(shared))
}

impl Relay {
    fn push(&self, entry: Found) -> Result<(), Rejected> {
        let pushed = self.0.lock().push(entry);
        match pushed {
            Ok(()) => {}
            Err(Rejected::DroppedOldest | Rejected::Closed) => self.0.stats.dropped(1),
        }
        self.0.filled.notify_one();
        pushed
    }
}

impl Sink for Relay {
    fn publish(&mut self, found: Inference) -> Result<(), Rejected> {
        self.push(Found::Result(found))
    }

    fn event(&mut self, event: Event) -> Result<(), Rejected> {
        self.push(Found::Event(event))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.lock().close();
        self.0.filled.notify_one();
    }
}

impl Tray {
    /// Moves entries to the end of `out`, until that has `most`; waits at most `patience` where there are none.
    pub fn take(&self, out: &mut Vec<Found>, most: usize, patience: Duration) -> Taken {
        let idle = |waiting: &mut Waiting<Found>| waiting.is_empty() && !waiting.is_closed();
        let waited = self.0.filled.wait_timeout_while(self.0.lock(), patience, idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return if waiting.is_closed() { Taken::Closed } else { Taken::Nothing };
        }
        while out.len() < most
            && let Some(entry) = waiting.pop()
        {
            out.push(entry);
        }
        Taken::Some
    }

    /// Waits for `time`, or until the pipeline has ended; whether it has.
    pub fn pause(&self, time: Duration) -> bool {
        let open = |waiting: &mut Waiting<Found>| !waiting.is_closed();
        let waited = self.0.filled.wait_timeout_while(self.0.lock(), time, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed()
    }
}

impl Drop for Tray {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.close();
        let mut left = 0;
        while waiting.pop().is_some() {
            left += 1;
        }
        self.0.stats.dropped(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::memory::examples;

    #[test]
    fn a_thread_that_stands_still_costs_the_oldest_results_and_they_are_counted() {
        let stats = Arc::<SinkStats>::default();
        let (mut relay, tray) = relay(2, stats.clone());
        relay.event(examples::event("walking")).unwrap();
        relay.publish(examples::inference(1)).unwrap();
        assert_eq!(relay.publish(examples::inference(2)), Err(Rejected::DroppedOldest));
        let mut out = Vec::new();
        assert_eq!(tray.take(&mut out, 10, Duration::ZERO), Taken::Some);
        let expected =
            [Found::Event(examples::event("walking")), Found::Result(examples::inference(2))];
        assert_eq!(out, expected);
        assert_eq!(tray.take(&mut out, 10, Duration::ZERO), Taken::Nothing);
        assert_eq!(stats.read().dropped, 1);
    }

    #[test]
    fn what_is_left_is_taken_before_the_end_is_seen() {
        let (mut relay, tray) = relay(2, Arc::default());
        relay.publish(examples::inference(1)).unwrap();
        assert!(!tray.pause(Duration::ZERO));
        drop(relay);
        assert!(tray.pause(Duration::from_secs(60)));
        let mut out = Vec::new();
        assert_eq!(tray.take(&mut out, 10, Duration::from_secs(60)), Taken::Some);
        assert_eq!(tray.take(&mut out, 10, Duration::from_secs(60)), Taken::Closed);
    }

    #[test]
    fn a_thread_that_has_gone_closes_the_sink_and_what_waited_is_counted() {
        let stats = Arc::<SinkStats>::default();
        let (mut relay, tray) = relay(2, stats.clone());
        relay.publish(examples::inference(1)).unwrap();
        drop(tray);
        assert_eq!(relay.publish(examples::inference(2)), Err(Rejected::Closed));
        assert_eq!(stats.read().dropped, 2);
    }
}
