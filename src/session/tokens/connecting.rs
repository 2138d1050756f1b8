//! Obtaining, storing and ending a user's grant.

use chrono::TimeDelta;
use uuid::Uuid;

use super::{token_manager::TokenManager, unsaved::UnsavedTokens};
use crate::{
    allowance::Account,
    domain::{AccountId, UpstreamGrant},
    session::{
        call_error::CallError, connect_credential::ConnectCredential, connect_error::ConnectError, connecting::Admitted,
    },
    store::SealedGrant,
    upstream::{TokenError, TokenResponse},
};

impl TokenManager {
    /// Obtains a grant with the credential and stores it, unless a working connection exists. If the database fails,
    /// the grant is stored later in the background: the user has agreed to it, and its code is consumed.
    pub(in crate::session) async fn connect(
        &self,
        with: ConnectCredential,
        admitted: Admitted,
    ) -> Result<Option<AccountId>, ConnectError> {
        if let Err(error) = self.save_unsaved().await {
            return Err(match error {
                CallError::Store(error) => error.into(),
                CallError::Crypto(error) => error.into(),
                _ => ConnectError::Interrupted,
            });
        }
        let existing = self.deps.store.connection(self.user).await?;
        if existing.is_some_and(|row| row.rejected_at.is_none()) {
            return Err(ConnectError::AlreadyConnected);
        }
        let grant = self.exchange(with, &admitted).await?;
        let account = grant.account;
        let sealed = self.seal(&grant.tokens)?;
        let stored = SealedGrant { account, tokens: sealed.clone() };
        let _guard = self.lock_storing().await;
        match self.deps.store.save_connection(self.user, stored, self.now()).await {
            Ok(true) => {
                self.unload();
                Ok(account)
            }
            Ok(false) => {
                // Another process was faster.
                self.discard_grant(account, sealed).await?;
                Err(ConnectError::AlreadyConnected)
            }
            Err(error) => {
                self.keep_unsaved(UnsavedTokens::Connected(grant));
                Err(error.into())
            }
        }
    }

    /// Requests a grant from OwnerRez, once for each admission. Sends nothing during shutdown.
    pub(in crate::session) async fn exchange(
        &self,
        with: ConnectCredential,
        admitted: &Admitted,
    ) -> Result<UpstreamGrant, ConnectError> {
        if self.deps.stop.is_cancelled() {
            return Err(ConnectError::Interrupted);
        }
        let permit = admitted.spend(self.user).ok_or(ConnectError::Interrupted)?;
        let grant = match with {
            ConnectCredential::Code(code) => self.upstream.exchange_code(&code).await.map(TokenResponse::into_grant),
            ConnectCredential::PersonalToken(token) => self.upstream.personal_grant(token).await,
        };
        admitted.judge(&grant);
        if let Err(TokenError::Throttled(retry_after)) = &grant {
            permit.throttled(*retry_after);
        }
        Ok(grant?)
    }

    /// Removes the connection and queues its token for revocation. Works while a call is in progress, and waits only
    /// for tokens that are being stored.
    pub(in crate::session) async fn disconnect(&self) -> Result<bool, CallError> {
        let guard = self.lock_storing().await;
        // An unsaved new connection is stored first, so that it ends like any other.
        let connecting = self
            .unsaved
            .borrow()
            .as_ref()
            .is_some_and(|unsaved| matches!(unsaved.tokens(), UnsavedTokens::Connected(_)));
        if connecting {
            self.save_locked(&guard).await?;
        }
        let ended = self.deps.store.disconnect(self.user, Uuid::now_v7(), self.now()).await?;
        self.unload();
        // Unsaved refreshed tokens find no row now, and are queued for revocation as well.
        if let Err(error) = self.save_locked(&guard).await {
            log::warn!("cannot queue new tokens of user {} for revocation yet: {error}", self.user);
        }
        Ok(ended)
    }

    /// Revokes a grant that became no connection. Best effort, because the grant is stored nowhere.
    pub(in crate::session) async fn revoke_at_once(&self, grant: &UpstreamGrant) {
        let deadline = self.now() + TimeDelta::seconds(5);
        let revoked = match self.permit(Account::Connecting, deadline).await {
            Ok(mut permit) => {
                // Checked last, because the wait for the permit takes time.
                match self.is_connected_here(grant.account).await {
                    Ok(false) => {}
                    Ok(true) => return,
                    Err(error) => {
                        let user = self.user;
                        log::warn!("not revoking a grant of user {user}, because the database failed: {error}");
                        return;
                    }
                }
                permit.sending();
                self.upstream.revoke(&grant.tokens.access).await.map_err(|error| error.to_string())
            }
            Err(refusal) => Err(refusal.to_string()),
        };
        if let Err(error) = revoked {
            log::error!("a grant of user {} could neither be stored nor revoked: {error}", self.user);
        }
    }
}
