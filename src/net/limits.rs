//! What the broker allows, read from each CONNACK; the library ignores most of it.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::ConnAck;

/// A broker's limits for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Unacknowledged QoS 1 publishes at once.
    pub(super) receive_max: u16,
    /// The highest QoS it takes.
    pub(super) qos_max: QoS,
    /// Whether it keeps retained messages.
    pub(super) retain: bool,
    /// Whether it takes subscriptions with wildcards.
    pub(super) wildcards: bool,
    /// The largest packet it takes, in bytes.
    pub(super) packet_max: usize,
}

impl Limits {
    /// Those of a broker that speaks MQTT 3.1.1: it has no way to say any.
    pub(super) const NONE: Self = Self {
        receive_max: u16::MAX,
        qos_max: QoS::AtLeastOnce,
        retain: true,
        wildcards: true,
        packet_max: usize::MAX,
    };

    /// The limits in `connack`; absent ones as MQTT 5 section 3.2.2.3 has them.
    pub(super) fn new(connack: &ConnAck) -> Self {
        let properties = connack.properties.as_ref();
        Self {
            receive_max: properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX),
            qos_max: match properties.and_then(|p| p.max_qos) {
                Some(0) => QoS::AtMostOnce,
                _ => QoS::AtLeastOnce,
            },
            retain: properties.and_then(|p| p.retain_available) != Some(0),
            wildcards: properties.and_then(|p| p.wildcard_subscription_available) != Some(0),
            packet_max: properties
                .and_then(|p| p.max_packet_size)
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(usize::MAX),
        }
    }

    /// `wanted`, or less where the broker takes less.
    pub(super) fn qos(&self, wanted: QoS) -> QoS {
        if wanted > self.qos_max { self.qos_max } else { wanted }
    }

    /// Whether a publish of `payload` bytes on `topic` fits into a packet that the broker takes.
    pub(super) fn takes(&self, topic: &str, payload: usize) -> bool {
        // Type and length (at most 5), the topic's length, the packet id, and an empty property list:
        // MQTT 5 section 3.3. At most 3 bytes too strict.
        const AROUND: usize = 5 + 2 + 2 + 1;
        AROUND + topic.len() + payload <= self.packet_max
    }

    /// Whether a subscription to the one `filter` fits into a packet that the broker takes.
    pub(super) fn takes_filter(&self, filter: &str) -> bool {
        // As above, and a byte of options: MQTT 5 section 3.8.
        self.takes(filter, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::v5::mqttbytes::v5::{ConnAckProperties, ConnectReturnCode};

    fn limits(set: impl FnOnce(&mut ConnAckProperties)) -> Limits {
        let mut properties = ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: None,
            retain_available: None,
            max_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        };
        set(&mut properties);
        let code = ConnectReturnCode::Success;
        Limits::new(&ConnAck { session_present: false, code, properties: Some(properties) })
    }

    #[test]
    fn a_broker_that_says_nothing_allows_everything() {
        let limits = limits(|_| {});
        assert_eq!((limits.receive_max, limits.retain), (u16::MAX, true));
        assert!(limits.wildcards);
        assert_eq!(limits.qos(QoS::AtLeastOnce), QoS::AtLeastOnce);
        assert!(limits.takes("t", 100_000_000));
    }

    #[test]
    fn a_broker_without_qos_1_retain_and_wildcards_is_respected() {
        let limits = limits(|p| {
            (p.max_qos, p.retain_available) = (Some(0), Some(0));
            p.wildcard_subscription_available = Some(0);
        });
        assert_eq!(limits.qos(QoS::AtLeastOnce), QoS::AtMostOnce);
        assert!(!limits.retain && !limits.wildcards);
    }

    #[test]
    fn a_packet_over_the_broker_s_maximum_does_not_fit() {
        let limits = limits(|p| p.max_packet_size = Some(100));
        assert!(limits.takes("topic", 85));
        assert!(!limits.takes("topic", 86));
        assert!(limits.takes_filter(&"f".repeat(89)) && !limits.takes_filter(&"f".repeat(90)));
    }
}
