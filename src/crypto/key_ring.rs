//! AES-256-GCM with a random nonce. The associated data binds each ciphertext to its column and row.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hkdf,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use zeroize::Zeroizing;

use super::{crypto_error::CryptoError, hex::hex, key_hmac::KeyHmac, mac_key::MacKey};
use crate::{
    domain::{GrantId, Sealed, UserId},
    legacy::{LegacyCipher, Record, is_legacy_sealed},
};

pub(super) const VERSION: &str = "v1.";
pub(super) const KEY_ID_LEN: usize = 4;
/// The HKDF purpose (RFC 5869, `info`) of the key that [`KeyHmac`] uses. No other derived key uses it.
const KEY_HMAC: &[u8] = b"api_keys.key_hmac";

/// The context that a value is encrypted for. It is part of the associated data, so a ciphertext that is copied to
/// another user's row or to another column cannot be decrypted.
///
/// A disconnected access token is moved to `pending_revocations` unchanged and keeps the context of its original
/// column. So the move needs no key and fits into one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EncryptionContext {
    /// `ownerrez_connections.access_token` of this user.
    AccessToken(UserId),
    /// `ownerrez_connections.refresh_token` of this user.
    RefreshToken(UserId),
    /// `sign_in_requests.request` of the row whose state has this SHA-256.
    SignIn([u8; 32]),
    /// No row: the id of a dynamically registered OAuth client, which contains the whole registration.
    ClientId,
    /// No column: a draft or a confirmation that this user's client stores and returns.
    Consent(UserId),
    /// `oauth_grants.successor` of this grant: its refresh token of this generation.
    Successor(GrantId, i64),
}

impl EncryptionContext {
    fn associated_data(self) -> Vec<u8> {
        let (column, user) = match self {
            Self::AccessToken(user) => ("ownerrez_connections.access_token", user),
            Self::RefreshToken(user) => ("ownerrez_connections.refresh_token", user),
            Self::SignIn(state) => {
                return [VERSION.as_bytes(), b"sign_in_requests.request\0", state.as_slice()].concat();
            }
            Self::ClientId => return [VERSION.as_bytes(), b"oauth client id\0"].concat(),
            Self::Consent(user) => ("consent to a write", user),
            Self::Successor(grant, generation) => {
                let column = b"oauth_grants.successor\0".as_slice();
                return [VERSION.as_bytes(), column, grant.0.as_bytes(), &generation.to_be_bytes()].concat();
            }
        };
        [VERSION.as_bytes(), column.as_bytes(), b"\0", user.0.as_bytes()].concat()
    }
}

/// The encryption keys of this deployment.
///
/// A record is `v1.` and the base64url of `key id (4 bytes) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`. Records of the
/// TypeScript server (see [`crate::legacy`]) can be decrypted but are never created.
pub struct KeyRing {
    pub(super) current: RingKey,
    /// Replaced keys, which only decrypt.
    pub(super) previous: Vec<RingKey>,
    pages: MacKey,
    legacy_keys: MacKey,
    key_hmac: KeyHmac,
    access_tokens: MacKey,
    writes: MacKey,
    legacy_ciphers: Vec<LegacyCipher>,
}

pub(super) struct RingKey {
    pub(super) id: [u8; KEY_ID_LEN],
    key: LessSafeKey,
}

impl RingKey {
    fn new(bytes: &[u8; 32]) -> Result<Self, CryptoError> {
        // The id only distinguishes keys. It is a digest with its own label, so it reveals nothing about the key.
        let labelled = Zeroizing::new([b"ownerrez-gateway key id\0".as_slice(), bytes].concat());
        let digest = digest::digest(&digest::SHA256, &labelled);
        let mut id = [0u8; KEY_ID_LEN];
        id.copy_from_slice(&digest.as_ref()[..KEY_ID_LEN]);
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| CryptoError::Corrupt)?;
        Ok(Self { id, key: LessSafeKey::new(key) })
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({})", hex(&self.current.id))
    }
}

impl KeyRing {
    /// Creates a ring from `ENCRYPTION_KEY`.
    pub fn new(key: &SecretBox<[u8; 32]>) -> Result<Self, CryptoError> {
        let bytes = key.expose_secret();
        let current = RingKey::new(bytes)?;
        Ok(Self {
            key_hmac: KeyHmac::new(hex(&current.id), derive(bytes, KEY_HMAC)?.key),
            current,
            previous: Vec::new(),
            pages: derive(bytes, b"pages")?,
            legacy_keys: derive(bytes, b"predecessor keys")?,
            access_tokens: derive(bytes, b"access tokens")?,
            writes: derive(bytes, b"writes")?,
            legacy_ciphers: Vec::new(),
        })
    }

    /// Adds a previous key, so that values encrypted with it can be decrypted and its signatures verified.
    pub fn with_previous(mut self, key: &SecretBox<[u8; 32]>) -> Result<Self, CryptoError> {
        let bytes = key.expose_secret();
        let replaced = RingKey::new(bytes)?;
        if self.key_of(replaced.id).is_none() {
            self.key_hmac.add_previous(hex(&replaced.id), derive(bytes, KEY_HMAC)?.key);
            self.previous.push(replaced);
            self.pages.previous.push(derive(bytes, b"pages")?.key);
            self.legacy_keys.previous.push(derive(bytes, b"predecessor keys")?.key);
            self.access_tokens.previous.push(derive(bytes, b"access tokens")?.key);
            self.writes.previous.push(derive(bytes, b"writes")?.key);
        }
        Ok(self)
    }

    fn key_of(&self, id: [u8; KEY_ID_LEN]) -> Option<&RingKey> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| key.id == id)
    }

    /// Adds the text of an `ENCRYPTION_KEY` of the TypeScript server, so that its records can be decrypted. May be
    /// called several times; each text is tried.
    #[must_use]
    pub fn with_legacy_secret(mut self, variable: SecretString) -> Self {
        self.legacy_ciphers.push(LegacyCipher::new(variable));
        self
    }

    /// Encrypts a secret for one place in the database.
    pub fn seal(&self, context: EncryptionContext, secret: &SecretString) -> Result<Sealed, CryptoError> {
        let mut nonce = [0u8; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| CryptoError::Random)?;
        let mut text = Zeroizing::new(secret.expose_secret().as_bytes().to_vec());
        let tag = self
            .current
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.associated_data()),
                text.as_mut_slice(),
            )
            .map_err(|_| CryptoError::Corrupt)?;
        let record = [&self.current.id, nonce.as_slice(), text.as_slice(), tag.as_ref()].concat();
        Ok(Sealed(format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(record))))
    }

    /// Decrypts a record that [`KeyRing::seal`] made for the same place, or a record of the TypeScript server. The
    /// latter is not bound to its place, and the first one takes some 20 ms in a process. Re-encrypt it as soon as it
    /// was decrypted.
    pub fn open(&self, context: EncryptionContext, sealed: &Sealed) -> Result<SecretString, CryptoError> {
        if is_legacy_sealed(sealed) {
            let record = Record::parse(sealed).ok_or(CryptoError::Corrupt)?;
            let opened = self.legacy_ciphers.iter().find_map(|cipher| cipher.open(&record));
            return opened.ok_or(CryptoError::UnknownLegacySecret);
        }
        let encoded = sealed.0.strip_prefix(VERSION).ok_or(CryptoError::Corrupt)?;
        let record = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| CryptoError::Corrupt)?;
        let (id, rest) = record.split_first_chunk::<KEY_ID_LEN>().ok_or(CryptoError::Corrupt)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::Corrupt)?;
        let ring_key = self.key_of(*id).ok_or_else(|| CryptoError::UnknownKey(hex(id)))?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let text = ring_key
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(context.associated_data()),
                buffer.as_mut_slice(),
            )
            .map_err(|_| CryptoError::Corrupt)?;
        std::str::from_utf8(text).map(SecretString::from).map_err(|_| CryptoError::Corrupt)
    }

    /// Returns the MAC key of the gateway's HTML forms. It is the same in every process with the same encryption key.
    pub fn page_mac_key(&self) -> &MacKey {
        &self.pages
    }

    /// Returns the MAC key of the access tokens that clients get. It is the same in every process with the same
    /// encryption key.
    pub fn access_token_mac_key(&self) -> &MacKey {
        &self.access_tokens
    }

    /// Returns the MAC key that makes the lookup digests of the TypeScript server's keys
    /// ([`super::legacy_key_digest`]).
    pub fn legacy_key_mac_key(&self) -> &MacKey {
        &self.legacy_keys
    }

    /// Returns the maker of the HMACs that recognise API keys without bcrypt.
    pub fn key_hmac(&self) -> &KeyHmac {
        &self.key_hmac
    }

    /// Returns the MAC key that makes the digests under which writes are recorded.
    pub fn write_mac_key(&self) -> &MacKey {
        &self.writes
    }
}

fn derive(key: &[u8], purpose: &[u8]) -> Result<MacKey, CryptoError> {
    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            32
        }
    }
    let mut out = Zeroizing::new([0u8; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"ownerrez-gateway")
        .extract(key)
        .expand(&[purpose], Length)
        .and_then(|okm| okm.fill(out.as_mut()))
        .map_err(|_| CryptoError::Corrupt)?;
    Ok(MacKey::from_bytes(out.as_slice()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn ring(byte: u8) -> KeyRing {
        KeyRing::new(&SecretBox::new(Box::new([byte; 32]))).unwrap()
    }

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_in_its_place_and_in_no_other(secret in ".{0,200}", flip in 0usize..400) {
            let ring = ring(7);
            let context = EncryptionContext::AccessToken(user(1));
            let sealed = ring.seal(context, &secret.clone().into()).unwrap();
            let opened = ring.open(context, &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), secret.as_str());
            prop_assert!(ring.open(EncryptionContext::AccessToken(user(2)), &sealed).is_err());
            prop_assert!(ring.open(EncryptionContext::RefreshToken(user(1)), &sealed).is_err());
            prop_assert!(ring.open(EncryptionContext::ClientId, &sealed).is_err());
            prop_assert!(ring.open(EncryptionContext::Consent(user(1)), &sealed).is_err());

            let grant = GrantId(Uuid::from_u128(1));
            let successor = ring.seal(EncryptionContext::Successor(grant, 2), &secret.clone().into()).unwrap();
            prop_assert!(ring.open(EncryptionContext::Successor(grant, 2), &successor).is_ok());
            prop_assert!(ring.open(EncryptionContext::Successor(grant, 3), &successor).is_err());
            prop_assert!(ring.open(EncryptionContext::Successor(GrantId(Uuid::from_u128(2)), 2), &successor).is_err());

            let mut bytes = sealed.0.clone().into_bytes();
            let at = flip % bytes.len();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = Sealed(String::from_utf8(bytes).unwrap());
            prop_assert!(ring.open(context, &altered).is_err());
        }

        #[test]
        fn garbage_is_refused_without_a_panic(text in ".{0,80}") {
            prop_assert!(ring(7).open(EncryptionContext::AccessToken(user(1)), &Sealed(text)).is_err());
        }
    }

    #[test]
    fn the_same_secret_never_looks_the_same_twice() {
        let context = EncryptionContext::AccessToken(user(1));
        let secret = SecretString::from("at_1");
        assert_ne!(ring(7).seal(context, &secret).unwrap().0, ring(7).seal(context, &secret).unwrap().0);
    }

    #[test]
    fn another_key_is_named_not_guessed() {
        let context = EncryptionContext::AccessToken(user(1));
        let sealed = ring(7).seal(context, &"at_1".into()).unwrap();
        assert!(matches!(ring(8).open(context, &sealed), Err(CryptoError::UnknownKey(_))));
    }
}
