//! The life of one user's tokens: opened on first use, refreshed in time, stored before use, rejected for good.
//! The only place where tokens are in plain text.
//!
//! Written as plain async functions over interior state: the actor runs one of them as its job while control messages
//! (a disconnect) change the state in between. Whoever held on to a copy across an `await` finds out through the
//! row's version (in the database) or the generation (here).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::{Answer, CallError, ConnectError, SessionDeps, budget::Account, call::CallUpstream, connecting::Admitted};
use crate::{
    crypto::{CryptoError, SealedFor, sealed_by_predecessor},
    domain::{AccountId, Grant, TokenKind, TokenSet, UserId},
    store::{Connection, SealedGrant, SealedTokens},
    upstream::{Issued, Reply, TokenError, TransportError, Upstream},
};

/// Longer than any refresh takes (two attempts of 20 s): who finds an older lease finds the trace of a dead process.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often to look whether another process has finished its refresh.
const LEASE_POLL: TimeDelta = TimeDelta::milliseconds(250);
/// After a refresh that failed for now, a token that still works is used this long before the next try.
const REFRESH_PAUSE: TimeDelta = TimeDelta::seconds(30);

/// What this session knows. `Absent` and `Rejected` are not kept: the row is asked each time, so that a connection
/// made through another process is seen at once.
enum TokenState {
    Unloaded,
    Ready(Rc<Held>),
}

/// An opened row.
struct Held {
    connection: Uuid,
    version: i64,
    account: Option<AccountId>,
    tokens: TokenSet,
}

/// Tokens that OwnerRez issued and the database did not take: the only copy.
pub(super) struct Unsaved {
    replaces: Rc<Held>,
    tokens: TokenSet,
}

/// What a user brings to connect an account.
pub(super) enum Credential {
    /// An authorization code.
    Code(SecretString),
    /// A personal access token, as `e-mail:token`.
    PersonalToken(SecretString),
}

/// Why a refresh is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Because {
    /// The access token is about to expire.
    Due,
    /// OwnerRez refused the access token.
    Unauthorized,
}

pub(super) struct TokenKeeper {
    pub(super) user: UserId,
    pub(super) deps: Arc<SessionDeps>,
    upstream: Upstream,
    state: RefCell<TokenState>,
    pub(super) unsaved: RefCell<Option<Unsaved>>,
    /// Counts what made copies of the state stale.
    generation: Cell<u64>,
    no_refresh_before: Cell<DateTime<Utc>>,
}

impl TokenKeeper {
    pub(super) fn new(user: UserId, deps: Arc<SessionDeps>, upstream: Upstream) -> Self {
        Self {
            user,
            deps,
            upstream,
            state: RefCell::new(TokenState::Unloaded),
            unsaved: RefCell::new(None),
            generation: Cell::new(0),
            no_refresh_before: Cell::new(DateTime::UNIX_EPOCH),
        }
    }

    /// Whether nothing would be lost if this session ended now.
    pub(super) fn may_be_forgotten(&self) -> bool {
        self.unsaved.borrow().is_none()
    }

    /// One request for the user: a token that is good as far as we know, a permit, the exchange, and once more with a
    /// refreshed token if OwnerRez answers 401.
    pub(super) async fn call(&self, call: &mut CallUpstream) -> Result<Answer, CallError> {
        let mut held = self.ready(call.deadline).await?;
        let mut reply = self.send(&held, call).await?;
        if reply.status == 401 {
            held = Box::pin(self.after_unauthorized(held, call.deadline)).await?;
            reply = self.send(&held, call).await?;
            if reply.status == 401 {
                return Err(Box::pin(self.reject(&held)).await);
            }
        }
        let status = reply.status;
        reply.into_result().map(|body| Answer { status, body, remembered: false }).map_err(CallError::Refused)
    }

    /// Gets a grant for what the user brought and stores it, unless a working connection exists.
    pub(super) async fn connect(
        &self,
        with: Credential,
        admitted: Admitted,
    ) -> Result<Option<AccountId>, ConnectError> {
        let existing = self.deps.store.connection(self.user).await?;
        if existing.is_some_and(|row| row.rejected_at.is_none()) {
            return Err(ConnectError::AlreadyConnected);
        }
        let grant = self.obtain(with, &admitted).await?;
        let sealed = self.seal(&grant.tokens)?;
        let saved = self
            .deps
            .store
            .save_connection(self.user, SealedGrant { account: grant.account, tokens: sealed.clone() }, self.now())
            .await;
        match saved {
            Ok(true) => {
                self.forget();
                Ok(grant.account)
            }
            Ok(false) => {
                // Someone was faster on another process. This grant is not needed.
                if sealed.kind == TokenKind::Bearer {
                    self.deps.store.add_revocation(self.user, Uuid::now_v7(), sealed.access, self.now()).await?;
                }
                Err(ConnectError::AlreadyConnected)
            }
            Err(error) => {
                if sealed.kind == TokenKind::Bearer {
                    admitted.spent_one_more();
                    self.revoke_at_once(&grant.tokens.access).await;
                }
                Err(error.into())
            }
        }
    }

    /// Asks OwnerRez for a grant, once for each admission.
    pub(super) async fn obtain(&self, with: Credential, admitted: &Admitted) -> Result<Grant, ConnectError> {
        let permit = admitted.spend(self.user).ok_or(ConnectError::Interrupted)?;
        let grant = match with {
            Credential::Code(code) => self.upstream.exchange_code(&code).await.map(Issued::into_grant),
            Credential::PersonalToken(token) => self.upstream.personal_grant(token).await,
        };
        admitted.judge(&grant);
        if let Err(TokenError::Throttled(retry_after)) = &grant {
            permit.throttled(*retry_after);
        }
        Ok(grant?)
    }

    /// Removes the connection and queues its token for revocation; works while a call is under way.
    pub(super) async fn disconnect(&self) -> Result<bool, CallError> {
        let ended = self.deps.store.disconnect(self.user, Uuid::now_v7(), self.now()).await?;
        self.forget();
        // Tokens that were won but never stored are not in the row that was just moved.
        let unsaved = self.unsaved.borrow_mut().take();
        if let Some(unsaved) = unsaved {
            let access = self.deps.ring.seal(SealedFor::AccessToken(self.user), &unsaved.tokens.access)?;
            self.deps.store.add_revocation(self.user, Uuid::now_v7(), access, self.now()).await?;
        }
        Ok(ended)
    }

    /// Refreshes tokens whose time for renewal has come, long before a call would have to.
    pub(super) async fn renew(&self) -> Result<(), CallError> {
        let deadline = self.now() + self.deps.settings.call_deadline;
        self.save_unsaved().await?;
        let held = match self.load_fresh().await {
            Ok(held) => held,
            Err(CallError::NotConnected | CallError::NeedsReconnect) => return Ok(()),
            Err(error) => return Err(error),
        };
        if held.tokens.renew_from().is_none_or(|from| from > self.now()) {
            return Ok(());
        }
        let outcome = self.refresh(held.clone(), Because::Due, deadline).await;
        let renewed = matches!(&outcome, Ok(after) if after.version != held.version);
        if !renewed {
            // An hour's pause, or a broken token would hold the place of others in every round.
            let next = self.now() + TimeDelta::hours(1);
            self.deps.store.postpone_renewal(self.user, held.connection, next).await?;
        }
        outcome.map(drop)
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

    /// Tokens to send a call with: saved, opened and not about to expire.
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
        let due = held.tokens.refresh.is_some()
            && held.tokens.refresh_from().is_some_and(|from| from <= self.now())
            && self.no_refresh_before.get() <= self.now();
        if due { Box::pin(self.refresh(held, Because::Due, deadline)).await } else { Ok(held) }
    }

    /// Reads the row and opens it.
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

    /// Tokens that the predecessor sealed are stored in our form before they are used for anything. `false` when they
    /// have changed meanwhile.
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

    /// Seals tokens for the row of somebody else: of whom they turned out to be.
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
            // Cut off in the middle nobody would know whether it was carried out.
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

    /// OwnerRez refused the access token: a newer one from the row, or from a refresh, or the end.
    async fn after_unauthorized(&self, refused: Rc<Held>, deadline: DateTime<Utc>) -> Result<Rc<Held>, CallError> {
        let held = self.load_fresh().await?;
        if held.version != refused.version || held.connection != refused.connection {
            return Ok(held);
        }
        if held.tokens.refresh.is_none() {
            return Err(self.reject(&held).await);
        }
        self.refresh(held, Because::Unauthorized, deadline).await
    }

    /// Gets new tokens under the lease of the row: one refresh per user in the whole deployment.
    ///
    /// A refresh that was only due falls back to the token at hand while that is good; see [`Self::fall_back`].
    async fn refresh(&self, held: Rc<Held>, because: Because, deadline: DateTime<Utc>) -> Result<Rc<Held>, CallError> {
        let Some(refresh_token) = held.tokens.refresh.clone() else {
            return Ok(held);
        };
        // The permit first: a lease is never held while waiting for one.
        let mut permit = match self.deps.allowance.acquire(self.user, self.account(&held), deadline).await {
            Ok(permit) => permit,
            Err(refusal) => return self.fall_back(held, because, CallError::Allowance(refusal)),
        };
        let holder = Uuid::now_v7();
        loop {
            let until = self.now() + LEASE;
            let store = &self.deps.store;
            if store.take_lease(self.user, held.connection, held.version, holder, until, self.now()).await? {
                break;
            }
            let current = self.load_fresh().await?;
            if current.version != held.version || current.connection != held.connection {
                // Another process was faster; its tokens are as good as ours would be.
                return Ok(current);
            }
            // A token that is still good need not wait for another process, nor for the lease of one that died.
            if may_serve(&held, because, self.now()) || self.now() + LEASE_POLL > deadline {
                return self.fall_back(held, because, CallError::RefreshElsewhere);
            }
            self.deps.clock.sleep_until(self.now() + LEASE_POLL).await;
        }
        permit.sending();
        let mut outcome = self.upstream.refresh(&refresh_token).await;
        let lost = matches!(&outcome, Err(error) if error.outcome_unknown());
        // Where the caller could not wait for a second answer, a token that is still good serves; the next attempt is
        // made with the same refresh token all the same.
        let no_time = self.now() + self.deps.upstream.answer_timeout > deadline;
        if lost && !(no_time && may_serve(&held, because, self.now())) {
            // The reply may have been lost after OwnerRez had acted. Once more with the same refresh token: where it
            // is not rotated, or the request never arrived, that mends it.
            drop(permit);
            match self.deps.allowance.acquire(self.user, self.account(&held), self.now() + TimeDelta::seconds(5)).await
            {
                Ok(mut second) => {
                    second.sending();
                    outcome = self.upstream.refresh(&refresh_token).await;
                    permit = second;
                }
                Err(refusal) => {
                    self.release_lease(&held, holder).await;
                    return self.fall_back(held, because, CallError::Allowance(refusal));
                }
            }
        }
        match outcome.and_then(|issued| of_same_account(&held, issued)) {
            Ok(issued) => {
                drop(permit);
                let tokens = issued.into_refreshed(&refresh_token);
                *self.unsaved.borrow_mut() = Some(Unsaved { replaces: held, tokens });
                self.save_unsaved().await?;
                self.load_fresh().await
            }
            Err(TokenError::Refused) => {
                drop(permit);
                if may_serve(&held, because, self.now()) {
                    // Either the grant was revoked, then the next call is answered 401 and ends it; or the reply to an
                    // earlier refresh was lost (by us, or by a process that died), then the token at hand may live on.
                    let store = &self.deps.store;
                    store.drop_refresh_token(self.user, held.connection, held.version, self.now()).await?;
                    self.forget();
                    return self.load_fresh().await;
                }
                Err(self.reject(&held).await)
            }
            Err(error) => {
                if let TokenError::Throttled(retry_after) = &error {
                    permit.throttled(*retry_after);
                }
                self.release_lease(&held, holder).await;
                self.fall_back(held, because, CallError::Refresh(error))
            }
        }
    }

    /// A refresh failed for now. A token that has not expired and was not refused goes on being used, and the next
    /// attempt is put off a little.
    fn fall_back(&self, held: Rc<Held>, because: Because, error: CallError) -> Result<Rc<Held>, CallError> {
        if may_serve(&held, because, self.now()) {
            log::warn!("the tokens of user {} could not be refreshed yet: {error}", self.user);
            self.no_refresh_before.set(self.now() + REFRESH_PAUSE);
            return Ok(held);
        }
        Err(error)
    }

    /// Stores tokens that were won. Until that has succeeded they are not used for anything.
    async fn save_unsaved(&self) -> Result<(), CallError> {
        let Some(Unsaved { replaces, tokens }) = self.unsaved.borrow_mut().take() else {
            return Ok(());
        };
        // If the caller's future is dropped in the middle, the tokens go back to where they were.
        let mut guard = PutBack { keeper: self, unsaved: Some(Unsaved { replaces: replaces.clone(), tokens }) };
        let Some(Unsaved { tokens, .. }) = &guard.unsaved else {
            return Ok(());
        };
        let sealed = self.seal(tokens)?;
        let access = sealed.access.clone();
        let store = &self.deps.store;
        let stored =
            store.store_refreshed(self.user, replaces.connection, replaces.version, sealed, self.now()).await?;
        if !stored {
            // The row is gone or belongs to another grant by now: these tokens are nobody's and must not live on.
            store.add_revocation(self.user, Uuid::now_v7(), access, self.now()).await?;
        }
        guard.unsaved = None;
        self.forget();
        Ok(())
    }

    async fn release_lease(&self, held: &Held, holder: Uuid) {
        if let Err(error) = self.deps.store.release_lease(self.user, held.connection, holder).await {
            log::warn!("a refresh lease of user {} was not released, it ends by itself: {error}", self.user);
        }
    }

    /// Writes down that OwnerRez ended the grant: it survives a restart, and nothing is sent until the user reconnects.
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

    /// What to say where somebody else changed the row while this call used its tokens.
    async fn changed_meanwhile(&self) -> CallError {
        match self.deps.store.connection(self.user).await {
            Ok(None) => CallError::NotConnected,
            Ok(Some(row)) if row.rejected_at.is_some() => CallError::NeedsReconnect,
            Ok(Some(_)) => CallError::RefreshElsewhere,
            Err(error) => error.into(),
        }
    }

    /// For a grant that could not even be written down: best effort, since nothing remembers it.
    pub(super) async fn revoke_at_once(&self, access: &SecretString) {
        let permit =
            self.deps.allowance.acquire(self.user, Account::Connecting, self.now() + TimeDelta::seconds(5)).await;
        let revoked = match permit {
            Ok(mut permit) => {
                permit.sending();
                self.upstream.revoke(access).await.map_err(|error| error.to_string())
            }
            Err(refusal) => Err(format!("{refusal:?}")),
        };
        if let Err(error) = revoked {
            log::error!("a grant of user {} could neither be stored nor revoked: {error}", self.user);
        }
    }
}

/// Whether the access token can do without the refresh for now: it was not refused, and its time is not over.
fn may_serve(held: &Held, because: Because, now: DateTime<Utc>) -> bool {
    because == Because::Due && held.tokens.expires_at.is_none_or(|end| end > now)
}

/// Refuses tokens of another account: they would show its data to this user. They are left alone at OwnerRez, because
/// another user may depend on them.
fn of_same_account(held: &Held, issued: Issued) -> Result<Issued, TokenError> {
    match (held.account, issued.account()) {
        (Some(asked), Some(given)) if asked != given => {
            log::error!("OwnerRez answered a refresh for account {asked} with tokens of account {given}");
            Err(TokenError::ForeignAccount)
        }
        _ => Ok(issued),
    }
}

/// Keeps the only copy of new tokens safe while they are being written.
struct PutBack<'a> {
    keeper: &'a TokenKeeper,
    unsaved: Option<Unsaved>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if let Some(unsaved) = self.unsaved.take() {
            *self.keeper.unsaved.borrow_mut() = Some(unsaved);
        }
    }
}
