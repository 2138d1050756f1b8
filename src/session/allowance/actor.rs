//! The actor behind the shared window. It reserves permits in the database, runs the timer, and has the lock that lets
//! exactly one process spend a share.

use std::{collections::BTreeSet, sync::Arc};

use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    lease::{AcquiredLease, SlotLease},
    messages::{Close, Observe, Ready, Wake},
    settings::AllowanceSettings,
    share::{Share, acquire_share},
    stats::AllowanceStats,
};
use crate::{
    allowance::{Block, Blocks, Event, PERIOD, SharedWindow, recover_blocks},
    domain::SharedClock,
    store::{Store, StoreError},
};

const LOCK_CHECK: TimeDelta = TimeDelta::seconds(5);
const LOCK_RETRY: TimeDelta = TimeDelta::seconds(1);

/// The actor of the allowance. One per process.
pub(super) struct AllowanceActor {
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

impl AllowanceActor {
    pub(super) fn new(
        window: SharedWindow,
        settings: AllowanceSettings,
        store: Store,
        clock: SharedClock,
        share: Option<Share>,
    ) -> Self {
        Self {
            window,
            settings,
            store,
            clock,
            lease: None,
            initial_share: share,
            ready: false,
            ready_waiters: Vec::new(),
            acquire_failed: false,
            counted_blocks: BTreeSet::new(),
            timer: None,
        }
    }
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
