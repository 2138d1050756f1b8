//! The predecessor's records: encrypted values in its database.

use crate::domain::Sealed;

/// Returns whether a value has the format of the TypeScript server, `nonce:ciphertext:tag` in hexadecimal. The
/// gateway's own records contain no colon.
pub(crate) fn is_legacy_sealed(sealed: &Sealed) -> bool {
    sealed.0.contains(':')
}

/// A parsed record of the TypeScript server.
pub(crate) struct Record {
    pub(super) nonce: [u8; 16],
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: [u8; 16],
}

impl Record {
    /// Parses a value; `None` if it has another format.
    pub(crate) fn parse(sealed: &Sealed) -> Option<Self> {
        let mut parts = sealed.0.split(':').map(unhex);
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next()) {
            (Some(nonce), Some(ciphertext), Some(tag), None) => {
                Some(Self { nonce: nonce.try_into().ok()?, ciphertext, tag: tag.try_into().ok()? })
            }
            _ => None,
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(text in "[0-9a-f:]{0,90}|\\PC{0,40}:\\PC{0,40}") {
            let _ = Record::parse(&Sealed(text));
        }
    }
}
