//! Background jobs: renewing the tokens of inactive users, revoking disconnected grants at OwnerRez, sweeping expired
//! connect links, sign-ins, grants and browser sessions, deleted OAuth clients, old records of writes and users that
//! never connected, recounting accounts, and writing the usage of the allowance.

use std::{rc::Rc, sync::Arc};

use actix::prelude::*;
use chrono::TimeDelta;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    call_error::CallError,
    messages::Renew,
    session_deps::SessionDeps,
    supervisor::{GetSession, SessionSupervisor},
};
use crate::{
    allowance::Account,
    crypto::EncryptionContext,
    domain::UserId,
    store::{PendingRevocation, StoreError},
    upstream::{TokenError, Upstream},
};

/// Records per kind and round. The rest is due in the next round.
const BATCH: u64 = 20;
/// After this many attempts (about three days) a revocation is abandoned; the token then expires by itself.
const REVOCATION_ATTEMPTS: u32 = 16;
/// The maximum number of users without a connection that are deleted per round.
const SWEPT_USERS: u64 = 200;
const MAX_PAUSE: TimeDelta = TimeDelta::hours(6);

/// Requests a round before the next regular one.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct RunSoon;

/// Runs a round now and replies when it is done.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct RunNow;

pub(super) struct BackgroundJobs {
    round: Rc<Round>,
    running: bool,
    /// Whether a round was requested while one was running, which may already be past the new work.
    rerun: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

struct Round {
    deps: Arc<SessionDeps>,
    supervisor: Addr<SessionSupervisor>,
    upstream: Upstream,
}

impl BackgroundJobs {
    pub(super) fn new(deps: Arc<SessionDeps>, supervisor: Addr<SessionSupervisor>) -> Self {
        let upstream = deps.upstream_here();
        Self { round: Rc::new(Round { deps, supervisor, upstream }), running: false, rerun: false, waiting: Vec::new() }
    }

    fn schedule_next_run(&mut self, ctx: &mut Context<Self>) {
        let deps = &self.round.deps;
        let wait = deps.clock.sleep_until(deps.clock.now() + deps.settings.background_jobs_every);
        ctx.spawn(wait.into_actor(self).map(|(), jobs, ctx| {
            jobs.run(ctx);
            jobs.schedule_next_run(ctx);
        }));
    }

    fn run(&mut self, ctx: &mut Context<Self>) {
        if self.running {
            self.rerun = true;
            return;
        }
        self.running = true;
        let round = self.round.clone();
        ctx.spawn(async move { round.run().await }.into_actor(self).map(|(), jobs, ctx| {
            jobs.running = false;
            if std::mem::take(&mut jobs.rerun) {
                jobs.run(ctx);
                return;
            }
            for waiting in jobs.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }));
    }
}

impl Actor for BackgroundJobs {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.run(ctx);
        self.schedule_next_run(ctx);
    }
}

impl Handler<RunSoon> for BackgroundJobs {
    type Result = ();

    fn handle(&mut self, _: RunSoon, ctx: &mut Self::Context) {
        self.run(ctx);
    }
}

impl Handler<RunNow> for BackgroundJobs {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: RunNow, ctx: &mut Self::Context) -> Self::Result {
        let (done, waited) = oneshot::channel();
        self.waiting.push(done);
        self.run(ctx);
        Box::pin(async move {
            let _ = waited.await;
        })
    }
}

impl Round {
    async fn run(&self) {
        self.deps.allowance.write_usage(&self.deps.store).await;
        if let Err(error) = self.try_run().await {
            log::warn!("the background jobs stopped early: {error}");
        }
    }

    async fn try_run(&self) -> Result<(), StoreError> {
        let store = &self.deps.store;
        for revocation in store.due_revocations(self.deps.clock.now(), BATCH).await? {
            if self.deps.stop.is_cancelled() {
                return Ok(());
            }
            self.revoke(revocation).await?;
        }
        for user in store.due_renewals(self.deps.clock.now(), BATCH).await? {
            if self.deps.stop.is_cancelled() {
                return Ok(());
            }
            if let Err(error) = self.renew(user).await {
                log::warn!("cannot refresh the tokens of user {user} in the background: {error}");
            }
        }
        store.sweep_links(self.deps.clock.now()).await?;
        store.sweep_deleted_clients(self.deps.clock.now()).await?;
        store.sweep_grants(self.deps.clock.now()).await?;
        store.sweep_sessions(self.deps.clock.now()).await?;
        store.sweep_writes(self.deps.clock.now()).await?;
        if let Some(patience) = self.deps.settings.unconnected_for {
            let now = self.deps.clock.now();
            let swept = store.sweep_stale_users(now - patience, now, SWEPT_USERS).await?;
            if swept > 0 {
                log::info!("deleted {swept} users that never connected an OwnerRez account");
            }
        }
        self.deps.recount_accounts().await;
        Ok(())
    }

    /// Renews a user's tokens if they are due.
    async fn renew(&self, user: UserId) -> Result<(), CallError> {
        let on = Arbiter::current();
        let session = self.supervisor.send(GetSession { user, on }).await.map_err(|_| CallError::ShuttingDown)??;
        let (reply, answer) = oneshot::channel();
        session.send(Renew { reply }).await.map_err(|_| CallError::ShuttingDown)?;
        answer.await.map_err(|_| CallError::SessionLost { write_may_have_happened: false })?
    }

    async fn revoke(&self, revocation: PendingRevocation) -> Result<bool, StoreError> {
        let store = &self.deps.store;
        let PendingRevocation { id, user, account, access, attempts } = revocation;
        let token = match self.deps.ring.open(EncryptionContext::AccessToken(user), &access) {
            Ok(token) => token,
            Err(error) => {
                log::error!("cannot revoke a disconnected token of user {user} at OwnerRez: {error}");
                return store.finish_revocation(id).await;
            }
        };
        let last = attempts + 1 >= REVOCATION_ATTEMPTS;
        let deadline = self.deps.clock.now() + self.deps.settings.call_deadline;
        let outcome = match self.deps.allowance.acquire(user, Account::User(user), deadline).await {
            Ok(mut permit) => {
                // Revoking one grant may end the other grants of its account. Checked last, because the wait for the
                // permit takes time.
                if store.is_connected_again(user, account).await? {
                    drop(permit);
                    if last {
                        log::info!("not revoking a disconnected token of user {user}: its account is connected");
                        return store.finish_revocation(id).await;
                    }
                    return self.retry_later(id, attempts).await;
                }
                permit.sending();
                let outcome = self.upstream.revoke(&token).await;
                if let Err(TokenError::Throttled(retry_after)) = &outcome {
                    permit.throttled(*retry_after);
                }
                outcome
            }
            // This is not an attempt: nothing was sent.
            Err(refusal) => {
                log::info!("a revocation waits for the rate limit: {refusal:?}");
                let next = self.deps.clock.now() + TimeDelta::minutes(1);
                return store.postpone_revocation(id, attempts, next).await;
            }
        };
        match outcome {
            Ok(()) => store.finish_revocation(id).await,
            Err(error) if last => {
                log::error!("giving up the revocation of a disconnected token of user {user} at OwnerRez: {error}");
                store.finish_revocation(id).await
            }
            Err(error) => {
                log::warn!("cannot revoke a disconnected token of user {user} at OwnerRez yet: {error}");
                self.retry_later(id, attempts).await
            }
        }
    }

    /// Counts an attempt, and schedules the next one after a growing pause.
    async fn retry_later(&self, id: Uuid, attempts: u32) -> Result<bool, StoreError> {
        let pause = (TimeDelta::minutes(1) * (1 << attempts.min(10))).min(MAX_PAUSE);
        self.deps.store.postpone_revocation(id, attempts + 1, self.deps.clock.now() + pause).await
    }
}
