//! Rate limits per source, for requests that cost resources and prove nothing: invalid keys, registrations, tokens.
//!
//! All counts are in memory, bounded, and per process: with several processes each allows as much.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;

use super::{error::ApiError, source_address::SourceAddress};
use crate::domain::{GrantId, UserId, lazy_lru};

/// Limits the sources or lookup ids that are remembered. Counting does not stop an attacker with more addresses; the
/// bounds on bcrypt do.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

/// The digest of a key's lookup id.
pub(crate) type LookupId = [u8; 32];

/// Counts events per source or key, in a window that starts with the first event.
struct FixedWindowCounter<K> {
    limit: u32,
    span: TimeDelta,
    windows: Mutex<LruCache<K, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    times: u32,
    until: DateTime<Utc>,
}

impl<K: Hash + Eq> FixedWindowCounter<K> {
    fn new(limit: u32, span: TimeDelta) -> Self {
        Self { limit, span, windows: Mutex::new(lazy_lru(MAX_ENTRIES)) }
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, LruCache<K, Window>> {
        // A panic while the lock is held leaves no inconsistent state that matters.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current count; `None` once the window is over.
    fn current(&self, who: &K, now: DateTime<Utc>) -> Option<Window> {
        self.windows().get(who).copied().filter(|count| now < count.until)
    }

    /// Returns how long to wait if the count has reached `limit`.
    fn retry_after(&self, who: &K, limit: u32, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.current(who, now).filter(|count| count.times >= limit).map(|count| count.until - now)
    }

    fn add(&self, who: K, now: DateTime<Utc>) {
        let mut windows = self.windows();
        let until = now + self.span;
        let count = windows.get_or_insert_mut(who, || Window { times: 0, until });
        if count.until <= now {
            *count = Window { times: 0, until };
        }
        count.times = count.times.saturating_add(1);
    }

    fn refund(&self, who: &K) {
        if let Some(count) = self.windows().get_mut(who) {
            count.times = count.times.saturating_sub(1);
        }
    }
}

/// Counts invalid keys by source and by lookup id.
///
/// A lookup id is not a secret: lists and logs contain it. If its limit applied to all sources, an attacker could lock
/// out the owner of a key by sending wrong keys with its prefix. So the limit applies per lookup id *and* source. When
/// many sources together try one lookup id, each is limited to a single attempt, which is enough for the owner. Cached
/// keys are accepted without this check.
///
/// Only failed keys count, not those being checked: after a restart hundreds of valid keys may arrive from one address
/// at once. bcrypt has its own bound.
pub(crate) struct FailedKeyLimiter {
    by_source: FixedWindowCounter<SourceAddress>,
    by_key: FixedWindowCounter<LookupId>,
    by_both: FixedWindowCounter<(SourceAddress, LookupId)>,
}

impl FailedKeyLimiter {
    pub(crate) fn new(per_source: u32, per_lookup_id: u32, span: TimeDelta) -> Self {
        Self {
            by_source: FixedWindowCounter::new(per_source, span),
            by_key: FixedWindowCounter::new(per_lookup_id, span),
            by_both: FixedWindowCounter::new(per_lookup_id, span),
        }
    }

    /// Checks whether this source may try another key. `key` is given if the key is well-formed.
    pub(crate) fn admit(
        &self,
        source: SourceAddress,
        key: Option<LookupId>,
        now: DateTime<Utc>,
    ) -> Result<(), ApiError> {
        let by_key = key.and_then(|key| self.retry_after_for_key(source, key, now));
        match self.by_source.retry_after(&source, self.by_source.limit, now).max(by_key) {
            Some(wait) => Err(ApiError::TooManyFailedKeys(wait)),
            None => Ok(()),
        }
    }

    /// Checks only the limit of this key, whatever other keys of its source have failed.
    pub(crate) fn admit_key(&self, source: SourceAddress, key: LookupId, now: DateTime<Utc>) -> Result<(), ApiError> {
        match self.retry_after_for_key(source, key, now) {
            Some(wait) => Err(ApiError::TooManyFailedKeys(wait)),
            None => Ok(()),
        }
    }

    fn retry_after_for_key(&self, source: SourceAddress, key: LookupId, now: DateTime<Utc>) -> Option<TimeDelta> {
        let under_attack = self.by_key.retry_after(&key, self.by_key.limit, now).is_some();
        let limit = if under_attack { 1 } else { self.by_both.limit };
        self.by_both.retry_after(&(source, key), limit, now)
    }

    /// Returns whether an invalid key came from this source recently.
    pub(crate) fn has_failed(&self, source: SourceAddress, now: DateTime<Utc>) -> bool {
        self.by_source.current(&source, now).is_some()
    }

    /// Counts an invalid key.
    pub(crate) fn record_failure(&self, source: SourceAddress, key: Option<LookupId>, now: DateTime<Utc>) {
        self.by_source.add(source, now);
        if let Some(key) = key {
            self.by_key.add(key, now);
            self.by_both.add((source, key), now);
        }
    }
}

/// Counts wrong metrics tokens by source. The right token is accepted before this check, so that another client at the
/// same address cannot block the scrapes.
pub struct WrongTokenLimiter(FixedWindowCounter<SourceAddress>);

impl WrongTokenLimiter {
    /// Allows `limit` wrong tokens within the span.
    pub fn new(limit: u32, span: TimeDelta) -> Self {
        Self(FixedWindowCounter::new(limit, span))
    }

    /// Counts a wrong token and returns its refusal.
    pub(crate) fn refuse(&self, source: SourceAddress, now: DateTime<Utc>) -> ApiError {
        match self.0.retry_after(&source, self.0.limit, now) {
            Some(wait) => ApiError::TooManyWrongTokens(wait),
            None => {
                self.0.add(source, now);
                ApiError::BadMetricsToken
            }
        }
    }
}

/// Counts registrations by source.
pub struct RegistrationLimiter(FixedWindowCounter<SourceAddress>);

impl RegistrationLimiter {
    /// Allows `per_hour` registrations within an hour.
    pub fn new(per_hour: u32) -> Self {
        Self(FixedWindowCounter::new(per_hour, TimeDelta::hours(1)))
    }

    /// Counts a registration before the work that it costs.
    pub(crate) fn admit(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), ApiError> {
        if let Some(wait) = self.0.retry_after(&source, self.0.limit, now) {
            return Err(ApiError::TooManyRegistrations(wait));
        }
        self.0.add(source, now);
        Ok(())
    }

    /// Uncounts a registration that failed through no fault of the caller.
    pub(crate) fn refund(&self, source: SourceAddress) {
        self.0.refund(&source);
    }
}

/// Counts large messages to `/mcp` by user. Parsing one takes as long as hundreds of ordinary calls.
pub struct LargeBodyLimiter(FixedWindowCounter<UserId>);

impl LargeBodyLimiter {
    /// Messages of more bytes than this are counted.
    pub(crate) const THRESHOLD: usize = 16 * 1024;

    /// Allows `per_minute` large messages within a minute.
    pub fn new(per_minute: u32) -> Self {
        Self(FixedWindowCounter::new(per_minute, TimeDelta::minutes(1)))
    }

    /// Counts a message of that many bytes before it is parsed.
    pub(crate) fn admit(&self, user: UserId, bytes: usize, now: DateTime<Utc>) -> Result<(), ApiError> {
        if bytes <= Self::THRESHOLD {
            return Ok(());
        }
        admit(&self.0, user, now).map_err(ApiError::TooManyLargeBodies)
    }
}

/// Limits per source for requests to the authorization server that cost resources.
///
/// ChatGPT and Claude send the token requests of all their users from a few addresses, and bad codes from one user must
/// not lock out the others. So a source beyond its limit is not rejected: its requests must contain a known code or
/// token. This costs one database lookup, before anything is fetched, decrypted or verified. Then the limit of its
/// grant applies.
pub struct OAuthLimits {
    registrations: FixedWindowCounter<SourceAddress>,
    authorizations: FixedWindowCounter<SourceAddress>,
    consents: FixedWindowCounter<SourceAddress>,
    token_requests: FixedWindowCounter<SourceAddress>,
    by_grant: FixedWindowCounter<GrantId>,
}

/// Authorization requests of one source within an hour: each may cause a fetch of a client document.
const AUTHORIZE_LIMIT: u32 = 300;
/// Token and revocation requests of one source within five minutes, before each must contain a known code or token.
const TOKEN_REQUEST_LIMIT: u32 = 60;
/// Requests beyond that limit with one grant, in the same span. Programs that share their tokens may refresh at once.
const GRANT_LIMIT: u32 = 20;
/// Sign-ins that one source may start within an hour: each stores a row for some minutes.
const CONSENT_LIMIT: u32 = 120;

impl OAuthLimits {
    /// Allows `registrations` client registrations within an hour from one source.
    pub fn new(registrations: u32) -> Self {
        let counts = |limit| FixedWindowCounter::new(limit, TimeDelta::hours(1));
        let soon = TimeDelta::minutes(5);
        Self {
            registrations: counts(registrations),
            authorizations: counts(AUTHORIZE_LIMIT),
            consents: counts(CONSENT_LIMIT),
            token_requests: FixedWindowCounter::new(TOKEN_REQUEST_LIMIT, soon),
            by_grant: FixedWindowCounter::new(GRANT_LIMIT, soon),
        }
    }

    /// Counts a client registration. The error is the time to wait.
    pub(crate) fn check_registration(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        admit(&self.registrations, source, now)
    }

    /// Counts an authorization request.
    pub(crate) fn check_authorize(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        admit(&self.authorizations, source, now)
    }

    /// Counts a request for tokens or for a revocation.
    pub(crate) fn check_token_request(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        admit(&self.token_requests, source, now)
    }

    /// Counts such a request for its grant, if its source is beyond the limit.
    pub(crate) fn check_grant(&self, grant: GrantId, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        admit(&self.by_grant, grant, now)
    }

    /// Counts a consent in a browser.
    pub(crate) fn check_consent(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        admit(&self.consents, source, now)
    }
}

fn admit<K: Hash + Eq>(counts: &FixedWindowCounter<K>, who: K, now: DateTime<Utc>) -> Result<(), TimeDelta> {
    if let Some(wait) = counts.retry_after(&who, counts.limit, now) {
        return Err(wait);
    }
    counts.add(who, now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const SPAN: TimeDelta = TimeDelta::minutes(5);
    const KEY: Option<LookupId> = Some([1; 32]);
    const OTHER_KEY: Option<LookupId> = Some([2; 32]);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn source(last: u8) -> SourceAddress {
        IpAddr::from([203, 0, 113, last]).into()
    }

    fn waits(limits: &FailedKeyLimiter, source: SourceAddress, key: Option<LookupId>, seconds: i64) -> Option<i64> {
        match limits.admit(source, key, at(seconds)) {
            Ok(()) => None,
            Err(ApiError::TooManyFailedKeys(wait)) => Some(wait.num_seconds()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_source_waits_until_its_first_failure_is_old() {
        let limits = FailedKeyLimiter::new(3, 100, SPAN);
        for second in 0..3 {
            assert_eq!(waits(&limits, source(1), KEY, second), None);
            limits.record_failure(source(1), None, at(second));
        }
        assert_eq!(waits(&limits, source(1), KEY, 3), Some(297));
        assert_eq!(waits(&limits, source(1), None, 299), Some(1));
        assert_eq!(waits(&limits, source(2), KEY, 3), None, "another address");
        assert_eq!(waits(&limits, source(1), KEY, 300), None);
        limits.record_failure(source(1), None, at(300));
        assert_eq!(waits(&limits, source(1), KEY, 301), None, "counted again");
    }

    #[test]
    fn one_who_tries_a_lookup_id_keeps_nobody_else_from_it() {
        let limits = FailedKeyLimiter::new(100, 2, SPAN);
        limits.record_failure(source(1), KEY, at(0));
        limits.record_failure(source(1), KEY, at(10));
        assert_eq!(waits(&limits, source(1), KEY, 10), Some(290));
        assert_eq!(waits(&limits, source(1), OTHER_KEY, 10), None, "its other keys");
        assert_eq!(waits(&limits, source(2), KEY, 10), None, "the owner");
    }

    #[test]
    fn many_who_try_a_lookup_id_have_one_try_each() {
        let limits = FailedKeyLimiter::new(100, 3, SPAN);
        for last in 1..=3 {
            limits.record_failure(source(last), KEY, at(0));
        }
        assert_eq!(waits(&limits, source(1), KEY, 1), Some(299));
        assert_eq!(waits(&limits, source(9), KEY, 1), None, "the owner");
        limits.record_failure(source(9), KEY, at(1));
        assert_eq!(waits(&limits, source(9), KEY, 1), Some(300));
        assert_eq!(waits(&limits, source(9), OTHER_KEY, 1), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let counts = FixedWindowCounter::new(1, SPAN);
        for who in 0..MAX_ENTRIES.get() + 10 {
            counts.add(who, at(0));
        }
        assert_eq!(counts.windows().len(), MAX_ENTRIES.get());
        assert!(counts.current(&0, at(0)).is_none() && counts.current(&10, at(0)).is_some(), "the oldest are removed");
    }

    #[test]
    fn a_registration_that_came_to_nothing_does_not_count() {
        let limits = RegistrationLimiter::new(1);
        limits.admit(source(1), at(0)).unwrap();
        assert!(matches!(
            limits.admit(source(1), at(1)),
            Err(ApiError::TooManyRegistrations(wait)) if wait == TimeDelta::seconds(3599)
        ));
        limits.refund(source(1));
        limits.admit(source(1), at(2)).unwrap();
    }
}
