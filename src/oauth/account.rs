//! What somebody who signed in may do with what is theirs: look at it, end it, and bring an API key along.

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use super::{AuthorizationServer, ServerError};
use crate::{
    crypto,
    domain::{AccountHolder, GrantId, KeyId, UserId},
    store::{KeyMoved, NewSession},
};

/// How long a browser stays signed in to the account page.
pub const SESSION_LIFE: TimeDelta = TimeDelta::minutes(30);

impl AuthorizationServer {
    /// Signs a browser in; gives what its cookie holds.
    pub async fn open_session(&self, holder: AccountHolder) -> Result<SecretString, ServerError> {
        let token = crypto::random_token()?;
        let created_at = self.0.clock.now();
        let session = NewSession {
            token_hash: crypto::digest_hex(token.expose_secret()),
            holder,
            created_at,
            expires_at: created_at + SESSION_LIFE,
        };
        if self.0.store.open_session(session).await? { Ok(token) } else { Err(ServerError::UserGone) }
    }

    /// Who is signed in by this cookie.
    pub async fn session(&self, token: &str) -> Result<Option<AccountHolder>, ServerError> {
        Ok(self.0.store.session(&crypto::digest_hex(token), self.0.clock.now()).await?)
    }

    /// Signs a browser out.
    pub async fn close_session(&self, token: &str) -> Result<bool, ServerError> {
        Ok(self.0.store.close_session(&crypto::digest_hex(token)).await?)
    }

    /// Ends an API key of the user who signed in.
    pub async fn end_key(&self, of: AccountHolder, key: KeyId) -> Result<bool, ServerError> {
        Ok(self.0.store.end_key(of.user, key).await?)
    }

    /// Ends a client of the user who signed in.
    pub async fn end_grant(&self, of: AccountHolder, grant: GrantId) -> Result<bool, ServerError> {
        Ok(self.0.store.end_grant(of.user, grant).await?)
    }

    /// Ends the connection by which another user reaches the account of whoever signed in. What that user has otherwise
    /// is none of their business and stays.
    pub async fn end_connection(&self, of: AccountHolder, other: UserId) -> Result<bool, ServerError> {
        let reaches = self.0.store.reaching(of.account, self.0.clock.now()).await?;
        if other == of.user || !reaches.iter().any(|reaching| reaching.user == other) {
            return Ok(false);
        }
        Ok(self.0.sessions.disconnect(other).await?)
    }

    /// Moves an API key, which was shown, from its user to whoever signed in.
    pub async fn attach_key(
        &self,
        to: AccountHolder,
        from: UserId,
        key: KeyId,
        cap: u64,
    ) -> Result<KeyMoved, ServerError> {
        let moved = self.0.store.move_key(to, from, key, cap, self.0.clock.now()).await?;
        if moved == (KeyMoved::Moved { left_nobody: true }) {
            // Their actor forgets the tokens that it holds.
            self.0.sessions.disconnect(from).await?;
        }
        Ok(moved)
    }
}
