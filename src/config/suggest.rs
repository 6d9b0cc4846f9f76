//! "Did you mean": the nearest of a list of words, if any is near enough to be meant.

/// The candidate that `word` is most likely a slip of.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    // One slip in a short word, more in a long one: `rte` is `rate`, but `dir` is not `url`.
    let slips = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word, &c.to_ascii_lowercase()), c))
        .filter(|(distance, c)| *distance <= slips.min(c.chars().count() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `; did you mean "imu"?`, or `; there are: imu, mic`, or nothing where there is nothing to say.
pub(super) fn hint(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("; did you mean {near:?}?"),
        None if candidates.is_empty() => String::new(),
        None => format!("; there are: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_other_words_do_not() {
        let keys = ["name", "driver", "rate", "address", "url", "dir"];
        for (slip, meant) in
            [("rte", "rate"), ("adress", "address"), ("Rate", "rate"), ("dirver", "driver")]
        {
            assert_eq!(nearest(slip, keys), Some(meant), "{slip}");
        }
        for other in ["frequency", "path", "x", "", "retain_all_the_things"] {
            assert_eq!(nearest(other, keys), None, "{other}");
        }
    }

    #[test]
    fn hint_lists_what_there_is_when_nothing_is_near() {
        assert_eq!(hint("imo", &["imu", "mic"]), "; did you mean \"imu\"?");
        assert_eq!(hint("thermometer", &["imu", "mic"]), "; there are: imu, mic");
        assert_eq!(hint("imu", &[]), "");
    }
}
