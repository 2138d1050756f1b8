//! Turns an attempt to connect into a permit, with [`Admission`] and the budget together.
//!
//! A caller gets the permit before it consumes the state and the code, which are single-use. So a caller that has to
//! wait loses nothing and asks again with the same key.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use chrono::TimeDelta;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    Sessions,
    admission::{Admission, Ahead, Answer, Attempt, Connector, Crowd, PlaceKey, Verdict, Why},
    allowance::{Allowance, Permit},
    budget::{Account, Refusal},
};
use crate::{
    domain::{SharedClock, UserId},
    upstream::TokenError,
};

/// The interval at which a waiting caller asks again. A caller that does not loses its turn, and its place after a
/// minute.
pub const ASK_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(5);
/// How long a request is delayed while another attempt from the same network ends.
const HELD: TimeDelta = TimeDelta::seconds(5);

/// The result of asking for a turn.
pub enum Turn {
    /// The attempt may begin.
    Admitted(Admitted),
    /// The attempt has to wait: ask again after [`ASK_AGAIN_AFTER`].
    Wait(Waits),
}

/// An attempt that waits for its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// The reason for waiting.
    pub reason: WaitReason,
    /// The time until its turn may come, or a place becomes free, if no others arrive.
    pub about: TimeDelta,
}

/// Reasons for waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitReason {
    /// OwnerRez's limit leaves no request for it at this moment. This many attempts go first.
    Limit(u32),
    /// Its source or its network has reached its limit of requests.
    OwnShare {
        /// The limit.
        requests: u32,
        /// Attempts of the same network that go first.
        ahead: u32,
    },
    /// OwnerRez rejected codes of its source, network or user. Such attempts go last.
    BadCodes,
    /// Another attempt of its network has to end first.
    UnderWay,
    /// The queue is full, so it has no place.
    NoPlace(Crowd),
}

impl Waits {
    fn behind(ahead: Ahead, why: Why, about: TimeDelta) -> Self {
        let reason = match why {
            Why::NoPermit => WaitReason::Limit(ahead.all),
            Why::OwnShare(requests) => WaitReason::OwnShare { requests, ahead: ahead.network },
            Why::BadCodes => WaitReason::BadCodes,
            Why::UnderWay => WaitReason::UnderWay,
        };
        Self { reason, about }
    }
}

impl Turn {
    /// Returns the turn of an attempt that only waits for another one to end.
    fn soon() -> Self {
        Self::Wait(Waits { reason: WaitReason::UnderWay, about: ASK_AGAIN_AFTER })
    }
}

/// The right to try one code or personal token. Clones are the same right; it costs nothing if it is dropped unused.
#[derive(Clone)]
pub struct Admitted(Arc<Started>);

struct Started {
    queue: Arc<ConnectQueue>,
    connector: Connector,
    attempt: Attempt,
    permit: Mutex<Option<Permit>>,
    requests: AtomicU32,
}

impl Admitted {
    /// Returns the permit once, for this user. It counts as spent from here on.
    pub(super) fn spend(&self, user: UserId) -> Option<Permit> {
        let mut permit = lock(&self.0.permit).take()?;
        permit.in_name_of(user);
        permit.sending();
        self.spent_one_more();
        Some(permit)
    }

    /// Counts a further request for the same attempt.
    pub(super) fn spent_one_more(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Records OwnerRez's response to the code or personal token. Only a response about the code itself is a verdict.
    pub(super) fn judge<T>(&self, outcome: &Result<T, TokenError>) {
        let verdict = match outcome {
            Ok(_) => Verdict::Good,
            // 400, 414 and 431: OwnerRez could not even parse the code.
            Err(TokenError::Refused | TokenError::PersonalRefused(_) | TokenError::Unexpected(400 | 414 | 431)) => {
                Verdict::Bad
            }
            Err(_) => return,
        };
        let Started { queue, connector, .. } = &*self.0;
        queue.lock().judge(queue.clock.now(), *connector, verdict);
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Return the permit to the budget first, so that the next attempt finds it there.
        drop(lock(&self.permit).take());
        let requests = self.requests.load(Ordering::Relaxed);
        self.queue.lock().end(self.queue.clock.now(), self.attempt, requests);
        self.queue.changed.notify_waiters();
    }
}

/// The queue of all attempts to connect, in front of the window.
pub(super) struct ConnectQueue {
    admission: Mutex<Admission>,
    /// Notified when an attempt has ended.
    changed: Notify,
    allowance: Allowance,
    clock: SharedClock,
    /// How long an admitted attempt waits for the permit to be reserved in the database.
    patience: TimeDelta,
}

impl ConnectQueue {
    pub(super) fn new(allowance: Allowance, clock: SharedClock, patience: TimeDelta) -> Arc<Self> {
        let admission = Mutex::new(Admission::new(allowance.limit()));
        Arc::new(Self { admission, changed: Notify::new(), allowance, clock, patience })
    }

    fn lock(&self) -> MutexGuard<'_, Admission> {
        lock(&self.admission)
    }

    /// Asks for a turn. Waits a few seconds if only an attempt from the same network has to end.
    async fn turn(self: &Arc<Self>, key: PlaceKey, connector: Connector) -> Result<Turn, Refusal> {
        let until = self.clock.now() + HELD;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let (answer, requested) = {
                let mut admission = self.lock();
                let now = self.clock.now();
                let answer = admission.ask(now, key, connector, self.allowance.permits_for_connecting());
                // Under the same lock, so that no two attempts take the same permit.
                let requested = match answer {
                    Answer::Admitted(attempt) => {
                        let deadline = now + self.patience;
                        let requested = self.allowance.request(UserId(Uuid::nil()), Account::Connecting, deadline);
                        Some((Entering { queue: self, key, attempt: Some(attempt) }, requested))
                    }
                    Answer::Wait { .. } | Answer::Full(_) => None,
                };
                (answer, requested)
            };
            if let Some((mut entering, requested)) = requested {
                match requested.decided().await {
                    Ok(permit) => return Ok(entering.done(connector, permit)),
                    Err(Refusal::Spent { wait: about, .. } | Refusal::Throttled(about)) => {
                        entering.put_back();
                        return Ok(Turn::Wait(Waits { reason: WaitReason::Limit(0), about }));
                    }
                    Err(refusal) => {
                        entering.put_back();
                        return Err(refusal);
                    }
                }
            }
            match answer {
                Answer::Wait { soon: true, .. } if self.clock.now() < until => {
                    tokio::select! {
                        () = changed => {}
                        () = self.clock.sleep_until(until) => {}
                    }
                }
                Answer::Wait { soon: true, .. } | Answer::Admitted(_) => return Ok(Turn::soon()),
                Answer::Wait { ahead, soon: false } => {
                    let (why, about) = self.forecast(&key, connector, ahead)?;
                    return Ok(Turn::Wait(Waits::behind(ahead, why, about)));
                }
                Answer::Full(crowd) => {
                    let (_, about) = self.forecast(&key, connector, Ahead::default())?;
                    return Ok(Turn::Wait(Waits { reason: WaitReason::NoPlace(crowd), about }));
                }
            }
        }
    }

    /// Returns why an attempt waits, and for how long.
    fn forecast(&self, key: &PlaceKey, connector: Connector, ahead: Ahead) -> Result<(Why, TimeDelta), Refusal> {
        let admission = self.lock();
        let forecast = self.allowance.forecast_for_connecting().ok_or(Refusal::Standby)?;
        let now = self.clock.now();
        let (why, at) = admission.turn_at(now, key, connector, ahead, &forecast);
        Ok((why, at - now))
    }
}

/// An admitted attempt without a permit. Dropping it, because its caller went away, returns the turn.
struct Entering<'a> {
    queue: &'a Arc<ConnectQueue>,
    key: PlaceKey,
    attempt: Option<Attempt>,
}

impl Entering<'_> {
    fn done(&mut self, connector: Connector, permit: Permit) -> Turn {
        let Some(attempt) = self.attempt.take() else { return Turn::soon() };
        self.queue.lock().leave(&self.key);
        Turn::Admitted(Admitted(Arc::new(Started {
            queue: self.queue.clone(),
            connector,
            attempt,
            permit: Mutex::new(Some(permit)),
            requests: AtomicU32::new(0),
        })))
    }

    fn put_back(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.queue.lock().put_back(self.queue.clock.now(), &self.key, attempt);
        }
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            let mut admission = self.queue.lock();
            admission.leave(&self.key);
            admission.end(self.queue.clock.now(), attempt, 0);
        }
    }
}

impl Sessions {
    /// Asks for the right to try one code or personal token. The place of a waiting caller is kept under `key`.
    ///
    /// # Errors
    /// The gateway may not spend now: it is on standby, or its database is unavailable.
    pub async fn turn_to_connect(&self, key: PlaceKey, connector: Connector) -> Result<Turn, Refusal> {
        self.connecting.turn(key, connector).await
    }
}

/// Ignores poisoning: a panic under this lock leaves no partial update.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
