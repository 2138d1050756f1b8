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

use super::allowance::{Allowance, Permit};
use crate::{
    allowance::{
        Account, Admission, Ahead, AllowanceError, Attempt, AttemptOrigin, CodeVerdict, Decision, Obstacle, PlaceKey,
        QueueScope,
    },
    domain::{SharedClock, UserId},
    upstream::TokenError,
};

/// The interval at which a waiting caller asks again. A caller that does not loses its turn, and its place after a
/// minute.
pub const ASK_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(5);
/// How long a request is delayed while another attempt from the same network ends.
const HOLD_TIME: TimeDelta = TimeDelta::seconds(5);

/// The result of asking for a turn.
pub enum Turn {
    /// The attempt may begin.
    Admitted(Admitted),
    /// The attempt has to wait: ask again after [`ASK_AGAIN_AFTER`].
    Wait(QueueWait),
}

/// An attempt that waits for its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueWait {
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
    NoPlace(QueueScope),
}

impl QueueWait {
    fn behind(ahead: Ahead, why: Obstacle, about: TimeDelta) -> Self {
        let reason = match why {
            Obstacle::NoPermit => WaitReason::Limit(ahead.all),
            Obstacle::OwnShare(requests) => WaitReason::OwnShare { requests, ahead: ahead.network },
            Obstacle::BadCodes => WaitReason::BadCodes,
            Obstacle::UnderWay => WaitReason::UnderWay,
        };
        Self { reason, about }
    }
}

impl Turn {
    /// Returns the turn of an attempt that only waits for another one to end.
    fn retry_soon() -> Self {
        Self::Wait(QueueWait { reason: WaitReason::UnderWay, about: ASK_AGAIN_AFTER })
    }
}

/// The right to try one code or personal token. Clones are the same right; it costs nothing if it is dropped unused.
#[derive(Clone)]
pub struct Admitted(Arc<ActiveAttempt>);

struct ActiveAttempt {
    queue: Arc<ConnectQueue>,
    origin: AttemptOrigin,
    attempt: Attempt,
    permit: Mutex<Option<Permit>>,
    requests: AtomicU32,
}

impl Admitted {
    /// Returns the permit once, for this user. It counts as spent from here on.
    pub(super) fn spend(&self, user: UserId) -> Option<Permit> {
        let mut permit = lock(&self.0.permit).take()?;
        permit.set_user(user);
        permit.sending();
        self.count_request();
        Some(permit)
    }

    /// Counts a further request for the same attempt.
    pub(super) fn count_request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Records OwnerRez's response to the code or personal token. Only a response about the code itself is a verdict.
    pub(super) fn judge<T>(&self, outcome: &Result<T, TokenError>) {
        let verdict = match outcome {
            Ok(_) => CodeVerdict::Good,
            // 400, 414 and 431: OwnerRez could not even parse the code.
            Err(
                TokenError::InvalidGrant
                | TokenError::InvalidPersonalToken(_)
                | TokenError::Unexpected(400 | 414 | 431),
            ) => CodeVerdict::Bad,
            Err(_) => return,
        };
        let ActiveAttempt { queue, origin, .. } = &*self.0;
        queue.lock().judge(queue.clock.now(), *origin, verdict);
    }
}

impl Drop for ActiveAttempt {
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
    permit_timeout: TimeDelta,
}

impl ConnectQueue {
    pub(super) fn new(allowance: Allowance, clock: SharedClock, permit_timeout: TimeDelta) -> Arc<Self> {
        let admission = Mutex::new(Admission::new(allowance.limit()));
        Arc::new(Self { admission, changed: Notify::new(), allowance, clock, permit_timeout })
    }

    fn lock(&self) -> MutexGuard<'_, Admission> {
        lock(&self.admission)
    }

    /// Asks for a turn. Waits a few seconds if only an attempt from the same network has to end.
    pub(super) async fn turn(self: &Arc<Self>, key: PlaceKey, origin: AttemptOrigin) -> Result<Turn, AllowanceError> {
        let until = self.clock.now() + HOLD_TIME;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let (answer, requested) = {
                let mut admission = self.lock();
                let now = self.clock.now();
                let answer = admission.request_turn(now, key, origin, self.allowance.permits_for_connecting());
                // Under the same lock, so that no two attempts take the same permit.
                let requested = match answer {
                    Decision::Admitted(attempt) => {
                        let deadline = now + self.permit_timeout;
                        let requested = self.allowance.request(UserId(Uuid::nil()), Account::Connecting, deadline);
                        Some((AdmissionGuard { queue: self, key, attempt: Some(attempt) }, requested))
                    }
                    Decision::Wait { .. } | Decision::Full(_) => None,
                };
                (answer, requested)
            };
            if let Some((mut guard, requested)) = requested {
                match requested.decision().await {
                    Ok(permit) => return Ok(guard.done(origin, permit)),
                    Err(AllowanceError::Spent { wait: about, .. } | AllowanceError::Throttled(about)) => {
                        guard.put_back();
                        return Ok(Turn::Wait(QueueWait { reason: WaitReason::Limit(0), about }));
                    }
                    Err(refusal) => {
                        guard.put_back();
                        return Err(refusal);
                    }
                }
            }
            match answer {
                Decision::Wait { soon: true, .. } if self.clock.now() < until => {
                    tokio::select! {
                        () = changed => {}
                        () = self.clock.sleep_until(until) => {}
                    }
                }
                Decision::Wait { soon: true, .. } | Decision::Admitted(_) => return Ok(Turn::retry_soon()),
                Decision::Wait { ahead, soon: false } => {
                    let (why, about) = self.forecast(&key, origin, ahead)?;
                    return Ok(Turn::Wait(QueueWait::behind(ahead, why, about)));
                }
                Decision::Full(scope) => {
                    let (_, about) = self.forecast(&key, origin, Ahead::default())?;
                    return Ok(Turn::Wait(QueueWait { reason: WaitReason::NoPlace(scope), about }));
                }
            }
        }
    }

    /// Returns why an attempt waits, and for how long.
    fn forecast(
        &self,
        key: &PlaceKey,
        origin: AttemptOrigin,
        ahead: Ahead,
    ) -> Result<(Obstacle, TimeDelta), AllowanceError> {
        let admission = self.lock();
        let forecast = self.allowance.forecast_for_connecting().ok_or(AllowanceError::Standby)?;
        let now = self.clock.now();
        let (why, at) = admission.estimate_turn(now, key, origin, ahead, &forecast);
        Ok((why, at - now))
    }
}

/// An admitted attempt without a permit. Dropping it, because its caller went away, returns the turn.
struct AdmissionGuard<'a> {
    queue: &'a Arc<ConnectQueue>,
    key: PlaceKey,
    attempt: Option<Attempt>,
}

impl AdmissionGuard<'_> {
    fn done(&mut self, origin: AttemptOrigin, permit: Permit) -> Turn {
        let Some(attempt) = self.attempt.take() else { return Turn::retry_soon() };
        self.queue.lock().leave(&self.key);
        Turn::Admitted(Admitted(Arc::new(ActiveAttempt {
            queue: self.queue.clone(),
            origin,
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

impl Drop for AdmissionGuard<'_> {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            let mut admission = self.queue.lock();
            admission.leave(&self.key);
            admission.end(self.queue.clock.now(), attempt, 0);
        }
    }
}

/// Ignores poisoning: a panic under this lock leaves no partial update.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
