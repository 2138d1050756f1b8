//! Growing pauses after failures: of one user, and of the token endpoint for all users.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::UserId;

/// The first pause of a user whose refresh failed; each further failure doubles it.
const USER_PAUSE: TimeDelta = TimeDelta::seconds(10);
const LONGEST_USER_PAUSE: TimeDelta = TimeDelta::minutes(2);
/// The same for the endpoint, for all users.
const ENDPOINT_PAUSE: TimeDelta = TimeDelta::seconds(5);
const LONGEST_ENDPOINT_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// The endpoint is paused after this many failures in a row, each of another user than the one before. One user's trouble is
/// not the endpoint's.
const FAILING_USERS: u32 = 2;

/// Pauses that double with each failure in a row.
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

    /// Returns the pauses between a user's refreshes that fail.
    pub(super) fn of_user() -> Self {
        Self::new(USER_PAUSE, LONGEST_USER_PAUSE)
    }

    /// Returns what is left of the pause, if it is not over.
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

    /// Whether nothing has failed since the last success.
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

/// Whether OwnerRez's token endpoint works, as the refreshes of all users show.
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
    /// Admits a refresh, or returns how long the endpoint is to be left alone. After a pause one refresh is admitted; the
    /// others wait for its outcome, or for another pause.
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

    /// Returns how long the endpoint is to be left alone, if it is. Admits nothing.
    pub(super) fn pause(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.lock().backoff.left(now)
    }

    /// Notes that the endpoint gave this user no tokens, for a reason that passes.
    pub(super) fn failed(&self, user: UserId, now: DateTime<Utc>) {
        let mut state = self.lock();
        if state.last_failed.replace(user) != Some(user) {
            state.failing_users = state.failing_users.saturating_add(1);
        }
        if state.failing_users >= FAILING_USERS {
            let pause = state.backoff.failed(now);
            log::warn!(
                "OwnerRez's token endpoint fails for several users; it is left alone for {} s",
                pause.num_seconds()
            );
        }
    }

    /// Notes that the endpoint works: it gave tokens, or said clearly that a grant has ended.
    pub(super) fn works(&self) {
        let mut state = self.lock();
        state.backoff.succeeded();
        state.failing_users = 0;
        state.last_failed = None;
    }

    // A thread that panicked here left nothing half-done.
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
        endpoint.works();
        assert_eq!(endpoint.admit(later), Ok(()));
        endpoint.failed(user(1), later);
        assert_eq!(endpoint.admit(later), Ok(()), "counted from the beginning");
    }
}
