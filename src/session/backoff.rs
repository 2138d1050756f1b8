//! Growing pauses after failures: per user, and for the token endpoint as a whole.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::UserId;

/// The first pause after a user's refresh failed; each further failure doubles it.
const USER_PAUSE: TimeDelta = TimeDelta::seconds(10);
const LONGEST_USER_PAUSE: TimeDelta = TimeDelta::minutes(2);
/// The same for the endpoint and all users.
const ENDPOINT_PAUSE: TimeDelta = TimeDelta::seconds(5);
const LONGEST_ENDPOINT_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// The endpoint is paused after this many consecutive failures, each of another user than the one before. Failures of a
/// single user do not indicate a problem of the endpoint.
const FAILING_USERS: u32 = 2;

/// Pauses that double with each consecutive failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: TimeDelta,
    longest: TimeDelta,
    failures: u32,
    until: Option<DateTime<Utc>>,
}

impl Backoff {
    pub(super) fn new(first: TimeDelta, longest: TimeDelta) -> Self {
        Self { first, longest, failures: 0, until: None }
    }

    /// Returns the pauses between a user's failing refreshes.
    pub(super) fn of_user() -> Self {
        Self::new(USER_PAUSE, LONGEST_USER_PAUSE)
    }

    /// Returns the rest of the pause, if it is not over.
    pub(super) fn left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.until.map(|until| until - now).filter(|left| *left > TimeDelta::zero())
    }

    /// Begins the next pause and returns its length.
    pub(super) fn failed(&mut self, now: DateTime<Utc>) -> TimeDelta {
        let pause = self.next_pause();
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause);
        pause
    }

    /// Returns whether there was no failure since the last success.
    pub(super) fn is_new(&self) -> bool {
        self.failures == 0
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    fn next_pause(&self) -> TimeDelta {
        // Beyond this shift every pause is the longest one.
        (self.first * (1 << self.failures.min(16))).min(self.longest)
    }
}

/// The state of OwnerRez's token endpoint, derived from the refreshes of all users.
#[derive(Debug)]
pub struct TokenEndpoint(Mutex<EndpointState>);

#[derive(Debug)]
struct EndpointState {
    backoff: Backoff,
    failing_users: u32,
    last_failed: Option<UserId>,
}

impl Default for TokenEndpoint {
    fn default() -> Self {
        let backoff = Backoff::new(ENDPOINT_PAUSE, LONGEST_ENDPOINT_PAUSE);
        Self(Mutex::new(EndpointState { backoff, failing_users: 0, last_failed: None }))
    }
}

impl TokenEndpoint {
    /// Admits a refresh, or returns the rest of the endpoint's pause. After a pause one refresh is admitted; the others
    /// wait for its outcome, or for another pause.
    pub(super) fn admit(&self, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let mut state = self.lock();
        if let Some(left) = state.backoff.left(now) {
            return Err(left);
        }
        if state.failing_users >= FAILING_USERS {
            state.backoff.until = Some(now + state.backoff.next_pause());
        }
        Ok(())
    }

    /// Returns the rest of the endpoint's pause, if there is one. Admits nothing.
    pub(super) fn pause(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.lock().backoff.left(now)
    }

    /// Records that the endpoint issued no tokens for this user, for a temporary reason.
    pub(super) fn failed(&self, user: UserId, now: DateTime<Utc>) {
        let mut state = self.lock();
        if state.last_failed.replace(user) != Some(user) {
            state.failing_users = state.failing_users.saturating_add(1);
        }
        if state.failing_users >= FAILING_USERS {
            let pause = state.backoff.failed(now);
            log::warn!(
                "OwnerRez's token endpoint fails for several users; pausing requests to it for {} s",
                pause.num_seconds()
            );
        }
    }

    /// Records that the endpoint works: it issued tokens, or reported that a grant has ended.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        state.backoff.succeeded();
        state.failing_users = 0;
        state.last_failed = None;
    }

    // Ignores poisoning: a panic under this lock leaves no partial update.
    fn lock(&self) -> std::sync::MutexGuard<'_, EndpointState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    proptest! {
        #[test]
        fn pauses_grow_and_stay_within_the_bound(failures in 1_usize..200) {
            let mut backoff = Backoff::of_user();
            let (mut now, mut last) = (START, TimeDelta::zero());
            for _ in 0..failures {
                let pause = backoff.failed(now);
                prop_assert!(pause >= last && pause >= USER_PAUSE && pause <= LONGEST_USER_PAUSE);
                prop_assert_eq!(backoff.left(now), Some(pause));
                (now, last) = (now + pause, pause);
                prop_assert_eq!(backoff.left(now), None);
            }
            backoff.succeeded();
            prop_assert_eq!(backoff.failed(now), USER_PAUSE);
        }
    }

    #[test]
    fn one_users_trouble_is_not_the_endpoints() {
        let endpoint = TokenEndpoint::default();
        for _ in 0..10 {
            endpoint.failed(user(1), START);
        }
        assert_eq!(endpoint.admit(START), Ok(()));
        endpoint.failed(user(2), START);
        assert_eq!(endpoint.admit(START), Err(ENDPOINT_PAUSE));
    }

    #[test]
    fn after_a_pause_one_refresh_tries_for_all() {
        let endpoint = TokenEndpoint::default();
        endpoint.failed(user(1), START);
        endpoint.failed(user(2), START);
        let later = START + ENDPOINT_PAUSE;
        assert_eq!(endpoint.admit(later), Ok(()));
        assert_eq!(endpoint.admit(later), Err(ENDPOINT_PAUSE * 2), "another one is trying");
        endpoint.succeeded();
        assert_eq!(endpoint.admit(later), Ok(()));
        endpoint.failed(user(1), later);
        assert_eq!(endpoint.admit(later), Ok(()), "counted from the beginning");
    }
}
