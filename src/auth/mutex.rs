//! Locking without poisoning.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Ignores poisoning: a panic while such a lock is held leaves no inconsistent state that matters.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
