//! What a new version must keep to beside the one that serves: `[update]` of a manifest, and the same of a board.

use std::time::Duration;

use serde::Deserialize;

use super::manifest::ManifestError;

/// Most live windows of a comparison.
pub const WINDOWS_MAX: u32 = 100_000;

/// Limits of the comparison on live windows; `None` where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateLimits {
    /// Live windows that both versions run before the new one takes over; 0 for none.
    pub windows: Option<u32>,
    /// The least share of them on which both must find the same, 0 to 1.
    pub agreement: Option<f32>,
    /// Regression: values agree within this share of the one that serves, at least of 1.
    pub within: Option<f32>,
    /// Processor time that a window may take; never more than until the next one is due.
    pub latency: Option<Duration>,
}

/// As the manifest writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    windows: Option<u32>,
    agreement: Option<f32>,
    within: Option<f32>,
    latency: Option<String>,
}

impl UpdateLimits {
    /// Each limit that is said here, otherwise that of `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            windows: self.windows.or(other.windows),
            agreement: self.agreement.or(other.agreement),
            within: self.within.or(other.within),
            latency: self.latency.or(other.latency),
        }
    }

    pub(super) fn checked(raw: Raw) -> Result<Self, ManifestError> {
        let wrong = |key: &str, why: String| {
            Err(ManifestError::Value { key: format!("update.{key}"), why })
        };
        let Raw { windows, agreement, within, latency } = raw;
        if let Some(windows) = windows.filter(|windows| *windows > WINDOWS_MAX) {
            return wrong("windows", format!("must be 0..={WINDOWS_MAX}, is {windows}"));
        }
        if let Some(share) = agreement.filter(|share| !(0.0..=1.0).contains(share)) {
            return wrong("agreement", format!("must be 0 to 1, is {share}"));
        }
        if let Some(share) = within.filter(|share| !(*share >= 0.0 && share.is_finite())) {
            return wrong("within", format!("must be 0 or above, is {share}"));
        }
        let latency = match latency {
            None => None,
            Some(text) => match duration(&text) {
                Some(latency) => Some(latency),
                None => {
                    return wrong("latency", format!("{text:?} is not a time such as \"20 ms\""));
                }
            },
        };
        Ok(Self { windows, agreement, within, latency })
    }
}

/// A time above 0 and of at most an hour, in ms or s.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.trim().parse::<f64>().ok()? * unit;
    (1e-6..=3600.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<UpdateLimits, String> {
        let raw: Raw = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        UpdateLimits::checked(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn a_publisher_says_as_much_as_they_want() {
        assert_eq!(read(""), Ok(UpdateLimits::default()));
        let all =
            read("windows = 50\nagreement = 0.9\nwithin = 0.05\nlatency = \"2.5 ms\"").unwrap();
        let wanted = UpdateLimits {
            windows: Some(50),
            agreement: Some(0.9),
            within: Some(0.05),
            latency: Some(Duration::from_micros(2500)),
        };
        assert_eq!(all, wanted);
        assert_eq!(read("latency = \"1s\"").unwrap().latency, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_limit_that_means_nothing_names_its_key() {
        for (text, why) in [
            ("windows = 100001", "update.windows: must be 0..=100000, is 100001"),
            ("agreement = 90.0", "update.agreement: must be 0 to 1, is 90"),
            ("agreement = nan", "update.agreement: must be 0 to 1, is NaN"),
            ("within = -0.1", "update.within: must be 0 or above, is -0.1"),
            ("within = inf", "update.within: must be 0 or above, is inf"),
            ("latency = \"20\"", "update.latency: \"20\" is not a time such as \"20 ms\""),
            ("latency = \"0 s\"", "update.latency: \"0 s\" is not a time such as \"20 ms\""),
            ("latency = \"nan s\"", "update.latency: \"nan s\" is not a time such as \"20 ms\""),
            (
                "latency = \"1e300 s\"",
                "update.latency: \"1e300 s\" is not a time such as \"20 ms\"",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), why);
        }
        assert!(read("speed = 1").unwrap_err().contains("unknown field `speed`"));
    }

    #[test]
    fn each_limit_is_the_first_that_was_said() {
        let board = UpdateLimits { agreement: Some(0.5), ..UpdateLimits::default() };
        let bundle = read("windows = 7\nagreement = 0.9").unwrap();
        let both = board.or(bundle);
        assert_eq!((both.windows, both.agreement, both.within), (Some(7), Some(0.5), None));
    }
}
