//! Recording failures with a user's tokens, and ending the connection on certain evidence.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    failures::Failures,
    loaded_tokens::LoadedTokens,
    rejections::{FRESH, Rejections},
    token_manager::TokenManager,
};
use crate::{
    session::{backoff::Backoff, call_error::CallError},
    upstream::{UpstreamError, UpstreamErrorKind},
};

impl TokenManager {
    /// Records a failure.
    pub(super) fn with_failures<T>(&self, note: impl FnOnce(&mut Failures) -> T) -> T {
        let mut failures = self.failures.borrow_mut();
        let none = || Box::new(Failures { refreshes: Backoff::of_user(), rejected_version: None, rejections: None });
        note(failures.get_or_insert_with(none))
    }

    /// Returns the rest of the pause before the next refresh.
    pub(super) fn refresh_backoff(&self) -> Option<TimeDelta> {
        self.failures.borrow().as_ref()?.refreshes.left(self.now())
    }

    /// Returns whether OwnerRez has rejected exactly this access token.
    pub(super) fn was_rejected(&self, loaded: &LoadedTokens) -> bool {
        let rejected_version = self.failures.borrow().as_ref().and_then(|failures| failures.rejected_version);
        rejected_version == Some((loaded.connection, loaded.version))
    }

    /// Returns whether rejections are recorded for this connection.
    pub(super) fn has_rejections(&self, connection: Uuid) -> bool {
        self.rejections().is_some_and(|rejections| rejections.concern(connection))
    }

    /// Returns whether rejections are recorded that still matter.
    pub(super) fn has_recent_rejections(&self, now: DateTime<Utc>) -> bool {
        self.rejections().is_some_and(|rejections| !rejections.are_old(now))
    }

    fn rejections(&self) -> Option<Rejections> {
        self.failures.borrow().as_ref()?.rejections
    }

    /// Records that the token endpoint gave a clear response.
    pub(super) fn refresh_succeeded(&self) {
        self.deps.token_endpoint.succeeded();
        if let Some(failures) = self.failures.borrow_mut().as_mut() {
            failures.refreshes.succeeded();
            failures.rejected_version = None;
        }
    }

    /// Records that the token endpoint issued no tokens, for a temporary reason.
    pub(super) fn refresh_failed(&self) {
        let now = self.now();
        self.deps.token_endpoint.failed(self.user, now);
        self.with_failures(|failures| failures.refreshes.failed(now));
    }

    /// Records that OwnerRez accepted a token.
    pub(super) fn token_succeeded(&self) {
        let mut failures = self.failures.borrow_mut();
        if let Some(some) = failures.as_mut() {
            some.rejections = None;
            if some.rejected_version.is_none() && some.refreshes.is_new() {
                *failures = None;
            }
        }
    }

    /// Returns whether the token was just issued.
    pub(super) fn is_fresh(&self, loaded: &LoadedTokens) -> bool {
        loaded.tokens.obtained_at + FRESH > self.now()
    }

    /// Handles rejected tokens for which there is no replacement. The connection ends if the evidence is certain:
    /// OwnerRez names a token as invalid that was not just issued, or such rejections repeat over some minutes. For
    /// tokens that cannot be refreshed, other 401 responses count as well, because no refresh can give better evidence.
    pub(super) async fn record_rejection(&self, loaded: &LoadedTokens, error: UpstreamError) -> CallError {
        let named = error.kind == UpstreamErrorKind::InvalidToken;
        let counts = named || loaded.tokens.refresh.is_none();
        let now = self.now();
        let repeated =
            self.with_failures(|failures| Rejections::note(&mut failures.rejections, loaded.connection, counts, now));
        let certain = named && !self.is_fresh(loaded) && loaded.tokens.refresh.is_none();
        if certain || repeated { self.reject(loaded).await } else { CallError::Upstream(error) }
    }

    /// Records that OwnerRez ended the grant. The record survives a restart, and nothing is sent until the user
    /// reconnects.
    pub(super) async fn reject(&self, loaded: &LoadedTokens) -> CallError {
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
