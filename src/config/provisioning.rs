//! `edgerun-provision.toml`: what a board is told at its first start, by a file on its boot partition.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, Table, Without};
use super::name::{DeviceId, GroupName};
use super::problem::{ConfigError, Problem};
use super::raw::{Notes, Section};
use super::value::{Bad, parsed, text};
use super::{line_of, problems, syntax_problems};
use crate::data::Secret;

/// What the file says, as far as it can be understood: what is wrong is absent here, and noted.
///
/// Files are named by plain names; they lie beside it.
#[derive(Debug, Default)]
pub struct Provisioning {
    /// `device.id`.
    pub id: Option<DeviceId>,
    /// `device.groups`.
    pub groups: Vec<GroupName>,
    /// `device.hostname`: a label, RFC 1123.
    pub hostname: Option<String>,
    /// A whole configuration.
    pub config: Option<String>,
    /// `mqtt.url`.
    pub url: Option<String>,
    /// `mqtt.ca`, a file.
    pub ca: Option<String>,
    /// `mqtt.client_cert`, a file.
    pub client_cert: Option<String>,
    /// `mqtt.client_key`, a file.
    pub client_key: Option<String>,
    /// `mqtt.username`.
    pub username: Option<String>,
    /// `mqtt.password`: itself.
    pub password: Option<Secret>,
    /// `ota.repository`.
    pub repository: Option<String>,
    /// `ota.root`, a file.
    pub root: Option<String>,
    /// `wifi.ssid`.
    pub ssid: Option<String>,
    /// `wifi.passphrase`: itself.
    pub passphrase: Option<Secret>,
    /// `wifi.country`.
    pub country: Option<String>,
    /// `enrol.url`.
    pub enrol_url: Option<String>,
    /// `enrol.token`: itself.
    pub token: Option<Secret>,
    /// `enrol.fingerprint`.
    pub fingerprint: Option<String>,
    /// `ssh.authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// `installed.delete`: all is installed, and these files are still to be deleted.
    pub installed: Option<Vec<String>>,
    file: PathBuf,
    lines: Vec<(String, usize)>,
}

const fn key(name: &'static str, example: &'static str, about: &'static str) -> Key {
    Key { name, example, without: Without::Default("nothing"), about }
}

const fn table(header: &'static str, keys: &'static [Key]) -> Table {
    Table { header, about: "", keys, later: &[] }
}

const ROOT: Table = table(
    "top level",
    &[
        key("config", "\"edgerun.toml\"", "A whole configuration, beside this file."),
        key("device", "[device]", "Who the board is."),
        key("mqtt", "[mqtt]", "The broker."),
        key("ota", "[ota]", "Signed updates."),
        key("wifi", "[wifi]", "A wireless network."),
        key("enrol", "[enrol]", "A certificate for a token."),
        key("ssh", "[ssh]", "Who may log in."),
        key("installed", "[installed]", "Written by edgerun."),
    ],
);
const DEVICE: Table = table(
    "[device]",
    &[
        key("id", "\"bench-07\"", "The name on the broker."),
        key("groups", "[\"line-3\"]", "Fleet groups."),
        key("hostname", "\"bench-07\"", "The machine's name."),
    ],
);
const MQTT: Table = table(
    "[mqtt]",
    &[
        key("url", "\"mqtts://broker.example\"", "The broker."),
        key("ca", "\"ca.pem\"", "Its authority, a file beside this one."),
        key("client_cert", "\"board.pem\"", "The board's certificate, a file."),
        key("client_key", "\"board.key\"", "Its private key, a file; deleted after use."),
        key("username", "\"bench-07\"", "User name on the broker."),
        key("password", "\"…\"", "Its password; removed after use."),
    ],
);
const OTA: Table = table(
    "[ota]",
    &[
        key("repository", "\"https://models.example/tuf\"", "Where signed updates come from."),
        key("root", "\"root.json\"", "The root of trust, a file."),
    ],
);
const WIFI: Table = table(
    "[wifi]",
    &[
        key("ssid", "\"workshop\"", "The network's name."),
        key("passphrase", "\"…\"", "Its passphrase; removed after use."),
        key("country", "\"DE\"", "The country that the board is in."),
    ],
);
const ENROL: Table = table(
    "[enrol]",
    &[
        key("url", "\"https://ca.example\"", "A step-ca."),
        key("token", "\"…\"", "Its one-time token; removed after use."),
        key("fingerprint", "\"…\"", "SHA-256 of its root certificate."),
    ],
);
const SSH: Table = table(
    "[ssh]",
    &[key("authorized_keys", "[\"ssh-ed25519 AAAA… me\"]", "Public keys that may log in as root.")],
);
const INSTALLED: Table =
    table("[installed]", &[key("delete", "[]", "Files that are still to be deleted.")]);

/// Every table of the file, for its documentation.
pub const PROVISIONING_TABLES: &[&Table] = &[&ROOT, &DEVICE, &MQTT, &OTA, &WIFI, &ENROL, &SSH];

impl Provisioning {
    /// Reads `source` as if it stood in `file`; opens nothing. What is wrong comes beside what is right.
    ///
    /// # Errors
    /// When it is not TOML at all.
    pub fn parse(source: &str, file: &Path) -> Result<(Self, Vec<Problem>), ConfigError> {
        let (tree, syntax) = DeTable::parse_recoverable(source);
        if !syntax.is_empty() {
            return Err(ConfigError { problems: syntax_problems(source, file, &syntax) });
        }
        let notes = Notes::default();
        let mut found =
            Self { file: file.to_owned(), lines: lines(source, tree.get_ref()), ..Self::default() };
        found.read(&Section::root(tree.get_ref(), &ROOT, &notes));
        Ok((found, problems(source, file, notes.wrong.take())))
    }

    fn read(&mut self, root: &Section<'_>) {
        root.close();
        self.config = root.get("config", beside);
        let section = |name, table| {
            let section = root.table(name, table)?;
            section.close();
            Some(section)
        };
        if let Some(device) = section("device", &DEVICE) {
            self.id = device.get("id", parsed);
            self.hostname = device.get("hostname", hostname);
            self.groups = device.get("groups", list(parsed)).unwrap_or_default();
        }
        if let Some(mqtt) = section("mqtt", &MQTT) {
            self.url = mqtt.get("url", string);
            self.ca = mqtt.get("ca", beside);
            self.client_cert = mqtt.get("client_cert", beside);
            self.client_key = mqtt.get("client_key", beside);
            self.username = mqtt.get("username", string);
            self.password = mqtt.get("password", secret);
        }
        if let Some(ota) = section("ota", &OTA) {
            self.repository = ota.get("repository", string);
            self.root = ota.get("root", beside);
        }
        if let Some(wifi) = section("wifi", &WIFI) {
            self.ssid = wifi.require("ssid", string);
            self.passphrase = wifi.get("passphrase", secret);
            self.country = wifi.get("country", string);
        }
        if let Some(enrol) = section("enrol", &ENROL) {
            self.enrol_url = enrol.require("url", string);
            self.token = enrol.require("token", secret);
            self.fingerprint = enrol.get("fingerprint", string);
        }
        if let Some(ssh) = section("ssh", &SSH) {
            self.authorized_keys = ssh.get("authorized_keys", list(login_key)).unwrap_or_default();
        }
        if let Some(installed) = section("installed", &INSTALLED) {
            self.installed = installed.get("delete", list(beside));
        }
    }

    /// A problem with `key`, as in `mqtt.ca`, at its line.
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        let line = |key: &str| Some(self.lines.iter().find(|(name, _)| name == key)?.1);
        // A key that is not there: at its table.
        let line = line(key).or_else(|| line(key.split('.').next()?));
        Problem { file: self.file.clone(), line, key: key.to_owned(), message: message.into() }
    }
}

/// Each key and each key of a table, with its line.
fn lines(source: &str, tree: &DeTable<'_>) -> Vec<(String, usize)> {
    let at = |span: std::ops::Range<usize>| line_of(source.as_bytes(), span.start);
    let mut lines = Vec::new();
    for (name, value) in tree {
        lines.push((name.get_ref().to_string(), at(name.span())));
        if let DeValue::Table(inner) = value.get_ref() {
            for (key, _) in inner {
                lines.push((format!("{}.{}", name.get_ref(), key.get_ref()), at(key.span())));
            }
        }
    }
    lines
}

fn string(value: &DeValue<'_>) -> Result<String, Bad> {
    text(value).map(str::to_owned)
}

/// Never repeated in a message.
fn secret(value: &DeValue<'_>) -> Result<Secret, Bad> {
    let text = text(value)?;
    if text.is_empty() || text.contains(['\n', '\r', '\0']) {
        return Err(Bad::Says("must not be empty and stand on one line".into()));
    }
    Ok(Secret::new(text))
}

fn list<'a, T>(
    read: impl Fn(&'a DeValue<'a>) -> Result<T, Bad>,
) -> impl FnOnce(&'a DeValue<'a>) -> Result<Vec<T>, Bad> {
    move |value| {
        let items = value.as_array().ok_or(Bad::Type("a list of strings"))?;
        items.iter().map(|item: &'a Spanned<DeValue<'a>>| read(item.get_ref())).collect()
    }
}

/// A plain file name, so that none leads away from the medium.
fn beside(value: &DeValue<'_>) -> Result<String, Bad> {
    let name = text(value)?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good);
    let lower = name.to_ascii_lowercase();
    if plain && name.len() <= 100 && !lower.starts_with("edgerun-provision") {
        return Ok(name.to_owned());
    }
    Err(Bad::Says(format!(
        "{name:?} is not the name of a file beside this one: letters, digits, `.`, `_` and `-`, without a path"
    )))
}

fn hostname(value: &DeValue<'_>) -> Result<String, Bad> {
    let name = text(value)?;
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&name.len())
        && name.bytes().all(good)
        && !name.starts_with('-')
        && !name.ends_with('-')
    {
        return Ok(name.to_owned());
    }
    Err(Bad::Says(format!(
        "{name:?} is no host name: 1 to 63 of a-z, 0-9 and -, as in \"bench-07\""
    )))
}

fn login_key(value: &DeValue<'_>) -> Result<String, Bad> {
    let line = text(value)?.trim();
    let kinds = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    let known = kinds.iter().any(|kind| line.starts_with(kind));
    if known && line.split_whitespace().count() >= 2 && !line.contains(['\n', '\r', '\0']) {
        return Ok(line.to_owned());
    }
    Err(Bad::Says("must be lines of a .pub file, as in \"ssh-ed25519 AAAA… me\"".into()))
}
