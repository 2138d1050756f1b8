//! Tokens that OwnerRez issued but that could not be stored in the database. The session has the only copy. It retries
//! in the background until they are stored, and before any other work for the user.
//!
//! Tokens of an existing connection are never revoked. They belong to one grant, so revoking any of them ends all.

use std::rc::Rc;

use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::{
    loaded_tokens::LoadedTokens,
    token_manager::TokenManager,
    unsaved::{Unsaved, UnsavedTokens},
};
use crate::{
    domain::{AccountId, TokenKind, TokenSet, UpstreamGrant},
    session::call_error::CallError,
    store::{Connection, SealedGrant, SealedTokens, StoreError},
};

/// The maximum number of changes of a row by others that one attempt to store tokens tolerates.
const MAX_RETRIES: usize = 4;

/// The right to store or end the user's connection.
pub(in crate::session) type StoringGuard<'a> = MutexGuard<'a, ()>;

impl TokenManager {
    /// Waits until no other tokens of this user are being stored. A disconnect runs between the steps of a job, so both
    /// hold this lock from their first statement to their last. Otherwise tokens could be stored after the disconnect.
    pub(in crate::session) async fn lock_storing(&self) -> StoringGuard<'_> {
        self.storing.lock().await
    }

    /// Keeps tokens until they are stored.
    pub(super) fn keep_unsaved(&self, tokens: UnsavedTokens) {
        let unsaved = Unsaved::new(tokens, self.deps.unsaved.increment());
        *self.unsaved.borrow_mut() = Some(Rc::new(unsaved));
    }

    /// Drops unsaved tokens of a connection that a newer authorization has replaced.
    pub(in crate::session) fn drop_unsaved(&self) {
        self.unsaved.borrow_mut().take();
    }

    /// Returns whether there are unsaved tokens.
    pub(in crate::session) fn has_unsaved(&self) -> bool {
        self.unsaved.borrow().is_some()
    }

    /// Stores unsaved tokens. They are not used before that has succeeded.
    pub(in crate::session) async fn save_unsaved(&self) -> Result<(), CallError> {
        let guard = self.lock_storing().await;
        self.save_locked(&guard).await
    }

    /// The same for a caller that has the lock. The tokens are removed from memory only after they are stored, so an
    /// error or a dropped future loses nothing.
    pub(super) async fn save_locked(&self, _: &StoringGuard<'_>) -> Result<(), CallError> {
        let Some(unsaved) = self.unsaved.borrow().clone() else { return Ok(()) };
        match unsaved.tokens() {
            UnsavedTokens::Refreshed { replaces, tokens } => self.store_refreshed(replaces, tokens).await?,
            UnsavedTokens::Connected(grant) => self.store_connected(grant).await?,
        }
        self.unsaved.borrow_mut().take_if(|kept| Rc::ptr_eq(kept, &unsaved));
        self.unload();
        Ok(())
    }

    async fn store_refreshed(&self, replaces: &LoadedTokens, tokens: &TokenSet) -> Result<(), CallError> {
        let sealed = self.seal(tokens)?;
        let store = &self.deps.store;
        let mut version = replaces.version;
        for _ in 0..MAX_RETRIES {
            let now = self.now();
            if store.store_refreshed(self.user, replaces.connection, version, sealed.clone(), now).await? {
                return Ok(());
            }
            match store.connection(self.user).await? {
                // The user has disconnected, which also ends the grant at OwnerRez.
                None => {
                    let (id, account) = (Uuid::now_v7(), replaces.account);
                    return Ok(store.add_revocation(self.user, id, account, sealed.access, now).await?);
                }
                Some(row) if row.id == replaces.connection && lacks_tokens(&row, replaces) => version = row.version,
                Some(_) => {
                    log::info!("tokens of user {} were replaced before they could be stored", self.user);
                    return Ok(());
                }
            }
        }
        Err(CallError::RefreshElsewhere)
    }

    async fn store_connected(&self, grant: &UpstreamGrant) -> Result<(), CallError> {
        let sealed = self.seal(&grant.tokens)?;
        let grant = SealedGrant { account: grant.account, tokens: sealed.clone() };
        let account = grant.account;
        let stored = match self.deps.store.save_connection(self.user, grant, self.now()).await {
            Ok(stored) => stored,
            // The user may have been deleted in the meantime.
            Err(error) if self.deps.store.has_user(self.user).await? => return Err(error.into()),
            Err(_) => false,
        };
        if !stored {
            self.discard_grant(account, sealed).await?;
        }
        self.deps.recount_accounts().await;
        Ok(())
    }

    /// Drops a grant that cannot be stored, because the user already has a connection.
    pub(in crate::session) async fn discard_grant(
        &self,
        account: Option<AccountId>,
        sealed: SealedTokens,
    ) -> Result<(), StoreError> {
        if sealed.kind == TokenKind::Bearer && !self.is_connected_here(account).await? {
            let id = Uuid::now_v7();
            self.deps.store.add_revocation(self.user, id, account, sealed.access, self.now()).await?;
        }
        Ok(())
    }

    /// Returns whether a connection may depend on grants of this account. OwnerRez does not document whether revoking
    /// one grant ends the others of its account. An unknown account may be any account.
    pub(in crate::session) async fn is_connected_here(&self, account: Option<AccountId>) -> Result<bool, StoreError> {
        match account {
            None => Ok(true),
            Some(account) => self.deps.store.is_account_connected(account).await,
        }
    }
}

/// Returns whether a row has no usable refresh token, because another process found it consumed. This process consumed
/// it and has its successor.
fn lacks_tokens(row: &Connection, replaces: &LoadedTokens) -> bool {
    row.rejected_at.is_some() || (row.refresh.is_none() && replaces.tokens.refresh.is_some())
}
