//! Key rotation: which key a value is encrypted with, and re-encryption with the current key. No function here returns
//! plain text.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    crypto_error::CryptoError,
    hex::hex,
    key_ring::{EncryptionContext, KEY_ID_LEN, KeyRing, VERSION},
};
use crate::{domain::Sealed, legacy::is_legacy_sealed};

/// The key that decrypts a value, as far as its unencrypted header shows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SealedWith {
    /// The encryption key with this id.
    Key(String),
    /// The key of the TypeScript server.
    Legacy,
    /// Unknown format: the gateway never wrote this value.
    Nothing,
}

/// Reads the header of an encrypted value. Needs no key.
pub fn sealed_with(sealed: &Sealed) -> SealedWith {
    if is_legacy_sealed(sealed) {
        return SealedWith::Legacy;
    }
    let record = sealed.0.strip_prefix(VERSION).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let id = record.as_deref().and_then(|record| record.first_chunk::<KEY_ID_LEN>());
    id.map_or(SealedWith::Nothing, |id| SealedWith::Key(hex(id)))
}

impl KeyRing {
    /// Returns the id of the key that encrypts.
    pub fn current_key(&self) -> String {
        hex(&self.current.id)
    }

    /// Returns the ids of the keys that only decrypt, in their configured order.
    pub fn previous_keys(&self) -> Vec<String> {
        self.previous.iter().map(|key| hex(&key.id)).collect()
    }

    /// Checks that [`KeyRing::open`] succeeds.
    pub fn try_open(&self, context: EncryptionContext, sealed: &Sealed) -> Result<(), CryptoError> {
        self.open(context, sealed).map(drop)
    }

    /// Re-encrypts a value with the current key; `None` if it already uses that key.
    pub fn re_encrypt(&self, context: EncryptionContext, sealed: &Sealed) -> Result<Option<Sealed>, CryptoError> {
        if sealed_with(sealed) == SealedWith::Key(self.current_key()) {
            return Ok(None);
        }
        self.seal(context, &self.open(context, sealed)?).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret, SecretBox};
    use uuid::Uuid;

    use super::*;
    use crate::{
        crypto::{legacy_key_digest, previous_legacy_key_digests},
        domain::UserId,
        legacy::LegacyApiKey,
    };

    const CONTEXT: EncryptionContext = EncryptionContext::AccessToken(UserId(Uuid::nil()));

    fn key(byte: u8) -> SecretBox<[u8; 32]> {
        SecretBox::new(Box::new([byte; 32]))
    }

    fn rotated() -> (KeyRing, KeyRing) {
        let new = KeyRing::new(&key(8)).unwrap().with_previous(&key(7)).unwrap();
        (KeyRing::new(&key(7)).unwrap(), new)
    }

    #[test]
    fn a_previous_key_opens_and_the_current_one_seals() {
        let (old, new) = rotated();
        let sealed = old.seal(CONTEXT, &"at_1".into()).unwrap();
        assert_eq!(new.open(CONTEXT, &sealed).unwrap().expose_secret(), "at_1");
        assert_eq!(new.previous_keys(), [old.current_key()]);

        let resealed = new.re_encrypt(CONTEXT, &sealed).unwrap().unwrap();
        assert_eq!(sealed_with(&resealed), SealedWith::Key(new.current_key()));
        let alone = KeyRing::new(&key(8)).unwrap();
        assert_eq!(alone.open(CONTEXT, &resealed).unwrap().expose_secret(), "at_1");
        assert!(alone.try_open(CONTEXT, &sealed).is_err() && new.try_open(CONTEXT, &sealed).is_ok());
        assert_eq!(new.re_encrypt(CONTEXT, &resealed).unwrap(), None, "nothing to do");
    }

    #[test]
    fn what_does_not_open_is_not_sealed_anew() {
        let (old, new) = rotated();
        let sealed = old.seal(CONTEXT, &"at_1".into()).unwrap();
        assert!(
            new.re_encrypt(EncryptionContext::RefreshToken(UserId(Uuid::nil())), &sealed).is_err(),
            "another place"
        );
        assert!(matches!(KeyRing::new(&key(9)).unwrap().re_encrypt(CONTEXT, &sealed), Err(CryptoError::UnknownKey(_))));
    }

    #[test]
    fn the_current_key_among_the_previous_ones_changes_nothing() {
        let ring = KeyRing::new(&key(7)).unwrap().with_previous(&key(7)).unwrap();
        assert!(ring.previous_keys().is_empty());
    }

    #[test]
    fn the_outside_tells_the_key() {
        for (text, expected) in [
            ("aa:bb:cc", SealedWith::Legacy),
            ("v1.", SealedWith::Nothing),
            ("v1.?", SealedWith::Nothing),
            ("at_plain", SealedWith::Nothing),
            ("v1.AAECAw", SealedWith::Key("00010203".to_owned())),
        ] {
            assert_eq!(sealed_with(&Sealed(text.to_owned())), expected, "{text}");
        }
    }

    #[test]
    fn what_the_replaced_key_signed_is_recognised_and_found() {
        let (old, new) = rotated();
        let signed = old.page_mac_key().sign(&["state", "cookie"]);
        assert!(new.page_mac_key().verify(&["state", "cookie"], &signed));
        assert!(!old.page_mac_key().verify(&["state", "cookie"], &new.page_mac_key().sign(&["state", "cookie"])));

        let theirs = LegacyApiKey::parse("ownerrez_sk_87e929b276ffeb16ab008edc4e5c95ba64d1d8a4eb9ab916").unwrap();
        let (of_old, of_new) = (old.legacy_key_mac_key(), new.legacy_key_mac_key());
        assert_eq!(previous_legacy_key_digests(of_new, &theirs), [legacy_key_digest(of_old, &theirs)]);
        assert_ne!(legacy_key_digest(of_new, &theirs), legacy_key_digest(of_old, &theirs));
    }
}
