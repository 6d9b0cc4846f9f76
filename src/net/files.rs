//! Files of the update repository, asked for over the broker: one part at a time, each with an answer or a
//! timeout. The thread that updates asks, the network's carries.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::wire::{self, Chunk, FetchRequest, NoPart, Part};
use crate::clock::{Clock, SystemClock};

/// A waiting thread looks that often whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);
/// Without an answer for so long it is asked again, then after twice as long: whoever serves the files may have
/// come back to the broker after us.
const AGAIN: Duration = Duration::from_secs(5);

struct Shared {
    /// One question at a time.
    turn: Mutex<()>,
    desk: Mutex<Desk>,
    asked: Notify,
    answered: Condvar,
}

struct Desk {
    next: u64,
    request: Option<FetchRequest>,
    unsaid: bool,
    answer: Option<Result<Part, NoPart>>,
}

/// Where files are asked for; clones share it.
#[derive(Clone)]
pub struct Files(Arc<Shared>);

/// Why no part came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGiven {
    /// Whoever serves the repository says so.
    Refused(NoPart),
    /// Nobody answered in time.
    Late,
    /// The thread that asked is to stop.
    Stopped,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("request", &self.desk().request).finish_non_exhaustive()
    }
}

impl Files {
    /// `first` is the id of the first request: no other run of this device has it.
    pub(super) fn new(first: u64) -> Self {
        let desk = Desk { next: first, request: None, unsaid: false, answer: None };
        Self(Arc::new(Shared {
            turn: Mutex::new(()),
            desk: Mutex::new(desk),
            asked: Notify::new(),
            answered: Condvar::new(),
        }))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for up to `length` bytes of `path` from `offset` on, and waits for them on the caller's thread.
    ///
    /// # Errors
    /// When they do not come `within` that time, or [`NotGiven`] says otherwise.
    pub fn ask(
        &self,
        path: &str,
        offset: u64,
        length: u32,
        within: Duration,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Part, NotGiven> {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut desk = self.desk();
        desk.request = Some(FetchRequest { id: desk.next, path: path.to_owned(), offset, length });
        desk.next += 1;
        (desk.unsaid, desk.answer) = (true, None);
        self.0.asked.notify_one();
        let start = SystemClock.monotonic();
        let mut again = AGAIN;
        let given = loop {
            let elapsed = SystemClock.monotonic().saturating_sub(start);
            let left = within.saturating_sub(elapsed);
            if elapsed > again {
                again *= 3;
                desk.unsaid = true;
                self.0.asked.notify_one();
            }
            let waits = |desk: &mut Desk| desk.answer.is_none();
            let waited = self.0.answered.wait_timeout_while(desk, left.min(LOOK), waits);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
            match desk.answer.take() {
                Some(answer) => break answer.map_err(NotGiven::Refused),
                None if stopped() => break Err(NotGiven::Stopped),
                None if left.is_zero() => break Err(NotGiven::Late),
                None => {}
            }
        };
        desk.request = None;
        given
    }

    /// Returns when something was asked since the last call; cancelling it loses nothing.
    pub(super) async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// The request that this connection has not carried yet; it counts as carried from now on.
    pub(super) fn next(&self) -> Option<Vec<u8>> {
        let mut desk = self.desk();
        let payload = desk.request.as_ref().filter(|_| desk.unsaid).map(wire::json)?;
        desk.unsaid = false;
        Some(payload)
    }

    /// A new connection: what is waited for is asked again.
    pub(super) fn rewind(&self) {
        let mut desk = self.desk();
        desk.unsaid = desk.request.is_some();
    }

    /// A chunk arrived. Whatever does not answer the request that is waited for is ignored: it came late, twice,
    /// or from somebody who guesses.
    pub(super) fn hear(&self, payload: &[u8]) {
        let Some(Chunk { id, part }) = Chunk::decode(payload) else {
            return log::debug!("fetch/chunk: {} bytes that are no chunk", payload.len());
        };
        let mut desk = self.desk();
        let fits = desk.request.as_ref().is_some_and(|request| {
            let about = |part: &Part| {
                part.offset == request.offset && part.bytes.len() as u64 <= request.length.into()
            };
            request.id == id && part.as_ref().map_or(true, about)
        });
        if fits {
            desk.answer = Some(part);
            self.0.answered.notify_all();
        }
    }
}

/// Files that `answer` gives: for a path, an offset and a length, the file's size and bytes. For tests of who
/// asks.
#[cfg(test)]
pub(crate) fn respond_to(
    mut answer: impl FnMut(&str, u64, u32) -> Result<(u64, Vec<u8>), NoPart> + Send + 'static,
) -> Files {
    let files = Files::new(1);
    let asked = Arc::downgrade(&files.0);
    std::thread::spawn(move || {
        // Until nobody is left who asks.
        while let Some(files) = asked.upgrade().map(Files) {
            match files.next().and_then(|payload| FetchRequest::parse(&payload)) {
                None => std::thread::yield_now(),
                Some(FetchRequest { id, path, offset, length }) => {
                    let given = answer(&path, offset, length);
                    let part = given.map(|(total, bytes)| Part { offset, total, bytes });
                    files.hear(&Chunk { id, part }.encode());
                }
            }
        }
    });
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn chunk(id: u64, offset: u64, bytes: &[u8]) -> Vec<u8> {
        let part = Part { offset, total: 100, bytes: bytes.to_vec() };
        Chunk { id, part: Ok(part) }.encode()
    }

    /// Waits until the request of the thread that asks is there.
    fn request(files: &Files) -> FetchRequest {
        loop {
            match files.next() {
                Some(payload) => return FetchRequest::parse(&payload).expect("ours"),
                None => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn only_the_answer_to_what_was_asked_counts() {
        let files = Files::new(40);
        let asking = files.clone();
        let asked = std::thread::spawn(move || asking.ask("metadata/a", 10, 4, LONG, &|| false));
        let request = request(&files);
        assert_eq!((request.id, request.offset, request.length), (40, 10, 4));
        assert_eq!(files.next(), None, "said once");
        files.rewind();
        assert!(files.next().is_some(), "and once more on a new connection");
        for other in
            [chunk(39, 10, b"old"), chunk(40, 11, b"far"), chunk(40, 10, b"long."), vec![0]]
        {
            files.hear(&other);
        }
        files.hear(&chunk(40, 10, b"good"));
        assert_eq!(asked.join().unwrap().unwrap().bytes, b"good");
        files.hear(&chunk(40, 10, b"late"));
        files.rewind();
        assert_eq!(files.next(), None);
    }

    #[test]
    fn whoever_asks_does_not_wait_for_ever() {
        let files = Files::new(1);
        let late = files.ask("metadata/a", 0, 4, Duration::ZERO, &|| false);
        assert_eq!(late, Err(NotGiven::Late));
        assert_eq!(files.ask("metadata/a", 0, 4, LONG, &|| true), Err(NotGiven::Stopped));
        let asking = files.clone();
        let asked = std::thread::spawn(move || asking.ask("metadata/a", 0, 4, LONG, &|| false));
        let id = request(&files).id;
        files.hear(&Chunk { id, part: Err(NoPart::NotFound) }.encode());
        assert_eq!(asked.join().unwrap(), Err(NotGiven::Refused(NoPart::NotFound)));
    }
}
