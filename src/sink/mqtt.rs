//! The near end of the bounded queue to the network: never waits, drops the oldest result first.
//!
//! The network thread empties it at once, connected or not, into its own outbox; the queue is only full
//! while that thread gets no processor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Sink;
use super::waiting::{Entry, Waiting};
use crate::data::{Event, Inference, Rejected};

/// How hard the network tries to deliver a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qos {
    /// 0: best effort; lost while there is no connection.
    AtMostOnce,
    /// 1: kept until the broker has acknowledged it.
    #[default]
    AtLeastOnce,
}

/// Something on its way to the network.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// A result and how hard to try.
    Result(Inference, Qos),
    /// An event; always at least once.
    Event(Event),
}

impl Entry for Outgoing {
    fn is_result(&self) -> bool {
        matches!(self, Self::Result(..))
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Waiting<Outgoing>>,
    filled: Notify,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Waiting<Outgoing>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pipelines' end; clone one for each.
#[derive(Clone, Debug)]
pub struct MqttSink {
    shared: Arc<Shared>,
    qos: Qos,
}

/// The network's end. Dropping it closes the queue.
#[derive(Debug)]
pub struct Intake(Arc<Shared>);

/// A queue of `capacity` entries (at least 1), and its two ends.
pub fn queue(capacity: usize) -> (MqttSink, Intake) {
    let queue = Mutex::new(Waiting::new(capacity));
    let shared = Arc::new(Shared { queue, filled: Notify::new() });
    (MqttSink { shared: Arc::clone(&shared), qos: Qos::default() }, Intake(shared))
}

impl MqttSink {
    /// This sink with its results at `qos`.
    #[must_use]
    pub fn with_qos(self, qos: Qos) -> Self {
        Self { qos, ..self }
    }

    /// Findings given up because the queue was full, since the start, by all clones.
    pub fn dropped(&self) -> u64 {
        self.shared.queue().dropped
    }

    fn push(&self, entry: Outgoing) -> Result<(), Rejected> {
        let pushed = self.shared.queue().push(entry);
        self.shared.filled.notify_one();
        pushed
    }
}

impl Sink for MqttSink {
    fn publish(&mut self, found: Inference) -> Result<(), Rejected> {
        self.push(Outgoing::Result(found, self.qos))
    }

    fn event(&mut self, event: Event) -> Result<(), Rejected> {
        self.push(Outgoing::Event(event))
    }
}

impl Intake {
    /// The oldest entry, if there is one.
    pub fn take(&self) -> Option<Outgoing> {
        self.0.queue().pop()
    }

    /// Returns when something was put in since the last call; cancelling it loses nothing.
    pub async fn filled(&self) {
        self.0.filled.notified().await;
    }

    /// Has [`Intake::filled`] return once more: for who leaves something inside.
    pub fn again(&self) {
        self.0.filled.notify_one();
    }

    /// Refuses whatever comes from now on; what is inside can still be taken.
    pub fn close(&self) {
        self.0.queue().close();
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::memory::examples;

    fn taken(intake: &Intake) -> Vec<String> {
        std::iter::from_fn(|| intake.take())
            .map(|entry| match entry {
                Outgoing::Result(found, _) => format!("result {}", found.seq),
                Outgoing::Event(_) => "event".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_full_queue_gives_up_its_oldest_result_and_counts_it() {
        let (mut sink, intake) = queue(3);
        sink.event(examples::event("walking")).unwrap();
        sink.publish(examples::inference(1)).unwrap();
        sink.publish(examples::inference(2)).unwrap();
        assert_eq!(sink.publish(examples::inference(3)), Err(Rejected::DroppedOldest));
        assert_eq!(taken(&intake), ["event", "result 2", "result 3"]);
        assert_eq!(sink.dropped(), 1);
    }

    #[test]
    fn events_are_given_up_only_when_there_is_no_result_left() {
        let (mut sink, intake) = queue(2);
        sink.event(examples::event("walking")).unwrap();
        sink.publish(examples::inference(1)).unwrap();
        assert_eq!(sink.event(examples::event("running")), Err(Rejected::DroppedOldest));
        assert_eq!(sink.event(examples::event("standing")), Err(Rejected::DroppedOldest));
        assert_eq!(sink.publish(examples::inference(2)), Err(Rejected::DroppedOldest));
        assert_eq!(taken(&intake), ["event", "event"]);
        assert_eq!(sink.dropped(), 3);
    }

    #[test]
    fn a_sink_whose_network_has_ended_says_closed() {
        let (mut sink, intake) = queue(2);
        drop(intake);
        assert_eq!(sink.publish(examples::inference(1)), Err(Rejected::Closed));
    }
}
