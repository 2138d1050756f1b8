//! Verifies API keys. A key is recognised by a digest in memory if this process has seen it, by the HMAC in its row if
//! any process has seen it, and by bcrypt otherwise.

mod bcrypt_queue;
mod callers;
mod predecessors;
mod round_robin;

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::web;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{Either, select};
use lru::LruCache;

pub(crate) use self::callers::{AnyCaller, FullCaller, KeyCaller, bearer};
use self::{
    bcrypt_queue::{BcryptQueue, Purpose, QueuePosition, Turn},
    predecessors::Predecessors,
};
use super::{
    error::ApiError,
    limits::{FailedKeyLimiter, LookupId},
    source_address::SourceAddress,
};
use crate::{
    crypto::{self, ApiKey, CryptoError, KeyHmac, KeyMatch, KeyRing, MacKey, PresentedKey},
    domain::{Credential, Principal, SharedClock, lazy_lru},
    metrics::Metrics,
    store::{
        CacheLookup, Generation, InvalidationListener, LastUses, RevalidatingCache, Store, StoredKey, UsedCredential,
    },
};

/// How long a request waits for bcrypt. Clients time out after 60 seconds; the response after this has a `Retry-After`.
const QUEUE_TIMEOUT: TimeDelta = TimeDelta::seconds(30);

/// The limits of the key check.
#[derive(Clone, Copy, Debug)]
pub struct KeySettings {
    /// The bcrypt cost of new keys.
    pub bcrypt_cost: u32,
    /// Limits the concurrent bcrypt computations.
    pub bcrypt_parallel: usize,
    /// Limits the keys that are cached and need no bcrypt.
    pub cache_entries: usize,
    /// The number of failures after which a source is limited.
    pub failures_per_address: u32,
    /// The number of failures with one lookup id after which a source is limited for that id.
    pub failures_per_lookup_id: u32,
    /// How long failures count.
    pub failures_count_for: TimeDelta,
}

/// Checks keys. One per process; clones share the cache.
#[derive(Clone)]
pub struct ApiKeyAuthenticator(Arc<Inner>);

struct Inner {
    store: Store,
    clock: SharedClock,
    settings: KeySettings,
    metrics: Arc<Metrics>,
    signer: MacKey,
    hmac: KeyHmac,
    bcrypt: BcryptQueue,
    cache: RevalidatingCache<[u8; 32], CachedKey>,
    /// Keys that bcrypt refused. The same wrong key costs one computation, however often it is sent.
    refused: Mutex<LruCache<[u8; 32], ()>>,
    failures: FailedKeyLimiter,
    runs: AtomicU64,
    predecessors: Predecessors,
    /// One lock per key that is being checked, so that concurrent requests with one key run one computation.
    key_locks: Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
    uses: LastUses,
}

/// A key whose row was found and whose text was verified.
#[derive(Clone)]
struct CachedKey {
    caller: KeyCaller,
    /// The hash in the key's row. A row with another hash is another key.
    hash: Arc<str>,
    /// Whether an operator has disabled the user.
    disabled: bool,
}

impl CachedKey {
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

/// A key that is being checked.
struct Presented<'a> {
    key: &'a PresentedKey,
    /// The digest under which this process caches the key.
    digest: [u8; 32],
    lookup_id: LookupId,
    source: SourceAddress,
    /// When the request stops waiting.
    until: DateTime<Utc>,
}

/// A request's share in the check of one key. The last one that is dropped removes the lock, also if a client
/// disconnects.
struct KeyLock<'a> {
    all: &'a Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
    digest: [u8; 32],
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> KeyLock<'a> {
    fn of(inner: &'a Inner, digest: [u8; 32]) -> Self {
        let all = &inner.key_locks;
        let lock = lock(all).entry(digest).or_default().clone();
        Self { all, digest, lock }
    }
}

impl Drop for KeyLock<'_> {
    fn drop(&mut self) {
        let mut all = lock(self.all);
        // At this count only the map and this value refer to the lock.
        if Arc::strong_count(&self.lock) <= 2 {
            all.remove(&self.digest);
        }
    }
}

/// A new key: the text that is shown once, and the stored values.
pub(crate) struct GeneratedKey {
    pub(crate) key: ApiKey,
    pub(crate) hash: String,
    pub(crate) hmac: String,
}

impl ApiKeyAuthenticator {
    /// Creates a key check with an empty cache.
    pub fn new(
        store: Store,
        changes: Arc<InvalidationListener>,
        clock: SharedClock,
        settings: KeySettings,
        ring: &KeyRing,
        metrics: Arc<Metrics>,
    ) -> Result<Self, CryptoError> {
        let entries = NonZeroUsize::new(settings.cache_entries).unwrap_or(NonZeroUsize::MIN);
        let uses = LastUses::new(store.clone());
        Ok(Self(Arc::new(Inner {
            store,
            settings,
            metrics,
            signer: MacKey::ephemeral()?,
            hmac: ring.key_hmac().clone(),
            bcrypt: BcryptQueue::new(settings.bcrypt_parallel, clock.clone()),
            cache: RevalidatingCache::new(changes, settings.cache_entries),
            refused: Mutex::new(lazy_lru(entries)),
            failures: FailedKeyLimiter::new(
                settings.failures_per_address,
                settings.failures_per_lookup_id,
                settings.failures_count_for,
            ),
            runs: AtomicU64::new(0),
            predecessors: Predecessors::new(ring.legacy_key_mac_key().clone(), clock.clone()),
            key_locks: Mutex::new(HashMap::new()),
            uses,
            clock,
        })))
    }

    /// Returns the number of bcrypt computations since the start.
    pub fn bcrypt_runs(&self) -> u64 {
        self.0.runs.load(Ordering::Relaxed)
    }

    /// Creates a key for a request from this source, after waiting for its turn at bcrypt.
    pub(crate) async fn generate_key(&self, source: SourceAddress) -> Result<GeneratedKey, ApiError> {
        let inner = &self.0;
        let key = ApiKey::generate()?;
        let position = QueuePosition { purpose: Purpose::NewKey, source, key: LookupId::default() };
        let until = inner.clock.now() + QUEUE_TIMEOUT;
        let turn = inner.bcrypt.turn(position, until).await.map_err(ApiError::KeyCheckBusy)?;
        let (cost, hashed) = (inner.settings.bcrypt_cost, key.clone());
        let hash = inner.run_bcrypt(turn, move || crypto::hash_api_key(&hashed, cost)).await?;
        let hmac = inner.hmac.make(&PresentedKey::Gateway(key.clone()), &hash);
        Ok(GeneratedKey { key, hash, hmac })
    }

    /// Returns the failure counts of sources. Other guessable secrets use them as well.
    pub(crate) fn failed_keys(&self) -> &FailedKeyLimiter {
        &self.0.failures
    }

    /// Returns the caller with this key. A malformed key needs neither the database nor bcrypt.
    pub(crate) async fn authenticate(&self, text: &str, source: SourceAddress) -> Result<KeyCaller, ApiError> {
        let inner = &self.0;
        let Ok(key) = PresentedKey::parse(text) else {
            let admitted = inner.failures.admit(source, None, inner.clock.now());
            inner.metrics.key_checked(if admitted.is_ok() { "malformed" } else { "limited" });
            admitted?;
            inner.failures.record_failure(source, None, inner.clock.now());
            return Err(ApiError::BadKey);
        };
        let digest = crypto::key_digest(&inner.signer, &key);
        if let Some(cached) = inner.cached(&digest).await? {
            inner.metrics.key_checked("cached");
            return cached.admit(inner.clock.now());
        }
        let key_lock = KeyLock::of(inner, digest);
        let until = inner.clock.now() + QUEUE_TIMEOUT;
        let outcome = match select(Box::pin(key_lock.lock.lock()), inner.clock.sleep_until(until)).await {
            Either::Right(_) => Err(ApiError::KeyCheckBusy(inner.bcrypt.time_to_empty())),
            Either::Left((_turn, _)) => match inner.cached(&digest).await {
                Ok(Some(cached)) => Ok((cached, "cached")),
                Ok(None) => Box::pin(inner.check_uncached(&key, digest, source, until)).await,
                Err(error) => Err(error),
            },
        };
        inner.metrics.key_checked(match &outcome {
            Ok((_, how)) => how,
            Err(ApiError::BadKey) => "refused",
            Err(ApiError::KeyCheckBusy(_)) => "busy",
            Err(ApiError::TooManyFailedKeys(_)) => "limited",
            Err(_) => "failed",
        });
        outcome.and_then(|(cached, _)| cached.admit(inner.clock.now()))
    }

    /// Returns whether the process receives notifications of key changes. Without them, each use reads the key's row.
    pub fn receives_invalidations(&self) -> bool {
        self.0.cache.receives_invalidations(self.0.clock.now())
    }
}

impl Inner {
    /// Returns a cached key. If it may have changed, its row is read, which needs no bcrypt.
    async fn cached(&self, digest: &[u8; 32]) -> Result<Option<CachedKey>, ApiError> {
        let now = self.clock.now();
        let cached = match self.cache.get(digest, now) {
            CacheLookup::Miss => return Ok(None),
            CacheLookup::Fresh(cached) => cached,
            CacheLookup::Stale(cached) => match Box::pin(self.reload(digest, cached)).await? {
                Some(cached) => cached,
                None => return Ok(None),
            },
        };
        if self.cache.touch_is_due(digest, now) {
            self.uses.note(UsedCredential::Key(cached.caller.key), cached.caller.user, now);
        }
        Ok(Some(cached))
    }

    /// Reads the row of a cached key again.
    async fn reload(&self, digest: &[u8; 32], cached: CachedKey) -> Result<Option<CachedKey>, ApiError> {
        let seen = self.cache.generation();
        let stored = self.store.key(cached.caller.user, cached.caller.key).await?;
        let Some(stored) = stored.filter(|stored| *stored.hash == *cached.hash) else {
            self.cache.remove(digest);
            return Ok(None);
        };
        self.store_in_cache(*digest, stored, seen).await.map(Some)
    }

    async fn store_in_cache(
        &self,
        digest: [u8; 32],
        stored: StoredKey,
        seen: Generation,
    ) -> Result<CachedKey, ApiError> {
        let disabled = self.store.disabled_since(stored.user).await?.is_some();
        let StoredKey { id, user, prefix, hash, scope, expires_at, view, .. } = stored;
        let caller = Principal { user, credential: Credential::Key(id), label: prefix.into(), scope, expires_at, view };
        let cached = CachedKey { caller: KeyCaller { caller, key: id }, hash: hash.into(), disabled };
        self.cache.insert(digest, cached.clone(), seen);
        Ok(cached)
    }

    /// Checks a key that is not cached, if its source has not failed too often. Also returns how the key was
    /// recognised.
    async fn check_uncached(
        &self,
        key: &PresentedKey,
        digest: [u8; 32],
        source: SourceAddress,
        until: DateTime<Utc>,
    ) -> Result<(CachedKey, &'static str), ApiError> {
        let lookup_id = match key {
            PresentedKey::Gateway(key) => self.signer.digest(key.prefix()),
            PresentedKey::Legacy(key) => self.signer.digest(&key.prefix()),
        };
        self.failures.admit(source, Some(lookup_id), self.clock.now())?;
        let outcome = self.check_stored(&Presented { key, digest, lookup_id, source, until }).await;
        if matches!(outcome, Err(ApiError::BadKey)) {
            self.failures.record_failure(source, Some(lookup_id), self.clock.now());
        }
        outcome
    }

    async fn check_stored(&self, presented: &Presented<'_>) -> Result<(CachedKey, &'static str), ApiError> {
        let seen = self.cache.generation();
        let found = match presented.key {
            PresentedKey::Gateway(key) => self.lookup(key, presented).await?,
            PresentedKey::Legacy(key) => self.lookup_predecessor(key, presented).await?,
        };
        let Some((stored, how)) = found else {
            return Err(ApiError::BadKey);
        };
        let now = self.clock.now();
        let cached = self.store_in_cache(presented.digest, stored, seen).await?;
        if self.cache.touch_is_due(&presented.digest, now) {
            self.uses.note(UsedCredential::Key(cached.caller.key), cached.caller.user, now);
        }
        Ok((cached, how))
    }

    async fn lookup(
        &self,
        key: &ApiKey,
        presented: &Presented<'_>,
    ) -> Result<Option<(StoredKey, &'static str)>, ApiError> {
        let Some(stored) = self.store.key_by_prefix(key.prefix()).await? else {
            return Ok(None);
        };
        match self.hmac.check(presented.key, &stored.hash, stored.hmac.as_deref()) {
            KeyMatch::Current => return Ok(Some((stored, "recognised"))),
            KeyMatch::Previous => {
                self.store_hmac(presented.key, &stored).await;
                return Ok(Some((stored, "recognised")));
            }
            KeyMatch::Unknown => {}
        }
        if lock(&self.refused).get(&presented.digest).is_some() {
            return Ok(None);
        }
        let turn = self.turn(presented).await?;
        let (offered, hash) = (presented.key.clone(), stored.hash.clone());
        if self.run_bcrypt(turn, move || crypto::verify_api_key(&offered, &hash)).await? {
            self.store_hmac(presented.key, &stored).await;
            return Ok(Some((stored, "verified")));
        }
        lock(&self.refused).put(presented.digest, ());
        Ok(None)
    }

    /// Stores the HMAC of a key. If this fails, the next process runs bcrypt once more; the caller is not rejected.
    async fn store_hmac(&self, key: &PresentedKey, stored: &StoredKey) {
        let hmac = self.hmac.make(key, &stored.hash);
        if let Err(error) = self.store.store_key_hmac(stored.user, stored.id, &stored.hash, &hmac).await {
            log::warn!("the HMAC of key {} was not stored: {error}", stored.prefix);
        }
    }

    /// Waits for a turn at bcrypt. If the source sent a wrong key meanwhile, the request queues once more.
    async fn turn(&self, presented: &Presented<'_>) -> Result<Turn, ApiError> {
        let Presented { source, lookup_id, until, .. } = *presented;
        loop {
            let failed = self.failures.has_failed(source, self.clock.now());
            let purpose = if failed { Purpose::CheckAfterFailure } else { Purpose::Check };
            let position = QueuePosition { purpose, source, key: lookup_id };
            let turn = self.bcrypt.turn(position, until).await.map_err(ApiError::KeyCheckBusy)?;
            let now = self.clock.now();
            self.failures.admit_key(source, lookup_id, now)?;
            if failed || !self.failures.has_failed(source, now) {
                return Ok(turn);
            }
        }
    }

    /// Runs bcrypt on a thread where it does not delay other requests.
    async fn run_bcrypt<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce() -> Result<T, CryptoError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let counted = self.metrics.bcrypt();
        let work = move || {
            // The computation runs to completion even if the client disconnects, and keeps its turn until then.
            let _held = (turn, counted);
            work()
        };
        Ok(web::block(work).await.map_err(|_| ApiError::KeyCheckBusy(TimeDelta::zero()))??)
    }
}

/// Ignores poisoning: a panic while one of these locks is held leaves no inconsistent state that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
