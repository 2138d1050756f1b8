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

use super::Answer;
use crate::domain::{JsonText, UpstreamRequest, UserId, growing_cache};

/// The maximum size of one response is the size of the cache divided by this.
const LARGEST_PART: usize = 8;
/// The size of an entry without its texts, in bytes.
const ENTRY: usize = 160;
/// More entries than fit into the cache.
const MOST_ENTRIES: NonZeroUsize = NonZeroUsize::new(1 << 20).unwrap();

/// The cache.
pub struct RecentAnswers {
    /// The maximum size in bytes; zero disables the cache.
    room: usize,
    kept: Mutex<Kept>,
    lives: AtomicU64,
}

struct Kept {
    answers: LruCache<Key, Entry>,
    bytes: usize,
}

/// The scope of a cached response: the user, and the values whose change makes it invalid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Owner {
    pub(super) user: UserId,
    /// The id of the connection.
    pub(super) connection: Uuid,
    /// The number of the session instance.
    pub(super) life: u64,
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
    body: JsonText,
}

impl RecentAnswers {
    /// Creates a cache of this many bytes; zero disables it.
    pub fn new(room: usize) -> Self {
        let kept = Kept { answers: growing_cache(MOST_ENTRIES), bytes: 0 };
        Self { room, kept: Mutex::new(kept), lives: AtomicU64::new(0) }
    }

    /// Returns a unique number for a new session instance.
    pub(super) fn new_life(&self) -> u64 {
        self.lives.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns whether responses to this request are cached at all.
    pub(super) fn serves(&self, request: &UpstreamRequest) -> bool {
        self.room > 0 && request.fresh_for.is_some()
    }

    /// Returns the cached response to the same request, if it is fresh enough.
    pub(super) fn find(&self, owner: Owner, request: &UpstreamRequest, now: DateTime<Utc>) -> Option<Answer> {
        let fresh_for = request.fresh_for?;
        let mut kept = self.lock();
        let entry = kept.answers.get(&key(owner, request)).filter(|entry| entry.at + fresh_for > now)?;
        Some(Answer { status: entry.status, body: entry.body.clone(), remembered: true })
    }

    /// Caches a response. Evicts the least recently used entries if necessary.
    pub(super) fn keep(&self, owner: Owner, request: &UpstreamRequest, answer: &Answer, now: DateTime<Utc>) {
        if !self.serves(request) {
            return;
        }
        let entry = Entry { at: now, status: answer.status, body: answer.body.copied() };
        let key = key(owner, request);
        if size(&key, &entry) > self.room / LARGEST_PART {
            return;
        }
        let mut kept = self.lock();
        kept.bytes += size(&key, &entry);
        if let Some((key, gone)) = kept.answers.push(key, entry) {
            kept.bytes -= size(&key, &gone);
        }
        while kept.bytes > self.room
            && let Some((key, gone)) = kept.answers.pop_lru()
        {
            kept.bytes -= size(&key, &gone);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(owner: Owner, request: &UpstreamRequest) -> Key {
    Key { owner, path_and_query: request.path_and_query.as_str().into() }
}

fn size(key: &Key, entry: &Entry) -> usize {
    ENTRY + key.path_and_query.len() + entry.body.len()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::Method;

    fn owner(user: u128) -> Owner {
        Owner { user: UserId(Uuid::from_u128(user)), connection: Uuid::nil(), life: 0, writes: 0 }
    }

    fn asking(path: &str) -> UpstreamRequest {
        UpstreamRequest {
            operation: "x".into(),
            method: Method::Get,
            path_and_query: path.to_owned(),
            body: None,
            fresh_for: Some(TimeDelta::seconds(10)),
        }
    }

    fn answer(body: Value) -> Answer {
        Answer { status: 200, body: body.into(), remembered: false }
    }

    #[test]
    fn an_answer_is_found_by_its_owner_for_its_time() {
        let (memory, now) = (RecentAnswers::new(10_000), DateTime::UNIX_EPOCH);
        memory.keep(owner(1), &asking("/a"), &answer(json!({"a": 1})), now);
        let found = memory.find(owner(1), &asking("/a"), now + TimeDelta::seconds(9)).unwrap();
        assert_eq!(found, Answer { status: 200, body: json!({"a": 1}).into(), remembered: true });
        assert_eq!(memory.find(owner(1), &asking("/a"), now + TimeDelta::seconds(10)), None, "too old");
        assert_eq!(memory.find(owner(1), &asking("/b"), now), None);
        assert_eq!(memory.find(owner(2), &asking("/a"), now), None, "somebody else");
        assert_eq!(memory.find(Owner { connection: Uuid::max(), ..owner(1) }, &asking("/a"), now), None);
        assert_eq!(memory.find(Owner { life: 1, ..owner(1) }, &asking("/a"), now), None);
        assert_eq!(memory.find(Owner { writes: 1, ..owner(1) }, &asking("/a"), now), None);
        assert_eq!(memory.find(owner(1), &UpstreamRequest { fresh_for: None, ..asking("/a") }, now), None);
    }

    #[test]
    fn it_never_takes_more_than_its_room() {
        let (memory, now) = (RecentAnswers::new(4_000), DateTime::UNIX_EPOCH);
        for round in 0..3 {
            for number in 0..100 {
                memory.keep(owner(number), &asking("/a"), &answer(json!("x".repeat(round * 100))), now);
                let kept = memory.lock();
                let counted: usize = kept.answers.iter().map(|(key, entry)| size(key, entry)).sum();
                assert_eq!(kept.bytes, counted);
                assert!(kept.bytes <= 4_000);
            }
        }
        assert!(memory.find(owner(99), &asking("/a"), now).is_some(), "the newest stay");
        assert_eq!(memory.find(owner(0), &asking("/a"), now), None);
        memory.keep(owner(1), &asking("/large"), &answer(json!("x".repeat(501))), now);
        assert_eq!(memory.find(owner(1), &asking("/large"), now), None, "one answer does not push all others out");

        let off = RecentAnswers::new(0);
        off.keep(owner(1), &asking("/a"), &answer(json!(1)), now);
        assert_eq!(off.find(owner(1), &asking("/a"), now), None);
    }
}
