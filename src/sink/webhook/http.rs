//! A POST over HTTP or HTTPS, with one time limit for all of it. No redirect is followed and no proxy of the
//! environment is used: results go where the configuration says, or nowhere.

use std::fmt;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use ureq::Agent;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Failure, Post};
use crate::data::Secret;
use crate::https;

/// As much of an answer is read, so that the connection can be used again.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// Where results go.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `https://` or `http://`.
    pub url: String,
    /// A header that carries a secret: its name and the whole value.
    pub secret: Option<(String, Secret)>,
    /// The certificate authorities that are believed; unused for `http://`.
    pub authorities: Vec<CertificateDer<'static>>,
    /// For a whole request, from the name to the answer.
    pub timeout: Duration,
}

/// Sends to one URL.
pub struct HttpPost {
    agent: Agent,
    url: String,
    secret: Option<(HeaderName, HeaderValue)>,
}

impl fmt::Debug for HttpPost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPost").finish_non_exhaustive()
    }
}

impl HttpPost {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// Says what is wrong with the header; the configuration has looked at the URL.
    pub fn new(settings: HttpSettings) -> Result<Self, String> {
        let secret = settings.secret.map(|(name, secret)| {
            let bad = |what: &str| format!("{what} cannot stand in a header of HTTP");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("the name"))?;
            let mut value =
                HeaderValue::from_str(secret.expose()).map_err(|_| bad("the credential"))?;
            value.set_sensitive(true);
            Ok::<_, String>((name, value))
        });
        let secret = secret.transpose()?;
        let config = Agent::config_builder()
            .tls_config(https::tls(&settings.authorities).build())
            .https_only(settings.url.starts_with("https:"))
            .max_redirects(0)
            .proxy(None)
            .http_status_as_error(false)
            .max_response_header_size(https::HEADER_BYTES_MAX)
            .user_agent(https::USER_AGENT)
            .timeout_global(Some(settings.timeout));
        Ok(Self { agent: config.build().into(), url: settings.url, secret })
    }
}

impl Post for HttpPost {
    fn post(&self, body: &[u8]) -> Result<(), Failure> {
        let mut request =
            self.agent.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        if let Some((name, value)) = &self.secret {
            request = request.header(name.clone(), value.clone());
        }
        let again = |why: String| Failure::Again { why, after: None };
        let mut response = request.send(body).map_err(|error| again(error.to_string()))?;
        let (status, after) = (response.status(), retry_after(response.headers()));
        // What it says is of no interest; a body that does not end costs the connection only.
        response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().ok();
        let why = format!("the server answers {status}");
        if status.is_success() {
            Ok(())
        } else if status.is_redirection() {
            Err(Failure::Refused {
                why: format!(
                    "{why}, and no redirect is followed: give the address that it leads to"
                ),
            })
        } else if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            Err(Failure::Again { why, after })
        } else {
            Err(Failure::Refused { why })
        }
    }
}

/// Seconds that the server asks for; a date is not understood.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// Answers one request with `answer` and gives back what it got; with an empty answer the line is cut.
    fn server(answer: &'static str) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request = request(&stream);
            stream.write_all(answer.as_bytes()).unwrap();
            request
        });
        (url, thread)
    }

    fn request(stream: &TcpStream) -> String {
        let mut reader = BufReader::new(stream);
        let (mut text, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            text += &line;
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        text + std::str::from_utf8(&body).unwrap()
    }

    fn client(url: &str, timeout: Duration) -> HttpPost {
        HttpPost::new(HttpSettings {
            url: url.to_owned(),
            secret: Some(("X-Api-Key".to_owned(), Secret::new("hunter2"))),
            authorities: Vec::new(),
            timeout,
        })
        .unwrap()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_request_carries_the_secret_in_its_header_and_json_in_its_body() {
        let (url, server) = server("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(client(&url, LONG).post(br#"{"a":1}"#), Ok(()));
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /in HTTP/1.1\r\n"), "{request}");
        let lower = request.to_ascii_lowercase();
        assert!(lower.contains("x-api-key: hunter2\r\n"), "{request}");
        assert!(lower.contains("content-type: application/json\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    }

    #[test]
    fn each_answer_says_whether_to_come_again() {
        let said = |answer| {
            let (url, server) = server(answer);
            let failure = client(&url, LONG).post(b"{}").unwrap_err();
            server.join().unwrap();
            failure
        };
        let after = Some(Duration::from_secs(7));
        let why = |text: &str| text.to_owned();
        assert_eq!(
            said("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
            Failure::Again {
                why: why("the server answers 500 Internal Server Error"),
                after: None
            }
        );
        assert_eq!(
            said("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"),
            Failure::Again { why: why("the server answers 429 Too Many Requests"), after }
        );
        assert_eq!(
            said("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
            Failure::Refused { why: why("the server answers 403 Forbidden") }
        );
        let led = said(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
        );
        assert!(matches!(&led, Failure::Refused { why } if why.contains("no redirect")), "{led:?}");
        assert!(matches!(said(""), Failure::Again { .. }));
    }

    #[test]
    fn a_server_that_is_not_there_and_one_that_hangs_are_tried_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let hangs = client(&url, Duration::from_millis(50)).post(b"{}").unwrap_err();
        assert!(matches!(hangs, Failure::Again { .. }), "{hangs:?}");
        drop(listener);
        let gone = client(&url, LONG).post(b"{}").unwrap_err();
        assert!(matches!(gone, Failure::Again { .. }), "{gone:?}");
    }

    #[test]
    fn a_secret_that_is_no_header_is_refused_and_not_shown() {
        let secret = Some(("Authorization".to_owned(), Secret::new("line\nbreak")));
        let authorities = Vec::new();
        let url = "http://127.0.0.1:1/".to_owned();
        let settings = HttpSettings { url, secret, authorities, timeout: LONG };
        let said = HttpPost::new(settings).unwrap_err();
        assert_eq!(said, "the credential cannot stand in a header of HTTP");
    }
}
