//! The decrypted row of a user's connection.

use uuid::Uuid;

use crate::domain::{AccountId, TokenSet};

/// A decrypted row.
pub(super) struct LoadedTokens {
    pub(super) connection: Uuid,
    pub(super) version: i64,
    pub(super) account: Option<AccountId>,
    pub(super) tokens: TokenSet,
}
