//! What waits for the broker: the one keeper of results and events until their PUBACK.
//!
//! The MQTT library is only a transport. In memory for now, and the one file to replace when a durable
//! spool comes: two lanes, each in order; when there is no room the oldest results go before the oldest
//! events; what is on its way is never given up, since it may already have arrived.

use std::collections::VecDeque;

use crate::sink::Qos;

/// Which lane a message stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Given up first.
    Result,
    /// Given up when no result is left.
    Event,
}

/// A message as the broker gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) lane: Lane,
    pub(super) qos: Qos,
    pub(super) topic: String,
    /// A JSON object.
    pub(super) payload: Vec<u8>,
}

impl Message {
    /// What it costs to keep, in bytes.
    fn cost(&self) -> usize {
        const BOOKKEEPING: usize = 64;
        self.topic.len() + self.payload.len() + BOOKKEEPING
    }
}

/// Names a message in the outbox; grows with each one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64);

#[derive(Debug)]
struct Entry {
    id: Id,
    message: Message,
    done: bool,
}

/// One lane: first the entries that are on their way, then those that wait.
#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    on_the_way: usize,
}

impl Queue {
    fn first_waiting(&self) -> Option<&Entry> {
        self.entries.get(self.on_the_way)
    }

    /// Marks `id` as done, if it is on its way, and forgets what is done at the front. Returns the
    /// bytes set free; `None` when there is no such entry.
    fn finish(&mut self, id: Id) -> Option<usize> {
        let entry = self.entries.range_mut(..self.on_the_way).find(|entry| entry.id == id)?;
        if std::mem::replace(&mut entry.done, true) {
            return None;
        }
        let mut freed = 0;
        while let Some(front) = self.entries.pop_front_if(|entry| entry.done) {
            freed += front.message.cost();
            self.on_the_way -= 1;
        }
        Some(freed)
    }
}

/// The messages that wait and those on their way, bounded in bytes.
#[derive(Debug)]
pub(super) struct Outbox {
    results: Queue,
    events: Queue,
    bytes: usize,
    bytes_max: usize,
    next: Id,
    live_from: Id,
}

impl Outbox {
    /// Room for `bytes_max` bytes of topics and payloads, each message 64 bytes more.
    pub(super) fn new(bytes_max: usize) -> Self {
        let (results, events) = (Queue::default(), Queue::default());
        Self { results, events, bytes: 0, bytes_max, next: Id(0), live_from: Id(0) }
    }

    /// Messages inside.
    pub(super) fn len(&self) -> usize {
        // What is done stands among what is on its way: a few at most.
        let done = |queue: &Queue| {
            queue.entries.range(..queue.on_the_way).filter(|entry| entry.done).count()
        };
        let kept = self.results.entries.len() + self.events.entries.len();
        kept - done(&self.results) - done(&self.events)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.results.entries.is_empty() && self.events.entries.is_empty()
    }

    /// Takes `message`; returns how many were given up for it, itself included.
    pub(super) fn push(&mut self, message: Message) -> u64 {
        let cost = message.cost();
        let mut dropped = 0;
        while self.bytes + cost > self.bytes_max {
            dropped += 1;
            let fits_at_all = cost <= self.bytes_max;
            let given_up = match message.lane {
                _ if !fits_at_all => None,
                // An event never goes for a result.
                Lane::Result => self.drop_oldest(Lane::Result),
                Lane::Event => {
                    self.drop_oldest(Lane::Result).or_else(|| self.drop_oldest(Lane::Event))
                }
            };
            match given_up {
                Some(freed) => self.bytes -= freed,
                None => return dropped,
            }
        }
        self.bytes += cost;
        let id = self.next;
        self.next = Id(id.0 + 1);
        self.lane(message.lane).entries.push_back(Entry { id, message, done: false });
        dropped
    }

    fn drop_oldest(&mut self, lane: Lane) -> Option<usize> {
        let queue = self.lane(lane);
        let entry = queue.entries.remove(queue.on_the_way)?;
        Some(entry.message.cost())
    }

    fn lane(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Result => &mut self.results,
            Lane::Event => &mut self.events,
        }
    }

    /// The oldest message that waits, which from now on is on its way, and whether it is a repeat or
    /// late ([`Outbox::rewind`]).
    pub(super) fn depart(&mut self) -> Option<(Id, &Message, bool)> {
        let result = self.results.first_waiting().map(|entry| entry.id);
        let event = self.events.first_waiting().map(|entry| entry.id);
        let lane = match (result, event) {
            (None, None) => return None,
            (Some(result), Some(event)) if event < result => Lane::Event,
            (Some(_), _) => Lane::Result,
            (None, Some(_)) => Lane::Event,
        };
        let live_from = self.live_from;
        let queue = self.lane(lane);
        let entry = queue.entries.get(queue.on_the_way)?;
        queue.on_the_way += 1;
        Some((entry.id, &entry.message, entry.id < live_from))
    }

    /// The broker has `id`, or it is given up: it is forgotten. `false` when it was not on its way.
    pub(super) fn finish(&mut self, id: Id) -> bool {
        let freed = self.results.finish(id).or_else(|| self.events.finish(id));
        self.bytes -= freed.unwrap_or(0);
        freed.is_some()
    }

    /// The connection is gone, or new: all that is not finished waits again, in the old order, and is
    /// late from now on. Best-effort messages are given up; returns how many.
    pub(super) fn rewind(&mut self) -> u64 {
        self.live_from = self.next;
        let mut given_up = 0;
        let mut kept_bytes = 0;
        for queue in [&mut self.results, &mut self.events] {
            queue.on_the_way = 0;
            queue.entries.retain(|entry| {
                let best_effort = !entry.done && entry.message.qos == Qos::AtMostOnce;
                given_up += u64::from(best_effort);
                let keep = !entry.done && !best_effort;
                kept_bytes += if keep { entry.message.cost() } else { 0 };
                keep
            });
        }
        self.bytes = kept_bytes;
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lane: Lane, name: &str) -> Message {
        // 100 bytes each by cost().
        let payload = vec![b' '; 36 - name.len()];
        Message { lane, qos: Qos::AtLeastOnce, topic: name.to_owned(), payload }
    }

    fn departing(outbox: &mut Outbox) -> Vec<(String, bool)> {
        let mut all = Vec::new();
        while let Some((_, message, late)) = outbox.depart() {
            all.push((message.topic.clone(), late));
        }
        all
    }

    fn names(outbox: &mut Outbox) -> Vec<String> {
        departing(outbox).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn messages_depart_in_the_order_in_which_they_came() {
        let mut outbox = Outbox::new(10_000);
        for (lane, name) in [(Lane::Result, "r0"), (Lane::Event, "e0"), (Lane::Result, "r1")] {
            assert_eq!(outbox.push(message(lane, name)), 0);
        }
        assert_eq!(names(&mut outbox), ["r0", "e0", "r1"]);
        assert_eq!(outbox.len(), 3);
    }

    #[test]
    fn the_oldest_results_are_given_up_before_any_event() {
        let mut outbox = Outbox::new(300);
        outbox.push(message(Lane::Event, "e0"));
        outbox.push(message(Lane::Result, "r0"));
        outbox.push(message(Lane::Result, "r1"));
        assert_eq!(outbox.push(message(Lane::Result, "r2")), 1);
        assert_eq!(outbox.push(message(Lane::Event, "e1")), 1);
        assert_eq!(outbox.push(message(Lane::Event, "e2")), 1);
        assert_eq!(outbox.push(message(Lane::Event, "e3")), 1);
        assert_eq!(outbox.push(message(Lane::Result, "r3")), 1, "no event goes for a result");
        assert_eq!(names(&mut outbox), ["e1", "e2", "e3"]);
    }

    #[test]
    fn what_is_on_its_way_is_not_given_up() {
        let mut outbox = Outbox::new(200);
        outbox.push(message(Lane::Result, "r0"));
        outbox.push(message(Lane::Result, "r1"));
        assert_eq!(names(&mut outbox), ["r0", "r1"]);
        assert_eq!(outbox.push(message(Lane::Event, "e0")), 1);
        outbox.rewind();
        assert_eq!(names(&mut outbox), ["r0", "r1"]);
    }

    #[test]
    fn a_message_larger_than_the_outbox_gives_up_nothing_else() {
        let mut outbox = Outbox::new(200);
        outbox.push(message(Lane::Result, "r0"));
        let mut large = message(Lane::Event, "e0");
        large.payload = vec![b' '; 500];
        assert_eq!(outbox.push(large), 1);
        assert_eq!(names(&mut outbox), ["r0"]);
    }

    #[test]
    fn after_a_lost_connection_the_unacknowledged_go_again_in_order_and_say_so() {
        let mut outbox = Outbox::new(10_000);
        for name in ["r0", "r1", "r2"] {
            outbox.push(message(Lane::Result, name));
        }
        let first = outbox.depart().map(|(id, ..)| id).unwrap();
        let second = outbox.depart().map(|(id, ..)| id).unwrap();
        assert!(outbox.finish(second), "acknowledged out of order");
        assert!(!outbox.finish(second), "only once");
        assert_eq!(outbox.len(), 2);
        assert_eq!(outbox.rewind(), 0);
        outbox.push(message(Lane::Result, "r3"));
        let expected = [("r0", true), ("r2", true), ("r3", false)];
        assert_eq!(departing(&mut outbox), expected.map(|(name, late)| (name.to_owned(), late)));
        assert!(outbox.finish(first));
    }

    #[test]
    fn best_effort_messages_do_not_outlive_the_connection() {
        let mut outbox = Outbox::new(10_000);
        let mut best_effort = message(Lane::Result, "r0");
        best_effort.qos = Qos::AtMostOnce;
        outbox.push(best_effort);
        outbox.push(message(Lane::Result, "r1"));
        assert_eq!(outbox.rewind(), 1);
        assert_eq!(names(&mut outbox), ["r1"]);
    }

    #[test]
    fn room_is_given_back_when_messages_are_finished() {
        let mut outbox = Outbox::new(200);
        for round in 0..10 {
            assert_eq!(outbox.push(message(Lane::Result, "r0")), 0, "round {round}");
            assert_eq!(outbox.push(message(Lane::Event, "e0")), 0, "round {round}");
            while let Some((id, ..)) = outbox.depart() {
                assert!(outbox.finish(id));
            }
            assert!(outbox.is_empty());
        }
    }
}
