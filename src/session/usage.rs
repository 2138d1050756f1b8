//! Counts requests per user in memory and writes the counts to the database periodically, because a write per request
//! would be too expensive. A process that is killed loses the unwritten counts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::{
    allowance::PERIOD,
    domain::UserId,
    store::{Store, StoreError, Used},
};

/// How long the counts are kept. They are few: each span has at most as many as requests are allowed.
const KEPT_FOR: TimeDelta = TimeDelta::days(2);

/// The counts of one process.
#[derive(Debug, Default)]
pub(super) struct Usage {
    unwritten: Mutex<BTreeMap<(UserId, DateTime<Utc>), u32>>,
}

impl Usage {
    /// Counts one request of this user.
    pub(super) fn sent(&self, user: UserId, now: DateTime<Utc>) {
        *self.lock().entry((user, span_of(now))).or_default() += 1;
    }

    /// Writes the unwritten counts. After an error they are kept for the next attempt.
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

    /// Ignores poisoning: a panic under this lock leaves no partial update.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(UserId, DateTime<Utc>), u32>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the start of the span that contains this moment. Requests are summed over spans as long as OwnerRez's
/// window.
pub(super) fn span_of(now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(PERIOD).unwrap_or(now)
}
