//! Numbers out of JSON that somebody else wrote.

use serde_json::Value;

/// The largest text that is looked at; deeper than 128 levels is refused by the parser.
pub(super) const BYTES_MAX: usize = 16 << 10;

/// Whether `text` is a JSON pointer, RFC 6901: empty for the whole, or names that each follow a `/`, in which `~` stands
/// as `~0` and `/` as `~1`.
pub fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && text.len() <= 256 && escapes
}

/// The value of a text of JSON.
///
/// # Errors
/// What is wrong with it, without any of it.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("{} bytes; {BYTES_MAX} at most are looked at", text.len()));
    }
    serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))
}

/// A number, a boolean as 0 or 1, or a number that stands in a string; within what an `f32` holds.
pub(super) fn number(value: &Value) -> Option<f32> {
    let number = match value {
        Value::Number(number) => number.as_f64()? as f32,
        Value::Bool(on) => f32::from(u8::from(*on)),
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_those_of_the_standard() {
        for good in ["", "/", "/a/0/b", "/a~1b", "/m~0n", "/ä"] {
            assert!(is_pointer(good), "{good}");
        }
        for bad in ["a", "a/b", "/a~", "/a~2", "#/a"] {
            assert!(!is_pointer(bad), "{bad}");
        }
    }

    #[test]
    fn numbers_are_what_devices_write_for_numbers() {
        let of = |text: &str| number(&serde_json::from_str(text).unwrap());
        assert_eq!((of("21.5"), of("-3"), of("\"21.5\"")), (Some(21.5), Some(-3.0), Some(21.5)));
        assert_eq!((of("true"), of("false")), (Some(1.0), Some(0.0)));
        for nothing in ["null", "\"ON\"", "[1]", "{}", "1e300", "\"inf\"", "\"NaN\""] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_is_hostile_is_refused() {
        assert!(parse(&vec![b' '; BYTES_MAX + 1]).unwrap_err().contains("16385 bytes"));
        assert!(parse("[".repeat(10_000).as_bytes()).unwrap_err().contains("recursion limit"));
        assert!(parse(b"\xff").is_err());
    }
}
