//! Updates from a web server of one's own, with a certificate of one's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::support::certificates::{Authority, Signed};

/// A web server for one folder that knows ranges, and hangs up in the middle of every third bundle.
struct WebServer {
    port: u16,
    /// Bytes of bundles that it sent.
    sent: Arc<Mutex<u64>>,
}

impl WebServer {
    fn start(folder: PathBuf, signed: &Signed) -> Self {
        let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(Mutex::new(0));
        let counted = sent.clone();
        std::thread::spawn(move || {
            let mut bundles = 0;
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let stream = StreamOwned::new(connection, stream);
                // A client that goes away is no fault of the server.
                answer(stream, &folder, &mut bundles, &counted);
            }
        });
        Self { port, sent }
    }
}

fn answer<S: Read + Write>(
    stream: S,
    folder: &Path,
    bundles: &mut u32,
    sent: &Mutex<u64>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut request, mut from) = (String::new(), 0usize);
    stream.read_line(&mut request).ok()?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            from = range.trim().trim_end_matches('-').parse().ok()?;
        }
    }
    let path = request.split(' ').nth(1)?.trim_start_matches('/').replace("%2B", "+");
    let Ok(bytes) = fs::read(folder.join(&path)) else {
        write!(
            stream.get_mut(),
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        return stream.get_mut().flush().ok();
    };
    let (total, rest) = (bytes.len(), &bytes[from..]);
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let range = if from > 0 {
        format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1)
    } else {
        String::new()
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}Connection: close\r\n\r\n",
        rest.len()
    );
    let mut part = rest;
    if path.starts_with("targets/") {
        *bundles += 1;
        if *bundles % 3 == 1 {
            part = &rest[..rest.len() / 2];
        }
        *sent.lock().unwrap() += part.len() as u64;
    }
    stream.get_mut().write_all(head.as_bytes()).ok()?;
    stream.get_mut().write_all(part).ok()?;
    stream.get_mut().flush().ok()
}

fn https_board(server: &WebServer, more: &str) -> Board {
    let keys = format!(
        "repository = \"https://localhost:{}\"\nroot = \"repo/root.json\"\nfollow = \"latest\"\n{more}",
        server.port
    );
    board(&keys)
}

#[test]
fn a_server_with_an_authority_of_ones_own_is_believed_and_a_cut_download_goes_on() {
    let authority = Authority::new("a farm");
    let desk = board("");
    let server = WebServer::start(desk.path("repo/repository"), &authority.server("localhost"));
    let publisher = Publisher { board: &desk };
    publisher.repo(&["init", "repo"]);
    publisher.publish("1.0.0", same);
    let length = fs::metadata(desk.path("gestures-1.0.0.edge")).unwrap().len();

    let board = https_board(&server, "ca = \"ca.pem\"");
    fs::write(board.path("ca.pem"), authority.certificate()).unwrap();
    fs::create_dir(board.path("repo")).unwrap();
    fs::copy(desk.path("repo/root.json"), board.path("repo/root.json")).unwrap();
    let _daemon = board.run_until_ready(&[]);
    let status = until(&board, |status| status["state"] == "committed");
    assert_eq!(status["running"]["version"], "1.0.0");
    assert_eq!(*server.sent.lock().unwrap(), length, "no byte twice");
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_asked() {
    let authority = Authority::new("a farm");
    let desk = board("");
    let server = WebServer::start(desk.path("repo/repository"), &authority.server("localhost"));
    Publisher { board: &desk }.repo(&["init", "repo"]);
    let board = https_board(&server, "ca = \"ca.pem\"");
    fs::write(board.path("ca.pem"), Authority::new("a stranger").certificate()).unwrap();
    fs::create_dir(board.path("repo")).unwrap();
    fs::copy(desk.path("repo/root.json"), board.path("repo/root.json")).unwrap();
    let _daemon = board.run_until_ready(&[]);
    let status = until(&board, |status| status["failure"]["code"] == "fetch_failed");
    let message = status["failure"]["message"].as_str().unwrap().to_lowercase();
    assert!(message.contains("certificate") || message.contains("unknownissuer"), "{message}");
}
