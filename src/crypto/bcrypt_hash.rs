//! bcrypt hashes of API keys.

use secrecy::ExposeSecret;

use super::{api_key::ApiKey, crypto_error::CryptoError, presented_key::PresentedKey};

/// Returns the bcrypt hash of the whole key. Rejects input that is longer than bcrypt can read instead of truncating
/// it. Takes tens of milliseconds: never call it on an async thread.
pub fn hash_api_key(key: &ApiKey, cost: u32) -> Result<String, CryptoError> {
    Ok(bcrypt::non_truncating_hash(key.expose().expose_secret(), cost)?)
}

/// Compares a key with a stored hash. As slow as [`hash_api_key`].
pub fn verify_api_key(key: &PresentedKey, hash: &str) -> Result<bool, CryptoError> {
    Ok(bcrypt::non_truncating_verify(key.text().expose_secret(), hash)?)
}
