//! `model/NAME/desired`: which version of a model an operator or a fleet tool wishes, and which of several
//! wishes counts. The one payload that comes from outside: everything in it is doubted.

use std::fmt;

use semver::Version;
use serde::{Deserialize, Deserializer};

/// The longest payload that is looked at.
pub const DESIRED_BYTES_MAX: usize = 4 << 10;

/// How much of a wrong version is repeated in a message about it.
const QUOTED_MAX: usize = 32;

/// How many characters of the parser's words are passed on.
const SAID_MAX: usize = 200;

/// A wish for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The version to run; `None`: whatever runs stays.
    pub version: Option<Version>,
    /// Whether a version below the one that runs is meant.
    pub allow_downgrade: bool,
}

/// A payload that is no wish; says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotDesired(String);

impl Desired {
    /// Reads a payload: a JSON object with `version`, and `allow_downgrade` where it is meant. Other keys are
    /// ignored.
    ///
    /// # Errors
    /// When it is longer than [`DESIRED_BYTES_MAX`] or is anything else.
    pub fn parse(payload: &[u8]) -> Result<Self, NotDesired> {
        if payload.len() > DESIRED_BYTES_MAX {
            let bytes = payload.len();
            return Err(NotDesired(format!(
                "{bytes} bytes are no wish: at most {DESIRED_BYTES_MAX} are read"
            )));
        }
        // The derived code would take a list for an object.
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return Err(NotDesired(format!("no JSON object; {EXAMPLE}")));
        }
        let raw: Raw = serde_json::from_slice(payload).map_err(|error| {
            // It may repeat a value of the payload, whole.
            let said: String = error.to_string().chars().take(SAID_MAX).collect();
            NotDesired(format!("{said}; {EXAMPLE}"))
        })?;
        Ok(Self { version: raw.version, allow_downgrade: raw.allow_downgrade })
    }
}

impl fmt::Display for Desired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            None => f.write_str("what runs"),
            Some(version) if self.allow_downgrade => write!(f, "{version} (or back to it)"),
            Some(version) => write!(f, "{version}"),
        }
    }
}

const EXAMPLE: &str = r#"a wish is {"version":"1.3.0"}, or {"version":null} to keep what runs"#;

#[derive(Deserialize)]
struct Raw {
    // With a function of its own the key must be there, also where it is null.
    #[serde(deserialize_with = "version")]
    version: Option<Version>,
    #[serde(default)]
    allow_downgrade: bool,
}

fn version<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Version>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    text.parse().map(Some).map_err(|error| {
        let quoted: String = text.chars().take(QUOTED_MAX).collect();
        serde::de::Error::custom(format_args!("{quoted:?} is no version ({error})"))
    })
}

/// What one topic says.
pub type Said = Result<Desired, NotDesired>;

/// The wish that counts among all those for a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// The wish; `None`: nothing is wished, and what runs stays.
    pub desired: Option<Desired>,
    /// What somebody should be told: a payload that is no wish, or groups that wish different things.
    pub remark: Option<String>,
}

/// The device's own topic wins, also where it says to keep what runs; then the first of `groups` that says
/// anything, in the order given. Where the winner cannot be read nothing is wished: the next one may be just
/// what it was to prevent.
pub fn effective(device: Option<&Said>, groups: &[(&str, &Said)]) -> Effective {
    match device {
        Some(Ok(desired)) => return Effective { desired: Some(desired.clone()), remark: None },
        Some(Err(error)) => {
            return Effective {
                desired: None,
                remark: Some(format!("this device's wish: {error}")),
            };
        }
        None => {}
    }
    let Some(((first, said), others)) = groups.split_first() else { return Effective::default() };
    let desired = match said {
        Ok(desired) => desired,
        Err(error) => {
            let remark = Some(format!("the wish of group {first}: {error}"));
            return Effective { desired: None, remark };
        }
    };
    let remark = others.iter().find_map(|(group, said)| match said {
        Ok(other) if other == desired => None,
        Ok(other) => Some(format!(
            "group {first} wishes {desired} and group {group} {other}: {first} counts, since it stands \
             first in [device] groups"
        )),
        Err(error) => Some(format!("the wish of group {group}: {error}")),
    });
    Effective { desired: Some(desired.clone()), remark }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrong(payload: &str) -> String {
        Desired::parse(payload.as_bytes()).unwrap_err().to_string()
    }

    fn wish(version: &str) -> Said {
        Desired::parse(format!("{{\"version\":\"{version}\"}}").as_bytes())
    }

    #[test]
    fn a_version_a_meant_downgrade_and_no_wish_are_told_apart() {
        let parsed = |payload: &str| Desired::parse(payload.as_bytes()).unwrap();
        let version = Some(Version::new(1, 3, 0));
        let plain = Desired { version: version.clone(), allow_downgrade: false };
        assert_eq!(parsed(r#"{"version":"1.3.0"}"#), plain);
        assert_eq!(
            parsed(" {\"version\":\"1.3.0\",\"by\":{\"new\":[1]}}\n"),
            plain,
            "unknown keys"
        );
        assert_eq!(
            parsed(r#"{"version":"1.3.0","allow_downgrade":true}"#),
            Desired { version, allow_downgrade: true }
        );
        assert_eq!(
            parsed(r#"{"version":null}"#),
            Desired { version: None, allow_downgrade: false }
        );
    }

    #[test]
    fn what_is_no_wish_says_why_and_shows_one() {
        for (payload, why) in [
            ("", "no JSON object"),
            (r#"["1.3.0",true]"#, "no JSON object"),
            ("{", "EOF while parsing"),
            ("{}", "missing field `version`"),
            (r#"{"version":"1.3"}"#, "\"1.3\" is no version (unexpected end"),
            (r#"{"version":1.3}"#, "invalid type: floating point `1.3`, expected a string"),
            (r#"{"version":"1.3.0","version":null}"#, "duplicate field `version`"),
            (r#"{"version":"1.3.0","allow_downgrade":"yes"}"#, "expected a boolean"),
            (r#"{"version":"1.3.0"} {}"#, "trailing characters"),
        ] {
            let said = wrong(payload);
            assert!(said.contains(why) && said.ends_with(EXAMPLE), "{payload}: {said}");
        }
    }

    #[test]
    fn long_and_deep_payloads_are_refused_in_few_words() {
        let long = format!("{{\"version\":\"{}\"}}", "1".repeat(DESIRED_BYTES_MAX - 14));
        assert_eq!(long.len(), DESIRED_BYTES_MAX);
        assert!(wrong(&long).len() < 300, "{}", wrong(&long));
        assert_eq!(wrong(&format!("{long} ")), "4097 bytes are no wish: at most 4096 are read");
        let odd = format!("{{\"version\":null,\"allow_downgrade\":\"{}\"}}", "\u{7f}".repeat(4000));
        assert!(wrong(&odd).len() < 1000, "{}", wrong(&odd));
        let deep = format!("{{\"x\":{}", "[".repeat(4000));
        assert!(wrong(&deep).contains("recursion limit") || wrong(&deep).contains("EOF"));
    }

    #[test]
    fn the_device_s_own_wish_wins_also_where_it_is_to_keep_what_runs() {
        let (own, group) = (wish("1.0.0"), wish("2.0.0"));
        let keep = Desired::parse(br#"{"version":null}"#);
        for device in [own, keep] {
            let counts = effective(Some(&device), &[("line-3", &group)]);
            assert_eq!(counts, Effective { desired: device.ok(), remark: None });
        }
        assert_eq!(effective(None, &[("line-3", &group)]).desired, group.ok());
        assert_eq!(effective(None, &[]), Effective::default());
    }

    #[test]
    fn the_first_group_wins_and_a_different_wish_of_another_is_said() {
        let (one, two) = (wish("1.0.0"), wish("2.0.0"));
        let agreed = effective(None, &[("a", &one), ("b", &one)]);
        assert_eq!(agreed, Effective { desired: one.clone().ok(), remark: None });
        let torn = effective(None, &[("b", &two), ("c", &two), ("a", &one)]);
        assert_eq!(torn.desired, two.ok());
        assert_eq!(
            torn.remark.as_deref(),
            Some(
                "group b wishes 2.0.0 and group a 1.0.0: b counts, since it stands first in [device] \
                 groups"
            )
        );
    }

    #[test]
    fn a_wish_that_cannot_be_read_gives_way_to_none_below_it() {
        let (bad, good) = (Desired::parse(b"{}"), wish("1.0.0"));
        for counts in
            [effective(Some(&bad), &[("a", &good)]), effective(None, &[("a", &bad), ("b", &good)])]
        {
            assert_eq!(counts.desired, None);
            assert!(counts.remark.unwrap().contains("missing field `version`"));
        }
        let below = effective(None, &[("a", &good), ("b", &bad)]);
        assert_eq!(below.desired, good.ok());
        assert!(below.remark.unwrap().starts_with("the wish of group b: missing field"));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_complaints_are_short(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Err(error) = Desired::parse(&payload) {
                prop_assert!(error.to_string().len() < 600);
            }
        }

        #[test]
        fn neither_does_what_is_nearly_right(
            version in "\\PC{0,12}|[0-9.]{0,12}",
            rest in "[\\[\\]{}:,\" a-z0-9]{0,60}",
            cut in 0usize..80,
        ) {
            let mut payload = format!("{{\"version\":\"{version}\",{rest}}}").into_bytes();
            payload.truncate(cut);
            if let Ok(desired) = Desired::parse(&payload) {
                prop_assert_eq!(desired.version.map(|version| version.to_string()), Some(version));
            }
        }
    }
}
