//! The slots of the allowance, of which each has one holder.

use crate::store::{DatabaseTarget, ProcessLock, StoreError};

/// The number of shares for processes with `UPSTREAM_SHARED`.
const SHARED_SLOTS: i32 = 64;

/// A slot of the allowance, and this process's lock on it.
#[derive(Debug)]
pub struct Share {
    pub(super) slot: i32,
    pub(super) lock: ProcessLock,
}

/// Acquires the lock of a share. `Ok(None)` if other processes hold all locks.
pub async fn acquire_share(database: &DatabaseTarget, shared: bool) -> Result<Option<Share>, StoreError> {
    let slots = if shared { SHARED_SLOTS } else { 1 };
    for slot in 0..slots {
        if let Some(lock) = ProcessLock::try_acquire(database, slot).await? {
            return Ok(Some(Share { slot, lock }));
        }
    }
    Ok(None)
}
