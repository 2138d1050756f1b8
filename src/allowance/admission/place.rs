//! A place in the queue of the attempts to connect.

use chrono::{DateTime, TimeDelta, Utc};

use super::attempt_origin::AttemptOrigin;

/// A place is skipped if its caller has not asked for this long, until the caller asks again. Pages reload more often.
pub(super) const PRESENT: TimeDelta = TimeDelta::seconds(15);

/// Identifies a place in the queue across reloads of the page.
pub type PlaceKey = [u8; 32];

/// A place in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) origin: AttemptOrigin,
    /// The order of arrival.
    pub(super) number: u64,
    pub(super) seen_at: DateTime<Utc>,
    pub(super) state: State,
}

impl Place {
    /// Returns whether its caller has asked recently.
    pub(super) fn is_present(&self, now: DateTime<Utc>) -> bool {
        now < self.seen_at + PRESENT
    }
}

/// The state of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Waiting,
    /// Its turn has come; a permit is reserved for it.
    Called,
    /// Its attempt is in progress.
    Admitted,
}
