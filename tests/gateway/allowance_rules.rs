//! Properties of the allowance for any number of accounts and any sequence of events: the gateway's own state machine
//! is tested against the simulator's window.

mod simulation;

use chrono::{DateTime, TimeDelta};
use ownerrez_gateway::allowance::{Account, Action, AllowanceError, Budget, Event, PERIOD, Ticket};
use proptest::prelude::*;

use self::simulation::{BudgetSimulation, FaultRates, SimulatedCaller, account};

/// The longest time that an account that keeps asking waits for its next permit, unless there are more accounts than
/// slots. Most wait less than two periods: after one period an account counts as new, and within another one every slot
/// has been reassigned. With more than a hundred accounts that ask rarely and forty that ask without a pause, random
/// sequences have shown waits of up to 782 s.
const LONGEST_WAIT: TimeDelta = TimeDelta::seconds(3 * 300);

fn faults() -> impl Strategy<Value = FaultRates> {
    (0u32..200, 0u32..100, 0u32..100, 0i64..25_000).prop_map(|(cancels, give_backs, storage, latency)| FaultRates {
        cancels,
        give_backs,
        storage,
        latency,
    })
}

fn callers(greedy: usize, casual: usize, connecting: usize) -> Vec<SimulatedCaller> {
    let greedy = (0..greedy).map(SimulatedCaller::greedy);
    let casual = (1000..1000 + casual).map(SimulatedCaller::casual);
    greedy.chain(casual).chain((0..connecting).map(|_| SimulatedCaller::connecting())).collect()
}

fn limit() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(300u32), 1 => Just(1u32), 1 => 2u32..40, 1 => 40u32..1000]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bursts, saturating and connecting accounts, failing reservations, cancelled calls, clean and sudden ends of the
    /// process.
    #[test]
    fn upstream_never_has_to_refuse(
        limit in limit(),
        (greedy, casual, connecting) in (0usize..40, 0usize..160, 0usize..10),
        faults in faults(),
        ends in prop::collection::vec((1i64..200, any::<bool>()), 0..8),
        seed in any::<u64>(),
    ) {
        let mut simulation = BudgetSimulation::new(limit, callers(greedy, casual, connecting), faults, seed);
        for (pause, orderly) in ends {
            simulation.run(TimeDelta::seconds(pause));
            simulation.end_process(orderly);
        }
        simulation.run(TimeDelta::seconds(700));
        simulation.stop_callers();
        simulation.run(PERIOD + TimeDelta::seconds(70));
        simulation.budget.handle(simulation.now, Event::Tick);
        let stats = simulation.budget.stats();
        prop_assert_eq!((stats.occupied, stats.in_flight, stats.waiting), (0, 0, 0), "all is free again");
    }

    /// A refusal names a wait; an account that retries after it gets a slot if no other account asks meanwhile.
    #[test]
    fn waits_are_honest(
        limit in limit(),
        (greedy, casual, connecting) in (1usize..40, 0usize..60, 0usize..4),
        faults in faults(),
        seed in any::<u64>(),
    ) {
        let mut simulation = BudgetSimulation::new(limit, callers(greedy, casual, connecting), faults, seed);
        for _ in 0..10 {
            simulation.run(TimeDelta::seconds(80));
            simulation.trials = 2;
        }
    }

    /// Every account that keeps asking gets a permit.
    #[test]
    fn nobody_starves(
        (greedy, casual) in (0usize..60, 0usize..140),
        latency in 0i64..25_000,
        seed in any::<u64>(),
    ) {
        let faults = FaultRates { latency, ..FaultRates::default() };
        let mut simulation = BudgetSimulation::new(300, callers(greedy, casual, 0), faults, seed);
        simulation.run(TimeDelta::seconds(1800));
        prop_assert!(simulation.longest_wait <= LONGEST_WAIT, "{}", simulation.longest_wait);
    }

    /// An account that used nothing in the window is served within its deadline, although twenty others saturate the
    /// limit.
    #[test]
    fn a_newcomer_is_served_in_time(first in 20i64..900, latency in 0i64..25_000, seed in any::<u64>()) {
        let faults = FaultRates { latency, ..FaultRates::default() };
        let mut simulation = BudgetSimulation::new(300, callers(20, 0, 5), faults, seed);
        // Not there at the start: a new account arrives every 65 s.
        for number in 0..4 {
            let pause = 65_000 * number + first * 1000;
            let account = account(5000 + number as usize);
            simulation.add(SimulatedCaller { account, pause: 1..2, burst: 1, rest: 10_000_000 }, pause);
        }
        simulation.run(TimeDelta::seconds(first + 4 * 65 + 60));
        for newcomer in 25..29 {
            prop_assert_eq!(simulation.grants[newcomer], 1);
        }
        prop_assert!(simulation.refusals > 0 || latency > 10_000 || first < 200, "the others did try");
    }

    /// Connecting gets its part in time, although twenty accounts saturate the limit.
    #[test]
    fn connecting_is_served_in_time(first in 20i64..900, latency in 0i64..25_000, seed in any::<u64>()) {
        let faults = FaultRates { latency, ..FaultRates::default() };
        let mut simulation = BudgetSimulation::new(300, callers(20, 30, 0), faults, seed);
        for number in 0..12 {
            let once = SimulatedCaller { account: Account::Connecting, pause: 1..2, burst: 1, rest: 10_000_000 };
            simulation.add(once, 15_000 * number + first * 1000);
        }
        simulation.run(TimeDelta::seconds(first + 12 * 15 + 60));
        for one in 50..62 {
            prop_assert_eq!(simulation.grants[one], 1);
        }
    }

    /// A single account gets the whole limit.
    #[test]
    fn a_lone_account_may_use_everything(limit in 1u32..400, seed in any::<u64>()) {
        let faults = FaultRates { latency: 200, ..FaultRates::default() };
        let mut simulation = BudgetSimulation::new(limit, callers(1, 0, 0), faults, seed);
        simulation.run(PERIOD - TimeDelta::seconds(1));
        prop_assert_eq!(simulation.grants[0], limit);
    }

    /// Another program spends requests from our address: upstream refuses a few requests, only during that time and not
    /// for long.
    #[test]
    fn an_outsider_makes_the_budget_retreat(
        greedy in 1usize..30,
        bursts in prop::collection::vec((1i64..400, 1u32..300), 1..5),
        latency in 0i64..25_000,
        seed in any::<u64>(),
    ) {
        let faults = FaultRates { latency, ..FaultRates::default() };
        let mut simulation = BudgetSimulation::new(300, callers(greedy, 5, 1), faults, seed);
        for (pause, requests) in bursts {
            simulation.run(TimeDelta::seconds(pause));
            simulation.foreign_requests(requests);
        }
        simulation.run(PERIOD * 2);
        let before: u32 = simulation.grants.iter().sum();
        simulation.run(PERIOD);
        let after: u32 = simulation.grants.iter().sum();
        prop_assert!(after > before, "it reopens");
        // One probe per pause of at least 15 s, and the requests in flight when the budget closed.
        prop_assert!(simulation.throttled < 400, "{}", simulation.throttled);
    }
}

#[test]
fn ten_thousand_callers_wait_and_are_refused_when_their_time_is_over() {
    let now = DateTime::UNIX_EPOCH;
    let mut budget = Budget::new(10_000, now);
    budget.handle(now, Event::Accounts(10_000));
    budget.handle(now, Event::Active(true));
    let deadline = now + TimeDelta::seconds(30);
    for number in 0..10_000 {
        let actions =
            budget.handle(now, Event::Acquire { ticket: Ticket(number), account: account(number as usize), deadline });
        assert!(!actions.iter().any(|action| matches!(action, Action::Grant(_))));
    }
    let waiting = budget.stats().waiting;
    assert!(waiting >= 9_000, "{waiting}");
    let refused = budget.handle(deadline, Event::Tick);
    assert_eq!(refused.iter().filter(|action| matches!(action, Action::Refuse(..))).count(), waiting);
    assert_eq!(budget.wake_at(), None);
}

#[test]
fn a_deadline_that_is_over_is_refused_at_once() {
    let now = DateTime::UNIX_EPOCH + PERIOD;
    let mut budget = Budget::new(300, now);
    budget.handle(now, Event::Active(true));
    budget.handle(now, Event::Stocked(15));
    for late in [now, now - TimeDelta::seconds(1), DateTime::UNIX_EPOCH] {
        let actions =
            budget.handle(now, Event::Acquire { ticket: Ticket(1), account: Account::Connecting, deadline: late });
        assert!(matches!(actions.as_slice(), [Action::Refuse(Ticket(1), AllowanceError::Spent { .. })]), "{actions:?}");
    }
}

#[test]
fn several_refusals_of_the_same_moment_count_as_one() {
    let mut now = DateTime::UNIX_EPOCH;
    let mut budget = Budget::new(300, now);
    budget.handle(now, Event::Active(true));
    budget.handle(now, Event::Stocked(15));
    for ticket in 0..10 {
        let deadline = now + TimeDelta::seconds(30);
        let ask = Event::Acquire { ticket: Ticket(ticket), account: account(ticket as usize), deadline };
        assert!(budget.handle(now, ask).contains(&Action::Grant(Ticket(ticket))));
    }
    for ticket in 0..9 {
        budget.handle(now, Event::Throttled { ticket: Ticket(ticket), at: now, retry_after: None });
    }
    budget.handle(now, Event::Done { ticket: Ticket(9), at: now });
    now += TimeDelta::seconds(15);
    let deadline = now + TimeDelta::seconds(30);
    let ask = |ticket| Event::Acquire { ticket: Ticket(ticket), account: account(7), deadline };
    assert!(budget.handle(now, ask(20)).contains(&Action::Grant(Ticket(20))), "after the first pause");
    assert_eq!(budget.handle(now, ask(21)), vec![], "one by one, in spite of the late reply");
}

/// Accounts that get the same wait retry together, and by then there are fewer slots than accounts. Without priority
/// for accounts that were rejected before, one of them lost three times in a row and waited 782 s.
#[test]
fn nobody_draws_the_short_straw_again_and_again() {
    let faults = FaultRates { latency: 88, ..FaultRates::default() };
    let mut simulation = BudgetSimulation::new(300, callers(45, 116, 0), faults, 526_946_183_110_538_727);
    simulation.run(TimeDelta::seconds(1800));
    assert!(simulation.longest_wait <= LONGEST_WAIT, "{}", simulation.longest_wait);
}
