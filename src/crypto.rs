//! The key ring that seals tokens, and the making and checking of API keys. Pure: no network, no database.

mod api_key;
mod key_hmac;
mod key_ring;
mod predecessor;
mod rotation;

pub use api_key::{ApiKey, BadApiKey, PresentedKey, hash_api_key, verify_api_key};
pub use key_hmac::{KeyHmac, KeyMatch};
pub use key_ring::{KeyRing, SealedFor};
pub use predecessor::{PredecessorKey, sealed_by_predecessor};
pub use rotation::{SealedWith, sealed_with};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// What can go wrong with keys and sealed text. Never holds the text itself.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The machine gives no random numbers.
    #[error("the machine's random number source failed")]
    Random,
    /// The record was cut, altered, moved from another row, or is not one of ours.
    #[error("a sealed value does not open: it was altered or belongs to another row")]
    Corrupt,
    /// The record names a key that this process does not have.
    #[error(
        "a sealed value needs encryption key {0}, which is not configured; add the ENCRYPTION_KEY it was sealed with to ENCRYPTION_KEYS_PREVIOUS"
    )]
    UnknownKey(String),
    /// The predecessor sealed it, with another key or none that this process has.
    #[error(
        "a token that the TypeScript server sealed does not open; set ENCRYPTION_KEY, or add to ENCRYPTION_KEYS_PREVIOUS, exactly the text that server ran with"
    )]
    UnknownPredecessor,
    /// bcrypt refused its input or its stored hash.
    #[error("bcrypt failed: {0}")]
    Bcrypt(#[from] bcrypt::BcryptError),
}

/// 256 random bits as 43 URL-safe characters: states, browser tokens and the like.
pub fn random_token() -> Result<SecretString, CryptoError> {
    let mut bytes = zeroize::Zeroizing::new([0u8; 32]);
    SystemRandom::new().fill(bytes.as_mut()).map_err(|_| CryptoError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(*bytes).into())
}

/// SHA-256: what a secret is recognised by without being kept.
pub fn digest(secret: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
    out
}

/// SHA-256 in hex: how random secrets of 256 bits are stored and looked up (no salt is needed at that length).
pub fn digest_hex(secret: &str) -> String {
    hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

/// Compares two secrets without telling by its time where they differ.
pub fn same_secret(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// A keyed digest: proves that a text came from this gateway, or stands in for a secret in memory.
#[derive(Clone)]
pub struct Signer {
    key: hmac::Key,
    /// Of encryption keys that were replaced: recognised, never used.
    previous: Vec<hmac::Key>,
}

impl Signer {
    /// A signer whose key exists in this process only.
    pub fn ephemeral() -> Result<Self, CryptoError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| CryptoError::Random)?;
        Ok(Self { key, previous: Vec::new() })
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, bytes), previous: Vec::new() }
    }

    /// The digest of a secret, for use as a map key.
    pub fn digest(&self, secret: &str) -> [u8; 32] {
        digest_under(&self.key, secret)
    }

    /// What [`Signer::digest`] gave while a previous encryption key was the current one.
    pub fn previous_digests(&self, secret: &str) -> Vec<[u8; 32]> {
        self.previous.iter().map(|key| digest_under(key, secret)).collect()
    }

    /// The digests of a text that is made of `parts`, under the current key first and then under those it replaced: for
    /// columns that are compared. No two lists of parts have the same.
    pub fn digests(&self, parts: &[&str]) -> Vec<String> {
        let bytes = joined(parts);
        let keys = std::iter::once(&self.key).chain(&self.previous);
        keys.map(|key| URL_SAFE_NO_PAD.encode(hmac::sign(key, &bytes).as_ref())).collect()
    }

    /// A text that [`Signer::verify`] recognises; `parts` are kept apart, so that no two lists sign alike.
    pub fn sign(&self, parts: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, &joined(parts)).as_ref())
    }

    /// Whether `signature` was made by [`Signer::sign`] for the same parts; in constant time.
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

/// The digest under which an API key is remembered in memory once bcrypt has accepted it.
pub fn key_digest(signer: &Signer, key: &PresentedKey) -> [u8; 32] {
    signer.digest(key.text().expose_secret())
}
