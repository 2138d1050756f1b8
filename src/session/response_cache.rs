//! The cache of OwnerRez's responses, for requests whose response rarely changes: the properties, the account. Almost
//! every conversation begins with them, and each saved request is available to other users.
//!
//! One cache for the whole process, bounded in bytes. An entry belongs to one instance of one user's session and to one
//! connection. After a disconnect, a new connection or a write, its entries are unreachable, and they are evicted in
//! time.

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use lru::LruCache;
use uuid::Uuid;

use super::answer::Answer;
use crate::domain::{RawJson, UpstreamRequest, UserId, lazy_lru};

/// The maximum size of one response is the size of the cache divided by this.
const MAX_ENTRY_FRACTION: usize = 8;
/// The size of an entry without its texts, in bytes.
const ENTRY_OVERHEAD: usize = 160;
/// More entries than fit into the cache.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(1 << 20).unwrap();

/// The cache.
pub struct ResponseCache {
    /// The maximum size in bytes; zero disables the cache.
    capacity_bytes: usize,
    entries: Mutex<Entries>,
    next_epoch: AtomicU64,
}

struct Entries {
    responses: LruCache<Key, Entry>,
    bytes: usize,
}

/// The scope of a cached response: the user, and the values whose change makes it invalid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Owner {
    pub(super) user: UserId,
    /// The id of the connection.
    pub(super) connection: Uuid,
    /// The number of the session instance.
    pub(super) session_epoch: u64,
    /// The number of writes by the user in that session instance.
    pub(super) writes: u64,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    owner: Owner,
    path_and_query: Box<str>,
}

struct Entry {
    at: DateTime<Utc>,
    status: u16,
    body: RawJson,
}

impl ResponseCache {
    /// Creates a cache of this many bytes; zero disables it.
    pub fn new(capacity_bytes: usize) -> Self {
        let entries = Entries { responses: lazy_lru(MAX_ENTRIES), bytes: 0 };
        Self { capacity_bytes, entries: Mutex::new(entries), next_epoch: AtomicU64::new(0) }
    }

    /// Returns a unique number for a new session instance.
    pub(super) fn new_session_epoch(&self) -> u64 {
        self.next_epoch.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns whether responses to this request are cached at all.
    pub(super) fn is_cacheable(&self, request: &UpstreamRequest) -> bool {
        self.capacity_bytes > 0 && request.max_age.is_some()
    }

    /// Returns the cached response to the same request, if it is fresh enough.
    pub(super) fn get(&self, owner: Owner, request: &UpstreamRequest, now: DateTime<Utc>) -> Option<Answer> {
        let max_age = request.max_age?;
        let mut entries = self.lock();
        let entry = entries.responses.get(&key(owner, request)).filter(|entry| entry.at + max_age > now)?;
        Some(Answer { status: entry.status, body: entry.body.clone(), from_cache: true })
    }

    /// Caches a response. Evicts the least recently used entries if necessary.
    pub(super) fn insert(&self, owner: Owner, request: &UpstreamRequest, answer: &Answer, now: DateTime<Utc>) {
        if !self.is_cacheable(request) {
            return;
        }
        let entry = Entry { at: now, status: answer.status, body: answer.body.copied() };
        let key = key(owner, request);
        if size(&key, &entry) > self.capacity_bytes / MAX_ENTRY_FRACTION {
            return;
        }
        let mut entries = self.lock();
        entries.bytes += size(&key, &entry);
        if let Some((key, gone)) = entries.responses.push(key, entry) {
            entries.bytes -= size(&key, &gone);
        }
        while entries.bytes > self.capacity_bytes
            && let Some((key, gone)) = entries.responses.pop_lru()
        {
            entries.bytes -= size(&key, &gone);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(owner: Owner, request: &UpstreamRequest) -> Key {
    Key { owner, path_and_query: request.path_and_query.as_str().into() }
}

fn size(key: &Key, entry: &Entry) -> usize {
    ENTRY_OVERHEAD + key.path_and_query.len() + entry.body.len()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::Method;

    fn owner(user: u128) -> Owner {
        Owner { user: UserId(Uuid::from_u128(user)), connection: Uuid::nil(), session_epoch: 0, writes: 0 }
    }

    fn asking(path: &str) -> UpstreamRequest {
        UpstreamRequest {
            operation: "x".into(),
            method: Method::Get,
            path_and_query: path.to_owned(),
            body: None,
            max_age: Some(TimeDelta::seconds(10)),
        }
    }

    fn answer(body: Value) -> Answer {
        Answer { status: 200, body: body.into(), from_cache: false }
    }

    #[test]
    fn an_answer_is_found_by_its_owner_for_its_time() {
        let (cache, now) = (ResponseCache::new(10_000), DateTime::UNIX_EPOCH);
        cache.insert(owner(1), &asking("/a"), &answer(json!({"a": 1})), now);
        let found = cache.get(owner(1), &asking("/a"), now + TimeDelta::seconds(9)).unwrap();
        assert_eq!(found, Answer { status: 200, body: json!({"a": 1}).into(), from_cache: true });
        assert_eq!(cache.get(owner(1), &asking("/a"), now + TimeDelta::seconds(10)), None, "too old");
        assert_eq!(cache.get(owner(1), &asking("/b"), now), None);
        assert_eq!(cache.get(owner(2), &asking("/a"), now), None, "somebody else");
        assert_eq!(cache.get(Owner { connection: Uuid::max(), ..owner(1) }, &asking("/a"), now), None);
        assert_eq!(cache.get(Owner { session_epoch: 1, ..owner(1) }, &asking("/a"), now), None);
        assert_eq!(cache.get(Owner { writes: 1, ..owner(1) }, &asking("/a"), now), None);
        assert_eq!(cache.get(owner(1), &UpstreamRequest { max_age: None, ..asking("/a") }, now), None);
    }

    #[test]
    fn it_never_takes_more_than_its_room() {
        let (cache, now) = (ResponseCache::new(4_000), DateTime::UNIX_EPOCH);
        for round in 0..3 {
            for number in 0..100 {
                cache.insert(owner(number), &asking("/a"), &answer(json!("x".repeat(round * 100))), now);
                let entries = cache.lock();
                let counted: usize = entries.responses.iter().map(|(key, entry)| size(key, entry)).sum();
                assert_eq!(entries.bytes, counted);
                assert!(entries.bytes <= 4_000);
            }
        }
        assert!(cache.get(owner(99), &asking("/a"), now).is_some(), "the newest stay");
        assert_eq!(cache.get(owner(0), &asking("/a"), now), None);
        cache.insert(owner(1), &asking("/large"), &answer(json!("x".repeat(501))), now);
        assert_eq!(cache.get(owner(1), &asking("/large"), now), None, "one answer does not push all others out");

        let off = ResponseCache::new(0);
        off.insert(owner(1), &asking("/a"), &answer(json!(1)), now);
        assert_eq!(off.get(owner(1), &asking("/a"), now), None);
    }
}
