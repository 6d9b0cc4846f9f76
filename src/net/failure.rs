//! Why a connection did not come about or broke, in words that say what to do.

use std::io;

use rumqttc::v5::mqttbytes;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError, TlsError};
use rustls::{AlertDescription, CertificateError};

use super::settings::MqttSettings;

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
        let broker = format!("the broker at {}", settings.address());
        match error {
            ConnectionError::ConnectionRefused(code) => refused(*code, &broker, settings),
            ConnectionError::Timeout(_) => Self::retry(format!("{broker} does not answer")),
            ConnectionError::Io(error) => transport(error, &broker),
            ConnectionError::Tls(TlsError::Io(error)) => transport(error, &broker),
            ConnectionError::Tls(TlsError::TLS(error)) => {
                Self::retry(format!("{broker}: {}", tls_words(error)))
            }
            ConnectionError::NotConnAck(_) => {
                Self::retry(format!("{broker} answers, but not as an MQTT broker does"))
            }
            ConnectionError::MqttState(error) => state(error, &broker),
            other => Self::retry(format!("{broker}: {other}")),
        }
    }
}

fn refused(code: ConnectReturnCode, broker: &str, settings: &MqttSettings) -> Failure {
    let (message, remedy) = match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            let message = match &settings.username {
                Some(name) => {
                    format!("{broker} refused user {name}: check [mqtt] username and password")
                }
                None => format!(
                    "{broker} refused a login without a user name: set [mqtt] username and password"
                ),
            };
            (message, Remedy::Slowly)
        }
        ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => (
            format!("{broker} refused the client id {}: check [device] id", settings.client_id),
            Remedy::Slowly,
        ),
        ConnectReturnCode::Banned => {
            (format!("{broker} has banned this client: ask its administrator"), Remedy::Slowly)
        }
        ConnectReturnCode::UnsupportedProtocolVersion
        | ConnectReturnCode::RefusedProtocolVersion => {
            (format!("{broker} does not speak MQTT 5"), Remedy::Slowly)
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

fn state(error: &StateError, broker: &str) -> Failure {
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
        StateError::ConnectionAborted => Failure::retry(format!("{broker} closed the connection")),
        StateError::AwaitPingResp => Failure::retry(format!("{broker} no longer answers")),
        StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => {
            transport(error, broker)
        }
        // MQTT 3.1.1 section 3.2.2.3: "unacceptable protocol version".
        StateError::Deserialization(mqttbytes::Error::InvalidConnectReturnCode(1)) => Failure {
            message: format!("{broker} speaks MQTT 3.1.1 only; MQTT 5 is needed"),
            remedy: Remedy::Slowly,
        },
        StateError::Deserialization(error) => {
            Failure::retry(format!("{broker} answers, but not as MQTT 5 has it: {error}"))
        }
        other => Failure::retry(format!("{broker}: {other}")),
    }
}

fn transport(error: &io::Error, broker: &str) -> Failure {
    let mut source = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            return Failure::retry(format!("{broker}: {}", tls_words(error)));
        }
        source = inner.source();
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => {
            Failure::retry(format!("{broker} closed the connection: {error}"))
        }
        _ => Failure::retry(format!("cannot reach {broker}: {error}")),
    }
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
