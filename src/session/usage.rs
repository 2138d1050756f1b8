//! Who sent how many requests, counted in memory and written to the database in one go now and then: a write per
//! request would cost more than the figure is worth. A process that is killed loses what it had not written.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::budget::PERIOD;
use crate::{
    domain::UserId,
    store::{Store, StoreError, Used},
};

/// How long the sums are kept. They are few: in each span there are at most as many as requests are allowed.
const KEPT_FOR: TimeDelta = TimeDelta::days(2);

/// The count of one process.
#[derive(Debug, Default)]
pub(super) struct Usage {
    unwritten: Mutex<BTreeMap<(UserId, DateTime<Utc>), u32>>,
}

impl Usage {
    /// One request of this user leaves.
    pub(super) fn sent(&self, user: UserId, now: DateTime<Utc>) {
        *self.lock().entry((user, span_of(now))).or_default() += 1;
    }

    /// Writes down what is not written yet. After a failure the next attempt has it all.
    pub(super) async fn write(&self, store: &Store, now: DateTime<Utc>) -> Result<(), StoreError> {
        let counted = std::mem::take(&mut *self.lock());
        // In the order of their keys, which is the same in every process.
        let used: Vec<Used> =
            counted.into_iter().map(|((user, since), requests)| Used { user, since, requests }).collect();
        if let Err(error) = store.add_use(&used).await {
            let mut unwritten = self.lock();
            for Used { user, since, requests } in used {
                *unwritten.entry((user, since)).or_default() += requests;
            }
            return Err(error);
        }
        store.forget_use(now - KEPT_FOR).await.map(drop)
    }

    /// A thread that panicked here left nothing half-done.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(UserId, DateTime<Utc>), u32>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests are summed up over spans as long as OwnerRez's window; this is when the one of this moment began.
pub(super) fn span_of(now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(PERIOD).unwrap_or(now)
}
