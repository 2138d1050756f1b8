//! The handle to the shared window, and the actor behind it. The actor reserves permits in the database, runs the
//! timer, and has the lock that lets exactly one process spend a share.
//!
//! The window survives a crash, because permits are written to the database in blocks before one of them is spent. A
//! block whose permits are all spent and answered is closed with the number of its requests. A block that a dead
//! process left open counts as spent in full, 30 seconds after its successor takes over.
//!
//! A command may take permits from the same share (`command_slot`). They are counted before the next block is reserved.

mod actor;
mod inner;
mod lease;
mod messages;
mod permit;
mod settings;
mod share;
mod stats;

use std::sync::Arc;

use actix::prelude::*;
use chrono::{DateTime, Utc};

pub(super) use self::permit::{PendingPermit, Permit};
use self::{
    actor::AllowanceActor,
    inner::Inner,
    messages::{Close, Observe, Ready},
};
pub use self::{
    settings::AllowanceSettings,
    share::{Share, acquire_share},
    stats::AllowanceStats,
};
use super::usage::Usage;
use crate::{
    allowance::{Account, AllowanceError, ConnectingPermits, Event, SharedWindow},
    domain::{SharedClock, UserId},
    metrics::Metrics,
    store::Store,
};

/// The handle to the allowance.
#[derive(Clone)]
pub struct Allowance(Arc<Inner>);

impl Allowance {
    /// Starts the actor on `arbiter`. With a `share` it may spend at once; without one it waits on standby.
    pub fn start(
        arbiter: &ArbiterHandle,
        settings: AllowanceSettings,
        store: Store,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        share: Option<Share>,
    ) -> Self {
        let limit = settings.limit;
        let window = SharedWindow::new(limit, clock.now());
        let (window_of_actor, clock_of_actor) = (window.clone(), clock.clone());
        let actor = AllowanceActor::start_in_arbiter(arbiter, move |_| {
            AllowanceActor::new(window_of_actor, settings, store, clock_of_actor, share)
        });
        Self(Arc::new(Inner { limit, window, actor, clock, metrics, usage: Usage::default() }))
    }

    /// Waits for the right to send one request for a user, counted for `account`. Dropping the future leaves the queue.
    pub async fn acquire(
        &self,
        user: UserId,
        account: Account,
        deadline: DateTime<Utc>,
    ) -> Result<Permit, AllowanceError> {
        self.request(user, account, deadline).decision().await
    }

    /// Enqueues the same request at once; [`PendingPermit::decision`] waits for the decision.
    pub(super) fn request(&self, user: UserId, account: Account, deadline: DateTime<Utc>) -> PendingPermit {
        let inner = &self.0;
        let asked = inner.clock.now();
        let mut window = inner.window.lock();
        let ticket = window.ticket();
        let result = window.acquire(asked, ticket, account, deadline);
        inner.notify_actor(window);
        // From here on, dropping the value returns the permit, granted or not.
        PendingPermit { permit: Permit::new(inner.clone(), ticket, user), result, asked }
    }

    /// Returns the number of requests within five minutes.
    pub(super) fn limit(&self) -> u32 {
        self.0.limit
    }

    /// Returns the permits for connecting at this moment.
    pub(super) fn permits_for_connecting(&self) -> ConnectingPermits {
        let mut window = self.0.window.lock();
        window.handle(self.0.clock.now(), Event::Tick);
        let permits = window.budget.permits_for_connecting();
        self.0.notify_actor(window);
        permits
    }

    /// Returns the permits for connecting from now on, if no other account takes any; `None` on standby.
    pub(super) fn forecast_for_connecting(&self) -> Option<Vec<(DateTime<Utc>, ConnectingPermits)>> {
        self.0.window.lock().budget.forecast_for_connecting()
    }

    /// Writes the number of requests per user since the last time.
    pub async fn write_usage(&self, store: &Store) {
        if let Err(error) = self.0.usage.write(store, self.0.clock.now()).await {
            log::warn!("cannot record the requests per user yet: {error}");
        }
    }

    /// Sets the number of connected OwnerRez accounts.
    pub fn accounts_changed(&self, accounts: u64) {
        self.0.handle_event(self.0.clock.now(), Event::Accounts(accounts));
    }

    /// Returns current statistics; `None` once the actor is gone.
    pub async fn observe(&self) -> Option<AllowanceStats> {
        self.0.actor.send(Observe).await.ok()
    }

    /// Completes once the first search for the right to spend has ended. A gateway that serves requests before that
    /// would reject them needlessly.
    pub async fn ready(&self) {
        let _ = self.0.actor.send(Ready).await;
    }

    /// Closes the open blocks, so that a successor does not count them as spent.
    pub async fn close(&self) {
        let _ = self.0.actor.send(Close).await;
    }
}
