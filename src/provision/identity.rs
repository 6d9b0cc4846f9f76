//! A board's key pair, the request for its certificate, and whether a certificate is for that key.

use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};

use crate::config::DeviceId;
use crate::data::Secret;

/// A key on P-256, which every broker's TLS and every authority takes.
pub struct Identity(KeyPair);

impl Identity {
    /// A new key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, String> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        key.map(Self).map_err(|error| format!("no key can be made: {error}"))
    }

    /// The key in `pem`.
    ///
    /// # Errors
    /// When it is none that requests can be signed with.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        // The library's words might show the text.
        let wrong = |_| "is no private key in PKCS#8 PEM (BEGIN PRIVATE KEY)".to_owned();
        KeyPair::from_pem(pem).map(Self).map_err(wrong)
    }

    /// The private key, PKCS#8 PEM.
    pub fn pem(&self) -> Secret {
        Secret::new(self.0.serialize_pem())
    }

    /// A certificate request for `id` as common name and as DNS name, PEM.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn request(&self, id: &DeviceId) -> Result<String, String> {
        let cannot = |error: rcgen::Error| format!("no certificate request can be made: {error}");
        let mut params = CertificateParams::new(Vec::new()).map_err(cannot)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, id.as_str());
        // step-ca wants the token's names among the request's.
        params.subject_alt_names = vec![SanType::DnsName(id.as_str().try_into().map_err(cannot)?)];
        params.serialize_request(&self.0).and_then(|request| request.pem()).map_err(cannot)
    }

    /// Whether `request`, PEM, asks for a certificate for this key.
    pub fn asked(&self, request: &[u8]) -> bool {
        let Ok(request) = CertificateSigningRequestDer::from_pem_slice(request) else {
            return false;
        };
        let key = self.0.subject_public_key_info();
        request.windows(key.len()).any(|part| part == key)
    }

    /// Whether the first certificate of `chain`, PEM, is for this key.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn owns(&self, chain: &[u8]) -> Result<(), String> {
        pair(chain, self.pem().expose().as_bytes())
    }
}

/// Whether all of `pem` is certificates, at least one.
///
/// # Errors
/// Says what it is instead.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("holds no certificate (BEGIN CERTIFICATE)".into()),
        Err(error) => Err(format!("is not a PEM file that can be read: {error}")),
    }
}

/// Whether the first certificate of `chain` is for the private key in `key`, both PEM.
///
/// # Errors
/// Says what is wrong.
pub fn pair(chain: &[u8], key: &[u8]) -> Result<(), String> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| "comes with a key that is no private key in PEM".to_owned())?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err("is for another key".into()),
        Err(error) => Err(format!("cannot be used: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(key: &Identity) -> String {
        let params = CertificateParams::new(vec!["bench-07".to_owned()]).unwrap();
        params.self_signed(&key.0).unwrap().pem()
    }

    #[test]
    fn a_key_survives_its_file_and_knows_its_requests_and_certificates() {
        let key = Identity::generate().unwrap();
        let id: DeviceId = "bench_07".parse().unwrap();
        let request = key.request(&id).unwrap();
        assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"), "{request}");
        let again = Identity::from_pem(key.pem().expose()).unwrap();
        let other = Identity::generate().unwrap();
        assert!(again.asked(request.as_bytes()) && !other.asked(request.as_bytes()));
        assert!(!again.asked(b"") && !again.asked(signed(&key).as_bytes()));
        assert_eq!(again.owns(signed(&key).as_bytes()), Ok(()));
        assert_eq!(other.owns(signed(&key).as_bytes()), Err("is for another key".into()));
    }

    #[test]
    fn what_is_no_key_or_certificate_is_said_and_never_shown() {
        let said = Identity::from_pem("hunter2").err().unwrap();
        assert!(!said.contains("hunter2"), "{said}");
        let key = Identity::generate().unwrap();
        assert!(key.owns(b"hunter2").unwrap_err().contains("holds no certificate"));
        assert!(key.owns(key.pem().expose().as_bytes()).is_err());
        let torn = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
        assert!(key.owns(torn.as_bytes()).is_err());
        let lie = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(key.owns(lie.as_bytes()).unwrap_err().contains("cannot be used"));
    }
}
