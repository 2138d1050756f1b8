//! A discrete-event simulation of callers of the budget, with its own clock. OwnerRez is represented by the simulator's
//! window, the database by a list of blocks. The budget gets a `Tick` only when its `wake_at` requests one.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use ownerrez_gateway::{
    domain::AccountId,
    sandbox::window::Window,
    session::{
        blocks::{Blocks, left_behind},
        budget::{Account, Action, Budget, Event, PERIOD, Refusal, Ticket},
    },
    store::Block,
};
use uuid::Uuid;

/// How long an asker waits for a permit.
pub(crate) const PATIENCE: TimeDelta = TimeDelta::seconds(30);

/// A caller and its request pattern.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) account: Account,
    /// The pause after an answer, in milliseconds, random each time.
    pub(crate) pause: std::ops::Range<i64>,
    /// The number of requests after which it rests for a while.
    pub(crate) burst: u32,
    pub(crate) rest: i64,
}

impl Asker {
    /// Returns one that asks again as soon as possible.
    pub(crate) fn glutton(number: usize) -> Self {
        Self { account: account(number), pause: 1..300, burst: u32::MAX, rest: 0 }
    }

    /// Returns one that makes a few calls from time to time.
    pub(crate) fn casual(number: usize) -> Self {
        Self { account: account(number), pause: 500..3_000, burst: 4, rest: 120_000 }
    }

    /// Returns one that connects.
    pub(crate) fn stranger() -> Self {
        Self { account: Account::Connecting, pause: 1..2_000, burst: u32::MAX, rest: 0 }
    }
}

/// Returns an OwnerRez account.
pub(crate) fn account(number: usize) -> Account {
    Account::OwnerRez(AccountId(i64::try_from(number).unwrap()))
}

/// The frequency of faults, in permille.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    pub(crate) cancels: u32,
    pub(crate) give_backs: u32,
    pub(crate) storage: u32,
    /// The longest time from grant to reply, in milliseconds.
    pub(crate) latency: i64,
}

#[derive(Clone, Debug)]
enum Happening {
    Ask(usize),
    Arrival(Ticket),
    Reply(Ticket, bool),
    Cancel(Ticket),
    Stored { block: Uuid, permits: u32, process: u32 },
    Start,
    Tick,
}

#[derive(Clone, Copy, Debug)]
struct Wish {
    asker: usize,
    deadline: DateTime<Utc>,
}

/// The complete state of the simulation.
#[derive(Clone)]
pub(crate) struct Town {
    pub(crate) now: DateTime<Utc>,
    pub(crate) budget: Budget,
    pub(crate) trouble: Trouble,
    limit: u32,
    accounts: u64,
    blocks: Blocks,
    database: Vec<Block>,
    /// Counts starts; replies and reservations of an earlier process are ignored.
    process: u32,
    running: bool,
    window: Window,
    strangers: Window,
    agenda: BTreeMap<(DateTime<Utc>, u64), Happening>,
    next: u64,
    pub(crate) askers: Vec<Asker>,
    asked: Vec<u32>,
    wishes: HashMap<Ticket, Wish>,
    granted: HashMap<Ticket, (usize, u32)>,
    /// The time since which an asker has asked without a grant.
    hungry: Vec<Option<DateTime<Utc>>>,
    pub(crate) longest_hunger: TimeDelta,
    pub(crate) grants: Vec<u32>,
    pub(crate) refusals: u32,
    pub(crate) throttled: u32,
    outsider_until: DateTime<Utc>,
    quiet: bool,
    /// The number of refusals for which the named wait is still to be verified.
    pub(crate) trials: u32,
    to_try: Vec<(usize, TimeDelta)>,
    random: fastrand::Rng,
}

impl Town {
    pub(crate) fn new(limit: u32, askers: Vec<Asker>, trouble: Trouble, seed: u64) -> Self {
        let now = DateTime::UNIX_EPOCH;
        let mut accounts: Vec<Account> = askers.iter().map(|asker| asker.account).collect();
        accounts.sort();
        accounts.dedup();
        let accounts = accounts.iter().filter(|account| **account != Account::Connecting).count() as u64;
        let count = askers.len();
        let mut town = Self {
            now,
            budget: Budget::new(limit, now),
            trouble,
            limit,
            accounts,
            blocks: Blocks::default(),
            database: Vec::new(),
            process: 0,
            running: false,
            window: Window::new(limit, PERIOD),
            strangers: Window::new((limit / 2).max(1), PERIOD),
            agenda: BTreeMap::new(),
            next: 0,
            askers,
            asked: vec![0; count],
            wishes: HashMap::new(),
            granted: HashMap::new(),
            hungry: vec![None; count],
            longest_hunger: TimeDelta::zero(),
            grants: vec![0; count],
            refusals: 0,
            throttled: 0,
            outsider_until: now,
            quiet: false,
            trials: 0,
            to_try: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        };
        town.start();
        for asker in 0..count {
            let first = town.random.i64(0..5_000);
            town.later(first, Happening::Ask(asker));
        }
        town
    }

    /// Adds an asker that starts later; askers are numbered in the order in which they were added.
    pub(crate) fn add(&mut self, asker: Asker, milliseconds: i64) {
        self.askers.push(asker);
        self.asked.push(0);
        self.grants.push(0);
        self.hungry.push(None);
        self.later(milliseconds, Happening::Ask(self.askers.len() - 1));
    }

    fn later(&mut self, milliseconds: i64, happening: Happening) {
        self.next += 1;
        self.agenda.insert((self.now + TimeDelta::milliseconds(milliseconds), self.next), happening);
    }

    /// Runs the simulation for this time.
    pub(crate) fn run(&mut self, span: TimeDelta) {
        let until = self.now + span;
        while self.step(until) {}
        self.now = until;
        for since in self.hungry.iter().flatten() {
            self.longest_hunger = self.longest_hunger.max(self.now - *since);
        }
    }

    fn step(&mut self, until: DateTime<Utc>) -> bool {
        let tick = self.budget.wake_at().map(|at| (at, 0));
        let Some(at) = self.agenda.keys().next().copied().into_iter().chain(tick).min().filter(|(at, _)| *at <= until)
        else {
            return false;
        };
        if let Some(tick) = tick {
            assert!(tick.0 > self.now, "a wake-up in the past");
        }
        self.now = at.0;
        let happening = if Some(at) == tick { Happening::Tick } else { self.agenda.remove(&at).unwrap() };
        match happening {
            Happening::Ask(asker) => self.ask(asker),
            Happening::Arrival(ticket) => {
                let admitted = self.window.admit(self.now);
                assert!(admitted || self.now < self.outsider_until, "429 at {}", self.now);
                self.agenda.values_mut().for_each(|other| {
                    if let Happening::Reply(replied, ok) = other
                        && *replied == ticket
                    {
                        *ok = admitted;
                    }
                });
            }
            Happening::Reply(ticket, ok) => self.reply(ticket, ok),
            Happening::Cancel(ticket) => {
                if let Some(wish) = self.wishes.remove(&ticket) {
                    self.event(Event::Cancel(ticket));
                    self.ask_later(wish.asker, 0);
                }
            }
            Happening::Stored { block, permits, process } => self.stored(block, permits, process),
            Happening::Start => self.start(),
            Happening::Tick => self.event(Event::Tick),
        }
        self.check();
        for (asker, wait) in std::mem::take(&mut self.to_try) {
            self.clone().try_again(asker, wait);
        }
        true
    }

    fn check(&self) {
        let stats = self.budget.stats();
        assert!(stats.occupied <= self.limit, "{stats:?}");
        assert_eq!(stats.waiting, self.wishes.len(), "every ticket is answered once");
        let overdue = self.wishes.values().filter(|wish| wish.deadline <= self.now).count();
        assert_eq!(overdue, 0, "answered by the deadline");
    }

    fn ask(&mut self, asker: usize) {
        if self.quiet {
            return;
        }
        self.asked[asker] += 1;
        self.hungry[asker].get_or_insert(self.now);
        if !self.running {
            self.ask_later(asker, 1_000);
            return;
        }
        let ticket = self.acquire(asker);
        if self.wishes.contains_key(&ticket) && self.random.u32(0..1000) < self.trouble.cancels {
            let after = self.random.i64(0..20_000);
            self.later(after, Happening::Cancel(ticket));
        }
    }

    fn acquire(&mut self, asker: usize) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        let deadline = self.now + PATIENCE;
        self.wishes.insert(ticket, Wish { asker, deadline });
        self.event(Event::Acquire { ticket, account: self.askers[asker].account, deadline });
        ticket
    }

    fn ask_later(&mut self, asker: usize, wait: i64) {
        let who = self.askers[asker].clone();
        let rest = if self.asked[asker].is_multiple_of(who.burst) { who.rest } else { 0 };
        let pause = self.random.i64(who.pause);
        self.later(wait + rest + pause, Happening::Ask(asker));
    }

    fn event(&mut self, event: Event) {
        for action in self.budget.handle(self.now, event) {
            match action {
                Action::Grant(ticket) => self.grant(ticket),
                Action::Refuse(ticket, refusal) => self.refuse(ticket, refusal),
                Action::Stock(permits) => {
                    let (block, process) = (Uuid::from_u128(u128::from(self.next)), self.process);
                    let takes = self.random.i64(0..200);
                    self.later(takes, Happening::Stored { block, permits, process });
                }
            }
        }
    }

    fn grant(&mut self, ticket: Ticket) {
        let wish = self.wishes.remove(&ticket).expect("a ticket is answered once");
        self.blocks.spend(ticket);
        self.granted.insert(ticket, (wish.asker, self.process));
        self.grants[wish.asker] += 1;
        if let Some(since) = self.hungry[wish.asker].take() {
            self.longest_hunger = self.longest_hunger.max(self.now - since);
        }
        if self.random.u32(0..1000) < self.trouble.give_backs {
            self.granted.remove(&ticket);
            // Returned unsent: the actor also settles it with its block.
            self.blocks.settle(ticket, false, self.now);
            self.event(Event::Cancel(ticket));
            self.ask_later(wish.asker, 0);
            return;
        }
        if self.askers[wish.asker].account == Account::Connecting {
            assert!(self.strangers.admit(self.now), "connecting took more than half of the window");
        }
        let back_in = self.random.i64(0..=self.trouble.latency);
        let arrives_in = self.random.i64(0..=back_in);
        self.later(arrives_in, Happening::Arrival(ticket));
        self.later(back_in, Happening::Reply(ticket, true));
    }

    fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        let wish = self.wishes.remove(&ticket).expect("a ticket is answered once");
        self.refusals += 1;
        let wait = match refusal {
            Refusal::Spent { wait, .. } => {
                if self.trials > 0 && self.now >= self.outsider_until {
                    self.trials -= 1;
                    self.to_try.push((wish.asker, wait));
                }
                wait
            }
            Refusal::Throttled(wait) => wait,
            Refusal::Standby | Refusal::Storage => TimeDelta::seconds(1),
        };
        assert!(wait <= PERIOD * 2, "{wait}");
        self.ask_later(wish.asker, wait.num_milliseconds());
    }

    /// Lets the refused asker retry after the wait, while no other asker asks.
    fn try_again(mut self, asker: usize, wait: TimeDelta) {
        self.settle_down();
        self.trouble = Trouble { latency: self.trouble.latency, ..Trouble::default() };
        self.agenda.retain(|_, later| !matches!(later, Happening::Cancel(_)));
        self.run(wait);
        let before = self.grants[asker];
        self.acquire(asker);
        self.run(PATIENCE);
        assert!(self.grants[asker] > before, "was told to wait for {wait}, and waited in vain");
    }

    fn reply(&mut self, ticket: Ticket, ok: bool) {
        let Some((asker, process)) = self.granted.remove(&ticket) else { return };
        if process == self.process && self.running {
            self.blocks.settle(ticket, true, self.now);
            if ok {
                self.event(Event::Done { ticket, at: self.now });
            } else {
                self.throttled += 1;
                self.event(Event::Throttled { ticket, at: self.now, retry_after: None });
            }
        }
        self.ask_later(asker, 0);
    }

    fn stored(&mut self, block: Uuid, permits: u32, process: u32) {
        if process != self.process || !self.running {
            return;
        }
        if self.random.u32(0..1000) < self.trouble.storage {
            self.event(Event::StockFailed);
            return;
        }
        self.reserve(block, permits);
        self.blocks.open(block, permits);
        self.event(Event::Stocked(permits));
    }

    fn reserve(&mut self, id: Uuid, permits: u32) {
        let closed = self.blocks.take_closed();
        self.write(&closed);
        let forgotten = self.now - PERIOD;
        self.database.retain(|block| block.closed_at.is_none_or(|at| at >= forgotten));
        self.database.push(Block { id, permits, reserved_at: self.now, closed_at: None, used: None });
    }

    fn write(&mut self, closed: &[ownerrez_gateway::store::ClosedBlock]) {
        for closed in closed {
            if let Some(block) = self.database.iter_mut().find(|block| block.id == closed.id) {
                (block.used, block.closed_at) = (Some(closed.used), Some(closed.closed_at));
            }
        }
        self.database.retain(|block| block.used != Some(0));
    }

    /// Ends the process, cleanly or not; another one starts soon.
    pub(crate) fn end_process(&mut self, orderly: bool) {
        if !self.running {
            return;
        }
        // A reservation in flight may succeed or not.
        let under_way: Vec<_> =
            self.agenda.iter().filter(|(_, later)| matches!(later, Happening::Stored { .. })).collect();
        let under_way: Vec<_> = under_way.into_iter().map(|(at, _)| *at).collect();
        for at in under_way {
            if let Some(Happening::Stored { block, permits, process }) = self.agenda.remove(&at)
                && process == self.process
                && self.random.bool()
            {
                self.reserve(block, permits);
            }
        }
        if orderly {
            let closed = self.blocks.close_all(self.now);
            self.write(&closed);
        }
        self.event(Event::Active(false));
        self.running = false;
        let starts_in = self.random.i64(1..10_000);
        self.later(starts_in, Happening::Start);
    }

    fn start(&mut self) {
        self.process += 1;
        self.running = true;
        self.blocks = Blocks::default();
        let (spent, abandoned) = left_behind(&self.database, self.now);
        self.write(&abandoned);
        self.budget = Budget::new(self.limit, self.now);
        self.budget.carry_over(spent);
        // After a restart it is not known which account spent what.
        self.strangers = Window::new((self.limit / 2).max(1), PERIOD);
        self.event(Event::Accounts(self.accounts));
        self.event(Event::Active(true));
    }

    /// Spends requests from our address on behalf of another program.
    pub(crate) fn outsider(&mut self, requests: u32) {
        for _ in 0..requests {
            self.window.admit(self.now);
        }
        self.outsider_until = self.now + PERIOD;
    }

    /// Stops all askers.
    pub(crate) fn settle_down(&mut self) {
        self.quiet = true;
        self.hungry.fill(None);
        self.trials = 0;
    }
}
