//! The callers that wait for a permit, and the order of their accounts.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::allowance::{account::Account, ticket::Ticket};

/// How long a refusal gives an account precedence. An account that keeps asking never waits that long.
const PRECEDENCE_PERIOD: TimeDelta = TimeDelta::minutes(15);

#[derive(Clone, Copy, Debug)]
struct Waiter {
    ticket: Ticket,
    deadline: DateTime<Utc>,
}

/// The waiting callers.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingQueue {
    /// Accounts with waiting callers; the one at the front waits longest for its turn.
    turns: VecDeque<Account>,
    waiting: HashMap<Account, VecDeque<Waiter>>,
    /// Accounts that were refused since their last permit, and the time of the first refusal. They retry at about the
    /// same time as others that got the same wait, so without this record some would lose repeatedly.
    starved_since: HashMap<Account, DateTime<Utc>>,
    /// The same callers, by deadline.
    deadlines: BTreeMap<(DateTime<Utc>, Ticket), Account>,
}

impl WaitingQueue {
    /// Adds a caller at the end of its account's queue.
    pub(super) fn push(&mut self, ticket: Ticket, account: Account, deadline: DateTime<Utc>) {
        let queue = self.waiting.entry(account).or_default();
        if queue.is_empty() {
            self.turns.push_back(account);
        }
        queue.push_back(Waiter { ticket, deadline });
        self.deadlines.insert((deadline, ticket), account);
    }

    /// Removes a caller that went away.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        let account = self.deadlines.iter().find(|((_, waiting), _)| *waiting == ticket).map(|(_, account)| *account);
        if let Some(account) = account {
            self.remove(account, ticket);
        }
    }

    /// Removes a caller from the queue.
    pub(super) fn remove(&mut self, account: Account, ticket: Ticket) {
        let Some(queue) = self.waiting.get_mut(&account) else { return };
        let Some(place) = queue.iter().position(|waiter| waiter.ticket == ticket) else { return };
        if let Some(waiter) = queue.remove(place) {
            self.deadlines.remove(&(waiter.deadline, ticket));
        }
        if queue.is_empty() {
            self.waiting.remove(&account);
            self.turns.retain(|waiting| *waiting != account);
        }
    }

    /// Removes all callers and returns their tickets.
    pub(super) fn clear(&mut self) -> Vec<Ticket> {
        let tickets = self.deadlines.keys().map(|(_, ticket)| *ticket).collect();
        self.deadlines.clear();
        self.waiting.clear();
        self.turns.clear();
        tickets
    }

    /// Removes and returns the caller that is next: the first of the accounts that may take a permit, those that were
    /// refused before going first. An account that may not take one keeps its place.
    pub(super) fn pop(&mut self, is_eligible: impl Fn(Account) -> bool) -> Option<(Account, Ticket)> {
        let eligible = self.turns.iter().filter(|account| is_eligible(**account));
        let account = eligible.min_by_key(|account| self.precedence(**account)).copied()?;
        let ticket = self.waiting.get(&account).and_then(|queue| queue.front()).map(|first| first.ticket)?;
        self.remove(account, ticket);
        self.starved_since.remove(&account);
        // The account's turn is over. If more of its callers wait, the account goes to the end of the queue.
        if self.waiting.contains_key(&account) {
            self.turns.retain(|waiting| *waiting != account);
            self.turns.push_back(account);
        }
        Some((account, ticket))
    }

    /// Returns the precedence of an account: the earliest refusal goes first, then accounts without a refusal.
    pub(super) fn precedence(&self, account: Account) -> DateTime<Utc> {
        self.starved_since.get(&account).copied().unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Records that an account was refused.
    pub(super) fn note_refusal(&mut self, account: Account, now: DateTime<Utc>) {
        self.starved_since.retain(|_, since| *since + PRECEDENCE_PERIOD > now);
        self.starved_since.entry(account).or_insert(now);
    }

    /// Returns the number of all waiting callers.
    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Returns the number of the account's waiting callers.
    pub(super) fn callers_of(&self, account: Account) -> usize {
        self.waiting.get(&account).map_or(0, VecDeque::len)
    }

    /// Returns the accounts with waiting callers, and the number of these callers.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (Account, usize)> {
        self.waiting.iter().map(|(account, queue)| (*account, queue.len()))
    }

    /// Returns the callers whose deadline is not after that time.
    pub(super) fn due(&self, at: DateTime<Utc>) -> Vec<(Account, Ticket)> {
        let due = self.deadlines.range(..=(at, Ticket(u64::MAX)));
        due.map(|((_, ticket), account)| (*account, *ticket)).collect()
    }

    /// Returns the earliest deadline.
    pub(super) fn first_deadline(&self) -> Option<DateTime<Utc>> {
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Returns the latest deadline.
    pub(super) fn last_deadline(&self) -> Option<DateTime<Utc>> {
        self.deadlines.last_key_value().map(|((deadline, _), _)| *deadline)
    }
}
