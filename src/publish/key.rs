//! A private key in a file of its own: Ed25519 as PKCS#8, sealed by a passphrase where one is wanted.

use std::num::NonZeroU32;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::pbkdf2;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};

use super::encoding::unhex;
use super::{PublishError, durable};
use crate::data::Secret;
use crate::model::release::hex;

/// OWASP's figure for PBKDF2-HMAC-SHA256.
const ROUNDS: u32 = 600_000;
/// More would only make a damaged file look like a program that hangs.
const ROUNDS_MAX: u32 = 100_000_000;
const SALT_BYTES: usize = 32;
const FILE_BYTES_MAX: usize = 16 << 10;

/// The file: JSON, so that people see what it is.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    /// Always 1.
    edgerun_key: u32,
    /// The public half, in hex.
    public: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pkcs8: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<Sealed>,
}

/// The PKCS#8, encrypted with AES-256-GCM under a key that PBKDF2-HMAC-SHA256 makes of a passphrase;
/// the public half is authenticated with it.
#[derive(Serialize, Deserialize)]
struct Sealed {
    rounds: u32,
    salt: String,
    nonce: String,
    text: String,
}

/// A new key as PKCS#8.
pub(super) fn generate() -> Result<Vec<u8>, PublishError> {
    match Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()) {
        Ok(pkcs8) => Ok(pkcs8.as_ref().to_vec()),
        Err(_) => Err(PublishError::Value("this machine gives no random numbers".to_owned())),
    }
}

/// Writes `pkcs8` to `path`, for this user alone.
pub(super) fn write(
    path: &Path,
    pkcs8: &[u8],
    passphrase: Option<&Secret>,
) -> Result<(), PublishError> {
    let wrong = |why: &str| PublishError::Key { path: path.to_owned(), why: why.to_owned() };
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|error| wrong(&error.to_string()))?;
    let public = hex(pair.public_key().as_ref());
    let file = match passphrase {
        None => KeyFile { edgerun_key: 1, public, pkcs8: Some(hex(pkcs8)), sealed: None },
        Some(passphrase) => {
            let sealed = seal(pkcs8, &public, passphrase).ok_or_else(|| wrong("sealing failed"))?;
            KeyFile { edgerun_key: 1, public, pkcs8: None, sealed: Some(sealed) }
        }
    };
    let mut text = serde_json::to_vec_pretty(&file).map_err(|error| wrong(&error.to_string()))?;
    text.push(b'\n');
    durable::create_private(path, &text)
}

/// Reads the key at `path`. Where the file is sealed, `ask` is asked unless a passphrase that is `known`
/// opens it: people mostly have one for several keys.
pub(super) fn read(
    path: &Path,
    known: &mut Vec<Secret>,
    ask: &dyn Fn(&Path) -> Result<Secret, PublishError>,
) -> Result<Ed25519KeyPair, PublishError> {
    let wrong = |why: String| PublishError::Key { path: path.to_owned(), why };
    durable::check_private(path)?;
    let text = std::fs::read(path).map_err(PublishError::io("read", path))?;
    if text.len() > FILE_BYTES_MAX {
        return Err(wrong("it is too long".to_owned()));
    }
    let file: KeyFile = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let pkcs8 = match (file.edgerun_key, &file.pkcs8, &file.sealed) {
        (1, Some(text), None) => unhex(text).ok_or_else(|| wrong("pkcs8 is no hex".to_owned()))?,
        (1, None, Some(sealed)) => {
            if !(1..=ROUNDS_MAX).contains(&sealed.rounds) {
                return Err(wrong(format!("rounds must be 1 to {ROUNDS_MAX}")));
            }
            let open = |passphrase: &Secret| open(sealed, &file.public, passphrase);
            match known.iter().find_map(open) {
                Some(pkcs8) => pkcs8,
                None => {
                    let fresh = ask(path)?;
                    let refused = || PublishError::Passphrase { path: path.to_owned() };
                    let pkcs8 = open(&fresh).ok_or_else(refused)?;
                    known.push(fresh);
                    pkcs8
                }
            }
        }
        _ => return Err(wrong("another version, or no key inside".to_owned())),
    };
    let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|error| wrong(error.to_string()))?;
    if hex(pair.public_key().as_ref()) != file.public {
        return Err(wrong("its two halves are no pair".to_owned()));
    }
    Ok(pair)
}

fn derive(passphrase: &Secret, salt: &[u8], rounds: u32) -> Option<LessSafeKey> {
    let mut bytes = [0; 32];
    let secret = passphrase.expose().as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::new(rounds)?, salt, secret, &mut bytes);
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?))
}

fn seal(pkcs8: &[u8], public: &str, passphrase: &Secret) -> Option<Sealed> {
    let random = SystemRandom::new();
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_LEN]);
    random.fill(&mut salt).ok()?;
    random.fill(&mut nonce).ok()?;
    let mut text = pkcs8.to_vec();
    let key = derive(passphrase, &salt, ROUNDS)?;
    let unique = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(unique, Aad::from(public.as_bytes()), &mut text).ok()?;
    Some(Sealed { rounds: ROUNDS, salt: hex(&salt), nonce: hex(&nonce), text: hex(&text) })
}

fn open(sealed: &Sealed, public: &str, passphrase: &Secret) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = unhex(&sealed.nonce)?.try_into().ok()?;
    let key = derive(passphrase, &unhex(&sealed.salt)?, sealed.rounds)?;
    let mut text = unhex(&sealed.text)?;
    let unique = Nonce::assume_unique_for_key(nonce);
    let plain = key.open_in_place(unique, Aad::from(public.as_bytes()), &mut text).ok()?;
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_with(path: &Path, passphrase: &str) -> Result<(), PublishError> {
        read(path, &mut Vec::new(), &|_| Ok(Secret::new(passphrase))).map(|_| ())
    }

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_only_and_shows_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.key");
        let pkcs8 = generate().expect("random numbers");
        write(&path, &pkcs8, Some(&Secret::new("correct horse"))).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        // RFC 8410: the secret half lies behind 16 bytes of DER.
        assert!(!text.contains(&hex(&pkcs8[16..48])) && text.contains("600000"), "{text}");
        open_with(&path, "correct horse").expect("opened");
        let error = open_with(&path, "wrong").expect_err("refused");
        assert!(matches!(error, PublishError::Passphrase { .. }), "{error}");
        // Another public half is noticed, too.
        std::fs::write(&path, text.replacen("\"public\": \"", "\"public\": \"00", 1))
            .expect("written");
        open_with(&path, "correct horse").expect_err("refused");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.key");
        write(&path, &generate().expect("random numbers"), None).expect("written");
        open_with(&path, "").expect("private");
        for mode in [0o640, 0o604, 0o620, 0o644] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("changed");
            let said = open_with(&path, "").expect_err("exposed").to_string();
            assert!(said.contains("chmod go= ") && said.contains("a.key"), "{said}");
        }
    }

    #[test]
    fn a_key_is_never_written_over_another_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.key");
        std::fs::write(&path, "dear").expect("written");
        write(&path, &generate().expect("random numbers"), None).expect_err("refused");
        assert_eq!(std::fs::read(&path).expect("there"), b"dear");
    }
}
