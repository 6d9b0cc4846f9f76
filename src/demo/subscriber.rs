//! The demo's own client: hears what any other client of the broker would, and says what an operator would,
//! over its own connection.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context as _;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{Client, Connection, Event, MqttOptions};
use serde::Deserialize;

/// Something that the broker delivered.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Full topic.
    pub(super) topic: String,
    /// As published.
    pub(super) payload: Vec<u8>,
}

/// The part of a result's payload that the demo looks at.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // the contract's keys
pub(super) struct ResultPayload {
    pub(super) latency_us: u64,
    pub(super) version: String,
    pub(super) window: WindowPayload,
    pub(super) result: Classification,
}

/// Where a window lies in time, RFC 3339.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub(super) struct WindowPayload {
    pub(super) start: String,
    pub(super) end: String,
}

/// What a classification says.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub(super) struct Classification {
    pub(super) label: Option<String>,
    pub(super) score: f64,
}

/// Messages wait here for the view; the broker holds the rest back.
const ROOM: usize = 1024;

/// Subscribes to everything below `edgerun/` and returns once the broker has confirmed it: what arrives, and
/// a way to publish.
///
/// # Errors
/// When the broker does not confirm within 10 s.
pub(super) fn start(broker: SocketAddr) -> anyhow::Result<(Receiver<Message>, Client)> {
    let mut options = MqttOptions::new("edgerun-demo-view", broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_secs(30));
    let (client, connection) = Client::new(options, 10);
    client
        .subscribe("edgerun/#", QoS::AtLeastOnce)
        .context("cannot ask the embedded broker for a subscription")?;
    let (messages, received) = sync_channel(ROOM);
    let (confirmed, wait) = sync_channel(1);
    std::thread::Builder::new()
        .name("demo-subscriber".into())
        .spawn({
            let client = client.clone();
            move || listen(client, connection, &messages, &confirmed)
        })
        .context("cannot start a thread for the subscriber")?;
    wait.recv_timeout(Duration::from_secs(10))
        .context("the embedded broker did not confirm the subscription")?;
    Ok((received, client))
}

/// Passes messages on until the demo hangs up. `client` is held: dropping it ends the connection.
fn listen(
    client: Client,
    mut connection: Connection,
    messages: &SyncSender<Message>,
    confirmed: &SyncSender<()>,
) {
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                if confirmed.send(()).is_err() {
                    break;
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                if messages.send(Message { topic, payload: publish.payload.to_vec() }).is_err() {
                    break;
                }
            }
            Ok(_) => {}
            Err(error) => {
                log::error!("the demo's subscriber lost the embedded broker: {error}");
                break;
            }
        }
    }
    drop(client);
}
