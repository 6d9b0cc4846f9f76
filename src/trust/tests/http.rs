//! The HTTP source against small servers that do what servers do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::world::*;
use crate::clock::SystemClock;
use crate::trust::{
    FetchError, HttpSettings, HttpSource, Patience, RepositoryPath, Source, TrustError,
};

/// What a server answers to one request: the path, and the first byte that is wanted.
type Answer = dyn Fn(&str, Option<u64>, &mut dyn Write) + Send + Sync;

/// A server that answers each connection once.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(&str, Option<u64>, &mut dyn Write) + Send + Sync + 'static) -> Self {
        Self::over(None, Box::new(answer))
    }

    fn over(tls: Option<Arc<rustls::ServerConfig>>, answer: Box<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                match &tls {
                    None => serve(&mut stream, &seen, &*answer),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                        serve(&mut rustls::StreamOwned::new(connection, stream), &seen, &*answer);
                    }
                }
            }
        });
        Self { address, requests }
    }

    fn source(&self) -> HttpSource {
        HttpSource::new(&format!("http://{}/repo", self.address), &settings()).unwrap()
    }
}

fn serve<S: Read + Write>(stream: &mut S, seen: &Mutex<Vec<String>>, answer: &Answer) {
    let mut lines = BufReader::new(&mut *stream).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = None;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
    }
    seen.lock().unwrap().push(path.clone());
    answer(&path, from, stream);
    // A client that lost interest is no fault of the server.
    stream.flush().ok();
}

fn settings() -> HttpSettings {
    let read_timeout = Duration::from_millis(300);
    HttpSettings { proxy: Some(String::new()), read_timeout, ..HttpSettings::default() }
}

fn head(out: &mut dyn Write, status: &str, headers: &str) {
    write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").ok();
}

/// Answers from the world's files, with ranges.
fn files(world: &World) -> impl Fn(&str, Option<u64>, &mut dyn Write) + Send + Sync + use<> {
    let files = world.files.files.clone();
    move |path, from, out| {
        let path = path.trim_start_matches("/repo/").replace("%2B", "+");
        let Some(bytes) = files.lock().unwrap().get(&path).cloned() else {
            return head(out, "404 Not Found", "Content-Length: 0\r\n");
        };
        let start = usize::try_from(from.unwrap_or(0)).unwrap();
        let (length, total) = (bytes.len() - start, bytes.len());
        match from {
            None => head(out, "200 OK", &format!("Content-Length: {length}\r\n")),
            Some(_) => head(
                out,
                "206 Partial Content",
                &format!(
                    "Content-Length: {length}\r\nContent-Range: bytes {start}-{}/{total}\r\n",
                    total - 1
                ),
            ),
        }
        out.write_all(&bytes[start..]).ok();
    }
}

fn patience() -> Patience {
    Patience { pause: Duration::from_millis(1), ..Patience::new(Arc::new(SystemClock)) }
}

fn update(world: &World, source: impl Source + 'static) -> Result<Vec<u8>, TrustError> {
    let checked = world.store().check(Arc::new(source), patience(), synced(NOW))?;
    let mut bytes = Vec::new();
    let target = checked.targets.last().cloned();
    checked.fetch(&target.ok_or(TrustError::NotFound { name: "any".into() })?, &mut bytes)?;
    Ok(bytes)
}

fn open(source: &HttpSource, offset: u64) -> Result<(u64, Vec<u8>), FetchError> {
    let path = RepositoryPath::new("metadata/timestamp.json").unwrap();
    let mut body = source.open(&path, offset)?;
    let mut bytes = Vec::new();
    body.reader.read_to_end(&mut bytes).unwrap();
    Ok((body.offset, bytes))
}

#[test]
fn a_whole_update_over_http_with_a_build_number_in_the_name() {
    let world = World::new();
    world.publish(2, &[("gestures-1.1.0+build.7.edge", vec![2; 50_000])]);
    let server = Server::new(files(&world));
    assert_eq!(update(&world, server.source()).unwrap(), vec![2; 50_000]);
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests[0], "/repo/metadata/2.root.json");
    assert!(requests.last().unwrap().ends_with(".gestures-1.1.0%2Bbuild.7.edge"));
}

#[test]
fn a_connection_that_is_cut_is_continued_by_range() {
    let world = World::seen();
    let whole = files(&world);
    let server = Server::new(move |path, from, out| {
        let mut answer = Vec::new();
        whole(path, from, &mut answer);
        let cut = if path.ends_with(".edge") { 30_000 } else { answer.len() };
        out.write_all(&answer[..cut.min(answer.len())]).ok();
    });
    assert_eq!(update(&world, server.source()).unwrap(), vec![2; 100_000]);
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.iter().filter(|path| path.ends_with(".edge")).count(), 4);
}

#[test]
fn a_server_that_sends_other_bytes_or_another_length_is_refused() {
    let world = World::seen();
    let whole = files(&world);
    let server = Server::new(move |path, from, out| {
        let mut answer = Vec::new();
        whole(path, from, &mut answer);
        if path.ends_with(".edge") {
            *answer.last_mut().unwrap() ^= 1;
        }
        out.write_all(&answer).ok();
    });
    assert_eq!(update(&world, server.source()).unwrap_err().code(), "bad_signature");
    let server = Server::new(|_, _, out| {
        head(out, "200 OK", "Content-Length: 10\r\n");
        out.write_all(b"four").ok();
    });
    let error = update(&world, server.source()).unwrap_err();
    assert_eq!(error.code(), "fetch_failed", "{error}");
}

#[test]
fn only_what_is_not_there_is_not_found() {
    let world = World::seen();
    for status in ["404 Not Found", "403 Forbidden", "410 Gone"] {
        let server = Server::new(move |_, _, out| head(out, status, "Content-Length: 0\r\n"));
        assert_eq!(open(&server.source(), 0), Err(FetchError::NotFound), "{status}");
    }
    for (status, tries) in
        [("503 Service Unavailable", 3), ("429 Too Many Requests", 3), ("401 Unauthorized", 1)]
    {
        let server = Server::new(move |_, _, out| head(out, status, "Content-Length: 0\r\n"));
        let error = update(&world, server.source()).unwrap_err();
        assert_eq!(error.code(), "fetch_failed");
        assert!(error.to_string().contains(&status[..3]), "{error}");
        assert_eq!(server.requests.lock().unwrap().len(), tries, "{status}");
    }
    // Nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = HttpSource::new(&format!("http://{free}/"), &settings()).unwrap();
    assert!(matches!(open(&source, 0), Err(FetchError::Failed(_))));
}

#[test]
fn a_silent_server_is_given_up() {
    let world = World::seen();
    let server = Server::new(|_, _, out| {
        head(out, "200 OK", "Content-Length: 100\r\n");
        out.write_all(b"begins, and then").ok();
        out.flush().ok();
        // Until the client goes away.
        std::thread::park_timeout(Duration::from_secs(2));
    });
    let patience = Patience { tries: 1, ..patience() };
    let source = Arc::new(server.source());
    let result = world.store().check(source, patience, synced(NOW));
    let error = result.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "fetch_failed");
    assert!(error.to_string().contains("timeout"), "{error}");
}

#[test]
fn ranges_are_believed_only_as_far_as_the_server_states_them() {
    let server = Server::new(|_, from, out| match from {
        // Begins elsewhere than asked for.
        Some(5) => {
            head(
                out,
                "206 Partial Content",
                "Content-Range: bytes 3-9/10\r\nContent-Length: 7\r\n",
            );
            out.write_all(b"3456789").ok();
        }
        Some(6) => {
            head(out, "206 Partial Content", "Content-Length: 2\r\n");
            out.write_all(b"89").ok();
        }
        Some(_) => head(out, "416 Range Not Satisfiable", "Content-Length: 0\r\n"),
        None => {
            head(out, "200 OK", "Content-Length: 3\r\n");
            out.write_all(b"012").ok();
        }
    });
    let source = server.source();
    assert_eq!(open(&source, 5), Ok((3, b"3456789".to_vec())));
    assert!(matches!(open(&source, 6), Err(FetchError::Failed(_))));
    assert_eq!(open(&source, 7), Ok((0, b"012".to_vec())), "from the start");
}

#[test]
fn redirects_are_followed_a_few_times() {
    let world = World::seen();
    let server = Server::new(files(&world));
    let to = server.address;
    let front = Server::new(move |path, _, out| {
        head(out, "302 Found", &format!("Location: http://{to}{path}\r\nContent-Length: 0\r\n"));
    });
    assert_eq!(update(&world, front.source()).unwrap(), vec![2; 100_000]);
    let circle = Server::new(|path, _, out| {
        head(out, "302 Found", &format!("Location: {path}\r\nContent-Length: 0\r\n"));
    });
    let error = open(&circle.source(), 0).unwrap_err();
    assert_eq!(error, FetchError::Refused("the server leads in circles".to_owned()));
    assert!(circle.requests.lock().unwrap().len() <= 6);
}

fn tls() -> (Arc<rustls::ServerConfig>, HttpSettings) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let authorities = vec![made.cert.der().clone()];
    (Arc::new(config), HttpSettings { authorities, ..settings() })
}

#[test]
fn https_checks_the_certificate_and_never_leads_to_http() {
    let world = World::seen();
    let (config, trusting) = tls();
    let server = Server::over(Some(config.clone()), Box::new(files(&world)));
    let url = format!("https://localhost:{}/repo", server.address.port());
    let source = HttpSource::new(&url, &trusting).unwrap();
    assert_eq!(update(&world, source).unwrap(), vec![2; 100_000]);
    let stranger = HttpSource::new(&url, &settings()).unwrap();
    assert!(matches!(open(&stranger, 0), Err(FetchError::Failed(_))));

    let plain = Server::new(files(&world));
    let to = plain.address;
    let redirect = move |path: &str, _: Option<u64>, out: &mut dyn Write| {
        head(out, "302 Found", &format!("Location: http://{to}{path}\r\nContent-Length: 0\r\n"));
    };
    let server = Server::over(Some(config), Box::new(redirect));
    let url = format!("https://localhost:{}/repo", server.address.port());
    let source = HttpSource::new(&url, &trusting).unwrap();
    let error = open(&source, 0).unwrap_err();
    assert!(
        matches!(&error, FetchError::Refused(why) if why.contains("leads from https to http:"))
    );
    assert!(plain.requests.lock().unwrap().is_empty());
}

#[test]
fn a_proxy_is_asked_for_the_whole_address() {
    let world = World::seen();
    let proxy = Server::new(|path, _, out| {
        assert!(path.is_empty() || path.starts_with("models.example:80"), "{path}");
        head(out, "502 Bad Gateway", "Content-Length: 0\r\n");
    });
    let proxied = HttpSettings { proxy: Some(format!("http://{}", proxy.address)), ..settings() };
    let source = HttpSource::new("http://models.example/repo", &proxied).unwrap();
    assert_eq!(update(&world, source).unwrap_err().code(), "fetch_failed");
    assert!(!proxy.requests.lock().unwrap().is_empty());
    let odd = HttpSettings { proxy: Some("socks9://secret@x".into()), ..settings() };
    let said = HttpSource::new("http://models.example/repo", &odd).unwrap_err();
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn addresses_that_are_none_are_refused() {
    for url in ["ftp://x/", "models.example", "", "https://", "https://x/?a=b", "https://x/#a"] {
        assert!(HttpSource::new(url, &settings()).is_err(), "{url}");
    }
}
