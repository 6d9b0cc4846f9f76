//! Quantities as strings with units: `"100 Hz"`, `"4 g"`, `"2000 dps"`, `"30 s"`, `"64 MiB"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a string is not the quantity that was asked for, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// No number, or another unit.
    #[error("{text:?} is not {what}; write it as {fix:?}")]
    NotOne {
        /// What was written.
        text: String,
        /// With its article: `a rate`.
        what: &'static str,
        /// The same number with a right unit where that can be, otherwise an example.
        fix: String,
    },
    /// A right unit, but a value that cannot be.
    #[error("{text:?} is outside {low} to {high}")]
    Outside {
        /// What was written.
        text: String,
        /// Smallest.
        low: String,
        /// Largest.
        high: String,
    },
    /// A right unit, but the chip has only some values.
    #[error("{text:?} is not a range of this chip; it has {choices}")]
    NotOffered {
        /// What was written.
        text: String,
        /// Those it has.
        choices: &'static str,
    },
}

/// A quantity that configuration gives as a string with its unit.
pub trait Quantity: FromStr<Err = QuantityError> {
    /// With its article: `a rate`.
    const WHAT: &'static str;
    /// The usual unit, which a bare number is told to carry.
    const UNIT: &'static str;
    /// A good one, whole.
    const EXAMPLE: &'static str;
}

/// Samples a second: `"100 Hz"`, `"0.5 Hz"`, `"1 kHz"`; 0.001 Hz to 100 kHz.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    const LOW: f64 = 0.001;
    const HIGH: f64 = 100_000.0;

    /// In Hz; finite and above zero.
    pub fn hz(self) -> f64 {
        self.0
    }
}

impl Quantity for Rate {
    const WHAT: &'static str = "a rate";
    const UNIT: &'static str = "Hz";
    const EXAMPLE: &'static str = "100 Hz";
}

impl FromStr for Rate {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let hz = scaled::<Self>(text, &[("Hz", 1.0), ("kHz", 1e3)])?;
        if !(Self::LOW..=Self::HIGH).contains(&hz) {
            return Err(outside(text, "0.001 Hz", "100 kHz"));
        }
        Ok(Self(hz))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// A bus's clock: `"1 MHz"`, `"400 kHz"`; 1 Hz to 100 MHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency(u32);

impl Frequency {
    /// In Hz.
    pub fn hz(self) -> u32 {
        self.0
    }
}

impl Quantity for Frequency {
    const WHAT: &'static str = "a frequency";
    const UNIT: &'static str = "MHz";
    const EXAMPLE: &'static str = "1 MHz";
}

impl FromStr for Frequency {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let hz = scaled::<Self>(text, &[("Hz", 1.0), ("kHz", 1e3), ("MHz", 1e6)])?;
        if !(1.0..=1e8).contains(&hz) {
            return Err(outside(text, "1 Hz", "100 MHz"));
        }
        Ok(Self(hz.round() as u32))
    }
}

/// A voltage: `"2.048 V"`, `"512 mV"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Voltage(f64);

impl Voltage {
    /// In thousandths of a volt, rounded; 0 to 65535.
    pub fn millivolts(self) -> u16 {
        (self.0 * 1000.0).round() as u16
    }
}

impl Quantity for Voltage {
    const WHAT: &'static str = "a voltage";
    const UNIT: &'static str = "V";
    const EXAMPLE: &'static str = "2.048 V";
}

impl FromStr for Voltage {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let volts = scaled::<Self>(text, &[("V", 1.0), ("mV", 1e-3)])?;
        if !(0.0..=65.0).contains(&volts) {
            return Err(outside(text, "0 V", "65 V"));
        }
        Ok(Self(volts))
    }
}

/// Full scale of an accelerometer of the MPU-6050 family: `"2 g"`, `"4 g"`, `"8 g"`, `"16 g"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccelRange(u8);

impl AccelRange {
    /// In g: 2, 4, 8 or 16; the scale goes from minus this to plus this.
    pub fn g(self) -> u8 {
        self.0
    }
}

impl Default for AccelRange {
    /// 4 g: what people's movements stay within.
    fn default() -> Self {
        Self(4)
    }
}

impl Quantity for AccelRange {
    const WHAT: &'static str = "an acceleration";
    const UNIT: &'static str = "g";
    const EXAMPLE: &'static str = "4 g";
}

impl FromStr for AccelRange {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let g = scaled::<Self>(text, &[("g", 1.0)])?;
        [2, 4, 8, 16].into_iter().find(|r| f64::from(*r) == g).map(Self).ok_or_else(|| {
            QuantityError::NotOffered { text: text.into(), choices: "2 g, 4 g, 8 g and 16 g" }
        })
    }
}

/// Full scale of a gyroscope of the MPU-6050 family: `"250 dps"`, `"500 dps"`, `"1000 dps"`,
/// `"2000 dps"` (degrees a second).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GyroRange(u16);

impl GyroRange {
    /// In degrees a second: 250, 500, 1000 or 2000; the scale goes from minus this to plus this.
    pub fn dps(self) -> u16 {
        self.0
    }
}

impl Default for GyroRange {
    /// 2000 dps: nothing that a hand can do clips.
    fn default() -> Self {
        Self(2000)
    }
}

impl Quantity for GyroRange {
    const WHAT: &'static str = "a rate of turn";
    const UNIT: &'static str = "dps";
    const EXAMPLE: &'static str = "2000 dps";
}

impl FromStr for GyroRange {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let dps = scaled::<Self>(text, &[("dps", 1.0)])?;
        [250, 500, 1000, 2000].into_iter().find(|r| f64::from(*r) == dps).map(Self).ok_or_else(
            || QuantityError::NotOffered {
                text: text.into(),
                choices: "250 dps, 500 dps, 1000 dps and 2000 dps",
            },
        )
    }
}

/// An amount of memory: `"512 B"`, `"64 MiB"` (powers of 1024), `"10 MB"` (powers of 1000).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    const UNITS: [(&'static str, f64); 7] = [
        ("B", 1.0),
        ("KiB", 1024.0),
        ("MiB", 1024.0 * 1024.0),
        ("GiB", 1024.0 * 1024.0 * 1024.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
    ];

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Quantity for ByteSize {
    const WHAT: &'static str = "a size";
    const UNIT: &'static str = "MiB";
    const EXAMPLE: &'static str = "64 MiB";
}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bytes = scaled::<Self>(text, &Self::UNITS)?;
        // Beyond 2^50 an f64 still holds every whole byte, and no board holds so much.
        if bytes > (1_u64 << 50) as f64 {
            return Err(outside(text, "0 B", "1048576 GiB"));
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
            .into_iter()
            .map(|(unit, shift)| (unit, 1_u64 << shift))
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
            .unwrap_or(("B", 1));
        write!(f, "{} {unit}", self.0 / size)
    }
}

/// A span of time as people write it: `"30 s"`, `"1 h"`, `"1 h 30 min"`, `"250 ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// As the standard library's type.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl Quantity for Span {
    const WHAT: &'static str = "a duration";
    const UNIT: &'static str = "s";
    const EXAMPLE: &'static str = "30 s";
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        humantime::parse_duration(text).map(Self).map_err(|_| not_one::<Self>(text, &[]))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// The number in front and the rest without spaces. Digits and one point only: no sign, exponent,
/// infinity or NaN is a quantity that anybody means.
fn split(text: &str) -> Option<(&str, f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    let value = number.parse::<f64>().ok().filter(|v| v.is_finite())?;
    Some((number, value, unit.trim_start()))
}

fn scaled<Q: Quantity>(text: &str, units: &[(&str, f64)]) -> Result<f64, QuantityError> {
    split(text)
        .and_then(|(_, value, unit)| {
            units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| value * scale)
        })
        .ok_or_else(|| not_one::<Q>(text, units))
}

fn not_one<Q: Quantity>(text: &str, units: &[(&str, f64)]) -> QuantityError {
    let fix = split(text).map(|(number, _, unit)| {
        let unit = units
            .iter()
            .map(|(name, _)| *name)
            .find(|name| name.eq_ignore_ascii_case(unit))
            .unwrap_or(Q::UNIT);
        format!("{number} {unit}")
    });
    // Its number may be outside what there is.
    let fix = fix.filter(|fix| fix.parse::<Q>().is_ok());
    let fix = fix.unwrap_or_else(|| Q::EXAMPLE.to_owned());
    QuantityError::NotOne { text: text.into(), what: Q::WHAT, fix }
}

fn outside(text: &str, low: &str, high: &str) -> QuantityError {
    QuantityError::Outside { text: text.into(), low: low.into(), high: high.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn says<Q: Quantity + fmt::Debug>(text: &str) -> String {
        text.parse::<Q>().unwrap_err().to_string()
    }

    #[test]
    fn rates_carry_hz_or_khz() {
        let hz = |text: &str| text.parse::<Rate>().map(Rate::hz);
        assert_eq!(hz("100 Hz"), Ok(100.0));
        assert_eq!(hz("100Hz"), Ok(100.0));
        assert_eq!(hz("0.5 Hz"), Ok(0.5));
        assert_eq!(hz("1.6 kHz"), Ok(1600.0));
    }

    #[test]
    fn frequencies_carry_hz_khz_or_mhz() {
        let hz = |text: &str| text.parse::<Frequency>().map(Frequency::hz);
        assert_eq!([hz("1 MHz"), hz("400kHz")], [Ok(1_000_000), Ok(400_000)]);
        assert_eq!(
            says::<Frequency>("1 mhz"),
            "\"1 mhz\" is not a frequency; write it as \"1 MHz\""
        );
        assert_eq!(says::<Frequency>("0 Hz"), "\"0 Hz\" is outside 1 Hz to 100 MHz");
    }

    #[test]
    fn wrong_rates_say_what_to_write() {
        let fix = |text: &str, fix: &str| {
            let message = format!("{text:?} is not a rate; write it as {fix:?}");
            assert_eq!(says::<Rate>(text), message);
        };
        fix("100 Hx", "100 Hz");
        fix("100", "100 Hz");
        fix("1 khz", "1 kHz");
        fix("fast", "100 Hz");
        fix("101 KhZ", "100 Hz");
        fix("", "100 Hz");
        fix("-5 Hz", "100 Hz");
        fix("1e3 Hz", "1 Hz");
        fix("1..2 Hz", "100 Hz");
        fix("inf Hz", "100 Hz");
        assert_eq!(says::<Rate>("0 Hz"), "\"0 Hz\" is outside 0.001 Hz to 100 kHz");
        assert_eq!(says::<Rate>("1000000 kHz"), "\"1000000 kHz\" is outside 0.001 Hz to 100 kHz");
    }

    #[test]
    fn chip_ranges_are_those_of_the_data_sheet() {
        assert_eq!("4 g".parse::<AccelRange>().unwrap().g(), 4);
        assert_eq!("2000 dps".parse::<GyroRange>().unwrap().dps(), 2000);
        assert_eq!(
            says::<AccelRange>("3 g"),
            "\"3 g\" is not a range of this chip; it has 2 g, 4 g, 8 g and 16 g"
        );
        assert_eq!(
            says::<GyroRange>("2000 deg/s"),
            "\"2000 deg/s\" is not a rate of turn; write it as \"2000 dps\""
        );
    }

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        assert_eq!("64 MiB".parse::<ByteSize>().unwrap().bytes(), 64 << 20);
        assert_eq!("1.5 KiB".parse::<ByteSize>().unwrap().bytes(), 1536);
        assert_eq!("10 MB".parse::<ByteSize>().unwrap().bytes(), 10_000_000);
        assert_eq!(says::<ByteSize>("64 mib"), "\"64 mib\" is not a size; write it as \"64 MiB\"");
        assert_eq!("1 h 30 min".parse::<Span>().unwrap().duration(), Duration::from_secs(5400));
        assert_eq!(says::<Span>("30"), "\"30\" is not a duration; write it as \"30 s\"");
        assert_eq!(says::<Span>("soon"), "\"soon\" is not a duration; write it as \"30 s\"");
    }

    proptest! {
        #[test]
        fn any_text_is_a_quantity_or_a_message(text in "\\PC{0,24}") {
            for error in [
                text.parse::<Rate>().err(),
                text.parse::<AccelRange>().err(),
                text.parse::<GyroRange>().err(),
                text.parse::<ByteSize>().err(),
                text.parse::<Span>().err(),
            ] {
                let quoted = format!("{text:?}");
                let named = error.is_none_or(|e| e.to_string().contains(&quoted));
                prop_assert!(named);
            }
        }

        #[test]
        fn what_a_message_says_to_write_can_be_written(
            number in 1_u32..1000, unit in "[A-Za-z/]{0,5}"
        ) {
            let text = format!("{number} {unit}");
            if let Err(QuantityError::NotOne { fix, .. }) = text.parse::<Rate>() {
                prop_assert!(fix.parse::<Rate>().is_ok());
            }
            if let Err(QuantityError::NotOne { fix, .. }) = text.parse::<ByteSize>() {
                prop_assert!(fix.parse::<ByteSize>().is_ok());
            }
            if let Err(QuantityError::NotOne { fix, .. }) = text.parse::<Span>() {
                prop_assert!(fix.parse::<Span>().is_ok());
            }
        }

        #[test]
        fn rates_sizes_and_durations_survive_being_written(
            hz in Rate::LOW..Rate::HIGH, bytes in 0_u64..1 << 50, millis in 0_u64..1 << 40
        ) {
            prop_assert_eq!(Rate(hz).to_string().parse(), Ok(Rate(hz)));
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
            let span = Span(Duration::from_millis(millis));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
