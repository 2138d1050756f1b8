//! What a process knows about changes of keys, grants and users.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// How long a proof of listening is valid if the connection fails silently. If the connection ends, validity ends at
/// once (`TrustGuard`).
const TRUST_PERIOD: TimeDelta = TimeDelta::seconds(10);

/// The state of a process about changes. Part of the store, because the store records the changes of this process
/// itself.
#[derive(Debug, Default)]
pub(super) struct ChangeCounter {
    changes: AtomicU64,
    /// Milliseconds of Unix time.
    trusted_until: AtomicI64,
}

/// The number of changes known at some moment: data that was read from the database afterwards is at least as new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Generation(u64);

impl ChangeCounter {
    /// Invalidates everything that was read before.
    pub(super) fn increment(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the current state.
    pub(super) fn generation(&self) -> Generation {
        Generation(self.changes.load(Ordering::Acquire))
    }

    /// Marks that changes are received at this moment.
    pub(super) fn trust_from(&self, at: DateTime<Utc>) {
        self.trusted_until.fetch_max((at + TRUST_PERIOD).timestamp_millis(), Ordering::AcqRel);
    }

    /// Marks that changes may be missed from now on.
    pub(super) fn end_trust(&self) {
        self.trusted_until.store(i64::MIN, Ordering::Release);
    }

    /// Returns until when changes are known, in milliseconds of Unix time.
    pub(super) fn trusted_until(&self) -> i64 {
        self.trusted_until.load(Ordering::Acquire)
    }
}
