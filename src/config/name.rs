//! Names that become parts of topics, paths and URLs: one narrow pattern, one newtype for each use.

use std::fmt;
use std::str::FromStr;

/// A string that cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a name: 1 to 64 letters, digits, `_` or `-`; write it as {fix:?}")]
pub struct NameError {
    text: String,
    fix: String,
}

/// Longest name, in bytes.
pub(super) const LENGTH_MAX: usize = 64;

/// Whether `text` is `[A-Za-z0-9_-]{1,64}`.
fn is_name(text: &str) -> bool {
    (1..=LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// `text` with what a name cannot hold replaced by `-`, cut to `length` bytes; empty where nothing
/// of it is left.
pub(super) fn tidy(text: &str, length: usize) -> String {
    let tidied: String = text
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(length)
        .collect();
    tidied.trim_matches('-').to_owned()
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name itself, `[A-Za-z0-9_-]{1,64}`: safe in a topic, a path and a URL.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_name(text) {
                    return Ok(Self(text.to_owned()));
                }
                let tidied = tidy(text, LENGTH_MAX);
                let fix = if tidied.is_empty() { $example.to_owned() } else { tidied };
                Err(NameError { text: text.to_owned(), fix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// What the board is called on the broker.
    DeviceId, "bench-07";
    /// A fleet group.
    GroupName, "line-3";
    /// A sensor of this board.
    SensorName, "imu";
    /// A pipeline of this board.
    PipelineName, "gestures";
    /// A credential: the name of its file.
    CredentialName, "mqtt-password";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_leave_a_topic_or_a_folder_is_not_a_name() {
        for bad in ["", "..", "a/b", "a+b", "#", "a b", "ä", "a\n", "a\0", &"x".repeat(65)] {
            assert!(bad.parse::<DeviceId>().is_err(), "{bad:?}");
        }
        for good in ["a", "A_b-9", &"x".repeat(64)] {
            assert_eq!(good.parse::<DeviceId>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn message_shows_a_name_that_would_do() {
        let says = |text: &str| text.parse::<DeviceId>().unwrap_err().to_string();
        assert_eq!(
            says("bench 07"),
            "\"bench 07\" is not a name: 1 to 64 letters, digits, `_` or `-`; write it as \"bench-07\""
        );
        assert!(says("").ends_with("write it as \"bench-07\""));
    }

    proptest! {
        #[test]
        fn the_name_that_a_message_proposes_is_one(text in "\\PC{0,80}") {
            if let Err(NameError { fix, .. }) = text.parse::<SensorName>() {
                prop_assert!(fix.parse::<SensorName>().is_ok(), "{fix:?}");
            }
        }
    }
}
