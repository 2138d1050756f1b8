//! A cache of rows that authenticate requests, so that most requests need no database lookup. An entry is used as long
//! as the process is known to receive changes, and is read again otherwise.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;

use super::{ChangeWatch, Seen};
use crate::domain::growing_cache;

/// The minimum interval between two writes of a row's last use.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// The most recently used values by their keys.
pub struct Remembered<Key, Value> {
    changes: Arc<ChangeWatch>,
    entries: Mutex<LruCache<Key, Entry<Value>>>,
}

struct Entry<Value> {
    value: Value,
    /// The number of changes known before the value was read.
    seen: Seen,
    /// When its use was last recorded.
    touched: Option<DateTime<Utc>>,
}

/// The result of a cache lookup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recalled<Value> {
    /// The entry is valid.
    Good(Value),
    /// The row may have changed: it must be read again.
    Doubtful(Value),
    /// There is no entry.
    Nothing,
}

impl<Key: Hash + Eq, Value: Clone> Remembered<Key, Value> {
    /// Creates a cache with this capacity.
    pub fn new(changes: Arc<ChangeWatch>, capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self { changes, entries: Mutex::new(growing_cache(capacity)) }
    }

    /// Returns the current state of changes; to be recorded before reading data that is to be cached.
    pub fn seen(&self) -> Seen {
        self.changes.seen()
    }

    /// Looks up a value, and whether it is still valid.
    pub fn recall(&self, key: &Key, now: DateTime<Utc>) -> Recalled<Value> {
        match self.entries().get(key) {
            None => Recalled::Nothing,
            Some(entry) if self.changes.vouches_for(entry.seen, now) => Recalled::Good(entry.value.clone()),
            Some(entry) => Recalled::Doubtful(entry.value.clone()),
        }
    }

    /// Caches a value that was read after `seen`.
    pub fn remember(&self, key: Key, value: Value, seen: Seen) {
        let mut entries = self.entries();
        let touched = entries.peek(&key).and_then(|entry| entry.touched);
        entries.put(key, Entry { value, seen, touched });
    }

    /// Removes the value of a row that no longer exists.
    pub fn forget(&self, key: &Key) {
        self.entries().pop(key);
    }

    /// Returns whether a use now is to be written to the database: at most once a minute.
    pub fn use_is_due(&self, key: &Key, now: DateTime<Utc>) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.peek_mut(key) else { return false };
        let due = entry.touched.is_none_or(|touched| touched + TOUCH_EVERY <= now);
        if due {
            entry.touched = Some(now);
        }
        due
    }

    /// Returns whether changes by other processes are received; while they are not, rows are read at each use.
    pub fn hears_changes(&self, now: DateTime<Utc>) -> bool {
        self.changes.vouches_for(self.changes.seen(), now)
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<Key, Entry<Value>>> {
        // A poisoned lock is safe to use: no critical section leaves the cache in a harmful state.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
