//! A repository on a web server or in a bucket.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use ureq::http::{HeaderMap, StatusCode, header};
use ureq::{Agent, Proxy};

use super::{Body, FetchError, RepositoryPath, Source};
use crate::https;

/// Redirects that are followed, as to a bucket's own address.
const REDIRECTS_MAX: u32 = 4;

/// How to reach the server.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The certificate authorities that are believed; unused for `http://`.
    pub authorities: Vec<CertificateDer<'static>>,
    /// `http://[user:password@]host:port`, or empty for none; `None` for what the environment says
    /// (`HTTPS_PROXY`, `NO_PROXY`, …).
    pub proxy: Option<String>,
    /// For name, connection and handshake.
    pub connect_timeout: Duration,
    /// For the answer's beginning, and for each read after it.
    pub read_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            authorities: Vec::new(),
            proxy: None,
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(30),
        }
    }
}

/// The repository below a URL.
#[derive(Clone, Debug)]
pub struct HttpSource {
    base: String,
    agent: Agent,
}

impl HttpSource {
    /// The repository below `url`, `https://` or `http://`.
    ///
    /// # Errors
    /// Says what is wrong with the URL or the proxy.
    pub fn new(url: &str, settings: &HttpSettings) -> Result<Self, String> {
        let parsed = url::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
        let secure = match parsed.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(format!("{url} is neither https:// nor http://")),
        };
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(format!("{url}: the address of a folder has no ? and no #"));
        }
        let mut config = Agent::config_builder()
            .tls_config(https::tls(&settings.authorities).build())
            // Also for redirects: what began with TLS stays with it.
            .https_only(secure)
            .max_redirects(REDIRECTS_MAX)
            .max_redirects_will_error(true)
            .http_status_as_error(false)
            .max_response_header_size(https::HEADER_BYTES_MAX)
            .user_agent(https::USER_AGENT)
            .timeout_resolve(Some(settings.connect_timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_recv_response(Some(settings.read_timeout))
            .timeout_per_read(Some(settings.read_timeout))
            .timeout_per_write(Some(settings.read_timeout));
        if let Some(proxy) = &settings.proxy {
            config = config.proxy(match proxy.as_str() {
                "" => None,
                // ureq's own words would show its password.
                url => Some(Proxy::new(url).map_err(|_| "the proxy is no http:// URL".to_owned())?),
            });
        }
        let base = parsed.as_str().trim_end_matches('/').to_owned();
        Ok(Self { base, agent: config.build().into() })
    }
}

impl Source for HttpSource {
    fn open(&self, path: &RepositoryPath, offset: u64) -> Result<Body, FetchError> {
        let url = format!("{}/{}", self.base, path.encoded());
        let mut request = self.agent.get(&url);
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        let response = request.call().map_err(|error| failure(&error))?;
        let (parts, body) = response.into_parts();
        let begins = match parts.status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if offset > 0 => {
                range_start(&parts.headers).ok_or_else(|| {
                    FetchError::Failed("the server does not say which bytes it sends".to_owned())
                })?
            }
            // The file became shorter: from the start, and the digest decides.
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => return self.open(path, 0),
            // Buckets whose list is private answer 403 for what is not there.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => {
                return Err(FetchError::NotFound);
            }
            status if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) => {
                return Err(FetchError::Failed(format!("the server answers {status}")));
            }
            status => return Err(FetchError::Refused(format!("the server answers {status}"))),
        };
        let length = body.content_length();
        Ok(Body { offset: begins, length, reader: Box::new(body.into_reader()) })
    }
}

fn failure(error: &ureq::Error) -> FetchError {
    match error {
        ureq::Error::RequireHttpsOnly(to) => {
            FetchError::Refused(format!("the server leads from https to {to}"))
        }
        ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
            FetchError::Refused("the server leads in circles".to_owned())
        }
        other => FetchError::Failed(other.to_string()),
    }
}

/// The first byte of `Content-Range: bytes 100-199/200`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    value.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
