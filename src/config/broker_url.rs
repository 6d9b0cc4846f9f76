//! Where the broker is: `mqtt://host[:port]` or `mqtts://host[:port]`, and nothing else.

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
}

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
    #[error("MQTT over WebSocket is not in this version; use mqtt:// or mqtts://")]
    WebSocket,
    #[error(
        "must not hold a user name or password, since it is shown in logs; use the keys username and password"
    )]
    UserInfo,
    #[error("must end after the port: no path, query or fragment")]
    Path,
    #[error(
        "has no valid host name or address; write it as \"mqtts://broker.example:8883\", an IPv6 address in brackets"
    )]
    Host,
    #[error("has no valid port: 1 to 65535, or none for 1883 (mqtt) and 8883 (mqtts)")]
    Port,
}

impl BrokerUrl {
    /// Whether TLS is spoken.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65535; 1883 and 8883 are the defaults.
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
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            "tcp" => return Err(BrokerUrlError::Scheme("mqtt")),
            "ssl" | "tls" => return Err(BrokerUrlError::Scheme("mqtts")),
            "ws" | "wss" => return Err(BrokerUrlError::WebSocket),
            other => {
                let near = suggest::nearest(other, ["mqtts", "mqtt"]);
                return Err(match near {
                    Some("mqtts") => BrokerUrlError::Scheme("mqtts"),
                    Some(_) => BrokerUrlError::Scheme("mqtt"),
                    None => BrokerUrlError::NoScheme,
                });
            }
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
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
            None if tls => 8883,
            None => 1883,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|p| *p != 0).ok_or(BrokerUrlError::Port)?
            }
            Some(_) => return Err(BrokerUrlError::Port),
        };
        Ok(Self { tls, host: host.to_owned(), port })
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
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        let Self { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
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
            ("wss://localhost", E::WebSocket),
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
        fn any_text_is_an_address_or_an_error(text in "(mqtts?://)?\\PC{0,40}") {
            if let Ok(url) = text.parse::<BrokerUrl>() {
                prop_assert_eq!(url.to_string().parse::<BrokerUrl>(), Ok(url));
            }
        }
    }
}
