//! Where the broker is: `mqtt://host[:port]`, `mqtts://host[:port]`, or `ws://` and `wss://` with a path.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::suggest;

/// A broker's address. Holds no user name and no password: addresses are shown in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    tls: bool,
    host: String,
    port: u16,
    websocket: Option<String>,
}

/// Where brokers listen for WebSockets unless they are told otherwise.
const WEBSOCKET_PATH: &str = "/mqtt";

/// Why an address cannot be used, and what to write. Never repeats the address, which may hold a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BrokerUrlError {
    #[error(
        "begins with neither mqtt:// nor mqtts://; write it as \"mqtts://broker.example:8883\""
    )]
    NoScheme,
    #[error("has an unknown scheme; write {0}://")]
    Scheme(&'static str),
    #[error(
        "must not hold a user name or password, since it is shown in logs; use the keys username and password"
    )]
    UserInfo,
    #[error("must end after the port: a path is for ws:// and wss://, and plain characters only")]
    Path,
    #[error(
        "has no valid host name or address; write it as \"mqtts://broker.example:8883\", an IPv6 address in brackets"
    )]
    Host,
    #[error(
        "has no valid port: 1 to 65535, or none for 1883 (mqtt), 8883 (mqtts), 80 (ws) and 443 (wss)"
    )]
    Port,
}

impl BrokerUrl {
    /// Whether TLS is spoken.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The path of a WebSocket, with its slash; `None` for MQTT on the line itself.
    pub fn websocket(&self) -> Option<&str> {
        self.websocket.as_deref()
    }

    /// Name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65535; 1883, 8883, 80 and 443 are the defaults.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the broker runs on this machine, as far as its name says.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(BrokerUrlError::NoScheme)?;
        let (tls, is_websocket) = match scheme {
            "mqtt" => (false, false),
            "mqtts" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            "tcp" => return Err(BrokerUrlError::Scheme("mqtt")),
            "ssl" | "tls" => return Err(BrokerUrlError::Scheme("mqtts")),
            other => {
                let near = suggest::nearest(other, ["mqtts", "mqtt"]);
                return Err(match near {
                    Some("mqtts") => BrokerUrlError::Scheme("mqtts"),
                    Some(_) => BrokerUrlError::Scheme("mqtt"),
                    None => BrokerUrlError::NoScheme,
                });
            }
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) if is_websocket => rest.split_at(slash),
            _ => (rest.strip_suffix('/').unwrap_or(rest), ""),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%".contains(c);
        if !path.chars().all(plain) {
            return Err(BrokerUrlError::Path);
        }
        if authority.contains('@') {
            return Err(BrokerUrlError::UserInfo);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(BrokerUrlError::Path);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(BrokerUrlError::Host)?;
                host.parse::<Ipv6Addr>().map_err(|_| BrokerUrlError::Host)?;
                let port = match after {
                    "" => None,
                    _ => Some(after.strip_prefix(':').ok_or(BrokerUrlError::Port)?),
                };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if !authority.starts_with('[') && !is_host(host) {
            return Err(BrokerUrlError::Host);
        }
        let port = match port {
            None => match (is_websocket, tls) {
                (false, false) => 1883,
                (false, true) => 8883,
                (true, false) => 80,
                (true, true) => 443,
            },
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|p| *p != 0).ok_or(BrokerUrlError::Port)?
            }
            Some(_) => return Err(BrokerUrlError::Port),
        };
        let path = if path.len() > 1 { path } else { WEBSOCKET_PATH };
        let websocket = is_websocket.then(|| path.to_owned());
        Ok(Self { tls, host: host.to_owned(), port, websocket })
    }
}

/// An IPv4 address or a host name: RFC 1123 labels, and `_`, which private networks use.
fn is_host(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let numeric_end =
        text.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    if numeric_end {
        return text.parse::<std::net::Ipv4Addr>().is_ok();
    }
    text.len() <= 253 && text.split('.').all(label)
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, websocket, tls } = self;
        let scheme = match (websocket, tls) {
            (None, false) => "mqtt",
            (None, true) => "mqtts",
            (Some(_), false) => "ws",
            (Some(_), true) => "wss",
        };
        let path = websocket.as_deref().unwrap_or_default();
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}{path}")
        } else {
            write!(f, "{scheme}://{host}:{port}{path}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_have_a_scheme_a_host_and_a_port() {
        for (text, whole) in [
            ("mqtt://localhost", "mqtt://localhost:1883"),
            ("mqtts://broker.example", "mqtts://broker.example:8883"),
            ("mqtts://broker.example:443/", "mqtts://broker.example:443"),
            ("mqtt://10.0.0.7:1884", "mqtt://10.0.0.7:1884"),
            ("mqtt://[::1]", "mqtt://[::1]:1883"),
            ("mqtts://[fe80::1]:8884", "mqtts://[fe80::1]:8884"),
            ("ws://broker.example", "ws://broker.example:80/mqtt"),
            ("wss://broker.example/", "wss://broker.example:443/mqtt"),
            ("wss://[::1]:8443/a/b", "wss://[::1]:8443/a/b"),
        ] {
            assert_eq!(text.parse::<BrokerUrl>().unwrap().to_string(), whole);
        }
        assert_eq!("mqtt://[::1]".parse::<BrokerUrl>().unwrap().host(), "::1");
    }

    #[test]
    fn other_addresses_are_refused_by_what_is_wrong() {
        use BrokerUrlError as E;
        for (text, error) in [
            ("", E::NoScheme),
            ("localhost", E::NoScheme),
            ("localhost:1883", E::NoScheme),
            ("http://localhost", E::NoScheme),
            ("tcp://localhost", E::Scheme("mqtt")),
            ("ssl://localhost", E::Scheme("mqtts")),
            ("mqqt://localhost", E::Scheme("mqtt")),
            ("wss://localhost/a b", E::Path),
            ("wss://localhost/mqtt?token=1", E::Path),
            ("wss://me:secret@localhost/mqtt", E::UserInfo),
            ("mqtt://me:secret@localhost", E::UserInfo),
            ("mqtt://localhost/path", E::Path),
            ("mqtt://", E::Host),
            ("mqtt://::1", E::Host),
            ("mqtt://[::1", E::Host),
            ("mqtt://[::g]", E::Host),
            ("mqtt://a..b", E::Host),
            ("mqtt://300.1.1.1", E::Host),
            ("mqtt://a b", E::Host),
            ("mqtt://localhost:", E::Port),
            ("mqtt://localhost:0", E::Port),
            ("mqtt://localhost:65536", E::Port),
            ("mqtt://localhost:+1", E::Port),
            ("mqtt://[::1]1883", E::Port),
        ] {
            assert_eq!(text.parse::<BrokerUrl>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "((mqtts?|wss?)://)?\\PC{0,40}") {
            if let Ok(url) = text.parse::<BrokerUrl>() {
                prop_assert_eq!(url.to_string().parse::<BrokerUrl>(), Ok(url));
            }
        }
    }
}
