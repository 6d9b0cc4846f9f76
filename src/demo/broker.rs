//! An embedded MQTT broker on a free loopback port: `rumqttd`, good enough to show and never shipped.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

use crate::clock::{Clock, SystemClock};

/// Starts the broker on a thread of its own and returns its address once it accepts connections. It
/// runs until the process ends: rumqttd has no way to be stopped.
///
/// # Errors
/// When no loopback port can be had.
pub(super) fn start() -> anyhow::Result<SocketAddr> {
    // rumqttd does not say which port it got, so a free one is looked for and asked for by number.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("no free port on 127.0.0.1 for the embedded broker")?;
    let connections = ConnectionSettings {
        connection_timeout_ms: 5000,
        max_payload_size: 256 * 1024,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "demo-broker".into(),
        listen: address,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: 16,
        max_outgoing_packet_count: 200,
        max_segment_size: 1 << 20,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    let v5 = Some(HashMap::from([("demo".to_owned(), server)]));
    let mut broker = Broker::new(Config { router, v5, ..Config::default() });
    std::thread::Builder::new()
        .name("demo-broker".into())
        .spawn(move || {
            if let Err(error) = broker.start() {
                log::error!("the embedded broker stopped: {error}");
            }
        })
        .context("cannot start a thread for the embedded broker")?;
    wait_for(address)?;
    Ok(address)
}

/// Asks until the port answers; rumqttd gives no sign when it listens.
fn wait_for(address: SocketAddr) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    let deadline = clock.monotonic() + Duration::from_secs(10);
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
            Ok(_) => return Ok(()),
            Err(error) if clock.monotonic() > deadline => {
                return Err(error).context("the embedded broker does not answer");
            }
            Err(_) => clock.sleep_until(clock.monotonic() + Duration::from_millis(5)),
        }
    }
}
