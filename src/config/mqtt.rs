//! `[mqtt]`: the broker, and how this board proves who it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::broker_url::BrokerUrl;
use super::keys;
use super::name::CredentialName;
use super::quantity::{ByteSize, Rate, Span};
use super::raw::Section;
use super::suggest;
use super::value::{Bad, credential, one_of, parsed, path, quantity, span, text, whole};
use crate::data::Verb;

/// The broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Mqtt {
    /// Host, port and whether TLS is spoken.
    pub url: BrokerUrl,
    /// Authorities that may sign the broker's certificate; `None` for the usual public ones.
    pub ca: Option<PathBuf>,
    /// What this board shows in mutual TLS.
    pub client: Option<ClientCertificate>,
    /// What it says of itself at CONNECT.
    pub login: Option<Login>,
    /// Whole seconds, 5 s to 18 h.
    pub keep_alive: Duration,
    /// What stands before `edgerun/` in every topic, on brokers that tenants share; levels without wildcards, no
    /// slash at an end.
    pub prefix: Option<String>,
    /// What others may tell this board to do, each once, in the order of [`Verb::ALL`].
    pub commands: Vec<Verb>,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// Application protocols for TLS, on ports that several share; usually none.
    pub alpn: Vec<String>,
    /// What of the log goes to the broker.
    pub log: LogTopic,
    /// What waits for the broker.
    pub spool: Spool,
    /// The prefix under which Home Assistant looks for devices, as `prefix`; `None`: it is not told of this one.
    pub discovery: Option<String>,
}

/// What of the log goes to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTopic {
    /// Nothing.
    #[default]
    Off,
    /// Errors.
    Error,
    /// Errors and warnings.
    Warn,
}

const LOG_TOPICS: &[(&str, LogTopic)] =
    &[("off", LogTopic::Off), ("error", LogTopic::Error), ("warn", LogTopic::Warn)];

/// Which MQTT is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    #[default]
    V5,
}

/// How results and events wait for the broker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spool {
    /// What they may take on disk; 0: they wait in memory.
    pub bytes_max: u64,
    /// When they are written.
    pub sync: Sync,
    /// How old an unacknowledged result may get before it is written.
    pub commit: Duration,
    /// How long new messages wait for older ones.
    pub in_order: Duration,
    /// Older messages a second.
    pub drain: f64,
}

/// When results are written to disk; events always are at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Together, those that the broker has not acknowledged within the commit interval.
    #[default]
    Batch,
    /// Each one, before it is sent.
    Each,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM, the chain.
    pub certificate: PathBuf,
    /// PEM.
    pub key: CredentialName,
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Not empty.
    pub username: String,
    /// `None` where the broker asks for a name only.
    pub password: Option<CredentialName>,
}

/// Home Assistant's own default.
const HOME_ASSISTANT: &str = "homeassistant";
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_LOW: Duration = Duration::from_secs(5);
// MQTT counts it in 16 bits of seconds: 18 h 12 min 15 s at most.
const KEEP_ALIVE_HIGH: Duration = Duration::from_secs(18 * 3600);

impl Mqtt {
    pub(super) fn read(root: &Section<'_>, base: &Path) -> Option<Self> {
        let section = root.table("mqtt", &keys::MQTT)?;
        section.close();
        let url = section.require("url", parsed::<BrokerUrl>);
        let ca = section.get("ca", path(base));
        let certificate = section.get("client_cert", path(base));
        let key = section.get("client_key", credential("mqtt-key"));
        let username = section.get("username", username);
        let password = section.get("password", credential("mqtt-password"));
        let keep_alive = section.get("keep_alive", keep_alive).unwrap_or(KEEP_ALIVE);

        let spool = Spool::read(&section);
        let protocol = section.get("protocol", |value| match whole(4..=5)(value)? {
            4 => Ok(Protocol::V311),
            _ => Ok(Protocol::V5),
        });
        let alpn = section.get("alpn", alpn);
        let log = section.get("log", one_of(LOG_TOPICS));
        let prefix = section.get("prefix", |value| topic_prefix(text(value)?).map_err(Bad::Says));

        let discovery = section.get("discovery", discovery);
        let discovery = discovery.unwrap_or_else(|| Some(HOME_ASSISTANT.to_owned()));
        let commands = section.get("commands", commands).unwrap_or_else(|| Verb::USUAL.to_vec());

        match (section.has("client_cert"), section.has("client_key")) {
            (true, false) => section.missing("client_key"),
            (false, true) => section.missing("client_cert"),
            _ => {}
        }
        if section.has("password") && !section.has("username") {
            section.missing("username");
        }
        let url = url?;
        if !url.tls() {
            for key in
                ["ca", "client_cert", "client_key", "alpn"].into_iter().filter(|k| section.has(k))
            {
                section.wrong(key, "is for TLS only; write url = \"mqtts://…\", or remove it");
            }
            if section.has("password") && !url.is_loopback() {
                section
                    .warn("password", "crosses the network in clear text; use url = \"mqtts://…\"");
            }
        }
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            _ => None,
        };
        let login = username.map(|username| Login { username, password });
        Some(Self {
            url,
            ca,
            client,
            login,
            keep_alive,
            prefix,
            protocol: protocol.unwrap_or_default(),
            alpn: alpn.unwrap_or_default(),
            commands,
            log: log.unwrap_or_default(),
            spool,
            discovery,
        })
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 20,
            sync: Sync::Batch,
            commit: Duration::from_secs(5),
            in_order: Duration::from_secs(10),
            drain: 100.0,
        }
    }
}

impl Spool {
    fn read(mqtt: &Section<'_>) -> Self {
        let usual = Self::default();
        let Some(section) = mqtt.table("spool", &keys::SPOOL) else { return usual };
        section.close();
        Self {
            bytes_max: section.get("max_bytes", bytes_max).unwrap_or(usual.bytes_max),
            sync: section.get("sync", one_of(SYNCS)).unwrap_or(usual.sync),
            commit: section.get("commit", span(COMMIT)).unwrap_or(usual.commit),
            in_order: section.get("in_order", span(IN_ORDER)).unwrap_or(usual.in_order),
            drain: section.get("drain", drain).unwrap_or(usual.drain),
        }
    }
}

const SYNCS: &[(&str, Sync)] = &[("batch", Sync::Batch), ("each", Sync::Each)];
const COMMIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));
const IN_ORDER: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(24 * 3600));

fn bytes_max(value: &toml::de::DeValue<'_>) -> Result<u64, Bad> {
    let bytes = quantity::<ByteSize>(value)?.bytes();
    if bytes != 0 && !((1 << 20)..=(64 << 30)).contains(&bytes) {
        let text = text(value)?;
        return Err(Bad::Says(format!(
            "{text:?} is not within 1 MiB to 64 GiB, nor 0 B for memory only"
        )));
    }
    Ok(bytes)
}

fn drain(value: &toml::de::DeValue<'_>) -> Result<f64, Bad> {
    Ok(quantity::<Rate>(value)?.hz())
}

/// `text`, if it can stand before `edgerun/` in a topic: levels of plain characters, without wildcards.
///
/// # Errors
/// Says what it must be.
pub fn topic_prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| !c.is_control() && !matches!(c, '+' | '#' | '$') && !c.is_whitespace();
    let good = |level: &str| !level.is_empty() && level.chars().all(plain);
    if text.len() <= 128 && text.split('/').all(good) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 128 bytes of topic levels, without blanks, +, #, $ and a slash at an end; write it as in \"tenant-a\"".into())
}

/// A list of verbs.
fn commands<'a>(value: &'a toml::de::DeValue<'a>) -> Result<Vec<Verb>, Bad> {
    let list = value.as_array().ok_or(Bad::Type("a list of verbs"))?;
    let all: Vec<&str> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
    let mut named = Vec::with_capacity(list.len());
    for value in list {
        let word = text(value.get_ref())?;
        let verb = Verb::named(word).ok_or_else(|| {
            Bad::Says(format!("{word:?} is no verb{}", suggest::hint(word, &all)))
        })?;
        if named.contains(&verb) {
            return Err(Bad::Says(format!("has {word:?} twice")));
        }
        named.push(verb);
    }
    named.sort_unstable();
    Ok(named)
}

fn discovery(value: &toml::de::DeValue<'_>) -> Result<Option<String>, Bad> {
    match (value.as_bool(), value.as_str()) {
        (Some(wanted), _) => Ok(wanted.then(|| HOME_ASSISTANT.to_owned())),
        (None, Some(prefix)) => topic_prefix(prefix).map(Some).map_err(Bad::Says),
        (None, None) => Err(Bad::Type("true, false or a string")),
    }
}

/// RFC 7301 section 3.1: at least one name of 1 to 255 bytes.
fn alpn(value: &toml::de::DeValue<'_>) -> Result<Vec<String>, Bad> {
    let names = value.as_array().ok_or(Bad::Type("a list of names"))?;
    let name = |name: &toml::Spanned<toml::de::DeValue<'_>>| {
        let name = name.get_ref().as_str().filter(|name| (1..=255).contains(&name.len()));
        name.map(str::to_owned)
    };
    let names: Option<Vec<String>> = names.iter().map(name).collect();
    let wrong = || Bad::Says("must be a list of names of 1 to 255 bytes, as in [\"mqtt\"]".into());
    names.filter(|names| !names.is_empty()).ok_or_else(wrong)
}

fn username(value: &toml::de::DeValue<'_>) -> Result<String, Bad> {
    let name = value.as_str().ok_or(Bad::Type("a string"))?;
    // MQTT 5, 1.5.4: at most 65,535 bytes, and control characters make brokers disconnect.
    if name.is_empty() || name.len() > 65_535 || name.chars().any(char::is_control) {
        return Err(Bad::Says("must have 1 to 65535 bytes and no control characters".into()));
    }
    Ok(name.to_owned())
}

fn keep_alive<'a>(value: &'a toml::de::DeValue<'a>) -> Result<Duration, Bad> {
    let time = quantity::<Span>(value)?.duration();
    if !(KEEP_ALIVE_LOW..=KEEP_ALIVE_HIGH).contains(&time) || time.subsec_nanos() != 0 {
        let text = text(value)?;
        return Err(Bad::Says(format!("{text:?} is not a whole number of seconds, 5 s to 18 h")));
    }
    Ok(time)
}
