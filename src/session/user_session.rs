//! The actor of one user: messages, state, and one job at a time. [`TokenManager`] does the work.
//!
//! The queue is separate from the mailbox, so that control messages overtake waiting calls: a user can disconnect, and
//! the supervisor can request statistics, while a call is in progress.

use std::{cell::Cell, collections::VecDeque, rc::Rc, sync::Arc};

use actix::prelude::*;
use chrono::TimeDelta;
use futures_util::future::select;
use tokio::sync::oneshot;

use super::{
    answer::Answer,
    backoff::Backoff,
    call_error::CallError,
    messages::{
        CallUpstream, Connect, Disconnect, Observe, Panic, Renew, SignIn, StopIfIdle, StoreConnection, WaitUntilIdle,
    },
    response_cache::Owner,
    session_deps::SessionDeps,
    session_stats::SessionStats,
    tokens::TokenManager,
};
use crate::{domain::UserId, metrics::Counted};

/// The pauses between attempts to store unsaved tokens.
const SAVE_PAUSE: TimeDelta = TimeDelta::seconds(1);
const LONGEST_SAVE_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// The same during shutdown, which waits for it.
const SAVE_PAUSE_AT_STOP: TimeDelta = TimeDelta::milliseconds(200);

enum Job {
    Call(CallUpstream),
    Connect(Connect),
    SignIn(SignIn),
    StoreConnection(StoreConnection),
    Renew(Renew),
    /// Stores unsaved tokens.
    Save,
}

impl Job {
    /// Returns whether the caller of this call has gone away.
    fn is_abandoned(&self) -> bool {
        matches!(self, Job::Call(call) if call.is_abandoned())
    }
}

pub(super) struct UserSession {
    deps: Arc<SessionDeps>,
    token_manager: Rc<TokenManager>,
    cache_scope: Rc<CacheScope>,
    /// Each job with its entry in the metric of waiting jobs.
    queue: VecDeque<(Job, Counted)>,
    busy: bool,
    idle_waiters: Vec<oneshot::Sender<()>>,
    /// The pauses between attempts to store tokens, if there are unsaved ones.
    save_backoff: Option<Box<Backoff>>,
    /// Whether an attempt to store tokens is scheduled.
    save_scheduled: bool,
}

impl UserSession {
    /// Creates the session. Call it on the arbiter that the session will run on, because the OwnerRez client belongs to
    /// one thread.
    pub(super) fn new(user: UserId, deps: Arc<SessionDeps>) -> Self {
        let upstream = deps.upstream_here();
        let token_manager = Rc::new(TokenManager::new(user, deps.clone(), upstream));
        let cache_scope =
            Rc::new(CacheScope { user, session_epoch: deps.response_cache.new_session_epoch(), writes: Cell::new(0) });
        Self {
            deps,
            token_manager,
            cache_scope,
            queue: VecDeque::new(),
            busy: false,
            idle_waiters: Vec::new(),
            save_backoff: None,
            save_scheduled: false,
        }
    }

    fn run_next(&mut self, ctx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        match self.queue.pop_front() {
            Some((job, _)) => self.run(job, ctx),
            None => {
                // Thousands of sessions are idle at a time, so an empty queue frees its memory.
                self.queue = VecDeque::new();
                if self.token_manager.has_unsaved() {
                    // The next attempt to store them is scheduled, and calls this function again.
                    return;
                }
                for waiting in std::mem::take(&mut self.idle_waiters) {
                    let _ = waiting.send(());
                }
            }
        }
    }

    fn run(&mut self, job: Job, ctx: &mut Context<Self>) {
        self.busy = true;
        let (deps, token_manager, cache_scope) =
            (self.deps.clone(), self.token_manager.clone(), self.cache_scope.clone());
        // Rare jobs are boxed: a future inside another one increases its size and is moved with it.
        let work = async move {
            match job {
                Job::Call(mut call) => {
                    if call.is_abandoned() {
                        return;
                    }
                    if call.deadline <= token_manager.now() {
                        // The deadline has passed. The allowance would misleadingly report that it is spent.
                        let _ = call.reply.send(Err(CallError::Deadline { write_may_have_happened: false }));
                        return;
                    }
                    let outcome = serve_call(&deps, &token_manager, &cache_scope, &mut call).await;
                    let _ = call.reply.send(outcome);
                }
                Job::Connect(connect) => {
                    let outcome = Box::pin(token_manager.connect(connect.with, connect.admitted)).await;
                    let _ = connect.reply.send(outcome);
                }
                Job::SignIn(SignIn { code, issuer, admits_new, admitted, reply }) => {
                    let _ = reply.send(Box::pin(token_manager.sign_in(code, &issuer, admits_new, admitted)).await);
                }
                Job::StoreConnection(StoreConnection { identity, grant, reply }) => {
                    let _ = reply.send(Box::pin(token_manager.store_connection(&identity, grant)).await);
                }
                Job::Renew(renew) => {
                    let outcome = Box::pin(token_manager.renew()).await;
                    let _ = renew.reply.send(outcome);
                }
                Job::Save => {
                    if let Err(error) = Box::pin(token_manager.save_unsaved()).await {
                        log::warn!("cannot store new tokens of user {} yet: {error}", token_manager.user);
                    }
                }
            }
        };
        ctx.spawn(work.into_actor(self).map(|(), session, ctx| {
            session.busy = false;
            session.save_later(ctx);
            session.run_next(ctx);
        }));
    }

    /// Schedules another attempt if there are unsaved tokens. Shutdown ends the pause early.
    fn save_later(&mut self, ctx: &mut Context<Self>) {
        if !self.token_manager.has_unsaved() {
            self.save_backoff = None;
            return;
        }
        if std::mem::replace(&mut self.save_scheduled, true) {
            return;
        }
        let (now, stop) = (self.deps.clock.now(), self.deps.stop.clone());
        let stopping = stop.is_cancelled();
        let save_backoff =
            self.save_backoff.get_or_insert_with(|| Box::new(Backoff::new(SAVE_PAUSE, LONGEST_SAVE_PAUSE)));
        let pause = if stopping { SAVE_PAUSE_AT_STOP } else { save_backoff.failed(now) };
        let over = self.deps.clock.sleep_until(now + pause);
        let wait = async move {
            if stopping {
                over.await;
            } else {
                select(over, Box::pin(stop.cancelled())).await;
            }
        };
        ctx.spawn(wait.into_actor(self).map(|(), session, ctx| {
            session.save_scheduled = false;
            session.enqueue(Job::Save, ctx);
        }));
    }

    /// Enqueues a job, or runs it at once if no job is running.
    fn enqueue(&mut self, job: Job, ctx: &mut Context<Self>) {
        if self.busy {
            self.queue.push_back((job, self.deps.metrics.queued()));
        } else {
            self.run(job, ctx);
        }
    }
}

/// The scope of this session's cached responses.
struct CacheScope {
    user: UserId,
    session_epoch: u64,
    /// The number of writes by the user.
    writes: Cell<u64>,
}

impl CacheScope {
    /// Reads the row, which a disconnect on any process changes, so cached responses end with the connection.
    async fn owner(&self, deps: &SessionDeps) -> Option<Owner> {
        let row = deps.store.connection(self.user).await.ok()??;
        let (connection, writes) = (row.id, self.writes.get());
        row.rejected_at.is_none().then_some(Owner {
            user: self.user,
            connection,
            session_epoch: self.session_epoch,
            writes,
        })
    }
}

/// Returns a cached response if that is permitted, or OwnerRez's response.
async fn serve_call(
    deps: &SessionDeps,
    token_manager: &TokenManager,
    cache_scope: &CacheScope,
    call: &mut CallUpstream,
) -> Result<Answer, CallError> {
    let owner =
        if deps.response_cache.is_cacheable(&call.request) { Box::pin(cache_scope.owner(deps)).await } else { None };
    if let Some(answer) = owner.and_then(|owner| deps.response_cache.get(owner, &call.request, token_manager.now())) {
        return Ok(answer);
    }
    if call.request.is_write() {
        cache_scope.writes.set(cache_scope.writes.get() + 1);
    }
    let outcome = token_manager.call(call).await;
    if let (Some(owner), Ok(answer)) = (owner, &outcome) {
        deps.response_cache.insert(owner, &call.request, answer, token_manager.now());
    }
    outcome
}

impl Actor for UserSession {
    type Context = Context<Self>;
}

impl Handler<CallUpstream> for UserSession {
    type Result = ();

    fn handle(&mut self, call: CallUpstream, ctx: &mut Self::Context) {
        // Calls whose caller went away take no place in the queue.
        self.queue.retain(|(job, _)| !job.is_abandoned());
        if self.busy && self.queue.len() >= self.deps.settings.queue_depth {
            let _ = call.reply.send(Err(CallError::Busy));
            return;
        }
        self.enqueue(Job::Call(call), ctx);
    }
}

impl Handler<Connect> for UserSession {
    type Result = ();

    fn handle(&mut self, connect: Connect, ctx: &mut Self::Context) {
        self.enqueue(Job::Connect(connect), ctx);
    }
}

impl Handler<SignIn> for UserSession {
    type Result = ();

    fn handle(&mut self, sign_in: SignIn, ctx: &mut Self::Context) {
        self.enqueue(Job::SignIn(sign_in), ctx);
    }
}

impl Handler<StoreConnection> for UserSession {
    type Result = ();

    fn handle(&mut self, store_connection: StoreConnection, ctx: &mut Self::Context) {
        self.enqueue(Job::StoreConnection(store_connection), ctx);
    }
}

impl Handler<Renew> for UserSession {
    type Result = ();

    fn handle(&mut self, renew: Renew, ctx: &mut Self::Context) {
        self.enqueue(Job::Renew(renew), ctx);
    }
}

impl Handler<Disconnect> for UserSession {
    type Result = ();

    fn handle(&mut self, disconnect: Disconnect, ctx: &mut Self::Context) {
        let token_manager = self.token_manager.clone();
        let work = async move {
            let _ = disconnect.reply.send(token_manager.disconnect().await);
        };
        ctx.spawn(work.into_actor(self).map(|(), session, ctx| session.save_later(ctx)));
    }
}

impl Handler<StopIfIdle> for UserSession {
    type Result = bool;

    fn handle(&mut self, _: StopIfIdle, ctx: &mut Self::Context) -> bool {
        let can_stop = !self.busy && self.queue.is_empty() && self.token_manager.can_be_dropped();
        if can_stop {
            ctx.stop();
        }
        can_stop
    }
}

impl Handler<WaitUntilIdle> for UserSession {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: WaitUntilIdle, ctx: &mut Self::Context) -> Self::Result {
        let (done, idle) = oneshot::channel();
        self.idle_waiters.push(done);
        self.run_next(ctx);
        Box::pin(async move {
            let _ = idle.await;
        })
    }
}

impl Handler<Observe> for UserSession {
    type Result = SessionStats;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let waiting = self.queue.iter().filter(|(job, _)| !job.is_abandoned()).count();
        SessionStats { busy: self.busy, waiting }
    }
}

impl Handler<Panic> for UserSession {
    type Result = ();

    #[expect(clippy::panic, reason = "lets tests show that a panic in one session does not affect others")]
    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("panic requested by a test");
    }
}
