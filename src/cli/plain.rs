//! Text of others on a terminal: nothing in it may steer the terminal or pass itself off as something else.

use serde_json::Value;

/// Whether a terminal shows `c` as what it is. Controls (C0 and C1) steer it; marks of direction and what has no
/// width have text look like other text.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// `text` with anything else written as an escape.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) { shown.push(c) } else { shown.extend(c.escape_unicode()) }
    }
    shown
}

/// The same, at most `width` characters of it.
pub(crate) fn short(text: &str, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    // Enough of it for the width, whatever is written as an escape.
    let begin: String = text.chars().take(width + 1).collect();
    let shown = plain(&begin);
    if shown.chars().count() <= width {
        return shown;
    }
    let cut: String = shown.chars().take(width.saturating_sub(1)).collect();
    cut + "…"
}

/// One line of JSON that is plain, and still the same JSON: such characters stand in strings only.
pub(crate) fn json_line(value: &Value) -> String {
    json(&value.to_string())
}

/// The same over several lines.
pub(crate) fn json_lines(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    text.split('\n').map(json).collect::<Vec<_>>().join("\n")
}

fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn nothing_of_it_steers_a_terminal() {
        assert_eq!(plain("größe 36,5 °C"), "größe 36,5 °C");
        assert_eq!(plain("\x1b[2J\u{9b}1m\r\n"), "\\u{1b}[2J\\u{9b}1m\\u{d}\\u{a}");
        assert_eq!(plain("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(short("\x1b[2J", 6), "\\u{1b…");
        assert_eq!(short("abcd", 4), "abcd");
        assert_eq!(short("", 0), "");
    }

    proptest! {
        #[test]
        fn json_stays_the_same_json(text in "\\PC{0,20}|[\u{0}-\u{20}\u{7f}-\u{a0}\u{200b}-\u{206f}\u{feff}\"\\\\]{0,20}") {
            let value = json!({ "a": [text.clone()] });
            for line in [json_line(&value), json_lines(&value)] {
                prop_assert!(line.chars().all(|c| is_plain(c) || c == '\n'));
                prop_assert_eq!(&serde_json::from_str::<Value>(&line).unwrap(), &value);
            }
            prop_assert!(short(&text, 7).chars().count() <= 7);
        }
    }
}
