//! Results and events as JSON to a URL: best effort, on a thread of its own. What waits is bounded, what is given up is
//! counted.

mod http;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Found, Relay, SinkStats, Taken, Tray, Worker, relay};
use crate::clock::Stopwatch;
use crate::data::Session;
pub use http::{HttpPost, HttpSettings};

/// Results and events that wait.
const CAPACITY: usize = 256;
/// How often a thread without work looks up.
const IDLE: Duration = Duration::from_secs(1);

/// How often it is asked, and how much at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Results and events in one request. With 1 the body is an object, with more an array.
    pub batch: usize,
    /// How long a result waits for others to go with it; without meaning where `batch` is 1.
    pub linger: Duration,
    /// The pause after a first failure; each further one is twice as long …
    pub backoff_first: Duration,
    /// … but no longer than this.
    pub backoff_cap: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: 1,
            linger: Duration::from_secs(1),
            backoff_first: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
        }
    }
}

/// Why a request did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may do another time; after that long, where the other side says so.
    Again {
        /// In words without a secret.
        why: String,
        /// What the other side asks for.
        after: Option<Duration>,
    },
    /// It will not do another time: these results are given up.
    Refused {
        /// In words without a secret.
        why: String,
    },
}

/// Sends one request.
pub trait Post: Send {
    /// Sends `body`, JSON, and waits for the answer, within a time of its own.
    ///
    /// # Errors
    /// By what the caller does next.
    fn post(&self, body: &[u8]) -> Result<(), Failure>;
}

/// Starts the thread that sends.
///
/// # Errors
/// When the system has no thread left.
pub fn start(
    settings: Settings,
    session: Session,
    post: Box<dyn Post>,
) -> io::Result<(Relay, Worker)> {
    let stats = Arc::<SinkStats>::default();
    let (sink, tray) = relay(CAPACITY, stats.clone());
    let own = stats.clone();
    let worker = Worker::spawn("webhook", stats, move || {
        Sender { settings, session, post, stats: own, failures: 0 }.run(&tray);
    })?;
    Ok((sink, worker))
}

struct Sender {
    settings: Settings,
    session: Session,
    post: Box<dyn Post>,
    stats: Arc<SinkStats>,
    /// In a row.
    failures: u32,
}

impl Sender {
    fn run(mut self, tray: &Tray) {
        let batch_max = self.settings.batch.max(1);
        let mut batch = Vec::new();
        loop {
            match tray.take(&mut batch, batch_max, IDLE) {
                Taken::Closed => return,
                Taken::Nothing => continue,
                Taken::Some => {}
            }
            let since = Stopwatch::start();
            while batch.len() < batch_max {
                let left = self.settings.linger.saturating_sub(since.elapsed());
                if left.is_zero() || tray.take(&mut batch, batch_max, left) == Taken::Closed {
                    break;
                }
            }
            if !self.deliver(&batch, tray) {
                // The pipeline has ended, and nobody takes it: what else waits is counted by the tray.
                return self.stats.dropped(batch.len() as u64);
            }
            batch.clear();
        }
    }

    /// Sends until the other side has taken or refused it; `false` when it is time to stop.
    fn deliver(&mut self, batch: &[Found], tray: &Tray) -> bool {
        let body = self.body(batch);
        let count = batch.len() as u64;
        loop {
            match self.post.post(&body) {
                Ok(()) => {
                    self.failures = 0;
                    self.stats.delivered(count);
                    if self.stats.set_trouble(None) {
                        log::info!("webhook: requests are taken again");
                    }
                    return true;
                }
                Err(Failure::Refused { why }) => {
                    self.failures = 0;
                    self.stats.dropped(count);
                    if self.stats.set_trouble(Some(why.clone())) {
                        log::error!("webhook: {why}; what is refused is dropped and counted");
                    }
                    return true;
                }
                Err(Failure::Again { why, after }) => {
                    let pause = after.unwrap_or_else(|| self.pause());
                    self.failures = self.failures.saturating_add(1);
                    if self.stats.set_trouble(Some(why.clone())) {
                        log::warn!("webhook: {why}; trying again");
                    }
                    if tray.pause(pause.min(self.settings.backoff_cap)) {
                        return false;
                    }
                }
            }
        }
    }

    /// Doubled with each failure, and between a half and the whole of it: a fleet does not come back as one.
    fn pause(&self) -> Duration {
        let Settings { backoff_first, backoff_cap, .. } = self.settings;
        let whole = backoff_first.saturating_mul(1 << self.failures.min(16)).min(backoff_cap);
        let mut dice = DefaultHasher::new();
        (self.session.as_str(), self.failures).hash(&mut dice);
        whole.mul_f64(0.5 + (dice.finish() % 1024) as f64 / 2048.0)
    }

    fn body(&self, batch: &[Found]) -> Vec<u8> {
        let mut body = Vec::with_capacity(512 * batch.len());
        if self.settings.batch <= 1 {
            batch.iter().for_each(|entry| entry.write(&self.session, &mut body));
            return body;
        }
        for (index, entry) in batch.iter().enumerate() {
            body.push(if index == 0 { b'[' } else { b',' });
            entry.write(&self.session, &mut body);
        }
        body.push(b']');
        body
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::sink::Sink as _;
    use crate::sink::memory::examples;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Another side that answers as it is told, and then takes everything; it tells what it gets.
    struct Scripted {
        answers: Mutex<VecDeque<Failure>>,
        bodies: SyncSender<serde_json::Value>,
    }

    impl Post for Scripted {
        fn post(&self, body: &[u8]) -> Result<(), Failure> {
            self.bodies.send(serde_json::from_slice(body).unwrap()).ok();
            let next = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            next.map_or(Ok(()), Err)
        }
    }

    fn settings(batch: usize) -> Settings {
        let short = Duration::from_millis(1);
        Settings { batch, linger: PATIENCE, backoff_first: short, backoff_cap: short }
    }

    fn started(
        settings: Settings,
        answers: impl IntoIterator<Item = Failure>,
    ) -> (Relay, Worker, Receiver<serde_json::Value>) {
        let (bodies, received) = sync_channel(64);
        let answers = Mutex::new(answers.into_iter().collect());
        let post = Box::new(Scripted { answers, bodies });
        let (sink, worker) = start(settings, Session::from_bits([1; 16]), post).unwrap();
        (sink, worker, received)
    }

    fn again() -> Failure {
        Failure::Again { why: "away".to_owned(), after: None }
    }

    #[test]
    fn what_fails_is_sent_again_in_order_and_what_is_refused_is_given_up() {
        let refused = Failure::Refused { why: "the server answers 400".to_owned() };
        let (mut sink, worker, received) = started(settings(1), [again(), again(), refused]);
        for seq in 1..=3 {
            sink.publish(examples::inference(seq)).unwrap();
        }
        let seqs: Vec<u64> = (0..5)
            .map(|_| received.recv_timeout(PATIENCE).unwrap()["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(seqs, [1, 1, 1, 2, 3]);
        drop(sink);
        let stats = worker.stats().clone();
        worker.stop(PATIENCE);
        let expected = crate::sink::SinkReading { delivered: 2, dropped: 1, trouble: None };
        assert_eq!(stats.read(), expected);
    }

    #[test]
    fn a_batch_is_an_array_that_goes_when_it_is_full_or_the_pipeline_ends() {
        let (mut sink, worker, received) = started(settings(2), []);
        for seq in 1..=3 {
            sink.publish(examples::inference(seq)).unwrap();
        }
        let first = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!(first.as_array().map(Vec::len), Some(2));
        drop(sink);
        let second = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!(second[0]["seq"], 3);
        worker.stop(PATIENCE);
    }

    #[test]
    fn a_server_that_is_away_at_the_stop_holds_nothing_up_and_the_rest_is_counted() {
        let away = (0..1000).map(|_| again());
        let long = Settings { backoff_first: PATIENCE, backoff_cap: PATIENCE, ..settings(1) };
        let (mut sink, worker, received) = started(long, away);
        sink.publish(examples::inference(1)).unwrap();
        received.recv_timeout(PATIENCE).unwrap();
        sink.publish(examples::inference(2)).unwrap();
        drop(sink);
        let stats = worker.stats().clone();
        worker.stop(PATIENCE);
        assert_eq!((stats.read().delivered, stats.read().dropped), (0, 2));
        assert_eq!(stats.read().trouble.as_deref(), Some("away"));
    }
}
