//! What the network needs to know. Plain values, already checked by the configuration.

use std::path::PathBuf;
use std::time::Duration;

use crate::data::{Secret, Session, Timestamp, Verb};
use crate::sensor::input::Held;

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The device's id, the second level of every topic: `[A-Za-z0-9_-]{1,64}`.
    pub device: String,
    /// edgerun's version.
    pub version: String,
    /// This run.
    pub session: Session,
    /// When this run began.
    pub since: Timestamp,
}

/// The broker and how to speak to it.
#[derive(Clone, Debug, PartialEq)]
pub struct MqttSettings {
    /// Name or address of the broker; an IPv6 address without brackets.
    pub host: String,
    /// Its port: 1883, or 8883 with TLS, unless configured.
    pub port: u16,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// `Some` for `mqtts://` and `wss://`.
    pub tls: Option<TlsSettings>,
    /// The path of `ws://` and `wss://`, with its slash: MQTT inside a WebSocket.
    pub websocket: Option<String>,
    /// User name, where the broker wants one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The client id; brokers allow one connection for each. Usually the device's id.
    pub client_id: String,
    /// How often an idle connection is probed: 5 s to 18 h. A dead one is found within twice this.
    pub keep_alive: Duration,
    /// What stands before `edgerun/` in every topic, on brokers that tenants share.
    pub prefix: Option<String>,
    /// Room in memory for messages that wait for the broker, in bytes of topic and payload.
    pub outbox_bytes: usize,
    /// Where they outlive the process; `None` for memory only.
    pub spool: Option<SpoolSettings>,
    /// How a backlog is caught up with.
    pub backlog: BacklogSettings,
    /// Deadlines and pauses.
    pub timing: Timing,
}

impl MqttSettings {
    /// `host:port` without TLS and login, everything else at its default.
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            protocol: Protocol::default(),
            tls: None,
            websocket: None,
            username: None,
            password: None,
            client_id: client_id.into(),
            keep_alive: Duration::from_secs(30),
            prefix: None,
            outbox_bytes: 4 << 20,
            spool: None,
            backlog: BacklogSettings::default(),
            timing: Timing::default(),
        }
    }

    /// `HOST:PORT`, as it stands in messages.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Which MQTT is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.
    #[default]
    V5,
}

/// Results and events on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Its folder, made where there is none.
    pub dir: PathBuf,
    /// The most that it takes on disk, in bytes.
    pub bytes_max: u64,
    /// A result that the broker has not acknowledged by then is written; a crash loses no older one.
    pub commit: Duration,
    /// Whether each result is on disk before it is sent, as each event is.
    pub each: bool,
}

/// How messages that had to wait are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BacklogSettings {
    /// New messages wait that long for older ones; then they are sent in between.
    pub in_order: Duration,
    /// Older messages a second.
    pub drain_hz: f64,
}

impl Default for BacklogSettings {
    fn default() -> Self {
        Self { in_order: Duration::from_secs(10), drain_hz: 100.0 }
    }
}

/// Whose wishes are heard: retained topics that others write. Nothing is subscribed to without models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions {
    /// The models whose versions others may choose, each once: `[a-z0-9_-]{1,64}`.
    pub models: Vec<String>,
    /// The device's groups, each once, the one that counts first: `[A-Za-z0-9_-]{1,64}`.
    pub groups: Vec<String>,
    /// Whether files of the update repository come over the broker.
    pub files: bool,
    /// What others may tell the device to do; with nothing here it does not even listen.
    pub commands: Vec<Verb>,
    /// Sensors that are made of other devices' messages.
    pub inputs: Vec<Held>,
}

/// TLS to the broker. Its certificate is always checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the authorities to trust; without it, those of the operating system.
    pub ca: Option<PathBuf>,
    /// PEM file with this device's certificate and its chain; needs `client_key`.
    pub client_cert: Option<PathBuf>,
    /// The certificate's private key, PEM text.
    pub client_key: Option<Secret>,
    /// Application protocols that are asked for, the first one most, on ports that several share.
    pub alpn: Vec<String>,
}

/// Deadlines and pauses; the defaults are for boards, tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the first packet to the broker's answer to CONNECT: name, TCP, TLS and MQTT together.
    pub connect: Duration,
    /// A PUBACK or SUBACK later than this means a connection that only looks alive.
    pub ack: Duration,
    /// From the last SUBACK until the broker has surely said all that it retains: nothing marks the end of it.
    pub settle: Duration,
    /// Pause after the first failure; doubled after each further one, with jitter.
    pub backoff_first: Duration,
    /// The longest pause.
    pub backoff_cap: Duration,
    /// Pause after a refused login: only a person can change it, and brokers ban those who hammer.
    pub refused: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            ack: Duration::from_secs(20),
            settle: Duration::from_secs(10),
            backoff_first: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(30),
            refused: Duration::from_secs(60),
        }
    }
}
