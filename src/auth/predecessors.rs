//! Keys that the TypeScript server created. A key that was seen here is found by its digest; before that, it is
//! compared with the few keys that share its prefix.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    bcrypt_queue::BcryptQueue, bcrypt_runner::BcryptRunner, error::AuthError, mutex::lock, presented::Presented,
};
use crate::{
    crypto::{self, MacKey, PresentedKey},
    domain::SharedClock,
    legacy::LegacyApiKey,
    store::{LEGACY_KEY_CANDIDATES, Store, StoredKey},
};

/// How long the existence of such keys is cached. No new ones are created, so it changes only when the last one is
/// deleted, or when a backup is restored under a running gateway.
const EXISTENCE_CACHE_TTL: TimeDelta = TimeDelta::minutes(10);

/// The state for checking keys of the TypeScript server.
pub(super) struct Predecessors {
    store: Store,
    clock: SharedClock,
    /// Makes the digests by which keys are found once they have been seen. The same in all processes.
    signer: MacKey,
    /// Whether there are such keys, and when this was queried.
    exist: Mutex<Option<(bool, DateTime<Utc>)>>,
    /// A well-formed key is easy to invent and costs several computations, so only one is compared at a time.
    queue: BcryptQueue,
}

impl Predecessors {
    pub(super) fn new(store: Store, clock: SharedClock, signer: MacKey) -> Self {
        Self { store, signer, exist: Mutex::new(None), queue: BcryptQueue::new(1, clock.clone()), clock }
    }

    /// Returns the row of a key that the TypeScript server created, and how it was recognised.
    pub(super) async fn lookup(
        &self,
        key: &LegacyApiKey,
        presented: &Presented<'_>,
        bcrypt: &BcryptRunner,
    ) -> Result<Option<(StoredKey, &'static str)>, AuthError> {
        if !self.has_predecessors().await? {
            return Ok(None);
        }
        let stored_digest = crypto::legacy_key_digest(&self.signer, key);
        if let Some(stored) = self.store.predecessor_key_by_digest(&stored_digest).await? {
            return Ok(Some((stored, "recognised")));
        }
        for previous in crypto::previous_legacy_key_digests(&self.signer, key) {
            if let Some(stored) = self.store.predecessor_key_by_digest(&previous).await? {
                self.store_digest(&stored, &stored_digest).await;
                return Ok(Some((stored, "recognised")));
            }
        }
        let candidates = self.store.legacy_keys_by_prefix(&key.prefix()).await?;
        if candidates.is_empty() || bcrypt.has_refused(&presented.digest) {
            return Ok(None);
        }
        let all = (candidates.len() as u64) < LEGACY_KEY_CANDIDATES;
        let position = bcrypt.position(presented);
        let _turn = self.queue.turn(position, presented.until).await.map_err(AuthError::KeyCheckBusy)?;
        for candidate in candidates {
            let turn = bcrypt.turn(presented).await?;
            let (offered, hash) = (PresentedKey::Legacy(key.clone()), candidate.hash.clone());
            // An unreadable hash must not exclude the keys that share its prefix.
            let verify = move || Ok(crypto::verify_api_key(&offered, &hash).map_err(|error| error.to_string()));
            match bcrypt.run(turn, verify).await? {
                Ok(true) => {
                    self.store_digest(&candidate, &stored_digest).await;
                    return Ok(Some((candidate, "verified")));
                }
                Ok(false) => {}
                Err(error) => log::error!("the stored hash of key {} is invalid: {error}", candidate.prefix),
            }
        }
        // If there may be more candidates, the key is not recorded as refused: those compared now may be found by their
        // digests next time, so that others are compared.
        if all {
            bcrypt.record_refusal(presented.digest);
        }
        Ok(None)
    }

    async fn has_predecessors(&self) -> Result<bool, AuthError> {
        let now = self.clock.now();
        if let Some((exist, asked)) = *lock(&self.exist)
            && now < asked + EXISTENCE_CACHE_TTL
        {
            return Ok(exist);
        }
        let exist = self.store.has_legacy_keys().await?;
        *lock(&self.exist) = Some((exist, now));
        Ok(exist)
    }

    /// Stores the digest of a key. If this fails, the next process repeats the work; the caller is not rejected.
    async fn store_digest(&self, key: &StoredKey, digest: &str) {
        if let Err(error) = self.store.note_key_digest(key.user, key.id, digest).await {
            log::warn!("the digest of key {} was not stored: {error}", key.prefix);
        }
    }
}
