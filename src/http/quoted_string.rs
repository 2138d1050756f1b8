//! Quoted strings in headers (RFC 9110 section 5.6.4).

/// Writes a text as a quoted string, including the quotes. Returns `None` for text that a quoted string cannot contain:
/// control characters and anything outside ASCII.
pub(super) fn quoted_string(text: &str) -> Option<String> {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\t' | ' '..='~' => quoted.push(c),
            _ => return None,
        }
    }
    quoted.push('"');
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a quoted string as a recipient does; `None` if it ends early or late.
    pub(crate) fn unquoted(quoted: &str) -> Option<String> {
        let mut text = String::new();
        let mut rest = quoted.strip_prefix('"')?.chars();
        loop {
            match rest.next()? {
                '"' => return rest.as_str().is_empty().then_some(text),
                '\\' => text.push(rest.next()?),
                c => text.push(c),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_as_it_was(text in "[ -~\\t]{0,40}") {
            prop_assert_eq!(unquoted(&quoted_string(&text).unwrap()), Some(text));
        }

        #[test]
        fn what_does_not_fit_is_refused(before in "[ -~]{0,9}", c in "[^ -~\\t]", after in "[ -~]{0,9}") {
            prop_assert_eq!(quoted_string(&format!("{before}{c}{after}")), None);
        }
    }
}
