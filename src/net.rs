//! The one async room: the connection to the broker, on a thread of its own. Nothing waits for it.
//!
//! Results and events come through [`crate::sink::MqttSink`], payloads of the device and its models through
//! [`Link`]; what others wish for its models goes the other way, through [`Wishes`], and what they tell it to do
//! through [`Commands`]. The library behind it is a transport, and what must arrive is kept in our own outbox, and on disk,
//! until its PUBACK.

mod backoff;
mod client;
pub mod commands;
mod connection;
mod courier;
mod envelope;
mod failure;
mod files;
mod flight;
pub mod http;
mod inputs;
mod journal;
mod limits;
mod outbox;
mod probe;
mod retained;
pub mod settings;
mod state;
pub mod tls;
mod twin;
pub mod wire;
mod wishes;

pub use client::{News, Talk, converse, respond};
pub use commands::Commands;
pub use envelope::{Envelope, Heard, Say};
#[cfg(test)]
pub(crate) use files::respond_to;
pub use files::{Files, NotGiven};
pub use journal::Journal;
pub use probe::probe;
pub use settings::{
    BacklogSettings, Identity, MqttSettings, Protocol, SpoolSettings, Subscriptions, Timing,
    TlsSettings,
};
pub use state::NetState;
pub use tls::TlsError;
pub use wishes::Wishes;

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::data::Session;
use crate::sink::mqtt::{MqttSink, queue};
use courier::Courier;
use inputs::Inputs;
use retained::{Retained, Slot};
use state::Board;
use wire::Topics;

/// Findings that may wait while the network thread gets no processor.
const INTAKE: usize = 256;

/// Why the network cannot be started. A broker that is away is no reason: that is retried for ever.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Certificates, key or host name.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No thread or no event loop.
    #[error("cannot start the network thread: {0}")]
    Thread(#[from] io::Error),
    /// The broker was asked once and does not let us in; says why and what to do.
    #[error("{0}")]
    Broker(String),
    /// The operating system gave no random bits.
    #[error("no random numbers from the operating system")]
    Random,
}

/// A new session: 128 random bits.
///
/// # Errors
/// [`NetError::Random`]: nothing secure can be done on this machine.
pub fn new_session() -> Result<Session, NetError> {
    let mut bits = [0; 16];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bits)
        .map_err(|_| NetError::Random)?;
    Ok(Session::from_bits(bits))
}

/// 52 random bits: a number that every JSON reader holds exactly.
///
/// # Errors
/// As [`new_session`].
pub fn random_number() -> Result<u64, NetError> {
    let session = new_session()?;
    Ok(session.as_str().bytes().take(13).fold(0, |number, digit| {
        number << 4 | u64::from(char::from(digit).to_digit(16).unwrap_or(0))
    }))
}

/// What every connection needs: TLS as `settings` want it, and an event loop.
fn prepare(settings: &MqttSettings) -> Result<(Option<Arc<ClientConfig>>, Runtime), NetError> {
    let tls =
        settings.tls.as_ref().map(|tls| tls::client_config(tls, &settings.host)).transpose()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    Ok((tls, runtime))
}

/// The network from outside; cheap to clone, and valid after the network has ended.
#[derive(Clone, Debug)]
pub struct Link {
    sink: MqttSink,
    shared: Shared,
}

/// What both the network's thread and the others hold.
#[derive(Clone, Debug)]
struct Shared {
    retained: Retained,
    wishes: Wishes,
    files: Files,
    commands: Commands,
    journal: Journal,
    inputs: Inputs,
    board: Board,
}

impl Shared {
    /// Brings what somebody else says to whom it concerns.
    fn hear(&self, heard: Heard, topics: &Topics) {
        self.inputs.hear(&heard);
        if heard.topic == topics.fetch_chunk() {
            self.files.hear(&heard.payload);
        } else if self.commands.are_on(&heard.topic) {
            self.commands.hear(heard);
        } else {
            self.wishes.hear(&heard.topic, &heard.payload);
        }
    }

    /// Whether nothing that others should know is left to say.
    fn all_said(&self) -> bool {
        self.retained.all_said() && self.commands.all_said()
    }
}

impl Link {
    /// A near end for a pipeline.
    pub fn publisher(&self) -> MqttSink {
        self.sink.clone()
    }

    /// Replaces the retained `info`; said at once, or when the broker is back. To say only what has
    /// changed is the caller's job.
    pub fn publish_info(&self, info: &wire::Info) {
        self.shared.retained.set(Slot::Info, wire::json(info));
    }

    /// Replaces the retained `health`, as [`Link::publish_info`].
    pub fn publish_health(&self, health: &wire::Health) {
        self.shared.retained.set(Slot::Health, wire::json(health));
    }

    /// Replaces the retained `reported` of `model`, a name as in [`Subscriptions::models`]; as
    /// [`Link::publish_info`].
    pub fn publish_reported(&self, model: &str, payload: &wire::Reported) {
        self.shared.retained.set(Slot::Reported(model.into()), wire::json(payload));
    }

    /// Replaces what is retained for Home Assistant at `topic`; nothing clears it. As [`Link::publish_info`].
    pub fn publish_discovery(&self, topic: &str, payload: Vec<u8>) {
        self.shared.retained.set(Slot::Discovery(topic.into()), payload);
    }

    /// What is wished for the models of this board.
    pub fn wishes(&self) -> Wishes {
        self.shared.wishes.clone()
    }

    /// Where files of the update repository are asked for; they come only with [`Subscriptions::files`].
    pub fn files(&self) -> Files {
        self.shared.files.clone()
    }

    /// Where commands come in and their answers go out.
    pub fn commands(&self) -> Commands {
        self.shared.commands.clone()
    }

    /// Where lines for the `log` topic are noted.
    pub fn journal(&self) -> Journal {
        self.shared.journal.clone()
    }

    /// How it is doing.
    pub fn state(&self) -> NetState {
        let mut state = self.shared.board.snapshot();
        state.dropped += self.sink.dropped();
        state.ignored = self.shared.commands.ignored();
        state
    }

    /// Waits on the caller's thread until `wanted` holds, at most `within`; whether it does.
    pub fn wait(&self, within: Duration, wanted: impl Fn(&NetState) -> bool) -> bool {
        self.shared.board.wait(within, wanted)
    }
}

/// The running network. Dropping it cuts the line: the broker then publishes the last will.
#[derive(Debug)]
pub struct NetHandle {
    link: Link,
    stop: watch::Sender<Option<Instant>>,
    ended: mpsc::Receiver<usize>,
}

/// What a stop left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The broker has everything, or it is on disk.
    Flushed,
    /// This many results and events were not acknowledged in time, or there was no connection, and they are lost.
    Left(usize),
    /// The network thread did not end in time; it goes down with the process.
    Hung,
}

/// Starts the network and returns at once; the broker may be away for as long as it likes.
///
/// # Errors
/// What a person must mend before it makes sense to start: [`NetError`].
pub fn start(
    settings: MqttSettings,
    identity: Identity,
    subscriptions: Subscriptions,
) -> Result<NetHandle, NetError> {
    let (tls, runtime) = prepare(&settings)?;
    let (sink, intake) = queue(INTAKE);
    let topics = Topics::new(settings.prefix.as_deref(), &identity.device);
    let Subscriptions { groups, commands, inputs, .. } = &subscriptions;
    let inputs = Inputs::new(inputs.clone());
    let commands = Commands::new(&identity.device, groups, commands, &topics);
    let wishes = Wishes::new(subscriptions, &topics);
    let board = Board::new(identity.session.clone());
    let files = Files::new(random_number()?);
    let (stop, stopping) = watch::channel(None);
    let (end, ended) = mpsc::sync_channel(1);
    let journal = Journal::new(identity.session.clone());
    let retained = Retained::default();
    let shared = Shared { retained, wishes, files, commands, journal, inputs, board };
    let link = Link { sink, shared: shared.clone() };
    let courier = Courier::new(settings, identity, topics, tls, intake, shared, stopping);
    thread::Builder::new().name("net".to_owned()).spawn(move || {
        let left = runtime.block_on(courier.run());
        // Not joined: a name server that does not answer holds one of the runtime's own threads.
        runtime.shutdown_background();
        // Nobody listens where the handle was dropped.
        end.send(left).ok();
    })?;
    Ok(NetHandle { link, stop, ended })
}

impl NetHandle {
    /// The network from outside, for threads that do not stop it.
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// A near end for a pipeline.
    pub fn publisher(&self) -> MqttSink {
        self.link.publisher()
    }

    /// How it is doing.
    pub fn state(&self) -> NetState {
        self.link.state()
    }

    /// Says `stopping`, waits up to `within` until the broker has everything, and disconnects. Returns
    /// at once where there is no connection. Sinks refuse whatever comes afterwards.
    pub fn stop(self, within: Duration) -> Stopped {
        self.stop.send_replace(Some(Instant::now() + within));
        const LAST_STEPS: Duration = Duration::from_secs(3);
        match self.ended.recv_timeout(within + LAST_STEPS) {
            Ok(0) => Stopped::Flushed,
            Ok(left) => {
                log::warn!(
                    "results and events that the broker did not get before the stop, lost: {left}"
                );
                Stopped::Left(left)
            }
            Err(_) => {
                log::error!("the network thread did not stop in time");
                Stopped::Hung
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_differ() {
        assert_ne!(new_session().unwrap(), new_session().unwrap());
    }
}
