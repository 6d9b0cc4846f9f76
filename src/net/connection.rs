//! One connection: a fresh client of the MQTT library, and the task that polls it and does nothing else.
//!
//! A connection is never resumed. What the library does on a reconnect (replays past the broker's limit,
//! silently lost messages, live-locks) cannot happen to a client that has only ever had one connection.

mod v311;

use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, Filter, LastWill, Packet, PubAckReason, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::envelope::{Envelope, Heard, Say};
use super::failure::Failure;
use super::flight::WINDOW;
use super::limits::Limits;
use super::settings::{MqttSettings, Protocol, Timing};

/// The largest packet we take: a broker or somebody behind it can not fill our memory.
const INCOMING_MAX_BYTES: u32 = 64 << 10;

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Happening {
    /// The broker accepted us, within these limits.
    Accepted(Limits),
    /// The next publish or subscription in order was written under this packet id; 0 is QoS 0.
    Written(u16),
    /// The broker took the publish with this packet id.
    Acknowledged(u16),
    /// The broker has the publish with this packet id, and refuses it.
    Refused(u16, PubAckReason),
    /// The broker took the subscription with this packet id.
    Subscribed(u16),
    /// The broker refuses the subscription with this packet id.
    NotSubscribed(u16, SubscribeReasonCode),
    /// Somebody says something on a topic that we have subscribed to.
    Heard(Heard),
    /// DISCONNECT was written.
    SaidGoodbye,
    /// It is over.
    Lost(Failure),
}

/// The last will, as far as the broker takes it.
#[derive(Clone, Debug)]
pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// The library's, of either protocol.
#[derive(Debug)]
enum Client {
    V5(AsyncClient),
    V311(rumqttc::AsyncClient),
}

/// A connection that is being made or stands. Dropping it cuts the line without a DISCONNECT.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    happenings: mpsc::Receiver<Happening>,
    poller: JoinHandle<()>,
}

impl Connection {
    /// Starts to connect; [`Happening::Accepted`] or [`Happening::Lost`] follows.
    pub(super) fn open(
        settings: &Arc<MqttSettings>,
        tls: Option<&Arc<ClientConfig>>,
        will: Option<Will>,
    ) -> Self {
        // One request for each place in the window, and one for DISCONNECT.
        let capacity = usize::from(WINDOW) + 1;
        let (events, happenings) = mpsc::channel(4 * usize::from(WINDOW));
        let own = Arc::clone(settings);
        let (client, poller) = match settings.protocol {
            Protocol::V5 => {
                let (client, driven) = AsyncClient::new(options(settings, tls, will), capacity);
                (Client::V5(client), tokio::spawn(poll(driven, events, own)))
            }
            Protocol::V311 => {
                let (client, driven) = v311::client(settings, tls, will, capacity);
                (Client::V311(client), tokio::spawn(v311::poll(driven, events, own)))
            }
        };
        Self { client, happenings, poller }
    }

    /// The next thing that happens; cancelling it loses nothing.
    pub(super) async fn happening(&mut self) -> Happening {
        match self.happenings.recv().await {
            Some(happening) => happening,
            // The task has ended without a word: the library panicked. A new client starts afresh.
            None => Happening::Lost(Failure::retry("the MQTT client failed unexpectedly".into())),
        }
    }

    /// Hands one publish to the library. `false` when it does not take it: its topic is not one.
    pub(super) fn publish(&self, topic: &str, qos: QoS, retain: bool, payload: Vec<u8>) -> bool {
        match &self.client {
            Client::V5(client) => client.try_publish(topic, qos, retain, payload).is_ok(),
            Client::V311(client) => {
                client.try_publish(topic, v311::qos(qos), retain, payload).is_ok()
            }
        }
    }

    /// The same with something beside the payload, which MQTT 3.1.1 leaves out, and never retained.
    pub(super) fn say(&self, qos: QoS, Say { topic, payload, envelope }: Say) -> bool {
        match &self.client {
            Client::V5(client) => {
                let properties = envelope.properties();
                client.try_publish_with_properties(topic, qos, false, payload, properties).is_ok()
            }
            Client::V311(client) => {
                client.try_publish(topic, v311::qos(qos), false, payload).is_ok()
            }
        }
    }

    /// Hands one subscription at QoS 1 to the library. `false` when it does not take it: its filter is not one.
    /// With `tells_retained` live messages say whether they are to be retained, too; MQTT 5 only.
    pub(super) fn subscribe(&self, filter: &str, tells_retained: bool) -> bool {
        match &self.client {
            Client::V5(client) => {
                let mut filter = Filter::new(filter, QoS::AtLeastOnce);
                filter.preserve_retain = tells_retained;
                client.try_subscribe_many([filter]).is_ok()
            }
            Client::V311(client) => {
                client.try_subscribe(filter, v311::qos(QoS::AtLeastOnce)).is_ok()
            }
        }
    }

    /// Asks for a DISCONNECT behind everything handed over. `false` when there is no more line.
    pub(super) fn say_goodbye(&self) -> bool {
        match &self.client {
            Client::V5(client) => client.try_disconnect().is_ok(),
            Client::V311(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

fn options(
    settings: &MqttSettings,
    tls: Option<&Arc<ClientConfig>>,
    will: Option<Will>,
) -> MqttOptions {
    let mut options = MqttOptions::new(settings.client_id.as_str(), host(settings), settings.port);
    options
        .set_clean_start(true)
        .set_keep_alive(keep_alive(settings))
        .set_connection_timeout(settings.timing.connect.as_secs() + 1)
        // Also sizes the library's table of packet ids.
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_connect_properties(ConnectProperties {
            max_packet_size: Some(INCOMING_MAX_BYTES),
            ..ConnectProperties::new()
        });
    options.set_network_options(network()).set_transport(transport(settings, tls));
    if let Some(username) = &settings.username {
        let password = settings.password.as_ref().map_or("", |password| password.expose());
        options.set_credentials(username.as_str(), password);
    }
    if let Some(will) = will {
        options.set_last_will(LastWill::new(will.topic, will.payload, will.qos, will.retain, None));
    }
    options
}

/// What the library takes for the host: of a WebSocket, the whole address.
fn host(settings: &MqttSettings) -> String {
    match &settings.websocket {
        None => settings.host.clone(),
        Some(path) => {
            let scheme = if settings.tls.is_some() { "wss" } else { "ws" };
            format!("{scheme}://{}{path}", settings.address())
        }
    }
}

fn transport(settings: &MqttSettings, tls: Option<&Arc<ClientConfig>>) -> Transport {
    let tls = tls.map(|config| TlsConfiguration::Rustls(Arc::clone(config)));
    match (&settings.websocket, tls) {
        (None, None) => Transport::tcp(),
        (None, Some(tls)) => Transport::tls_with_config(tls),
        (Some(_), None) => Transport::Ws,
        (Some(_), Some(tls)) => Transport::Wss(tls),
    }
}

fn network() -> NetworkOptions {
    let mut network = NetworkOptions::new();
    // Small packets in a short window: waiting to fill segments costs a delayed ACK for each window.
    network.set_tcp_nodelay(true);
    network
}

/// The library refuses less than 5 s, and the packet has 16 bits for it.
fn keep_alive(settings: &MqttSettings) -> Duration {
    settings.keep_alive.clamp(Duration::from_secs(5), Duration::from_secs(u16::MAX.into()))
}

/// Polls until the connection is lost, and tells. A poll that overruns its deadline is a loss, too: the
/// library itself waits for ever where a peer accepts and says nothing, or stops reading.
async fn poll(
    mut event_loop: EventLoop,
    events: mpsc::Sender<Happening>,
    settings: Arc<MqttSettings>,
) {
    let Timing { connect, ack, .. } = settings.timing;
    let (mut deadline, mut is_accepted) = (connect, false);
    loop {
        let happening = match timeout(deadline, event_loop.poll()).await {
            Err(_) => Happening::Lost(Failure::silence(&settings)),
            Ok(Err(ConnectionError::MqttState(StateError::ConnectionAborted))) if !is_accepted => {
                Happening::Lost(Failure::unanswered(&settings))
            }
            Ok(Err(error)) => Happening::Lost(Failure::new(&error, &settings)),
            Ok(Ok(Event::Incoming(Packet::ConnAck(connack)))) => {
                // The library takes over the broker's keep-alive, also one of 0 (which makes it ping
                // without pause) or of many hours (which makes it find a dead line in as many).
                let own = keep_alive(&settings);
                let theirs = event_loop.options.keep_alive();
                if theirs.is_zero() || theirs > own {
                    event_loop.options.set_keep_alive(own);
                }
                // An idle line has a ping within each keep-alive.
                deadline = own + ack;
                is_accepted = true;
                Happening::Accepted(Limits::new(&connack))
            }
            Ok(Ok(Event::Incoming(Packet::PubAck(puback)))) => match puback.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
                    Happening::Acknowledged(puback.pkid)
                }
                reason => Happening::Refused(puback.pkid, reason),
            },
            Ok(Ok(Event::Incoming(Packet::SubAck(suback)))) => answered(&suback),
            Ok(Ok(Event::Incoming(Packet::Publish(publish)))) => match heard(publish) {
                Some(happening) => happening,
                None => Happening::Lost(Failure::retry(format!(
                    "the broker at {} sends what MQTT 5 does not allow it",
                    settings.address()
                ))),
            },
            Ok(Ok(Event::Outgoing(outgoing))) => match written(&outgoing) {
                Some(happening) => happening,
                None => continue,
            },
            Ok(Ok(Event::Incoming(_))) => continue,
        };
        if !tell(&events, happening).await {
            return;
        }
    }
}

/// What it means that the library wrote something, of either protocol; `None` where nobody waits for it.
fn written(outgoing: &Outgoing) -> Option<Happening> {
    match outgoing {
        Outgoing::Publish(packet_id) | Outgoing::Subscribe(packet_id) => {
            Some(Happening::Written(*packet_id))
        }
        Outgoing::Disconnect => Some(Happening::SaidGoodbye),
        _ => None,
    }
}

/// Tells of `happening`; whether more may come.
async fn tell(events: &mpsc::Sender<Happening>, happening: Happening) -> bool {
    let over = matches!(happening, Happening::Lost(_));
    events.send(happening).await.is_ok() && !over
}

/// One subscription went with each packet, and so does its answer.
fn answered(suback: &SubAck) -> Happening {
    match suback.return_codes.first() {
        Some(SubscribeReasonCode::Success(_)) => Happening::Subscribed(suback.pkid),
        Some(reason) => Happening::NotSubscribed(suback.pkid, *reason),
        None => Happening::NotSubscribed(suback.pkid, SubscribeReasonCode::Unspecified),
    }
}

/// `None` where the topic is no text or there is an alias for it: we allow none, and the library would keep
/// whatever a broker makes up.
fn heard(publish: Publish) -> Option<Happening> {
    if publish.properties.as_ref().is_some_and(|properties| properties.topic_alias.is_some()) {
        return None;
    }
    let topic = String::from_utf8(publish.topic.to_vec()).ok()?;
    Some(Happening::Heard(Heard {
        topic,
        payload: publish.payload.to_vec(),
        retained: publish.retain,
        envelope: Envelope::of(publish.properties),
    }))
}
