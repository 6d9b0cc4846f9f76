//! Lines of text as rows of numbers.

use super::json;

/// How a line is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Numbers between commas, semicolons or blanks; for each channel its column, 0 for the first.
    Columns(Vec<usize>),
    /// A JSON value; for each channel a pointer into it.
    Json(Vec<String>),
}

impl Format {
    /// Appends a line's values, NaN for one that is missing.
    ///
    /// # Errors
    /// When it holds no number of ours; what is wrong with it.
    pub(super) fn read(&self, line: &[u8], values: &mut Vec<f32>) -> Result<(), String> {
        let before = values.len();
        let read = self.append(line, values);
        let none = values[before..].iter().all(|value| value.is_nan());
        let read =
            read.and_then(|()| if none { Err("no number in it".to_owned()) } else { Ok(()) });
        if read.is_err() {
            values.truncate(before);
        }
        read
    }

    fn append(&self, line: &[u8], values: &mut Vec<f32>) -> Result<(), String> {
        match self {
            Self::Json(pointers) => {
                let value = json::parse(line)?;
                let of = |pointer: &String| value.pointer(pointer).and_then(json::number);
                values.extend(pointers.iter().map(|pointer| of(pointer).unwrap_or(f32::NAN)));
                Ok(())
            }
            Self::Columns(columns) => {
                let text = std::str::from_utf8(line).map_err(|_| "no text".to_owned())?;
                let has_marks = text.contains([',', ';']);
                let parts: Vec<&str> = match has_marks {
                    true => text.split([',', ';']).map(str::trim).collect(),
                    false => text.split_whitespace().collect(),
                };
                for column in columns {
                    let Some(part) = parts.get(*column) else {
                        return Err(format!(
                            "{} columns, where column {} is wanted",
                            parts.len(),
                            column + 1
                        ));
                    };
                    values.push(match part.parse::<f32>() {
                        Ok(number) if number.is_finite() => number,
                        _ if part.is_empty() || part.eq_ignore_ascii_case("nan") => f32::NAN,
                        _ => return Err(format!("column {} is no number", column + 1)),
                    });
                }
                Ok(())
            }
        }
    }
}

/// Bytes of one line that are looked at.
const LINE_MAX: usize = 4096;

/// Puts lines together from pieces; one that is too long is left out.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Calls `each` for every line that `bytes` completes, without its end; `None` for one that is too long.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Option<&[u8]>)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.too_long |= self.line.len() + text.len() > LINE_MAX;
            if !self.too_long {
                self.line.extend_from_slice(text);
            }
            if ends {
                let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
                each((!self.too_long).then_some(line));
                self.line.clear();
                self.too_long = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(format: &Format, line: &str) -> Result<Vec<Option<f32>>, String> {
        let mut values = vec![9.0];
        format.read(line.as_bytes(), &mut values)?;
        Ok(values[1..].iter().map(|value| (!value.is_nan()).then_some(*value)).collect())
    }

    #[test]
    fn columns_stand_between_commas_semicolons_or_blanks() {
        let format = Format::Columns(vec![2, 0]);
        for line in ["1,x,3", "1; x ;3", "1 x 3", "  1\tx  3 "] {
            assert_eq!(row(&format, line), Ok(vec![Some(3.0), Some(1.0)]), "{line}");
        }
        assert_eq!(row(&format, "1,x,"), Ok(vec![None, Some(1.0)]));
        assert_eq!(row(&format, "1,x"), Err("2 columns, where column 3 is wanted".to_owned()));
        assert_eq!(row(&format, "a,x,3"), Err("column 1 is no number".to_owned()));
        assert_eq!(row(&Format::Columns(vec![0]), "21.5"), Ok(vec![Some(21.5)]));
        assert!(row(&Format::Columns(vec![0]), "").is_err());
        assert!(row(&Format::Columns(vec![0]), "1e99").is_err());
    }

    #[test]
    fn json_is_looked_into_by_pointers() {
        let format = Format::Json(vec!["/t".to_owned(), "/in/0".to_owned()]);
        assert_eq!(row(&format, r#"{"t":1.5,"in":[2]}"#), Ok(vec![Some(1.5), Some(2.0)]));
        assert_eq!(row(&format, r#"{"t":1.5}"#), Ok(vec![Some(1.5), None]));
        assert_eq!(row(&format, "{}"), Err("no number in it".to_owned()));
        assert!(row(&format, "{").is_err());
    }

    #[test]
    fn lines_come_in_pieces_and_one_without_an_end_takes_no_memory() {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        let mut push = |bytes: &[u8]| {
            lines.push(bytes, |line| {
                seen.push(line.map(|line| String::from_utf8_lossy(line).into_owned()))
            });
            lines.line.len()
        };
        push(b"1\n2");
        push(b"3\r\n\n");
        for _ in 0..100 {
            assert!(push(&[b'x'; 1000]) <= LINE_MAX);
        }
        push(b"\n4\n");
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(seen, [text("1"), text("23"), text(""), None, text("4")]);
    }
}
