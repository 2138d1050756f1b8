//! A simulation of the admission and the budget with a simulated clock: many sources with invented codes, 25 users that
//! want to connect, and connected users. It yields the numbers that `docs/DEPLOYMENT.md` publishes.

use proptest::prelude::*;

use super::*;
use crate::{
    allowance::{Account, Action, Budget, Event, Ticket},
    domain::AccountId,
};

const PEOPLE: u32 = 25;
/// The duration of an exchange, in seconds.
const EXCHANGE: i64 = 1;

/// With an otherwise idle window, 24 of 25 users are served on arrival against this many hostile sources.
const HOSTILE_AT_ONCE: u32 = 125;
/// With an otherwise idle window, 24 of 25 users connect within 5 minutes against this many hostile sources.
const HOSTILE_WHILE_IDLE: u32 = 270;
/// The same within the lifetime of a code, while connected users take all their permits.
const HOSTILE_WHILE_BUSY: u32 = 35;

struct Gateway {
    now: DateTime<Utc>,
    budget: Budget,
    admission: Admission,
    tickets: u64,
    under_way: Vec<UnderWay>,
}

struct UnderWay {
    ends: DateTime<Utc>,
    ticket: Ticket,
    origin: AttemptOrigin,
    attempt: Attempt,
    verdict: CodeVerdict,
}

impl Gateway {
    fn new() -> Self {
        let now = START;
        let (budget, admission) = (Budget::new(300, now), Admission::new(300));
        let mut gateway = Self { now, budget, admission, tickets: 0, under_way: Vec::new() };
        gateway.event(Event::Accounts(40));
        gateway.event(Event::Active(true));
        gateway
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

    fn granted(&mut self, account: Account) -> Option<Ticket> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let deadline = self.now + TimeDelta::seconds(30);
        if self.event(Event::Acquire { ticket, account, deadline }).contains(&Action::Grant(ticket)) {
            return Some(ticket);
        }
        self.event(Event::Cancel(ticket));
        None
    }

    /// Returns whether the attempt began.
    fn ask(&mut self, key: PlaceKey, origin: AttemptOrigin, verdict: CodeVerdict) -> bool {
        self.event(Event::Tick);
        let permits = self.budget.permits_for_connecting();
        let Decision::Admitted(attempt) = self.admission.request_turn(self.now, key, origin, permits) else {
            return false;
        };
        let ticket = self.granted(Account::Connecting).expect("the admission knows what the budget has");
        self.admission.leave(&key);
        let ends = self.now + TimeDelta::seconds(EXCHANGE);
        self.under_way.push(UnderWay { ends, ticket, origin, attempt, verdict });
        true
    }

    fn advance(&mut self) {
        self.now += TimeDelta::seconds(1);
        let now = self.now;
        let under_way = std::mem::take(&mut self.under_way).into_iter();
        let (ended, under_way): (Vec<_>, Vec<_>) = under_way.partition(|one| one.ends <= now);
        self.under_way = under_way;
        for UnderWay { ticket, origin, attempt, verdict, .. } in ended {
            self.admission.judge(now, origin, verdict);
            self.admission.end(now, attempt, 1);
            self.event(Event::Done { ticket, at: now });
        }
    }
}

/// Returns how many of the users connect within this many seconds of their arrival. All hostile sources are there
/// before. The users arrive within half a minute, one of them at a hostile source. `busy` connected accounts take all
/// their permits.
fn connected(hostile: u32, busy: u32, within: i64, seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut gateway = Gateway::new();
    let mut hostile_keys: Vec<u32> = (0..hostile).map(|number| 1_000_000 * (number + 1)).collect();
    let arrivals: Vec<i64> = (0..PEOPLE).map(|_| random.i64(30..60)).collect();
    let mut done = vec![false; arrivals.len()];
    for second in 0..within + 60 {
        for account in 0..busy {
            for _ in 0..3 {
                if let Some(ticket) = gateway.granted(Account::OwnerRez(AccountId(i64::from(account)))) {
                    let at = gateway.now;
                    gateway.event(Event::Done { ticket, at });
                }
            }
        }
        let mut order: Vec<u32> = (0..hostile).collect();
        random.shuffle(&mut order);
        for number in order {
            let next = &mut hostile_keys[number as usize];
            // They reload as often as a page does.
            if i64::from(number % 5) == second % 5 && gateway.ask(key(*next), from(number), CodeVerdict::Bad) {
                *next += 1;
            }
        }
        for (person, arrival) in (0u32..).zip(&arrivals) {
            let since = second - arrival;
            let source = if person == 0 && hostile > 0 { from(0) } else { from(500_000 + person) };
            if (0..within).contains(&since) && since % 5 == 0 && !done[person as usize] {
                done[person as usize] = gateway.ask(key(person), source, CodeVerdict::Good);
            }
        }
        gateway.advance();
    }
    done.into_iter().filter(|done| *done).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn people_connect_at_once_against_fewer_hostile_sources(seed in any::<u64>()) {
        let connected = connected(HOSTILE_AT_ONCE, 0, 10, seed);
        prop_assert!(connected >= 24, "{}", connected);
    }

    #[test]
    fn people_connect_within_five_minutes_against_so_many_hostile_sources(seed in any::<u64>()) {
        for hostile in [0, 100, HOSTILE_WHILE_IDLE] {
            let connected = connected(hostile, 0, 300, seed);
            prop_assert!(connected >= 24, "{} with {}", connected, hostile);
        }
    }

    #[test]
    fn people_connect_within_the_life_of_a_code_while_others_use_the_window(seed in any::<u64>()) {
        for hostile in [0, HOSTILE_WHILE_BUSY] {
            let connected = connected(hostile, 20, 570, seed);
            prop_assert!(connected >= 24, "{} with {}", connected, hostile);
        }
    }
}

#[test]
fn the_published_numbers_are_where_it_ends() {
    assert!(connected(HOSTILE_AT_ONCE + 5, 0, 10, 1) < 24);
    assert!(connected(HOSTILE_WHILE_IDLE + 20, 0, 300, 1) < 24);
    assert!(connected(HOSTILE_WHILE_BUSY + 25, 20, 570, 1) < 24);
}
