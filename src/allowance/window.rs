//! The window that all sessions share: [`Budget`], the blocks that its permits come from, and the waiting callers.
//!
//! It is behind a mutex that is locked for one event and never across an `await`. Most permits are granted at once, and
//! asking an actor on another thread for each of them would cost more than the rest of a call. Slow work, the database
//! and the timer, is done by the actor, which is woken when there is some.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{
    account::Account, action::Action, allowance_error::AllowanceError, blocks::Blocks, budget::Budget, event::Event,
    ticket::Ticket,
};

/// The decision on a requested permit.
pub(crate) type Verdict = Result<(), AllowanceError>;

/// The shared handle to one window.
#[derive(Clone)]
pub(crate) struct SharedWindow(Arc<Mutex<Window>>);

/// The state behind the lock.
pub(crate) struct Window {
    pub(crate) budget: Budget,
    pub(crate) blocks: Blocks,
    tickets: u64,
    waiting: BTreeMap<Ticket, oneshot::Sender<Verdict>>,
    /// Permits that must be written to the database, until the actor takes the request.
    pub(crate) wanted: Option<u32>,
    /// When the actor's timer fires.
    pub(crate) alarm: Option<DateTime<Utc>>,
}

/// The state of a request right after it was made.
pub(crate) enum AcquireResult {
    /// Decided.
    Decided(Verdict),
    /// The request waits; the decision arrives here.
    Pending(oneshot::Receiver<Verdict>),
}

impl SharedWindow {
    /// Creates an empty window of this many requests.
    pub(crate) fn new(limit: u32, now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Window {
            budget: Budget::new(limit, now),
            blocks: Blocks::default(),
            tickets: 0,
            waiting: BTreeMap::new(),
            wanted: None,
            alarm: None,
        })))
    }

    /// Ignores poisoning: an event is applied completely before any caller is notified.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Returns a ticket that was never used.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Requests a permit for one request.
    pub(crate) fn acquire(
        &mut self,
        now: DateTime<Utc>,
        ticket: Ticket,
        account: Account,
        deadline: DateTime<Utc>,
    ) -> AcquireResult {
        let (reply, mut answer) = oneshot::channel();
        self.waiting.insert(ticket, reply);
        self.handle(now, Event::Acquire { ticket, account, deadline });
        match answer.try_recv() {
            Ok(verdict) => AcquireResult::Decided(verdict),
            Err(_) => AcquireResult::Pending(answer),
        }
    }

    /// Applies an event and notifies the callers concerned. Afterwards, [`Self::needs_wake`] returns whether the
    /// actor has work.
    pub(crate) fn handle(&mut self, now: DateTime<Utc>, event: Event) {
        match event {
            Event::Done { ticket, at } | Event::Throttled { ticket, at, .. } => self.blocks.settle(ticket, true, at),
            Event::Cancel(ticket) => {
                self.waiting.remove(&ticket);
                self.blocks.settle(ticket, false, now);
            }
            _ => {}
        }
        for action in self.budget.handle(now, event) {
            match action {
                Action::Grant(ticket) => {
                    self.blocks.spend(ticket);
                    self.answer(ticket, Ok(()));
                }
                Action::Refuse(ticket, refusal) => self.answer(ticket, Err(refusal)),
                Action::Stock(permits) => self.wanted = Some(permits),
            }
        }
    }

    /// If the caller has gone away, the permit is returned by the drop of its guard, which waits for this lock.
    fn answer(&mut self, ticket: Ticket, verdict: Verdict) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            let _ = waiting.send(verdict);
        }
    }

    /// Returns whether the actor has work, or its timer is set too late.
    pub(crate) fn needs_wake(&self) -> bool {
        let late = self.budget.wake_at().is_some_and(|at| self.alarm.is_none_or(|alarm| at < alarm));
        self.wanted.is_some() || late
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::domain::UserId;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const ACCOUNT: Account = Account::User(UserId(Uuid::nil()));

    /// Returns a window of one request that may be spent and is in stock.
    fn window_of_one() -> Window {
        let shared = SharedWindow::new(1, NOW);
        let mut window = Arc::into_inner(shared.0).unwrap().into_inner().unwrap();
        window.handle(NOW, Event::Active(true));
        assert_eq!(window.wanted.take(), Some(1), "the actor's first errand");
        window.blocks.open(Uuid::nil(), 1);
        window.handle(NOW, Event::Stocked(1));
        window
    }

    fn acquire(window: &mut Window) -> (Ticket, AcquireResult) {
        let ticket = window.ticket();
        (ticket, window.acquire(NOW, ticket, ACCOUNT, NOW + TimeDelta::minutes(10)))
    }

    #[test]
    fn what_can_be_had_is_had_at_once_and_the_actor_has_nothing_to_do() {
        let mut window = window_of_one();
        let (_, result) = acquire(&mut window);
        assert!(matches!(result, AcquireResult::Decided(Ok(()))));
        assert!(!window.needs_wake());
    }

    #[test]
    fn whoever_waits_is_told_and_the_actor_looks_in_time() {
        let mut window = window_of_one();
        let (first, _) = acquire(&mut window);
        let (_, second) = acquire(&mut window);
        let AcquireResult::Pending(mut answer) = second else { panic!("there was nothing left") };
        assert!(window.needs_wake(), "somebody has to be told when it is too late");
        window.alarm = window.budget.wake_at();
        assert!(!window.needs_wake());

        // The permit is not passed on, because it was not sent; a new one has to be reserved.
        window.handle(NOW, Event::Cancel(first));
        assert_eq!(window.wanted.take(), Some(1));
        window.blocks.open(Uuid::max(), 1);
        window.handle(NOW, Event::Stocked(1));
        assert_eq!(answer.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn whoever_leaves_the_queue_keeps_nobody_waiting() {
        let mut window = window_of_one();
        let (first, _) = acquire(&mut window);
        let (second, _waits) = acquire(&mut window);
        assert_eq!(window.budget.stats().waiting, 1);
        window.handle(NOW, Event::Cancel(second));
        assert_eq!((window.budget.stats().waiting, window.waiting.len()), (0, 0));
        window.handle(NOW, Event::Done { ticket: first, at: NOW });
        assert_eq!(window.blocks.take_closed().len(), 1, "all of the block is spent and answered");
    }
}
