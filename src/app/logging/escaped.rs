//! Escapes untrusted text into one harmless line.

use std::fmt::{self, Display, Write};

use crate::domain::is_invisible;

/// Writes its content with every character escaped that controls a terminal, that ends a line, or that reorders or
/// hides adjacent text: `\n`, `\u{1b}`, `\u{202e}`.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Self(out) = self;
        if is_harmless(text) {
            return out.write_str(text);
        }
        let mut from = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| c.is_control() || is_invisible(*c)) {
            out.write_str(&text[from..at])?;
            write!(out, "{}", c.escape_default())?;
            from = at + c.len_utf8();
        }
        out.write_str(&text[from..])
    }
}

/// Returns whether the text is all printable ASCII, as nearly every text of the log is.
pub(super) fn is_harmless(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_the_rest_is_not() {
        for (text, written) in [
            ("plain text, with \\ and \"", "plain text, with \\ and \""),
            ("Überfülle 東京 🏠", "Überfülle 東京 🏠"),
            ("a\nb\r\tc", r"a\nb\r\tc"),
            ("\u{1b}[2J\u{9b}2J\u{7f}", r"\u{1b}[2J\u{9b}2J\u{7f}"),
            ("\u{200b}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}", r"\u{200b}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}"),
            ("\u{2066}x\u{2069}\u{feff}", r"\u{2066}x\u{2069}\u{feff}"),
        ] {
            assert_eq!(Escaped(text).to_string(), written);
        }
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left(text in any::<String>()) {
            let written = Escaped(&text).to_string();
            prop_assert!(!written.chars().any(|c| c.is_control() || is_invisible(c)), "{written:?}");
        }
    }
}
