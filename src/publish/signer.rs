//! What signs: a key from a file, or a command that asks a token, a vault or another machine.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::json;
use tough::async_trait;
use tough::key_source::KeySource;
use tough::schema::key::Key;
use tough::sign::Sign;

use super::PublishError;
use super::encoding::{unbase64, unhex};
use crate::model::release::hex;

/// DER before the 32 bytes of an Ed25519 key, and before the 65 of one on P-256 (RFC 8410, RFC 5480).
const ED25519_DER: &str = "302a300506032b6570032100";
const P256_DER: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// One key that can sign.
#[derive(Clone)]
pub(super) enum Signer {
    /// In this process.
    Pair(Arc<Ed25519KeyPair>),
    /// By a shell command: bytes on standard input, the signature on standard output.
    Command { command: String, key: Key },
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.id())
    }
}

impl Signer {
    /// The key's public half as TUF writes it.
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Pair(pair) => pair.tuf_key(),
            Self::Command { key, .. } => key.clone(),
        }
    }

    /// The key's id, in hex.
    pub(super) fn id(&self) -> String {
        self.key().key_id().map(|id| hex(&id)).unwrap_or_default()
    }

    /// A command with the public key in `file`.
    pub(super) fn command(command: &str, file: &Path) -> Result<(Self, String), PublishError> {
        let text = std::fs::read(file).map_err(PublishError::io("read", file))?;
        let key = public_key(&text).ok_or_else(|| PublishError::PublicKey {
            path: file.to_owned(),
            why: "give an Ed25519 or P-256 key as PEM (BEGIN PUBLIC KEY), DER or 64 hex digits"
                .into(),
        })?;
        let kept = serde_json::to_string(&key).unwrap_or_default();
        Ok((Self::Command { command: command.to_owned(), key }, kept))
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[async_trait]
impl KeySource for Signer {
    async fn as_sign(&self) -> Result<Box<dyn Sign>, AnyError> {
        Ok(Box::new(self.clone()))
    }

    async fn write(&self, _: &str, _: &str) -> Result<(), AnyError> {
        Err("keys are not written this way".into())
    }
}

#[async_trait]
impl Sign for Signer {
    fn tuf_key(&self) -> Key {
        self.key()
    }

    async fn sign(
        &self,
        message: &[u8],
        _: &(dyn SecureRandom + Sync),
    ) -> Result<Vec<u8>, AnyError> {
        match self {
            Self::Pair(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Command { command, .. } => Ok(run(command, message)?),
        }
    }
}

/// Runs `command` by the shell.
fn run(command: &str, message: &[u8]) -> Result<Vec<u8>, PublishError> {
    let failed = |why: String| PublishError::Signer { command: command.to_owned(), why };
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it all is judged by what it prints.
        stdin.write_all(message).ok();
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.trim();
    unhex(text)
        .filter(|bytes| !bytes.is_empty())
        .or_else(|| unbase64(text).filter(|bytes| bytes.len() >= 64))
        .ok_or_else(|| failed("printed no signature in hex or base64".to_owned()))
}

/// A public key as tools write it.
fn public_key(text: &[u8]) -> Option<Key> {
    let der = match std::str::from_utf8(text).map(str::trim) {
        Ok(pem) if pem.starts_with("-----BEGIN PUBLIC KEY-----") => {
            let body: Vec<_> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            unbase64(&body.join(""))?
        }
        Ok(digits) if digits.len() == 64 => [unhex(ED25519_DER)?, unhex(digits)?].concat(),
        _ => text.to_vec(),
    };
    let key = if let Some(raw) = der.strip_prefix(unhex(ED25519_DER)?.as_slice())
        && raw.len() == 32
    {
        json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": hex(raw) } })
    } else if der.len() == 91 && der.starts_with(&unhex(P256_DER)?) {
        let public = pem(&der);
        json!({ "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": { "public": public } })
    } else {
        return None;
    };
    serde_json::from_value(key).ok()
}

fn pem(der: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut body = String::new();
    for three in der.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[((bits >> (18 - 6 * place)) & 63) as usize];
            body.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_read_as_tools_write_them() {
        // RFC 8410, section 10.1.
        let pem = b"-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
            -----END PUBLIC KEY-----\n";
        let key = public_key(pem).expect("PEM");
        let digits = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        assert_eq!(public_key(digits.as_bytes()), Some(key.clone()));
        assert_eq!(
            public_key(&[&unhex(ED25519_DER).unwrap()[..], &unhex(digits).unwrap()].concat()),
            Some(key)
        );
        let mut p256 = unhex(P256_DER).unwrap();
        p256.extend([4; 65]);
        assert!(matches!(public_key(&p256), None | Some(Key::Ecdsa { .. })));
        for odd in [&b""[..], b"hello", &[0; 32], b"-----BEGIN PUBLIC KEY-----\n!\n"] {
            assert_eq!(public_key(odd), None);
        }
    }

    #[test]
    fn a_command_signs_by_what_it_prints() {
        let ones = "01".repeat(64);
        assert_eq!(run(&format!("cat >/dev/null; echo {ones}"), b"x").unwrap(), vec![1; 64]);
        let said = run("exit 3", b"x").unwrap_err().to_string();
        assert!(said.contains("exit 3") && said.contains('3'), "{said}");
        assert!(run("echo nonsense!", b"x").unwrap_err().to_string().contains("no signature"));
    }
}
