use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use uuid::Uuid;

use super::{place::PRESENT, *};
use crate::domain::UserId;

mod attack;
mod forecast;

const START: DateTime<Utc> = DateTime::UNIX_EPOCH;
const PERMITS: ConnectingPermits = ConnectingPermits { used: 0, left: 150 };

fn at(seconds: i64) -> DateTime<Utc> {
    START + TimeDelta::seconds(seconds)
}

fn key(number: u32) -> PlaceKey {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    key
}

fn from(number: u32) -> AttemptOrigin {
    AttemptOrigin { source: Ipv4Addr::from(0x0A00_0000 + number).into(), user: None }
}

fn from_v6(network: u16, subnet: u16) -> AttemptOrigin {
    AttemptOrigin { source: Ipv6Addr::new(0x2001, 0xdb8, network, subnet, 0, 0, 0, 0).into(), user: None }
}

fn by_user(origin: AttemptOrigin, user: u128) -> AttemptOrigin {
    AttemptOrigin { user: Some(UserId(Uuid::from_u128(user))), ..origin }
}

fn admitted(answer: Decision) -> Attempt {
    match answer {
        Decision::Admitted(attempt) => attempt,
        other => panic!("{other:?}"),
    }
}

fn waits(answer: Decision) -> u32 {
    match answer {
        Decision::Wait { ahead, .. } => ahead.all,
        other => panic!("{other:?}"),
    }
}

fn soon() -> Decision {
    Decision::Wait { ahead: Ahead::default(), soon: true }
}

/// Runs one attempt that is admitted and receives its verdict at once.
fn attempt(admission: &mut Admission, number: u32, origin: AttemptOrigin, verdict: Option<CodeVerdict>) {
    let attempt = admitted(admission.request_turn(START, key(number), origin, PERMITS));
    admission.leave(&key(number));
    if let Some(verdict) = verdict {
        admission.judge(START, origin, verdict);
    }
    admission.end(START, attempt, 1);
}

/// Lets all of these ask while there is no permit, then provides one permit after the other; returns the order of
/// service.
fn order(admission: &mut Admission, waiting: &[(u32, AttemptOrigin)]) -> Vec<u32> {
    let none = ConnectingPermits { left: 0, ..PERMITS };
    for (number, origin) in waiting {
        waits(admission.request_turn(START, key(*number), *origin, none));
    }
    let mut order = Vec::new();
    // One more permit than is withheld from parties that used permits and from suspects.
    let one = ConnectingPermits { used: 0, left: 1 };
    while order.len() < waiting.len() {
        let before = order.len();
        for (number, origin) in waiting {
            if !order.contains(number)
                && let Decision::Admitted(attempt) = admission.request_turn(START, key(*number), *origin, one)
            {
                admission.leave(&key(*number));
                admission.end(START, attempt, 1);
                order.push(*number);
            }
        }
        assert!(order.len() > before, "nothing goes on after {order:?}");
    }
    order
}

#[test]
fn an_attempt_that_finds_a_permit_is_admitted_at_once() {
    let mut admission = Admission::new(300);
    for number in 0..40 {
        admitted(admission.request_turn(START, key(number), from(number), PERMITS));
    }
}

#[test]
fn sources_take_turns_and_so_do_users_of_one_source() {
    let mut admission = Admission::new(300);
    let (office, home) = (from(1), from(2));
    let waiting = [(1, by_user(office, 1)), (2, by_user(office, 1)), (3, by_user(office, 2)), (4, by_user(home, 3))];
    assert_eq!(order(&mut admission, &waiting), vec![1, 4, 3, 2]);
}

#[test]
fn networks_of_ipv6_take_turns_before_their_sources() {
    let mut admission = Admission::new(300);
    let waiting = [(1, from_v6(1, 1)), (2, from_v6(1, 2)), (3, from_v6(1, 1)), (4, from_v6(2, 1)), (5, from_v6(1, 3))];
    assert_eq!(order(&mut admission, &waiting), vec![1, 4, 2, 5, 3]);
}

#[test]
fn a_bad_code_puts_source_network_and_user_last_and_a_success_clears_it() {
    let mut admission = Admission::new(300);
    attempt(&mut admission, 100, by_user(from_v6(1, 1), 7), Some(CodeVerdict::Bad));
    let waiting =
        [(1, from_v6(1, 1)), (2, from_v6(1, 2)), (3, by_user(from(3), 7)), (4, from(4)), (5, by_user(from(5), 8))];
    assert_eq!(
        order(&mut admission.clone(), &waiting),
        [4, 5, 2, 3, 1],
        "others of the network before source and user"
    );
    admission.judge(START, by_user(from_v6(1, 1), 7), CodeVerdict::Good);
    assert_eq!(order(&mut admission, &waiting), [4, 5, 3, 2, 1], "by what they used");
}

#[test]
fn an_unproven_network_has_one_attempt_under_way() {
    let mut admission = Admission::new(300);
    let first = admitted(admission.request_turn(START, key(1), from(1), PERMITS));
    assert_eq!(admission.request_turn(START, key(2), from(1), PERMITS), soon());
    assert_eq!(admission.request_turn(START, key(1), from(1), PERMITS), soon(), "its own reload");
    admission.leave(&key(1));
    admission.judge(START, from(1), CodeVerdict::Good);
    admission.end(START, first, 1);
    for number in 2..6 {
        admitted(admission.request_turn(START, key(number), from(1), PERMITS));
    }
    assert_eq!(admission.request_turn(START, key(6), from(1), PERMITS), soon(), "four once proven");
}

#[test]
fn suspects_take_few_permits_and_leave_a_part_to_others() {
    let mut admission = Admission::new(300);
    for number in 0..100 {
        attempt(&mut admission, number, from(number), Some(CodeVerdict::Bad));
    }
    let second_round = |admission: &mut Admission, permits: ConnectingPermits| {
        (0..100)
            .filter(|number| {
                let answer = admission.request_turn(START, key(1000 + number), from(*number), permits);
                if let Decision::Admitted(attempt) = answer {
                    admission.leave(&key(1000 + number));
                    admission.judge(START, from(*number), CodeVerdict::Bad);
                    admission.end(START, attempt, 1);
                }
                matches!(answer, Decision::Admitted(_))
            })
            .count()
    };
    let scarce = ConnectingPermits { used: 90, left: 60 };
    assert_eq!(second_round(&mut admission.clone(), scarce), 0, "two fifths are left to others");
    assert_eq!(second_round(&mut admission, PERMITS), 15, "of the 150 that are left");
    admitted(admission.request_turn(START, key(5000), from(500), ConnectingPermits { used: 149, left: 1 }));
}

#[test]
fn one_source_cannot_use_more_than_a_twentieth() {
    let mut admission = Admission::new(300);
    for number in 0..15 {
        attempt(&mut admission, number, from(1), None);
    }
    assert_eq!(waits(admission.request_turn(START, key(99), from(1), PERMITS)), 0);
    admitted(admission.request_turn(START, key(100), from(2), PERMITS));
    admitted(admission.request_turn(START + PERIOD, key(99), from(1), PERMITS));
}

#[test]
fn good_codes_lift_the_bound_of_a_source_while_most_permits_are_left() {
    let mut admission = Admission::new(300);
    for number in 0..40 {
        attempt(&mut admission, number, from(1), Some(CodeVerdict::Good));
    }
    let scarce = ConnectingPermits { used: 100, left: 50 };
    assert_eq!(waits(admission.request_turn(START, key(99), from(1), scarce)), 0);
    admitted(admission.request_turn(START, key(100), from(2), scarce));
}

#[test]
fn a_place_is_kept_across_reloads_and_lost_after_a_minute() {
    let mut admission = Admission::new(300);
    let none = ConnectingPermits { left: 0, ..PERMITS };
    for number in 1..4 {
        assert_eq!(waits(admission.request_turn(at(0), key(number), from(number), none)), number - 1);
    }
    // The second page is closed.
    for second in (5..60).step_by(5) {
        waits(admission.request_turn(at(second), key(1), from(1), none));
        let ahead = waits(admission.request_turn(at(second), key(3), from(3), none));
        assert_eq!(ahead, if second < 15 { 2 } else { 1 }, "a closed page is passed over");
    }
    assert_eq!(waits(admission.request_turn(at(59), key(2), from(2), none)), 1, "back in time, at the old place");
    assert_eq!(admission.waiting(), 3);
    waits(admission.request_turn(at(120), key(1), from(1), none));
    assert_eq!(admission.waiting(), 1);
}

#[test]
fn a_permit_is_not_kept_for_one_who_does_not_come() {
    let mut admission = Admission::new(300);
    let (none, one) = (ConnectingPermits { used: 0, left: 0 }, ConnectingPermits { used: 0, left: 1 });
    waits(admission.request_turn(at(0), key(1), from(1), none));
    waits(admission.request_turn(at(0), key(2), from(2), none));
    waits(admission.request_turn(at(10), key(2), from(2), one));
    admitted(admission.request_turn(at(15), key(2), from(2), one));
}

#[test]
fn places_are_bounded_and_a_full_queue_admits_who_has_fewer() {
    let mut admission = Admission::new(300);
    let none = ConnectingPermits { left: 0, ..PERMITS };
    for number in 0..30 {
        let answer = admission.request_turn(START, key(number), from(1), none);
        assert_eq!(answer == Decision::Full(QueueScope::Source), number >= QueueScope::Source.capacity(), "{number}");
    }
    for number in 100..2_000 {
        admission.request_turn(START, key(number), from(2 + number / 20), none);
    }
    let most = QueueScope::Everyone.capacity() as usize;
    assert_eq!(admission.waiting(), most);
    waits(admission.request_turn(START, key(9_000), from(9_000), none));
    assert_eq!(admission.waiting(), most, "a source with 20 places lost one");
    attempt(&mut admission.clone(), 9_001, from(9_001), None);
}

#[test]
fn one_user_cannot_take_all_places_of_a_source() {
    let mut admission = Admission::new(300);
    let none = ConnectingPermits { left: 0, ..PERMITS };
    let most = QueueScope::Source.capacity();
    for number in 0..most {
        waits(admission.request_turn(START, key(number), by_user(from(1), 1), none));
    }
    let full = Decision::Full(QueueScope::Source);
    assert_eq!(admission.request_turn(START, key(100), by_user(from(1), 1), none), full, "the same user");
    // Others of the source, known or not, take places until each has as many.
    for number in 200..250 {
        let other = if number % 2 == 0 { by_user(from(1), 2) } else { from(1) };
        let answer = admission.request_turn(START, key(number), other, none);
        assert_eq!(matches!(answer, Decision::Wait { .. }), number < 213, "{number}: {answer:?}");
    }
    assert_eq!(admission.waiting(), most as usize);
    let kept = |key| admission.queue.places.contains_key(&key);
    assert!(kept(key(0)) && !kept(key(most - 1)), "the last one gave way");
}

#[test]
fn one_source_cannot_take_all_places_of_a_network() {
    let mut admission = Admission::new(300);
    let none = ConnectingPermits { left: 0, ..PERMITS };
    for number in 0..40 {
        waits(admission.request_turn(START, key(number), from_v6(1, 1 + number as u16 / 20), none));
    }
    waits(admission.request_turn(START, key(100), from_v6(1, 9), none));
    assert_eq!(admission.waiting(), 40, "a source with 20 places lost one");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// For any sequence of events, no more attempts are called and admitted than there are permits, every count returns
    /// to zero, and all records are eventually removed.
    #[test]
    fn permits_are_handed_out_once_and_everything_is_forgotten(
        steps in prop::collection::vec((0u32..60, 0u32..12, 0u32..20, 0i64..8, any::<u8>()), 1..200),
    ) {
        let mut admission = Admission::new(300);
        let (mut now, mut under_way) = (START, Vec::new());
        for (number, source, left, seconds, choice) in steps {
            now += TimeDelta::seconds(seconds);
            let origin = if source % 2 == 0 { from(source) } else { from_v6(source as u16 / 4, source as u16) };
            let permits = ConnectingPermits { used: under_way.len() as u32, left };
            if let Decision::Admitted(attempt) = admission.request_turn(now, key(number), origin, permits) {
                prop_assert!(left > 0);
                under_way.push((key(number), attempt));
            }
            prop_assert!(admission.queue.places.len() <= QueueScope::Everyone.capacity() as usize);
            if choice % 3 == 0 && let Some((key, attempt)) = under_way.pop() {
                if choice % 2 == 0 {
                    admission.put_back(now, &key, attempt);
                } else {
                    admission.leave(&key);
                    if choice % 5 == 0 {
                        admission.judge(now, attempt.origin, CodeVerdict::Bad);
                    }
                    admission.end(now, attempt, u32::from(choice) % 3);
                }
            }
            let called = admission.queue.places.values().filter(|place| place.state == State::Called).count();
            prop_assert_eq!(admission.queue.called as usize, called);
        }
        for (key, attempt) in under_way {
            admission.leave(&key);
            admission.end(now, attempt, 1);
        }
        admission.expire_places(now + KEPT + PRESENT);
        prop_assert_eq!((admission.queue.places.len(), admission.queue.called, admission.suspects_busy), (0, 0, 0));
        prop_assert!(admission.queue.records.values().all(|record| (record.busy, record.called, record.places) == (0, 0, 0)));
        admission.expire_places(now + TimeDelta::hours(2));
        prop_assert_eq!((admission.queue.records.len(), admission.suspect_uses.len()), (0, 0));
    }
}
