//! The lifecycle of one user's tokens: decrypted on first use, refreshed in time, stored before use, and ended on
//! certain evidence only. The only module with plain-text tokens.
//!
//! Written as plain async functions over interior state: the actor runs one of them as its job, while control messages
//! (a disconnect) change the state in between. A function that has a copy across an `await` detects such a change by
//! the row's version (in the database) or the generation (here).

mod connecting;
mod failures;
mod refresh;
mod rejections;
mod stored;
mod unsaved;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use uuid::Uuid;

pub(super) use self::connecting::ConnectCredential;
use self::{
    failures::Failures,
    refresh::RefreshReason,
    rejections::{FRESH, Rejections},
    unsaved::Unsaved,
};
pub use self::{
    stored::{StoredTokens, stored_tokens},
    unsaved::UnsavedCount,
};
use super::{Answer, CallError, ConnectError, SessionDeps, allowance::Permit, call::CallUpstream};
use crate::{
    allowance::Account,
    crypto::{CryptoError, EncryptionContext, is_legacy_sealed},
    domain::{AccountId, TokenSet, UserId},
    store::{Connection, SealedTokens},
    upstream::{Reply, TransportError, Upstream, UpstreamError, UpstreamErrorKind},
};

/// The state of this session. `Absent` and `Rejected` are not cached: the row is read each time, so that a connection
/// made through another process is found at once.
enum TokenState {
    Unloaded,
    Ready(Rc<LoadedTokens>),
}

/// A decrypted row.
struct LoadedTokens {
    connection: Uuid,
    version: i64,
    account: Option<AccountId>,
    tokens: TokenSet,
}

pub(super) struct TokenManager {
    pub(super) user: UserId,
    pub(super) deps: Arc<SessionDeps>,
    upstream: Upstream,
    state: RefCell<TokenState>,
    unsaved: RefCell<Option<Rc<Unsaved>>>,
    /// Locked while a connection is stored or ended, from the first statement to the last.
    storing: Mutex<()>,
    /// Counts the changes that make copies of the state stale.
    generation: Cell<u64>,
    failures: RefCell<Option<Box<Failures>>>,
}

impl TokenManager {
    pub(super) fn new(user: UserId, deps: Arc<SessionDeps>, upstream: Upstream) -> Self {
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
    pub(super) fn can_be_dropped(&self) -> bool {
        !self.has_unsaved() && !self.has_recent_rejections(self.now())
    }

    /// Sends one request for the user with a token that is valid as far as known, and again with another token if
    /// OwnerRez reports that the token is invalid.
    pub(super) async fn call(&self, call: &mut CallUpstream) -> Result<Answer, CallError> {
        let loaded = self.ready(call.deadline).await?;
        let reply = match self.send(&loaded, call).await {
            // A read can be repeated without harm (RFC 9110 9.2.2), and a connection rarely breaks twice.
            Err(CallError::Transport { error: TransportError::Broken, .. }) if !call.request.is_write() => {
                self.send(&loaded, call).await?
            }
            outcome => outcome?,
        };
        if reply.status == 401 {
            Box::pin(self.retry_unauthorized(loaded, reply, call)).await
        } else {
            self.to_answer(reply)
        }
    }

    fn to_answer(&self, reply: Reply) -> Result<Answer, CallError> {
        let status = reply.status;
        if (200..500).contains(&status) && status != 429 {
            self.token_succeeded();
        }
        reply.into_result().map(|body| Answer { status, body, from_cache: false }).map_err(CallError::Upstream)
    }

    /// Handles a 401. Only one that may be about the token has consequences: other tokens are tried, those of the row
    /// and those of one refresh.
    async fn retry_unauthorized(
        &self,
        mut loaded: Rc<LoadedTokens>,
        reply: Reply,
        call: &mut CallUpstream,
    ) -> Result<Answer, CallError> {
        let mut error = reply.error();
        for tried in [false, true] {
            if !error.kind.may_concern_token() {
                break;
            }
            let Some(other) = self.other_tokens(&loaded, tried, call.deadline).await? else { break };
            if call.request.is_write() && self.deps.stop.is_cancelled() {
                // OwnerRez rejected the first attempt, so the change was not made, and no write begins during shutdown.
                return Err(CallError::ShuttingDown);
            }
            let reply = self.send(&other, call).await?;
            if reply.status != 401 {
                return self.to_answer(reply);
            }
            (loaded, error) = (other, reply.error());
        }
        if !error.kind.may_concern_token() {
            return Err(CallError::Upstream(error));
        }
        Err(self.record_rejection(&loaded, error).await)
    }

    /// Returns newer tokens after OwnerRez rejected the access token, from the row or from a refresh, if there can be
    /// any. `tried`: this call has tried others already.
    async fn other_tokens(
        &self,
        rejected: &LoadedTokens,
        tried: bool,
        deadline: DateTime<Utc>,
    ) -> Result<Option<Rc<LoadedTokens>>, CallError> {
        let loaded = self.load_fresh().await?;
        if loaded.version != rejected.version || loaded.connection != rejected.connection {
            return Ok(Some(loaded));
        }
        // If OwnerRez rejects tokens that it has just issued, newer tokens do not help.
        let rejected_before = tried || self.has_rejections(loaded.connection);
        if loaded.tokens.refresh.is_none() || (rejected_before && self.is_fresh(&loaded)) {
            return Ok(None);
        }
        self.with_failures(|failures| failures.rejected_version = Some((loaded.connection, loaded.version)));
        self.refresh(loaded, RefreshReason::Unauthorized, deadline).await.map(Some)
    }

    fn is_fresh(&self, loaded: &LoadedTokens) -> bool {
        loaded.tokens.obtained_at + FRESH > self.now()
    }

    /// Handles rejected tokens for which there is no replacement. The connection ends if the evidence is certain:
    /// OwnerRez names a token as invalid that was not just issued, or such rejections repeat over some minutes. For
    /// tokens that cannot be refreshed, other 401 responses count as well, because no refresh can give better evidence.
    async fn record_rejection(&self, loaded: &LoadedTokens, error: UpstreamError) -> CallError {
        let named = error.kind == UpstreamErrorKind::InvalidToken;
        let counts = named || loaded.tokens.refresh.is_none();
        let now = self.now();
        let repeated =
            self.with_failures(|failures| Rejections::note(&mut failures.rejections, loaded.connection, counts, now));
        let certain = named && !self.is_fresh(loaded) && loaded.tokens.refresh.is_none();
        if certain || repeated { self.reject(loaded).await } else { CallError::Upstream(error) }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.deps.clock.now()
    }

    pub(super) fn unload(&self) {
        self.generation.set(self.generation.get() + 1);
        *self.state.borrow_mut() = TokenState::Unloaded;
    }

    fn account(&self, loaded: &LoadedTokens) -> Account {
        loaded.account.map_or(Account::User(self.user), Account::OwnerRez)
    }

    /// Waits for a permit for a request that its caller cannot cancel. Fails during shutdown.
    async fn permit(&self, account: Account, deadline: DateTime<Utc>) -> Result<Permit, CallError> {
        tokio::select! {
            biased;
            () = self.deps.stop.cancelled() => Err(CallError::ShuttingDown),
            permit = self.deps.allowance.acquire(self.user, account, deadline) => permit.map_err(CallError::Allowance),
        }
    }

    /// Returns tokens to send a call with: saved, decrypted and not about to expire.
    async fn ready(&self, deadline: DateTime<Utc>) -> Result<Rc<LoadedTokens>, CallError> {
        if self.unsaved.borrow().is_some() {
            Box::pin(self.save_unsaved()).await?;
        }
        let loaded = {
            let known = match &*self.state.borrow() {
                TokenState::Ready(loaded) => Some(loaded.clone()),
                TokenState::Unloaded => None,
            };
            match known {
                Some(loaded) => loaded,
                None => Box::pin(self.load_fresh()).await?,
            }
        };
        if loaded.tokens.refresh.is_none() {
            return Ok(loaded);
        }
        if self.was_rejected(&loaded) {
            return Box::pin(self.refresh(loaded, RefreshReason::Unauthorized, deadline)).await;
        }
        let due = loaded.tokens.refresh_from().is_some_and(|from| from <= self.now());
        if due { Box::pin(self.refresh(loaded, RefreshReason::Due, deadline)).await } else { Ok(loaded) }
    }

    /// Reads the row and decrypts it.
    async fn load_fresh(&self) -> Result<Rc<LoadedTokens>, CallError> {
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

    fn seal(&self, tokens: &TokenSet) -> Result<SealedTokens, CryptoError> {
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

    async fn send(&self, loaded: &LoadedTokens, call: &mut CallUpstream) -> Result<Reply, CallError> {
        let acquire = self.deps.allowance.acquire(self.user, self.account(loaded), call.deadline);
        let mut permit = tokio::select! {
            biased;
            permit = acquire => permit.map_err(CallError::Allowance)?,
            () = call.abandoned() => return Err(CallError::Cancelled),
        };
        if !call.send_state.try_commit() {
            return Err(CallError::Cancelled);
        }
        permit.sending();
        let request = call.request.clone();
        let exchange = self.upstream.send(&loaded.tokens, &request);
        let reply = if request.is_write() {
            // If it were cancelled in the middle, it would be unknown whether it was carried out.
            exchange.await
        } else {
            tokio::select! {
                biased;
                reply = exchange => reply,
                () = call.abandoned() => return Err(CallError::Cancelled),
            }
        };
        match reply {
            Ok(reply) => {
                if reply.status == 429 {
                    permit.throttled(reply.retry_after);
                }
                Ok(reply)
            }
            Err(error) => {
                let nothing_sent = matches!(error, TransportError::Unreachable | TransportError::Invalid);
                Err(CallError::Transport { error, write_may_have_happened: request.is_write() && !nothing_sent })
            }
        }
    }

    /// Records that OwnerRez ended the grant. The record survives a restart, and nothing is sent until the user
    /// reconnects.
    async fn reject(&self, loaded: &LoadedTokens) -> CallError {
        let marked = self.deps.store.mark_rejected(self.user, loaded.connection, loaded.version, self.now()).await;
        self.unload();
        match marked {
            Ok(true) => {
                log::info!("OwnerRez ended the connection of user {}", self.user);
                self.deps.recount_accounts().await;
                CallError::NeedsReconnect
            }
            Ok(false) => self.changed_meanwhile().await,
            Err(error) => error.into(),
        }
    }

    /// Returns the error for a row that was changed while this call used its tokens.
    async fn changed_meanwhile(&self) -> CallError {
        match self.deps.store.connection(self.user).await {
            Ok(None) => CallError::NotConnected,
            Ok(Some(row)) if row.rejected_at.is_some() => CallError::NeedsReconnect,
            Ok(Some(_)) => CallError::RefreshElsewhere,
            Err(error) => error.into(),
        }
    }
}
