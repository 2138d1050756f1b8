//! The handle to the shared window, and the actor behind it. The actor reserves permits in the database, runs the
//! timer, and has the lock that lets exactly one process spend a share.
//!
//! The window survives a crash, because permits are written to the database in blocks before one of them is spent. A
//! block whose permits are all spent and answered is closed with the number of its requests. A block that a dead
//! process left open counts as spent in full, 30 seconds after its successor takes over.
//!
//! A command may take permits from the same share (`command_slot`). They are counted before the next block is reserved.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard},
};

use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    blocks::{Blocks, recover_blocks},
    budget::{Account, AllowanceError, BudgetStats, ConnectingPermits, Event, PERIOD, Ticket},
    usage::Usage,
    window::{AcquireResult, SharedWindow, Window},
};
use crate::{
    domain::{SharedClock, UserId},
    metrics::Metrics,
    store::{Block, DatabaseTarget, ProcessLock, Store, StoreError},
};

const LOCK_CHECK: TimeDelta = TimeDelta::seconds(5);
const LOCK_RETRY: TimeDelta = TimeDelta::seconds(1);
/// The number of shares for processes with `UPSTREAM_SHARED`.
const SHARED_SLOTS: i32 = 64;

/// The request limit of this process, and how it acquires the right to spend it.
#[derive(Clone, Debug)]
pub struct AllowanceSettings {
    /// The database that has the lock.
    pub database: DatabaseTarget,
    /// Requests in five minutes.
    pub limit: u32,
    /// Whether processes share the allowance. If `false`, this process spends all of it, so only one process may use
    /// the database. If `true`, the operator gave each process a share, and each process takes its own slot.
    pub shared: bool,
}

/// The handle to the allowance.
#[derive(Clone)]
pub struct Allowance(Arc<Inner>);

struct Inner {
    limit: u32,
    window: SharedWindow,
    actor: Addr<AllowanceActor>,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    usage: Usage,
}

/// A requested permit. Dropping it leaves the queue.
pub(super) struct PendingPermit {
    permit: Permit,
    result: AcquireResult,
    asked: DateTime<Utc>,
}

impl PendingPermit {
    /// Waits for the decision.
    pub(super) async fn decision(self) -> Result<Permit, AllowanceError> {
        let Self { mut permit, result, asked } = self;
        let (verdict, waited) = match result {
            AcquireResult::Decided(verdict) => (verdict, TimeDelta::zero()),
            AcquireResult::Pending(answer) => {
                (answer.await.unwrap_or(Err(AllowanceError::Standby)), permit.inner.clock.now() - asked)
            }
        };
        let label = verdict.as_ref().map_or_else(AllowanceError::metric_label, |()| "granted");
        permit.inner.metrics.allowance_asked(label, waited);
        // A refused permit occupies nothing.
        permit.settled = verdict.is_err();
        verdict.map(|()| permit)
    }
}

/// The right to send one request. It counts as spent after [`Permit::sending`] was called, whatever happens then.
pub struct Permit {
    inner: Arc<Inner>,
    ticket: Ticket,
    /// The user that the request is recorded for.
    user: UserId,
    sent: bool,
    settled: bool,
}

impl Permit {
    /// Sets the user, if it was not known before.
    pub(super) fn set_user(&mut self, user: UserId) {
        self.user = user;
    }

    /// Marks the permit as spent. Call it right before the request is sent.
    pub fn sending(&mut self) {
        if !self.sent {
            self.sent = true;
            self.inner.usage.sent(self.user, self.inner.clock.now());
        }
    }

    /// Reports that the response was 429.
    pub fn throttled(mut self, retry_after: Option<TimeDelta>) {
        self.settled = true;
        let at = self.inner.clock.now();
        self.inner.handle_event(at, Event::Throttled { ticket: self.ticket, at, retry_after });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            let (ticket, at) = (self.ticket, self.inner.clock.now());
            self.inner.handle_event(at, if self.sent { Event::Done { ticket, at } } else { Event::Cancel(ticket) });
        }
    }
}

impl Inner {
    fn handle_event(&self, now: DateTime<Utc>, event: Event) {
        let mut window = self.window.lock();
        window.handle(now, event);
        self.notify_actor(window);
    }

    /// Wakes the actor if there is work for it.
    fn notify_actor(&self, window: MutexGuard<'_, Window>) {
        let needs_wake = window.needs_wake();
        drop(window);
        if needs_wake {
            self.actor.do_send(Wake);
        }
    }
}

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
        let actor = AllowanceActor::start_in_arbiter(arbiter, move |_| AllowanceActor {
            window: window_of_actor,
            settings,
            store,
            clock: clock_of_actor,
            lease: None,
            initial_share: share,
            ready: false,
            ready_waiters: Vec::new(),
            acquire_failed: false,
            counted_blocks: BTreeSet::new(),
            timer: None,
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
        PendingPermit {
            permit: Permit { inner: inner.clone(), ticket, user, sent: false, settled: false },
            result,
            asked,
        }
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

/// Statistics for operators and tests.
#[derive(Clone, Copy, Debug)]
pub struct AllowanceStats {
    /// The statistics of the window.
    pub budget: BudgetStats,
    /// Whether this process has the right to spend.
    pub active: bool,
}

/// A slot of the allowance, and this process's lock on it.
#[derive(Debug)]
pub struct Share {
    slot: i32,
    lock: ProcessLock,
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

/// Wakes the actor: the window has work for it, or its timer is set too late.
struct Wake;

impl Message for Wake {
    type Result = ();
}

struct Observe;

impl Message for Observe {
    type Result = AllowanceStats;
}

struct Ready;

impl Message for Ready {
    type Result = ();
}

struct Close;

impl Message for Close {
    type Result = ();
}

/// The actor of the allowance. One per process.
struct AllowanceActor {
    window: SharedWindow,
    settings: AllowanceSettings,
    store: Store,
    clock: SharedClock,
    lease: Option<SlotLease>,
    initial_share: Option<Share>,
    /// Whether the first search for the right to spend has ended, with or without success.
    ready: bool,
    ready_waiters: Vec<oneshot::Sender<()>>,
    /// Whether the last search failed. The next one follows a second later, and the failure is logged once.
    acquire_failed: bool,
    /// Blocks in the window that others took: commands, or earlier holders of the slot.
    counted_blocks: BTreeSet<Uuid>,
    timer: Option<(DateTime<Utc>, SpawnHandle)>,
}

/// The right to spend: a slot, and the epoch that fences off its previous holders.
#[derive(Clone)]
struct SlotLease {
    slot: i32,
    epoch: i64,
    lock: Arc<ProcessLock>,
}

/// The state that is loaded with the right to spend.
struct AcquiredLease {
    lease: SlotLease,
    /// The requests that earlier holders and commands may have sent, and when their slots become free.
    spent: Vec<(u32, DateTime<Utc>)>,
    /// The blocks of these requests.
    blocks: BTreeSet<Uuid>,
    accounts: u64,
}

impl Actor for AllowanceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.acquire_lease(ctx);
    }
}

impl Handler<Wake> for AllowanceActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.process_window(ctx);
    }
}

impl Handler<Observe> for AllowanceActor {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, ctx: &mut Self::Context) -> Self::Result {
        self.event(Event::Tick, ctx);
        MessageResult(AllowanceStats { budget: self.window.lock().budget.stats(), active: self.lease.is_some() })
    }
}

impl Handler<Ready> for AllowanceActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Ready, _: &mut Self::Context) -> Self::Result {
        if self.ready {
            return Box::pin(std::future::ready(()));
        }
        let (done, ready) = oneshot::channel();
        self.ready_waiters.push(done);
        Box::pin(async move {
            let _ = ready.await;
        })
    }
}

impl Handler<Close> for AllowanceActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) -> Self::Result {
        let lease = self.lease.take();
        let closed = self.close(|blocks, now| blocks.close_all(now), ctx);
        let store = self.store.clone();
        Box::pin(async move {
            let Some(lease) = lease else { return };
            if let Err(error) = store.close_blocks(lease.slot, &closed).await {
                log::warn!("cannot release the reserved requests; they count as sent: {error}");
            }
        })
    }
}

impl AllowanceActor {
    fn event(&mut self, event: Event, ctx: &mut Context<Self>) {
        self.window.lock().handle(self.clock.now(), event);
        self.process_window(ctx);
    }

    /// Stops spending, and settles the blocks before another permit can be taken from them.
    fn close<T>(&mut self, settle: impl FnOnce(&mut Blocks, DateTime<Utc>) -> T, ctx: &mut Context<Self>) -> T {
        let now = self.clock.now();
        let settled = {
            let mut window = self.window.lock();
            let settled = settle(&mut window.blocks, now);
            window.handle(now, Event::Active(false));
            settled
        };
        self.process_window(ctx);
        settled
    }

    /// Performs the window's requests, and sets the timer.
    fn process_window(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.window.lock().wanted.take();
        if let Some(permits) = wanted {
            self.reserve_permits(permits, ctx);
        }
        self.set_timer(ctx);
    }

    fn reserve_permits(&mut self, permits: u32, ctx: &mut Context<Self>) {
        let Some(lease) = self.lease.clone() else {
            return;
        };
        let now = self.clock.now();
        let store = self.store.clone();
        let closed = self.window.lock().blocks.take_closed();
        let (unwritten, epoch) = (closed.clone(), lease.epoch);
        let block = Uuid::now_v7();
        let reserve = async move {
            if !closed.is_empty() {
                store.close_blocks(lease.slot, &closed).await?;
                store.forget_blocks(lease.slot, now - PERIOD).await?;
            }
            let commands = store.command_blocks(lease.slot).await?;
            Ok((commands, store.reserve_block(lease.slot, lease.epoch, block, permits, now).await?))
        };
        let reserved = reserve.into_actor(self).map(move |outcome: Result<_, StoreError>, actor, ctx| match outcome {
            // The reservation came too late: the current holder of the slot, even if it is this process, counts the
            // block as spent.
            _ if actor.lease.as_ref().is_none_or(|lease| lease.epoch != epoch) => {}
            Ok((commands, true)) => {
                actor.window.lock().blocks.open(block, permits);
                actor.count_commands(&commands);
                actor.event(Event::Stocked(permits), ctx);
            }
            Ok((_, false)) => actor.lose_lease(ctx),
            Err(error) => {
                log::error!("cannot reserve requests to OwnerRez in the database: {error}");
                actor.window.lock().blocks.put_back(unwritten);
                actor.event(Event::StockFailed, ctx);
            }
        });
        ctx.spawn(reserved);
    }

    /// Counts the requests that commands have sent since the last time. A command leaves more of the window free than
    /// one block takes, so it is early enough to count them when a block is reserved.
    fn count_commands(&mut self, blocks: &[Block]) {
        let now = self.clock.now();
        let new: Vec<Block> = blocks.iter().filter(|block| !self.counted_blocks.contains(&block.id)).cloned().collect();
        self.counted_blocks = blocks.iter().map(|block| block.id).collect();
        let (spent, _) = recover_blocks(&new, now);
        let mut window = self.window.lock();
        for (requests, free_at) in spent {
            window.handle(now, Event::SentByCommand { requests, free_at });
        }
    }

    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let wake_at = {
            let mut window = self.window.lock();
            window.alarm = window.budget.wake_at();
            window.alarm
        };
        if self.timer.as_ref().map(|(at, _)| *at) == wake_at {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        if let Some(at) = wake_at {
            let sleep = self.clock.sleep_until(at).into_actor(self).map(|(), actor, ctx| {
                actor.timer = None;
                actor.event(Event::Tick, ctx);
            });
            self.timer = Some((at, ctx.spawn(sleep)));
        }
    }

    /// Acquires the lock and loads the blocks of the last holder, or tries again in a second.
    fn acquire_lease(&mut self, ctx: &mut Context<Self>) {
        let share = self.initial_share.take();
        let (store, clock, settings) = (self.store.clone(), self.clock.clone(), self.settings.clone());
        let seek = async move {
            let Share { slot, lock } = match share {
                Some(share) => share,
                None => match acquire_share(&settings.database, settings.shared).await? {
                    Some(share) => share,
                    None => return Ok(None),
                },
            };
            let epoch = store.claim_slot(slot).await?;
            let now = clock.now();
            let left = store.blocks(slot).await?;
            let (spent, abandoned) = recover_blocks(&left, now);
            // Closed from now on, so that a second crash does not count them again.
            store.close_blocks(slot, &abandoned).await?;
            let accounts = store.connected_accounts().await?;
            let blocks = left.iter().map(|block| block.id).collect();
            Ok(Some(AcquiredLease { lease: SlotLease { slot, epoch, lock: Arc::new(lock) }, spent, blocks, accounts }))
        };
        let outcome = seek.into_actor(self).map(|outcome: Result<_, StoreError>, actor, ctx| {
            actor.ready = true;
            for waiting in actor.ready_waiters.drain(..) {
                let _ = waiting.send(());
            }
            actor.lease_acquired(outcome, ctx);
        });
        ctx.spawn(outcome);
    }

    fn lease_acquired(&mut self, outcome: Result<Option<AcquiredLease>, StoreError>, ctx: &mut Context<Self>) {
        match outcome {
            Ok(Some(AcquiredLease { lease, spent, blocks, accounts })) => {
                self.acquire_failed = false;
                self.window.lock().budget.carry_over(spent);
                self.counted_blocks = blocks;
                log::info!("acquired the rate-limit lock (share {}); this process is active", lease.slot);
                self.lease = Some(lease);
                self.event(Event::Accounts(accounts), ctx);
                self.event(Event::Active(true), ctx);
                self.watch_lock(ctx);
            }
            Ok(None) => {
                self.acquire_failed = false;
                self.retry_lease(ctx);
            }
            Err(error) => {
                if !self.acquire_failed {
                    log::warn!("cannot acquire the rate-limit lock: {error}");
                }
                self.acquire_failed = true;
                self.retry_lease(ctx);
            }
        }
    }

    fn retry_lease(&mut self, ctx: &mut Context<Self>) {
        let wait = self.clock.sleep_until(self.clock.now() + LOCK_RETRY);
        ctx.spawn(wait.into_actor(self).map(|(), actor, ctx| actor.acquire_lease(ctx)));
    }

    fn watch_lock(&mut self, ctx: &mut Context<Self>) {
        let Some(lock) = self.lease.as_ref().map(|lease| lease.lock.clone()) else {
            return;
        };
        let wait = self.clock.sleep_until(self.clock.now() + LOCK_CHECK);
        let check = async move {
            wait.await;
            lock.is_held().await
        };
        ctx.spawn(check.into_actor(self).map(|held, actor, ctx| match (held, actor.lease.is_some()) {
            (true, true) => actor.watch_lock(ctx),
            (false, true) => actor.lose_lease(ctx),
            (_, false) => {}
        }));
    }

    fn lose_lease(&mut self, ctx: &mut Context<Self>) {
        if self.lease.take().is_some() {
            log::warn!("lost the rate-limit lock; going to standby");
            // They stay open in the database, so the next holder counts them as spent.
            self.close(|blocks, _| *blocks = Blocks::default(), ctx);
            self.retry_lease(ctx);
        }
    }
}
