//! Token encryption (the key ring), API-key generation and verification, and keyed digests. No network, no database.

mod api_key;
mod bcrypt_hash;
mod constant_time_eq;
mod crypto_error;
mod hex;
mod key_hmac;
mod key_ring;
mod legacy_key_digest;
mod mac_key;
mod presented_key;
mod random_token;
mod rotation;
mod sha256;

pub use api_key::{ApiKey, BadApiKey};
pub use bcrypt_hash::{hash_api_key, verify_api_key};
pub use constant_time_eq::constant_time_eq;
pub use crypto_error::CryptoError;
pub use key_hmac::{KeyHmac, KeyMatch};
pub use key_ring::{EncryptionContext, KeyRing};
pub use legacy_key_digest::{legacy_key_digest, previous_legacy_key_digests};
pub use mac_key::MacKey;
pub use presented_key::{PresentedKey, key_digest};
pub use random_token::random_token;
pub use rotation::{SealedWith, sealed_with};
pub use sha256::{sha256, sha256_hex};
