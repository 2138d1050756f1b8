//! HMAC keys: digests that replace a secret, and signatures.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, rand::SystemRandom};

use super::crypto_error::CryptoError;

/// An HMAC key. Its digests prove that a text came from this gateway, or replace a secret in memory.
#[derive(Clone)]
pub struct MacKey {
    pub(super) key: hmac::Key,
    /// The HMAC keys of replaced encryption keys. They verify but never sign.
    pub(super) previous: Vec<hmac::Key>,
}

impl MacKey {
    /// Creates a random key that exists in this process only.
    pub fn ephemeral() -> Result<Self, CryptoError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| CryptoError::Random)?;
        Ok(Self { key, previous: Vec::new() })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
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

/// Encodes the parts so that two different lists never have the same encoding.
pub(super) fn joined(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}
