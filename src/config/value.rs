//! Single values of the file: each reader takes one TOML value and gives a typed one, or says why not.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::name::CredentialName;
use super::quantity::{Quantity, Span};
use super::suggest;

/// Why a value is refused.
pub(super) enum Bad {
    /// Of another type; holds the right one with its article: `a string`.
    Type(&'static str),
    /// Anything else, as a whole sentence.
    Says(String),
}

impl<E: std::error::Error> From<E> for Bad {
    fn from(error: E) -> Self {
        Self::Says(error.to_string())
    }
}

/// Any string.
pub(super) fn text<'a>(value: &'a DeValue<'a>) -> Result<&'a str, Bad> {
    value.as_str().ok_or(Bad::Type("a string"))
}

/// A string that `T` can be parsed from.
pub(super) fn parsed<'a, T>(value: &'a DeValue<'a>) -> Result<T, Bad>
where
    T: std::str::FromStr<Err: std::error::Error>,
{
    Ok(text(value)?.parse()?)
}

/// A string with a number and a unit; a bare number is told its unit.
pub(super) fn quantity<'a, Q: Quantity>(value: &'a DeValue<'a>) -> Result<Q, Bad> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => {
            let (number, unit) = (number.as_str(), Q::UNIT);
            Err(Bad::Says(format!("{number} has no unit; write it as \"{number} {unit}\"")))
        }
        _ => parsed(value),
    }
}

/// A whole number within `range`.
pub(super) fn whole<'a>(
    range: RangeInclusive<u32>,
) -> impl FnOnce(&'a DeValue<'a>) -> Result<u32, Bad> {
    move |value| {
        let number = value.as_integer().ok_or(Bad::Type("a whole number"))?;
        u32::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| {
                let (low, high) = (range.start(), range.end());
                let join = if high - low == 1 { "or" } else { "to" };
                Bad::Says(format!("must be {low} {join} {high}, is {number}"))
            })
    }
}

/// A list of different whole numbers within `range`.
pub(super) fn different<'a>(
    range: RangeInclusive<u32>,
) -> impl FnOnce(&'a DeValue<'a>) -> Result<Vec<u32>, Bad> {
    move |value| {
        let list = value.as_array().ok_or(Bad::Type("a list of whole numbers"))?;
        let mut numbers = Vec::with_capacity(list.len());
        for value in list {
            let number = whole(range.clone())(value.get_ref())?;
            if numbers.contains(&number) {
                return Err(Bad::Says(format!("has {number} twice")));
            }
            numbers.push(number);
        }
        Ok(numbers)
    }
}

/// A list, each item by `read`.
pub(super) fn list<'a, T>(
    read: impl Fn(&'a DeValue<'a>) -> Result<T, Bad>,
) -> impl Fn(&'a DeValue<'a>) -> Result<Vec<T>, Bad> {
    move |value| {
        let items = value.as_array().ok_or(Bad::Type("a list"))?;
        let each = |bad| match bad {
            Bad::Type(wanted) => Bad::Says(format!("each of it must be {wanted}")),
            other => other,
        };
        items.iter().map(|item| read(item.get_ref()).map_err(each)).collect()
    }
}

/// A time within both bounds.
pub(super) fn span<'a>(
    (low, high): (Duration, Duration),
) -> impl FnOnce(&'a toml::de::DeValue<'a>) -> Result<Duration, Bad> {
    move |value| {
        let time = quantity::<Span>(value)?.duration();
        if (low..=high).contains(&time) {
            return Ok(time);
        }
        let (low, high) = (humantime::format_duration(low), humantime::format_duration(high));
        Err(Bad::Says(format!("{:?} is not within {low} to {high}", text(value)?)))
    }
}

/// A finite number, whole or not.
pub(super) fn number<'a>(value: &'a DeValue<'a>) -> Result<f32, Bad> {
    let number = match value {
        DeValue::Float(number) => number.as_str().parse::<f32>().ok(),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n as f32)
        }
        _ => return Err(Bad::Type("a number")),
    };
    number.filter(|n| n.is_finite()).ok_or_else(|| Bad::Says("must be a finite number".into()))
}

/// `true` or `false`.
pub(super) fn boolean<'a>(value: &'a DeValue<'a>) -> Result<bool, Bad> {
    value.as_bool().ok_or(Bad::Type("true or false"))
}

/// One of `choices` by its word.
pub(super) fn one_of<'a, T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl FnOnce(&'a DeValue<'a>) -> Result<T, Bad> {
    move |value| {
        let word = text(value)?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
            return Ok(*choice);
        }
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        let near = match suggest::nearest(word, choices.iter().map(|(name, _)| *name)) {
            Some(near) => format!("; did you mean {near:?}?"),
            None => String::new(),
        };
        Err(Bad::Says(format!("{word:?} is not one of {}{near}", names.join(", "))))
    }
}

/// A path, relative to the folder of the configuration.
pub(super) fn path<'a>(base: &Path) -> impl FnOnce(&'a DeValue<'a>) -> Result<PathBuf, Bad> {
    move |value| {
        let text = text(value)?;
        let why = if text.trim().is_empty() {
            "must not be empty"
        } else if text.starts_with('~') {
            "`~` means nothing here; write the whole path"
        } else if text.contains('\0') {
            "a path cannot hold a NUL"
        } else {
            return Ok(base.join(text));
        };
        Err(Bad::Says(why.into()))
    }
}

/// `credential:NAME`. What else was written is never repeated: it may be the secret.
pub(super) fn credential<'a>(
    example: &'static str,
) -> impl FnOnce(&'a DeValue<'a>) -> Result<CredentialName, Bad> {
    move |value| {
        let Some(name) = value.as_str().and_then(|text| text.strip_prefix("credential:")) else {
            return Err(Bad::Says(format!(
                "a secret must not stand in the configuration; put it into a file \
                 /etc/edgerun/credentials/{example} that only edgerun's user can read, and write \
                 \"credential:{example}\""
            )));
        };
        name.parse().map_err(|_| {
            Bad::Says(format!(
                "the name of a credential is 1 to 64 letters, digits, `_` or `-`, as in \
                 \"credential:{example}\""
            ))
        })
    }
}
