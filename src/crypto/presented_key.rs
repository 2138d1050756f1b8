//! A received API key of either format: one of this gateway or one of the TypeScript server.

use secrecy::{ExposeSecret, SecretString};

use super::{
    api_key::{ApiKey, BadApiKey},
    mac_key::MacKey,
};
use crate::legacy::LegacyApiKey;

/// A received key that is well-formed in one of the two formats.
#[derive(Clone, Debug)]
pub enum PresentedKey {
    /// A key of this gateway.
    Gateway(ApiKey),
    /// A key of the TypeScript server.
    Legacy(LegacyApiKey),
}

impl PresentedKey {
    /// Parses a key. The two formats differ in length.
    pub fn parse(text: &str) -> Result<Self, BadApiKey> {
        ApiKey::parse(text).map(Self::Gateway).or_else(|bad| LegacyApiKey::parse(text).map(Self::Legacy).ok_or(bad))
    }

    pub(super) fn text(&self) -> &SecretString {
        match self {
            Self::Gateway(key) => key.expose(),
            Self::Legacy(key) => key.text(),
        }
    }
}

/// Returns the digest under which an API key is cached in memory after bcrypt has accepted it.
pub fn key_digest(mac_key: &MacKey, key: &PresentedKey) -> [u8; 32] {
    mac_key.digest(key.text().expose_secret())
}
