//! A certificate for a one-time token, by step-ca's API: `GET /root/FINGERPRINT`, `POST /1.0/sign`.
//!
//! Source: github.com/smallstep/certificates, `api/api.go` (routes, `RootResponse`) and `api/sign.go`.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use ureq::Agent;

use super::identity::certificates;
use crate::data::Secret;
use crate::https;

/// Where a certificate is asked for.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// `https://HOST[:PORT]`.
    pub url: String,
    /// Good for one certificate.
    pub token: Secret,
    /// SHA-256 of the authority's root certificate, DER; `None`: the system's authorities are believed.
    pub fingerprint: Option<Fingerprint>,
}

/// SHA-256 of a certificate.
pub type Fingerprint = [u8; 32];

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The board's certificate and those above it, PEM. Whether it is for the board's key is for the caller to see.
    pub chain: String,
    /// The authority's root, PEM, where it was asked for by its fingerprint.
    pub root: Option<String>,
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// The network, the clock or the server is not there yet: trying again may help, with the same token.
    #[error("{0}")]
    Later(String),
    /// Trying again does not help.
    #[error("{0}")]
    Never(String),
}

const PATIENCE: Duration = Duration::from_secs(30);
const BYTES_MAX: u64 = 256 << 10;

impl Enrolment {
    /// Checks the address and the token's form.
    ///
    /// # Errors
    /// Names the key that is wrong, `url` or `token`, and says what it must be.
    pub fn new(
        url: &str,
        token: &str,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Self, (&'static str, String)> {
        let parsed = url::Url::parse(url).map_err(|error| ("url", format!("{url:?}: {error}")))?;
        let plain = parsed.scheme() == "https"
            && parsed.query().is_none()
            && parsed.fragment().is_none()
            && parsed.username().is_empty()
            && parsed.password().is_none();
        if !plain {
            return Err(("url", "must be https://HOST, with a port and path where needed".into()));
        }
        let token = token.trim();
        let good = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        if token.is_empty() || token.len() > 16 << 10 || !token.chars().all(good) {
            return Err(("token", "must be one word, as `step ca token` prints it".into()));
        }
        let url = parsed.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, token: Secret::new(token), fingerprint })
    }

    /// Asks for a certificate for `request`, PEM. `system` are the authorities to believe without a fingerprint.
    ///
    /// # Errors
    /// See [`EnrolError`]. The token is in no message.
    pub fn ask(
        &self,
        request: &str,
        system: &[CertificateDer<'static>],
    ) -> Result<Granted, EnrolError> {
        let (root, authorities) = match &self.fingerprint {
            Some(fingerprint) => {
                let (pem, der) = self.root(fingerprint)?;
                (Some(pem), vec![der])
            }
            None => (None, system.to_vec()),
        };
        let agent = agent(Some(&authorities));
        let body = json!({ "csr": request, "ott": self.token.expose() }).to_string();
        let answer = agent
            .post(format!("{}/1.0/sign", self.url))
            .header("Content-Type", "application/json")
            .send(body.as_bytes());
        let answer = self.read("/1.0/sign", answer)?;
        let mut chain: Vec<&str> = answer["certChain"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if chain.is_empty() {
            chain = [&answer["crt"], &answer["ca"]].into_iter().filter_map(Value::as_str).collect();
        }
        let chain = chain.iter().map(|pem| pem.trim_end()).collect::<Vec<_>>().join("\n") + "\n";
        match certificates(chain.as_bytes()) {
            Ok(_) => Ok(Granted { chain, root }),
            Err(why) => Err(EnrolError::Never(format!("{}: the answer {why}", self.url))),
        }
    }

    /// The root certificate with this fingerprint, PEM and DER. The connection itself proves nothing; the
    /// fingerprint does.
    fn root(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<(String, CertificateDer<'static>), EnrolError> {
        let path = format!("/root/{}", hex(fingerprint));
        let answer = agent(None).get(format!("{}{path}", self.url)).call();
        let answer = self.read(&path, answer)?;
        let pem = answer["ca"].as_str().unwrap_or_default();
        let der = certificates(pem.as_bytes()).ok().and_then(|mut found| match found.len() {
            1 => found.pop(),
            _ => None,
        });
        let wrong = || {
            EnrolError::Never(format!("{}: its root certificate has another fingerprint", self.url))
        };
        let der = der.ok_or_else(wrong)?;
        if Sha256::digest(&der).as_slice() != fingerprint {
            return Err(wrong());
        }
        Ok((pem.trim_end().to_owned() + "\n", der))
    }

    fn read(
        &self,
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, EnrolError> {
        let answer = answer.map_err(|error| {
            EnrolError::Later(format!(
                "{}: {error}; is the network up and the clock right?",
                self.url
            ))
        })?;
        let status = answer.status();
        let body = answer.into_body().into_with_config().limit(BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| EnrolError::Later(format!("{}: {error}", self.url)))?;
        let value: Option<Value> = serde_json::from_slice(&body).ok();
        if status.is_success() {
            let no_json =
                || EnrolError::Never(format!("{}{path}: the answer is no JSON", self.url));
            return value.ok_or_else(no_json);
        }
        // Servers like to repeat what they were sent.
        let said = value.as_ref().and_then(|value| value["message"].as_str()).unwrap_or_default();
        let said: String = said
            .replace(self.token.expose(), "…")
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let message = format!("{}{path}: {status}{said}", self.url);
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            return Err(EnrolError::Later(message));
        }
        let hint = match status.as_u16() {
            401 | 403 => "; a token is good once and for a few minutes: get a new one",
            _ => "",
        };
        Err(EnrolError::Never(message + hint))
    }
}

/// `None`: whoever answers is listened to.
fn agent(authorities: Option<&[CertificateDer<'static>]>) -> Agent {
    let tls = https::tls(authorities.unwrap_or_default())
        .disable_verification(authorities.is_none())
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(https::USER_AGENT)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}

/// `text` as 64 hex digits, with or without colons or dashes between them.
///
/// # Errors
/// Says what it must be.
pub fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !matches!(c, ':' | '-'))
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let bytes = digits
        .filter(|digits| digits.len() == 64)
        .map(|digits| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>());
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "must be 64 hex digits: SHA-256 of the root certificate, as `step certificate fingerprint` prints it".into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What marks a certificate as the one for a token, so that the token is not used again.
pub(super) fn mark(token: &Secret) -> String {
    format!("enrolled-with: {}", hex(&Sha256::digest(token.expose().as_bytes())[..16]))
}
