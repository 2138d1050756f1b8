//! The window as all sessions share it: [`Budget`], the blocks that its permits come from, and those who wait.
//!
//! It stands behind a lock that is held for as long as one event takes and never across an `await`. Most wishes are
//! granted at once, and asking an actor on another thread for each of them would cost more than all the rest of a call;
//! what takes time, the database and the timer, is the actor's, which is told when there is something to do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{
    blocks::Blocks,
    budget::{Account, Action, Budget, Event, Refusal, Ticket},
};

/// What somebody who asked for a permit learns.
pub(super) type Verdict = Result<(), Refusal>;

/// One window, shared.
#[derive(Clone)]
pub(super) struct SharedWindow(Arc<Mutex<Window>>);

/// The state behind the lock.
pub(super) struct Window {
    pub(super) budget: Budget,
    pub(super) blocks: Blocks,
    tickets: u64,
    waiting: BTreeMap<Ticket, oneshot::Sender<Verdict>>,
    /// Permits that are to be written to the database, until the actor takes the errand.
    pub(super) wanted: Option<u32>,
    /// When the actor is going to look by itself.
    pub(super) alarm: Option<DateTime<Utc>>,
}

/// How a wish stands right after it was made.
pub(super) enum Wish {
    /// Decided.
    Decided(Verdict),
    /// It waits; the answer comes here.
    Waits(oneshot::Receiver<Verdict>),
}

impl SharedWindow {
    /// An empty window of this many requests.
    pub(super) fn new(limit: u32, now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Window {
            budget: Budget::new(limit, now),
            blocks: Blocks::default(),
            tickets: 0,
            waiting: BTreeMap::new(),
            wanted: None,
            alarm: None,
        })))
    }

    /// A thread that panicked here left nothing half-done: an event is taken in before anyone hears of it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// A ticket that was never used.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Somebody wants to send one request.
    pub(super) fn wish(
        &mut self,
        now: DateTime<Utc>,
        ticket: Ticket,
        account: Account,
        deadline: DateTime<Utc>,
    ) -> Wish {
        let (reply, mut answer) = oneshot::channel();
        self.waiting.insert(ticket, reply);
        self.handle(now, Event::Acquire { ticket, account, deadline });
        match answer.try_recv() {
            Ok(verdict) => Wish::Decided(verdict),
            Err(_) => Wish::Waits(answer),
        }
    }

    /// Takes an event in and tells those whom it concerns. Whether there is something to do for the actor is what
    /// [`Self::needs_a_look`] says afterwards.
    pub(super) fn handle(&mut self, now: DateTime<Utc>, event: Event) {
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

    /// Who has gone away meanwhile gives the permit back when its guard is dropped, behind this lock.
    fn answer(&mut self, ticket: Ticket, verdict: Verdict) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            let _ = waiting.send(verdict);
        }
    }

    /// Whether the actor has an errand, or would look too late.
    pub(super) fn needs_a_look(&self) -> bool {
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
    const SOMEBODY: Account = Account::User(UserId(Uuid::nil()));

    /// A window of one request that may be spent and is in stock.
    fn of_one() -> Window {
        let shared = SharedWindow::new(1, NOW);
        let mut window = Arc::into_inner(shared.0).unwrap().into_inner().unwrap();
        window.handle(NOW, Event::Active(true));
        assert_eq!(window.wanted.take(), Some(1), "the actor's first errand");
        window.blocks.open(Uuid::nil(), 1);
        window.handle(NOW, Event::Stocked(1));
        window
    }

    fn wish(window: &mut Window) -> (Ticket, Wish) {
        let ticket = window.ticket();
        (ticket, window.wish(NOW, ticket, SOMEBODY, NOW + TimeDelta::minutes(10)))
    }

    #[test]
    fn what_can_be_had_is_had_at_once_and_the_actor_has_nothing_to_do() {
        let mut window = of_one();
        let (_, wish) = wish(&mut window);
        assert!(matches!(wish, Wish::Decided(Ok(()))));
        assert!(!window.needs_a_look());
    }

    #[test]
    fn whoever_waits_is_told_and_the_actor_looks_in_time() {
        let mut window = of_one();
        let (first, _) = wish(&mut window);
        let (_, second) = wish(&mut window);
        let Wish::Waits(mut answer) = second else { panic!("there was nothing left") };
        assert!(window.needs_a_look(), "somebody has to be told when it is too late");
        window.alarm = window.budget.wake_at();
        assert!(!window.needs_a_look());

        // What was not sent is not handed on: it has to be reserved anew.
        window.handle(NOW, Event::Cancel(first));
        assert_eq!(window.wanted.take(), Some(1));
        window.blocks.open(Uuid::max(), 1);
        window.handle(NOW, Event::Stocked(1));
        assert_eq!(answer.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn whoever_leaves_the_queue_keeps_nobody_waiting() {
        let mut window = of_one();
        let (first, _) = wish(&mut window);
        let (second, _waits) = wish(&mut window);
        assert_eq!(window.budget.stats().waiting, 1);
        window.handle(NOW, Event::Cancel(second));
        assert_eq!((window.budget.stats().waiting, window.waiting.len()), (0, 0));
        window.handle(NOW, Event::Done { ticket: first, at: NOW });
        assert_eq!(window.blocks.take_closed().len(), 1, "all of the block is spent and answered");
    }
}
