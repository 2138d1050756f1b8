//! A stored API key.

use chrono::{DateTime, Utc};
use entity::api_keys;

use crate::domain::{KeyId, Scope, ToolDefaults, UserId, plain_name};

/// The maximum number of characters of a key's name that are stored and shown.
pub const KEY_NAME_LIMIT: usize = 100;

/// A stored API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredKey {
    /// The id of the key.
    pub id: KeyId,
    /// The owner of the key.
    pub user: UserId,
    /// bcrypt hash of the whole key.
    pub hash: String,
    /// The HMAC that makes bcrypt unnecessary; absent until bcrypt has accepted the key once.
    pub hmac: Option<String>,
    /// The prefix that the key is looked up by.
    pub prefix: String,
    /// The name that the owner gave the key.
    pub name: Option<String>,
    /// The scope of the key.
    pub scope: Scope,
    /// The creation time.
    pub created_at: DateTime<Utc>,
    /// The time of the last successful authentication.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The key is invalid from this time on.
    pub expires_at: Option<DateTime<Utc>>,
    /// The key's selection of tools.
    pub view: ToolDefaults,
}

impl StoredKey {
    /// Returns the start of the key for lists and pages. The predecessor stored its prefixes with dots at the end,
    /// which are removed.
    pub fn display_prefix(&self) -> &str {
        self.prefix.trim_end_matches('.')
    }
}

impl From<api_keys::Model> for StoredKey {
    fn from(row: api_keys::Model) -> Self {
        let api_keys::Model {
            id,
            user_id,
            key_hash,
            key_prefix,
            name,
            last_used_at,
            created_at,
            scope,
            expires_at,
            key_digest: _,
            key_hmac,
            toolsets,
            read_only,
            two_steps,
        } = row;
        StoredKey {
            id: KeyId(id),
            user: UserId(user_id),
            hash: key_hash,
            hmac: key_hmac,
            prefix: key_prefix,
            // Names stored by the predecessor or by direct edits of the database were not cleaned.
            name: name.and_then(|name| plain_name(&name, KEY_NAME_LIMIT)),
            // An unknown scope is treated as read-only.
            scope: if scope == Scope::Full.as_str() { Scope::Full } else { Scope::Read },
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
            expires_at: expires_at.map(Into::into),
            view: ToolDefaults { toolsets: toolsets.map(Into::into), read_only, two_steps },
        }
    }
}
