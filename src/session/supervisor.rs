//! Runs at most one session per user and stops idle ones.

use std::sync::Arc;

use actix::prelude::*;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{
    call_error::CallError,
    messages::{StopIfIdle, WaitUntilIdle},
    registry::{Entry, SessionRegistry},
    session_deps::SessionDeps,
    user_session::UserSession,
};
use crate::domain::UserId;

/// Requests the address of a user's session, which is started if necessary.
#[derive(Message)]
#[rtype(result = "Result<Addr<UserSession>, CallError>")]
pub(super) struct GetSession {
    pub(super) user: UserId,
    /// The thread for a new session: that of the caller, which will probably call again.
    pub(super) on: ArbiterHandle,
}

/// Requests the address of a user's session, if there is one.
#[derive(Message)]
#[rtype(result = "Option<Addr<UserSession>>")]
pub(super) struct FindSession {
    pub(super) user: UserId,
}

/// Requests statistics.
#[derive(Message)]
#[rtype(result = "SupervisorStats")]
pub(super) struct Observe;

/// Rejects new sessions; replies when all existing ones are idle.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct BeginShutdown;

/// Drops all sessions; they end once no other handle exists.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct DropSessions;

/// Statistics of the sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, MessageResponse)]
pub struct SupervisorStats {
    /// Running sessions.
    pub sessions: usize,
    /// Sessions started since the process started. A number above the number of calling users means that some sessions
    /// ended in between.
    pub started: u64,
}

pub(super) struct SessionSupervisor {
    deps: Arc<SessionDeps>,
    registry: SessionRegistry,
    started: u64,
}

impl SessionSupervisor {
    pub(super) fn new(deps: Arc<SessionDeps>, registry: SessionRegistry) -> Self {
        Self { deps, registry, started: 0 }
    }

    /// Returns the user's session, started on that thread if necessary.
    fn session(&mut self, user: UserId, on: &ArbiterHandle) -> Addr<UserSession> {
        let now = self.deps.clock.now();
        let mut entries = self.registry.lock();
        if let Some(session) = entries.live(user, now) {
            return session;
        }
        self.started += 1;
        self.deps.metrics.session_started();
        let deps = self.deps.clone();
        let session = UserSession::start_in_arbiter(on, move |_| UserSession::new(user, deps));
        entries.by_user.insert(user, Entry::Live { session: session.clone(), last_used: now });
        session
    }

    fn sweep_later(&mut self, ctx: &mut Context<Self>) {
        // Often enough that a session exceeds its idle time by a quarter at most.
        let wait = self.deps.clock.sleep_until(self.deps.clock.now() + self.deps.settings.idle / 4);
        ctx.spawn(wait.into_actor(self).map(|(), supervisor, ctx| {
            supervisor.sweep(ctx);
            supervisor.sweep_later(ctx);
        }));
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let idle_since = self.deps.clock.now() - self.deps.settings.idle;
        for (user, entry) in &mut self.registry.lock().by_user {
            let session = match entry {
                Entry::Live { session, last_used } if *last_used <= idle_since => session.clone(),
                _ => continue,
            };
            let (user, request) = (*user, session.send(StopIfIdle));
            *entry = Entry::Stopping { session, waiting: Vec::new() };
            // A session that does not reply has stopped as well.
            let answer = async move { request.await.unwrap_or(true) };
            ctx.spawn(
                answer.into_actor(self).map(move |stopped, supervisor, _| supervisor.stop_answered(user, stopped)),
            );
        }
    }

    fn stop_answered(&mut self, user: UserId, stopped: bool) {
        let (waiting, closed) = {
            let mut entries = self.registry.lock();
            let Some(Entry::Stopping { session, waiting }) = entries.by_user.remove(&user) else {
                return;
            };
            if !stopped {
                entries.by_user.insert(user, Entry::Live { session, last_used: self.deps.clock.now() });
            }
            (waiting, entries.closed)
        };
        for (on, caller) in waiting {
            let answer = if closed { Err(CallError::ShuttingDown) } else { Ok(self.session(user, &on)) };
            let _ = caller.send(answer);
        }
    }
}

impl Actor for SessionSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sweep_later(ctx);
    }
}

impl Handler<GetSession> for SessionSupervisor {
    type Result = ResponseFuture<Result<Addr<UserSession>, CallError>>;

    fn handle(&mut self, message: GetSession, _: &mut Self::Context) -> Self::Result {
        let GetSession { user, on } = message;
        {
            let mut entries = self.registry.lock();
            if entries.closed {
                return Box::pin(async { Err(CallError::ShuttingDown) });
            }
            if let Some(Entry::Stopping { waiting, .. }) = entries.by_user.get_mut(&user) {
                let (reply, answer) = oneshot::channel();
                waiting.push((on, reply));
                return Box::pin(async move { answer.await.unwrap_or(Err(CallError::ShuttingDown)) });
            }
        }
        let session = self.session(user, &on);
        Box::pin(async move { Ok(session) })
    }
}

impl Handler<FindSession> for SessionSupervisor {
    type Result = Option<Addr<UserSession>>;

    fn handle(&mut self, message: FindSession, _: &mut Self::Context) -> Self::Result {
        self.registry.lock().by_user.get(&message.user).map(|entry| entry.session().clone())
    }
}

impl Handler<Observe> for SessionSupervisor {
    type Result = SupervisorStats;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        SupervisorStats { sessions: self.registry.lock().by_user.len(), started: self.started }
    }
}

impl Handler<BeginShutdown> for SessionSupervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: BeginShutdown, _: &mut Self::Context) -> Self::Result {
        let mut entries = self.registry.lock();
        entries.closed = true;
        let idle: Vec<_> = entries.by_user.values().map(|entry| entry.session().send(WaitUntilIdle)).collect();
        Box::pin(async move {
            join_all(idle).await;
        })
    }
}

impl Handler<DropSessions> for SessionSupervisor {
    type Result = ();

    fn handle(&mut self, _: DropSessions, _: &mut Self::Context) {
        self.registry.lock().by_user.clear();
    }
}
