//! Errors of this module.

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
