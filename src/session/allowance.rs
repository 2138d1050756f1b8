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
    blocks::{Blocks, left_behind},
    budget::{Account, BudgetStats, ConnectingPermits, Event, PERIOD, Refusal, Ticket},
    usage::Usage,
    window::{SharedWindow, Window, Wish},
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
pub struct Allowance(Arc<Way>);

struct Way {
    limit: u32,
    window: SharedWindow,
    actor: Addr<UpstreamBudget>,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    usage: Usage,
}

/// A requested permit. Dropping it leaves the queue.
pub(super) struct Requested {
    permit: Permit,
    wish: Wish,
    asked: DateTime<Utc>,
}

impl Requested {
    /// Waits for the decision.
    pub(super) async fn decided(self) -> Result<Permit, Refusal> {
        let Self { mut permit, wish, asked } = self;
        let (verdict, waited) = match wish {
            Wish::Decided(verdict) => (verdict, TimeDelta::zero()),
            Wish::Waits(answer) => (answer.await.unwrap_or(Err(Refusal::Standby)), permit.way.clock.now() - asked),
        };
        let word = verdict.as_ref().map_or_else(Refusal::word, |()| "granted");
        permit.way.metrics.allowance_asked(word, waited);
        // A refused permit occupies nothing.
        permit.settled = verdict.is_err();
        verdict.map(|()| permit)
    }
}

/// The right to send one request. It counts as spent after [`Permit::sending`] was called, whatever happens then.
pub struct Permit {
    way: Arc<Way>,
    ticket: Ticket,
    /// The user that the request is recorded for.
    user: UserId,
    sent: bool,
    settled: bool,
}

impl Permit {
    /// Sets the user, if it was not known before.
    pub(super) fn in_name_of(&mut self, user: UserId) {
        self.user = user;
    }

    /// Marks the permit as spent. Call it right before the request is sent.
    pub fn sending(&mut self) {
        if !self.sent {
            self.sent = true;
            self.way.usage.sent(self.user, self.way.clock.now());
        }
    }

    /// Reports that the response was 429.
    pub fn throttled(mut self, retry_after: Option<TimeDelta>) {
        self.settled = true;
        let at = self.way.clock.now();
        self.way.tell(at, Event::Throttled { ticket: self.ticket, at, retry_after });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            let (ticket, at) = (self.ticket, self.way.clock.now());
            self.way.tell(at, if self.sent { Event::Done { ticket, at } } else { Event::Cancel(ticket) });
        }
    }
}

impl Way {
    fn tell(&self, now: DateTime<Utc>, event: Event) {
        let mut window = self.window.lock();
        window.handle(now, event);
        self.see_to(window);
    }

    /// Wakes the actor if there is work for it.
    fn see_to(&self, window: MutexGuard<'_, Window>) {
        let needs_a_look = window.needs_a_look();
        drop(window);
        if needs_a_look {
            self.actor.do_send(Look);
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
        let (its_window, its_clock) = (window.clone(), clock.clone());
        let actor = UpstreamBudget::start_in_arbiter(arbiter, move |_| UpstreamBudget {
            window: its_window,
            settings,
            store,
            clock: its_clock,
            tenure: None,
            found: share,
            sought: false,
            when_sought: Vec::new(),
            away: false,
            counted: BTreeSet::new(),
            timer: None,
        });
        Self(Arc::new(Way { limit, window, actor, clock, metrics, usage: Usage::default() }))
    }

    /// Waits for the right to send one request for a user, counted for `account`. Dropping the future leaves the queue.
    pub async fn acquire(&self, user: UserId, account: Account, deadline: DateTime<Utc>) -> Result<Permit, Refusal> {
        self.request(user, account, deadline).decided().await
    }

    /// Enqueues the same request at once; [`Requested::decided`] waits for the decision.
    pub(super) fn request(&self, user: UserId, account: Account, deadline: DateTime<Utc>) -> Requested {
        let way = &self.0;
        let asked = way.clock.now();
        let mut window = way.window.lock();
        let ticket = window.ticket();
        let wish = window.wish(asked, ticket, account, deadline);
        way.see_to(window);
        // From here on, dropping the value returns the permit, granted or not.
        Requested { permit: Permit { way: way.clone(), ticket, user, sent: false, settled: false }, wish, asked }
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
        self.0.see_to(window);
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
        self.0.tell(self.0.clock.now(), Event::Accounts(accounts));
    }

    /// Returns current statistics; `None` once the actor is gone.
    pub async fn observe(&self) -> Option<AllowanceStats> {
        self.0.actor.send(Observe).await.ok()
    }

    /// Completes once the first search for the right to spend has ended. A gateway that serves requests before that
    /// would reject them needlessly.
    pub async fn sought(&self) {
        let _ = self.0.actor.send(Sought).await;
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
pub async fn take_lock(database: &DatabaseTarget, shared: bool) -> Result<Option<Share>, StoreError> {
    let slots = if shared { SHARED_SLOTS } else { 1 };
    for slot in 0..slots {
        if let Some(lock) = ProcessLock::try_acquire(database, slot).await? {
            return Ok(Some(Share { slot, lock }));
        }
    }
    Ok(None)
}

/// Wakes the actor: the window has work for it, or its timer is set too late.
struct Look;

impl Message for Look {
    type Result = ();
}

struct Observe;

impl Message for Observe {
    type Result = AllowanceStats;
}

struct Sought;

impl Message for Sought {
    type Result = ();
}

struct Close;

impl Message for Close {
    type Result = ();
}

/// The actor of the allowance. One per process.
struct UpstreamBudget {
    window: SharedWindow,
    settings: AllowanceSettings,
    store: Store,
    clock: SharedClock,
    tenure: Option<Tenure>,
    found: Option<Share>,
    /// Whether the first search for the right to spend has ended, with or without success.
    sought: bool,
    when_sought: Vec<oneshot::Sender<()>>,
    /// Whether the last search failed. The next one follows a second later, and the failure is logged once.
    away: bool,
    /// Blocks in the window that others took: commands, or earlier holders of the slot.
    counted: BTreeSet<Uuid>,
    timer: Option<(DateTime<Utc>, SpawnHandle)>,
}

/// The right to spend: a slot, and the epoch that fences off its previous holders.
#[derive(Clone)]
struct Tenure {
    slot: i32,
    epoch: i64,
    lock: Arc<ProcessLock>,
}

/// The state that is loaded with the right to spend.
struct Found {
    tenure: Tenure,
    /// The requests that earlier holders and commands may have sent, and when their slots become free.
    spent: Vec<(u32, DateTime<Utc>)>,
    /// The blocks of these requests.
    blocks: BTreeSet<Uuid>,
    accounts: u64,
}

impl Actor for UpstreamBudget {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.seek_tenure(ctx);
    }
}

impl Handler<Look> for UpstreamBudget {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<Observe> for UpstreamBudget {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, ctx: &mut Self::Context) -> Self::Result {
        self.event(Event::Tick, ctx);
        MessageResult(AllowanceStats { budget: self.window.lock().budget.stats(), active: self.tenure.is_some() })
    }
}

impl Handler<Sought> for UpstreamBudget {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Sought, _: &mut Self::Context) -> Self::Result {
        if self.sought {
            return Box::pin(std::future::ready(()));
        }
        let (done, sought) = oneshot::channel();
        self.when_sought.push(done);
        Box::pin(async move {
            let _ = sought.await;
        })
    }
}

impl Handler<Close> for UpstreamBudget {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) -> Self::Result {
        let tenure = self.tenure.take();
        let closed = self.close(|blocks, now| blocks.close_all(now), ctx);
        let store = self.store.clone();
        Box::pin(async move {
            let Some(tenure) = tenure else { return };
            if let Err(error) = store.close_blocks(tenure.slot, &closed).await {
                log::warn!("cannot release the reserved requests; they count as sent: {error}");
            }
        })
    }
}

impl UpstreamBudget {
    fn event(&mut self, event: Event, ctx: &mut Context<Self>) {
        self.window.lock().handle(self.clock.now(), event);
        self.look(ctx);
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
        self.look(ctx);
        settled
    }

    /// Performs the window's requests, and sets the timer.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.window.lock().wanted.take();
        if let Some(permits) = wanted {
            self.stock(permits, ctx);
        }
        self.set_timer(ctx);
    }

    fn stock(&mut self, permits: u32, ctx: &mut Context<Self>) {
        let Some(tenure) = self.tenure.clone() else {
            return;
        };
        let now = self.clock.now();
        let store = self.store.clone();
        let closed = self.window.lock().blocks.take_closed();
        let (unwritten, epoch) = (closed.clone(), tenure.epoch);
        let block = Uuid::now_v7();
        let reserve = async move {
            if !closed.is_empty() {
                store.close_blocks(tenure.slot, &closed).await?;
                store.forget_blocks(tenure.slot, now - PERIOD).await?;
            }
            let commands = store.command_blocks(tenure.slot).await?;
            Ok((commands, store.reserve_block(tenure.slot, tenure.epoch, block, permits, now).await?))
        };
        let reserved = reserve.into_actor(self).map(move |outcome: Result<_, StoreError>, actor, ctx| match outcome {
            // The reservation came too late: the current holder of the slot, even if it is this process, counts the
            // block as spent.
            _ if actor.tenure.as_ref().is_none_or(|tenure| tenure.epoch != epoch) => {}
            Ok((commands, true)) => {
                actor.window.lock().blocks.open(block, permits);
                actor.count_commands(&commands);
                actor.event(Event::Stocked(permits), ctx);
            }
            Ok((_, false)) => actor.lose_tenure(ctx),
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
        let new: Vec<Block> = blocks.iter().filter(|block| !self.counted.contains(&block.id)).cloned().collect();
        self.counted = blocks.iter().map(|block| block.id).collect();
        let (spent, _) = left_behind(&new, now);
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
    fn seek_tenure(&mut self, ctx: &mut Context<Self>) {
        let found = self.found.take();
        let (store, clock, settings) = (self.store.clone(), self.clock.clone(), self.settings.clone());
        let seek = async move {
            let Share { slot, lock } = match found {
                Some(share) => share,
                None => match take_lock(&settings.database, settings.shared).await? {
                    Some(share) => share,
                    None => return Ok(None),
                },
            };
            let epoch = store.claim_slot(slot).await?;
            let now = clock.now();
            let left = store.blocks(slot).await?;
            let (spent, abandoned) = left_behind(&left, now);
            // Closed from now on, so that a second crash does not count them again.
            store.close_blocks(slot, &abandoned).await?;
            let accounts = store.connected_accounts().await?;
            let blocks = left.iter().map(|block| block.id).collect();
            Ok(Some(Found { tenure: Tenure { slot, epoch, lock: Arc::new(lock) }, spent, blocks, accounts }))
        };
        let took = seek.into_actor(self).map(|outcome: Result<_, StoreError>, actor, ctx| {
            actor.sought = true;
            for waiting in actor.when_sought.drain(..) {
                let _ = waiting.send(());
            }
            actor.found_tenure(outcome, ctx);
        });
        ctx.spawn(took);
    }

    fn found_tenure(&mut self, outcome: Result<Option<Found>, StoreError>, ctx: &mut Context<Self>) {
        match outcome {
            Ok(Some(Found { tenure, spent, blocks, accounts })) => {
                self.away = false;
                self.window.lock().budget.carry_over(spent);
                self.counted = blocks;
                log::info!("acquired the rate-limit lock (share {}); this process is active", tenure.slot);
                self.tenure = Some(tenure);
                self.event(Event::Accounts(accounts), ctx);
                self.event(Event::Active(true), ctx);
                self.watch_lock(ctx);
            }
            Ok(None) => {
                self.away = false;
                self.seek_again(ctx);
            }
            Err(error) => {
                if !self.away {
                    log::warn!("cannot acquire the rate-limit lock: {error}");
                }
                self.away = true;
                self.seek_again(ctx);
            }
        }
    }

    fn seek_again(&mut self, ctx: &mut Context<Self>) {
        let wait = self.clock.sleep_until(self.clock.now() + LOCK_RETRY);
        ctx.spawn(wait.into_actor(self).map(|(), actor, ctx| actor.seek_tenure(ctx)));
    }

    fn watch_lock(&mut self, ctx: &mut Context<Self>) {
        let Some(lock) = self.tenure.as_ref().map(|tenure| tenure.lock.clone()) else {
            return;
        };
        let wait = self.clock.sleep_until(self.clock.now() + LOCK_CHECK);
        let check = async move {
            wait.await;
            lock.is_held().await
        };
        ctx.spawn(check.into_actor(self).map(|held, actor, ctx| match (held, actor.tenure.is_some()) {
            (true, true) => actor.watch_lock(ctx),
            (false, true) => actor.lose_tenure(ctx),
            (_, false) => {}
        }));
    }

    fn lose_tenure(&mut self, ctx: &mut Context<Self>) {
        if self.tenure.take().is_some() {
            log::warn!("lost the rate-limit lock; going to standby");
            // They stay open in the database, so the next holder counts them as spent.
            self.close(|blocks, _| *blocks = Blocks::default(), ctx);
            self.seek_again(ctx);
        }
    }
}
