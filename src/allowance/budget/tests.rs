use proptest::prelude::*;

use super::*;
use crate::domain::AccountId;

const LONG: TimeDelta = TimeDelta::seconds(30);

/// The state machine with a database that always responds.
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

    fn done(&mut self, ticket: Ticket) -> Vec<Action> {
        self.event(Event::Done { ticket, at: self.now })
    }

    fn ask(&mut self, account: i64) -> Vec<Action> {
        self.next += 1;
        let ticket = Ticket(self.next);
        let account = Account::OwnerRez(AccountId(account));
        self.event(Event::Acquire { ticket, account, deadline: self.now + LONG })
    }

    /// Asks and, if granted, receives the response at once.
    fn call(&mut self, account: i64) -> bool {
        let granted = matches!(self.ask(account).as_slice(), [Action::Grant(_)]);
        if granted {
            self.done(Ticket(self.next));
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
    assert_eq!(
        bench.ask(1),
        vec![Action::Refuse(Ticket(bench.next), AllowanceError::Spent { wait: TimeDelta::seconds(200), limit: 10 })]
    );
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
    bench.done(Ticket(1));
    bench.now += PERIOD - TimeDelta::seconds(1);
    assert_eq!(bench.ask(1), vec![]);
    bench.now += TimeDelta::seconds(1);
    assert_eq!(bench.event(Event::Tick), vec![Action::Grant(Ticket(2))]);
}

impl Bench {
    /// Calls, and does not wait if no slot is free.
    fn call_or_leave(&mut self, account: i64) {
        if !self.call(account) {
            self.event(Event::Cancel(Ticket(self.next)));
        }
    }

    /// Asks for connecting and, if granted, receives the response at once.
    fn connect(&mut self) -> bool {
        self.next += 1;
        let ticket = Ticket(self.next);
        let deadline = self.now + LONG;
        let actions = self.event(Event::Acquire { ticket, account: Account::Connecting, deadline });
        let granted = actions.contains(&Action::Grant(ticket));
        self.event(if granted { Event::Done { ticket, at: self.now } } else { Event::Cancel(ticket) });
        granted
    }
}

#[test]
fn connecting_may_use_half_of_an_idle_window() {
    let mut bench = Bench::new(300, 3);
    assert_eq!((0..300).filter(|_| bench.connect()).count(), 150);
    assert_eq!(bench.calls_until_refused(1), 120, "the rest, but for the reserve");
}

#[test]
fn a_part_is_kept_for_connecting_while_accounts_take_all_that_they_may() {
    let mut bench = Bench::new(300, 21);
    while (1..=20).filter(|greedy| bench.call(*greedy)).count() > 0 {}
    assert_eq!(bench.budget.stats().occupied, 300 - 30 - 15);
    assert_eq!((0..100).filter(|_| bench.connect()).count(), 30, "its part, and one more from the reserve");
    assert!(bench.call(99), "an account that used nothing still finds a slot");
}

#[test]
fn all_accounts_together_leave_connecting_a_twentieth() {
    let mut bench = Bench::new(300, 500);
    assert_eq!((1..=500).filter(|account| bench.call(*account)).count(), 285);
    assert_eq!((0..100).filter(|_| bench.connect()).count(), 15);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// In any state, the budget grants as many permits as it reported to the admission.
    #[test]
    fn connecting_gets_what_the_budget_announced(
        limit in prop_oneof![3 => Just(300u32), 1 => 1u32..60],
        accounts in 0u64..4,
        steps in prop::collection::vec((0u8..4, 0i64..40), 0..120),
    ) {
        let mut bench = Bench::new(limit, accounts);
        for (what, seconds) in steps {
            bench.now += TimeDelta::seconds(seconds);
            match what {
                0 => drop(bench.connect()),
                1 => (0..10).for_each(|account| bench.call_or_leave(account)),
                _ => (0..30).for_each(|_| bench.call_or_leave(i64::from(what))),
            }
        }
        bench.event(Event::Tick);
        let permits = bench.budget.permits_for_connecting();
        let forecast = bench.budget.forecast_for_connecting().unwrap();
        prop_assert_eq!(forecast[0], (bench.now, permits));
        prop_assert!(forecast.is_sorted_by_key(|(at, _)| *at));
        let first = forecast.iter().find(|(_, permits)| permits.left > 0).unwrap();
        let wait = first.0 - bench.now;
        prop_assert_eq!(wait == TimeDelta::zero(), permits.left > 0);
        prop_assert!(wait <= PERIOD);
        let at_that_time = bench.budget.clone();
        let mut later = Bench { budget: bench.budget.clone(), ..bench };
        prop_assert_eq!(u32::try_from((0..400).filter(|_| bench.connect()).count()).unwrap(), permits.left);
        later.now += wait;
        prop_assert!(later.connect(), "after {}", wait);
        for (at, announced) in forecast {
            let mut then = Bench { budget: at_that_time.clone(), now: at, ..later };
            then.event(Event::Tick);
            prop_assert_eq!(then.budget.permits_for_connecting(), announced, "at {}", at);
        }
    }
}

#[test]
fn a_429_closes_for_everyone_and_reopens_one_by_one() {
    let mut bench = Bench::new(300, 3);
    assert!(matches!(bench.ask(1).as_slice(), [Action::Grant(_)]));
    let first = Ticket(bench.next);
    bench.event(Event::Throttled { ticket: first, at: bench.now, retry_after: Some(TimeDelta::seconds(60)) });
    assert!(
        matches!(bench.ask(2).as_slice(), [Action::Refuse(_, AllowanceError::Throttled(wait))] if wait.num_seconds() == 60)
    );
    bench.now += TimeDelta::seconds(60);
    assert!(matches!(bench.ask(2).as_slice(), [Action::Grant(_)]));
    let probe = Ticket(bench.next);
    assert_eq!(bench.ask(3), vec![], "only one at first");
    assert_eq!(bench.done(probe), vec![Action::Grant(Ticket(bench.next))]);
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
    budget.carry_over([(290, now + PERIOD)]);
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
    let ask = |ticket| Event::Acquire { ticket: Ticket(ticket), account: Account::Connecting, deadline: now + LONG };
    assert_eq!(budget.handle(now, ask(1)), vec![Action::Refuse(Ticket(1), AllowanceError::Standby)]);
    assert_eq!(budget.handle(now, Event::Active(true)), vec![Action::Stock(15)]);
    assert_eq!(budget.handle(now, ask(2)), vec![]);
    let failed = budget.handle(now, Event::StockFailed);
    assert_eq!(failed, vec![Action::Refuse(Ticket(2), AllowanceError::Storage)]);
    assert_eq!(budget.handle(now, Event::Tick), vec![Action::Stock(15)], "the next event tries again");
}

#[test]
fn a_reply_that_is_told_late_frees_its_slot_in_time() {
    let mut bench = Bench::new(300, 1);
    bench.ask(1);
    let (ticket, at) = (Ticket(bench.next), bench.now);
    bench.now += PERIOD;
    assert_eq!(bench.budget.stats().occupied, 1);
    bench.event(Event::Done { ticket, at });
    assert_eq!(bench.budget.stats().occupied, 0);
}

#[test]
fn what_a_command_sent_takes_slots_until_it_no_longer_counts() {
    let mut bench = Bench::new(20, 1);
    let free_at = bench.now + TimeDelta::minutes(2);
    bench.event(Event::SentByCommand { requests: 8, free_at });
    bench.event(Event::SentByCommand { requests: 8, free_at: bench.now });
    assert_eq!((bench.budget.stats().occupied, bench.calls_until_refused(1)), (8, 12));
    bench.now = free_at;
    bench.event(Event::Tick);
    assert_eq!(bench.budget.stats().occupied, 12);
}
