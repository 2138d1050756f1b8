//! Refreshing: one refresh per user in the whole deployment, at most one request per call, and growing pauses after
//! failures.

use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{CallError, Held, TokenKeeper, unsaved::Won};
use crate::upstream::{Issued, TokenError};

/// Longer than any refresh takes (20 s): an older lease was left by a process that died.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// The interval of checks whether another process has finished its refresh.
const LEASE_POLL: TimeDelta = TimeDelta::milliseconds(250);

/// The reason for a refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// The access token is about to expire.
    Due,
    /// OwnerRez rejected the access token.
    Unauthorized,
}

impl TokenKeeper {
    /// Refreshes tokens that are due for renewal, long before a call would have to.
    pub(in crate::session) async fn renew(&self) -> Result<(), CallError> {
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
            // A pause of an hour; otherwise a broken token would take the place of others in every round.
            let next = self.now() + TimeDelta::hours(1);
            self.deps.store.postpone_renewal(self.user, held.connection, next).await?;
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
        held: Rc<Held>,
        because: Because,
        deadline: DateTime<Utc>,
    ) -> Result<Rc<Held>, CallError> {
        let Some(refresh_token) = held.tokens.refresh.clone() else {
            return Ok(held);
        };
        if let Some(left) = self.refresh_pause().or_else(|| self.deps.token_endpoint.pause(self.now())) {
            return self.fall_back(held, because, CallError::RefreshPaused(left));
        }
        // The permit first: a lease is never held during the wait for one.
        let mut permit = match self.permit(self.account(&held), deadline).await {
            Ok(permit) => permit,
            Err(refusal) => return self.fall_back(held, because, refusal),
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
                // Another process was faster; its tokens are as good.
                return Ok(current);
            }
            // A token that is still valid does not wait for another process, nor for the lease of one that died.
            let no_time = self.now() + LEASE_POLL > deadline || self.deps.stop.is_cancelled();
            if may_serve(&held, because, self.now()) || no_time {
                return self.fall_back(held, because, CallError::RefreshElsewhere);
            }
            self.deps.clock.sleep_until(self.now() + LEASE_POLL).await;
        }
        // Checked last, because it admits only one of the many refreshes that may wait for the end of a pause.
        if let Err(left) = self.deps.token_endpoint.admit(self.now()) {
            self.release_lease(&held, holder).await;
            return self.fall_back(held, because, CallError::RefreshPaused(left));
        }
        permit.sending();
        let outcome = self.upstream.refresh(&refresh_token).await;
        match outcome.and_then(|issued| of_same_account(&held, issued)) {
            Ok(issued) => {
                drop(permit);
                self.refresh_works();
                let tokens = issued.into_refreshed(&refresh_token);
                self.keep_unsaved(Won::Refreshed { replaces: held, tokens });
                self.save_unsaved().await?;
                self.load_fresh().await
            }
            Err(TokenError::Refused) => {
                drop(permit);
                self.refresh_works();
                if may_serve(&held, because, self.now()) {
                    // Either the grant was revoked: then the next call is answered 401 and ends the connection. Or the
                    // response to an earlier refresh was lost (in this process, or in one that died): then the current
                    // token may stay valid.
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
                self.refresh_failed();
                self.release_lease(&held, holder).await;
                log::warn!("cannot refresh the tokens of user {} yet: {error}", self.user);
                self.fall_back(held, because, CallError::Refresh(error))
            }
        }
    }

    /// Handles a refresh that failed for now: a token that has not expired and was not rejected is still used.
    fn fall_back(&self, held: Rc<Held>, because: Because, error: CallError) -> Result<Rc<Held>, CallError> {
        if may_serve(&held, because, self.now()) { Ok(held) } else { Err(error) }
    }

    async fn release_lease(&self, held: &Held, holder: Uuid) {
        if let Err(error) = self.deps.store.release_lease(self.user, held.connection, holder).await {
            log::warn!("cannot release a refresh lease of user {}; it will expire: {error}", self.user);
        }
    }
}

/// Returns whether the access token is usable without the refresh for now: it was not rejected and has not expired.
fn may_serve(held: &Held, because: Because, now: DateTime<Utc>) -> bool {
    because == Because::Due && held.tokens.expires_at.is_none_or(|end| end > now)
}

/// Rejects tokens of another account, which would show its data to this user. They are not revoked at OwnerRez, because
/// another user may depend on them.
fn of_same_account(held: &Held, issued: Issued) -> Result<Issued, TokenError> {
    match (held.account, issued.account()) {
        (Some(asked), Some(given)) if asked != given => {
            log::error!("a refresh for account {asked} returned tokens of account {given}");
            Err(TokenError::ForeignAccount)
        }
        _ => Ok(issued),
    }
}
