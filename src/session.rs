//! Where a row, a key and the network meet: one actor per user owns that user's decrypted tokens, refreshes them and
//! sends the calls one at a time; a supervisor keeps at most one such actor per user; the allowance is shared by all.
//!
//! Outside this module there is only [`Sessions`].

pub mod admission;
mod allowance;
mod backoff;
pub mod blocks;
pub mod budget;
mod call;
mod chores;
mod command_permits;
mod connecting;
mod directory;
mod error;
mod outcomes;
mod recent;
mod sign_in;
mod supervisor;
mod token_keeper;
mod usage;
mod user_session;
mod window;

use std::{future::pending, sync::Arc};

use actix::prelude::*;
use chrono::{DateTime, TimeDelta};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use admission::{Connector, Crowd, PlaceKey};
pub use allowance::{Allowance, AllowanceSettings, AllowanceStats, Share, take_lock};
pub use backoff::TokenEndpoint;
pub use command_permits::CommandAllowance;
pub use connecting::{ASK_AGAIN_AFTER, Admitted, Turn, WaitReason, Waits};
pub use error::{CallError, ConnectError};
pub use outcomes::WriteOutcome;
pub use recent::RecentAnswers;
pub use sign_in::SignedIn;
pub use supervisor::SupervisorStats;
pub use token_keeper::{StoredTokens, UnsavedCount, stored_tokens};
pub use user_session::SessionStats;

use self::{
    call::{CallOff, CallUpstream, Departure},
    chores::Chores,
    connecting::ConnectQueue,
    directory::Directory,
    outcomes::WriteOutcomes,
    supervisor::{GetSession, SessionSupervisor},
    token_keeper::Credential,
    user_session::{Connect, Disconnect, Panic, Renew, UserSession},
};
use crate::{
    crypto::{KeyRing, SealedFor},
    domain::{AccountId, JsonText, KeyId, SharedClock, TokenSet, UpstreamRequest, UserId},
    metrics::{Metrics, Observed},
    store::{SealedGrant, SealedTokens, Store},
    upstream::{Upstream, UpstreamSettings},
};

/// Bounds of the sessions.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// A call is answered within this time, in one way or the other.
    pub call_deadline: TimeDelta,
    /// Calls of one user that may wait behind the running one.
    pub queue_depth: usize,
    /// A session without calls for this long is offered its leave.
    pub idle: TimeDelta,
    /// Pause between two rounds of the background chores.
    pub chores_every: TimeDelta,
    /// Users who did not connect an account for this long after they registered are removed.
    pub unconnected_for: Option<TimeDelta>,
}

/// What every session needs.
pub struct SessionDeps {
    /// The database.
    pub store: Store,
    /// Opens and seals tokens.
    pub ring: Arc<KeyRing>,
    /// Time.
    pub clock: SharedClock,
    /// The shared allowance.
    pub allowance: Allowance,
    /// How OwnerRez is reached.
    pub upstream: Arc<UpstreamSettings>,
    /// Bounds.
    pub settings: SessionSettings,
    /// What OwnerRez answered of late.
    pub recent: RecentAnswers,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether OwnerRez's token endpoint works.
    pub token_endpoint: TokenEndpoint,
    /// How many users' tokens are in no database.
    pub unsaved: UnsavedCount,
    /// Cancelled when the process begins to stop: from then on no request leaves that has not left.
    pub stop: CancellationToken,
}

impl SessionDeps {
    /// The way to OwnerRez from the calling thread.
    fn upstream_here(&self) -> Upstream {
        Upstream::new(self.upstream.clone(), self.clock.clone(), self.metrics.clone())
    }

    /// Counts the connected accounts anew: how much the allowance keeps in reserve depends on it.
    async fn recount_accounts(&self) {
        match self.store.connected_accounts().await {
            Ok(accounts) => self.allowance.accounts_changed(accounts),
            Err(error) => log::warn!("the connected accounts could not be counted: {error}"),
        }
    }
}

/// What OwnerRez answered to a call that succeeded.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// HTTP status, 200 to 299.
    pub status: u16,
    /// The body; empty where there was none.
    pub body: JsonText,
    /// It is an earlier answer to the same request: OwnerRez was not asked.
    pub remembered: bool,
}

/// The only way into the actors.
#[derive(Clone)]
pub struct Sessions {
    deps: Arc<SessionDeps>,
    directory: Directory,
    supervisor: Addr<SessionSupervisor>,
    chores: Addr<Chores>,
    outcomes: Arc<WriteOutcomes>,
    connecting: Arc<ConnectQueue>,
    control: ArbiterHandle,
}

impl Sessions {
    /// Starts the supervisor and the background chores on the `control` arbiter. A session lives on the thread that its
    /// user's first call came from, so that most calls change no thread.
    pub fn start(control: &ArbiterHandle, deps: SessionDeps) -> Self {
        let (deps, directory) = (Arc::new(deps), Directory::default());
        let (for_supervisor, its_directory) = (deps.clone(), directory.clone());
        let supervisor = SessionSupervisor::start_in_arbiter(control, move |_| {
            SessionSupervisor::new(for_supervisor, its_directory)
        });
        let (for_chores, their_boss) = (deps.clone(), supervisor.clone());
        let chores = Chores::start_in_arbiter(control, move |_| Chores::new(for_chores, their_boss));
        let connecting = ConnectQueue::new(deps.allowance.clone(), deps.clock.clone(), deps.settings.call_deadline);
        let outcomes = WriteOutcomes::new(deps.store.clone(), deps.clock.clone());
        Self { deps, directory, supervisor, chores, connecting, outcomes, control: control.clone() }
    }

    /// Sends one request for a user and waits for the answer's body, at most for the call deadline. Cancelling drops
    /// the call while it waits, and gives a running read up; a write that was sent runs to its end. Once the process has
    /// begun to stop, a call that was not sent is refused at once.
    pub async fn call(
        &self,
        user: UserId,
        request: &Arc<UpstreamRequest>,
        cancel: &CancellationToken,
    ) -> Result<Answer, CallError> {
        let deadline = self.deps.clock.now() + self.deps.settings.call_deadline;
        if self.deps.stop.is_cancelled() {
            return Err(CallError::ShuttingDown);
        }
        let write = request.is_write();
        let departure = Arc::new(Departure::default());
        // Whatever ends this future, a caller that hung up included, a call that was not sent is not sent any more.
        let _gone = CallOff(departure.clone());
        let call = self.ask(user, |reply| CallUpstream {
            request: request.clone(),
            deadline,
            departure: departure.clone(),
            reply,
        });
        let cancelled = async {
            cancel.cancelled().await;
            if write && !departure.call_off() {
                // How it ends is worth knowing.
                pending().await
            }
        };
        let stopped = async {
            self.deps.stop.cancelled().await;
            if !departure.call_off() {
                // It was sent, so its answer is waited for.
                pending().await
            }
        };
        tokio::select! {
            biased;
            outcome = Box::pin(call) => match outcome {
                Ok(outcome) => outcome,
                Err(lost) => Err(lost.with_outcome(write && !departure.call_off())),
            },
            () = cancelled => Err(CallError::Cancelled),
            () = stopped => Err(CallError::ShuttingDown),
            () = self.deps.clock.sleep_until(deadline) => {
                Err(CallError::Deadline { write_may_have_happened: write && !departure.call_off() })
            }
        }
    }

    /// Runs a write in a task of its own, which goes on if the caller leaves; `None` if the task was lost. A stop waits for
    /// it.
    pub async fn run_write<T: Send + 'static>(&self, write: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.outcomes.run(write).await
    }

    /// Records how a write ended: now, or as soon as the database is back.
    pub async fn record_outcome(&self, user: UserId, write: Uuid, outcome: WriteOutcome) {
        self.outcomes.record(user, write, outcome).await;
    }

    /// Stores what is still kept of the outcomes of a user's writes, if the database is back. To be called before
    /// another write of that user is compared with them.
    pub async fn store_outcomes_of(&self, user: UserId) {
        self.outcomes.store_those_of(user).await;
    }

    /// Redeems an authorization code and stores the grant.
    pub async fn connect(
        &self,
        user: UserId,
        code: SecretString,
        admitted: Admitted,
    ) -> Result<Option<AccountId>, ConnectError> {
        self.connect_with(user, || Credential::Code(code.clone()), admitted).await
    }

    /// Tries a personal access token and stores it.
    pub async fn connect_by_token(
        &self,
        user: UserId,
        email: &str,
        token: &SecretString,
        admitted: Admitted,
    ) -> Result<Option<AccountId>, ConnectError> {
        let both = SecretString::from(format!("{email}:{}", token.expose_secret()));
        self.connect_with(user, || Credential::PersonalToken(both.clone()), admitted).await
    }

    async fn connect_with(
        &self,
        user: UserId,
        with: impl Fn() -> Credential,
        admitted: Admitted,
    ) -> Result<Option<AccountId>, ConnectError> {
        let connect = self.ask(user, |reply| Connect { with: with(), admitted: admitted.clone(), reply });
        let account = connect.await.map_err(|_| ConnectError::Interrupted)??;
        self.deps.recount_accounts().await;
        Ok(account)
    }

    /// Takes over the account of a process that serves one person: its token came with the settings and was not tried.
    pub async fn adopt(&self, user: UserId, key: KeyId, tokens: TokenSet) -> Result<(), ConnectError> {
        let access = self.deps.ring.seal(SealedFor::AccessToken(user), &tokens.access)?;
        let sealed = SealedTokens {
            kind: tokens.kind,
            access,
            refresh: None,
            // Long ago, for all that is known: one refusal is enough.
            obtained_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            renew_at: None,
        };
        let grant = SealedGrant { account: None, tokens: sealed };
        self.deps.store.adopt_own_account(user, key, grant, self.deps.clock.now()).await?;
        self.deps.recount_accounts().await;
        Ok(())
    }

    /// Ends a user's connection: at once here, and soon upstream. False where there was none.
    pub async fn disconnect(&self, user: UserId) -> Result<bool, CallError> {
        let ended = self.ask(user, |reply| Disconnect { reply }).await??;
        if ended {
            self.deps.recount_accounts().await;
            self.chores.do_send(chores::Poke);
        }
        Ok(ended)
    }

    /// Ends a user's connection and forgets the user, keys and all. False where there was no such user.
    pub async fn delete_user(&self, user: UserId) -> Result<bool, CallError> {
        // First the session, which may hold tokens that are in no row yet.
        self.ask(user, |reply| Disconnect { reply }).await??;
        let existed = self.deps.store.delete_user(user, Uuid::now_v7(), self.deps.clock.now()).await?;
        self.deps.recount_accounts().await;
        self.chores.do_send(chores::Poke);
        Ok(existed.is_some())
    }

    /// Makes this user's actor panic: tests show with it that nobody else notices.
    #[doc(hidden)]
    pub async fn panic_for_test(&self, user: UserId) {
        if let Ok(session) = self.session(user).await {
            let _ = session.send(Panic).await;
        }
    }

    /// Figures of the sessions.
    pub async fn observe(&self) -> Option<SupervisorStats> {
        self.supervisor.send(supervisor::Observe).await.ok()
    }

    /// Figures of one user's session, if it lives.
    pub async fn observe_session(&self, user: UserId) -> Option<SessionStats> {
        let session = self.supervisor.send(supervisor::FindSession { user }).await.ok()??;
        session.send(user_session::Observe).await.ok()
    }

    /// Requests to OwnerRez in five minutes that this process may send (UPSTREAM_LIMIT).
    pub fn request_limit(&self) -> u32 {
        self.deps.allowance.limit()
    }

    /// Figures of the allowance.
    pub async fn observe_allowance(&self) -> Option<AllowanceStats> {
        self.deps.allowance.observe().await
    }

    /// The figures that the actors keep, for a scrape. What a stopped actor counted reads as zero.
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

    /// Runs the background chores now instead of at their next time, and waits for them.
    pub async fn do_chores(&self) {
        let _ = self.chores.send(chores::RunNow).await;
    }

    /// Begins the stop: calls that were not sent are refused, and no request leaves that has not left.
    pub fn begin_stop(&self) {
        self.deps.stop.cancel();
    }

    /// Returns how many users' tokens are in no database. They are lost if the process ends now.
    pub fn unsaved(&self) -> usize {
        self.deps.unsaved.get()
    }

    /// Lets what runs come to its end and tokens be stored (the caller bounds the wait), then gives the allowance back.
    pub async fn drain(&self) {
        let _ = self.supervisor.send(supervisor::BeginShutdown).await;
        tokio::join!(self.deps.allowance.close(), self.outcomes.drain());
    }

    /// Writes down what is only in memory.
    pub async fn write_down(&self) {
        self.deps.allowance.write_usage(&self.deps.store).await;
        if let left @ 1.. = self.outcomes.left() {
            log::warn!("the outcomes of {left} writes could not be stored; they read as unknown for 15 minutes");
        }
    }

    /// Ends. Nothing can be asked afterwards.
    pub async fn stop(self) {
        let _ = self.supervisor.send(supervisor::Forget).await;
        self.control.stop();
    }

    /// The user's session: the one that lives, or the supervisor's answer.
    async fn session(&self, user: UserId) -> Result<Addr<UserSession>, CallError> {
        if let Some(session) = self.directory.live(user, self.deps.clock.now()) {
            return Ok(session);
        }
        let on = Arbiter::try_current().unwrap_or_else(|| self.control.clone());
        self.supervisor.send(GetSession { user, on }).await.map_err(|_| CallError::ShuttingDown)?
    }

    /// Hands a message to the user's session and waits for its reply. An actor that had left, or died, before it read
    /// the message is replaced once; one that dies over the message is not asked again.
    async fn ask<M, T>(&self, user: UserId, message: impl Fn(oneshot::Sender<T>) -> M) -> Result<T, CallError>
    where
        M: Message<Result = ()> + Send + 'static,
        UserSession: Handler<M>,
    {
        for _ in 0..2 {
            let session = self.session(user).await?;
            let (reply, answer) = oneshot::channel();
            // On its way already: an address of our own is never full. That the message was read is asked only where no
            // answer comes, because to be told so every time would wake this thread twice for each call.
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

    /// Renews a user's tokens if they are due. For the chores.
    async fn renew(supervisor: &Addr<SessionSupervisor>, user: UserId) -> Result<(), CallError> {
        let on = Arbiter::current();
        let session = supervisor.send(GetSession { user, on }).await.map_err(|_| CallError::ShuttingDown)??;
        let (reply, answer) = oneshot::channel();
        session.send(Renew { reply }).await.map_err(|_| CallError::ShuttingDown)?;
        answer.await.map_err(|_| CallError::SessionLost { write_may_have_happened: false })?
    }
}
