//! A broker is spoken to only if its certificate is right, and a wrong one is explained.

use edgerun::data::Secret;
use edgerun::net::{self, MqttSettings, Subscriptions, TlsSettings};
use edgerun::sink::Sink;

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
