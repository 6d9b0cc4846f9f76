//! MQTT 3.1.1, for brokers that speak nothing newer (`[mqtt] protocol = 4`): the same happenings, from the library's
//! other half.
//!
//! The protocol has no limits in its CONNACK, no reasons in a PUBACK and nothing beside a payload. A broker that
//! refuses a publish says nothing or closes the connection.

use std::sync::Arc;

use rumqttc::mqttbytes::v4::{
    ConnectReturnCode, LastWill, Packet, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, QoS, StateError, TlsError,
};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{
    Happening, INCOMING_MAX_BYTES, Will, host, keep_alive, network, tell, transport, written,
};
use crate::net::envelope::{Envelope, Heard};
use crate::net::failure::Failure;
use crate::net::flight::WINDOW;
use crate::net::limits::Limits;
use crate::net::settings::{MqttSettings, Timing};

/// Larger than any message of ours: what the broker takes, it does not say.
const OUTGOING_MAX_BYTES: usize = 256 << 20;

/// A client and what drives it.
pub(super) fn client(
    settings: &MqttSettings,
    tls: Option<&Arc<ClientConfig>>,
    will: Option<Will>,
    capacity: usize,
) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(settings.client_id.as_str(), host(settings), settings.port);
    let incoming = usize::try_from(INCOMING_MAX_BYTES).unwrap_or(usize::MAX);
    options
        .set_clean_session(true)
        .set_keep_alive(keep_alive(settings))
        .set_inflight(WINDOW)
        .set_max_packet_size(incoming, OUTGOING_MAX_BYTES)
        .set_transport(transport(settings, tls));
    if let Some(username) = &settings.username {
        let password = settings.password.as_ref().map_or("", |password| password.expose());
        options.set_credentials(username.as_str(), password);
    }
    if let Some(will) = will {
        options.set_last_will(LastWill::new(will.topic, will.payload, qos(will.qos), will.retain));
    }
    let (client, mut event_loop) = AsyncClient::new(options, capacity);
    let mut network = network();
    network.set_connection_timeout(settings.timing.connect.as_secs() + 1);
    event_loop.set_network_options(network);
    (client, event_loop)
}

/// The same in the types of this half.
pub(super) fn qos(qos: super::QoS) -> QoS {
    match qos {
        super::QoS::AtMostOnce => QoS::AtMostOnce,
        super::QoS::AtLeastOnce => QoS::AtLeastOnce,
        super::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// Polls until the connection is lost, and tells.
pub(super) async fn poll(
    mut event_loop: EventLoop,
    events: mpsc::Sender<Happening>,
    settings: Arc<MqttSettings>,
) {
    let Timing { connect, ack, .. } = settings.timing;
    let mut deadline = connect;
    loop {
        let happening = match timeout(deadline, event_loop.poll()).await {
            Err(_) => Happening::Lost(Failure::silence(&settings)),
            Ok(Err(error)) => Happening::Lost(failure(&error, &settings)),
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                deadline = keep_alive(&settings) + ack;
                Happening::Accepted(Limits::NONE)
            }
            Ok(Ok(Event::Incoming(Packet::PubAck(puback)))) => Happening::Acknowledged(puback.pkid),
            Ok(Ok(Event::Incoming(Packet::SubAck(suback)))) => answered(&suback),
            Ok(Ok(Event::Incoming(Packet::Publish(publish)))) => heard(publish),
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

fn answered(suback: &SubAck) -> Happening {
    use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode as Reason;
    match suback.return_codes.first() {
        Some(SubscribeReasonCode::Success(_)) => Happening::Subscribed(suback.pkid),
        Some(SubscribeReasonCode::Failure) | None => {
            Happening::NotSubscribed(suback.pkid, Reason::Unspecified)
        }
    }
}

fn heard(publish: Publish) -> Happening {
    Happening::Heard(Heard {
        topic: publish.topic,
        payload: publish.payload.to_vec(),
        retained: publish.retain,
        envelope: Envelope::default(),
    })
}

fn failure(error: &ConnectionError, settings: &MqttSettings) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                Failure::login(settings)
            }
            ConnectReturnCode::BadClientId => Failure::client_id(settings),
            ConnectReturnCode::RefusedProtocolVersion => Failure::dialect(settings),
            other => Failure::retry(format!(
                "the broker at {} refused the connection: {other:?}",
                settings.address()
            )),
        },
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            Failure::silence(settings)
        }
        ConnectionError::Io(error)
        | ConnectionError::Tls(TlsError::Io(error))
        | ConnectionError::MqttState(StateError::Io(error)) => Failure::transport(error, settings),
        ConnectionError::NotConnAck(_) => Failure::no_broker(settings),
        ConnectionError::MqttState(StateError::ConnectionAborted) => Failure::closed(settings),
        ConnectionError::MqttState(StateError::AwaitPingResp) => Failure::silence(settings),
        other => Failure::other(other, settings),
    }
}
