//! Whose API key is this? bcrypt answers once per key and process; after that a keyed digest in memory does.

use std::{
    collections::HashMap,
    future::Future,
    num::NonZeroUsize,
    ops::Deref,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{HttpState, error::ApiError, limits::FailedKeys, observe::Notes, source_address::SourceAddress};
use crate::{
    crypto::{self, ApiKey, CryptoError, PredecessorKey, PresentedKey, Signer},
    domain::{Caller, Credential, KeyId, Scope, SharedClock, growing_cache},
    metrics::Metrics,
    oauth::AccessCheck,
    store::{ChangeWatch, PREDECESSOR_CANDIDATES, Recalled, Remembered, Seen, Store, StoredKey},
};

/// bcrypt computations that may wait for their turn; more are turned away instead of piling up.
const WAITING: usize = 64;
/// For how long it stays known whether there are keys of the predecessor's. New ones do not appear, so this is only
/// about the last one going, and about a backup that is put in place under a running gateway.
const PREDECESSORS_KNOWN_FOR: TimeDelta = TimeDelta::minutes(10);

/// Bounds of the key check.
#[derive(Clone, Copy, Debug)]
pub struct KeySettings {
    /// bcrypt cost of new keys.
    pub bcrypt_cost: u32,
    /// bcrypt computations at once.
    pub bcrypt_parallel: usize,
    /// Keys that stay known without bcrypt.
    pub cache_entries: usize,
    /// Failures after which a source has to wait.
    pub failures_per_address: u32,
    /// The same at one lookup id.
    pub failures_per_lookup_id: u32,
    /// For how long failures count.
    pub failures_count_for: TimeDelta,
}

/// A caller with an API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeyCaller {
    caller: Caller,
    /// Their key.
    pub(crate) key: KeyId,
}

impl KeyCaller {
    /// The caller as everybody else knows them.
    pub(crate) fn into_caller(self) -> Caller {
        self.caller
    }
}

impl Deref for KeyCaller {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// Any caller with a key. A handler that takes this argument cannot be reached without a valid one; access tokens, which
/// are for `/mcp`, do not open it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AnyCaller(pub(crate) KeyCaller);

/// A caller whose key has the full scope: what managing keys and the connection takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FullCaller(pub(crate) KeyCaller);

/// Checks keys. One per process; clones share the cache.
#[derive(Clone)]
pub struct KeyCheck(Arc<Inner>);

struct Inner {
    store: Store,
    clock: SharedClock,
    settings: KeySettings,
    metrics: Arc<Metrics>,
    signer: Signer,
    bcrypt: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    known: Remembered<[u8; 32], Known>,
    /// Keys that bcrypt refused: the same wrong key costs one computation, however often it is sent.
    refused: Mutex<LruCache<[u8; 32], ()>>,
    failures: FailedKeys,
    runs: AtomicU64,
    /// Makes the digests by which the predecessor's keys are found once they have been seen; the same in all processes.
    predecessor_signer: Signer,
    /// Whether there are any, and when that was asked.
    predecessors: Mutex<Option<(bool, DateTime<Utc>)>>,
    /// Anyone can write a well-formed key of the predecessor's that costs several computations, so those take turns.
    predecessor_turn: Semaphore,
    predecessor_admitted: Semaphore,
    /// One computation per key, however many requests bring it at once.
    checking: Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
}

/// A key that has opened the door before.
#[derive(Clone)]
struct Known {
    caller: KeyCaller,
    /// What bcrypt was asked about: a row with another hash is another key.
    hash: Arc<str>,
    /// An operator keeps the user out.
    disabled: bool,
}

impl Known {
    fn admit(self, now: DateTime<Utc>) -> Result<KeyCaller, ApiError> {
        if self.disabled {
            return Err(ApiError::Disabled);
        }
        if self.caller.expires_at.is_some_and(|end| end <= now) {
            return Err(ApiError::KeyExpired);
        }
        Ok(self.caller)
    }
}

impl KeyCheck {
    /// A check with an empty cache. `predecessor_signer` is the key ring's.
    pub fn new(
        store: Store,
        changes: Arc<ChangeWatch>,
        clock: SharedClock,
        settings: KeySettings,
        predecessor_signer: Signer,
        metrics: Arc<Metrics>,
    ) -> Result<Self, CryptoError> {
        let entries = NonZeroUsize::new(settings.cache_entries).unwrap_or(NonZeroUsize::MIN);
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            settings,
            metrics,
            signer: Signer::ephemeral()?,
            bcrypt: Arc::new(Semaphore::new(settings.bcrypt_parallel.max(1))),
            admitted: Arc::new(Semaphore::new(settings.bcrypt_parallel.max(1) + WAITING)),
            known: Remembered::new(changes, settings.cache_entries),
            refused: Mutex::new(growing_cache(entries)),
            failures: FailedKeys::new(
                settings.failures_per_address,
                settings.failures_per_lookup_id,
                settings.failures_count_for,
            ),
            runs: AtomicU64::new(0),
            predecessor_signer,
            predecessors: Mutex::new(None),
            predecessor_turn: Semaphore::new(1),
            predecessor_admitted: Semaphore::new(1 + WAITING),
            checking: Mutex::new(HashMap::new()),
        })))
    }

    /// bcrypt computations since the start.
    pub fn bcrypt_runs(&self) -> u64 {
        self.0.runs.load(Ordering::Relaxed)
    }

    /// Makes a key and its hash.
    pub(crate) async fn new_key(&self) -> Result<(ApiKey, String), ApiError> {
        let key = ApiKey::generate()?;
        let cost = self.0.settings.bcrypt_cost;
        let hashed = key.clone();
        let hash = self.0.slow(move || crypto::hash_api_key(&hashed, cost)).await?;
        Ok((key, hash))
    }

    /// Sources that failed too often. Other secrets that can be guessed count here as well.
    pub(crate) fn failures(&self) -> &FailedKeys {
        &self.0.failures
    }

    /// Whose key this text is. Malformed keys cost neither the database nor bcrypt anything.
    pub(crate) async fn check(&self, text: &str, source: SourceAddress) -> Result<KeyCaller, ApiError> {
        let inner = &self.0;
        let Ok(key) = PresentedKey::parse(text) else {
            let admitted = inner.failures.admit(source, None, inner.clock.now());
            inner.metrics.key_checked(if admitted.is_ok() { "malformed" } else { "limited" });
            admitted?;
            inner.failures.failed(source, None, inner.clock.now());
            return Err(ApiError::BadKey);
        };
        let digest = crypto::key_digest(&inner.signer, &key);
        if let Some(known) = inner.known(&digest).await? {
            inner.metrics.key_checked("cached");
            return known.admit(inner.clock.now());
        }
        let turn = lock(&inner.checking).entry(digest).or_default().clone();
        let outcome = {
            let _turn = turn.lock().await;
            match inner.known(&digest).await {
                Ok(Some(known)) => Ok((known, "cached")),
                Ok(None) => Box::pin(inner.ask_for(&key, digest, source)).await.map(|known| (known, "verified")),
                Err(error) => Err(error),
            }
        };
        inner.metrics.key_checked(match &outcome {
            Ok((_, how)) => how,
            Err(ApiError::BadKey) => "refused",
            Err(ApiError::KeyCheckBusy) => "busy",
            Err(ApiError::TooManyFailedKeys(_)) => "limited",
            Err(_) => "failed",
        });
        // The last one out forgets the lock; two owners are left then, the map and `turn`.
        let mut checking = lock(&inner.checking);
        if Arc::strong_count(&turn) <= 2 {
            checking.remove(&digest);
        }
        outcome.and_then(|(known, _)| known.admit(inner.clock.now()))
    }

    /// Whether changes of keys that others make are heard; while they are not, keys are looked up at each use.
    pub fn hears_changes(&self) -> bool {
        self.0.known.hears_changes(self.0.clock.now())
    }
}

impl Inner {
    /// What is remembered of a key. Where that may have changed, its row is read, which takes no bcrypt.
    async fn known(&self, digest: &[u8; 32]) -> Result<Option<Known>, ApiError> {
        let now = self.clock.now();
        let known = match self.known.recall(digest, now) {
            Recalled::Nothing => return Ok(None),
            Recalled::Good(known) => known,
            Recalled::Doubtful(known) => match Box::pin(self.looked_up(digest, known)).await? {
                Some(known) => known,
                None => return Ok(None),
            },
        };
        if self.known.use_is_due(digest, now) {
            self.touch(&known.caller, now);
        }
        Ok(Some(known))
    }

    /// What the row says of a key that was good.
    async fn looked_up(&self, digest: &[u8; 32], known: Known) -> Result<Option<Known>, ApiError> {
        let seen = self.known.seen();
        let stored = self.store.key(known.caller.user, known.caller.key).await?;
        let Some(stored) = stored.filter(|stored| *stored.hash == *known.hash) else {
            self.known.forget(digest);
            return Ok(None);
        };
        self.remember(*digest, stored, seen).await.map(Some)
    }

    async fn remember(&self, digest: [u8; 32], stored: StoredKey, seen: Seen) -> Result<Known, ApiError> {
        let disabled = self.store.disabled_since(stored.user).await?.is_some();
        let StoredKey { id, user, prefix, hash, scope, expires_at, view, .. } = stored;
        let caller = Caller { user, credential: Credential::Key(id), label: prefix.into(), scope, expires_at, view };
        let known = Known { caller: KeyCaller { caller, key: id }, hash: hash.into(), disabled };
        self.known.remember(digest, known.clone(), seen);
        Ok(known)
    }

    /// What was not known already: only if its source has not failed too often.
    async fn ask_for(&self, key: &PresentedKey, digest: [u8; 32], source: SourceAddress) -> Result<Known, ApiError> {
        let lookup_id = Some(match key {
            PresentedKey::Ours(key) => self.signer.digest(key.prefix()),
            PresentedKey::Predecessor(key) => self.signer.digest(&key.prefix()),
        });
        self.failures.admit(source, lookup_id, self.clock.now())?;
        let outcome = self.ask(key, digest).await;
        if matches!(outcome, Err(ApiError::BadKey)) {
            self.failures.failed(source, lookup_id, self.clock.now());
        }
        outcome
    }

    async fn ask(&self, key: &PresentedKey, digest: [u8; 32]) -> Result<Known, ApiError> {
        let seen = self.known.seen();
        let found = match key {
            PresentedKey::Ours(ours) => self.ours(ours, &digest).await?,
            PresentedKey::Predecessor(theirs) => self.predecessors(theirs, &digest).await?,
        };
        let Some(stored) = found else {
            return Err(ApiError::BadKey);
        };
        let now = self.clock.now();
        let known = self.remember(digest, stored, seen).await?;
        if self.known.use_is_due(&digest, now) {
            self.touch(&known.caller, now);
        }
        Ok(known)
    }

    async fn ours(&self, key: &ApiKey, digest: &[u8; 32]) -> Result<Option<StoredKey>, ApiError> {
        let Some(stored) = self.store.key_by_prefix(key.prefix()).await? else {
            return Ok(None);
        };
        if lock(&self.refused).get(digest).is_some() {
            return Ok(None);
        }
        let (offered, hash) = (PresentedKey::Ours(key.clone()), stored.hash.clone());
        if self.slow(move || crypto::verify_api_key(&offered, &hash)).await? {
            return Ok(Some(stored));
        }
        lock(&self.refused).put(*digest, ());
        Ok(None)
    }

    /// A key that the predecessor made: found by its digest once it was seen here, before that among the few that share
    /// its prefix.
    async fn predecessors(&self, key: &PredecessorKey, digest: &[u8; 32]) -> Result<Option<StoredKey>, ApiError> {
        if !self.has_predecessors().await? {
            return Ok(None);
        }
        let stored_digest = key.digest(&self.predecessor_signer);
        if let Some(stored) = self.store.predecessor_key_by_digest(&stored_digest).await? {
            return Ok(Some(stored));
        }
        for previous in key.previous_digests(&self.predecessor_signer) {
            if let Some(stored) = self.store.predecessor_key_by_digest(&previous).await? {
                self.note_digest(&stored, &stored_digest).await;
                return Ok(Some(stored));
            }
        }
        let candidates = self.store.predecessor_keys_by_prefix(&key.prefix()).await?;
        if candidates.is_empty() || lock(&self.refused).get(digest).is_some() {
            return Ok(None);
        }
        let all = (candidates.len() as u64) < PREDECESSOR_CANDIDATES;
        let _admitted = self.predecessor_admitted.try_acquire().map_err(|_| ApiError::KeyCheckBusy)?;
        let _turn = self.predecessor_turn.acquire().await.map_err(|_| ApiError::KeyCheckBusy)?;
        for candidate in candidates {
            let (offered, hash) = (PresentedKey::Predecessor(key.clone()), candidate.hash.clone());
            // A hash that cannot be read must not keep out the keys that share its prefix.
            let verify = move || Ok(crypto::verify_api_key(&offered, &hash).map_err(|error| error.to_string()));
            match self.slow(verify).await? {
                Ok(true) => {
                    self.note_digest(&candidate, &stored_digest).await;
                    return Ok(Some(candidate));
                }
                Ok(false) => {}
                Err(error) => log::error!("the stored hash of key {} is of no use: {error}", candidate.prefix),
            }
        }
        // Where there are more, those that were compared now may be found by their digests next time, and make room.
        if all {
            lock(&self.refused).put(*digest, ());
        }
        Ok(None)
    }

    async fn has_predecessors(&self) -> Result<bool, ApiError> {
        let now = self.clock.now();
        if let Some((known, asked)) = *lock(&self.predecessors)
            && now < asked + PREDECESSORS_KNOWN_FOR
        {
            return Ok(known);
        }
        let known = self.store.has_predecessor_keys().await?;
        *lock(&self.predecessors) = Some((known, now));
        Ok(known)
    }

    /// Without the note the next process does the same work again: no reason to turn the caller away.
    async fn note_digest(&self, key: &StoredKey, digest: &str) {
        if let Err(error) = self.store.note_key_digest(key.user, key.id, digest).await {
            log::warn!("the digest of key {} was not written down: {error}", key.prefix);
        }
    }

    /// Writes `last_used_at` behind the request's back.
    fn touch(&self, caller: &KeyCaller, now: DateTime<Utc>) {
        let (store, user, key) = (self.store.clone(), caller.user, caller.key);
        actix_web::rt::spawn(async move {
            if let Err(error) = store.touch_key(user, key, now).await {
                log::warn!("the last use of an API key was not written down: {error}");
            }
        });
    }

    /// Runs bcrypt on a thread where it blocks nobody, a few at a time.
    async fn slow<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, CryptoError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| ApiError::KeyCheckBusy)?;
        let turn = self.bcrypt.clone().acquire_owned().await.map_err(|_| ApiError::KeyCheckBusy)?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        let counted = self.metrics.bcrypt();
        let work = move || {
            // It runs to its end even if the caller leaves meanwhile, and keeps its place until then.
            let _held = (admitted, turn, counted);
            work()
        };
        Ok(web::block(work).await.map_err(|_| ApiError::KeyCheckBusy)??)
    }
}

/// A thread that panicked while it held one of these locks left nothing half-done that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key in `Authorization: Bearer …` (RFC 6750; the scheme is case-insensitive, RFC 9110 section 11.1).
pub(super) fn bearer(request: &HttpRequest) -> Result<&str, ApiError> {
    let value = request.headers().get(header::AUTHORIZATION).ok_or(ApiError::NoKey)?;
    let (scheme, credentials) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(ApiError::BadKey)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(credentials.trim()) } else { Err(ApiError::BadKey) }
}

impl FromRequest for FullCaller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = AnyCaller::from_request(request, payload);
        Box::pin(async move {
            let AnyCaller(caller) = caller.await?;
            if caller.scope == Scope::Full { Ok(Self(caller)) } else { Err(ApiError::InsufficientScope) }
        })
    }
}

impl FromRequest for AnyCaller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<HttpState>>().cloned();
        let notes = Notes::of(request);
        let source = state.as_ref().map(|state| state.settings.source_of(request));
        let text = bearer(request).map(|text| Zeroizing::new(text.to_owned()));
        Box::pin(async move {
            let text = text?;
            if AccessCheck::is_token(&text) {
                return Err(ApiError::AccessTokenNotHere);
            }
            let (state, source) = state.zip(source).ok_or(ApiError::NotFound)?;
            let caller = state.keys.check(&text, source).await?;
            if let Some(notes) = notes {
                notes.caller(&caller);
            }
            Ok(Self(caller))
        })
    }
}
