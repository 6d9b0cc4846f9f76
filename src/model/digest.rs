//! SHA-256 of a bundle file: what names it, wherever it lies.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::release::hex;

/// SHA-256 in 64 lower-case hex digits; safe as a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text is not 64 lower-case hex digits.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no SHA-256 in 64 lower-case hex digits")]
pub struct NoDigest(String);

impl Digest {
    /// The digest with these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hex(bytes))
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits: enough for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl TryFrom<String> for Digest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() == 64 && text.bytes().all(hex) { Ok(Self(text)) } else { Err(NoDigest(text)) }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_are_digests() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(Digest::try_from(good.clone()).unwrap().as_str(), good);
        for bad in ["", "../../etc/passwd", &good[1..], &good.to_uppercase(), &format!("{good}0")] {
            assert!(Digest::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
