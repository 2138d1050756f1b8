//! Tokens that OwnerRez issued and the database did not take. The session holds the only copy; it stores them in the
//! background until they are stored, and before it does anything else for the user.
//!
//! Nothing of a connection that exists is revoked. Its tokens belong to one grant, so to revoke any of them ends all.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::{CallError, Held, TokenKeeper};
use crate::{
    domain::{AccountId, Grant, TokenKind, TokenSet},
    store::{Connection, SealedGrant, SealedTokens, StoreError},
};

/// Changes of a row by others that one attempt to store tokens follows.
const CHANGES: usize = 4;

/// How many users' tokens are in no database. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct UnsavedCount(Arc<AtomicUsize>);

impl UnsavedCount {
    /// The number of now.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn one_more(&self) -> CountedUnsaved {
        self.0.fetch_add(1, Ordering::AcqRel);
        CountedUnsaved(self.clone())
    }
}

struct CountedUnsaved(UnsavedCount);

impl Drop for CountedUnsaved {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to store or end the user's connection.
pub(in crate::session) type Turn<'a> = MutexGuard<'a, ()>;

/// The only copy of some tokens.
pub(super) struct Unsaved {
    won: Won,
    _counted: CountedUnsaved,
}

impl Unsaved {
    pub(super) fn won(&self) -> &Won {
        &self.won
    }
}

/// What was won.
pub(super) enum Won {
    /// New tokens for a connection.
    Refreshed { replaces: Rc<Held>, tokens: TokenSet },
    /// A new connection.
    Connected(Grant),
}

impl TokenKeeper {
    /// Waits until no other tokens of this user are being stored. A disconnect runs between the steps of a job, so both
    /// take turns from their first statement to their last: otherwise tokens could be stored behind the disconnect.
    pub(in crate::session) async fn turn_to_store(&self) -> Turn<'_> {
        self.storing.lock().await
    }

    /// Keeps what was won until it is stored.
    pub(super) fn keep_unsaved(&self, won: Won) {
        let _counted = self.deps.unsaved.one_more();
        *self.unsaved.borrow_mut() = Some(Rc::new(Unsaved { won, _counted }));
    }

    /// Gives up what was won for a connection that has been replaced by a newer authorization.
    pub(in crate::session) fn drop_unsaved(&self) {
        self.unsaved.borrow_mut().take();
    }

    /// Whether there is something to store.
    pub(in crate::session) fn has_unsaved(&self) -> bool {
        self.unsaved.borrow().is_some()
    }

    /// Stores what was won. Until that has succeeded it is not used for anything.
    pub(in crate::session) async fn save_unsaved(&self) -> Result<(), CallError> {
        let turn = self.turn_to_store().await;
        self.save_in_turn(&turn).await
    }

    /// The same, for one who has the turn. What was won leaves its place only when it is stored, so a failure, or a caller
    /// that drops this, loses nothing.
    pub(super) async fn save_in_turn(&self, _: &Turn<'_>) -> Result<(), CallError> {
        let Some(unsaved) = self.unsaved.borrow().clone() else { return Ok(()) };
        match &unsaved.won {
            Won::Refreshed { replaces, tokens } => self.store_refreshed(replaces, tokens).await?,
            Won::Connected(grant) => self.store_connected(grant).await?,
        }
        self.unsaved.borrow_mut().take_if(|kept| Rc::ptr_eq(kept, &unsaved));
        self.forget();
        Ok(())
    }

    async fn store_refreshed(&self, replaces: &Held, tokens: &TokenSet) -> Result<(), CallError> {
        let sealed = self.seal(tokens)?;
        let store = &self.deps.store;
        let mut version = replaces.version;
        for _ in 0..CHANGES {
            let now = self.now();
            if store.store_refreshed(self.user, replaces.connection, version, sealed.clone(), now).await? {
                return Ok(());
            }
            match store.connection(self.user).await? {
                // The user has disconnected, which ends the grant at OwnerRez, too.
                None => {
                    let (id, account) = (Uuid::now_v7(), replaces.account);
                    return Ok(store.add_revocation(self.user, id, account, sealed.access, now).await?);
                }
                Some(row) if row.id == replaces.connection && lacks_tokens(&row, replaces) => version = row.version,
                Some(_) => {
                    log::info!("tokens of user {} were replaced by others before they could be stored", self.user);
                    return Ok(());
                }
            }
        }
        Err(CallError::RefreshElsewhere)
    }

    async fn store_connected(&self, grant: &Grant) -> Result<(), CallError> {
        let sealed = self.seal(&grant.tokens)?;
        let grant = SealedGrant { account: grant.account, tokens: sealed.clone() };
        let account = grant.account;
        let stored = match self.deps.store.save_connection(self.user, grant, self.now()).await {
            Ok(stored) => stored,
            // The user may have been deleted meanwhile.
            Err(error) if self.deps.store.has_user(self.user).await? => return Err(error.into()),
            Err(_) => false,
        };
        if !stored {
            self.drop_grant(account, sealed).await?;
        }
        self.deps.recount_accounts().await;
        Ok(())
    }

    /// Gives up a grant for which there is no place, since the user has a connection.
    pub(in crate::session) async fn drop_grant(
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

    /// Whether a connection may depend on grants of this account. OwnerRez does not document whether the end of one grant ends
    /// the others of its account; an account that is not known may be any.
    pub(in crate::session) async fn is_connected_here(&self, account: Option<AccountId>) -> Result<bool, StoreError> {
        match account {
            None => Ok(true),
            Some(account) => self.deps.store.is_account_connected(account).await,
        }
    }
}

/// Whether a row has nothing to renew its tokens with, because another process found the refresh token used up. The process
/// that used it up is this one, which has its successor.
fn lacks_tokens(row: &Connection, replaces: &Held) -> bool {
    row.rejected_at.is_some() || (row.refresh.is_none() && replaces.tokens.refresh.is_some())
}
