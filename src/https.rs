//! What our HTTPS clients have in common: one TLS stack, the authorities that they are given, and a name.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsConfigBuilder};

/// How we call ourselves.
pub const USER_AGENT: &str = concat!("edgerun/", env!("CARGO_PKG_VERSION"));
/// Bytes of an answer's headers that are read.
pub const HEADER_BYTES_MAX: usize = 32 << 10;

/// TLS that believes `authorities` and nobody else.
pub fn tls(authorities: &[CertificateDer<'static>]) -> TlsConfigBuilder {
    let roots: Vec<_> =
        authorities.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    // ureq would take the process's provider, which nobody may have set: ours is given.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider)
}
