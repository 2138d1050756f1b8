//! Refreshing: one refresh per user in the whole deployment, at most one request per call, and growing pauses after
//! failures.

use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    loaded_tokens::LoadedTokens,
    token_manager::{TokenManager, TokenState},
    unsaved::UnsavedTokens,
};
use crate::{
    session::call_error::CallError,
    upstream::{TokenError, TokenResponse},
};

/// Longer than any refresh takes (20 s): an older lease was left by a process that died.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// The interval of checks whether another process has finished its refresh.
const LEASE_POLL: TimeDelta = TimeDelta::milliseconds(250);

/// The reason for a refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RefreshReason {
    /// The access token is about to expire.
    Due,
    /// OwnerRez rejected the access token.
    Unauthorized,
}

impl TokenManager {
    /// Returns tokens to send a call with: saved, decrypted and not about to expire.
    pub(super) async fn ready(&self, deadline: DateTime<Utc>) -> Result<Rc<LoadedTokens>, CallError> {
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

    /// Refreshes tokens that are due for renewal, long before a call would have to.
    pub(in crate::session) async fn renew(&self) -> Result<(), CallError> {
        let deadline = self.now() + self.deps.settings.call_deadline;
        self.save_unsaved().await?;
        let loaded = match self.load_fresh().await {
            Ok(loaded) => loaded,
            Err(CallError::NotConnected | CallError::NeedsReconnect) => return Ok(()),
            Err(error) => return Err(error),
        };
        if loaded.tokens.renew_from().is_none_or(|from| from > self.now()) {
            return Ok(());
        }
        let outcome = self.refresh(loaded.clone(), RefreshReason::Due, deadline).await;
        let renewed = matches!(&outcome, Ok(after) if after.version != loaded.version);
        if !renewed {
            // A pause of an hour; otherwise a broken token would take the place of others in every round.
            let next = self.now() + TimeDelta::hours(1);
            self.deps.store.postpone_renewal(self.user, loaded.connection, next).await?;
        }
        outcome.map(drop)
    }

    /// Obtains new tokens under the lease of the row: one refresh per user in the whole deployment.
    ///
    /// A refresh that was only due falls back to the current token while that is valid; see [`Self::fall_back`]. If the
    /// response was lost, a later call repeats the refresh with the same refresh token. This repairs the loss if
    /// OwnerRez does not rotate refresh tokens, or if the request never arrived.
    pub(super) async fn refresh(
        &self,
        loaded: Rc<LoadedTokens>,
        reason: RefreshReason,
        deadline: DateTime<Utc>,
    ) -> Result<Rc<LoadedTokens>, CallError> {
        let Some(refresh_token) = loaded.tokens.refresh.clone() else {
            return Ok(loaded);
        };
        if let Some(left) = self.refresh_backoff().or_else(|| self.deps.token_endpoint.pause(self.now())) {
            return self.fall_back(loaded, reason, CallError::RefreshPaused(left));
        }
        // The permit first: a lease is never held during the wait for one.
        let mut permit = match self.permit(self.account(&loaded), deadline).await {
            Ok(permit) => permit,
            Err(refusal) => return self.fall_back(loaded, reason, refusal),
        };
        let holder = Uuid::now_v7();
        loop {
            let until = self.now() + LEASE;
            let store = &self.deps.store;
            if store.take_lease(self.user, loaded.connection, loaded.version, holder, until, self.now()).await? {
                break;
            }
            let current = self.load_fresh().await?;
            if current.version != loaded.version || current.connection != loaded.connection {
                // Another process was faster; its tokens are as good.
                return Ok(current);
            }
            // A token that is still valid does not wait for another process, nor for the lease of one that died.
            let no_time = self.now() + LEASE_POLL > deadline || self.deps.stop.is_cancelled();
            if still_usable(&loaded, reason, self.now()) || no_time {
                return self.fall_back(loaded, reason, CallError::RefreshElsewhere);
            }
            self.deps.clock.sleep_until(self.now() + LEASE_POLL).await;
        }
        // Checked last, because it admits only one of the many refreshes that may wait for the end of a pause.
        if let Err(left) = self.deps.token_endpoint.admit(self.now()) {
            self.release_lease(&loaded, holder).await;
            return self.fall_back(loaded, reason, CallError::RefreshPaused(left));
        }
        permit.sending();
        let outcome = self.upstream.refresh(&refresh_token).await;
        match outcome.and_then(|issued| of_same_account(&loaded, issued)) {
            Ok(issued) => {
                drop(permit);
                self.refresh_succeeded();
                let tokens = issued.into_refreshed(&refresh_token);
                self.keep_unsaved(UnsavedTokens::Refreshed { replaces: loaded, tokens });
                self.save_unsaved().await?;
                self.load_fresh().await
            }
            Err(TokenError::InvalidGrant) => {
                drop(permit);
                self.refresh_succeeded();
                if still_usable(&loaded, reason, self.now()) {
                    // Either the grant was revoked: then the next call is answered 401 and ends the connection. Or the
                    // response to an earlier refresh was lost (in this process, or in one that died): then the current
                    // token may stay valid.
                    let store = &self.deps.store;
                    store.drop_refresh_token(self.user, loaded.connection, loaded.version, self.now()).await?;
                    self.unload();
                    return self.load_fresh().await;
                }
                Err(self.reject(&loaded).await)
            }
            Err(error) => {
                if let TokenError::Throttled(retry_after) = &error {
                    permit.throttled(*retry_after);
                }
                self.refresh_failed();
                self.release_lease(&loaded, holder).await;
                log::warn!("cannot refresh the tokens of user {} yet: {error}", self.user);
                self.fall_back(loaded, reason, CallError::Refresh(error))
            }
        }
    }

    /// Handles a refresh that failed for now: a token that has not expired and was not rejected is still used.
    fn fall_back(
        &self,
        loaded: Rc<LoadedTokens>,
        reason: RefreshReason,
        error: CallError,
    ) -> Result<Rc<LoadedTokens>, CallError> {
        if still_usable(&loaded, reason, self.now()) { Ok(loaded) } else { Err(error) }
    }

    async fn release_lease(&self, loaded: &LoadedTokens, holder: Uuid) {
        if let Err(error) = self.deps.store.release_lease(self.user, loaded.connection, holder).await {
            log::warn!("cannot release a refresh lease of user {}; it will expire: {error}", self.user);
        }
    }
}

/// Returns whether the access token is usable without the refresh for now: it was not rejected and has not expired.
fn still_usable(loaded: &LoadedTokens, reason: RefreshReason, now: DateTime<Utc>) -> bool {
    reason == RefreshReason::Due && loaded.tokens.expires_at.is_none_or(|end| end > now)
}

/// Rejects tokens of another account, which would show its data to this user. They are not revoked at OwnerRez, because
/// another user may depend on them.
fn of_same_account(loaded: &LoadedTokens, issued: TokenResponse) -> Result<TokenResponse, TokenError> {
    match (loaded.account, issued.account()) {
        (Some(asked), Some(given)) if asked != given => {
            log::error!("a refresh for account {asked} returned tokens of account {given}");
            Err(TokenError::ForeignAccount)
        }
        _ => Ok(issued),
    }
}
