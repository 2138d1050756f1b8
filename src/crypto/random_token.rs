//! Random texts for states, browser tokens and similar values.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use super::crypto_error::CryptoError;

/// Returns 256 random bits as 43 URL-safe characters, for states, browser tokens and similar values.
pub fn random_token() -> Result<SecretString, CryptoError> {
    let mut bytes = zeroize::Zeroizing::new([0u8; 32]);
    SystemRandom::new().fill(bytes.as_mut()).map_err(|_| CryptoError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(*bytes).into())
}
