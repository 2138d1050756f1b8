//! The account page's operations: browser sessions, ending keys, grants and connections, and transferring an API key.

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use super::{authorization_server::AuthorizationServer, server_error::ServerError};
use crate::{
    crypto,
    domain::{GrantId, KeyId, SignedInUser, UserId},
    store::{KeyMoved, NewSession},
};

/// Lifetime of a browser session of the account page.
pub const SESSION_LIFETIME: TimeDelta = TimeDelta::minutes(30);

impl AuthorizationServer {
    /// Opens a browser session and returns the value of its cookie.
    pub async fn open_session(&self, holder: SignedInUser) -> Result<SecretString, ServerError> {
        let token = crypto::random_token()?;
        let created_at = self.0.clock.now();
        let session = NewSession {
            token_hash: crypto::sha256_hex(token.expose_secret()),
            holder,
            created_at,
            expires_at: created_at + SESSION_LIFETIME,
        };
        if self.0.store.open_session(session).await? { Ok(token) } else { Err(ServerError::UserGone) }
    }

    /// Returns the user that is signed in with this cookie.
    pub async fn session(&self, token: &str) -> Result<Option<SignedInUser>, ServerError> {
        Ok(self.0.store.session(&crypto::sha256_hex(token), self.0.clock.now()).await?)
    }

    /// Closes a browser session.
    pub async fn close_session(&self, token: &str) -> Result<bool, ServerError> {
        Ok(self.0.store.close_session(&crypto::sha256_hex(token)).await?)
    }

    /// Ends an API key of the signed-in user.
    pub async fn end_key(&self, of: SignedInUser, key: KeyId) -> Result<bool, ServerError> {
        Ok(self.0.store.end_key(of.user, key).await?)
    }

    /// Ends a client's grant of the signed-in user.
    pub async fn end_grant(&self, of: SignedInUser, grant: GrantId) -> Result<bool, ServerError> {
        Ok(self.0.store.end_grant(of.user, grant).await?)
    }

    /// Ends another user's connection to the account of the signed-in user. Everything else that the other user has is
    /// kept.
    pub async fn end_connection(&self, of: SignedInUser, other: UserId) -> Result<bool, ServerError> {
        let reaches = self.0.store.users_with_access(of.account, self.0.clock.now()).await?;
        if other == of.user || !reaches.iter().any(|reaching| reaching.user == other) {
            return Ok(false);
        }
        Ok(self.0.sessions.disconnect(other).await?)
    }

    /// Transfers an API key from its user to the signed-in user. The caller has checked that the key was presented.
    pub async fn transfer_key(
        &self,
        to: SignedInUser,
        from: UserId,
        key: KeyId,
        cap: u64,
    ) -> Result<KeyMoved, ServerError> {
        let moved = self.0.store.move_key(to, from, key, cap, self.0.clock.now()).await?;
        if moved == (KeyMoved::Moved { user_deleted: true }) {
            // The actor of the removed user must drop its tokens.
            self.0.sessions.disconnect(from).await?;
        }
        Ok(moved)
    }
}
