//! The broker that a command of a person speaks over: named on the command line, or the board's own.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};

use crate::config::{self, BrokerUrl, Config, Credentials, Machine, topic_prefix};
use crate::daemon;
use crate::data::Secret;
use crate::net::{self, MqttSettings, Protocol, TlsSettings};

/// The broker of the command line, or the board's own.
#[derive(clap::Args)]
pub(crate) struct BrokerArgs {
    /// The broker, as in mqtts://broker.example:8883; without it that of the board's own configuration
    #[arg(long, value_name = "URL")]
    mqtt: Option<BrokerUrl>,

    #[command(flatten)]
    access: Access,

    /// The board's own configuration, where it lies elsewhere
    #[arg(long, short, value_name = "FILE", conflicts_with = "mqtt")]
    config: Option<PathBuf>,
}

/// How a broker lets us in.
#[derive(clap::Args)]
pub(crate) struct Access {
    /// What stands before `edgerun/` in topics, as in the boards' [mqtt] prefix
    #[arg(long, value_name = "PREFIX", value_parser = topic_prefix)]
    prefix: Option<String>,

    /// 5: MQTT 5; 4: MQTT 3.1.1
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(4..=5))]
    protocol: u8,

    /// User name at the broker
    #[arg(long, value_name = "NAME")]
    username: Option<String>,

    /// File with the password for it
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,

    /// PEM file of the authorities to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// PEM file of the certificate to log in with
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,

    /// PEM file of its private key
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

impl Access {
    /// The broker at `url`, for a client that calls itself `edgerun-WHAT-…`: several of them may be there at once.
    ///
    /// # Errors
    /// When files cannot be read, or contradict the address.
    pub(crate) fn settings(&self, url: &BrokerUrl, what: &str) -> anyhow::Result<MqttSettings> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            Ok::<_, anyhow::Error>(Secret::new(text.trim_end_matches(['\r', '\n'])))
        };
        let password = self.password_file.as_ref().map(read).transpose()?;
        let client_key = self.client_key.as_ref().map(read).transpose()?;
        if !url.tls() && (self.ca.is_some() || self.client_cert.is_some()) {
            bail!(
                "certificates are for mqtts:// and wss://, the broker's address begins otherwise"
            );
        }
        if !url.tls() && password.is_some() && !url.is_loopback() {
            log::warn!("the password crosses the network in clear text; use mqtts://");
        }
        let tls = url.tls().then(|| TlsSettings {
            ca: self.ca.clone(),
            client_cert: self.client_cert.clone(),
            client_key,
            alpn: Vec::new(),
        });
        Ok(MqttSettings {
            tls,
            websocket: url.websocket().map(str::to_owned),
            protocol: if self.protocol == 4 { Protocol::V311 } else { Protocol::V5 },
            username: self.username.clone(),
            password,
            prefix: self.prefix.clone(),
            ..MqttSettings::new(url.host(), url.port(), client_id(what)?)
        })
    }

    fn says_anything(&self) -> bool {
        let Self { prefix: _, protocol: _, username, password_file, ca, client_cert, client_key } =
            self;
        username.is_some()
            || [password_file, ca, client_cert, client_key].iter().any(|file| file.is_some())
    }
}

impl BrokerArgs {
    /// As [`Access::settings`].
    ///
    /// # Errors
    /// As there; and when no broker is named, or something is wrong with the configuration.
    pub(crate) fn settings(&self, what: &str) -> anyhow::Result<MqttSettings> {
        if let Some(url) = &self.mqtt {
            return self.access.settings(url, what);
        }
        let usual = PathBuf::from(config::DEFAULT_FILE);
        let file = match &self.config {
            Some(file) => file,
            None if usual.exists() => &usual,
            None => bail!("say which broker: --mqtt URL; this machine has no {}", usual.display()),
        };
        if self.access.says_anything() {
            bail!("these settings are for --mqtt URL; without it those of {} hold", file.display());
        }
        let config = Config::load(file, &Machine::this())?;
        let secrets = config.secrets(&Credentials::this()).map_err(|wrong| {
            let said: Vec<String> =
                wrong.iter().map(|(key, error)| format!("{key}: {error}")).collect();
            anyhow!("{}", said.join("; "))
        })?;
        let settings = daemon::mqtt_settings(&config, &secrets);
        let settings = settings
            .ok_or_else(|| anyhow!("{} names no broker; say --mqtt URL", file.display()))?;
        let prefix = self.access.prefix.clone().or(settings.prefix);
        Ok(MqttSettings { client_id: client_id(what)?, prefix, ..settings })
    }
}

fn client_id(what: &str) -> anyhow::Result<String> {
    let session = net::new_session()?;
    Ok(format!("edgerun-{what}-{}", &session.as_str()[..8]))
}
