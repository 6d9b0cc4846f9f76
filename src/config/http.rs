//! `[http]`: where the HTTP server listens and who may use it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::keys;
use super::name::CredentialName;
use super::raw::{Bad, Section, credential, text};

/// The HTTP server. Has a token wherever other machines can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Port 0 asks the system for a free one.
    pub listen: SocketAddr,
    /// What requests must carry.
    pub token: Option<CredentialName>,
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

impl Http {
    pub(super) fn read(root: &Section<'_>) -> Option<Self> {
        let section = root.table("http", &keys::HTTP)?;
        section.close();
        let token = section.get("token", credential("http-token"));
        let listen = match section.has("listen") {
            true => section.get("listen", address)?,
            false => LISTEN,
        };
        if !listen.ip().is_loopback() && !section.has("token") {
            let port = listen.port();
            section.wrong(
                "listen",
                format!(
                    "other machines can reach {listen}, and there is no token; add \
                     token = \"credential:http-token\", or listen on \"127.0.0.1:{port}\""
                ),
            );
        }
        Some(Self { listen, token })
    }
}

fn address<'a>(value: &'a toml::de::DeValue<'a>) -> Result<SocketAddr, Bad> {
    let text = text(value)?;
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().and_then(|p| p.parse::<u16>().ok()).unwrap_or(8080);
        let fix = match text.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, 8080),
            Err(_) => SocketAddr::new(LISTEN.ip(), port),
        };
        Bad::Says(format!("{text:?} is not an address and a port; write it as \"{fix}\""))
    })
}
