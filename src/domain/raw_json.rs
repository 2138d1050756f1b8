//! JSON kept as text. Most responses are read once, and a tree of values takes more memory than its text.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Valid JSON text, or empty text, which counts as null. It may contain secrets, so `Debug` prints its length only. The
/// syntax is checked on construction. Values are parsed on each read, which can fail: serde_json limits nesting to 128
/// levels and numbers to the range of a double.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RawJson(ByteString);

impl RawJson {
    /// Takes valid JSON or empty text; `None` for anything else.
    pub fn new(text: Bytes) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        // Converts to text first: parsing from bytes would validate every string as UTF-8 again.
        let text = ByteString::try_from(text).ok()?;
        serde_json::from_str::<IgnoredAny>(&text).ok().map(|_| Self(text))
    }

    /// Returns a copy in its own allocation, which is no larger than the text.
    pub fn copied(&self) -> Self {
        Self(ByteString::from(&*self.0))
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns the parsed value; null if it cannot be parsed.
    pub fn value(&self) -> Value {
        let read = serde_json::from_str(&self.0).ok();
        read.or_else(|| serde_json::from_str(&self.without_lone_surrogates()?.0).ok()).unwrap_or_default()
    }

    /// Returns the text with each lone surrogate escape (RFC 8259 section 8.2) replaced by U+FFFD; `None` if it
    /// contains none. A text that was cut in the middle of an emoji contains one, and serde_json then rejects the whole
    /// document. Scans every byte, so call it only after parsing has failed.
    pub fn without_lone_surrogates(&self) -> Option<Self> {
        let mut repaired = String::new();
        let (mut rest, mut found) = (&*self.0, false);
        // JSON has no backslash outside of strings.
        while let Some(at) = rest.find('\\') {
            let escape = &rest[at..];
            let (length, is_lone) = match (unit(escape), escape.get(6..).and_then(unit)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
                (Some(0xd800..=0xdfff), _) => (6, true),
                (Some(_), _) => (6, false),
                // The character after the backslash is ASCII.
                (None, _) => (2, false),
            };
            let end = at + length;
            repaired.push_str(if is_lone { &rest[..at] } else { rest.get(..end)? });
            if is_lone {
                repaired.push_str("\\ufffd");
                found = true;
            }
            rest = rest.get(end..)?;
        }
        repaired.push_str(rest);
        found.then(|| Self(ByteString::from(repaired)))
    }
}

/// Returns the UTF-16 code unit of an escape such as `\u00e9` at the start of the text.
fn unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    // `from_str_radix` would also accept a sign.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

impl From<Value> for RawJson {
    fn from(value: Value) -> Self {
        Self(ByteString::from(value.to_string()))
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Option<RawJson> {
        RawJson::new(Bytes::copy_from_slice(text.as_bytes()))
    }

    proptest! {
        #[test]
        fn what_can_be_read_is_taken_and_little_else(text in r#"[\[\]{}":,a0 \\.eE+-]{0,24}|[0-9.eE+-]{1,8}|"\PC{0,6}""#) {
            let read = serde_json::from_str::<Value>(&text);
            let taken = of(&text).filter(|taken| !taken.is_empty());
            match (&taken, &read) {
                (Some(taken), Ok(read)) => prop_assert_eq!(&taken.value(), read),
                (None, Err(_)) => {}
                (Some(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{}", error),
                (None, Ok(_)) => prop_assert!(false, "it can be read"),
            }
        }
    }

    proptest! {
        /// The text around a lone surrogate is unchanged.
        #[test]
        fn half_a_pair_becomes_the_replacement_character(
            before in r#"(\PC|\\\\|\\"|\\u[0-9a-cA-C][0-9a-f]{3}|\\ud83d\\ude00){0,8}"#, lone in r"\\u[dD][89a-fA-F][0-9a-f]{2}",
            after in r#"(|[g-z\\]\PC{0,4}|\\u00e9|\\ud83d\\ude00)"#,
        ) {
            let quote = |text: &str| text.replace('"', "\\u0022");
            let readable = |text: &str| serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
            let (before, after) = (quote(&before), quote(&after));
            prop_assume!(readable(&before).is_some() && readable(&after).is_some());
            let broken = of(&format!(r#"{{"items":[{{"x":"{before}{lone}{after}"}},{{"x":"whole"}}]}}"#)).unwrap();
            let text = format!("{}\u{fffd}{}", readable(&before).unwrap(), readable(&after).unwrap());
            prop_assert_eq!(broken.value(), json!({"items": [{"x": text}, {"x": "whole"}]}));
        }

        #[test]
        fn what_can_be_read_is_never_changed(text in "\\PC{0,40}", member in any::<String>()) {
            for value in [json!(text), json!({member: text})] {
                let escaped: String = value.to_string().encode_utf16().map(|unit| match unit {
                    0x20..=0x7e => char::from_u32(unit.into()).unwrap().to_string(),
                    unit => format!("\\u{unit:04x}"),
                }).collect();
                prop_assert_eq!(of(&escaped).unwrap().without_lone_surrogates(), None);
                prop_assert_eq!(of(&escaped).unwrap().value(), value);
            }
        }
    }

    #[test]
    fn every_kind_of_half_a_pair_is_found_and_no_escape_is_taken_for_one() {
        for (text, read) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ude00""#, "\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\\ude00""#, "\u{fffd}\\ude00"),
            (r#""\\ud83d \ud83d""#, "\\ud83d \u{fffd}"),
            (r#""\ud83dx\n""#, "\u{fffd}x\n"),
        ] {
            assert_eq!(of(text).unwrap().value(), json!(read), "{text}");
        }
        assert_eq!(of(r#"{"\ud83d": 1}"#).unwrap().value(), json!({"\u{fffd}": 1}));
        for whole in [r#""\ud83d\ude00""#, r#""\\ud83d""#, "[]", "\"\u{1f600}\""] {
            assert_eq!(of(whole).unwrap().without_lone_surrogates(), None, "{whole}");
        }
    }

    #[test]
    fn nothing_is_null_and_what_cannot_be_read_is_too() {
        assert_eq!(of("").map(|nothing| nothing.value()), Some(Value::Null));
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(of(&deep(100)).is_some_and(|text| text.value().is_array()));
        assert_eq!(of(&deep(100_000)).map(|text| text.value()), Some(Value::Null));
        assert_eq!(of("[1e999]").map(|text| text.value()), Some(Value::Null));
        assert_eq!(RawJson::new(Bytes::from_static(b"\"\xff\"")), None);
    }

    #[test]
    fn nobody_sees_the_text_by_accident() {
        assert_eq!(format!("{:?}", RawJson::from(json!({"access_token": "at_1"}))), "RawJson(23 bytes)");
    }
}
