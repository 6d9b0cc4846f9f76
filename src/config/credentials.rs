//! Secrets: read from files that only this program's user can read, never from the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Config;
use super::name::CredentialName;
use crate::data::Secret;

/// Where credentials lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `$CREDENTIALS_DIRECTORY`: made by systemd for this process, readable by nobody else.
    service: Option<PathBuf>,
    /// Kept by an administrator; used where `service` is not there or lacks the name.
    kept: PathBuf,
}

/// The secrets that a configuration names, read.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// `mqtt.client_key`: PEM.
    pub mqtt_client_key: Option<Secret>,
    /// `mqtt.password`.
    pub mqtt_password: Option<Secret>,
    /// `http.token`.
    pub http_token: Option<Secret>,
    /// `webhook.token` of pipelines, by their names.
    pub webhook_tokens: BTreeMap<String, Secret>,
}

/// Why a credential cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// No such file.
    #[error(
        "credential {name} is not there; put it into {}, owned by edgerun's user, mode 0600",
        file.display()
    )]
    Missing {
        /// Its name.
        name: CredentialName,
        /// Where it may lie.
        file: PathBuf,
    },
    /// Others can get at it.
    #[error("others can read {}; run: chmod 600 {}", file.display(), file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
    },
    /// The system says no.
    #[error("{} cannot be read: {source}; it must belong to edgerun's user", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Empty, too long, or no text.
    #[error("{} holds no secret: {why}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
}

impl Credentials {
    const KEPT: &'static str = "/etc/edgerun/credentials";
    /// A chain of certificates with its key has a tenth of this.
    const BYTES_MAX: u64 = 64 << 10;

    /// Those of this process: `$CREDENTIALS_DIRECTORY`, then `/etc/edgerun/credentials`.
    pub fn this() -> Self {
        let service = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self::new(service.filter(|dir| dir.is_absolute()), Self::KEPT)
    }

    /// Those in `service`, where the name is there, otherwise in `kept`.
    pub fn new(service: Option<PathBuf>, kept: impl Into<PathBuf>) -> Self {
        Self { service, kept: kept.into() }
    }

    /// The secret called `name`, without the line end that editors add.
    ///
    /// # Errors
    /// When it is not there, cannot be read, is no text, or others could read it: a person must act.
    pub fn read(&self, name: &CredentialName) -> Result<Secret, CredentialError> {
        if let Some(dir) = &self.service {
            let file = dir.join(name.as_str());
            match File::open(&file) {
                Ok(opened) => return contents(opened, &file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(CredentialError::Unreadable { file, source }),
            }
        }
        let file = self.kept.join(name.as_str());
        match File::open(&file) {
            Ok(opened) => {
                private(&opened, &file)?;
                contents(opened, &file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(CredentialError::Missing { name: name.clone(), file })
            }
            Err(source) => Err(CredentialError::Unreadable { file, source }),
        }
    }
}

impl Config {
    /// The credentials that this configuration names, each with what it is for.
    pub fn credentials(&self) -> Vec<(Use<'_>, &CredentialName)> {
        let mqtt = self.mqtt.as_ref();
        let key = mqtt.and_then(|m| m.client.as_ref()).map(|c| &c.key);
        let password = mqtt.and_then(|m| m.login.as_ref()).and_then(|l| l.password.as_ref());
        let token = self.http.as_ref().and_then(|h| h.token.as_ref());
        let webhooks = self.pipelines.iter().map(|pipeline| {
            let webhook = pipeline.feed.as_ref().and_then(|feed| feed.outputs.webhook.as_ref());
            (Use::Webhook(pipeline.name.as_str()), webhook.and_then(|w| w.token.as_ref()))
        });
        [(Use::MqttKey, key), (Use::MqttPassword, password), (Use::HttpToken, token)]
            .into_iter()
            .chain(webhooks)
            .filter_map(|(at, name)| Some((at, name?)))
            .collect()
    }

    /// Reads every credential that this configuration names.
    ///
    /// # Errors
    /// All that cannot be used, each with what it is for; a person must act before anything can start.
    pub fn secrets(
        &self,
        credentials: &Credentials,
    ) -> Result<Secrets, Vec<(Use<'_>, CredentialError)>> {
        let mut secrets = Secrets::default();
        let mut wrong = Vec::new();
        for (at, name) in self.credentials() {
            match (at, credentials.read(name)) {
                (Use::MqttKey, Ok(secret)) => secrets.mqtt_client_key = Some(secret),
                (Use::MqttPassword, Ok(secret)) => secrets.mqtt_password = Some(secret),
                (Use::HttpToken, Ok(secret)) => secrets.http_token = Some(secret),
                (Use::Webhook(pipeline), Ok(secret)) => {
                    secrets.webhook_tokens.insert(pipeline.to_owned(), secret);
                }
                (at, Err(error)) => wrong.push((at, error)),
            }
        }
        if wrong.is_empty() { Ok(secrets) } else { Err(wrong) }
    }
}

/// What a credential is for; shown as its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use<'a> {
    /// `mqtt.client_key`.
    MqttKey,
    /// `mqtt.password`.
    MqttPassword,
    /// `http.token`.
    HttpToken,
    /// `webhook.token` of a pipeline.
    Webhook(&'a str),
}

impl fmt::Display for Use<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MqttKey => f.write_str("mqtt.client_key"),
            Self::MqttPassword => f.write_str("mqtt.password"),
            Self::HttpToken => f.write_str("http.token"),
            Self::Webhook(pipeline) => write!(f, "webhook.token of pipeline {pipeline}"),
        }
    }
}

/// Looks at the opened file, so that nothing can be put in its place in between.
#[cfg(unix)]
fn private(opened: &File, file: &Path) -> Result<(), CredentialError> {
    use std::os::unix::fs::PermissionsExt;
    let unreadable = |source| CredentialError::Unreadable { file: file.into(), source };
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(CredentialError::Exposed { file: file.into() });
    }
    Ok(())
}

#[cfg(not(unix))]
fn private(_: &File, _: &Path) -> Result<(), CredentialError> {
    Ok(())
}

fn contents(opened: File, file: &Path) -> Result<Secret, CredentialError> {
    let unusable = |why| CredentialError::Unusable { file: file.into(), why };
    let mut bytes = Vec::new();
    opened
        .take(Credentials::BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| CredentialError::Unreadable { file: file.into(), source })?;
    if bytes.len() as u64 > Credentials::BYTES_MAX {
        return Err(unusable("it is larger than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8 text"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(unusable("it is empty"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn name(text: &str) -> CredentialName {
        text.parse().unwrap()
    }

    fn put(dir: &Path, name: &str, bytes: &[u8], mode: u32) {
        let file = dir.join(name);
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn service_credential_wins_and_loses_its_line_end() {
        let (service, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(service.path(), "a", b"from systemd\n", 0o440);
        put(kept.path(), "a", b"kept", 0o600);
        put(kept.path(), "b", b"kept \r\n", 0o400);
        let credentials = Credentials::new(Some(service.path().into()), kept.path());
        assert_eq!(credentials.read(&name("a")).unwrap().expose(), "from systemd");
        assert_eq!(credentials.read(&name("b")).unwrap().expose(), "kept ");
        let credentials = Credentials::new(None, kept.path());
        assert_eq!(credentials.read(&name("a")).unwrap().expose(), "kept");
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_command_that_helps() {
        let kept = tempfile::tempdir().unwrap();
        let credentials = Credentials::new(None, kept.path());
        for mode in [0o640, 0o604, 0o660, 0o610] {
            put(kept.path(), "a", b"secret", mode);
            let says = credentials.read(&name("a")).unwrap_err().to_string();
            let file = kept.path().join("a");
            let file = file.display();
            assert_eq!(says, format!("others can read {file}; run: chmod 600 {file}"));
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_by_what_it_is() {
        let kept = tempfile::tempdir().unwrap();
        let credentials = Credentials::new(None, kept.path());
        put(kept.path(), "empty", b"\n", 0o600);
        put(kept.path(), "binary", &[0xff, 0xfe], 0o600);
        put(kept.path(), "large", &vec![b'x'; (64 << 10) + 1], 0o600);
        fs::create_dir(kept.path().join("folder")).unwrap();
        fs::set_permissions(kept.path().join("folder"), fs::Permissions::from_mode(0o700)).unwrap();
        let says = |n: &str| credentials.read(&name(n)).unwrap_err().to_string();
        assert!(says("empty").ends_with("it is empty"));
        assert!(says("binary").ends_with("it is not UTF-8 text"));
        assert!(says("large").ends_with("it is larger than 64 KiB"));
        assert!(says("folder").contains("cannot be read"));
        assert!(says("missing").starts_with("credential missing is not there; put it into "));
    }
}
