//! The handle to the session actors.

use std::{future::pending, sync::Arc};

use actix::prelude::*;
use chrono::DateTime;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    allowance::AllowanceStats,
    answer::Answer,
    background_jobs::{self, BackgroundJobs},
    call_error::CallError,
    connect_credential::ConnectCredential,
    connect_error::ConnectError,
    connecting::{Admitted, ConnectQueue, Turn},
    messages::{self, CallUpstream, Connect, Disconnect, Panic},
    outcomes::{WriteOutcome, WriteOutcomes},
    registry::SessionRegistry,
    send_state::{CancelOnDrop, SendState},
    session_deps::SessionDeps,
    session_stats::SessionStats,
    supervisor::{self, GetSession, SessionSupervisor, SupervisorStats},
    user_session::UserSession,
};
use crate::{
    allowance::{AllowanceError, AttemptOrigin, PlaceKey},
    crypto::EncryptionContext,
    domain::{AccountId, KeyId, TokenSet, UpstreamRequest, UserId},
    metrics::Observed,
    store::{SealedGrant, SealedTokens},
};

/// The handle to the session actors.
#[derive(Clone)]
pub struct Sessions {
    pub(super) deps: Arc<SessionDeps>,
    registry: SessionRegistry,
    supervisor: Addr<SessionSupervisor>,
    background_jobs: Addr<BackgroundJobs>,
    outcomes: Arc<WriteOutcomes>,
    connecting: Arc<ConnectQueue>,
    control: ArbiterHandle,
}

impl Sessions {
    /// Starts the supervisor and the background jobs on the `control` arbiter. A session runs on the thread that
    /// received its user's first call, so that most calls do not switch threads.
    pub fn start(control: &ArbiterHandle, deps: SessionDeps) -> Self {
        let (deps, registry) = (Arc::new(deps), SessionRegistry::default());
        let (for_supervisor, its_registry) = (deps.clone(), registry.clone());
        let supervisor =
            SessionSupervisor::start_in_arbiter(control, move |_| SessionSupervisor::new(for_supervisor, its_registry));
        let (for_jobs, their_supervisor) = (deps.clone(), supervisor.clone());
        let background_jobs =
            BackgroundJobs::start_in_arbiter(control, move |_| BackgroundJobs::new(for_jobs, their_supervisor));
        let connecting = ConnectQueue::new(deps.allowance.clone(), deps.clock.clone(), deps.settings.call_deadline);
        let outcomes = WriteOutcomes::new(deps.store.clone(), deps.clock.clone());
        Self { deps, registry, supervisor, background_jobs, connecting, outcomes, control: control.clone() }
    }

    /// Sends one request for a user and waits for the response, up to the call deadline. Cancelling drops a waiting
    /// call and a running read; a write that was sent runs to its end. During shutdown, a call that was not sent is
    /// rejected at once.
    pub async fn call(
        &self,
        user: UserId,
        request: &Arc<UpstreamRequest>,
        cancel: &CancellationToken,
    ) -> Result<Answer, CallError> {
        self.call_with(user, request, cancel, &Arc::default()).await
    }

    /// Sends one request as [`Sessions::call`] does, and also returns the number of requests that OwnerRez was sent: none
    /// for a cached response, more than one if the session repeated a read or replaced a rejected token.
    pub async fn call_counted(
        &self,
        user: UserId,
        request: &Arc<UpstreamRequest>,
        cancel: &CancellationToken,
    ) -> (Result<Answer, CallError>, u32) {
        let send_state = Arc::<SendState>::default();
        let outcome = self.call_with(user, request, cancel, &send_state).await;
        (outcome, send_state.attempts())
    }

    async fn call_with(
        &self,
        user: UserId,
        request: &Arc<UpstreamRequest>,
        cancel: &CancellationToken,
        send_state: &Arc<SendState>,
    ) -> Result<Answer, CallError> {
        let deadline = self.deps.clock.now() + self.deps.settings.call_deadline;
        if self.deps.stop.is_cancelled() {
            return Err(CallError::ShuttingDown);
        }
        let write = request.is_write();
        // However this future ends, even by disconnection of the client, an unsent call is not sent any more.
        let _gone = CancelOnDrop(send_state.clone());
        let call = self.ask(user, |reply| CallUpstream {
            request: request.clone(),
            deadline,
            send_state: send_state.clone(),
            reply,
        });
        let cancelled = async {
            cancel.cancelled().await;
            if write && !send_state.try_cancel() {
                // The outcome of a sent write is needed.
                pending().await
            }
        };
        let stopped = async {
            self.deps.stop.cancelled().await;
            if !send_state.try_cancel() {
                // The request was sent, so its response is awaited.
                pending().await
            }
        };
        tokio::select! {
            biased;
            outcome = Box::pin(call) => match outcome {
                Ok(outcome) => outcome,
                Err(lost) => Err(lost.with_outcome(write && !send_state.try_cancel())),
            },
            () = cancelled => Err(CallError::Cancelled),
            () = stopped => Err(CallError::ShuttingDown),
            () = self.deps.clock.sleep_until(deadline) => {
                Err(CallError::Deadline { write_may_have_happened: write && !send_state.try_cancel() })
            }
        }
    }

    /// Runs a write in a separate task, which continues if the caller is dropped; `None` if the task was lost. Shutdown
    /// waits for the task.
    pub async fn run_write<T: Send + 'static>(&self, write: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.outcomes.run(write).await
    }

    /// Records the outcome of a write, now or as soon as the database is available.
    pub async fn record_outcome(&self, user: UserId, write: Uuid, outcome: WriteOutcome) {
        self.outcomes.record(user, write, outcome).await;
    }

    /// Stores the outcomes of a user's writes that are still in memory, if the database is available. Call it before
    /// another write of that user is compared with them.
    pub async fn store_outcomes_of(&self, user: UserId) {
        self.outcomes.store_those_of(user).await;
    }

    /// Asks for the right to try one code or personal token. The place of a waiting caller is kept under `key`.
    ///
    /// # Errors
    /// The gateway may not spend now: it is on standby, or its database is unavailable.
    pub async fn request_turn(&self, key: PlaceKey, origin: AttemptOrigin) -> Result<Turn, AllowanceError> {
        self.connecting.turn(key, origin).await
    }

    /// Redeems an authorization code and stores the grant.
    pub async fn connect(
        &self,
        user: UserId,
        code: SecretString,
        admitted: Admitted,
    ) -> Result<Option<AccountId>, ConnectError> {
        self.connect_with(user, || ConnectCredential::Code(code.clone()), admitted).await
    }

    /// Checks a personal access token and stores it.
    pub async fn connect_by_token(
        &self,
        user: UserId,
        email: &str,
        token: &SecretString,
        admitted: Admitted,
    ) -> Result<Option<AccountId>, ConnectError> {
        let both = SecretString::from(format!("{email}:{}", token.expose_secret()));
        self.connect_with(user, || ConnectCredential::PersonalToken(both.clone()), admitted).await
    }

    async fn connect_with(
        &self,
        user: UserId,
        with: impl Fn() -> ConnectCredential,
        admitted: Admitted,
    ) -> Result<Option<AccountId>, ConnectError> {
        let connect = self.ask(user, |reply| Connect { with: with(), admitted: admitted.clone(), reply });
        let account = connect.await.map_err(|_| ConnectError::Interrupted)??;
        self.deps.recount_accounts().await;
        Ok(account)
    }

    /// Registers the user and the connection of a single-user process. The token comes from the settings and has not
    /// been checked.
    pub async fn register_single_user(&self, user: UserId, key: KeyId, tokens: TokenSet) -> Result<(), ConnectError> {
        let access = self.deps.ring.seal(EncryptionContext::AccessToken(user), &tokens.access)?;
        let sealed = SealedTokens {
            kind: tokens.kind,
            access,
            refresh: None,
            // The date of issue is unknown. With an old date, one rejection ends the connection.
            obtained_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            renew_at: None,
        };
        let grant = SealedGrant { account: None, tokens: sealed };
        self.deps.store.register_single_user(user, key, grant, self.deps.clock.now()).await?;
        self.deps.recount_accounts().await;
        Ok(())
    }

    /// Ends a user's connection: locally at once, and at OwnerRez soon. Returns `false` if there was no connection.
    pub async fn disconnect(&self, user: UserId) -> Result<bool, CallError> {
        let ended = self.ask(user, |reply| Disconnect { reply }).await??;
        if ended {
            self.deps.recount_accounts().await;
            self.background_jobs.do_send(background_jobs::RunSoon);
        }
        Ok(ended)
    }

    /// Ends a user's connection and deletes the user with all keys. Returns `false` if the user did not exist.
    pub async fn delete_user(&self, user: UserId) -> Result<bool, CallError> {
        // The session first, because it may have tokens that are not in any row yet.
        self.ask(user, |reply| Disconnect { reply }).await??;
        let existed = self.deps.store.delete_user(user, Uuid::now_v7(), self.deps.clock.now()).await?;
        self.deps.recount_accounts().await;
        self.background_jobs.do_send(background_jobs::RunSoon);
        Ok(existed.is_some())
    }

    /// Makes this user's actor panic, so that tests can show that other users are unaffected.
    #[doc(hidden)]
    pub async fn panic_for_test(&self, user: UserId) {
        if let Ok(session) = self.session(user).await {
            let _ = session.send(Panic).await;
        }
    }

    /// Returns statistics of the sessions.
    pub async fn observe(&self) -> Option<SupervisorStats> {
        self.supervisor.send(supervisor::Observe).await.ok()
    }

    /// Returns statistics of one user's session, if it exists.
    pub async fn observe_session(&self, user: UserId) -> Option<SessionStats> {
        let session = self.supervisor.send(supervisor::FindSession { user }).await.ok()??;
        session.send(messages::Observe).await.ok()
    }

    /// Returns the number of requests to OwnerRez in five minutes that this process may send (UPSTREAM_LIMIT).
    pub fn request_limit(&self) -> u32 {
        self.deps.allowance.limit()
    }

    /// Returns statistics of the allowance.
    pub async fn observe_allowance(&self) -> Option<AllowanceStats> {
        self.deps.allowance.observe().await
    }

    /// Returns the actors' metrics for a scrape. The values of a stopped actor are zero.
    pub async fn observed(&self) -> Observed {
        let (sessions, allowance) = tokio::join!(self.observe(), self.observe_allowance());
        let budget = allowance.map(|stats| stats.budget).unwrap_or_default();
        Observed {
            sessions: sessions.map_or(0, |stats| stats.sessions),
            allowance_used: budget.occupied,
            allowance_limit: budget.limit,
            allowance_in_flight: budget.in_flight,
            allowance_waiting: budget.waiting,
            allowance_active: allowance.is_some_and(|stats| stats.active),
        }
    }

    /// Runs the background jobs now and waits for them.
    pub async fn run_background_jobs(&self) {
        let _ = self.background_jobs.send(background_jobs::RunNow).await;
    }

    /// Begins the shutdown: unsent calls are rejected, and no new request is sent.
    pub fn begin_stop(&self) {
        self.deps.stop.cancel();
    }

    /// Returns the number of users whose tokens are not in the database. They are lost if the process ends now.
    pub fn unsaved(&self) -> usize {
        self.deps.unsaved.get()
    }

    /// Waits until running jobs have ended and tokens are stored (the caller limits the wait), then releases the
    /// allowance.
    pub async fn drain(&self) {
        let _ = self.supervisor.send(supervisor::BeginShutdown).await;
        tokio::join!(self.deps.allowance.close(), self.outcomes.drain());
    }

    /// Writes the data that is only in memory to the database.
    pub async fn flush_usage(&self) {
        self.deps.allowance.write_usage(&self.deps.store).await;
        if let left @ 1.. = self.outcomes.left() {
            log::warn!(
                "the outcomes of {left} writes could not be stored; they are reported as unknown for 15 minutes"
            );
        }
    }

    /// Stops the actors. No call is possible afterwards.
    pub async fn stop(self) {
        let _ = self.supervisor.send(supervisor::DropSessions).await;
        self.control.stop();
    }

    /// Returns the user's session from the directory, or else from the supervisor.
    async fn session(&self, user: UserId) -> Result<Addr<UserSession>, CallError> {
        if let Some(session) = self.registry.live(user, self.deps.clock.now()) {
            return Ok(session);
        }
        let on = Arbiter::try_current().unwrap_or_else(|| self.control.clone());
        self.supervisor.send(GetSession { user, on }).await.map_err(|_| CallError::ShuttingDown)?
    }

    /// Sends a message to the user's session and waits for the reply. If the actor stopped before it read the message,
    /// a new one is tried once. If it stopped while handling the message, the message is not sent again.
    pub(super) async fn ask<M, T>(
        &self,
        user: UserId,
        message: impl Fn(oneshot::Sender<T>) -> M,
    ) -> Result<T, CallError>
    where
        M: Message<Result = ()> + Send + 'static,
        UserSession: Handler<M>,
    {
        for _ in 0..2 {
            let session = self.session(user).await?;
            let (reply, answer) = oneshot::channel();
            // The message is queued already: a cloned address accepts one message even if the mailbox is full. Whether
            // it was read is only checked if there is no reply, because waiting for both would wake this thread twice
            // for each call.
            let read = session.send(message(reply));
            if let Ok(answer) = answer.await {
                return Ok(answer);
            }
            if read.await.is_ok() {
                break;
            }
        }
        Err(CallError::SessionLost { write_may_have_happened: false })
    }
}
