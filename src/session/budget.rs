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

mod connecting;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

pub use connecting::ConnectingPermits;

use crate::domain::{AccountId, ErrorCode, UserId};

/// The length of OwnerRez's window.
pub const PERIOD: TimeDelta = TimeDelta::minutes(5);

/// How long a refusal gives an account precedence. An account that keeps asking never waits that long.
const PRECEDENCE_PERIOD: TimeDelta = TimeDelta::minutes(15);

/// The account that a request is counted for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Account {
    /// An OwnerRez account. Several users of the gateway may share it.
    OwnerRez(AccountId),
    /// A user whose OwnerRez account is unknown.
    User(UserId),
    /// All attempts to connect an account. The admission in front of the budget divides this part between them.
    Connecting,
}

/// Identifies one request, from the application for a permit to the response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ticket(pub u64);

/// The events of the state machine.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A caller wants to send one request and can wait until `deadline`.
    Acquire {
        /// Chosen by the caller, never reused.
        ticket: Ticket,
        /// The account that the request is counted for.
        account: Account,
        /// The moment after which a permit is useless.
        deadline: DateTime<Utc>,
    },
    /// The caller went away, or returns a permit unused.
    Cancel(Ticket),
    /// The response was received, or the wait for it was given up.
    Done {
        /// The request.
        ticket: Ticket,
        /// The time of that. By then OwnerRez has counted the request.
        at: DateTime<Utc>,
    },
    /// The response was 429: another program sends requests from the same address, or OwnerRez counts differently.
    Throttled {
        /// The rejected request.
        ticket: Ticket,
        /// The time of the response.
        at: DateTime<Utc>,
        /// The wait that OwnerRez asked for; usually absent.
        retry_after: Option<TimeDelta>,
    },
    /// Permits were written to the database and may now be spent.
    Stocked(u32),
    /// The reservation in the database failed.
    StockFailed,
    /// Whether this process may spend at all (it has the lock of its slot).
    Active(bool),
    /// The number of connected OwnerRez accounts. The reserve is for other accounts, so a single account needs none.
    Accounts(u64),
    /// A command sent requests from the same address.
    SentByCommand {
        /// The number of requests.
        requests: u32,
        /// When they no longer count.
        free_at: DateTime<Utc>,
    },
    /// Time passed.
    Tick,
}

/// The actions that the caller must perform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// The request may be sent now.
    Grant(Ticket),
    /// The request must not be sent.
    Refuse(Ticket, AllowanceError),
    /// Write this many permits to the database, then report `Stocked` or `StockFailed`.
    Stock(u32),
}

/// Reasons for which a request gets no permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllowanceError {
    /// The allowance is spent.
    Spent {
        /// The time until a slot becomes free.
        wait: TimeDelta,
        /// The number of requests in five minutes that this process may send.
        limit: u32,
    },
    /// OwnerRez answered 429; the gateway sends nothing before this time has passed.
    Throttled(TimeDelta),
    /// Another process has the right to spend.
    Standby,
    /// The permits could not be reserved in the database.
    Storage,
}

impl AllowanceError {
    /// Returns a short fixed label for metrics and logs.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Spent { .. } => "spent",
            Self::Throttled(_) => "throttled",
            Self::Standby => "standby",
            Self::Storage => "storage",
        }
    }

    /// Returns the stable error code of a call that was refused for this reason.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Spent { .. } => ErrorCode::AllowanceSpent,
            Self::Throttled(_) => ErrorCode::OwnerRezThrottled,
            Self::Standby => ErrorCode::Standby,
            Self::Storage => ErrorCode::DatabaseUnavailable,
        }
    }
}

/// Slots that become free at one moment, and the account that occupies them (`None`: an earlier process or a command).
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

/// A request in progress.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    account: Account,
    /// How often the budget had been closed when the request was granted.
    closings: u32,
}

/// The state machine. The module's documentation describes the rule that it enforces.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: u32,
    block: u32,
    latest: DateTime<Utc>,
    in_flight: BTreeMap<Ticket, InFlight>,
    releases: BTreeMap<DateTime<Utc>, Vec<Release>>,
    occupied: u32,
    usage: HashMap<Account, u32>,
    /// Accounts with waiting callers; the one at the front waits longest for its turn.
    turns: VecDeque<Account>,
    waiting: HashMap<Account, VecDeque<Waiter>>,
    /// Accounts that were refused since their last permit, and the time of the first refusal. They retry at about the
    /// same time as others that got the same wait, so without this record some would lose repeatedly.
    starved_since: HashMap<Account, DateTime<Utc>>,
    /// The same callers, by deadline.
    deadlines: BTreeMap<(DateTime<Utc>, Ticket), Account>,
    accounts: u64,
    active: bool,
    stock: u32,
    stocking: bool,
    closed_until: Option<DateTime<Utc>>,
    closings: u32,
    throttles_in_a_row: u32,
    /// While reopening after a 429: the maximum number of requests in progress.
    reopening: Option<usize>,
}

impl Budget {
    /// Creates an empty window of `limit` requests. It spends nothing before `Active(true)`.
    pub fn new(limit: u32, now: DateTime<Utc>) -> Self {
        Self {
            limit,
            block: (limit / 20).max(1),
            latest: now,
            in_flight: BTreeMap::new(),
            releases: BTreeMap::new(),
            occupied: 0,
            usage: HashMap::new(),
            turns: VecDeque::new(),
            waiting: HashMap::new(),
            starved_since: HashMap::new(),
            deadlines: BTreeMap::new(),
            accounts: 0,
            active: false,
            stock: 0,
            stocking: false,
            closed_until: None,
            closings: 0,
            throttles_in_a_row: 0,
            reopening: None,
        }
    }

    /// Loads the known spent slots, regardless of the process that spent them (even this one, before it lost the lock),
    /// and when they become free. Call it before `Active(true)`.
    pub fn carry_over(&mut self, spent: impl IntoIterator<Item = (u32, DateTime<Utc>)>) {
        self.in_flight.clear();
        self.releases.clear();
        self.usage.clear();
        self.occupied = 0;
        for (slots, free_at) in spent {
            self.occupied = self.occupied.saturating_add(slots);
            self.releases.entry(free_at).or_default().push(Release { account: None, slots });
        }
        // A block that was left open counts in full, including permits spent long ago, so the sum may exceed the
        // window. The earliest releases are dropped: at most `limit` slots can be occupied, and the remaining ones are
        // due last.
        while self.occupied > self.limit
            && let Some(mut first) = self.releases.first_entry()
        {
            let surplus = self.occupied - self.limit;
            match first.get_mut().last_mut() {
                Some(release) if release.slots > surplus => {
                    release.slots -= surplus;
                    self.occupied -= surplus;
                }
                Some(release) => {
                    self.occupied -= release.slots;
                    first.get_mut().pop();
                }
                None => {
                    first.remove();
                }
            }
        }
    }

    /// Returns current statistics.
    pub fn stats(&self) -> BudgetStats {
        BudgetStats {
            occupied: self.occupied,
            limit: self.limit,
            in_flight: self.in_flight.len(),
            waiting: self.deadlines.len(),
        }
    }

    /// Handles an event and returns the actions to perform.
    pub fn handle(&mut self, now: DateTime<Utc>, event: Event) -> Vec<Action> {
        self.latest = self.latest.max(now);
        self.free_slots();
        let mut actions = Vec::new();
        match event {
            Event::Acquire { ticket, account, deadline } => self.enqueue(ticket, account, deadline, &mut actions),
            Event::Cancel(ticket) => self.cancel(ticket),
            Event::Done { ticket, at } => self.done(ticket, at),
            Event::Throttled { ticket, at, retry_after } => {
                self.close(ticket, at, retry_after);
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
            Event::Accounts(accounts) => self.accounts = accounts,
            Event::SentByCommand { requests, free_at } if free_at > self.latest => {
                self.occupied = self.occupied.saturating_add(requests);
                self.releases.entry(free_at).or_default().push(Release { account: None, slots: requests });
            }
            Event::SentByCommand { .. } | Event::Tick => {}
        }
        let overdue = self.deadlines.range(..=(self.latest, Ticket(u64::MAX)));
        let overdue: Vec<_> = overdue.map(|((_, ticket), account)| (*account, *ticket)).collect();
        self.refuse(overdue, &mut actions);
        self.grant(&mut actions);
        // The next block is requested while the last one is being spent, so that no call waits for the database. It
        // never exceeds the free part of the window, otherwise repeated crashes would fill the window with requests
        // that were never sent. After a failure the next event tries again; trying at once would be a tight loop.
        let wanted = self.block.min(self.free().saturating_sub(self.stock));
        let low = self.active && !self.stocking && self.stock <= self.block / 2 && wanted > 0;
        if low && !matches!(event, Event::StockFailed) {
            self.stocking = true;
            actions.push(Action::Stock(wanted));
        }
        actions
    }

    /// Returns when to send the next `Tick`, if any caller waits.
    pub fn wake_at(&self) -> Option<DateTime<Utc>> {
        let ((deadline, _), _) = self.deadlines.first_key_value()?;
        let release = self.releases.keys().next().copied();
        let reopening = self.closed_until;
        [Some(*deadline), release, reopening].into_iter().flatten().filter(|at| *at > self.latest).min()
    }

    fn enqueue(&mut self, ticket: Ticket, account: Account, deadline: DateTime<Utc>, actions: &mut Vec<Action>) {
        if !self.active {
            actions.push(Action::Refuse(ticket, AllowanceError::Standby));
            return;
        }
        let own = self.waiting.get(&account).map_or(0, VecDeque::len);
        let first = own == 0;
        // Accounts with more waiting callers than this one get their surplus after this account's turn. Accounts that
        // were refused later than this one, or not at all, get all their permits after its first.
        let ahead = |other: Account, callers: usize| {
            if first && self.precedence(account) < self.precedence(other) { 0 } else { callers.min(own + 1) }
        };
        if self.earliest(account, ahead) >= deadline {
            let refusal = self.reject(account);
            actions.push(Action::Refuse(ticket, refusal));
            return;
        }
        let queue = self.waiting.entry(account).or_default();
        if queue.is_empty() {
            self.turns.push_back(account);
        }
        queue.push_back(Waiter { ticket, deadline });
        self.deadlines.insert((deadline, ticket), account);
    }

    fn cancel(&mut self, ticket: Ticket) {
        if let Some(sent) = self.in_flight.remove(&ticket) {
            // The permit is not passed on to another caller, because its block is counted elsewhere.
            self.free_up(Some(sent.account), 1);
            return;
        }
        let account = self.deadlines.iter().find(|((_, waiting), _)| *waiting == ticket).map(|(_, account)| *account);
        if let Some(account) = account {
            self.remove_waiter(account, ticket);
        }
    }

    /// Occupies the slot of a sent request for a period from its response. That period may be over already if the event
    /// is late.
    fn finish(&mut self, ticket: Ticket, at: DateTime<Utc>) -> Option<InFlight> {
        let sent = self.in_flight.remove(&ticket)?;
        let release = Release { account: Some(sent.account), slots: 1 };
        // Two responses rarely come at the same moment, and a list that grows on demand begins with a capacity of four.
        self.releases.entry(at.min(self.latest) + PERIOD).or_insert_with(|| Vec::with_capacity(1)).push(release);
        self.free_slots();
        Some(sent)
    }

    fn done(&mut self, ticket: Ticket, at: DateTime<Utc>) {
        // Only a request that was granted since the last 429 shows that OwnerRez accepts requests again.
        if self.finish(ticket, at).is_some_and(|sent| sent.closings == self.closings) {
            self.throttles_in_a_row = 0;
            self.reopening = self.reopening.map(|at_once| at_once * 2).filter(|at_once| *at_once < 32);
        }
    }

    fn close(&mut self, ticket: Ticket, at: DateTime<Utc>, retry_after: Option<TimeDelta>) {
        let Some(sent) = self.finish(ticket, at) else { return };
        let at = at.min(self.latest);
        let asked = retry_after.map(|wait| wait.max(TimeDelta::seconds(1)).min(PERIOD));
        if sent.closings == self.closings {
            let backoff = TimeDelta::seconds(15 << self.throttles_in_a_row.min(4));
            self.throttles_in_a_row += 1;
            self.closings += 1;
            self.reopening = Some(1);
            self.closed_until = self.closed_until.max(Some(at + asked.unwrap_or(backoff)));
        } else if let Some(asked) = asked {
            // One of several requests in progress together: the same 429, not a further one.
            self.closed_until = self.closed_until.max(Some(at + asked));
        }
    }

    fn free_slots(&mut self) {
        while let Some(entry) = self.releases.first_entry() {
            if *entry.key() > self.latest {
                break;
            }
            for release in entry.remove() {
                self.free_up(release.account, release.slots);
            }
        }
    }

    fn free_up(&mut self, account: Option<Account>, slots: u32) {
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

    fn free(&self) -> u32 {
        self.limit.saturating_sub(self.occupied)
    }

    fn used(&self, account: Account) -> u32 {
        self.usage.get(&account).copied().unwrap_or(0)
    }

    /// Returns the precedence of an account: the earliest refusal goes first, then accounts without a refusal.
    fn precedence(&self, account: Account) -> DateTime<Utc> {
        self.starved_since.get(&account).copied().unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Grants permits in turns, first to accounts that were refused before. An account that is skipped because of the
    /// reserve keeps its place.
    fn grant(&mut self, actions: &mut Vec<Action>) {
        let open = self.active && self.closed_until.is_none_or(|until| until <= self.latest);
        while open && self.stock > 0 && self.reopening.is_none_or(|at_once| self.in_flight.len() < at_once) {
            let free = self.free();
            let connecting = self.used(Account::Connecting);
            let eligible =
                self.turns.iter().filter(|account| self.eligible(**account, self.used(**account), connecting, free));
            let Some(account) = eligible.min_by_key(|account| self.precedence(**account)).copied() else { break };
            let Some(ticket) = self.waiting.get(&account).and_then(|queue| queue.front()).map(|first| first.ticket)
            else {
                break;
            };
            self.remove_waiter(account, ticket);
            self.starved_since.remove(&account);
            self.stock -= 1;
            self.occupied += 1;
            *self.usage.entry(account).or_default() += 1;
            self.in_flight.insert(ticket, InFlight { account, closings: self.closings });
            actions.push(Action::Grant(ticket));
            // The account's turn is over. If more of its callers wait, the account goes to the end of the queue.
            if self.waiting.contains_key(&account) {
                self.turns.retain(|waiting| *waiting != account);
                self.turns.push_back(account);
            }
        }
    }

    /// Returns whether an account may take a slot (the fairness rule). The last tenth of the window is closed to
    /// accounts that used a fiftieth of it or more, and the last third of that tenth to all accounts that used
    /// anything. So an account that used nothing always finds a slot.
    ///
    /// A further twentieth is closed to all accounts until connecting has used as much. `connecting` is the number of
    /// slots that connecting used; for [`Account::Connecting`] it equals `used`.
    fn eligible(&self, account: Account, used: u32, connecting: u32, free: u32) -> bool {
        let within_its_part = account != Account::Connecting || used < (self.limit / 2).max(1);
        within_its_part && free > self.reserve_for(account, used, connecting)
    }

    /// Returns how many slots an account with this usage leaves to others.
    fn reserve_for(&self, account: Account, used: u32, connecting: u32) -> u32 {
        let is_kept_for_connecting = account != Account::Connecting && self.accounts > 1;
        let for_connecting = if is_kept_for_connecting { (self.limit / 20).saturating_sub(connecting) } else { 0 };
        self.fairness_reserve(account, used).saturating_add(for_connecting)
    }

    /// The same without the part that is reserved for connecting.
    ///
    /// Connecting always gets its own twentieth. It may use a second one like an account with few requests, and up to
    /// half of the window while a third of it is free.
    fn fairness_reserve(&self, account: Account, used: u32) -> u32 {
        let reserve = if self.accounts <= 1 { 0 } else { self.limit / 10 };
        let (handful, part) = ((self.limit / 50).max(1), (self.limit / 20).max(1));
        match account {
            Account::Connecting if used < part => 0,
            Account::Connecting if used < part * 2 => reserve / 3,
            Account::Connecting => self.limit / 3,
            _ if used == 0 => 0,
            _ if used < handful => reserve / 3,
            _ => reserve,
        }
    }

    /// Returns the first moment at which one more caller of `account` could get a permit, if the waiting callers get
    /// theirs first, as many of each account's callers as `ahead` returns, and no others arrive.
    ///
    /// Only accounts that may go as deep into the reserve count; the others stop where `account` still finds a slot.
    fn earliest(&self, account: Account, ahead: impl Fn(Account, usize) -> usize) -> DateTime<Utc> {
        let not_before = self.closed_until.unwrap_or(self.latest).max(self.latest);
        let last_deadline = self.deadlines.last_key_value().map(|((deadline, _), _)| *deadline);
        let own = self.waiting.get(&account).map_or(0, VecDeque::len);
        // The usage of the waiting accounts at the last deadline. By then they may count as accounts with little usage.
        let mut used_by_then: HashMap<Account, u32> = self.usage.clone();
        let due = last_deadline.into_iter().flat_map(|deadline| self.releases.range(..=deadline));
        for release in due.flat_map(|(_, releases)| releases) {
            if let Some(used) = release.account.and_then(|account| used_by_then.get_mut(&account)) {
                *used = used.saturating_sub(release.slots);
            }
        }
        let ahead_of_us: Vec<(u32, u32)> = self
            .waiting
            .iter()
            .filter(|(other, _)| **other != account)
            .map(|(other, queue)| {
                let used = used_by_then.get(other).copied().unwrap_or(0);
                (self.fairness_reserve(*other, used), count(ahead(*other, queue.len())))
            })
            .collect();
        let mut free = self.free();
        let mut used = self.used(account).saturating_add(count(own));
        let mut connecting = self.used(Account::Connecting);
        let fits = |used: u32, connecting: u32, free: u32| {
            let kept = self.fairness_reserve(account, used);
            let ahead: u32 =
                ahead_of_us.iter().filter(|(theirs, _)| *theirs <= kept).map(|(_, callers)| *callers).sum();
            self.eligible(account, used, connecting, free.saturating_sub(ahead.saturating_add(count(own))))
        };
        if fits(used, connecting, free) {
            return not_before;
        }
        for (at, releases) in &self.releases {
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
                return not_before.max(*at);
            }
        }
        // By then all slots that are occupied now, or granted to the waiting callers, are free again, except for the
        // time until their responses.
        not_before.max(last_deadline.unwrap_or(not_before)) + PERIOD
    }

    /// Returns the callers that cannot be served before their deadline, because nothing may be sent for a while.
    fn cannot_make_deadline(&self) -> Vec<(Account, Ticket)> {
        let opens = self.closed_until.unwrap_or(self.latest);
        let late = self.deadlines.range(..=(opens, Ticket(u64::MAX)));
        late.map(|((_, ticket), account)| (*account, *ticket)).collect()
    }

    /// Records that an account was refused, and returns when to retry. The waiting callers are served until then, so
    /// all of them count as ahead.
    fn reject(&mut self, account: Account) -> AllowanceError {
        self.starved_since.retain(|_, since| *since + PRECEDENCE_PERIOD > self.latest);
        self.starved_since.entry(account).or_insert(self.latest);
        let wait = (self.earliest(account, |_, callers| callers) - self.latest).max(TimeDelta::seconds(1));
        match self.closed_until {
            Some(until) if until > self.latest => AllowanceError::Throttled(wait),
            _ => AllowanceError::Spent { wait, limit: self.limit },
        }
    }

    fn refuse(&mut self, refused: Vec<(Account, Ticket)>, actions: &mut Vec<Action>) {
        for (account, ticket) in &refused {
            self.remove_waiter(*account, *ticket);
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
        actions.extend(self.deadlines.keys().map(|(_, ticket)| Action::Refuse(*ticket, refusal)));
        self.deadlines.clear();
        self.waiting.clear();
        self.turns.clear();
    }

    /// Removes a caller from the queue.
    fn remove_waiter(&mut self, account: Account, ticket: Ticket) {
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
}

fn count(callers: usize) -> u32 {
    u32::try_from(callers).unwrap_or(u32::MAX)
}
