//! The actor of one user: messages, state, and one job at a time. [`TokenKeeper`] does the work.
//!
//! The queue is separate from the mailbox, so that control messages overtake waiting calls: a user can disconnect, and
//! the supervisor can request statistics, while a call is in progress.

use std::{cell::Cell, collections::VecDeque, rc::Rc, sync::Arc};

use actix::prelude::*;
use chrono::TimeDelta;
use futures_util::future::select;
use secrecy::SecretString;
use tokio::sync::oneshot;

use super::{
    Answer, CallError, ConnectError, SessionDeps,
    backoff::Backoff,
    call::CallUpstream,
    connecting::Admitted,
    recent::Owner,
    sign_in::Recognised,
    token_keeper::{Credential, TokenKeeper},
};
use crate::{
    domain::{AccountId, Identity, UserId},
    metrics::Counted,
    store::SealedGrant,
};

/// The pauses between attempts to store unsaved tokens.
const SAVE_PAUSE: TimeDelta = TimeDelta::seconds(1);
const LONGEST_SAVE_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// The same during shutdown, which waits for it.
const SAVE_PAUSE_AT_STOP: TimeDelta = TimeDelta::milliseconds(200);

type Reply<T> = oneshot::Sender<T>;

/// Connects an account with a credential.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Connect {
    pub(super) with: Credential,
    pub(super) admitted: Admitted,
    pub(super) reply: Reply<Result<Option<AccountId>, ConnectError>>,
}

/// Identifies a user by an authorization code.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SignIn {
    pub(super) code: SecretString,
    pub(super) issuer: Arc<str>,
    pub(super) admits_new: bool,
    pub(super) admitted: Admitted,
    pub(super) reply: Reply<Result<Recognised, ConnectError>>,
}

/// Stores a newer grant that the user obtained by signing in.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Install {
    pub(super) identity: Identity,
    pub(super) grant: SealedGrant,
    pub(super) reply: Reply<Result<(), ConnectError>>,
}

/// Renews the tokens if they are due. Sent by the background jobs.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Renew {
    pub(super) reply: Reply<Result<(), CallError>>,
}

/// Ends the connection; overtakes waiting jobs.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Disconnect {
    pub(super) reply: Reply<Result<bool, CallError>>,
}

/// Asks whether this session may stop. Sent by the supervisor. The session stops if it agrees.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct TryLeave;

/// Completes once no job runs or waits, and all tokens are stored.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Settled;

/// Requests statistics.
#[derive(Message)]
#[rtype(result = "SessionStats")]
pub(super) struct Observe;

/// Statistics of one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, MessageResponse)]
pub struct SessionStats {
    /// Whether a job is running for the user.
    pub busy: bool,
    /// Waiting jobs, without calls whose caller went away.
    pub waiting: usize,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Panic;

enum Job {
    Call(CallUpstream),
    Connect(Connect),
    SignIn(SignIn),
    Install(Install),
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
    keeper: Rc<TokenKeeper>,
    memory: Rc<Memory>,
    /// Each job with its entry in the metric of waiting jobs.
    queue: VecDeque<(Job, Counted)>,
    busy: bool,
    when_settled: Vec<oneshot::Sender<()>>,
    /// The pauses between attempts to store tokens, if there are unsaved ones.
    saves: Option<Box<Backoff>>,
    /// Whether an attempt to store tokens is scheduled.
    save_waits: bool,
}

impl UserSession {
    /// Creates the session. Call it on the arbiter that the session will run on, because the OwnerRez client belongs to
    /// one thread.
    pub(super) fn new(user: UserId, deps: Arc<SessionDeps>) -> Self {
        let upstream = deps.upstream_here();
        let keeper = Rc::new(TokenKeeper::new(user, deps.clone(), upstream));
        let memory = Rc::new(Memory { user, life: deps.recent.new_life(), writes: Cell::new(0) });
        Self {
            deps,
            keeper,
            memory,
            queue: VecDeque::new(),
            busy: false,
            when_settled: Vec::new(),
            saves: None,
            save_waits: false,
        }
    }

    fn next(&mut self, ctx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        match self.queue.pop_front() {
            Some((job, _)) => self.run(job, ctx),
            None => {
                // Thousands of sessions are idle at a time, so an empty queue frees its memory.
                self.queue = VecDeque::new();
                if self.keeper.has_unsaved() {
                    // The next attempt to store them is scheduled, and calls this function again.
                    return;
                }
                for waiting in std::mem::take(&mut self.when_settled) {
                    let _ = waiting.send(());
                }
            }
        }
    }

    fn run(&mut self, job: Job, ctx: &mut Context<Self>) {
        self.busy = true;
        let (deps, keeper, memory) = (self.deps.clone(), self.keeper.clone(), self.memory.clone());
        // Rare jobs are boxed: a future inside another one increases its size and is moved with it.
        let work = async move {
            match job {
                Job::Call(mut call) => {
                    if call.is_abandoned() {
                        return;
                    }
                    if call.deadline <= keeper.now() {
                        // The deadline has passed. The allowance would misleadingly report that it is spent.
                        let _ = call.reply.send(Err(CallError::Deadline { write_may_have_happened: false }));
                        return;
                    }
                    let outcome = answer(&deps, &keeper, &memory, &mut call).await;
                    let _ = call.reply.send(outcome);
                }
                Job::Connect(connect) => {
                    let outcome = Box::pin(keeper.connect(connect.with, connect.admitted)).await;
                    let _ = connect.reply.send(outcome);
                }
                Job::SignIn(SignIn { code, issuer, admits_new, admitted, reply }) => {
                    let _ = reply.send(Box::pin(keeper.sign_in(code, &issuer, admits_new, admitted)).await);
                }
                Job::Install(Install { identity, grant, reply }) => {
                    let _ = reply.send(Box::pin(keeper.install(&identity, grant)).await);
                }
                Job::Renew(renew) => {
                    let outcome = Box::pin(keeper.renew()).await;
                    let _ = renew.reply.send(outcome);
                }
                Job::Save => {
                    if let Err(error) = Box::pin(keeper.save_unsaved()).await {
                        log::warn!("cannot store new tokens of user {} yet: {error}", keeper.user);
                    }
                }
            }
        };
        ctx.spawn(work.into_actor(self).map(|(), session, ctx| {
            session.busy = false;
            session.save_later(ctx);
            session.next(ctx);
        }));
    }

    /// Schedules another attempt if there are unsaved tokens. Shutdown ends the pause early.
    fn save_later(&mut self, ctx: &mut Context<Self>) {
        if !self.keeper.has_unsaved() {
            self.saves = None;
            return;
        }
        if std::mem::replace(&mut self.save_waits, true) {
            return;
        }
        let (now, stop) = (self.deps.clock.now(), self.deps.stop.clone());
        let stopping = stop.is_cancelled();
        let saves = self.saves.get_or_insert_with(|| Box::new(Backoff::new(SAVE_PAUSE, LONGEST_SAVE_PAUSE)));
        let pause = if stopping { SAVE_PAUSE_AT_STOP } else { saves.failed(now) };
        let over = self.deps.clock.sleep_until(now + pause);
        let wait = async move {
            if stopping {
                over.await;
            } else {
                select(over, Box::pin(stop.cancelled())).await;
            }
        };
        ctx.spawn(wait.into_actor(self).map(|(), session, ctx| {
            session.save_waits = false;
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
struct Memory {
    user: UserId,
    life: u64,
    /// The number of writes by the user.
    writes: Cell<u64>,
}

impl Memory {
    /// Reads the row, which a disconnect on any process changes, so cached responses end with the connection.
    async fn owner(&self, deps: &SessionDeps) -> Option<Owner> {
        let row = deps.store.connection(self.user).await.ok()??;
        let (connection, writes) = (row.id, self.writes.get());
        row.rejected_at.is_none().then_some(Owner { user: self.user, connection, life: self.life, writes })
    }
}

/// Returns a cached response if that is permitted, or OwnerRez's response.
async fn answer(
    deps: &SessionDeps,
    keeper: &TokenKeeper,
    memory: &Memory,
    call: &mut CallUpstream,
) -> Result<Answer, CallError> {
    let owner = if deps.recent.serves(&call.request) { Box::pin(memory.owner(deps)).await } else { None };
    if let Some(answer) = owner.and_then(|owner| deps.recent.find(owner, &call.request, keeper.now())) {
        return Ok(answer);
    }
    if call.request.is_write() {
        memory.writes.set(memory.writes.get() + 1);
    }
    let outcome = keeper.call(call).await;
    if let (Some(owner), Ok(answer)) = (owner, &outcome) {
        deps.recent.keep(owner, &call.request, answer, keeper.now());
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

impl Handler<Install> for UserSession {
    type Result = ();

    fn handle(&mut self, install: Install, ctx: &mut Self::Context) {
        self.enqueue(Job::Install(install), ctx);
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
        let keeper = self.keeper.clone();
        let work = async move {
            let _ = disconnect.reply.send(keeper.disconnect().await);
        };
        ctx.spawn(work.into_actor(self).map(|(), session, ctx| session.save_later(ctx)));
    }
}

impl Handler<TryLeave> for UserSession {
    type Result = bool;

    fn handle(&mut self, _: TryLeave, ctx: &mut Self::Context) -> bool {
        let may_leave = !self.busy && self.queue.is_empty() && self.keeper.may_be_forgotten();
        if may_leave {
            ctx.stop();
        }
        may_leave
    }
}

impl Handler<Settled> for UserSession {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Settled, ctx: &mut Self::Context) -> Self::Result {
        let (done, settled) = oneshot::channel();
        self.when_settled.push(done);
        self.next(ctx);
        Box::pin(async move {
            let _ = settled.await;
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
