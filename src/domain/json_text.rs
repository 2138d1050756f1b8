//! JSON as it came, kept as text: most of an answer is looked at once, and a tree of values costs more than its text.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A text that is known to be JSON, or nothing, which counts as null. It may hold secrets, so `Debug` tells its length
/// only. What it says is looked at when it is read, which can fail: serde_json reads 128 levels and no larger numbers than
/// a double holds.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct JsonText(ByteString);

impl JsonText {
    /// Takes a text that is JSON, or empty; `None` if it is neither.
    pub fn new(text: Bytes) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        // As a text first: from bytes each string in it would be looked at once more.
        let text = ByteString::try_from(text).ok()?;
        serde_json::from_str::<IgnoredAny>(&text).ok().map(|_| Self(text))
    }

    /// The same in memory of its own, which is no larger than it has to be.
    pub fn copied(&self) -> Self {
        Self(ByteString::from(&*self.0))
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// All of it as values; null where it cannot be read.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> Self {
        Self(ByteString::from(value.to_string()))
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Option<JsonText> {
        JsonText::new(Bytes::copy_from_slice(text.as_bytes()))
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

    #[test]
    fn nothing_is_null_and_what_cannot_be_read_is_too() {
        assert_eq!(of("").map(|nothing| nothing.value()), Some(Value::Null));
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(of(&deep(100)).is_some_and(|text| text.value().is_array()));
        assert_eq!(of(&deep(100_000)).map(|text| text.value()), Some(Value::Null));
        assert_eq!(of("[1e999]").map(|text| text.value()), Some(Value::Null));
        assert_eq!(JsonText::new(Bytes::from_static(b"\"\xff\"")), None);
    }

    #[test]
    fn nobody_sees_the_text_by_accident() {
        assert_eq!(format!("{:?}", JsonText::from(json!({"access_token": "at_1"}))), "JsonText(23 bytes)");
    }
}
