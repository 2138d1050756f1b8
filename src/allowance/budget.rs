//! The allowance as a pure state machine: `(state, now, event) → actions`. No clock, no channel, no database.
//!
//! OwnerRez admits 300 requests in any 5 minutes from one source address (article "API rate limiting"). The gateway
//! knows when it sends a request and when it receives the response, but not when the request arrives at OwnerRez. A
//! slot is therefore occupied from the grant until a full period after the response (or time-out). Whenever the request
//! arrives in between, OwnerRez's window can never contain more requests than there are occupied slots.
//!
//! First come, first served would be unfair: one account with a call every 0.3 s exhausts the window in 90 s, and every
//! new account waits for minutes. So the last slots are reserved for accounts that used little, and waiting accounts
//! take turns.

mod fairness;
mod slots;
#[cfg(test)]
mod tests;
mod throttle;
mod waiting_queue;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use self::{fairness::Fairness, slots::Slots, throttle::Throttle, waiting_queue::WaitingQueue};
use super::{
    account::Account, action::Action, allowance_error::AllowanceError, connecting_permits::ConnectingPermits,
    event::Event, period::PERIOD, ticket::Ticket,
};

/// Statistics of the budget, for operators and tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BudgetStats {
    /// Occupied slots: requests in progress and responses of the last period.
    pub occupied: u32,
    /// All slots.
    pub limit: u32,
    /// Requests in progress.
    pub in_flight: usize,
    /// Waiting callers.
    pub waiting: usize,
}

/// The state machine. The module's documentation describes the rule that it enforces.
#[derive(Clone, Debug)]
pub struct Budget {
    block: u32,
    latest: DateTime<Utc>,
    slots: Slots,
    queue: WaitingQueue,
    fairness: Fairness,
    throttle: Throttle,
    active: bool,
    stock: u32,
    stocking: bool,
}

impl Budget {
    /// Creates an empty window of `limit` requests. It spends nothing before `Active(true)`.
    pub fn new(limit: u32, now: DateTime<Utc>) -> Self {
        Self {
            block: (limit / 20).max(1),
            latest: now,
            slots: Slots::new(limit),
            queue: WaitingQueue::default(),
            fairness: Fairness { limit, accounts: 0 },
            throttle: Throttle::default(),
            active: false,
            stock: 0,
            stocking: false,
        }
    }

    /// Loads the known spent slots, regardless of the process that spent them (even this one, before it lost the lock),
    /// and when they become free. Call it before `Active(true)`.
    pub fn carry_over(&mut self, spent: impl IntoIterator<Item = (u32, DateTime<Utc>)>) {
        self.slots.carry_over(spent);
    }

    /// Returns current statistics.
    pub fn stats(&self) -> BudgetStats {
        BudgetStats {
            occupied: self.slots.occupied(),
            limit: self.slots.limit(),
            in_flight: self.slots.in_flight(),
            waiting: self.queue.len(),
        }
    }

    /// Handles an event and returns the actions to perform.
    pub fn handle(&mut self, now: DateTime<Utc>, event: Event) -> Vec<Action> {
        self.latest = self.latest.max(now);
        self.slots.free_due(self.latest);
        let mut actions = Vec::new();
        match event {
            Event::Acquire { ticket, account, deadline } => self.enqueue(ticket, account, deadline, &mut actions),
            Event::Cancel(ticket) => self.cancel(ticket),
            Event::Done { ticket, at } => {
                if let Some(closings) = self.slots.finish(ticket, at, self.latest) {
                    self.throttle.accepted(closings);
                }
            }
            Event::Throttled { ticket, at, retry_after } => {
                if let Some(closings) = self.slots.finish(ticket, at, self.latest) {
                    self.throttle.rejected(closings, at.min(self.latest), retry_after);
                }
                let late = self.cannot_make_deadline();
                self.refuse(late, &mut actions);
            }
            Event::Stocked(permits) => {
                self.stock += permits;
                self.stocking = false;
            }
            Event::StockFailed => {
                self.stocking = false;
                if self.stock == 0 {
                    self.refuse_all(AllowanceError::Storage, &mut actions);
                }
            }
            Event::Active(active) => {
                self.active = active;
                if !active {
                    // Reserved permits, and those being reserved, belong to the current holder of the slot.
                    self.stock = 0;
                    self.stocking = false;
                    self.refuse_all(AllowanceError::Standby, &mut actions);
                }
            }
            Event::Accounts(accounts) => self.fairness.accounts = accounts,
            Event::SentByCommand { requests, free_at } if free_at > self.latest => {
                self.slots.occupy(requests, free_at);
            }
            Event::SentByCommand { .. } | Event::Tick => {}
        }
        let overdue = self.queue.due(self.latest);
        self.refuse(overdue, &mut actions);
        self.grant(&mut actions);
        // The next block is requested while the last one is being spent, so that no call waits for the database. It
        // never exceeds the free part of the window, otherwise repeated crashes would fill the window with requests
        // that were never sent. After a failure the next event tries again; trying at once would be a tight loop.
        let wanted = self.block.min(self.slots.free().saturating_sub(self.stock));
        let low = self.active && !self.stocking && self.stock <= self.block / 2 && wanted > 0;
        if low && !matches!(event, Event::StockFailed) {
            self.stocking = true;
            actions.push(Action::Stock(wanted));
        }
        actions
    }

    /// Returns when to send the next `Tick`, if any caller waits.
    pub fn wake_at(&self) -> Option<DateTime<Utc>> {
        let deadline = self.queue.first_deadline()?;
        let release = self.slots.releases().next().map(|(at, _)| at);
        let reopening = self.throttle.closed_until();
        [Some(deadline), release, reopening].into_iter().flatten().filter(|at| *at > self.latest).min()
    }

    fn enqueue(&mut self, ticket: Ticket, account: Account, deadline: DateTime<Utc>, actions: &mut Vec<Action>) {
        if !self.active {
            actions.push(Action::Refuse(ticket, AllowanceError::Standby));
            return;
        }
        let own = self.queue.callers_of(account);
        let first = own == 0;
        // Accounts with more waiting callers than this one get their surplus after this account's turn. Accounts that
        // were refused later than this one, or not at all, get all their permits after its first.
        let ahead = |other: Account, callers: usize| {
            if first && self.queue.precedence(account) < self.queue.precedence(other) {
                0
            } else {
                callers.min(own + 1)
            }
        };
        if self.earliest(account, ahead) >= deadline {
            let refusal = self.reject(account);
            actions.push(Action::Refuse(ticket, refusal));
            return;
        }
        self.queue.push(ticket, account, deadline);
    }

    fn cancel(&mut self, ticket: Ticket) {
        if !self.slots.give_back(ticket) {
            self.queue.cancel(ticket);
        }
    }

    /// Grants permits in turns, first to accounts that were refused before. An account that is skipped because of the
    /// reserve keeps its place.
    fn grant(&mut self, actions: &mut Vec<Action>) {
        let open = self.active && self.throttle.is_open(self.latest);
        while open && self.stock > 0 && self.throttle.left(self.slots.in_flight()).is_none_or(|left| left > 0) {
            let (slots, fairness) = (&self.slots, self.fairness);
            let (free, connecting) = (slots.free(), slots.used(Account::Connecting));
            let next = self.queue.pop(|account| fairness.eligible(account, slots.used(account), connecting, free));
            let Some((account, ticket)) = next else { break };
            self.stock -= 1;
            self.slots.grant(ticket, account, self.throttle.closings());
            actions.push(Action::Grant(ticket));
        }
    }

    /// Returns the first moment at which one more caller of `account` could get a permit, if the waiting callers get
    /// theirs first, as many of each account's callers as `ahead` returns, and no others arrive.
    ///
    /// Only accounts that may go as deep into the reserve count; the others stop where `account` still finds a slot.
    fn earliest(&self, account: Account, ahead: impl Fn(Account, usize) -> usize) -> DateTime<Utc> {
        let not_before = self.throttle.opens_at(self.latest);
        let last_deadline = self.queue.last_deadline();
        let own = self.queue.callers_of(account);
        // The usage of the waiting accounts at the last deadline. By then they may count as accounts with little usage.
        let used_by_then = last_deadline.map(|deadline| self.slots.usage_at(deadline)).unwrap_or_default();
        let ahead_of_us: Vec<(u32, u32)> = self
            .queue
            .accounts()
            .filter(|(other, _)| *other != account)
            .map(|(other, callers)| {
                let used = used_by_then.get(&other).copied().unwrap_or(0);
                (self.fairness.fairness_reserve(other, used), count(ahead(other, callers)))
            })
            .collect();
        let mut free = self.slots.free();
        let mut used = self.slots.used(account).saturating_add(count(own));
        let mut connecting = self.slots.used(Account::Connecting);
        let fits = |used: u32, connecting: u32, free: u32| {
            let kept = self.fairness.fairness_reserve(account, used);
            let ahead: u32 =
                ahead_of_us.iter().filter(|(theirs, _)| *theirs <= kept).map(|(_, callers)| *callers).sum();
            self.fairness.eligible(account, used, connecting, free.saturating_sub(ahead.saturating_add(count(own))))
        };
        if fits(used, connecting, free) {
            return not_before;
        }
        for (at, releases) in self.slots.releases() {
            for release in releases {
                free = free.saturating_add(release.slots);
                if release.account == Some(account) {
                    used = used.saturating_sub(release.slots);
                }
                if release.account == Some(Account::Connecting) {
                    connecting = connecting.saturating_sub(release.slots);
                }
            }
            if fits(used, connecting, free) {
                return not_before.max(at);
            }
        }
        // By then all slots that are occupied now, or granted to the waiting callers, are free again, except for the
        // time until their responses.
        not_before.max(last_deadline.unwrap_or(not_before)) + PERIOD
    }

    /// Returns the callers that cannot be served before their deadline, because nothing may be sent for a while.
    fn cannot_make_deadline(&self) -> Vec<(Account, Ticket)> {
        self.queue.due(self.throttle.closed_until().unwrap_or(self.latest))
    }

    /// Records that an account was refused, and returns when to retry. The waiting callers are served until then, so
    /// all of them count as ahead.
    fn reject(&mut self, account: Account) -> AllowanceError {
        self.queue.note_refusal(account, self.latest);
        let wait = (self.earliest(account, |_, callers| callers) - self.latest).max(TimeDelta::seconds(1));
        if self.throttle.is_open(self.latest) {
            AllowanceError::Spent { wait, limit: self.slots.limit() }
        } else {
            AllowanceError::Throttled(wait)
        }
    }

    fn refuse(&mut self, refused: Vec<(Account, Ticket)>, actions: &mut Vec<Action>) {
        for (account, ticket) in &refused {
            self.queue.remove(*account, *ticket);
        }
        // All callers of an account get the same refusal. It is computed after all of them have left the queue, so that
        // they do not count as waiting.
        let mut errors: HashMap<Account, AllowanceError> = HashMap::new();
        for (account, ticket) in refused {
            let refusal = *errors.entry(account).or_insert_with(|| self.reject(account));
            actions.push(Action::Refuse(ticket, refusal));
        }
    }

    fn refuse_all(&mut self, refusal: AllowanceError, actions: &mut Vec<Action>) {
        actions.extend(self.queue.clear().into_iter().map(|ticket| Action::Refuse(ticket, refusal)));
    }

    /// Returns the permits for connecting at this moment. Call it after an event of the same moment.
    pub fn permits_for_connecting(&self) -> ConnectingPermits {
        let waiting = self.queue.callers_of(Account::Connecting);
        let used = self.slots.used(Account::Connecting).saturating_add(count(waiting));
        let is_open = self.active && self.throttle.is_open(self.latest);
        let at_once = self.throttle.left(self.slots.in_flight()).map_or(u32::MAX, count);
        let left = self.fairness.left_for_connecting(used, self.slots.free().saturating_sub(count(waiting)));
        ConnectingPermits { used, left: if is_open { left.min(at_once) } else { 0 } }
    }

    /// Returns the permits for connecting from now on if no account takes any. Each entry is valid until the next one.
    /// `None` if this process may not spend.
    pub fn forecast_for_connecting(&self) -> Option<Vec<(DateTime<Utc>, ConnectingPermits)>> {
        if !self.active {
            return None;
        }
        let waiting = self.queue.callers_of(Account::Connecting);
        let opens = self.throttle.opens_at(self.latest);
        let (mut free, mut used) =
            (self.slots.free(), self.slots.used(Account::Connecting).saturating_add(count(waiting)));
        let permits = |used: u32, free: u32| ConnectingPermits {
            used,
            left: self.fairness.left_for_connecting(used, free.saturating_sub(count(waiting))),
        };
        let mut forecast = vec![(self.latest, self.permits_for_connecting()), (opens, permits(used, free))];
        let mut last = opens;
        for (at, releases) in self.slots.releases() {
            for release in releases {
                free = free.saturating_add(release.slots);
                if release.account == Some(Account::Connecting) {
                    used = used.saturating_sub(release.slots);
                }
            }
            last = last.max(at);
            forecast.push((last, permits(used, free)));
        }
        // By then the responses of all requests in progress are old enough.
        forecast.push((last.max(opens + PERIOD), permits(0, self.slots.limit())));
        Some(forecast)
    }
}

fn count(callers: usize) -> u32 {
    u32::try_from(callers).unwrap_or(u32::MAX)
}
