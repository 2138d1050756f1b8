//! Sanitizes names that users and clients choose, for pages, lists and logs.

/// Sanitizes a name to one line without control characters and invisible characters. Returns at most `most` characters;
/// `None` if nothing is left.
pub fn plain_name(text: &str, most: usize) -> Option<String> {
    let kept = |c: char| c.is_whitespace() || !(c.is_control() || is_invisible(c));
    let kept: String = text.chars().filter(|c| kept(*c)).collect();
    let name: String = kept.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(most).collect();
    Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
}

/// Returns whether a character is invisible and reorders, hides or separates the characters next to it: format
/// characters, directional controls (Unicode Standard Annex 9), variation selectors, fillers and tags.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_turns_or_hides_is_left_out() {
        for (given, shown) in [
            ("ChatGPT", Some("ChatGPT")),
            ("  Visual\tStudio \n Code ", Some("Visual Studio Code")),
            ("Cla\u{202e}ude\u{200b}", Some("Claude")),
            ("\u{2066}a\u{2069}\u{2028}b", Some("a b")),
            ("\u{7}\u{feff}", None),
            ("", None),
        ] {
            assert_eq!(plain_name(given, 80).as_deref(), shown, "{given:?}");
        }
        assert_eq!(plain_name(&"a".repeat(5000), 80).unwrap().len(), 80);
    }

    proptest! {
        #[test]
        fn a_plain_name_is_one_visible_line_and_stays_as_it_is(text in any::<String>(), most in 1usize..200) {
            if let Some(name) = plain_name(&text, most) {
                prop_assert!(!name.chars().any(|c| c.is_control() || is_invisible(c)));
                prop_assert!(name.chars().count() <= most);
                let again = plain_name(&name, most);
                prop_assert_eq!(again.as_deref(), Some(name.as_str()));
            }
        }
    }
}
