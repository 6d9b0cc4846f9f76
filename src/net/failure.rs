//! Why a connection did not come about or broke, in words that say what to do.

use std::error::Error;
use std::io;

use rumqttc::v5::mqttbytes;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError, TlsError};
use rustls::{AlertDescription, CertificateError};

use super::settings::{MqttSettings, Protocol};

/// What the next attempt should do differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Try again after the usual pause.
    Retry,
    /// Only a person can mend it: try again after a long pause.
    Slowly,
    /// The broker takes no QoS 1: the last will asks for QoS 0.
    PlainWill,
    /// The broker keeps no messages: the last will is not retained.
    PassingWill,
}

/// A connection that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// One sentence for people, without secrets.
    pub(super) message: String,
    /// What to do next.
    pub(super) remedy: Remedy,
}

impl Failure {
    /// A failure to be tried again as usual.
    pub(super) fn retry(message: String) -> Self {
        Self { message, remedy: Remedy::Retry }
    }

    /// What `error` means for a connection with `settings`.
    pub(super) fn new(error: &ConnectionError, settings: &MqttSettings) -> Self {
        let broker = &broker(settings);
        match error {
            ConnectionError::ConnectionRefused(code) => refused(*code, broker, settings),
            ConnectionError::Timeout(_) => Self::silence(settings),
            ConnectionError::Io(error) | ConnectionError::Tls(TlsError::Io(error)) => {
                Self::transport(error, settings)
            }
            ConnectionError::Tls(TlsError::TLS(error)) => {
                Self::retry(format!("{broker}: {}", tls_words(error)))
            }
            ConnectionError::NotConnAck(_) => Self::no_broker(settings),
            ConnectionError::MqttState(error) => state(error, settings),
            other => Self::other(other, settings),
        }
    }

    /// The broker says nothing when it should.
    pub(super) fn silence(settings: &MqttSettings) -> Self {
        Self::retry(format!("{} does not answer", broker(settings)))
    }

    /// Something is there that is no broker.
    pub(super) fn no_broker(settings: &MqttSettings) -> Self {
        Self::retry(format!("{} answers, but not as an MQTT broker does", broker(settings)))
    }

    /// The connection ended without a word.
    pub(super) fn closed(settings: &MqttSettings) -> Self {
        Self::retry(format!("{} closed the connection", broker(settings)))
    }

    /// The connection ended before CONNECT was answered, as brokers do that speak another version.
    pub(super) fn unanswered(settings: &MqttSettings) -> Self {
        let other = match settings.protocol {
            Protocol::V5 => "MQTT 5? [mqtt] protocol = 4 is for MQTT 3.1.1",
            Protocol::V311 => "MQTT 3.1.1? [mqtt] protocol = 5 is for MQTT 5",
        };
        let broker = broker(settings);
        Self::retry(format!(
            "{broker} closed the connection before it answered: does it speak {other}"
        ))
    }

    /// The broker does not know user name or password, or they are missing.
    pub(super) fn login(settings: &MqttSettings) -> Self {
        let broker = broker(settings);
        let message = match &settings.username {
            Some(name) => {
                format!("{broker} refused user {name}: check [mqtt] username and password")
            }
            None => format!(
                "{broker} refused a login without a user name: set [mqtt] username and password"
            ),
        };
        Self { message, remedy: Remedy::Slowly }
    }

    /// The broker does not take the client's id.
    pub(super) fn client_id(settings: &MqttSettings) -> Self {
        let (broker, id) = (broker(settings), &settings.client_id);
        let message = format!("{broker} refused the client id {id}: check [device] id");
        Self { message, remedy: Remedy::Slowly }
    }

    /// The broker speaks another version of the protocol.
    pub(super) fn dialect(settings: &MqttSettings) -> Self {
        let broker = broker(settings);
        let message = match settings.protocol {
            Protocol::V5 => format!(
                "{broker} does not speak MQTT 5: set [mqtt] protocol = 4 if it speaks MQTT 3.1.1"
            ),
            Protocol::V311 => {
                format!("{broker} does not speak MQTT 3.1.1: set [mqtt] protocol = 5")
            }
        };
        Self { message, remedy: Remedy::Slowly }
    }

    /// What the system says of the line.
    pub(super) fn transport(error: &io::Error, settings: &MqttSettings) -> Self {
        let broker = broker(settings);
        if let Some(words) = tls_inside(error) {
            return Self::retry(format!("{broker}: {words}"));
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => {
                Self::retry(format!("{broker} closed the connection: {error}"))
            }
            _ => Self::retry(format!("cannot reach {broker}: {error}")),
        }
    }

    /// Any other error of the library, in its own words, unless TLS is behind it.
    pub(super) fn other(error: &(dyn Error + 'static), settings: &MqttSettings) -> Self {
        let words = tls_inside(error).unwrap_or_else(|| error.to_string());
        Self::retry(format!("{}: {words}", broker(settings)))
    }
}

fn broker(settings: &MqttSettings) -> String {
    format!("the broker at {}", settings.address())
}

fn refused(code: ConnectReturnCode, broker: &str, settings: &MqttSettings) -> Failure {
    let (message, remedy) = match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            return Failure::login(settings);
        }
        ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => {
            return Failure::client_id(settings);
        }
        ConnectReturnCode::UnsupportedProtocolVersion
        | ConnectReturnCode::RefusedProtocolVersion => return Failure::dialect(settings),
        ConnectReturnCode::Banned => {
            (format!("{broker} has banned this client: ask its administrator"), Remedy::Slowly)
        }
        ConnectReturnCode::QoSNotSupported => {
            (format!("{broker} does not take QoS 1"), Remedy::PlainWill)
        }
        ConnectReturnCode::RetainNotSupported => {
            (format!("{broker} does not keep retained messages"), Remedy::PassingWill)
        }
        other => (format!("{broker} refused the connection: {other:?}"), Remedy::Retry),
    };
    Failure { message, remedy }
}

fn state(error: &StateError, settings: &MqttSettings) -> Failure {
    let broker = broker(settings);
    match error {
        StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        } => Failure {
            message: format!(
                "{broker} gave the connection to another client with this id: two boards with one \
                 [device] id?"
            ),
            remedy: Remedy::Slowly,
        },
        StateError::ServerDisconnect { reason_code, reason_string } => {
            let why = reason_string.as_deref().unwrap_or("no reason given");
            Failure::retry(format!("{broker} ended the connection: {reason_code:?} ({why})"))
        }
        StateError::ConnectionAborted => Failure::closed(settings),
        StateError::AwaitPingResp => Failure::retry(format!("{broker} no longer answers")),
        StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => {
            Failure::transport(error, settings)
        }
        // MQTT 3.1.1 section 3.2.2.3: "unacceptable protocol version".
        StateError::Deserialization(mqttbytes::Error::InvalidConnectReturnCode(1)) => {
            Failure::dialect(settings)
        }
        StateError::Deserialization(error) => {
            Failure::retry(format!("{broker} answers, but not as MQTT 5 has it: {error}"))
        }
        other => Failure::retry(format!("{broker}: {other}")),
    }
}

/// What TLS says, where it is behind `error`.
fn tls_inside(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(tls_words(error));
        }
        // An I/O error names the cause of the one inside as its own, and not that one itself.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn tls_words(error: &rustls::Error) -> String {
    const CLOCK: &str = "(or this board's clock is wrong)";
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("its certificate has expired {CLOCK}")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("its certificate is not valid yet {CLOCK}")
            }
            CertificateError::UnknownIssuer => {
                "its certificate is signed by an unknown authority: set [mqtt] ca to the one that \
                 signed it"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another host name: use the name in [mqtt] url that the \
                 certificate carries"
                    .to_owned()
            }
            CertificateError::Revoked => "its certificate was revoked".to_owned(),
            other => format!("its certificate is not accepted: {other}"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "it wants a client certificate: set [mqtt] client_cert and client_key".to_owned()
            }
            AlertDescription::CertificateExpired => {
                format!("it says that the certificate in [mqtt] client_cert has expired {CLOCK}")
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError
            | AlertDescription::CertificateUnknown => format!(
                "it does not accept the certificate in [mqtt] client_cert ({alert:?}): is it signed \
                 by the authority that the broker trusts?"
            ),
            // What OpenSSL says under TLS 1.2 where a client certificate is missing.
            AlertDescription::HandshakeFailure => {
                "it refused the TLS handshake: does it want [mqtt] client_cert and client_key?"
                    .to_owned()
            }
            other => format!("it refused the TLS handshake: {other:?}"),
        },
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS on this port: mqtts:// is usually on 8883, mqtt:// on 1883"
                .to_owned()
        }
        other => format!("TLS failed: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Secret;

    fn settings() -> MqttSettings {
        let mut settings = MqttSettings::new("broker.example", 8883, "bench-07");
        settings.username = Some("bench-07".to_owned());
        settings.password = Some(Secret::new("hunter2"));
        settings
    }

    #[test]
    fn a_refused_login_names_broker_user_and_settings_and_no_password() {
        let error = ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized);
        let failure = Failure::new(&error, &settings());
        assert_eq!(
            failure.message,
            "the broker at broker.example:8883 refused user bench-07: check [mqtt] username and \
             password"
        );
        assert_eq!(failure.remedy, Remedy::Slowly);
        let nobody = MqttSettings { username: None, ..settings() };
        assert!(Failure::new(&error, &nobody).message.contains("without a user name"));
    }

    #[test]
    fn certificate_errors_are_found_inside_io_errors() {
        let inner = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = io::Error::new(io::ErrorKind::InvalidData, inner);
        let failure = Failure::new(&ConnectionError::Tls(TlsError::Io(error)), &settings());
        assert!(failure.message.contains("unknown authority: set [mqtt] ca"), "{failure:?}");
    }

    #[test]
    fn a_plain_socket_error_says_which_broker_cannot_be_reached() {
        let error = ConnectionError::Io(io::Error::from(io::ErrorKind::ConnectionRefused));
        let failure = Failure::new(&error, &settings());
        assert_eq!(
            failure.message,
            "cannot reach the broker at broker.example:8883: connection refused"
        );
    }
}
