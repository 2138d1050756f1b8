//! The predecessor's API keys.

use secrecy::{ExposeSecret, SecretString};

const KEY_PREFIX: &str = "ownerrez_sk_";
const KEY_BODY_LEN: usize = 48;
const SHOWN_LEN: usize = 16;

/// An API key of the TypeScript server: `ownerrez_sk_` and 48 hexadecimal digits. It has no checksum, so a well-formed
/// key is easy to invent.
#[derive(Clone, Debug)]
pub struct LegacyApiKey(SecretString);

impl LegacyApiKey {
    /// Parses a received key; `None` if the text has another format.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(KEY_PREFIX)?;
        let well_formed =
            body.len() == KEY_BODY_LEN && body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self(text.into()))
    }

    /// Returns the prefix that the TypeScript server stored for the key. It contains only four random digits, so
    /// several keys may have the same prefix.
    pub fn prefix(&self) -> String {
        // The constructor guarantees a longer ASCII text.
        format!("{}...", self.0.expose_secret().get(..SHOWN_LEN).unwrap_or_default())
    }

    /// Returns the whole key.
    pub(crate) fn text(&self) -> &SecretString {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn its_keys() {
        let text = "ownerrez_sk_87e929b276ffeb16ab008edc4e5c95ba64d1d8a4eb9ab916";
        let key = LegacyApiKey::parse(text).unwrap();
        assert_eq!(key.prefix(), "ownerrez_sk_87e9...");
        assert!(!format!("{key:?}").contains("87e9"));
        for bad in [&text[..59], &text.to_uppercase(), &text.replace('e', "g"), &format!("{text}0"), ""] {
            assert!(LegacyApiKey::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(text in "[0-9a-f:]{0,90}|\\PC{0,40}:\\PC{0,40}") {
            let _ = LegacyApiKey::parse(&text);
        }
    }
}
