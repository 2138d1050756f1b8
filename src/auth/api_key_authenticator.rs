//! Verifies API keys. A key is recognised by a digest in memory if this process has seen it, by the HMAC in its row if
//! any process has seen it, and by bcrypt otherwise.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::{Either, select};

use super::{
    bcrypt_queue::QUEUE_TIMEOUT, bcrypt_runner::BcryptRunner, error::AuthError, key_caller::KeyCaller,
    key_locks::KeyLocks, key_settings::KeySettings, limits::FailedKeyLimiter, predecessors::Predecessors,
    presented::Presented, source_address::SourceAddress,
};
use crate::{
    crypto::{self, ApiKey, CryptoError, KeyHmac, KeyMatch, KeyRing, MacKey, PresentedKey},
    domain::{Credential, Principal, SharedClock},
    metrics::Metrics,
    store::{
        CacheLookup, Generation, InvalidationListener, LastUses, RevalidatingCache, Store, StoredKey, UsedCredential,
    },
};

/// Checks keys. One per process; clones share the cache.
#[derive(Clone)]
pub struct ApiKeyAuthenticator(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) settings: KeySettings,
    metrics: Arc<Metrics>,
    signer: MacKey,
    pub(super) hmac: KeyHmac,
    pub(super) bcrypt: BcryptRunner,
    cache: RevalidatingCache<[u8; 32], CachedKey>,
    predecessors: Predecessors,
    key_locks: KeyLocks,
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
    fn admit(self, now: DateTime<Utc>) -> Result<KeyCaller, AuthError> {
        if self.disabled {
            return Err(AuthError::Disabled);
        }
        if self.caller.expires_at.is_some_and(|end| end <= now) {
            return Err(AuthError::KeyExpired);
        }
        Ok(self.caller)
    }
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
        let uses = LastUses::new(store.clone());
        Ok(Self(Arc::new(Inner {
            signer: MacKey::ephemeral()?,
            hmac: ring.key_hmac().clone(),
            bcrypt: BcryptRunner::new(&settings, clock.clone(), metrics.clone()),
            cache: RevalidatingCache::new(changes, settings.cache_entries),
            predecessors: Predecessors::new(store.clone(), clock.clone(), ring.legacy_key_mac_key().clone()),
            key_locks: KeyLocks::default(),
            uses,
            store,
            clock,
            settings,
            metrics,
        })))
    }

    /// Returns the number of bcrypt computations since the start.
    pub fn bcrypt_runs(&self) -> u64 {
        self.0.bcrypt.runs()
    }

    /// Returns the failure counts of sources. Other guessable secrets use them as well.
    pub(crate) fn failed_keys(&self) -> &FailedKeyLimiter {
        self.0.bcrypt.failures()
    }

    /// Returns the caller with this key. A malformed key needs neither the database nor bcrypt.
    pub(crate) async fn authenticate(&self, text: &str, source: SourceAddress) -> Result<KeyCaller, AuthError> {
        let inner = &self.0;
        let Ok(key) = PresentedKey::parse(text) else {
            let admitted = inner.bcrypt.failures().admit(source, None, inner.clock.now());
            inner.metrics.key_checked(if admitted.is_ok() { "malformed" } else { "limited" });
            admitted?;
            inner.bcrypt.failures().record_failure(source, None, inner.clock.now());
            return Err(AuthError::BadKey);
        };
        let digest = crypto::key_digest(&inner.signer, &key);
        if let Some(cached) = inner.cached(&digest).await? {
            inner.metrics.key_checked("cached");
            return cached.admit(inner.clock.now());
        }
        let key_lock = inner.key_locks.of(digest);
        let until = inner.clock.now() + QUEUE_TIMEOUT;
        let outcome = match select(Box::pin(key_lock.lock.lock()), inner.clock.sleep_until(until)).await {
            Either::Right(_) => Err(inner.bcrypt.busy()),
            Either::Left((_turn, _)) => match inner.cached(&digest).await {
                Ok(Some(cached)) => Ok((cached, "cached")),
                Ok(None) => Box::pin(inner.check_uncached(&key, digest, source, until)).await,
                Err(error) => Err(error),
            },
        };
        inner.metrics.key_checked(match &outcome {
            Ok((_, how)) => how,
            Err(AuthError::BadKey) => "refused",
            Err(AuthError::KeyCheckBusy(_)) => "busy",
            Err(AuthError::TooMany(_)) => "limited",
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
    async fn cached(&self, digest: &[u8; 32]) -> Result<Option<CachedKey>, AuthError> {
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
    async fn reload(&self, digest: &[u8; 32], cached: CachedKey) -> Result<Option<CachedKey>, AuthError> {
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
    ) -> Result<CachedKey, AuthError> {
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
    ) -> Result<(CachedKey, &'static str), AuthError> {
        let lookup_id = match key {
            PresentedKey::Gateway(key) => self.signer.digest(key.prefix()),
            PresentedKey::Legacy(key) => self.signer.digest(&key.prefix()),
        };
        self.bcrypt.failures().admit(source, Some(lookup_id), self.clock.now())?;
        let outcome = self.check_stored(&Presented { key, digest, lookup_id, source, until }).await;
        if matches!(outcome, Err(AuthError::BadKey)) {
            self.bcrypt.failures().record_failure(source, Some(lookup_id), self.clock.now());
        }
        outcome
    }

    async fn check_stored(&self, presented: &Presented<'_>) -> Result<(CachedKey, &'static str), AuthError> {
        let seen = self.cache.generation();
        let found = match presented.key {
            PresentedKey::Gateway(key) => self.lookup(key, presented).await?,
            PresentedKey::Legacy(key) => self.predecessors.lookup(key, presented, &self.bcrypt).await?,
        };
        let Some((stored, how)) = found else {
            return Err(AuthError::BadKey);
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
    ) -> Result<Option<(StoredKey, &'static str)>, AuthError> {
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
        if self.bcrypt.has_refused(&presented.digest) {
            return Ok(None);
        }
        let turn = self.bcrypt.turn(presented).await?;
        let (offered, hash) = (presented.key.clone(), stored.hash.clone());
        if self.bcrypt.run(turn, move || crypto::verify_api_key(&offered, &hash)).await? {
            self.store_hmac(presented.key, &stored).await;
            return Ok(Some((stored, "verified")));
        }
        self.bcrypt.record_refusal(presented.digest);
        Ok(None)
    }

    /// Stores the HMAC of a key. If this fails, the next process runs bcrypt once more; the caller is not rejected.
    async fn store_hmac(&self, key: &PresentedKey, stored: &StoredKey) {
        let hmac = self.hmac.make(key, &stored.hash);
        if let Err(error) = self.store.store_key_hmac(stored.user, stored.id, &stored.hash, &hmac).await {
            log::warn!("the HMAC of key {} was not stored: {error}", stored.prefix);
        }
    }
}
