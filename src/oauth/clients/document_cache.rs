//! The cache of fetched documents: bounded in number, one fetch per document at a time.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use tokio::sync::Mutex as Turn;
use url::Url;

use super::{
    document_problem::DocumentProblem,
    fetch::{FetchProblem, Fetched, Fetcher},
};
use crate::domain::{RedirectPolicy, SharedClock, lazy_lru};

/// How long a failure is cached, so that waiting requests share one attempt. The document may soon be repaired.
const FAILURE_TTL: TimeDelta = TimeDelta::seconds(30);
/// How long an expired document is still used while its host is failing (stale-if-error).
const STALE_IF_ERROR: TimeDelta = TimeDelta::hours(24);
/// Failures have their own cache, so that they cannot evict good documents.
const MAX_FAILURES: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Parses a fetched body.
pub(super) type Parse<T> = fn(&ParseContext, &Url, &[u8]) -> Result<T, DocumentProblem>;

/// The context for parsing a document.
#[derive(Clone, Debug)]
pub(super) struct ParseContext {
    /// The rules for redirect URIs.
    pub(super) policy: Arc<RedirectPolicy>,
}

/// The cached documents of one type.
pub(super) struct DocumentCache<T> {
    fetcher: Fetcher,
    clock: SharedClock,
    context: ParseContext,
    parse: Parse<T>,
    documents: Mutex<LruCache<String, CachedDocument<T>>>,
    failures: Mutex<LruCache<String, CachedFailure>>,
    fetch_locks: Mutex<HashMap<String, Arc<Turn<()>>>>,
}

struct CachedDocument<T> {
    document: Arc<T>,
    checked_at: DateTime<Utc>,
    fresh_until: DateTime<Utc>,
    usable_until: DateTime<Utc>,
}

#[derive(Clone)]
struct CachedFailure {
    problem: DocumentProblem,
    checked_at: DateTime<Utc>,
}

impl<T> DocumentCache<T> {
    pub(super) fn new(
        fetcher: Fetcher,
        clock: SharedClock,
        context: ParseContext,
        capacity: NonZeroUsize,
        parse: Parse<T>,
    ) -> Self {
        let (documents, failures) = (Mutex::new(lazy_lru(capacity)), Mutex::new(lazy_lru(MAX_FAILURES)));
        Self { fetcher, clock, context, parse, documents, failures, fetch_locks: Mutex::default() }
    }

    /// Returns the document at this URL from the cache, or fetches it.
    pub(super) async fn get(&self, url: &Url) -> Result<Arc<T>, DocumentProblem> {
        self.get_checked_since(url, DateTime::<Utc>::MIN_UTC).await
    }

    /// Like [`Self::get`], but fetches again unless a fetch was tried since that moment.
    pub(super) async fn get_checked_since(&self, url: &Url, since: DateTime<Utc>) -> Result<Arc<T>, DocumentProblem> {
        if let Some(cached) = self.cached(url, since) {
            return cached;
        }
        let turn = FetchTurn::of(&self.fetch_locks, url);
        let _mine = turn.lock.lock().await;
        // The previous holder of the lock may have fetched the document for all waiting requests.
        if let Some(cached) = self.cached(url, since) {
            return cached;
        }
        let outcome = self.fetcher.get(url).await;
        self.store_outcome(url, outcome)
    }

    fn cached(&self, url: &Url, since: DateTime<Utc>) -> Option<Result<Arc<T>, DocumentProblem>> {
        let now = self.clock.now();
        if let Some(good) = lock(&self.documents).get(url.as_str())
            && now < good.fresh_until
            && good.checked_at >= since
        {
            return Some(Ok(good.document.clone()));
        }
        let bad = lock(&self.failures).get(url.as_str()).cloned()?;
        (now < bad.checked_at + FAILURE_TTL).then_some(Err(bad.problem))
    }

    fn store_outcome(&self, url: &Url, outcome: Result<Fetched, FetchProblem>) -> Result<Arc<T>, DocumentProblem> {
        let now = self.clock.now();
        let key = url.as_str().to_owned();
        let parsed = outcome
            .map_err(DocumentProblem::Fetch)
            .and_then(|Fetched { body, lifetime }| Ok(((self.parse)(&self.context, url, &body)?, lifetime)));
        let problem = match parsed {
            Ok((document, lifetime)) => {
                let document = Arc::new(document);
                let fresh_until = now + lifetime;
                let good = CachedDocument {
                    document: document.clone(),
                    checked_at: now,
                    fresh_until,
                    usable_until: fresh_until + STALE_IF_ERROR,
                };
                lock(&self.documents).put(key.clone(), good);
                lock(&self.failures).pop(&key);
                return Ok(document);
            }
            Err(problem) => problem,
        };
        if problem == DocumentProblem::Fetch(FetchProblem::Busy) {
            // This is unrelated to the document.
            return self.stale_if_error(&key, now).ok_or(problem);
        }
        let kind = match &problem {
            DocumentProblem::Fetch(problem) => problem.metric_label(),
            _ => "content",
        };
        let host = url.host_str().unwrap_or_default();
        log::info!("the OAuth client document at {host} cannot be used: it {problem} ({kind})");
        if problem.is_temporary() {
            if let Some(document) = self.stale_if_error(&key, now) {
                return Ok(document);
            }
        } else {
            lock(&self.documents).pop(&key);
        }
        lock(&self.failures).put(key, CachedFailure { problem: problem.clone(), checked_at: now });
        Err(problem)
    }

    /// Returns the expired document of a host that is failing, and delays the next fetch by half a minute.
    fn stale_if_error(&self, key: &str, now: DateTime<Utc>) -> Option<Arc<T>> {
        let mut good = lock(&self.documents);
        let good = good.get_mut(key).filter(|good| now < good.usable_until)?;
        good.checked_at = now;
        good.fresh_until = good.fresh_until.max(now + FAILURE_TTL);
        Some(good.document.clone())
    }
}

/// One waiting request for a document. The document's lock is removed with its last request.
struct FetchTurn<'a> {
    fetch_locks: &'a Mutex<HashMap<String, Arc<Turn<()>>>>,
    url: &'a str,
    lock: Arc<Turn<()>>,
}

impl<'a> FetchTurn<'a> {
    fn of(fetch_locks: &'a Mutex<HashMap<String, Arc<Turn<()>>>>, url: &'a Url) -> Self {
        let lock = lock(fetch_locks).entry(url.as_str().to_owned()).or_default().clone();
        Self { fetch_locks, url: url.as_str(), lock }
    }
}

impl Drop for FetchTurn<'_> {
    fn drop(&mut self) {
        let mut fetch_locks = lock(self.fetch_locks);
        // One reference in the map and one in `self`.
        if Arc::strong_count(&self.lock) <= 2 {
            fetch_locks.remove(self.url);
        }
    }
}

/// Ignores poisoning: a panic under this lock leaves no partial update.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
