//! A sink's own thread, and its end within a time.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::SinkStats;

/// A thread that ends by itself once its sink's near end is gone.
#[derive(Debug)]
pub struct Worker {
    name: String,
    stats: Arc<SinkStats>,
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

impl Worker {
    /// Runs `work` on a thread; `name` is the sink's, for people, as in `webhook`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn spawn(
        name: impl Into<String>,
        stats: Arc<SinkStats>,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let name = name.into();
        let (end, ended) = sync_channel(1);
        let short: String = format!("sink-{name}").chars().take(15).collect();
        let thread = thread::Builder::new().name(short).spawn(move || {
            work();
            // Nobody waits where the daemon has gone on without it.
            end.send(()).ok();
        })?;
        Ok(Self { name, stats, thread, ended })
    }

    /// The sink's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it counts.
    pub fn stats(&self) -> &Arc<SinkStats> {
        &self.stats
    }

    /// Whether its thread is gone.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it has ended, at most `within`; the near end must be gone. A thread that takes longer, as in a
    /// request that hangs, goes down with the process.
    pub fn stop(self, within: Duration) {
        match self.ended.recv_timeout(within) {
            Ok(()) => {
                self.thread.join().ok();
            }
            Err(RecvTimeoutError::Timeout) => {
                log::warn!(
                    "sink {}: it did not end in time; what it has not delivered is lost",
                    self.name
                );
            }
            Err(RecvTimeoutError::Disconnected) => {
                log::error!("sink {}: its thread ended with a panic", self.name);
            }
        }
    }
}
