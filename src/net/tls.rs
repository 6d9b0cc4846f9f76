//! TLS settings → a rustls configuration. The broker's certificate is always checked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::settings::TlsSettings;

/// Where operating systems keep the authorities that they trust, as one PEM file.
const SYSTEM_AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Yocto
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
    "/etc/ssl/cert.pem",                  // Alpine
];

/// Why TLS cannot be set up. All of it is for a person to mend; trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or not readable.
    #[error("{key}: cannot read {}: {source}", path.display())]
    Read {
        /// The setting.
        key: &'static str,
        /// What it names.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No file with the operating system's authorities.
    #[error(
        "no certificate authorities on this system (looked for {}): install the package \
         ca-certificates, or set {key} to the server's authority",
        SYSTEM_AUTHORITIES.join(", ")
    )]
    NoSystemAuthorities {
        /// The setting that would name another one.
        key: &'static str,
    },
    /// A file is not PEM, or damaged.
    #[error("{key}: {what} is not a PEM file that can be read: {why}")]
    NotPem {
        /// The setting.
        key: &'static str,
        /// The file's name, or what stands in its place.
        what: String,
        /// The parser's words.
        why: String,
    },
    /// A PEM file without a certificate.
    #[error("{key}: {} holds no certificate (BEGIN CERTIFICATE)", path.display())]
    NoCertificate {
        /// The setting.
        key: &'static str,
        /// What it names.
        path: PathBuf,
    },
    /// Certificates that cannot serve as authorities.
    #[error("{key}: no certificate in {} can be used as an authority", path.display())]
    NoAuthority {
        /// The setting.
        key: &'static str,
        /// What it names.
        path: PathBuf,
    },
    /// The key is missing or not one.
    #[error(
        "[mqtt] client_key holds no private key (BEGIN PRIVATE KEY, BEGIN EC PRIVATE KEY or \
         BEGIN RSA PRIVATE KEY)"
    )]
    NoKey,
    /// Certificate and key are not a pair.
    #[error(
        "[mqtt] client_key does not belong to the certificate in {}",
        path.display()
    )]
    KeyMismatch {
        /// The certificate's file.
        path: PathBuf,
    },
    /// The library refuses the pair for another reason.
    #[error("[mqtt] client_cert {} with client_key: {source}", path.display())]
    Identity {
        /// The certificate's file.
        path: PathBuf,
        /// The library's words.
        source: rustls::Error,
    },
    /// One of the pair is missing.
    #[error("[mqtt] {present} is set without {missing}: mutual TLS needs both")]
    HalfIdentity {
        /// What is set.
        present: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// The host is neither a name nor an address.
    #[error("[mqtt] url: {host} is not a host name that a certificate can be checked against")]
    HostName {
        /// What was given.
        host: String,
    },
    /// The crypto provider lacks what TLS 1.2 and 1.3 need.
    #[error("TLS cannot be set up: {0}")]
    Provider(rustls::Error),
}

/// The configuration for connections to `host`.
///
/// # Errors
/// Any [`TlsError`]: a person must change a file or a setting.
pub fn client_config(settings: &TlsSettings, host: &str) -> Result<Arc<ClientConfig>, TlsError> {
    if ServerName::try_from(host).is_err() {
        return Err(TlsError::HostName { host: host.to_owned() });
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities("[mqtt] ca", settings.ca.as_deref())?);
    if roots.is_empty() {
        let path = settings.ca.clone().unwrap_or_default();
        return Err(TlsError::NoAuthority { key: "[mqtt] ca", path });
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?
        .with_root_certificates(roots);
    let mut config = match (&settings.client_cert, &settings.client_key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates("[mqtt] client_cert", cert)?;
            let key =
                PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(
                    |error| match error {
                        pem::Error::NoItemsFound => TlsError::NoKey,
                        error => TlsError::NotPem {
                            key: "[mqtt] client_key",
                            what: "the credential".to_owned(),
                            why: error.to_string(),
                        },
                    },
                )?;
            builder.with_client_auth_cert(chain, key).map_err(|source| match source {
                rustls::Error::InconsistentKeys(_) => TlsError::KeyMismatch { path: cert.clone() },
                source => TlsError::Identity { path: cert.clone(), source },
            })?
        }
        (Some(_), None) => {
            return Err(TlsError::HalfIdentity { present: "client_cert", missing: "client_key" });
        }
        (None, Some(_)) => {
            return Err(TlsError::HalfIdentity { present: "client_key", missing: "client_cert" });
        }
    };
    config.alpn_protocols = settings.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    Ok(Arc::new(config))
}

/// The certificates in the file `ca`, which the setting `key` names, or else those that the operating
/// system trusts.
///
/// # Errors
/// When there are none, or the file cannot be read.
pub fn authorities(
    key: &'static str,
    ca: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let path = match ca {
        Some(path) => path,
        None => SYSTEM_AUTHORITIES
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
            .ok_or(TlsError::NoSystemAuthorities { key })?,
    };
    certificates(key, path)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes =
        fs::read(path).map_err(|source| TlsError::Read { key, path: path.to_owned(), source })?;
    let found =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(|error| {
            TlsError::NotPem { key, what: path.display().to_string(), why: error.to_string() }
        })?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { key, path: path.to_owned() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Secret;

    #[test]
    fn application_protocols_are_asked_for_in_order() {
        let (cert, _) = self_signed();
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, cert).unwrap();
        let alpn = vec!["x-amzn-mqtt-ca".to_owned(), "mqtt".to_owned()];
        let settings = TlsSettings { ca: Some(ca), alpn, ..TlsSettings::default() };
        let config = client_config(&settings, "localhost").unwrap();
        assert_eq!(config.alpn_protocols, [&b"x-amzn-mqtt-ca"[..], b"mqtt"]);
    }

    fn self_signed() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["board".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn refusal(settings: &TlsSettings) -> String {
        client_config(settings, "broker.example").unwrap_err().to_string()
    }

    #[test]
    fn a_missing_file_is_named_with_its_key() {
        let settings = TlsSettings { ca: Some("/nowhere/ca.pem".into()), ..TlsSettings::default() };
        let said = refusal(&settings);
        assert!(said.starts_with("[mqtt] ca: cannot read /nowhere/ca.pem: "), "{said}");
    }

    #[test]
    fn a_file_without_a_certificate_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let ca = file(&folder, "ca.pem", "no certificate here\n");
        let said = refusal(&TlsSettings { ca: Some(ca.clone()), ..TlsSettings::default() });
        assert_eq!(
            said,
            format!("[mqtt] ca: {} holds no certificate (BEGIN CERTIFICATE)", ca.display())
        );
    }

    #[test]
    fn a_damaged_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let text = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let ca = file(&folder, "ca.pem", text);
        let said = refusal(&TlsSettings { ca: Some(ca), ..TlsSettings::default() });
        assert!(said.contains("ca.pem is not a PEM file that can be read"), "{said}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = self_signed();
        let (_, other_key) = self_signed();
        let cert = file(&folder, "board.pem", &cert);
        let settings = |key: &str| TlsSettings {
            ca: Some(cert.clone()),
            client_cert: Some(cert.clone()),
            client_key: Some(Secret::new(key)),
            ..TlsSettings::default()
        };
        client_config(&settings(&key), "broker.example").unwrap();
        let said = refusal(&settings(&other_key));
        assert!(said.starts_with("[mqtt] client_key does not belong"), "{said}");
        assert!(refusal(&settings("nonsense")).contains("client_key holds no private key"));
    }

    #[test]
    fn half_an_identity_names_the_missing_half() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, _) = self_signed();
        let cert = file(&folder, "board.pem", &cert);
        let settings = TlsSettings {
            ca: Some(cert.clone()),
            client_cert: Some(cert),
            ..TlsSettings::default()
        };
        assert_eq!(
            refusal(&settings),
            "[mqtt] client_cert is set without client_key: mutual TLS needs both"
        );
    }

    #[test]
    fn a_host_that_no_certificate_can_name_is_refused() {
        let settings = TlsSettings::default();
        let said = client_config(&settings, "bad host").unwrap_err().to_string();
        assert!(said.starts_with("[mqtt] url: bad host is not a host name"), "{said}");
    }
}
