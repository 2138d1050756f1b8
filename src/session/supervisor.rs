//! Keeps at most one live session per user, spreads them over arbiters, and lets idle ones go.

use std::{collections::HashMap, sync::Arc};

use actix::prelude::*;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{
    CallError, SessionDeps,
    user_session::{Settled, TryLeave, UserSession},
};
use crate::domain::UserId;

/// Gives the address of a user's session and starts one where there is none.
#[derive(Message)]
#[rtype(result = "Result<Addr<UserSession>, CallError>")]
pub(super) struct GetSession {
    pub(super) user: UserId,
}

/// Gives the address of a user's session if there is one.
#[derive(Message)]
#[rtype(result = "Option<Addr<UserSession>>")]
pub(super) struct FindSession {
    pub(super) user: UserId,
}

/// Asks for figures.
#[derive(Message)]
#[rtype(result = "SupervisorStats")]
pub(super) struct Observe;

/// No new sessions; answers when all have come to rest.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct BeginShutdown;

/// Ends the threads of the sessions.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct StopArbiters;

/// Figures of the sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, MessageResponse)]
pub struct SupervisorStats {
    /// Sessions that live.
    pub sessions: usize,
    /// Sessions started since the process started: more than users that called means that some ended in between.
    pub started: u64,
}

type Waiting = oneshot::Sender<Result<Addr<UserSession>, CallError>>;

enum Entry {
    Live {
        session: Addr<UserSession>,
        last_used: DateTime<Utc>,
    },
    /// Asked to leave and not yet answered: whoever wants the session waits for the answer, because an address that
    /// is handed out now may be dead on arrival.
    Leaving {
        session: Addr<UserSession>,
        waiting: Vec<Waiting>,
    },
}

pub(super) struct SessionSupervisor {
    deps: Arc<SessionDeps>,
    arbiters: Vec<Arbiter>,
    next_arbiter: usize,
    entries: HashMap<UserId, Entry>,
    started: u64,
    closing: bool,
}

impl SessionSupervisor {
    pub(super) fn new(deps: Arc<SessionDeps>) -> Self {
        let arbiters = (0..deps.settings.arbiters.max(1)).map(|_| Arbiter::new()).collect();
        Self { deps, arbiters, next_arbiter: 0, entries: HashMap::new(), started: 0, closing: false }
    }

    fn session(&mut self, user: UserId) -> Addr<UserSession> {
        let now = self.deps.clock.now();
        if let Some(Entry::Live { session, last_used }) = self.entries.get_mut(&user)
            // After a panic the mailbox is closed; actix does not restart an actor that panicked.
            && session.connected()
        {
            *last_used = now;
            return session.clone();
        }
        let arbiter = self.arbiters[self.next_arbiter % self.arbiters.len()].handle();
        self.next_arbiter = self.next_arbiter.wrapping_add(1);
        self.started += 1;
        let deps = self.deps.clone();
        let session = UserSession::start_in_arbiter(&arbiter, move |_| UserSession::new(user, deps));
        self.entries.insert(user, Entry::Live { session: session.clone(), last_used: now });
        session
    }

    fn sweep_later(&mut self, ctx: &mut Context<Self>) {
        // Often enough that a session outlives its idle time by a quarter at most.
        let wait = self.deps.clock.sleep_until(self.deps.clock.now() + self.deps.settings.idle / 4);
        ctx.spawn(wait.into_actor(self).map(|(), supervisor, ctx| {
            supervisor.sweep(ctx);
            supervisor.sweep_later(ctx);
        }));
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let idle_since = self.deps.clock.now() - self.deps.settings.idle;
        let idle: Vec<UserId> = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::Live { last_used, .. } if *last_used <= idle_since))
            .map(|(user, _)| *user)
            .collect();
        for user in idle {
            if let Some(Entry::Live { session, .. }) = self.entries.remove(&user) {
                let question = session.send(TryLeave);
                self.entries.insert(user, Entry::Leaving { session, waiting: Vec::new() });
                // A session that does not answer any more has left as well.
                let answer = async move { question.await.unwrap_or(true) };
                ctx.spawn(answer.into_actor(self).map(move |left, supervisor, _| supervisor.answered(user, left)));
            }
        }
    }

    fn answered(&mut self, user: UserId, left: bool) {
        let Some(Entry::Leaving { session, waiting }) = self.entries.remove(&user) else {
            return;
        };
        if !left {
            self.entries.insert(user, Entry::Live { session, last_used: self.deps.clock.now() });
        }
        for caller in waiting {
            let answer = if self.closing { Err(CallError::ShuttingDown) } else { Ok(self.session(user)) };
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
        if self.closing {
            return Box::pin(async { Err(CallError::ShuttingDown) });
        }
        if let Some(Entry::Leaving { waiting, .. }) = self.entries.get_mut(&message.user) {
            let (reply, answer) = oneshot::channel();
            waiting.push(reply);
            return Box::pin(async move { answer.await.unwrap_or(Err(CallError::ShuttingDown)) });
        }
        let session = self.session(message.user);
        Box::pin(async move { Ok(session) })
    }
}

impl Handler<FindSession> for SessionSupervisor {
    type Result = Option<Addr<UserSession>>;

    fn handle(&mut self, message: FindSession, _: &mut Self::Context) -> Self::Result {
        self.entries.get(&message.user).map(|entry| match entry {
            Entry::Live { session, .. } | Entry::Leaving { session, .. } => session.clone(),
        })
    }
}

impl Handler<Observe> for SessionSupervisor {
    type Result = SupervisorStats;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        SupervisorStats { sessions: self.entries.len(), started: self.started }
    }
}

impl Handler<BeginShutdown> for SessionSupervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: BeginShutdown, _: &mut Self::Context) -> Self::Result {
        self.closing = true;
        let settled: Vec<_> = self
            .entries
            .values()
            .map(|entry| match entry {
                Entry::Live { session, .. } | Entry::Leaving { session, .. } => session.send(Settled),
            })
            .collect();
        Box::pin(async move {
            join_all(settled).await;
        })
    }
}

impl Handler<StopArbiters> for SessionSupervisor {
    type Result = ();

    fn handle(&mut self, _: StopArbiters, _: &mut Self::Context) {
        self.entries.clear();
        for arbiter in self.arbiters.drain(..) {
            arbiter.stop();
        }
    }
}
