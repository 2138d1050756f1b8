//! The state of one user's tokens: loading, decrypting and encrypting them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use super::{failures::Failures, loaded_tokens::LoadedTokens, unsaved::Unsaved};
use crate::{
    allowance::Account,
    crypto::{CryptoError, EncryptionContext},
    domain::{TokenSet, UserId},
    legacy::is_legacy_sealed,
    session::{allowance::Permit, call_error::CallError, session_deps::SessionDeps},
    store::{Connection, SealedTokens},
    upstream::Upstream,
};

/// The state of this session. `Absent` and `Rejected` are not cached: the row is read each time, so that a connection
/// made through another process is found at once.
pub(super) enum TokenState {
    Unloaded,
    Ready(Rc<LoadedTokens>),
}

pub(in crate::session) struct TokenManager {
    pub(in crate::session) user: UserId,
    pub(super) deps: Arc<SessionDeps>,
    pub(super) upstream: Upstream,
    pub(super) state: RefCell<TokenState>,
    pub(super) unsaved: RefCell<Option<Rc<Unsaved>>>,
    /// Locked while a connection is stored or ended, from the first statement to the last.
    pub(super) storing: Mutex<()>,
    /// Counts the changes that make copies of the state stale.
    pub(super) generation: Cell<u64>,
    pub(super) failures: RefCell<Option<Box<Failures>>>,
}

impl TokenManager {
    pub(in crate::session) fn new(user: UserId, deps: Arc<SessionDeps>, upstream: Upstream) -> Self {
        Self {
            user,
            deps,
            upstream,
            state: RefCell::new(TokenState::Unloaded),
            unsaved: RefCell::new(None),
            storing: Mutex::new(()),
            generation: Cell::new(0),
            failures: RefCell::new(None),
        }
    }

    /// Returns whether no state would be lost if this session ended now.
    pub(in crate::session) fn can_be_dropped(&self) -> bool {
        !self.has_unsaved() && !self.has_recent_rejections(self.now())
    }

    pub(in crate::session) fn now(&self) -> DateTime<Utc> {
        self.deps.clock.now()
    }

    /// Drops the decrypted tokens, and makes copies of the state stale.
    pub(super) fn unload(&self) {
        self.generation.set(self.generation.get() + 1);
        *self.state.borrow_mut() = TokenState::Unloaded;
    }

    /// Returns the account that the user's requests are counted for.
    pub(super) fn account(&self, loaded: &LoadedTokens) -> Account {
        loaded.account.map_or(Account::User(self.user), Account::OwnerRez)
    }

    /// Waits for a permit for a request that its caller cannot cancel. Fails during shutdown.
    pub(super) async fn permit(&self, account: Account, deadline: DateTime<Utc>) -> Result<Permit, CallError> {
        tokio::select! {
            biased;
            () = self.deps.stop.cancelled() => Err(CallError::ShuttingDown),
            permit = self.deps.allowance.acquire(self.user, account, deadline) => permit.map_err(CallError::Allowance),
        }
    }

    /// Reads the row and decrypts it.
    pub(super) async fn load_fresh(&self) -> Result<Rc<LoadedTokens>, CallError> {
        loop {
            let generation = self.generation.get();
            let row = self.deps.store.connection(self.user).await?;
            if generation != self.generation.get() {
                continue;
            }
            let row = match row {
                None => {
                    self.unload();
                    return Err(CallError::NotConnected);
                }
                Some(row) if row.rejected_at.is_some() => {
                    self.unload();
                    return Err(CallError::NeedsReconnect);
                }
                Some(row) => row,
            };
            let is_legacy = [Some(&row.access), row.refresh.as_ref()].into_iter().flatten().any(is_legacy_sealed);
            let loaded = self.open(row)?;
            if is_legacy {
                let stored = self.re_encrypt(&loaded).await?;
                if !stored || generation != self.generation.get() {
                    continue;
                }
            }
            return Ok(self.set_ready(loaded));
        }
    }

    /// Re-encrypts tokens of the TypeScript server in the current format, before they are used. Returns `false` if they
    /// have changed in the meantime.
    async fn re_encrypt(&self, loaded: &LoadedTokens) -> Result<bool, CallError> {
        let SealedTokens { access, refresh, .. } = self.seal(&loaded.tokens)?;
        Ok(self.deps.store.store_re_encrypted(self.user, loaded.connection, loaded.version, access, refresh).await?)
    }

    fn set_ready(&self, loaded: LoadedTokens) -> Rc<LoadedTokens> {
        let loaded = Rc::new(loaded);
        *self.state.borrow_mut() = TokenState::Ready(loaded.clone());
        loaded
    }

    fn open(&self, row: Connection) -> Result<LoadedTokens, CryptoError> {
        let ring = &self.deps.ring;
        let access = ring.open(EncryptionContext::AccessToken(self.user), &row.access)?;
        let refresh =
            row.refresh.map(|sealed| ring.open(EncryptionContext::RefreshToken(self.user), &sealed)).transpose()?;
        let tokens = TokenSet {
            kind: row.token_kind,
            access,
            refresh,
            obtained_at: row.obtained_at,
            expires_at: row.expires_at,
        };
        Ok(LoadedTokens { connection: row.id, version: row.version, account: row.account, tokens })
    }

    /// Encrypts tokens for the user's own row.
    pub(super) fn seal(&self, tokens: &TokenSet) -> Result<SealedTokens, CryptoError> {
        self.seal_for(self.user, tokens)
    }

    /// Encrypts tokens for the row of another user that they belong to.
    pub(super) fn seal_for(&self, user: UserId, tokens: &TokenSet) -> Result<SealedTokens, CryptoError> {
        let ring = &self.deps.ring;
        Ok(SealedTokens {
            kind: tokens.kind,
            access: ring.seal(EncryptionContext::AccessToken(user), &tokens.access)?,
            refresh: tokens
                .refresh
                .as_ref()
                .map(|refresh| ring.seal(EncryptionContext::RefreshToken(user), refresh))
                .transpose()?,
            obtained_at: tokens.obtained_at,
            expires_at: tokens.expires_at,
            renew_at: tokens.renew_from(),
        })
    }
}
