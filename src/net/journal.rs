//! Warnings and errors of this process on their way to the `log` topic: a few, and never more than a bounded rate.
//!
//! Filled by whoever logs, on any thread, which never waits; emptied by the network. Best effort: what was said
//! before a connection stands waits in memory, the newest few.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::wire::{self, LogLine};
use crate::clock::{Clock, SystemClock};
use crate::data::Session;

/// Lines that wait.
const LINES: usize = 32;
/// Lines that may come at once, and how long until there is room for one more.
const BURST: u32 = 10;
const EACH: Duration = Duration::from_secs(2);
/// A message is cut off there.
const MESSAGE_BYTES: usize = 1024;

struct Desk {
    waiting: VecDeque<Vec<u8>>,
    /// When the bucket will be full again.
    full_at: Duration,
    suppressed: u64,
}

struct Shared {
    session: Session,
    desk: Mutex<Desk>,
    noted: Notify,
}

/// Where lines are noted; clones share it.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl Journal {
    pub(super) fn new(session: Session) -> Self {
        let desk = Desk { waiting: VecDeque::new(), full_at: Duration::ZERO, suppressed: 0 };
        Self(Arc::new(Shared { session, desk: Mutex::new(desk), noted: Notify::new() }))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one line; logs nothing itself.
    pub fn note(&self, level: log::Level, message: &str) {
        self.note_at(level, message, SystemClock.monotonic());
    }

    fn note_at(&self, level: log::Level, message: &str, now: Duration) {
        let mut desk = self.desk();
        let full_at = desk.full_at.max(now) + EACH;
        if full_at > now + EACH * BURST {
            desk.suppressed += 1;
            return;
        }
        desk.full_at = full_at;
        let mut end = message.len().min(MESSAGE_BYTES);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let suppressed = std::mem::take(&mut desk.suppressed);
        let message = &message[..end];
        let line = LogLine::new(level, message, suppressed, &self.0.session, SystemClock.wall());
        if desk.waiting.len() == LINES {
            desk.waiting.pop_front();
        }
        desk.waiting.push_back(wire::json(&line));
        drop(desk);
        self.0.noted.notify_one();
    }

    /// The oldest line.
    pub(super) fn next(&self) -> Option<Vec<u8>> {
        self.desk().waiting.pop_front()
    }

    /// Returns when a line was noted since the last call; cancelling it loses nothing.
    pub(super) async fn noted(&self) {
        self.0.noted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;
    use serde_json::Value;

    fn lines(journal: &Journal) -> Vec<(String, u64)> {
        let line = |payload: Vec<u8>| {
            let line: Value = serde_json::from_slice(&payload).unwrap();
            (line["message"].as_str().unwrap().to_owned(), line["suppressed"].as_u64().unwrap())
        };
        std::iter::from_fn(|| journal.next()).map(line).collect()
    }

    #[test]
    fn a_flood_is_cut_to_a_rate_and_says_how_much_was_left_out() {
        let journal = Journal::new(Session::from_bits([7; 16]));
        let start = Duration::from_secs(100);
        (0..50).for_each(|n| journal.note_at(Level::Warn, &format!("{n}"), start));
        let said = lines(&journal);
        assert_eq!(said.len(), 10);
        assert!(said.iter().all(|(_, suppressed)| *suppressed == 0));
        journal.note_at(Level::Error, "later", start + EACH);
        assert_eq!(lines(&journal), [("later".to_owned(), 40)]);
        journal.note_at(Level::Error, "too soon", start + EACH);
        assert_eq!(lines(&journal), []);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let journal = Journal::new(Session::from_bits([7; 16]));
        journal.note(Level::Warn, &"é".repeat(2000));
        let [(message, _)] = &lines(&journal)[..] else { panic!("one line") };
        assert_eq!(message.len(), 1024);
    }
}
