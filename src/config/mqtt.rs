//! `[mqtt]`: the broker, and how this board proves who it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::broker_url::BrokerUrl;
use super::keys;
use super::name::CredentialName;
use super::quantity::Span;
use super::raw::Section;
use super::value::{Bad, credential, parsed, path, quantity, text};

/// The broker.
#[derive(Clone, Debug, PartialEq, Eq)]
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

        let prefix = section.get("prefix", |value| topic_prefix(text(value)?).map_err(Bad::Says));

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
            for key in ["ca", "client_cert", "client_key"].into_iter().filter(|k| section.has(k)) {
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
        Some(Self { url, ca, client, login, keep_alive, prefix })
    }
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
