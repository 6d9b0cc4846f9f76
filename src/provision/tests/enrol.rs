//! Enrolment against a server that speaks step-ca's API, and ones that do not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::provision::enrol::fingerprint;
use crate::provision::identity::Identity;

/// Answers a request: path and body to status and body.
type Answer = Box<dyn Fn(&str, &str) -> (u16, String) + Send>;

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server whose certificate is signed by `authority`, for `localhost`.
    fn new(authority: &Authority, answer: Answer) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
                let mut head = Vec::new();
                // A client that does not believe us ends here.
                while let Some(Ok(line)) = (&mut stream).lines().next() {
                    if line.is_empty() {
                        break;
                    }
                    head.push(line.to_ascii_lowercase());
                }
                let Some(first) = head.first() else { continue };
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
                stream.read_exact(&mut body).unwrap();
                requests.lock().unwrap().push(path.clone());
                let (status, body) = answer(&path, &String::from_utf8(body).unwrap());
                let length = body.len();
                let out = stream.get_mut();
                write!(out, "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").ok();
                out.conn.send_close_notify();
                out.flush().ok();
            }
        });
        Self { url, seen }
    }

    fn enrolment(&self, print: Option<[u8; 32]>) -> Enrolment {
        Enrolment::new(&self.url, "one-time-token", print).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn print_of(pem: &str) -> [u8; 32] {
    Sha256::digest(&identity::certificates(pem.as_bytes()).unwrap()[0]).into()
}

/// Signs for the right token, as step-ca does.
fn step_ca(authority: Arc<Authority>, chain: bool) -> Answer {
    Box::new(move |path, body| {
        if path.starts_with("/root/") {
            return (200, json!({ "ca": authority.pem() }).to_string());
        }
        let asked: Value = serde_json::from_str(body).unwrap();
        if asked["ott"] != "one-time-token" {
            return (
                401,
                json!({"status": 401, "message": "The request lacked necessary authorization"})
                    .to_string(),
            );
        }
        let certificate = authority.sign(asked["csr"].as_str().unwrap());
        let mut answer = json!({"crt": certificate, "ca": authority.pem()});
        if chain {
            answer["certChain"] = json!([certificate, authority.pem()]);
        }
        (201, answer.to_string())
    })
}

fn request() -> (Identity, String) {
    let key = Identity::generate().unwrap();
    let request = key.request(&"bench-07".parse().unwrap()).unwrap();
    (key, request)
}

#[test]
fn a_token_brings_a_certificate_from_the_authority_with_the_fingerprint() {
    for chain in [false, true] {
        let authority = Arc::new(Authority::new());
        let server = Server::new(&authority, step_ca(authority.clone(), chain));
        let (key, request) = request();
        let print = print_of(&authority.pem());
        let granted = server.enrolment(Some(print)).ask(&request, &[]).unwrap();
        assert_eq!(key.owns(granted.chain.as_bytes()), Ok(()));
        assert_eq!(identity::certificates(granted.chain.as_bytes()).unwrap().len(), 2);
        assert_eq!(granted.root.as_deref().map(str::trim), Some(authority.pem().trim()));
        let root: String = print.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(server.requests(), [format!("/root/{root}"), "/1.0/sign".into()]);
        // Without a fingerprint, the given authorities are believed, and the root is not asked for.
        let der: CertificateDer<'static> = authority.0.der().clone();
        let granted = server.enrolment(None).ask(&request, &[der]).unwrap();
        assert_eq!(granted.root, None);
    }
}

#[test]
fn the_token_goes_to_nobody_who_is_not_the_authority() {
    let (ours, theirs) = (Arc::new(Authority::new()), Arc::new(Authority::new()));
    let (_, request) = request();
    // Another root than the fingerprint says.
    let server = Server::new(&theirs, step_ca(theirs.clone(), true));
    let error = server.enrolment(Some(print_of(&ours.pem()))).ask(&request, &[]).unwrap_err();
    assert!(
        matches!(&error, EnrolError::Never(why) if why.contains("another fingerprint")),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1, "no /1.0/sign");
    // The right root, shown by a server whose own certificate is another's.
    let root = ours.pem();
    let answer = move |_: &str, _: &str| (200, json!({ "ca": root }).to_string());
    let server = Server::new(&theirs, Box::new(answer));
    let error = server.enrolment(Some(print_of(&ours.pem()))).ask(&request, &[]).unwrap_err();
    assert!(matches!(error, EnrolError::Later(_)), "{error}");
    assert_eq!(server.requests().len(), 1, "no /1.0/sign");
    // No fingerprint, and a server that nobody vouches for.
    let error = server.enrolment(None).ask(&request, &[]).unwrap_err();
    assert!(matches!(error, EnrolError::Later(_)), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_the_server_says_is_sorted_by_whether_to_ask_again_and_never_shows_the_token() {
    let authority = Arc::new(Authority::new());
    let (_, request) = request();
    let root = authority.pem();
    let ask = |status: u16, body: String| {
        let root = root.clone();
        let answer = move |path: &str, _: &str| match path.starts_with("/root/") {
            true => (200, json!({ "ca": root }).to_string()),
            false => (status, body.clone()),
        };
        let server = Server::new(&authority, Box::new(answer));
        server.enrolment(Some(print_of(&authority.pem()))).ask(&request, &[]).unwrap_err()
    };
    let echo = json!({"message": "bad token one-time-token\n"}).to_string();
    let refused = ask(401, echo);
    assert!(
        matches!(&refused, EnrolError::Never(why) if why.contains("401") && why.contains("get a new one")),
        "{refused}"
    );
    assert!(!refused.to_string().contains("one-time-token"), "{refused}");
    assert!(matches!(ask(503, "busy".into()), EnrolError::Later(_)));
    assert!(matches!(ask(302, String::new()), EnrolError::Never(_)));
    for nothing in ["", "{}", "[]", "{\"crt\":\"hunter2\"}", "{\"certChain\":[1]}"] {
        let error = ask(201, nothing.into());
        assert!(matches!(error, EnrolError::Never(_)), "{nothing}: {error}");
    }
    assert!(matches!(ask(201, "x".repeat(1 << 20)), EnrolError::Later(_)));
}

#[test]
fn a_certificate_for_another_key_is_not_installed_and_a_token_is_used_once() {
    let authority = Arc::new(Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("etc");
    let place = Place::new(&crate::storage::OsDisk, dir.path(), &etc, false);
    let wish = |token: &str, existing| Wish {
        enrol: Some(Enrolment::new("https://ca.example", token, None).unwrap()),
        ..wish(existing)
    };
    let stranger = self::request().1;
    let mut other = |_: &Enrolment, _: &str| {
        Ok(Granted { chain: authority.sign(&stranger), root: Some(authority.pem()) })
    };
    let error = install(&place, &wish("a", Existing::Keep), &mut other, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("that came back is for another key"), "{error}");
    assert!(!etc.join(CERTIFICATE).exists() && !etc.join(CONFIGURATION).exists());

    let asked = RefCell::new(0);
    let mut right = |_: &Enrolment, request: &str| {
        *asked.borrow_mut() += 1;
        Ok(Granted { chain: authority.sign(request), root: Some(authority.pem()) })
    };
    install(&place, &wish("a", Existing::Keep), &mut right, &mut |_| {}).unwrap();
    install(&place, &wish("a", Existing::Keep), &mut right, &mut |_| {}).unwrap();
    assert_eq!(*asked.borrow(), 1);
    let error = install(&place, &wish("b", Existing::Keep), &mut right, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("so the token was not used"), "{error}");
    install(&place, &wish("b", Existing::Replace), &mut right, &mut |_| {}).unwrap();
    assert_eq!(*asked.borrow(), 2);
    let chain = std::fs::read(etc.join(CERTIFICATE)).unwrap();
    let key = std::fs::read_to_string(place.credential(KEY)).unwrap();
    assert_eq!(identity::pair(&chain, key.as_bytes()), Ok(()));
    assert_eq!(std::fs::read_to_string(etc.join(CA)).unwrap().trim(), authority.pem().trim());
}

#[test]
fn addresses_tokens_and_fingerprints_are_checked_before_anything_is_sent() {
    for url in
        ["http://ca.example", "ca.example", "https://", "https://u:p@ca.example", "https://a/?b"]
    {
        assert_eq!(Enrolment::new(url, "t", None).unwrap_err().0, "url", "{url}");
    }
    for token in ["", " ", "two words", "a\nb", "\"", &"x".repeat(1 << 15)] {
        let (at, why) = Enrolment::new("https://a", token, None).unwrap_err();
        assert!(at == "token" && !why.contains("two words"));
    }
    assert_eq!(Enrolment::new("https://a/x/", " t\n", None).unwrap().url, "https://a/x");
    let digits = "0123456789abcdef".repeat(4);
    let colons: Vec<String> =
        digits.as_bytes().chunks(2).map(|c| String::from_utf8_lossy(c).into()).collect();
    assert_eq!(fingerprint(&digits), fingerprint(&colons.join(":").to_uppercase()));
    assert!(
        fingerprint(&digits).is_ok()
            && fingerprint("12").is_err()
            && fingerprint(&"é".repeat(64)).is_err()
    );
}
