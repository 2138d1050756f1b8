//! Switches that people write as words, in addresses and headers.

/// What says no where a yes is asked for; everything else says yes, since that takes less away from safety.
const NO: [&str; 7] = ["", "false", "f", "no", "n", "0", "off"];

/// Returns whether a switch that is written as a word is on.
pub fn is_yes(word: &str) -> bool {
    !NO.contains(&word.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_no_is_a_no() {
        for no in ["", " ", "false", "False", "0", "no", "OFF", "n", "f"] {
            assert!(!is_yes(no), "{no}");
        }
        for yes in ["true", "1", "yes", "on", "readonly", "fals"] {
            assert!(is_yes(yes), "{yes}");
        }
    }
}
