//! API keys: `ownerrez_sk_`, 12 lookup characters, 32 secret characters and a 6-character checksum; 62 bytes in all.
//!
//! bcrypt reads at most 72 bytes, so the whole key is hashed. The checksum rejects a mistyped or invented key without a
//! database lookup; it adds no security. Keys of the TypeScript server have 60 bytes, so the two formats cannot be
//! confused.

use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};

use super::crypto_error::CryptoError;

const PREFIX: &str = "ownerrez_sk_";
const LOOKUP_LEN: usize = 12;
const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A plain-text key with valid format and checksum. Only the database knows whether it exists.
#[derive(Clone, Debug)]
pub struct ApiKey(SecretString);

/// The text is not an API key of this gateway: wrong prefix, length, alphabet or checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a well-formed API key")]
pub struct BadApiKey;

impl ApiKey {
    /// Generates a random key with 190 secret bits.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut text = String::with_capacity(PREFIX.len() + LOOKUP_LEN + SECRET_LEN + CHECKSUM_LEN);
        text.push_str(PREFIX);
        push_random(&mut text, LOOKUP_LEN + SECRET_LEN)?;
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Ok(Self(text.into()))
    }

    /// Parses a received key. Costs one SHA-256.
    pub fn parse(text: &str) -> Result<Self, BadApiKey> {
        let body = text.strip_prefix(PREFIX).ok_or(BadApiKey)?;
        let well_formed = body.len() == LOOKUP_LEN + SECRET_LEN + CHECKSUM_LEN
            && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !well_formed {
            return Err(BadApiKey);
        }
        let (signed, sum) = text.split_at(text.len() - CHECKSUM_LEN);
        if checksum(signed) != sum {
            return Err(BadApiKey);
        }
        Ok(Self(text.into()))
    }

    /// Returns the part that is stored in plain text, shown in lists and logs, and used to find the row.
    pub fn prefix(&self) -> &str {
        // Both constructors guarantee a longer ASCII text.
        self.0.expose_secret().get(..PREFIX.len() + LOOKUP_LEN).unwrap_or_default()
    }

    /// Returns the whole key, which is shown to its owner once.
    pub fn expose(&self) -> &SecretString {
        &self.0
    }
}

fn push_random(text: &mut String, count: usize) -> Result<(), CryptoError> {
    let random = SystemRandom::new();
    let mut bytes = zeroize::Zeroizing::new([0u8; 64]);
    let mut wanted = count;
    while wanted > 0 {
        random.fill(bytes.as_mut()).map_err(|_| CryptoError::Random)?;
        // 248 is the largest multiple of 62 that fits in a byte. Larger values are discarded, so that all characters
        // are equally likely.
        for byte in bytes.iter().filter(|byte| **byte < 248).take(wanted) {
            text.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
            wanted -= 1;
        }
    }
    Ok(())
}

fn checksum(signed: &str) -> String {
    let digest = digest::digest(&digest::SHA256, signed.as_bytes());
    let mut number = digest.as_ref().iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let mut text = String::with_capacity(CHECKSUM_LEN);
    for _ in 0..CHECKSUM_LEN {
        text.push(char::from(ALPHABET[(number % 62) as usize]));
        number /= 62;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::{PresentedKey, hash_api_key, verify_api_key};

    #[test]
    fn a_new_key_is_one_that_we_accept_and_fits_into_bcrypt() {
        let key = ApiKey::generate().unwrap();
        let text = key.expose().expose_secret();
        assert_eq!(text.len(), 62);
        assert!(text.len() <= 71 && ApiKey::parse(text).is_ok());
        assert!(text.starts_with(key.prefix()) && key.prefix().len() == 24);
        let hash = hash_api_key(&key, 4).unwrap();
        assert!(verify_api_key(&PresentedKey::Gateway(key), &hash).unwrap());
        assert!(!verify_api_key(&PresentedKey::Gateway(ApiKey::generate().unwrap()), &hash).unwrap());
    }

    #[test]
    fn a_predecessor_key_is_not_taken_for_one_of_ours() {
        let text = "ownerrez_sk_87e929b276ffeb16ab008edc4e5c95ba64d1d8a4eb9ab916";
        assert!(ApiKey::parse(text).is_err());
        assert!(matches!(PresentedKey::parse(text), Ok(PresentedKey::Legacy(_))));
    }

    proptest! {
        #[test]
        fn one_changed_character_is_noticed(at in 0usize..62, with in "[0-9A-Za-z]") {
            let key = ApiKey::generate().unwrap();
            let mut text = key.expose().expose_secret().to_owned();
            prop_assume!(text.get(at..=at) != Some(with.as_str()));
            text.replace_range(at..=at, &with);
            prop_assert!(ApiKey::parse(&text).is_err());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,90}") {
            let _ = ApiKey::parse(&text);
        }
    }
}
