//! Token encryption (the key ring), API-key generation and verification, and keyed digests. No network, no database.

mod api_key;
mod key_hmac;
mod key_ring;
mod legacy;
mod rotation;

pub use api_key::{ApiKey, BadApiKey, PresentedKey, hash_api_key, verify_api_key};
pub use key_hmac::{KeyHmac, KeyMatch};
pub use key_ring::{EncryptionContext, KeyRing};
pub use legacy::{LegacyApiKey, is_legacy_sealed};
pub use rotation::{SealedWith, sealed_with};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Errors of keys and encrypted values. Never contains the value.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The system's random number generator failed.
    #[error("the system's random number generator failed")]
    Random,
    /// The record was truncated, altered or copied from another row, or the gateway did not create it.
    #[error("an encrypted value cannot be decrypted: it was altered or belongs to another row")]
    Corrupt,
    /// The record names a key that this process does not have.
    #[error(
        "an encrypted value needs encryption key {0}, which is not configured; add that ENCRYPTION_KEY to \
         ENCRYPTION_KEYS_PREVIOUS"
    )]
    UnknownKey(String),
    /// The TypeScript server encrypted the value with a key that this process does not have.
    #[error(
        "a token encrypted by the TypeScript server cannot be decrypted; set ENCRYPTION_KEY, or add to \
         ENCRYPTION_KEYS_PREVIOUS, exactly the text that server used"
    )]
    UnknownLegacySecret,
    /// bcrypt rejected its input or its stored hash.
    #[error("bcrypt failed: {0}")]
    Bcrypt(#[from] bcrypt::BcryptError),
}

/// Returns 256 random bits as 43 URL-safe characters, for states, browser tokens and similar values.
pub fn random_token() -> Result<SecretString, CryptoError> {
    let mut bytes = zeroize::Zeroizing::new([0u8; 32]);
    SystemRandom::new().fill(bytes.as_mut()).map_err(|_| CryptoError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(*bytes).into())
}

/// Returns the SHA-256 of a secret, which identifies the secret without storing it.
pub fn sha256(secret: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
    out
}

/// Returns the SHA-256 in hex, under which random 256-bit secrets are stored and looked up. At that length no salt is
/// needed.
pub fn sha256_hex(secret: &str) -> String {
    hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

/// Compares two secrets in constant time.
pub fn constant_time_eq(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// An HMAC key. Its digests prove that a text came from this gateway, or replace a secret in memory.
#[derive(Clone)]
pub struct MacKey {
    key: hmac::Key,
    /// The HMAC keys of replaced encryption keys. They verify but never sign.
    previous: Vec<hmac::Key>,
}

impl MacKey {
    /// Creates a random key that exists in this process only.
    pub fn ephemeral() -> Result<Self, CryptoError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| CryptoError::Random)?;
        Ok(Self { key, previous: Vec::new() })
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, bytes), previous: Vec::new() }
    }

    /// Returns the digest of a secret, for use as a map key.
    pub fn digest(&self, secret: &str) -> [u8; 32] {
        digest_under(&self.key, secret)
    }

    /// Returns the digests of a secret under the previous encryption keys.
    pub fn previous_digests(&self, secret: &str) -> Vec<[u8; 32]> {
        self.previous.iter().map(|key| digest_under(key, secret)).collect()
    }

    /// Returns the digests of `parts`, first under the current key and then under the previous ones, for columns that
    /// are compared. Two different lists of parts never have the same encoding.
    pub fn digests(&self, parts: &[&str]) -> Vec<String> {
        let bytes = joined(parts);
        let keys = std::iter::once(&self.key).chain(&self.previous);
        keys.map(|key| URL_SAFE_NO_PAD.encode(hmac::sign(key, &bytes).as_ref())).collect()
    }

    /// Returns a signature that [`MacKey::verify`] accepts. The encoding preserves the boundaries between `parts`, so
    /// two different lists never have the same signature.
    pub fn sign(&self, parts: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, &joined(parts)).as_ref())
    }

    /// Returns whether [`MacKey::sign`] made `signature` for the same parts. Runs in constant time.
    pub fn verify(&self, parts: &[&str], signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        let parts = joined(parts);
        std::iter::once(&self.key).chain(&self.previous).any(|key| hmac::verify(key, &parts, &signature).is_ok())
    }
}

fn digest_under(key: &hmac::Key, secret: &str) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(hmac::sign(key, secret.as_bytes()).as_ref());
    out
}

fn joined(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the digest under which an API key is cached in memory after bcrypt has accepted it.
pub fn key_digest(mac_key: &MacKey, key: &PresentedKey) -> [u8; 32] {
    mac_key.digest(key.text().expose_secret())
}
