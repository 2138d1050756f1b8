//! Recent failures with one user's tokens.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Held, TokenKeeper, refusals::Refusals};
use crate::session::backoff::Backoff;

/// Boxed by each session, because most of the thousands of sessions have no failures.
pub(super) struct Trouble {
    /// The pauses between failing refreshes.
    pub(super) refreshes: Backoff,
    /// The connection and the version whose access token OwnerRez has rejected and that is being replaced. The token is
    /// not sent again.
    pub(super) refused: Option<(Uuid, i64)>,
    pub(super) refusals: Option<Refusals>,
}

impl TokenKeeper {
    /// Records a failure.
    pub(super) fn note_trouble<T>(&self, note: impl FnOnce(&mut Trouble) -> T) -> T {
        let mut trouble = self.trouble.borrow_mut();
        let none = || Box::new(Trouble { refreshes: Backoff::of_user(), refused: None, refusals: None });
        note(trouble.get_or_insert_with(none))
    }

    /// Returns the rest of the pause before the next refresh.
    pub(super) fn refresh_pause(&self) -> Option<TimeDelta> {
        self.trouble.borrow().as_ref()?.refreshes.left(self.now())
    }

    /// Returns whether OwnerRez has rejected exactly this access token.
    pub(super) fn was_refused(&self, held: &Held) -> bool {
        let refused = self.trouble.borrow().as_ref().and_then(|trouble| trouble.refused);
        refused == Some((held.connection, held.version))
    }

    /// Returns whether rejections are recorded for this connection.
    pub(super) fn has_refusals(&self, connection: Uuid) -> bool {
        self.refusals().is_some_and(|refusals| refusals.concern(connection))
    }

    /// Returns whether rejections are recorded that still matter.
    pub(super) fn has_recent_refusals(&self, now: DateTime<Utc>) -> bool {
        self.refusals().is_some_and(|refusals| !refusals.are_old(now))
    }

    fn refusals(&self) -> Option<Refusals> {
        self.trouble.borrow().as_ref()?.refusals
    }

    /// Records that the token endpoint gave a clear response.
    pub(super) fn refresh_works(&self) {
        self.deps.token_endpoint.works();
        if let Some(trouble) = self.trouble.borrow_mut().as_mut() {
            trouble.refreshes.succeeded();
            trouble.refused = None;
        }
    }

    /// Records that the token endpoint issued no tokens, for a temporary reason.
    pub(super) fn refresh_failed(&self) {
        let now = self.now();
        self.deps.token_endpoint.failed(self.user, now);
        self.note_trouble(|trouble| trouble.refreshes.failed(now));
    }

    /// Records that OwnerRez accepted a token.
    pub(super) fn token_works(&self) {
        let mut trouble = self.trouble.borrow_mut();
        if let Some(some) = trouble.as_mut() {
            some.refusals = None;
            if some.refused.is_none() && some.refreshes.is_new() {
                *trouble = None;
            }
        }
    }
}
