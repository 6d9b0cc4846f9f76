//! What is between us and its PUBACK or SUBACK: a short, contiguous window.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::outbox::Id;
use super::retained::Slot;

/// Publishes and subscriptions at once under way. Enough to hide the round trip of a wide-area link at the rates of a
/// board, and few enough that a reconnect repeats little.
pub(super) const WINDOW: u16 = 16;

/// What a leg carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cargo {
    /// The latest value of a retained topic.
    Retained(Slot),
    /// A message of the outbox.
    Stored(Id),
    /// A subscription, by its place in the list of this connection. In the window like a publish, because it
    /// takes its packet id from the same few.
    Subscription(usize),
    /// A question or an answer that nobody misses: it is asked again.
    Passing,
}

#[derive(Debug)]
struct Leg {
    cargo: Cargo,
    since: Instant,
    packet: Packet,
}

#[derive(Debug, PartialEq, Eq)]
enum Packet {
    /// Handed to the library, which has not numbered it yet.
    Unnumbered,
    /// Written under this packet id.
    Numbered(u16),
    /// Answered, while an older one is not.
    Done,
}

/// The window. It spans from the oldest unanswered packet to the newest, whatever is answered
/// in between: the library takes packet ids in turn from a range no smaller than this, so that a
/// contiguous window never meets an id that is still in use.
#[derive(Debug)]
pub(super) struct Flight {
    legs: VecDeque<Leg>,
    window: usize,
}

impl Flight {
    /// A window of at most [`WINDOW`] and `receive_max`, the broker's own limit.
    pub(super) fn new(receive_max: u16) -> Self {
        let window = usize::from(receive_max.clamp(1, WINDOW));
        Self { legs: VecDeque::with_capacity(window), window }
    }

    /// Whether one more may be handed over.
    pub(super) fn has_room(&self) -> bool {
        self.legs.len() < self.window
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// `cargo` was handed to the library.
    pub(super) fn depart(&mut self, cargo: Cargo, now: Instant) {
        self.legs.push_back(Leg { cargo, since: now, packet: Packet::Unnumbered });
    }

    /// The library wrote the next packet as `packet_id`; 0 is QoS 0, whose cargo is then done.
    pub(super) fn written(&mut self, packet_id: u16) -> Option<Cargo> {
        let leg = self.legs.iter_mut().find(|leg| leg.packet == Packet::Unnumbered)?;
        if packet_id == 0 {
            leg.packet = Packet::Done;
            let cargo = leg.cargo.clone();
            self.close();
            return Some(cargo);
        }
        leg.packet = Packet::Numbered(packet_id);
        None
    }

    /// The broker acknowledged the publish `packet_id`: its cargo is done.
    pub(super) fn acknowledged(&mut self, packet_id: u16) -> Option<Cargo> {
        self.answered(packet_id, |cargo| !matches!(cargo, Cargo::Subscription(_)))
    }

    /// The broker answered the subscription `packet_id`: which it was.
    pub(super) fn subscribed(&mut self, packet_id: u16) -> Option<usize> {
        match self.answered(packet_id, |cargo| matches!(cargo, Cargo::Subscription(_)))? {
            Cargo::Subscription(index) => Some(index),
            Cargo::Retained(_) | Cargo::Stored(_) | Cargo::Passing => None,
        }
    }

    fn answered(&mut self, packet_id: u16, fits: impl Fn(&Cargo) -> bool) -> Option<Cargo> {
        let is_it = |leg: &&mut Leg| leg.packet == Packet::Numbered(packet_id) && fits(&leg.cargo);
        let leg = self.legs.iter_mut().find(is_it)?;
        leg.packet = Packet::Done;
        let cargo = leg.cargo.clone();
        self.close();
        Some(cargo)
    }

    /// Since when the oldest one waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.legs.front().map(|leg| leg.since)
    }

    fn close(&mut self) {
        while self.legs.pop_front_if(|leg| leg.packet == Packet::Done).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cargo(slot: Slot) -> Cargo {
        Cargo::Retained(slot)
    }

    #[test]
    fn each_cargo_is_done_by_its_own_puback() {
        let mut flight = Flight::new(10);
        flight.depart(cargo(Slot::Status), Instant::now());
        flight.depart(cargo(Slot::Health), Instant::now());
        assert_eq!((flight.written(1), flight.written(2)), (None, None));
        assert_eq!(flight.acknowledged(2), Some(cargo(Slot::Health)));
        assert_eq!(flight.acknowledged(2), None, "only once");
        assert_eq!(flight.acknowledged(9), None, "never sent");
        assert_eq!(flight.acknowledged(1), Some(cargo(Slot::Status)));
        assert!(flight.is_empty());
    }

    #[test]
    fn the_window_stays_contiguous_when_acknowledgements_come_out_of_order() {
        let mut flight = Flight::new(2);
        flight.depart(cargo(Slot::Status), Instant::now());
        flight.depart(cargo(Slot::Info), Instant::now());
        flight.written(1);
        flight.written(2);
        flight.acknowledged(2);
        assert!(!flight.has_room(), "id 2 is not taken again while 1 is open");
        flight.acknowledged(1);
        assert!(flight.has_room());
    }

    #[test]
    fn a_subscription_stands_in_the_window_and_only_its_own_answer_ends_it() {
        let mut flight = Flight::new(2);
        flight.depart(Cargo::Subscription(3), Instant::now());
        flight.depart(cargo(Slot::Info), Instant::now());
        assert_eq!((flight.written(1), flight.written(2)), (None, None));
        assert!(!flight.has_room());
        assert_eq!((flight.acknowledged(1), flight.subscribed(2)), (None, None), "of another kind");
        assert_eq!(flight.subscribed(1), Some(3));
        assert!(flight.has_room());
        assert_eq!(flight.acknowledged(2), Some(cargo(Slot::Info)));
    }

    #[test]
    fn the_broker_s_limit_shrinks_the_window_and_never_below_one() {
        for (receive_max, window) in [(0, 1), (1, 1), (3, 3), (u16::MAX, usize::from(WINDOW))] {
            assert_eq!(Flight::new(receive_max).window, window);
        }
    }

    #[test]
    fn best_effort_is_done_when_it_is_written() {
        let mut flight = Flight::new(2);
        flight.depart(cargo(Slot::Info), Instant::now());
        assert_eq!(flight.written(0), Some(cargo(Slot::Info)));
        assert!(flight.is_empty());
    }
}
