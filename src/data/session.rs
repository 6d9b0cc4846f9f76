//! The name of one run of the daemon.

use std::fmt;
use std::sync::Arc;

/// 128 random bits in hexadecimal, drawn once a start. A stale last will and a message of an earlier
/// run are told from the present ones by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session(Arc<str>);

impl Session {
    /// The session that `bits` name; the caller draws them from the operating system.
    pub fn from_bits(bits: [u8; 16]) -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(32);
        for byte in bits {
            // Writing to a String cannot fail.
            write!(text, "{byte:02x}").ok();
        }
        Self(text.into())
    }

    /// 32 lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_32_hexadecimal_digits() {
        let session = Session::from_bits([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(session.as_str(), "000102030405060708090a0b0c0d0eff");
    }
}
