//! The configuration's broker as the network's settings.

use super::Surroundings;
use crate::config::{self, Config, Secrets};
use crate::data::Session;
use crate::net::{
    self, BacklogSettings, Identity, MqttSettings, NetHandle, Protocol, SpoolSettings,
    Subscriptions, TlsSettings,
};
use crate::sensor::input::Held;

/// The MQTT settings of `config`; `None` without a broker.
pub fn mqtt_settings(config: &Config, secrets: &Secrets) -> Option<MqttSettings> {
    let mqtt = config.mqtt.as_ref()?;
    let id = config.device.id.as_str();
    let tls = mqtt.url.tls().then(|| TlsSettings {
        ca: mqtt.ca.clone(),
        client_cert: mqtt.client.as_ref().map(|client| client.certificate.clone()),
        client_key: secrets.mqtt_client_key.clone(),
        alpn: mqtt.alpn.clone(),
    });
    Some(MqttSettings {
        tls,
        websocket: mqtt.url.websocket().map(str::to_owned),
        protocol: match mqtt.protocol {
            config::Protocol::V311 => Protocol::V311,
            config::Protocol::V5 => Protocol::V5,
        },
        username: mqtt.login.as_ref().map(|login| login.username.clone()),
        password: secrets.mqtt_password.clone(),
        keep_alive: mqtt.keep_alive,
        prefix: mqtt.prefix.clone(),
        ..MqttSettings::new(mqtt.url.host(), mqtt.url.port(), id)
    })
}

pub(super) fn start_net(
    config: &Config,
    secrets: &Secrets,
    session: &Session,
    around: &Surroundings,
    inputs: Vec<Held>,
) -> anyhow::Result<Option<NetHandle>> {
    let Some(mut settings) = mqtt_settings(config, secrets) else { return Ok(None) };
    let spool = config.mqtt.as_ref().map(|mqtt| mqtt.spool).unwrap_or_default();
    settings.backlog = BacklogSettings { in_order: spool.in_order, drain_hz: spool.drain };
    settings.spool =
        around.spool.clone().filter(|_| spool.bytes_max > 0).map(|dir| SpoolSettings {
            dir,
            bytes_max: spool.bytes_max,
            commit: spool.commit,
            each: spool.sync == config::Sync::Each,
        });
    let identity = Identity {
        device: config.device.id.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        session: session.clone(),
        since: around.clock.wall(),
    };
    let groups = config.device.groups.iter().map(|group| group.as_str().to_owned()).collect();
    let repository = config.ota.repository.as_ref();
    let files = repository.is_some_and(|repository| repository.url == config::OVER_BROKER);
    let commands = config.mqtt.as_ref().map(|mqtt| mqtt.commands.clone()).unwrap_or_default();
    inputs.iter().for_each(|held| held.feed(around.clock.clone()));
    let models = config.store_models();
    let subscriptions = Subscriptions { models, groups, files, commands, inputs };
    Ok(Some(net::start(settings, identity, subscriptions)?))
}
