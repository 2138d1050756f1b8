//! The way to the window of all, and the actor behind it: it keeps the reservations in the database and the time, and
//! holds the lock that lets exactly one process spend a share.
//!
//! How the window survives a crash: permits are written to the database in blocks before one of them is spent. A block
//! whose permits are all spent and answered is closed with its figure; a block that a dead process left open counts as
//! spent at the moment its successor takes over.
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
/// Shares that processes with `UPSTREAM_SHARED` can take.
const SHARED_SLOTS: i32 = 64;

/// How much this process may spend, and by what right.
#[derive(Clone, Debug)]
pub struct AllowanceSettings {
    /// Where the lock is kept.
    pub database: DatabaseTarget,
    /// Requests in five minutes.
    pub limit: u32,
    /// False: this process spends all, so there may be only one on the database. True: the operator gave each process
    /// a share and every one takes a slot of its own.
    pub shared: bool,
}

/// The way to the allowance.
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

/// A permit that was asked for. Dropping it leaves the queue.
pub(super) struct Requested {
    permit: Permit,
    wish: Wish,
    asked: DateTime<Utc>,
}

impl Requested {
    /// Waits for the answer.
    pub(super) async fn decided(self) -> Result<Permit, Refusal> {
        let Self { mut permit, wish, asked } = self;
        let (verdict, waited) = match wish {
            Wish::Decided(verdict) => (verdict, TimeDelta::zero()),
            Wish::Waits(answer) => (answer.await.unwrap_or(Err(Refusal::Standby)), permit.way.clock.now() - asked),
        };
        let word = verdict.as_ref().map_or_else(Refusal::word, |()| "granted");
        permit.way.metrics.allowance_asked(word, waited);
        // What was refused is in no book any more.
        permit.settled = verdict.is_err();
        verdict.map(|()| permit)
    }
}

/// The right to send one request. It counts as spent once [`Permit::sending`] was called, whatever happens then.
pub struct Permit {
    way: Arc<Way>,
    ticket: Ticket,
    /// In whose name.
    user: UserId,
    sent: bool,
    settled: bool,
}

impl Permit {
    /// Says who sends it, where that was not known before.
    pub(super) fn in_name_of(&mut self, user: UserId) {
        self.user = user;
    }

    /// To be called right before the request leaves.
    pub fn sending(&mut self) {
        if !self.sent {
            self.sent = true;
            self.way.usage.sent(self.user, self.way.clock.now());
        }
    }

    /// The reply was 429.
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

    /// Hands the actor what there is for it to do.
    fn see_to(&self, window: MutexGuard<'_, Window>) {
        let needs_a_look = window.needs_a_look();
        drop(window);
        if needs_a_look {
            self.actor.do_send(Look);
        }
    }
}

impl Allowance {
    /// Starts the actor on `arbiter`. With a `share` it may spend at once, without one it waits on standby.
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

    /// Waits for the right to send one request in a user's name, counted for `account`. Dropping the future leaves the
    /// queue.
    pub async fn acquire(&self, user: UserId, account: Account, deadline: DateTime<Utc>) -> Result<Permit, Refusal> {
        self.request(user, account, deadline).decided().await
    }

    /// Asks for the same at once, and leaves the waiting to [`Requested::decided`].
    pub(super) fn request(&self, user: UserId, account: Account, deadline: DateTime<Utc>) -> Requested {
        let way = &self.0;
        let asked = way.clock.now();
        let mut window = way.window.lock();
        let ticket = window.ticket();
        let wish = window.wish(asked, ticket, account, deadline);
        way.see_to(window);
        // From here on it is given back when this is dropped, granted or not.
        Requested { permit: Permit { way: way.clone(), ticket, user, sent: false, settled: false }, wish, asked }
    }

    /// Requests within five minutes.
    pub(super) fn limit(&self) -> u32 {
        self.0.limit
    }

    /// What connecting may take now.
    pub(super) fn permits_for_connecting(&self) -> ConnectingPermits {
        let mut window = self.0.window.lock();
        window.handle(self.0.clock.now(), Event::Tick);
        let permits = window.budget.permits_for_connecting();
        self.0.see_to(window);
        permits
    }

    /// Returns what connecting may take from now on if no other account takes any; `None` on standby.
    pub(super) fn forecast_for_connecting(&self) -> Option<Vec<(DateTime<Utc>, ConnectingPermits)>> {
        self.0.window.lock().budget.forecast_for_connecting()
    }

    /// Writes down who sent how many requests since the last time.
    pub async fn write_usage(&self, store: &Store) {
        if let Err(error) = self.0.usage.write(store, self.0.clock.now()).await {
            log::warn!("who used the OwnerRez allowance was not written down yet: {error}");
        }
    }

    /// Tells how many OwnerRez accounts are connected.
    pub fn accounts_changed(&self, accounts: u64) {
        self.0.tell(self.0.clock.now(), Event::Accounts(accounts));
    }

    /// Present figures; `None` once the actor is gone.
    pub async fn observe(&self) -> Option<AllowanceStats> {
        self.0.actor.send(Observe).await.ok()
    }

    /// Completes once the first search for the right to spend has ended: a gateway that answers requests before that
    /// would turn them away for nothing.
    pub async fn sought(&self) {
        let _ = self.0.actor.send(Sought).await;
    }

    /// Closes the open blocks, so that a successor need not count them as spent.
    pub async fn close(&self) {
        let _ = self.0.actor.send(Close).await;
    }
}

/// Figures for operators and tests.
#[derive(Clone, Copy, Debug)]
pub struct AllowanceStats {
    /// The window.
    pub budget: BudgetStats,
    /// Whether this process holds the right to spend.
    pub active: bool,
}

/// A slot of the allowance, and the lock by which this process holds it.
#[derive(Debug)]
pub struct Share {
    slot: i32,
    lock: ProcessLock,
}

/// Finds the lock for a share. `Ok(None)`: other processes hold all that there are.
pub async fn take_lock(database: &DatabaseTarget, shared: bool) -> Result<Option<Share>, StoreError> {
    let slots = if shared { SHARED_SLOTS } else { 1 };
    for slot in 0..slots {
        if let Some(lock) = ProcessLock::try_acquire(database, slot).await? {
            return Ok(Some(Share { slot, lock }));
        }
    }
    Ok(None)
}

/// There is an errand in the window, or it has to be looked at sooner.
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

/// The actor. One per process.
struct UpstreamBudget {
    window: SharedWindow,
    settings: AllowanceSettings,
    store: Store,
    clock: SharedClock,
    tenure: Option<Tenure>,
    found: Option<Share>,
    /// Whether the first search for the right to spend has ended, one way or the other.
    sought: bool,
    when_sought: Vec<oneshot::Sender<()>>,
    /// Whether the last search failed: the next one is a second later, and one line about it is enough.
    away: bool,
    /// Blocks that are in the window and were taken by others: by commands, or by earlier holders of the slot.
    counted: BTreeSet<Uuid>,
    timer: Option<(DateTime<Utc>, SpawnHandle)>,
}

/// The right to spend, while we hold it: a slot, and the epoch that fences off whoever held it before.
#[derive(Clone)]
struct Tenure {
    slot: i32,
    epoch: i64,
    lock: Arc<ProcessLock>,
}

/// What comes with the right to spend.
struct Found {
    tenure: Tenure,
    /// What earlier holders and commands may have spent, and when it is free again.
    spent: Vec<(u32, DateTime<Utc>)>,
    /// The blocks that say so.
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
                log::warn!("the reserved requests could not be given back, they count as spent: {error}");
            }
        })
    }
}

impl UpstreamBudget {
    fn event(&mut self, event: Event, ctx: &mut Context<Self>) {
        self.window.lock().handle(self.clock.now(), event);
        self.look(ctx);
    }

    /// Ends the spending, and settles the blocks before anyone could get one more permit out of them.
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

    /// Does what the window asks for, and sees to it that it is looked at in time.
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
            // It came too late: whoever holds the slot now, even this process, counts the block as spent.
            _ if actor.tenure.as_ref().is_none_or(|tenure| tenure.epoch != epoch) => {}
            Ok((commands, true)) => {
                actor.window.lock().blocks.open(block, permits);
                actor.count_commands(&commands);
                actor.event(Event::Stocked(permits), ctx);
            }
            Ok((_, false)) => actor.lose_tenure(ctx),
            Err(error) => {
                log::error!("requests to OwnerRez could not be reserved in the database: {error}");
                actor.window.lock().blocks.put_back(unwritten);
                actor.event(Event::StockFailed, ctx);
            }
        });
        ctx.spawn(reserved);
    }

    /// Counts what commands have sent since the last time. A command leaves more room in the window than one block takes,
    /// so it is soon enough to count it when a block is reserved.
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

    /// Takes the lock and what the last holder left, or tries again in a second.
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
            // From now on they are closed: a second crash must not count them anew.
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
                log::info!("this process spends the OwnerRez allowance (share {})", tenure.slot);
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
                    log::warn!("the right to spend the OwnerRez allowance could not be taken: {error}");
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
            log::warn!("this process lost the right to spend the OwnerRez allowance and waits for it on standby");
            // In the database they stay open, so whoever comes next counts them as spent.
            self.close(|blocks, _| *blocks = Blocks::default(), ctx);
            self.seek_again(ctx);
        }
    }
}
