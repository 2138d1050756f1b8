//! A discrete-event simulation of callers of the budget, with its own clock. OwnerRez is represented by the simulator's
//! window, the database by a list of blocks. The budget gets a `Tick` only when its `wake_at` requests one.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use ownerrez_gateway::{
    allowance::{
        Account, Action, AllowanceError, Block, Blocks, Budget, ClosedBlock, Event, PERIOD, Ticket, recover_blocks,
    },
    domain::AccountId,
    simulator::window::Window,
};
use uuid::Uuid;

/// How long a caller waits for a permit.
pub(crate) const PATIENCE: TimeDelta = TimeDelta::seconds(30);

/// A caller and its request pattern.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedCaller {
    pub(crate) account: Account,
    /// The pause after an answer, in milliseconds, random each time.
    pub(crate) pause: std::ops::Range<i64>,
    /// The number of requests after which it rests for a while.
    pub(crate) burst: u32,
    pub(crate) rest: i64,
}

impl SimulatedCaller {
    /// Returns one that asks again as soon as possible.
    pub(crate) fn greedy(number: usize) -> Self {
        Self { account: account(number), pause: 1..300, burst: u32::MAX, rest: 0 }
    }

    /// Returns one that makes a few calls from time to time.
    pub(crate) fn casual(number: usize) -> Self {
        Self { account: account(number), pause: 500..3_000, burst: 4, rest: 120_000 }
    }

    /// Returns one that connects.
    pub(crate) fn connecting() -> Self {
        Self { account: Account::Connecting, pause: 1..2_000, burst: u32::MAX, rest: 0 }
    }
}

/// Returns an OwnerRez account.
pub(crate) fn account(number: usize) -> Account {
    Account::OwnerRez(AccountId(i64::try_from(number).unwrap()))
}

/// The frequency of faults, in permille.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FaultRates {
    pub(crate) cancels: u32,
    pub(crate) give_backs: u32,
    pub(crate) storage: u32,
    /// The longest time from grant to reply, in milliseconds.
    pub(crate) latency: i64,
}

#[derive(Clone, Debug)]
enum SimulationEvent {
    Ask(usize),
    Arrival(Ticket),
    Reply(Ticket, bool),
    Cancel(Ticket),
    Stored { block: Uuid, permits: u32, process: u32 },
    Start,
    Tick,
}

#[derive(Clone, Copy, Debug)]
struct PendingPermit {
    caller: usize,
    deadline: DateTime<Utc>,
}

/// The complete state of the simulation.
#[derive(Clone)]
pub(crate) struct BudgetSimulation {
    pub(crate) now: DateTime<Utc>,
    pub(crate) budget: Budget,
    pub(crate) faults: FaultRates,
    limit: u32,
    accounts: u64,
    blocks: Blocks,
    database: Vec<Block>,
    /// Counts starts; replies and reservations of an earlier process are ignored.
    process: u32,
    running: bool,
    window: Window,
    connecting_window: Window,
    events: BTreeMap<(DateTime<Utc>, u64), SimulationEvent>,
    next: u64,
    pub(crate) callers: Vec<SimulatedCaller>,
    asked: Vec<u32>,
    pending: HashMap<Ticket, PendingPermit>,
    granted: HashMap<Ticket, (usize, u32)>,
    /// The time since which a caller has asked without a grant.
    waiting_since: Vec<Option<DateTime<Utc>>>,
    pub(crate) longest_wait: TimeDelta,
    pub(crate) grants: Vec<u32>,
    pub(crate) refusals: u32,
    pub(crate) throttled: u32,
    foreign_requests_until: DateTime<Utc>,
    stopped: bool,
    /// The number of refusals for which the named wait is still to be verified.
    pub(crate) trials: u32,
    retries: Vec<(usize, TimeDelta)>,
    random: fastrand::Rng,
}

impl BudgetSimulation {
    pub(crate) fn new(limit: u32, callers: Vec<SimulatedCaller>, faults: FaultRates, seed: u64) -> Self {
        let now = DateTime::UNIX_EPOCH;
        let mut accounts: Vec<Account> = callers.iter().map(|caller| caller.account).collect();
        accounts.sort();
        accounts.dedup();
        let accounts = accounts.iter().filter(|account| **account != Account::Connecting).count() as u64;
        let count = callers.len();
        let mut simulation = Self {
            now,
            budget: Budget::new(limit, now),
            faults,
            limit,
            accounts,
            blocks: Blocks::default(),
            database: Vec::new(),
            process: 0,
            running: false,
            window: Window::new(limit, PERIOD),
            connecting_window: Window::new((limit / 2).max(1), PERIOD),
            events: BTreeMap::new(),
            next: 0,
            callers,
            asked: vec![0; count],
            pending: HashMap::new(),
            granted: HashMap::new(),
            waiting_since: vec![None; count],
            longest_wait: TimeDelta::zero(),
            grants: vec![0; count],
            refusals: 0,
            throttled: 0,
            foreign_requests_until: now,
            stopped: false,
            trials: 0,
            retries: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        };
        simulation.start();
        for caller in 0..count {
            let first = simulation.random.i64(0..5_000);
            simulation.later(first, SimulationEvent::Ask(caller));
        }
        simulation
    }

    /// Adds a caller that starts later; callers are numbered in the order in which they were added.
    pub(crate) fn add(&mut self, caller: SimulatedCaller, milliseconds: i64) {
        self.callers.push(caller);
        self.asked.push(0);
        self.grants.push(0);
        self.waiting_since.push(None);
        self.later(milliseconds, SimulationEvent::Ask(self.callers.len() - 1));
    }

    fn later(&mut self, milliseconds: i64, event: SimulationEvent) {
        self.next += 1;
        self.events.insert((self.now + TimeDelta::milliseconds(milliseconds), self.next), event);
    }

    /// Runs the simulation for this time.
    pub(crate) fn run(&mut self, span: TimeDelta) {
        let until = self.now + span;
        while self.step(until) {}
        self.now = until;
        for since in self.waiting_since.iter().flatten() {
            self.longest_wait = self.longest_wait.max(self.now - *since);
        }
    }

    fn step(&mut self, until: DateTime<Utc>) -> bool {
        let tick = self.budget.wake_at().map(|at| (at, 0));
        let Some(at) = self.events.keys().next().copied().into_iter().chain(tick).min().filter(|(at, _)| *at <= until)
        else {
            return false;
        };
        if let Some(tick) = tick {
            assert!(tick.0 > self.now, "a wake-up in the past");
        }
        self.now = at.0;
        let event = if Some(at) == tick { SimulationEvent::Tick } else { self.events.remove(&at).unwrap() };
        match event {
            SimulationEvent::Ask(caller) => self.ask(caller),
            SimulationEvent::Arrival(ticket) => {
                let admitted = self.window.admit(self.now);
                assert!(admitted || self.now < self.foreign_requests_until, "429 at {}", self.now);
                self.events.values_mut().for_each(|other| {
                    if let SimulationEvent::Reply(replied, ok) = other
                        && *replied == ticket
                    {
                        *ok = admitted;
                    }
                });
            }
            SimulationEvent::Reply(ticket, ok) => self.reply(ticket, ok),
            SimulationEvent::Cancel(ticket) => {
                if let Some(permit) = self.pending.remove(&ticket) {
                    self.event(Event::Cancel(ticket));
                    self.call_later(permit.caller, 0);
                }
            }
            SimulationEvent::Stored { block, permits, process } => self.stored(block, permits, process),
            SimulationEvent::Start => self.start(),
            SimulationEvent::Tick => self.event(Event::Tick),
        }
        self.check();
        for (caller, wait) in std::mem::take(&mut self.retries) {
            self.clone().retry(caller, wait);
        }
        true
    }

    fn check(&self) {
        let stats = self.budget.stats();
        assert!(stats.occupied <= self.limit, "{stats:?}");
        assert_eq!(stats.waiting, self.pending.len(), "every ticket is answered once");
        let overdue = self.pending.values().filter(|permit| permit.deadline <= self.now).count();
        assert_eq!(overdue, 0, "answered by the deadline");
    }

    fn ask(&mut self, caller: usize) {
        if self.stopped {
            return;
        }
        self.asked[caller] += 1;
        self.waiting_since[caller].get_or_insert(self.now);
        if !self.running {
            self.call_later(caller, 1_000);
            return;
        }
        let ticket = self.acquire(caller);
        if self.pending.contains_key(&ticket) && self.random.u32(0..1000) < self.faults.cancels {
            let after = self.random.i64(0..20_000);
            self.later(after, SimulationEvent::Cancel(ticket));
        }
    }

    fn acquire(&mut self, caller: usize) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        let deadline = self.now + PATIENCE;
        self.pending.insert(ticket, PendingPermit { caller, deadline });
        self.event(Event::Acquire { ticket, account: self.callers[caller].account, deadline });
        ticket
    }

    fn call_later(&mut self, caller: usize, wait: i64) {
        let who = self.callers[caller].clone();
        let rest = if self.asked[caller].is_multiple_of(who.burst) { who.rest } else { 0 };
        let pause = self.random.i64(who.pause);
        self.later(wait + rest + pause, SimulationEvent::Ask(caller));
    }

    fn event(&mut self, event: Event) {
        for action in self.budget.handle(self.now, event) {
            match action {
                Action::Grant(ticket) => self.grant(ticket),
                Action::Refuse(ticket, refusal) => self.refuse(ticket, refusal),
                Action::Stock(permits) => {
                    let (block, process) = (Uuid::from_u128(u128::from(self.next)), self.process);
                    let takes = self.random.i64(0..200);
                    self.later(takes, SimulationEvent::Stored { block, permits, process });
                }
            }
        }
    }

    fn grant(&mut self, ticket: Ticket) {
        let permit = self.pending.remove(&ticket).expect("a ticket is answered once");
        self.blocks.spend(ticket);
        self.granted.insert(ticket, (permit.caller, self.process));
        self.grants[permit.caller] += 1;
        if let Some(since) = self.waiting_since[permit.caller].take() {
            self.longest_wait = self.longest_wait.max(self.now - since);
        }
        if self.random.u32(0..1000) < self.faults.give_backs {
            self.granted.remove(&ticket);
            // Returned unsent: the actor also settles it with its block.
            self.blocks.settle(ticket, false, self.now);
            self.event(Event::Cancel(ticket));
            self.call_later(permit.caller, 0);
            return;
        }
        if self.callers[permit.caller].account == Account::Connecting {
            assert!(self.connecting_window.admit(self.now), "connecting took more than half of the window");
        }
        let back_in = self.random.i64(0..=self.faults.latency);
        let arrives_in = self.random.i64(0..=back_in);
        self.later(arrives_in, SimulationEvent::Arrival(ticket));
        self.later(back_in, SimulationEvent::Reply(ticket, true));
    }

    fn refuse(&mut self, ticket: Ticket, refusal: AllowanceError) {
        let permit = self.pending.remove(&ticket).expect("a ticket is answered once");
        self.refusals += 1;
        let wait = match refusal {
            AllowanceError::Spent { wait, .. } => {
                if self.trials > 0 && self.now >= self.foreign_requests_until {
                    self.trials -= 1;
                    self.retries.push((permit.caller, wait));
                }
                wait
            }
            AllowanceError::Throttled(wait) => wait,
            AllowanceError::Standby | AllowanceError::Storage => TimeDelta::seconds(1),
        };
        assert!(wait <= PERIOD * 2, "{wait}");
        self.call_later(permit.caller, wait.num_milliseconds());
    }

    /// Lets the refused caller retry after the wait, while no other caller asks.
    fn retry(mut self, caller: usize, wait: TimeDelta) {
        self.stop_callers();
        self.faults = FaultRates { latency: self.faults.latency, ..FaultRates::default() };
        self.events.retain(|_, later| !matches!(later, SimulationEvent::Cancel(_)));
        self.run(wait);
        let before = self.grants[caller];
        self.acquire(caller);
        self.run(PATIENCE);
        assert!(self.grants[caller] > before, "was told to wait for {wait}, and waited in vain");
    }

    fn reply(&mut self, ticket: Ticket, ok: bool) {
        let Some((caller, process)) = self.granted.remove(&ticket) else { return };
        if process == self.process && self.running {
            self.blocks.settle(ticket, true, self.now);
            if ok {
                self.event(Event::Done { ticket, at: self.now });
            } else {
                self.throttled += 1;
                self.event(Event::Throttled { ticket, at: self.now, retry_after: None });
            }
        }
        self.call_later(caller, 0);
    }

    fn stored(&mut self, block: Uuid, permits: u32, process: u32) {
        if process != self.process || !self.running {
            return;
        }
        if self.random.u32(0..1000) < self.faults.storage {
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

    fn write(&mut self, closed: &[ClosedBlock]) {
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
            self.events.iter().filter(|(_, later)| matches!(later, SimulationEvent::Stored { .. })).collect();
        let under_way: Vec<_> = under_way.into_iter().map(|(at, _)| *at).collect();
        for at in under_way {
            if let Some(SimulationEvent::Stored { block, permits, process }) = self.events.remove(&at)
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
        self.later(starts_in, SimulationEvent::Start);
    }

    fn start(&mut self) {
        self.process += 1;
        self.running = true;
        self.blocks = Blocks::default();
        let (spent, abandoned) = recover_blocks(&self.database, self.now);
        self.write(&abandoned);
        self.budget = Budget::new(self.limit, self.now);
        self.budget.carry_over(spent);
        // After a restart it is not known which account spent what.
        self.connecting_window = Window::new((self.limit / 2).max(1), PERIOD);
        self.event(Event::Accounts(self.accounts));
        self.event(Event::Active(true));
    }

    /// Spends requests from our address on behalf of another program.
    pub(crate) fn foreign_requests(&mut self, requests: u32) {
        for _ in 0..requests {
            self.window.admit(self.now);
        }
        self.foreign_requests_until = self.now + PERIOD;
    }

    /// Stops all callers.
    pub(crate) fn stop_callers(&mut self) {
        self.stopped = true;
        self.waiting_since.fill(None);
        self.trials = 0;
    }
}
