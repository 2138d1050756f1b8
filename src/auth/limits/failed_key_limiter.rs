//! The limit on invalid keys, and on other guessable secrets.

use chrono::{DateTime, TimeDelta, Utc};

use super::{fixed_window_counter::FixedWindowCounter, too_many::TooMany};
use crate::auth::{lookup_id::LookupId, source_address::SourceAddress};

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
    /// Allows this many failures within `span` for a source, and for a source with one lookup id.
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
    ) -> Result<(), TooMany> {
        let by_key = key.and_then(|key| self.retry_after_for_key(source, key, now));
        match self.by_source.retry_after(&source, self.by_source.limit, now).max(by_key) {
            Some(wait) => Err(TooMany::FailedKeys(wait)),
            None => Ok(()),
        }
    }

    /// Checks only the limit of this key, whatever other keys of its source have failed.
    pub(crate) fn admit_key(&self, source: SourceAddress, key: LookupId, now: DateTime<Utc>) -> Result<(), TooMany> {
        match self.retry_after_for_key(source, key, now) {
            Some(wait) => Err(TooMany::FailedKeys(wait)),
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
            Err(TooMany::FailedKeys(wait)) => Some(wait.num_seconds()),
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
}
