//! A board is provisioned whole or not at all, wherever the power goes, and no secret stays on the medium.

mod enrol;
mod medium;

use std::cell::RefCell;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;

use super::*;
use crate::config::Machine;

/// An authority that signs what it is asked for.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A point on P-256, as it stands in a request.
struct Point(Vec<u8>);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the key of `request`.
    fn sign(&self, request: &str) -> String {
        // SubjectPublicKeyInfo of a key on P-256, up to the point: RFC 5480.
        const BEFORE: &[u8] = &[
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes()).unwrap();
        let at = der.windows(BEFORE.len()).position(|part| part == BEFORE).unwrap();
        let point = Point(der[at + BEFORE.len()..][..65].to_vec());
        let params = CertificateParams::new(vec!["bench-07".to_owned()]).unwrap();
        params.signed_by(&point, &self.0).unwrap().pem()
    }
}

fn machine() -> Machine {
    Machine {
        host_name: Some("bench".into()),
        machine_id: Some("0123456789abcdef0123456789abcdef".into()),
        state_directory: None,
    }
}

/// What a test's board is.
fn pi() -> &'static Board {
    Board::named("raspberry-pi-4").unwrap()
}

fn wish(existing: Existing) -> Wish {
    Wish {
        id: "bench-07".parse().unwrap(),
        configuration: "# a configuration\n".into(),
        key: KeyWish::Own,
        enrol: None,
        ca: None,
        root: None,
        password: None,
        wifi: None,
        hostname: None,
        authorized_keys: Vec::new(),
        existing,
    }
}

fn nobody(_: &Enrolment, _: &str) -> Result<Granted, EnrolError> {
    panic!("nobody was to be asked")
}

fn changes(done: &Done) -> Vec<(&str, Change)> {
    done.iter()
        .map(|(path, change)| (path.file_name().unwrap().to_str().unwrap(), *change))
        .collect()
}

#[test]
fn what_is_there_stays_unless_it_is_forced_away() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let place = || Place::new(&crate::storage::OsDisk, dir.path(), &dir.path().join("etc"), false);
    let read = |name: &str| std::fs::read(dir.path().join("etc").join(name)).unwrap();
    let mode = |name: &str| {
        std::fs::metadata(dir.path().join("etc").join(name)).unwrap().permissions().mode() & 0o7777
    };
    let all = |change| vec![(KEY, change), (REQUEST, change), (CONFIGURATION, change)];

    let dry = install(&place().dry(), &wish(Existing::Keep), &mut nobody, &mut |_| {}).unwrap();
    assert_eq!(changes(&dry), all(Change::Made));
    assert!(!dir.path().join("etc").exists());

    let done = install(&place(), &wish(Existing::Keep), &mut nobody, &mut |_| {}).unwrap();
    assert_eq!(changes(&done), all(Change::Made));
    assert_eq!((mode("credentials"), mode("credentials/mqtt-key")), (0o700, 0o600));
    assert_eq!((mode(REQUEST), mode(CONFIGURATION)), (0o644, 0o644));
    let before = (read("credentials/mqtt-key"), read(REQUEST));

    let other = Wish { configuration: "# another\n".into(), ..wish(Existing::Keep) };
    let done = install(&place(), &other, &mut nobody, &mut |_| {}).unwrap();
    assert_eq!(changes(&done), all(Change::Kept));
    assert_eq!((read("credentials/mqtt-key"), read(REQUEST)), before);
    assert_eq!(read(CONFIGURATION), b"# a configuration\n");

    let forced = Wish { key: KeyWish::New, existing: Existing::Replace, ..other };
    install(&place(), &forced, &mut nobody, &mut |_| {}).unwrap();
    assert_ne!(read("credentials/mqtt-key"), before.0);
    assert_eq!(read(CONFIGURATION), b"# another\n");
    assert_eq!(read("edgerun.toml.previous"), b"# a configuration\n");
}

#[test]
fn a_key_that_cannot_be_read_and_a_request_for_another_key_are_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(&crate::storage::OsDisk, dir.path(), &dir.path().join("etc"), false);
    install(&place, &wish(Existing::Keep), &mut nobody, &mut |_| {}).unwrap();
    let key = place.credential(KEY);
    let other = identity::Identity::generate().unwrap();
    std::fs::write(&key, other.pem().expose()).unwrap();
    let error = install(&place, &wish(Existing::Keep), &mut nobody, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("board.csr is there already, for another key"), "{error}");
    std::fs::write(&key, "hunter2").unwrap();
    let error = install(&place, &wish(Existing::Keep), &mut nobody, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("mqtt-key is no private key"), "{error}");
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn links_in_the_way_are_replaced_and_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("etc");
    std::fs::create_dir_all(&etc).unwrap();
    let precious = dir.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    for name in ["edgerun.toml.new", "board.csr.new"] {
        std::os::unix::fs::symlink(&precious, etc.join(name)).unwrap();
    }
    let place = Place::new(&crate::storage::OsDisk, dir.path(), &etc, false);
    install(&place, &wish(Existing::Keep), &mut nobody, &mut |_| {}).unwrap();
    assert_eq!(std::fs::read(precious).unwrap(), b"precious");
    assert!(etc.join(CONFIGURATION).symlink_metadata().unwrap().is_file());
}

#[test]
fn every_boards_skeleton_is_a_configuration_that_holds() {
    for board in BOARDS {
        for broker in [
            None,
            Some(Broker { url: "mqtt://localhost".into(), ..Broker::default() }),
            Some(Broker {
                url: "mqtts://b.example".into(),
                ca: true,
                certificate: true,
                username: Some("a\"b".into()),
                password: true,
            }),
        ] {
            let skeleton = Skeleton {
                id: "bench-07".parse().unwrap(),
                groups: vec!["line-3".parse().unwrap()],
                board,
                repository: broker.as_ref().map(|_| "https://m.example/tuf".into()),
                broker,
            };
            let text = skeleton.text();
            let config = crate::config::Config::parse(&text, Path::new("edgerun.toml"), &machine());
            let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(config.warnings, [], "{text}");
            assert_eq!(config.device.groups.len(), 1);
        }
    }
}
