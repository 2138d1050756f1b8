//! Recent failures with one user's tokens.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{LoadedTokens, TokenManager, rejections::Rejections};
use crate::session::backoff::Backoff;

/// Boxed by each session, because most of the thousands of sessions have no failures.
pub(super) struct Failures {
    /// The pauses between failing refreshes.
    pub(super) refreshes: Backoff,
    /// The connection and the version whose access token OwnerRez has rejected and that is being replaced. The token is
    /// not sent again.
    pub(super) rejected_version: Option<(Uuid, i64)>,
    pub(super) rejections: Option<Rejections>,
}

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
}
