//! The lifecycle of one user's tokens: decrypted on first use, refreshed in time, stored before use, and ended on
//! certain evidence only. The only module with plain-text tokens.
//!
//! Written as plain async functions over interior state: the actor runs one of them as its job, while control messages
//! (a disconnect) change the state in between. A function that has a copy across an `await` detects such a change by
//! the row's version (in the database) or the generation (here).

mod connecting;
mod refresh;
mod refusals;
mod stored;
mod trouble;
mod unsaved;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use uuid::Uuid;

pub(super) use self::connecting::Credential;
use self::{
    refresh::Because,
    refusals::{FRESH, Refusals},
    trouble::Trouble,
    unsaved::Unsaved,
};
pub use self::{
    stored::{StoredTokens, stored_tokens},
    unsaved::UnsavedCount,
};
use super::{Answer, CallError, ConnectError, SessionDeps, allowance::Permit, budget::Account, call::CallUpstream};
use crate::{
    crypto::{CryptoError, SealedFor, sealed_by_predecessor},
    domain::{AccountId, TokenSet, UserId},
    store::{Connection, SealedTokens},
    upstream::{Refused, RefusedKind, Reply, TransportError, Upstream},
};

/// The state of this session. `Absent` and `Rejected` are not cached: the row is read each time, so that a connection
/// made through another process is found at once.
enum TokenState {
    Unloaded,
    Ready(Rc<Held>),
}

/// A decrypted row.
struct Held {
    connection: Uuid,
    version: i64,
    account: Option<AccountId>,
    tokens: TokenSet,
}

pub(super) struct TokenKeeper {
    pub(super) user: UserId,
    pub(super) deps: Arc<SessionDeps>,
    upstream: Upstream,
    state: RefCell<TokenState>,
    unsaved: RefCell<Option<Rc<Unsaved>>>,
    /// Locked while a connection is stored or ended, from the first statement to the last.
    storing: Mutex<()>,
    /// Counts the changes that make copies of the state stale.
    generation: Cell<u64>,
    trouble: RefCell<Option<Box<Trouble>>>,
}

impl TokenKeeper {
    pub(super) fn new(user: UserId, deps: Arc<SessionDeps>, upstream: Upstream) -> Self {
        Self {
            user,
            deps,
            upstream,
            state: RefCell::new(TokenState::Unloaded),
            unsaved: RefCell::new(None),
            storing: Mutex::new(()),
            generation: Cell::new(0),
            trouble: RefCell::new(None),
        }
    }

    /// Returns whether no state would be lost if this session ended now.
    pub(super) fn may_be_forgotten(&self) -> bool {
        !self.has_unsaved() && !self.has_recent_refusals(self.now())
    }

    /// Sends one request for the user with a token that is valid as far as known, and again with another token if
    /// OwnerRez reports that the token is invalid.
    pub(super) async fn call(&self, call: &mut CallUpstream) -> Result<Answer, CallError> {
        let held = self.ready(call.deadline).await?;
        let reply = match self.send(&held, call).await {
            // A read can be repeated without harm (RFC 9110 9.2.2), and a connection rarely breaks twice.
            Err(CallError::Transport { error: TransportError::Broken, .. }) if !call.request.is_write() => {
                self.send(&held, call).await?
            }
            outcome => outcome?,
        };
        if reply.status == 401 { Box::pin(self.refused(held, reply, call)).await } else { self.answered(reply) }
    }

    fn answered(&self, reply: Reply) -> Result<Answer, CallError> {
        let status = reply.status;
        if (200..500).contains(&status) && status != 429 {
            self.token_works();
        }
        reply.into_result().map(|body| Answer { status, body, remembered: false }).map_err(CallError::Refused)
    }

    /// Handles a 401. Only one that may be about the token has consequences: other tokens are tried, those of the row
    /// and those of one refresh.
    async fn refused(&self, mut held: Rc<Held>, reply: Reply, call: &mut CallUpstream) -> Result<Answer, CallError> {
        let mut refused = reply.refusal();
        for tried in [false, true] {
            if !refused.kind.may_concern_token() {
                break;
            }
            let Some(other) = self.other_tokens(&held, tried, call.deadline).await? else { break };
            if call.request.is_write() && self.deps.stop.is_cancelled() {
                // OwnerRez rejected the first attempt, so the change was not made, and no write begins during shutdown.
                return Err(CallError::ShuttingDown);
            }
            let reply = self.send(&other, call).await?;
            if reply.status != 401 {
                return self.answered(reply);
            }
            (held, refused) = (other, reply.refusal());
        }
        if !refused.kind.may_concern_token() {
            return Err(CallError::Refused(refused));
        }
        Err(self.conclude(&held, refused).await)
    }

    /// Returns newer tokens after OwnerRez rejected the access token, from the row or from a refresh, if there can be
    /// any. `tried`: this call has tried others already.
    async fn other_tokens(
        &self,
        refused: &Held,
        tried: bool,
        deadline: DateTime<Utc>,
    ) -> Result<Option<Rc<Held>>, CallError> {
        let held = self.load_fresh().await?;
        if held.version != refused.version || held.connection != refused.connection {
            return Ok(Some(held));
        }
        // If OwnerRez rejects tokens that it has just issued, newer tokens do not help.
        let refused_before = tried || self.has_refusals(held.connection);
        if held.tokens.refresh.is_none() || (refused_before && self.is_fresh(&held)) {
            return Ok(None);
        }
        self.note_trouble(|trouble| trouble.refused = Some((held.connection, held.version)));
        self.refresh(held, Because::Unauthorized, deadline).await.map(Some)
    }

    fn is_fresh(&self, held: &Held) -> bool {
        held.tokens.obtained_at + FRESH > self.now()
    }

    /// Handles rejected tokens for which there is no replacement. The connection ends if the evidence is certain:
    /// OwnerRez names a token as invalid that was not just issued, or such rejections repeat over some minutes. For
    /// tokens that cannot be refreshed, other 401 responses count as well, because no refresh can give better evidence.
    async fn conclude(&self, held: &Held, refused: Refused) -> CallError {
        let named = refused.kind == RefusedKind::InvalidToken;
        let counts = named || held.tokens.refresh.is_none();
        let now = self.now();
        let repeated = self.note_trouble(|trouble| Refusals::note(&mut trouble.refusals, held.connection, counts, now));
        let certain = named && !self.is_fresh(held) && held.tokens.refresh.is_none();
        if certain || repeated { self.reject(held).await } else { CallError::Refused(refused) }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.deps.clock.now()
    }

    pub(super) fn forget(&self) {
        self.generation.set(self.generation.get() + 1);
        *self.state.borrow_mut() = TokenState::Unloaded;
    }

    fn account(&self, held: &Held) -> Account {
        held.account.map_or(Account::User(self.user), Account::OwnerRez)
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
    async fn ready(&self, deadline: DateTime<Utc>) -> Result<Rc<Held>, CallError> {
        if self.unsaved.borrow().is_some() {
            Box::pin(self.save_unsaved()).await?;
        }
        let held = {
            let known = match &*self.state.borrow() {
                TokenState::Ready(held) => Some(held.clone()),
                TokenState::Unloaded => None,
            };
            match known {
                Some(held) => held,
                None => Box::pin(self.load_fresh()).await?,
            }
        };
        if held.tokens.refresh.is_none() {
            return Ok(held);
        }
        if self.was_refused(&held) {
            return Box::pin(self.refresh(held, Because::Unauthorized, deadline)).await;
        }
        let due = held.tokens.refresh_from().is_some_and(|from| from <= self.now());
        if due { Box::pin(self.refresh(held, Because::Due, deadline)).await } else { Ok(held) }
    }

    /// Reads the row and decrypts it.
    async fn load_fresh(&self) -> Result<Rc<Held>, CallError> {
        loop {
            let generation = self.generation.get();
            let row = self.deps.store.connection(self.user).await?;
            if generation != self.generation.get() {
                continue;
            }
            let row = match row {
                None => {
                    self.forget();
                    return Err(CallError::NotConnected);
                }
                Some(row) if row.rejected_at.is_some() => {
                    self.forget();
                    return Err(CallError::NeedsReconnect);
                }
                Some(row) => row,
            };
            let theirs = [Some(&row.access), row.refresh.as_ref()].into_iter().flatten().any(sealed_by_predecessor);
            let held = self.open(row)?;
            if theirs {
                let stored = self.seal_anew(&held).await?;
                if !stored || generation != self.generation.get() {
                    continue;
                }
            }
            return Ok(self.hold(held));
        }
    }

    /// Re-encrypts tokens of the TypeScript server in the current format, before they are used. Returns `false` if they
    /// have changed in the meantime.
    async fn seal_anew(&self, held: &Held) -> Result<bool, CallError> {
        let SealedTokens { access, refresh, .. } = self.seal(&held.tokens)?;
        Ok(self.deps.store.store_resealed(self.user, held.connection, held.version, access, refresh).await?)
    }

    fn hold(&self, held: Held) -> Rc<Held> {
        let held = Rc::new(held);
        *self.state.borrow_mut() = TokenState::Ready(held.clone());
        held
    }

    fn open(&self, row: Connection) -> Result<Held, CryptoError> {
        let ring = &self.deps.ring;
        let access = ring.open(SealedFor::AccessToken(self.user), &row.access)?;
        let refresh = row.refresh.map(|sealed| ring.open(SealedFor::RefreshToken(self.user), &sealed)).transpose()?;
        let tokens = TokenSet {
            kind: row.token_kind,
            access,
            refresh,
            obtained_at: row.obtained_at,
            expires_at: row.expires_at,
        };
        Ok(Held { connection: row.id, version: row.version, account: row.account, tokens })
    }

    fn seal(&self, tokens: &TokenSet) -> Result<SealedTokens, CryptoError> {
        self.seal_for(self.user, tokens)
    }

    /// Encrypts tokens for the row of another user that they belong to.
    pub(super) fn seal_for(&self, user: UserId, tokens: &TokenSet) -> Result<SealedTokens, CryptoError> {
        let ring = &self.deps.ring;
        Ok(SealedTokens {
            kind: tokens.kind,
            access: ring.seal(SealedFor::AccessToken(user), &tokens.access)?,
            refresh: tokens
                .refresh
                .as_ref()
                .map(|refresh| ring.seal(SealedFor::RefreshToken(user), refresh))
                .transpose()?,
            obtained_at: tokens.obtained_at,
            expires_at: tokens.expires_at,
            renew_at: tokens.renew_from(),
        })
    }

    async fn send(&self, held: &Held, call: &mut CallUpstream) -> Result<Reply, CallError> {
        let acquire = self.deps.allowance.acquire(self.user, self.account(held), call.deadline);
        let mut permit = tokio::select! {
            biased;
            permit = acquire => permit.map_err(CallError::Allowance)?,
            () = call.abandoned() => return Err(CallError::Cancelled),
        };
        if !call.departure.leave() {
            return Err(CallError::Cancelled);
        }
        permit.sending();
        let request = call.request.clone();
        let exchange = self.upstream.send(&held.tokens, &request);
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
    async fn reject(&self, held: &Held) -> CallError {
        let marked = self.deps.store.mark_rejected(self.user, held.connection, held.version, self.now()).await;
        self.forget();
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
