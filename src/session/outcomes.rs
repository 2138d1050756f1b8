//! Outcomes of writes on the way to their records. While the database is unavailable, an outcome is kept in memory and
//! stored as soon as possible. A record without an outcome reads as unknown, although the caller was informed that the
//! write was made.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    domain::{SharedClock, UserId},
    store::{SettledWrite, Store, StoreError},
};

/// The pause between two attempts.
const RETRY: TimeDelta = TimeDelta::seconds(1);

/// The outcome of a recorded write.
#[derive(Clone, Debug)]
pub enum WriteOutcome {
    /// It was made, or may have been made.
    Settled(SettledWrite),
    /// It was not made: nothing was sent, or OwnerRez rejected it. Its record is deleted.
    NotMade,
}

#[derive(Clone, Debug)]
struct Outcome {
    user: UserId,
    write: Uuid,
    outcome: WriteOutcome,
    /// When it became known.
    at: DateTime<Utc>,
}

/// The outcomes of one process. Their number is bounded by the writes that were in progress when the database became
/// unavailable.
pub(super) struct WriteOutcomes {
    store: Store,
    clock: SharedClock,
    kept: Mutex<Vec<Outcome>>,
    /// Whether a retry task is running.
    trying: AtomicBool,
    /// The writes whose outcome is not known yet.
    under_way: TaskTracker,
}

impl WriteOutcomes {
    pub(super) fn new(store: Store, clock: SharedClock) -> Arc<Self> {
        let (kept, trying, under_way) = Default::default();
        Arc::new(Self { store, clock, kept, trying, under_way })
    }

    /// Runs a write in a separate task, which records the outcome at its end even if the caller is dropped.
    pub(super) async fn run<T: Send + 'static>(&self, write: impl Future<Output = T> + Send + 'static) -> Option<T> {
        tokio::spawn(self.under_way.track_future(write)).await.ok()
    }

    /// Stores an outcome now, or as soon as the database is available.
    pub(super) async fn record(self: &Arc<Self>, user: UserId, write: Uuid, outcome: WriteOutcome) {
        let outcome = Outcome { user, write, outcome, at: self.clock.now() };
        if self.try_to_store(&outcome).await {
            return;
        }
        log::warn!("keeping the outcome of a write of user {user} until the database is available");
        self.lock().push(outcome);
        if !self.trying.swap(true, Ordering::AcqRel) {
            let outcomes = self.clone();
            tokio::spawn(async move { outcomes.store_until_none_is_left().await });
        }
    }

    /// Tries once to store the pending outcomes of a user's writes, so that the next write of that user finds them.
    pub(super) async fn store_those_of(&self, user: UserId) {
        if self.lock().iter().any(|kept| kept.user == user) {
            self.store_all(|kept| kept.user == user).await;
        }
    }

    /// Waits until the writes in progress have ended and their outcomes are stored. The caller limits the wait.
    pub(super) async fn drain(&self) {
        self.under_way.close();
        self.under_way.wait().await;
        while !self.store_all(|_| true).await {
            self.clock.sleep_until(self.clock.now() + RETRY).await;
        }
    }

    /// Returns the number of outcomes that are not stored yet.
    pub(super) fn left(&self) -> usize {
        self.lock().len()
    }

    async fn store_until_none_is_left(&self) {
        loop {
            self.clock.sleep_until(self.clock.now() + RETRY).await;
            if self.store_all(|_| true).await {
                self.trying.store(false, Ordering::Release);
                // An outcome that was added between the two steps assumed that this task was still running.
                if self.left() == 0 || self.trying.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        }
    }

    /// Tries once to store these outcomes. Returns whether all of them are stored.
    async fn store_all(&self, which: impl Fn(&Outcome) -> bool) -> bool {
        let due: Vec<Outcome> = self.lock().iter().filter(|kept| which(kept)).cloned().collect();
        for outcome in due {
            // It stays in the list until it is stored, because this future may be dropped.
            if !self.try_to_store(&outcome).await {
                return false;
            }
            self.lock().retain(|kept| kept.write != outcome.write);
        }
        true
    }

    /// Returns `false` if the database is unavailable. A statement that is repeated although it took effect finds
    /// nothing to change.
    async fn try_to_store(&self, outcome: &Outcome) -> bool {
        let Outcome { user, write, outcome, at } = outcome;
        let stored = match outcome {
            WriteOutcome::Settled(settled) => self.store.settle_write(*user, *write, settled.clone(), *at).await,
            WriteOutcome::NotMade => self.store.forget_write(*user, *write).await,
        };
        match stored {
            Ok(_) => true,
            Err(StoreError::Unavailable(_)) => false,
            Err(error) => {
                log::error!("cannot record the outcome of a write of user {user}: {error}");
                true
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Outcome>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
