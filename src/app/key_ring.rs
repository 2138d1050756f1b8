//! The configured encryption keys.

use secrecy::SecretBox;

use super::start_error::StartError;
use crate::{
    config::{Config, ConfiguredKey, EncryptionKey},
    crypto::KeyRing,
};

/// Returns the keys of this deployment, including those that open what the TypeScript server encrypted.
pub(super) fn key_ring(config: &Config) -> Result<KeyRing, StartError> {
    key_ring_from(&config.encryption, &config.encryption.obtain()?, &config.previous_keys)
}

/// Returns the keys for the current key and those that were replaced.
pub(super) fn key_ring_from(
    current: &EncryptionKey,
    key: &SecretBox<[u8; 32]>,
    previous: &[ConfiguredKey],
) -> Result<KeyRing, StartError> {
    let mut ring = KeyRing::new(key)?;
    if let Some(text) = current.text() {
        ring = ring.with_legacy_secret(text.clone());
    }
    for replaced in previous {
        ring = ring.with_previous(replaced.key())?.with_legacy_secret(replaced.text().clone());
    }
    Ok(ring)
}
