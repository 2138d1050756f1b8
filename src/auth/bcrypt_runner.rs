//! Runs bcrypt for new keys, and for keys that nothing cheaper recognises.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use tokio::task::spawn_blocking;

use super::{
    bcrypt_queue::{BcryptQueue, Purpose, QueuePosition, Turn},
    error::AuthError,
    key_settings::KeySettings,
    limits::FailedKeyLimiter,
    lookup_id::LookupId,
    mutex::lock,
    presented::Presented,
    source_address::SourceAddress,
};
use crate::{
    crypto::CryptoError,
    domain::{SharedClock, lazy_lru},
    metrics::Metrics,
};

/// The bcrypt computations of this process: their queue, and the sources and keys that failed.
pub(super) struct BcryptRunner {
    clock: SharedClock,
    metrics: Arc<Metrics>,
    queue: BcryptQueue,
    /// Keys that bcrypt refused. The same wrong key costs one computation, however often it is sent.
    refused: Mutex<LruCache<[u8; 32], ()>>,
    failures: FailedKeyLimiter,
    runs: AtomicU64,
}

impl BcryptRunner {
    pub(super) fn new(settings: &KeySettings, clock: SharedClock, metrics: Arc<Metrics>) -> Self {
        let entries = NonZeroUsize::new(settings.cache_entries).unwrap_or(NonZeroUsize::MIN);
        Self {
            metrics,
            queue: BcryptQueue::new(settings.bcrypt_parallel, clock.clone()),
            refused: Mutex::new(lazy_lru(entries)),
            failures: FailedKeyLimiter::new(
                settings.failures_per_address,
                settings.failures_per_lookup_id,
                settings.failures_count_for,
            ),
            runs: AtomicU64::new(0),
            clock,
        }
    }

    /// Returns the number of computations since the start.
    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Returns the failure counts of sources.
    pub(super) fn failures(&self) -> &FailedKeyLimiter {
        &self.failures
    }

    /// Returns the error for a request that has waited too long.
    pub(super) fn busy(&self) -> AuthError {
        AuthError::KeyCheckBusy(self.queue.time_to_empty())
    }

    /// Returns whether bcrypt refused the key with this digest.
    pub(super) fn has_refused(&self, digest: &[u8; 32]) -> bool {
        lock(&self.refused).get(digest).is_some()
    }

    /// Records that bcrypt refused the key with this digest.
    pub(super) fn record_refusal(&self, digest: [u8; 32]) {
        lock(&self.refused).put(digest, ());
    }

    /// Returns the position in a queue of a key that is being checked.
    pub(super) fn position(&self, presented: &Presented<'_>) -> QueuePosition {
        let Presented { source, lookup_id, .. } = *presented;
        let failed = self.failures.has_failed(source, self.clock.now());
        let purpose = if failed { Purpose::CheckAfterFailure } else { Purpose::Check };
        QueuePosition { purpose, source, key: lookup_id }
    }

    /// Waits for a turn at bcrypt. If the source sent a wrong key meanwhile, the request queues once more.
    pub(super) async fn turn(&self, presented: &Presented<'_>) -> Result<Turn, AuthError> {
        let Presented { source, lookup_id, until, .. } = *presented;
        loop {
            let position = self.position(presented);
            let turn = self.queue.turn(position, until).await.map_err(AuthError::KeyCheckBusy)?;
            let now = self.clock.now();
            self.failures.admit_key(source, lookup_id, now)?;
            if position.purpose == Purpose::CheckAfterFailure || !self.failures.has_failed(source, now) {
                return Ok(turn);
            }
        }
    }

    /// Waits for a turn at bcrypt, to hash a new key for a request from this source.
    pub(super) async fn turn_for_new_key(
        &self,
        source: SourceAddress,
        until: DateTime<Utc>,
    ) -> Result<Turn, AuthError> {
        let position = QueuePosition { purpose: Purpose::NewKey, source, key: LookupId::default() };
        self.queue.turn(position, until).await.map_err(AuthError::KeyCheckBusy)
    }

    /// Runs bcrypt on a thread where it does not delay other requests.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce() -> Result<T, CryptoError> + Send + 'static,
    ) -> Result<T, AuthError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let counted = self.metrics.bcrypt();
        let work = move || {
            // The computation runs to completion even if the client disconnects, and keeps its turn until then.
            let _held = (turn, counted);
            work()
        };
        Ok(spawn_blocking(work).await.map_err(|_| AuthError::KeyCheckBusy(TimeDelta::zero()))??)
    }
}
