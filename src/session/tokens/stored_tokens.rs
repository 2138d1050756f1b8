//! Reads the access token of a connection for a read-only command. Changes nothing: tokens that are due for a refresh
//! are left to the gateway.

use chrono::{DateTime, Utc};

use crate::{
    crypto::{EncryptionContext, KeyRing},
    domain::{TokenSet, UserId},
    session::call_error::CallError,
    store::Store,
};

/// The stored token of a user's connection.
#[derive(Debug)]
pub enum StoredTokens {
    /// A token that is valid as far as known, without its refresh token.
    Good(TokenSet),
    /// An expired token. The gateway refreshes it when the user calls a tool.
    Ended,
}

/// Decrypts the access token of a user's connection.
///
/// # Errors
/// `NotConnected` and `NeedsReconnect`, and errors of the database and the key ring.
pub async fn stored_tokens(
    store: &Store,
    ring: &KeyRing,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<StoredTokens, CallError> {
    let row = store.connection(user).await?.ok_or(CallError::NotConnected)?;
    if row.rejected_at.is_some() {
        return Err(CallError::NeedsReconnect);
    }
    if row.expires_at.is_some_and(|end| end <= now) {
        return Ok(StoredTokens::Ended);
    }
    let access = ring.open(EncryptionContext::AccessToken(user), &row.access)?;
    Ok(StoredTokens::Good(TokenSet {
        kind: row.token_kind,
        access,
        refresh: None,
        obtained_at: row.obtained_at,
        expires_at: row.expires_at,
    }))
}
