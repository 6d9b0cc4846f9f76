//! What MQTT 5 lets travel beside a payload: where an answer goes, how it is known again, how long it counts.

use rumqttc::v5::mqttbytes::v5::PublishProperties;

/// Beside a payload; all of it empty for most messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What the answer carries again, whatever it is.
    pub correlation: Option<Vec<u8>>,
    /// Names and values of the sender's own.
    pub user: Vec<(String, String)>,
    /// Seconds after which nobody wants it any more; brokers count them down.
    pub expiry_s: Option<u32>,
}

impl Envelope {
    /// Bytes that this takes in a packet at most: MQTT 5 section 3.3.2.3.
    pub(super) fn bytes(&self) -> usize {
        const LENGTH: usize = 3;
        let of = |bytes: usize| 1 + 2 + bytes;
        let user: usize =
            self.user.iter().map(|(name, value)| of(name.len()) + 2 + value.len()).sum();
        LENGTH
            + self.response_topic.as_ref().map_or(0, |topic| of(topic.len()))
            + self.correlation.as_ref().map_or(0, |data| of(data.len()))
            + self.expiry_s.map_or(0, |_| 1 + 4)
            + user
    }

    /// What the library read.
    pub(super) fn of(properties: Option<PublishProperties>) -> Self {
        let Some(properties) = properties else { return Self::default() };
        Self {
            response_topic: properties.response_topic,
            correlation: properties.correlation_data.map(|data| data.to_vec()),
            user: properties.user_properties,
            expiry_s: properties.message_expiry_interval,
        }
    }

    /// What the library writes.
    pub(super) fn properties(self) -> PublishProperties {
        PublishProperties {
            response_topic: self.response_topic,
            correlation_data: self.correlation.map(Into::into),
            user_properties: self.user,
            message_expiry_interval: self.expiry_s,
            ..PublishProperties::default()
        }
    }
}

/// A message of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it, or is to keep it.
    pub retained: bool,
    /// Beside it.
    pub envelope: Envelope,
}

/// A message of ours: QoS 1, not retained, not kept until the next connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Say {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Beside it.
    pub envelope: Envelope,
}

impl Say {
    /// Whether it is one that may be published, as far as MQTT itself is concerned.
    pub(super) fn bytes(&self) -> usize {
        self.payload.len() + self.envelope.bytes()
    }
}
