//! A cache of rows that authenticate requests, so that most requests need no database lookup. An entry is used as long
//! as the process is known to receive changes, and is read again otherwise.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;

use super::{change_counter::Generation, invalidation::InvalidationListener};
use crate::domain::lazy_lru;

/// The minimum interval between two writes of a row's last use.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// The most recently used values by their keys.
pub struct RevalidatingCache<Key, Value> {
    changes: Arc<InvalidationListener>,
    entries: Mutex<LruCache<Key, Entry<Value>>>,
}

struct Entry<Value> {
    value: Value,
    /// The number of changes known before the value was read.
    generation: Generation,
    /// When its use was last recorded.
    touched: Option<DateTime<Utc>>,
}

/// The result of a cache lookup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CacheLookup<Value> {
    /// The entry is valid.
    Fresh(Value),
    /// The row may have changed: it must be read again.
    Stale(Value),
    /// There is no entry.
    Miss,
}

impl<Key: Hash + Eq, Value: Clone> RevalidatingCache<Key, Value> {
    /// Creates a cache with this capacity.
    pub fn new(changes: Arc<InvalidationListener>, capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self { changes, entries: Mutex::new(lazy_lru(capacity)) }
    }

    /// Returns the current state of changes; to be recorded before reading data that is to be cached.
    pub fn generation(&self) -> Generation {
        self.changes.generation()
    }

    /// Looks up a value, and whether it is still valid.
    pub fn get(&self, key: &Key, now: DateTime<Utc>) -> CacheLookup<Value> {
        match self.entries().get(key) {
            None => CacheLookup::Miss,
            Some(entry) if self.changes.is_current(entry.generation, now) => CacheLookup::Fresh(entry.value.clone()),
            Some(entry) => CacheLookup::Stale(entry.value.clone()),
        }
    }

    /// Caches a value that was read after `generation`.
    pub fn insert(&self, key: Key, value: Value, generation: Generation) {
        let mut entries = self.entries();
        let touched = entries.peek(&key).and_then(|entry| entry.touched);
        entries.put(key, Entry { value, generation, touched });
    }

    /// Removes the value of a row that no longer exists.
    pub fn remove(&self, key: &Key) {
        self.entries().pop(key);
    }

    /// Returns whether a use now is to be written to the database: at most once a minute.
    pub fn touch_is_due(&self, key: &Key, now: DateTime<Utc>) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.peek_mut(key) else { return false };
        let due = entry.touched.is_none_or(|touched| touched + TOUCH_EVERY <= now);
        if due {
            entry.touched = Some(now);
        }
        due
    }

    /// Returns whether changes by other processes are received; while they are not, rows are read at each use.
    pub fn receives_invalidations(&self, now: DateTime<Utc>) -> bool {
        self.changes.is_current(self.changes.generation(), now)
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<Key, Entry<Value>>> {
        // A poisoned lock is safe to use: no critical section leaves the cache in a harmful state.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
