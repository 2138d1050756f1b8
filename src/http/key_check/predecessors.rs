//! Keys that the TypeScript server made: found by their digest once they were seen here, before that among the few that
//! share a prefix.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

use super::{ApiError, BcryptQueue, Inner, Place, Presented, Purpose, lock};
use crate::{
    crypto::{self, PredecessorKey, PresentedKey, Signer},
    domain::SharedClock,
    store::{PREDECESSOR_CANDIDATES, StoredKey},
};

/// For how long it stays known whether there are keys of the predecessor's. No new ones appear, so this is only about the
/// last one going, and about a backup that is put in place under a running gateway.
const KNOWN_FOR: TimeDelta = TimeDelta::minutes(10);

/// What the check knows of the predecessor's keys.
pub(super) struct Predecessors {
    /// Makes the digests by which they are found once they have been seen; the same in all processes.
    signer: Signer,
    /// Whether there are any, and when that was asked.
    exist: Mutex<Option<(bool, DateTime<Utc>)>>,
    /// A well-formed one is easy to invent and costs several computations, so only one is compared at a time.
    queue: BcryptQueue,
}

impl Predecessors {
    pub(super) fn new(signer: Signer, clock: SharedClock) -> Self {
        Self { signer, exist: Mutex::new(None), queue: BcryptQueue::new(1, clock) }
    }
}

impl Inner {
    /// The row of a key that the predecessor made, and what recognised the key.
    pub(super) async fn of_predecessor(
        &self,
        key: &PredecessorKey,
        presented: &Presented<'_>,
    ) -> Result<Option<(StoredKey, &'static str)>, ApiError> {
        if !self.has_predecessors().await? {
            return Ok(None);
        }
        let signer = &self.predecessors.signer;
        let stored_digest = key.digest(signer);
        if let Some(stored) = self.store.predecessor_key_by_digest(&stored_digest).await? {
            return Ok(Some((stored, "recognised")));
        }
        for previous in key.previous_digests(signer) {
            if let Some(stored) = self.store.predecessor_key_by_digest(&previous).await? {
                self.store_digest(&stored, &stored_digest).await;
                return Ok(Some((stored, "recognised")));
            }
        }
        let candidates = self.store.predecessor_keys_by_prefix(&key.prefix()).await?;
        if candidates.is_empty() || lock(&self.refused).get(&presented.digest).is_some() {
            return Ok(None);
        }
        let all = (candidates.len() as u64) < PREDECESSOR_CANDIDATES;
        let failed = self.failures.has_failed(presented.source, self.clock.now());
        let purpose = if failed { Purpose::CheckAfterFailure } else { Purpose::Check };
        let place = Place { purpose, source: presented.source, key: presented.lookup_id };
        let _alone = self.predecessors.queue.turn(place, presented.until).await.map_err(ApiError::KeyCheckBusy)?;
        for candidate in candidates {
            let turn = self.turn(presented).await?;
            let (offered, hash) = (PresentedKey::Predecessor(key.clone()), candidate.hash.clone());
            // A hash that cannot be read must not keep out the keys that share its prefix.
            let verify = move || Ok(crypto::verify_api_key(&offered, &hash).map_err(|error| error.to_string()));
            match self.slow(turn, verify).await? {
                Ok(true) => {
                    self.store_digest(&candidate, &stored_digest).await;
                    return Ok(Some((candidate, "verified")));
                }
                Ok(false) => {}
                Err(error) => log::error!("the stored hash of key {} is of no use: {error}", candidate.prefix),
            }
        }
        // Where there are more, those that were compared now may be found by their digests next time, and make room.
        if all {
            lock(&self.refused).put(presented.digest, ());
        }
        Ok(None)
    }

    async fn has_predecessors(&self) -> Result<bool, ApiError> {
        let now = self.clock.now();
        if let Some((exist, asked)) = *lock(&self.predecessors.exist)
            && now < asked + KNOWN_FOR
        {
            return Ok(exist);
        }
        let exist = self.store.has_predecessor_keys().await?;
        *lock(&self.predecessors.exist) = Some((exist, now));
        Ok(exist)
    }

    /// Without the digest the next process does the same work again, which is no reason to refuse the caller.
    async fn store_digest(&self, key: &StoredKey, digest: &str) {
        if let Err(error) = self.store.note_key_digest(key.user, key.id, digest).await {
            log::warn!("the digest of key {} was not stored: {error}", key.prefix);
        }
    }
}
