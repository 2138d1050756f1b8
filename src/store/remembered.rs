//! What a process remembers of rows that open the door, so that the next request asks no database: believed as long as a
//! change would have been heard, read again otherwise.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;

use super::{ChangeWatch, Seen};
use crate::domain::growing_cache;

/// The last use of a row is written this often at most.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Values by their keys, the ones used last.
pub struct Remembered<Key, Value> {
    changes: Arc<ChangeWatch>,
    entries: Mutex<LruCache<Key, Entry<Value>>>,
}

struct Entry<Value> {
    value: Value,
    /// How new this is.
    seen: Seen,
    /// When its use was last noted.
    touched: Option<DateTime<Utc>>,
}

/// What is remembered under a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recalled<Value> {
    /// It holds.
    Good(Value),
    /// It may have changed: its row is to be read.
    Doubtful(Value),
    /// Nothing.
    Nothing,
}

impl<Key: Hash + Eq, Value: Clone> Remembered<Key, Value> {
    /// Room for so many.
    pub fn new(changes: Arc<ChangeWatch>, capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self { changes, entries: Mutex::new(growing_cache(capacity)) }
    }

    /// To be noted before something is read that is to be remembered.
    pub fn seen(&self) -> Seen {
        self.changes.seen()
    }

    /// What is known, and whether it still holds.
    pub fn recall(&self, key: &Key, now: DateTime<Utc>) -> Recalled<Value> {
        match self.entries().get(key) {
            None => Recalled::Nothing,
            Some(entry) if self.changes.vouches_for(entry.seen, now) => Recalled::Good(entry.value.clone()),
            Some(entry) => Recalled::Doubtful(entry.value.clone()),
        }
    }

    /// Remembers what was read after `seen`.
    pub fn remember(&self, key: Key, value: Value, seen: Seen) {
        let mut entries = self.entries();
        let touched = entries.peek(&key).and_then(|entry| entry.touched);
        entries.put(key, Entry { value, seen, touched });
    }

    /// The row is gone.
    pub fn forget(&self, key: &Key) {
        self.entries().pop(key);
    }

    /// Whether a use now is to be written down; says so once a minute.
    pub fn use_is_due(&self, key: &Key, now: DateTime<Utc>) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.peek_mut(key) else { return false };
        let due = entry.touched.is_none_or(|touched| touched + TOUCH_EVERY <= now);
        if due {
            entry.touched = Some(now);
        }
        due
    }

    /// Whether changes that others make are heard; while they are not, rows are read at each use.
    pub fn hears_changes(&self, now: DateTime<Utc>) -> bool {
        self.changes.vouches_for(self.changes.seen(), now)
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<Key, Entry<Value>>> {
        // A thread that panicked in here left nothing half-done that matters.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
