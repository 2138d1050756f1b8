//! Locks for keys that are being checked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::mutex::lock;

/// One lock per key that is being checked, so that concurrent requests with one key run one computation.
#[derive(Default)]
pub(super) struct KeyLocks(Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>);

/// A request's share in the check of one key. The last one that is dropped removes the lock, also if a client
/// disconnects.
pub(super) struct KeyLock<'a> {
    all: &'a KeyLocks,
    digest: [u8; 32],
    pub(super) lock: Arc<tokio::sync::Mutex<()>>,
}

impl KeyLocks {
    /// Returns this request's share in the check of the key with this digest.
    pub(super) fn of(&self, digest: [u8; 32]) -> KeyLock<'_> {
        let lock = lock(&self.0).entry(digest).or_default().clone();
        KeyLock { all: self, digest, lock }
    }
}

impl Drop for KeyLock<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.all.0);
        // At this count only the map and this value refer to the lock.
        if Arc::strong_count(&self.lock) <= 2 {
            all.remove(&self.digest);
        }
    }
}
