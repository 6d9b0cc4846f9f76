//! The steps of `edgerun check` that need neither a sensor, a model nor a broker: files and secrets.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Config, CredentialName, Credentials, Use};
use crate::storage::MemoryStorage;
use crate::trust::{TrustStore, build_time};

/// One thing that `edgerun check` looks at.
pub(crate) struct Step<'a> {
    /// What is looked at, as in `sensor imu`.
    pub(crate) name: String,
    /// Who has to act where it does not hold.
    pub(crate) blame: Blame,
    /// Looks; gives a few words on what was found, or why it does not hold and what to do.
    pub(crate) look: Box<dyn FnOnce() -> anyhow::Result<String> + 'a>,
}

/// What is to be changed where a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The configuration or a file that belongs to it: exit code 78.
    Configuration,
    /// A device, a model, a broker: exit code 1.
    Surroundings,
}

impl<'a> Step<'a> {
    /// A step on a device, a model or a broker.
    pub(crate) fn surroundings(
        name: impl Into<String>,
        look: impl FnOnce() -> anyhow::Result<String> + 'a,
    ) -> Self {
        Self { name: name.into(), blame: Blame::Surroundings, look: Box::new(look) }
    }

    fn configuration(
        name: impl Into<String>,
        look: impl FnOnce() -> anyhow::Result<String> + 'a,
    ) -> Self {
        Self { name: name.into(), blame: Blame::Configuration, look: Box::new(look) }
    }
}

/// Credentials and certificates.
pub(super) fn files<'a>(config: &'a Config, credentials: &'a Credentials) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for (at, name) in config.credentials() {
        steps.push(Step::configuration(at.to_string(), move || match at {
            Use::MqttKey => private_key(credentials, name),
            _ => {
                credentials.read(name)?;
                Ok(format!("credential {name} can be read"))
            }
        }));
    }
    if let Some(mqtt) = &config.mqtt {
        if let Some(ca) = &mqtt.ca {
            steps.push(Step::configuration("mqtt.ca", || certificates(ca)));
        }
        if let Some(client) = &mqtt.client {
            let look = || certificates(&client.certificate);
            steps.push(Step::configuration("mqtt.client_cert", look));
        }
    }
    for pipeline in &config.pipelines {
        let webhook = pipeline.feed.as_ref().and_then(|feed| feed.outputs.webhook.as_ref());
        if let Some(ca) = webhook.and_then(|webhook| webhook.ca.as_ref()) {
            let name = format!("webhook.ca of pipeline {}", pipeline.name);
            steps.push(Step::configuration(name, || certificates(ca)));
        }
    }
    if let Some(repository) = &config.ota.repository {
        if let Some(ca) = &repository.ca {
            steps.push(Step::configuration("ota.ca", || certificates(ca)));
        }
        steps.push(Step::configuration("ota.root", || root_of_trust(&repository.root)));
    }
    steps
}

fn root_of_trust(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let bytes = fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    let trust = TrustStore::new(Arc::new(MemoryStorage::default()), &bytes, build_time());
    let root = trust.and_then(|trust| trust.root()).with_context(|| format!("{shown}"))?;
    Ok(format!("{shown}, fingerprint {}", root.fingerprint))
}

/// The folder for state.
pub(super) fn state(config: &Config) -> Step<'_> {
    Step::surroundings("state", || {
        let dir = &config.state;
        let shown = dir.display();
        let existing = dir.ancestors().find(|a| a.as_os_str().is_empty() || a.exists());
        let existing = match existing {
            Some(here) if here.as_os_str().is_empty() => Path::new("."),
            Some(existing) => existing,
            None => bail!("{shown} cannot be reached"),
        };
        let probe = existing.join(format!(".edgerun-check-{}", std::process::id()));
        File::create_new(&probe)
            .with_context(|| format!("{} cannot be written to by this user", existing.display()))?;
        fs::remove_file(&probe).with_context(|| format!("removing {}", probe.display()))?;
        Ok(if existing == dir {
            format!("{shown} can be written to")
        } else {
            format!("{shown} is made when edgerun starts")
        })
    })
}

fn certificates(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let pem = fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    let count = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("{shown} is not PEM"))?
        .len();
    match count {
        0 => bail!("{shown} holds no certificate; it must be PEM, with BEGIN CERTIFICATE"),
        1 => Ok(format!("1 certificate in {shown}")),
        _ => Ok(format!("{count} certificates in {shown}")),
    }
}

fn private_key(credentials: &Credentials, name: &CredentialName) -> anyhow::Result<String> {
    let secret = credentials.read(name)?;
    // The parser's own words could hold a part of the key.
    match PrivateKeyDer::from_pem_slice(secret.expose().as_bytes()) {
        Ok(_) => Ok(format!("credential {name} is a private key")),
        Err(_) => bail!("credential {name} is no private key in PEM, with BEGIN PRIVATE KEY"),
    }
}
