//! Documents that were fetched, for as long as they count: bounded in number, one fetch per document at a time.

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
    fetch::{FetchProblem, Fetched, Fetcher},
    problem::DocumentProblem,
};
use crate::domain::{RedirectPolicy, SharedClock, growing_cache};

/// What is wrong now may soon be repaired; until then one look is enough for all who ask.
const BAD_FOR: TimeDelta = TimeDelta::seconds(30);
/// For how long after its time a document still counts while its host is in trouble.
const GRACE: TimeDelta = TimeDelta::hours(24);
/// Bad documents are remembered apart, so that they cannot drive out good ones.
const BAD_ONES: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Makes of an answer what it means.
pub(super) type Read<T> = fn(&Reader, &Url, &[u8]) -> Result<T, DocumentProblem>;

/// What reading a document depends on beside the document.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// Which redirect URIs may be registered.
    pub(super) policy: Arc<RedirectPolicy>,
}

/// The documents of one kind.
pub(super) struct Kept<T> {
    fetcher: Fetcher,
    clock: SharedClock,
    reader: Reader,
    read: Read<T>,
    good: Mutex<LruCache<String, Good<T>>>,
    bad: Mutex<LruCache<String, Bad>>,
    turns: Mutex<HashMap<String, Arc<Turn<()>>>>,
}

struct Good<T> {
    document: Arc<T>,
    tried_at: DateTime<Utc>,
    fresh_until: DateTime<Utc>,
    usable_until: DateTime<Utc>,
}

#[derive(Clone)]
struct Bad {
    problem: DocumentProblem,
    tried_at: DateTime<Utc>,
}

impl<T> Kept<T> {
    pub(super) fn new(
        fetcher: Fetcher,
        clock: SharedClock,
        reader: Reader,
        capacity: NonZeroUsize,
        read: Read<T>,
    ) -> Self {
        let (good, bad) = (Mutex::new(growing_cache(capacity)), Mutex::new(growing_cache(BAD_ONES)));
        Self { fetcher, clock, reader, read, good, bad, turns: Mutex::default() }
    }

    /// The document at this URL: what is kept of it if that still counts, else fetched now.
    pub(super) async fn get(&self, url: &Url) -> Result<Arc<T>, DocumentProblem> {
        self.get_tried_since(url, DateTime::<Utc>::MIN_UTC).await
    }

    /// The same, asking again unless somebody asked since that moment.
    pub(super) async fn get_tried_since(&self, url: &Url, since: DateTime<Utc>) -> Result<Arc<T>, DocumentProblem> {
        if let Some(known) = self.known(url, since) {
            return known;
        }
        let turn = Taking::of(&self.turns, url);
        let _mine = turn.turn.lock().await;
        // Whoever had the turn before has asked for all who waited.
        if let Some(known) = self.known(url, since) {
            return known;
        }
        let outcome = self.fetcher.get(url).await;
        self.keep(url, outcome)
    }

    fn known(&self, url: &Url, since: DateTime<Utc>) -> Option<Result<Arc<T>, DocumentProblem>> {
        let now = self.clock.now();
        if let Some(good) = lock(&self.good).get(url.as_str())
            && now < good.fresh_until
            && good.tried_at >= since
        {
            return Some(Ok(good.document.clone()));
        }
        let bad = lock(&self.bad).get(url.as_str()).cloned()?;
        (now < bad.tried_at + BAD_FOR).then_some(Err(bad.problem))
    }

    fn keep(&self, url: &Url, outcome: Result<Fetched, FetchProblem>) -> Result<Arc<T>, DocumentProblem> {
        let now = self.clock.now();
        let key = url.as_str().to_owned();
        let read = outcome
            .map_err(DocumentProblem::Fetch)
            .and_then(|Fetched { body, life }| Ok(((self.read)(&self.reader, url, &body)?, life)));
        let problem = match read {
            Ok((document, life)) => {
                let document = Arc::new(document);
                let fresh_until = now + life;
                let good =
                    Good { document: document.clone(), tried_at: now, fresh_until, usable_until: fresh_until + GRACE };
                lock(&self.good).put(key.clone(), good);
                lock(&self.bad).pop(&key);
                return Ok(document);
            }
            Err(problem) => problem,
        };
        if problem == DocumentProblem::Fetch(FetchProblem::Busy) {
            // That says nothing of the document.
            return self.kept_in_trouble(&key, now).ok_or(problem);
        }
        let kind = match &problem {
            DocumentProblem::Fetch(problem) => problem.word(),
            _ => "content",
        };
        let host = url.host_str().unwrap_or_default();
        log::info!("the OAuth client document at {host} is of no use: it {problem} ({kind})");
        if problem.passes() {
            if let Some(document) = self.kept_in_trouble(&key, now) {
                return Ok(document);
            }
        } else {
            lock(&self.good).pop(&key);
        }
        lock(&self.bad).put(key, Bad { problem: problem.clone(), tried_at: now });
        Err(problem)
    }

    /// What is kept of a document whose host cannot be asked now; then nobody asks for half a minute.
    fn kept_in_trouble(&self, key: &str, now: DateTime<Utc>) -> Option<Arc<T>> {
        let mut good = lock(&self.good);
        let good = good.get_mut(key).filter(|good| now < good.usable_until)?;
        good.tried_at = now;
        good.fresh_until = good.fresh_until.max(now + BAD_FOR);
        Some(good.document.clone())
    }
}

/// A place in the line for one document; the line is gone with the last who stood in it.
struct Taking<'a> {
    turns: &'a Mutex<HashMap<String, Arc<Turn<()>>>>,
    url: &'a str,
    turn: Arc<Turn<()>>,
}

impl<'a> Taking<'a> {
    fn of(turns: &'a Mutex<HashMap<String, Arc<Turn<()>>>>, url: &'a Url) -> Self {
        let turn = lock(turns).entry(url.as_str().to_owned()).or_default().clone();
        Self { turns, url: url.as_str(), turn }
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let mut turns = lock(self.turns);
        // The map's and this one.
        if Arc::strong_count(&self.turn) <= 2 {
            turns.remove(self.url);
        }
    }
}

/// A thread that panicked here left nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
