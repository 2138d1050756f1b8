//! `api_keys.key_hmac`: recognises an API key that bcrypt has accepted, at the cost of one HMAC-SHA-256 (RFC 2104).
//!
//! The HMAC key is derived from `ENCRYPTION_KEY` for this purpose alone. Without that key, the HMACs in a stolen
//! database cannot be used to test guesses; only the bcrypt hash in the same row can. With that key, testing a guess is
//! cheap, but an API key has 190 random bits.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use secrecy::ExposeSecret;

use super::{mac_key::joined, presented_key::PresentedKey};

/// The result of comparing a presented key with a stored HMAC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyMatch {
    /// The key matches.
    Current,
    /// The key matches. The HMAC was made with a previous `ENCRYPTION_KEY` and must be renewed.
    Previous,
    /// Undecided: there is no HMAC, it was made for another hash or with a key that this process does not have, or the
    /// presented key is wrong. Only bcrypt can decide.
    Unknown,
}

/// Makes and checks the HMACs of API keys.
///
/// The stored form is `id.mac`: the id of the encryption key in hexadecimal, and the base64url of the HMAC over the key
/// and the row's bcrypt hash. The hash is included so that an HMAC becomes invalid when the hash is replaced, whether
/// by an operator or by an older version of this program that does not know the column.
#[derive(Clone)]
pub struct KeyHmac {
    current: Keyed,
    previous: Vec<Keyed>,
}

#[derive(Clone)]
struct Keyed {
    id: String,
    key: hmac::Key,
}

impl Keyed {
    fn message(key: &PresentedKey, hash: &str) -> zeroize::Zeroizing<Vec<u8>> {
        joined(&[key.text().expose_secret(), hash]).into()
    }

    fn matches(&self, key: &PresentedKey, hash: &str, mac: &[u8]) -> bool {
        hmac::verify(&self.key, &Self::message(key, hash), mac).is_ok()
    }
}

impl KeyHmac {
    pub(super) fn new(id: String, key: hmac::Key) -> Self {
        Self { current: Keyed { id, key }, previous: Vec::new() }
    }

    pub(super) fn add_previous(&mut self, id: String, key: hmac::Key) {
        self.previous.push(Keyed { id, key });
    }

    /// Returns the text to store next to `hash` for a key that bcrypt has just hashed or accepted.
    pub fn make(&self, key: &PresentedKey, hash: &str) -> String {
        let Keyed { id, key: mac_key } = &self.current;
        let mac = hmac::sign(mac_key, &Keyed::message(key, hash));
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()))
    }

    /// Compares a presented key with a row's HMAC in constant time.
    pub fn check(&self, key: &PresentedKey, hash: &str, stored: Option<&str>) -> KeyMatch {
        let parts = stored.and_then(|stored| stored.split_once('.'));
        let Some((id, mac)) = parts.and_then(|(id, mac)| Some((id, URL_SAFE_NO_PAD.decode(mac).ok()?))) else {
            return KeyMatch::Unknown;
        };
        // The id of an encryption key has 32 bits, so two keys may have the same id.
        if self.current.id == id && self.current.matches(key, hash, &mac) {
            return KeyMatch::Current;
        }
        let previous = self.previous.iter().any(|keyed| keyed.id == id && keyed.matches(key, hash, &mac));
        if previous { KeyMatch::Previous } else { KeyMatch::Unknown }
    }
}

impl std::fmt::Debug for KeyHmac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyHmac({})", self.current.id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretBox;

    use super::*;
    use crate::crypto::{ApiKey, KeyRing};

    fn ring(current: u8, previous: Option<u8>) -> KeyRing {
        let key = |byte| SecretBox::new(Box::new([byte; 32]));
        let ring = KeyRing::new(&key(current)).unwrap();
        match previous {
            Some(byte) => ring.with_previous(&key(byte)).unwrap(),
            None => ring,
        }
    }

    fn key() -> PresentedKey {
        PresentedKey::Gateway(ApiKey::generate().unwrap())
    }

    #[test]
    fn it_follows_a_change_of_the_encryption_key() {
        let (old, both, new) = (ring(7, None), ring(8, Some(7)), ring(8, None));
        let key = key();
        let stored = old.key_hmac().make(&key, "hash");
        let check = |ring: &KeyRing, stored: &str| ring.key_hmac().check(&key, "hash", Some(stored));
        assert_eq!(check(&old, &stored), KeyMatch::Current);
        assert_eq!(check(&both, &stored), KeyMatch::Previous);
        assert_eq!(check(&new, &stored), KeyMatch::Unknown);
        let renewed = both.key_hmac().make(&key, "hash");
        assert_eq!(check(&new, &renewed), KeyMatch::Current);
        assert_eq!(check(&old, &renewed), KeyMatch::Unknown);
    }

    #[test]
    fn its_key_serves_no_other_purpose() {
        let (ring, key) = (ring(7, None), key());
        let text = key.text().expose_secret();
        let stored = ring.key_hmac().make(&key, "hash");
        let mac = stored.split_once('.').unwrap().1;
        for signer in
            [ring.page_mac_key(), ring.access_token_mac_key(), ring.legacy_key_mac_key(), ring.write_mac_key()]
        {
            assert!(!signer.verify(&[text, "hash"], mac));
        }
    }

    proptest! {
        #[test]
        fn only_the_key_and_the_hash_it_was_made_for_match(hash in "\\PC{0,80}", other in "\\PC{0,80}") {
            let (ring, key) = (ring(7, None), key());
            let stored = ring.key_hmac().make(&key, &hash);
            prop_assert_eq!(ring.key_hmac().check(&key, &hash, Some(&stored)), KeyMatch::Current);
            prop_assert_eq!(ring.key_hmac().check(&self::key(), &hash, Some(&stored)), KeyMatch::Unknown);
            prop_assert_eq!(ring.key_hmac().check(&key, &hash, None), KeyMatch::Unknown);
            if other != hash {
                prop_assert_eq!(ring.key_hmac().check(&key, &other, Some(&stored)), KeyMatch::Unknown);
            }
        }

        #[test]
        fn no_stored_text_matches_by_chance(text in "\\PC{0,80}") {
            let (ring, key) = (ring(7, None), key());
            prop_assert_eq!(ring.key_hmac().check(&key, "hash", Some(&text)), KeyMatch::Unknown);
            let id = format!("{}.{text}", ring.current_key());
            prop_assert_eq!(ring.key_hmac().check(&key, "hash", Some(&id)), KeyMatch::Unknown);
        }
    }
}
