//! The lookup digests of the TypeScript server's API keys.

use secrecy::ExposeSecret;

use super::{hex::hex, mac_key::MacKey};
use crate::legacy::LegacyApiKey;

/// Returns the lookup digest of a key, in hexadecimal for the database, once bcrypt has accepted it. `mac_key` is
/// [`super::KeyRing::legacy_key_mac_key`]. The digest is keyed, so it reveals nothing to a reader of the database; in
/// addition, the key has 192 random bits.
pub fn legacy_key_digest(mac_key: &MacKey, key: &LegacyApiKey) -> String {
    hex(&mac_key.digest(key.text().expose_secret()))
}

/// Returns the lookup digests that may have been stored under previous encryption keys.
pub fn previous_legacy_key_digests(mac_key: &MacKey, key: &LegacyApiKey) -> Vec<String> {
    mac_key.previous_digests(key.text().expose_secret()).iter().map(|digest| hex(digest)).collect()
}
