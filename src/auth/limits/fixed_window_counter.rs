//! A counter of events, in bounded memory.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;

use crate::domain::lazy_lru;

/// Limits the sources or lookup ids that are remembered. Counting does not stop an attacker with more addresses; the
/// bounds on bcrypt do.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

/// Counts events per source or key, in a window that starts with the first event.
pub(super) struct FixedWindowCounter<K> {
    pub(super) limit: u32,
    span: TimeDelta,
    windows: Mutex<LruCache<K, Window>>,
}

/// The count of one source or key, until the window ends.
#[derive(Clone, Copy)]
pub(super) struct Window {
    times: u32,
    until: DateTime<Utc>,
}

impl<K: Hash + Eq> FixedWindowCounter<K> {
    /// Allows `limit` events within `span`.
    pub(super) fn new(limit: u32, span: TimeDelta) -> Self {
        Self { limit, span, windows: Mutex::new(lazy_lru(MAX_ENTRIES)) }
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, LruCache<K, Window>> {
        // A panic while the lock is held leaves no inconsistent state that matters.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current count; `None` once the window is over.
    pub(super) fn current(&self, who: &K, now: DateTime<Utc>) -> Option<Window> {
        self.windows().get(who).copied().filter(|count| now < count.until)
    }

    /// Returns how long to wait if the count has reached `limit`.
    pub(super) fn retry_after(&self, who: &K, limit: u32, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.current(who, now).filter(|count| count.times >= limit).map(|count| count.until - now)
    }

    /// Counts an event.
    pub(super) fn add(&self, who: K, now: DateTime<Utc>) {
        let mut windows = self.windows();
        let until = now + self.span;
        let count = windows.get_or_insert_mut(who, || Window { times: 0, until });
        if count.until <= now {
            *count = Window { times: 0, until };
        }
        count.times = count.times.saturating_add(1);
    }

    /// Counts an event, unless the limit is reached. The error is the time to wait.
    pub(super) fn admit(&self, who: K, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        if let Some(wait) = self.retry_after(&who, self.limit, now) {
            return Err(wait);
        }
        self.add(who, now);
        Ok(())
    }

    /// Uncounts an event.
    pub(super) fn refund(&self, who: &K) {
        if let Some(count) = self.windows().get_mut(who) {
            count.times = count.times.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let counts = FixedWindowCounter::new(1, TimeDelta::minutes(5));
        for who in 0..MAX_ENTRIES.get() + 10 {
            counts.add(who, DateTime::UNIX_EPOCH);
        }
        assert_eq!(counts.windows().len(), MAX_ENTRIES.get());
        assert!(
            counts.current(&0, DateTime::UNIX_EPOCH).is_none() && counts.current(&10, DateTime::UNIX_EPOCH).is_some(),
            "the oldest are removed"
        );
    }
}
