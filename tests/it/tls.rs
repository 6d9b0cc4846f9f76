//! A broker is spoken to only if its certificate is right, and a wrong one is explained.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use edgerun::data::Secret;
use edgerun::net::{self, MqttSettings, Subscriptions, TlsSettings};
use edgerun::sink::Sink;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::support::PATIENCE;
use crate::support::certificates::{Authority, Signed};
use crate::support::device::{identity, inference, settings};
use crate::support::mosquitto::{Mosquitto, Plan};

const SERVER_ONLY: &str =
    "allow_anonymous true\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key";
const MUTUAL: &str = "allow_anonymous true\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n\
                      cafile {folder}/ca.pem\nrequire_certificate true";

fn broker(authority: &Authority, server: &Signed, lines: &str) -> Option<Mosquitto> {
    Plan::default()
        .file("ca.pem", &authority.certificate())
        .file("server.pem", &server.certificate)
        .file("server.key", &server.key)
        .guarded(lines)
        .start()
}

fn tls_settings(broker: &Mosquitto, host: &str) -> MqttSettings {
    let mut settings = settings(broker.guarded_port());
    settings.host = host.to_owned();
    let ca = Some(broker.folder().join("ca.pem"));
    settings.tls = Some(TlsSettings { ca, ..TlsSettings::default() });
    settings
}

fn delivers(settings: MqttSettings) {
    let net = net::start(settings, identity(), Subscriptions::default()).unwrap();
    net.publisher().publish(inference(1)).unwrap();
    assert!(net.link().wait(PATIENCE, |state| state.acked == 1), "{:?}", net.state());
}

/// What the daemon says of a broker that it does not get into; `check` says the same.
fn refusal(settings: MqttSettings) -> String {
    let probed = net::probe(&settings).unwrap_err().to_string();
    let net = net::start(settings, identity(), Subscriptions::default()).unwrap();
    assert!(net.link().wait(PATIENCE, |state| state.last_error.is_some()));
    let state = net.state();
    assert!(!state.connected && state.published == 0, "{state:?}");
    let said = state.last_error.unwrap();
    assert_eq!(said, probed);
    said
}

#[test]
fn a_certificate_of_the_right_authority_for_the_right_host_is_accepted() {
    let authority = Authority::new("ours");
    for host in ["localhost", "127.0.0.1"] {
        let Some(broker) = broker(&authority, &authority.server(host), SERVER_ONLY) else { return };
        delivers(tls_settings(&broker, host));
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let Some(broker) = broker(&ours, &theirs.server("localhost"), SERVER_ONLY) else { return };
    let said = refusal(tls_settings(&broker, "localhost"));
    assert!(said.contains("signed by an unknown authority: set [mqtt] ca"), "{said}");
}

#[test]
fn the_authorities_of_the_system_do_not_vouch_for_a_private_one() {
    let authority = Authority::new("ours");
    let Some(broker) = broker(&authority, &authority.server("localhost"), SERVER_ONLY) else {
        return;
    };
    let mut settings = tls_settings(&broker, "localhost");
    settings.tls = Some(TlsSettings::default());
    let said = refusal(settings);
    assert!(said.contains("signed by an unknown authority: set [mqtt] ca"), "{said}");
}

#[test]
fn an_expired_certificate_is_refused_and_the_clock_suspected() {
    let authority = Authority::new("ours");
    let Some(broker) = broker(&authority, &authority.expired_server("localhost"), SERVER_ONLY)
    else {
        return;
    };
    let said = refusal(tls_settings(&broker, "localhost"));
    assert!(said.contains("has expired (or this board's clock is wrong)"), "{said}");
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new("ours");
    let Some(broker) = broker(&authority, &authority.server("broker.example"), SERVER_ONLY) else {
        return;
    };
    let said = refusal(tls_settings(&broker, "localhost"));
    assert!(said.contains("its certificate is for another host name"), "{said}");
}

#[test]
fn a_board_shows_its_own_certificate_where_the_broker_asks_for_one() {
    let authority = Authority::new("ours");
    let Some(broker) = broker(&authority, &authority.server("localhost"), MUTUAL) else { return };
    let mut settings = tls_settings(&broker, "localhost");
    let board = authority.client("bench-07");
    let path = broker.folder().join("board.pem");
    std::fs::write(&path, &board.certificate).unwrap();
    let tls = settings.tls.as_mut().unwrap();
    tls.client_cert = Some(path);
    tls.client_key = Some(Secret::new(board.key));
    delivers(settings);
}

#[test]
fn a_missing_client_certificate_is_explained() {
    let authority = Authority::new("ours");
    let Some(broker) = broker(&authority, &authority.server("localhost"), MUTUAL) else { return };
    let said = refusal(tls_settings(&broker, "localhost"));
    assert!(said.contains("wants a client certificate: set [mqtt] client_cert"), "{said}");
}

#[test]
fn a_client_certificate_of_another_authority_is_explained() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let Some(broker) = broker(&ours, &ours.server("localhost"), MUTUAL) else { return };
    let mut settings = tls_settings(&broker, "localhost");
    let board = theirs.client("bench-07");
    let path = broker.folder().join("board.pem");
    std::fs::write(&path, &board.certificate).unwrap();
    let tls = settings.tls.as_mut().unwrap();
    tls.client_cert = Some(path);
    tls.client_key = Some(Secret::new(board.key));
    let said = refusal(settings);
    assert!(said.contains("does not accept the certificate in [mqtt] client_cert"), "{said}");
}

#[test]
fn a_port_without_tls_is_explained() {
    let Some(broker) = Mosquitto::start() else { return };
    let authority = Authority::new("ours");
    let ca = broker.folder().join("ca.pem");
    std::fs::write(&ca, authority.certificate()).unwrap();
    let mut settings = settings(broker.port());
    settings.tls = Some(TlsSettings { ca: Some(ca), ..TlsSettings::default() });
    let said = refusal(settings);
    assert!(said.contains("closed the connection") || said.contains("speak TLS"), "{said}");
}

/// AWS IoT on port 443 is one: MQTT is told from HTTPS by its name in the handshake alone.
#[test]
fn a_broker_that_demands_a_protocol_s_name_is_reached_by_that_name_only() {
    let authority = Authority::new("ours");
    let server = authority.server("localhost");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.certificate()).unwrap();
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = door.local_addr().unwrap().port();
    let asked =
        std::thread::spawn(move || [serve_by_name(&door, &server), serve_by_name(&door, &server)]);

    let named = |alpn: &[&str]| {
        let mut settings = settings(port);
        settings.host = "localhost".into();
        let ca = Some(folder.path().join("ca.pem"));
        let alpn = alpn.iter().map(|&name| name.to_owned()).collect();
        settings.tls = Some(TlsSettings { ca, alpn, ..TlsSettings::default() });
        settings
    };
    assert!(net::probe(&named(&[])).is_err());
    net::probe(&named(&["x-amzn-mqtt-ca"])).unwrap();
    assert_eq!(asked.join().unwrap(), [None, Some("x-amzn-mqtt-ca".to_owned())]);
}

/// Takes one client, and answers its CONNECT only if it came by the name. The name that it came by.
fn serve_by_name(door: &TcpListener, server: &Signed) -> Option<String> {
    let chain = CertificateDer::pem_slice_iter(server.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>().unwrap(), key)
        .unwrap();
    config.alpn_protocols = vec![b"x-amzn-mqtt-ca".to_vec()];
    let (socket, _) = door.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).ok()?;
    }
    let name = String::from_utf8(stream.conn.alpn_protocol()?.to_vec()).unwrap();
    let mut connect = [0; 1024];
    assert!(stream.read(&mut connect).unwrap() > 0);
    // CONNACK: no session, success, no properties.
    stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
    stream.flush().unwrap();
    // Until it goes.
    while stream.read(&mut connect).is_ok_and(|length| length > 0) {}
    Some(name)
}
