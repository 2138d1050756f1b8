//! The allowance as a pure state machine: `(state, now, event) → actions`. No clock, no channel, no database.
//!
//! OwnerRez admits 300 requests in any 5 minutes from one source address (article "API rate limiting"). We cannot see
//! when a request arrives there, only when we let it go and when its reply is back; a slot is therefore occupied from
//! the grant until a full period after the reply (or time-out). Whatever the moment of arrival in between, upstream's
//! window can then never hold more than our slots.
//!
//! First come, first served would be unfair: one account at 0.3 s a call empties the window in 90 s and every newcomer
//! waits minutes. So the last slots are kept for those who used little, and waiting accounts take turns.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{AccountId, UserId};

/// Length of OwnerRez's window.
pub const PERIOD: TimeDelta = TimeDelta::minutes(5);

/// Who a request is counted for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Account {
    /// An OwnerRez account: several users of the gateway may share it.
    OwnerRez(AccountId),
    /// A user whose OwnerRez account is not known to us.
    User(UserId),
    /// Everyone who is just connecting: strangers share one small part.
    Connecting,
}

/// Identifies one wish for one request, from asking to the reply.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ticket(pub u64);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Someone wants to send one request and can wait until `deadline`.
    Acquire {
        /// Chosen by the caller, never used twice.
        ticket: Ticket,
        /// Who it counts for.
        account: Account,
        /// After this moment a permit is of no use.
        deadline: DateTime<Utc>,
    },
    /// The caller went away, or gives a permit back without having sent anything.
    Cancel(Ticket),
    /// The reply is back, or the wait for it was given up.
    Done(Ticket),
    /// The reply was 429: somebody else spends from our address, or upstream counts otherwise than we do.
    Throttled {
        /// The request that was refused.
        ticket: Ticket,
        /// What upstream asked for; it usually says nothing.
        retry_after: Option<TimeDelta>,
    },
    /// Permits were written to the database and may now be spent.
    Stocked(u32),
    /// The database did not take the reservation.
    StockFailed,
    /// Whether this process may spend at all (it holds the lock of its slot).
    Active(bool),
    /// How many OwnerRez accounts are connected: the reserve is for others, so a lone account needs none.
    Accounts(u64),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// The request may be sent now.
    Grant(Ticket),
    /// The request must not be sent.
    Refuse(Ticket, Refusal),
    /// Write this many permits to the database, then report `Stocked` or `StockFailed`.
    Stock(u32),
}

/// Why a request was not let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The allowance is spent; a slot is due after this time.
    Spent(TimeDelta),
    /// OwnerRez answered 429; the gateway sends nothing before this time has passed.
    Throttled(TimeDelta),
    /// Another process holds the right to spend.
    Standby,
    /// The permits could not be reserved in the database.
    Storage,
}

/// A point in time at which slots become free, and who held them (`None`: an earlier process did).
#[derive(Clone, Copy, Debug)]
struct Release {
    account: Option<Account>,
    slots: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    ticket: Ticket,
    deadline: DateTime<Utc>,
}

/// A figure of the budget's state, for operators and tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BudgetStats {
    /// Slots that are occupied, by requests under way and by replies of the last period.
    pub occupied: u32,
    /// All slots.
    pub limit: u32,
    /// Requests under way.
    pub in_flight: usize,
    /// Callers that wait.
    pub waiting: usize,
}

/// The state. See the module's documentation for the rule that it keeps.
#[derive(Debug)]
pub struct Budget {
    limit: u32,
    block: u32,
    latest: DateTime<Utc>,
    in_flight: HashMap<Ticket, Account>,
    releases: BTreeMap<DateTime<Utc>, Vec<Release>>,
    occupied: u32,
    usage: HashMap<Account, u32>,
    turns: VecDeque<Account>,
    waiting: HashMap<Account, VecDeque<Waiter>>,
    accounts: u64,
    active: bool,
    stock: u32,
    stocking: bool,
    closed_until: Option<DateTime<Utc>>,
    refusals_in_a_row: u32,
    /// While reopening after a 429: how many requests may be under way at once.
    reopening: Option<usize>,
}

impl Budget {
    /// A fresh window of `limit` requests. It spends nothing before `Active(true)`.
    pub fn new(limit: u32, now: DateTime<Utc>) -> Self {
        Self {
            limit,
            block: (limit / 20).max(1),
            latest: now,
            in_flight: HashMap::new(),
            releases: BTreeMap::new(),
            occupied: 0,
            usage: HashMap::new(),
            turns: VecDeque::new(),
            waiting: HashMap::new(),
            accounts: 0,
            active: false,
            stock: 0,
            stocking: false,
            closed_until: None,
            refusals_in_a_row: 0,
            reopening: None,
        }
    }

    /// Slots that an earlier process spent, or may have spent, and when they become free again.
    pub fn carry_over(&mut self, slots: u32, free_at: DateTime<Utc>) {
        if slots > 0 {
            self.occupied += slots;
            self.releases.entry(free_at).or_default().push(Release { account: None, slots });
        }
    }

    /// Permits per reservation in the database.
    pub fn block_size(&self) -> u32 {
        self.block
    }

    /// Present figures.
    pub fn stats(&self) -> BudgetStats {
        BudgetStats {
            occupied: self.occupied,
            limit: self.limit,
            in_flight: self.in_flight.len(),
            waiting: self.waiting.values().map(VecDeque::len).sum(),
        }
    }

    /// Takes an event in and says what is to be done.
    pub fn handle(&mut self, now: DateTime<Utc>, event: Event) -> Vec<Action> {
        self.latest = self.latest.max(now);
        self.free_slots();
        let mut actions = Vec::new();
        match event {
            Event::Acquire { ticket, account, deadline } => self.enqueue(ticket, account, deadline, &mut actions),
            Event::Cancel(ticket) => self.cancel(ticket),
            Event::Done(ticket) => {
                self.finish(ticket);
                self.refusals_in_a_row = 0;
                self.reopening = self.reopening.map(|at_once| at_once * 2).filter(|at_once| *at_once < 32);
            }
            Event::Throttled { ticket, retry_after } => {
                self.finish(ticket);
                self.close(retry_after);
            }
            Event::Stocked(permits) => {
                self.stock += permits;
                self.stocking = false;
            }
            Event::StockFailed => {
                self.stocking = false;
                if self.stock == 0 {
                    self.refuse_all(|_, _| Some(Refusal::Storage), &mut actions);
                }
            }
            Event::Active(active) => {
                self.active = active;
                if !active {
                    // What was reserved belongs to whoever holds the slot now.
                    self.stock = 0;
                    self.refuse_all(|_, _| Some(Refusal::Standby), &mut actions);
                }
            }
            Event::Accounts(accounts) => self.accounts = accounts,
            Event::Tick => {}
        }
        if matches!(event, Event::Throttled { .. }) {
            self.refuse_all(
                |budget, (account, waiter)| {
                    let earliest = budget.earliest(account, 0);
                    (earliest > waiter.deadline).then(|| budget.refusal(earliest))
                },
                &mut actions,
            );
        }
        self.refuse_all(
            |budget, (account, waiter)| {
                (waiter.deadline <= budget.latest).then(|| budget.refusal(budget.earliest(account, 0)))
            },
            &mut actions,
        );
        self.grant(&mut actions);
        // The next block is ordered while the last one is being spent, so that no call waits for the database. After a
        // failure the next event tries again: at once would be a tight loop.
        let low = self.active && !self.stocking && self.stock <= self.block / 2;
        if low && !matches!(event, Event::StockFailed) {
            self.stocking = true;
            actions.push(Action::Stock(self.block));
        }
        actions
    }

    /// When to send the next `Tick`, if anyone waits.
    pub fn wake_at(&self) -> Option<DateTime<Utc>> {
        let deadline = self.waiting.values().flatten().map(|waiter| waiter.deadline).min()?;
        let release = self.releases.keys().next().copied();
        let reopening = self.closed_until.filter(|until| *until > self.latest);
        [Some(deadline), release, reopening].into_iter().flatten().filter(|at| *at > self.latest).min()
    }

    fn enqueue(&mut self, ticket: Ticket, account: Account, deadline: DateTime<Utc>, actions: &mut Vec<Action>) {
        if !self.active {
            actions.push(Action::Refuse(ticket, Refusal::Standby));
            return;
        }
        let others = self.waiting.keys().filter(|waiting| **waiting != account).count();
        let own = self.waiting.get(&account).map_or(0, VecDeque::len);
        let earliest = self.earliest(account, others.saturating_add(own));
        if earliest > deadline {
            actions.push(Action::Refuse(ticket, self.refusal(earliest)));
            return;
        }
        let queue = self.waiting.entry(account).or_default();
        if queue.is_empty() {
            self.turns.push_back(account);
        }
        queue.push_back(Waiter { ticket, deadline });
    }

    fn cancel(&mut self, ticket: Ticket) {
        if let Some(account) = self.in_flight.remove(&ticket) {
            // Its reservation is not handed on: the block that it came from is being counted elsewhere.
            self.free(Some(account), 1);
            return;
        }
        for queue in self.waiting.values_mut() {
            queue.retain(|waiter| waiter.ticket != ticket);
        }
        self.forget_empty_queues();
    }

    fn finish(&mut self, ticket: Ticket) {
        if let Some(account) = self.in_flight.remove(&ticket) {
            self.releases.entry(self.latest + PERIOD).or_default().push(Release { account: Some(account), slots: 1 });
        }
    }

    fn close(&mut self, retry_after: Option<TimeDelta>) {
        let backoff = TimeDelta::seconds(15 << self.refusals_in_a_row.min(4));
        let pause = retry_after.unwrap_or(backoff).max(TimeDelta::seconds(1)).min(PERIOD);
        self.refusals_in_a_row += 1;
        self.closed_until = self.closed_until.max(Some(self.latest + pause));
        self.reopening = Some(1);
    }

    fn free_slots(&mut self) {
        while let Some(entry) = self.releases.first_entry() {
            if *entry.key() > self.latest {
                break;
            }
            for release in entry.remove() {
                self.free(release.account, release.slots);
            }
        }
    }

    fn free(&mut self, account: Option<Account>, slots: u32) {
        self.occupied = self.occupied.saturating_sub(slots);
        if let Some(account) = account
            && let Some(used) = self.usage.get_mut(&account)
        {
            *used = used.saturating_sub(slots);
            if *used == 0 {
                self.usage.remove(&account);
            }
        }
    }

    fn grant(&mut self, actions: &mut Vec<Action>) {
        if !self.active {
            return;
        }
        let mut passed_over = 0;
        while passed_over < self.turns.len() {
            let Some(account) = self.turns.front().copied() else { break };
            if !self.may_send(account) {
                self.turns.rotate_left(1);
                passed_over += 1;
                continue;
            }
            if self.stock == 0 {
                break;
            }
            let Some(waiter) = self.waiting.get_mut(&account).and_then(VecDeque::pop_front) else { break };
            self.stock -= 1;
            self.occupied += 1;
            *self.usage.entry(account).or_default() += 1;
            self.in_flight.insert(waiter.ticket, account);
            actions.push(Action::Grant(waiter.ticket));
            self.turns.rotate_left(1);
            self.forget_empty_queues();
            passed_over = 0;
        }
    }

    fn may_send(&self, account: Account) -> bool {
        let open = self.closed_until.is_none_or(|until| until <= self.latest);
        let room = self.reopening.is_none_or(|at_once| self.in_flight.len() < at_once);
        let free = self.limit.saturating_sub(self.occupied);
        open && room && self.eligible(account, self.usage.get(&account).copied().unwrap_or(0), free)
    }

    /// The rule of fairness: the last tenth of the window is closed to accounts that used more than a handful, and the
    /// last third of that to everyone who used anything. A newcomer therefore always finds a slot.
    fn eligible(&self, account: Account, used: u32, free: u32) -> bool {
        if account == Account::Connecting {
            return used < (self.limit / 20).max(1) && free > 0;
        }
        let reserve = if self.accounts <= 1 { 0 } else { self.limit / 10 };
        let handful = (self.limit / 50).max(1);
        let kept_for_others = match used {
            0 => 0,
            used if used < handful => reserve / 3,
            _ => reserve,
        };
        free > kept_for_others
    }

    /// The first moment at which `account` could get a permit, if those who are `ahead` of it take theirs first and
    /// nobody else comes. Replies that are still out free their slot a whole period from now at the earliest.
    fn earliest(&self, account: Account, ahead: usize) -> DateTime<Utc> {
        let not_before = self.closed_until.unwrap_or(self.latest).max(self.latest);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let mut free = self.limit.saturating_sub(self.occupied);
        let mut used = self.usage.get(&account).copied().unwrap_or(0);
        let fits = |used: u32, free: u32| self.eligible(account, used, free.saturating_sub(ahead));
        if fits(used, free) {
            return not_before;
        }
        for (at, releases) in &self.releases {
            for release in releases {
                free += release.slots;
                if release.account == Some(account) {
                    used = used.saturating_sub(release.slots);
                }
            }
            if fits(used, free) {
                return not_before.max(*at);
            }
        }
        not_before + PERIOD
    }

    fn refusal(&self, earliest: DateTime<Utc>) -> Refusal {
        let wait = (earliest - self.latest).max(TimeDelta::seconds(1));
        match self.closed_until {
            Some(until) if until > self.latest => Refusal::Throttled(wait),
            _ => Refusal::Spent(wait),
        }
    }

    fn refuse_all(&mut self, verdict: impl Fn(&Self, (Account, Waiter)) -> Option<Refusal>, actions: &mut Vec<Action>) {
        let refused: Vec<(Account, Ticket, Refusal)> = self
            .turns
            .iter()
            .flat_map(|account| self.waiting.get(account).into_iter().flatten().map(|waiter| (*account, *waiter)))
            .filter_map(|(account, waiter)| {
                verdict(self, (account, waiter)).map(|refusal| (account, waiter.ticket, refusal))
            })
            .collect();
        if refused.is_empty() {
            return;
        }
        for (account, ticket, refusal) in refused {
            if let Some(queue) = self.waiting.get_mut(&account) {
                queue.retain(|waiter| waiter.ticket != ticket);
            }
            actions.push(Action::Refuse(ticket, refusal));
        }
        self.forget_empty_queues();
    }

    fn forget_empty_queues(&mut self) {
        self.waiting.retain(|_, queue| !queue.is_empty());
        let waiting = &self.waiting;
        self.turns.retain(|account| waiting.contains_key(account));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: TimeDelta = TimeDelta::seconds(30);

    /// The state machine with a database that always answers.
    struct Bench {
        budget: Budget,
        now: DateTime<Utc>,
        next: u64,
    }

    impl Bench {
        fn new(limit: u32, accounts: u64) -> Self {
            let now = DateTime::UNIX_EPOCH;
            let mut bench = Self { budget: Budget::new(limit, now), now, next: 0 };
            bench.event(Event::Accounts(accounts));
            bench.event(Event::Active(true));
            bench
        }

        fn event(&mut self, event: Event) -> Vec<Action> {
            let mut done = Vec::new();
            let mut todo = self.budget.handle(self.now, event);
            while let Some(action) = todo.pop() {
                match action {
                    Action::Stock(permits) => todo.extend(self.budget.handle(self.now, Event::Stocked(permits))),
                    other => done.push(other),
                }
            }
            done
        }

        fn ask(&mut self, account: i64) -> Vec<Action> {
            self.next += 1;
            let ticket = Ticket(self.next);
            let account = Account::OwnerRez(AccountId(account));
            self.event(Event::Acquire { ticket, account, deadline: self.now + LONG })
        }

        /// Asks and, where granted, has the reply at once.
        fn call(&mut self, account: i64) -> bool {
            let granted = matches!(self.ask(account).as_slice(), [Action::Grant(_)]);
            if granted {
                self.event(Event::Done(Ticket(self.next)));
            }
            granted
        }

        fn calls_until_refused(&mut self, account: i64) -> usize {
            (0..10_000).take_while(|_| self.call(account)).count()
        }
    }

    #[test]
    fn a_lone_account_may_use_everything_and_no_more() {
        let mut bench = Bench::new(300, 1);
        assert_eq!(bench.calls_until_refused(1), 300);
        bench.now += PERIOD;
        assert_eq!(bench.calls_until_refused(1), 300);
    }

    #[test]
    fn twenty_gluttons_leave_room_for_a_newcomer() {
        let mut bench = Bench::new(300, 21);
        while (1..=20).filter(|glutton| bench.call(*glutton)).count() > 0 {}
        assert!(bench.call(99), "the first call of a newcomer");
        assert!(bench.call(99), "and the second");
    }

    #[test]
    fn a_refusal_says_when_the_next_slot_is_due() {
        let mut bench = Bench::new(10, 1);
        assert_eq!(bench.calls_until_refused(1), 10);
        bench.now += TimeDelta::seconds(100);
        assert_eq!(bench.ask(1), vec![Action::Refuse(Ticket(bench.next), Refusal::Spent(TimeDelta::seconds(200)))]);
    }

    #[test]
    fn a_call_that_can_be_served_in_time_waits_for_its_slot() {
        let mut bench = Bench::new(10, 1);
        assert_eq!(bench.calls_until_refused(1), 10);
        bench.now += TimeDelta::seconds(280);
        assert_eq!(bench.ask(1), vec![]);
        bench.now += TimeDelta::seconds(20);
        assert_eq!(bench.event(Event::Tick), vec![Action::Grant(Ticket(bench.next))]);
    }

    #[test]
    fn a_slot_stays_occupied_for_a_period_after_the_reply_not_the_sending() {
        let mut bench = Bench::new(1, 1);
        assert!(matches!(bench.ask(1).as_slice(), [Action::Grant(_)]));
        bench.now += TimeDelta::seconds(20);
        bench.event(Event::Done(Ticket(1)));
        bench.now += PERIOD - TimeDelta::seconds(1);
        assert_eq!(bench.ask(1), vec![]);
        bench.now += TimeDelta::seconds(1);
        assert_eq!(bench.event(Event::Tick), vec![Action::Grant(Ticket(2))]);
    }

    #[test]
    fn strangers_who_connect_share_a_twentieth() {
        let mut bench = Bench::new(300, 1);
        let granted = (0..100)
            .filter(|number| {
                let ticket = Ticket(1000 + number);
                let deadline = bench.now + LONG;
                let actions = bench.event(Event::Acquire { ticket, account: Account::Connecting, deadline });
                bench.event(Event::Done(ticket));
                actions == vec![Action::Grant(ticket)]
            })
            .count();
        assert_eq!(granted, 15);
        assert_eq!(bench.calls_until_refused(1), 285);
    }

    #[test]
    fn a_429_closes_for_everyone_and_reopens_one_by_one() {
        let mut bench = Bench::new(300, 3);
        assert!(matches!(bench.ask(1).as_slice(), [Action::Grant(_)]));
        let first = Ticket(bench.next);
        bench.event(Event::Throttled { ticket: first, retry_after: Some(TimeDelta::seconds(60)) });
        assert!(
            matches!(bench.ask(2).as_slice(), [Action::Refuse(_, Refusal::Throttled(wait))] if wait.num_seconds() == 60)
        );
        bench.now += TimeDelta::seconds(60);
        assert!(matches!(bench.ask(2).as_slice(), [Action::Grant(_)]));
        let probe = Ticket(bench.next);
        assert_eq!(bench.ask(3), vec![], "only one at first");
        assert_eq!(bench.event(Event::Done(probe)), vec![Action::Grant(Ticket(bench.next))]);
    }

    #[test]
    fn a_permit_given_back_unsent_costs_nothing() {
        let mut bench = Bench::new(1, 1);
        assert!(matches!(bench.ask(1).as_slice(), [Action::Grant(_)]));
        bench.event(Event::Cancel(Ticket(1)));
        assert!(bench.call(1));
    }

    #[test]
    fn what_an_earlier_process_may_have_sent_counts_as_sent() {
        let now = DateTime::UNIX_EPOCH;
        let mut budget = Budget::new(300, now);
        budget.carry_over(290, now + PERIOD);
        let mut bench = Bench { budget, now, next: 0 };
        bench.event(Event::Active(true));
        assert_eq!(bench.calls_until_refused(1), 10);
        bench.now += PERIOD;
        assert_eq!(bench.calls_until_refused(1), 300 - 10 + 10);
    }

    #[test]
    fn nobody_sends_without_a_reservation_or_on_standby() {
        let now = DateTime::UNIX_EPOCH;
        let mut budget = Budget::new(300, now);
        let ask =
            |ticket| Event::Acquire { ticket: Ticket(ticket), account: Account::Connecting, deadline: now + LONG };
        assert_eq!(budget.handle(now, ask(1)), vec![Action::Refuse(Ticket(1), Refusal::Standby)]);
        assert_eq!(budget.handle(now, Event::Active(true)), vec![Action::Stock(15)]);
        assert_eq!(budget.handle(now, ask(2)), vec![]);
        let failed = budget.handle(now, Event::StockFailed);
        assert_eq!(failed, vec![Action::Refuse(Ticket(2), Refusal::Storage)]);
        assert_eq!(budget.handle(now, Event::Tick), vec![Action::Stock(15)], "the next event tries again");
    }
}
