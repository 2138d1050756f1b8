//! The reported reason and time of a waiting attempt. They are correct if no others arrive.

use super::*;

/// A window whose permits for connecting do not change.
fn always(permits: ConnectingPermits) -> Vec<(DateTime<Utc>, ConnectingPermits)> {
    vec![(START, permits)]
}

/// Asks, has to wait, and returns the reason and the number of seconds.
fn learns(
    admission: &mut Admission,
    now: DateTime<Utc>,
    number: u32,
    origin: AttemptOrigin,
    forecast: &[(DateTime<Utc>, ConnectingPermits)],
) -> (Obstacle, i64) {
    let permits = forecast.iter().rfind(|(from, _)| *from <= now).unwrap().1;
    let Decision::Wait { ahead, .. } = admission.request_turn(now, key(number), origin, permits) else {
        panic!("number {number} does not wait")
    };
    let (why, at) = admission.estimate_turn(now, &key(number), origin, ahead, forecast);
    (why, (at - now).num_seconds())
}

#[test]
fn the_bound_of_a_source_is_named_with_its_end() {
    let mut admission = Admission::new(300);
    for number in 0..15 {
        let now = at(i64::from(number) * 10);
        let attempt = admitted(admission.request_turn(now, key(number), from(1), PERMITS));
        admission.leave(&key(number));
        admission.end(now, attempt, 1);
    }
    let forecast = always(PERMITS);
    assert_eq!(learns(&mut admission, at(200), 100, from(1), &forecast), (Obstacle::OwnShare(15), 100));
    assert_eq!(
        learns(&mut admission, at(200), 101, from(1), &forecast),
        (Obstacle::OwnShare(15), 110),
        "one goes before"
    );
    assert_eq!(learns(&mut admission, at(299), 101, from(1), &forecast), (Obstacle::OwnShare(15), 1), "that one left");
    admitted(admission.request_turn(at(300), key(101), from(1), PERMITS));
}

#[test]
fn more_attempts_than_fit_into_one_period_take_further_periods() {
    let mut admission = Admission::new(20);
    attempt(&mut admission, 1, from(1), None);
    let forecast = always(ConnectingPermits { used: 1, left: 9 });
    for number in 0..4 {
        let learnt = learns(&mut admission, START, 100 + number, from(1), &forecast);
        assert_eq!(learnt, (Obstacle::OwnShare(1), 300 * (1 + i64::from(number))));
    }
}

#[test]
fn bad_codes_are_named() {
    let mut admission = Admission::new(300);
    for number in 0..30 {
        attempt(&mut admission, number, from(number % 15), Some(CodeVerdict::Bad));
    }
    assert_eq!(learns(&mut admission, START, 100, from(1), &always(PERMITS)), (Obstacle::BadCodes, 300));
}

#[test]
fn the_window_is_named_with_the_time_of_the_permit() {
    let mut admission = Admission::new(300);
    let permits = |left| ConnectingPermits { used: 150 - left, left };
    let forecast = [(START, permits(0)), (at(60), permits(1)), (at(70), permits(3))];
    assert_eq!(learns(&mut admission, START, 1, from(1), &forecast), (Obstacle::NoPermit, 60));
    assert_eq!(learns(&mut admission, START, 2, from(2), &forecast), (Obstacle::NoPermit, 70));
    assert_eq!(learns(&mut admission, START, 3, from(3), &forecast), (Obstacle::NoPermit, 70));
}

#[test]
fn of_two_reasons_the_one_that_lasts_longer_is_named() {
    let mut admission = Admission::new(300);
    for number in 0..15 {
        attempt(&mut admission, number, from(1), None);
    }
    let permits = |left| ConnectingPermits { used: 15, left };
    let soon_open = [(START, permits(0)), (at(60), permits(100))];
    assert_eq!(learns(&mut admission.clone(), START, 100, from(1), &soon_open), (Obstacle::OwnShare(15), 300));
    let long_closed = [(START, permits(0)), (at(400), permits(100))];
    assert_eq!(learns(&mut admission, START, 100, from(1), &long_closed), (Obstacle::NoPermit, 400));
}

#[test]
fn an_attempt_of_the_same_network_is_named() {
    let mut admission = Admission::new(300);
    let _under_way = admitted(admission.request_turn(START, key(1), from(1), PERMITS));
    assert_eq!(learns(&mut admission, START, 2, from(1), &always(PERMITS)), (Obstacle::UnderWay, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each attempt is given the number of attempts that are served before it.
    #[test]
    fn the_places_ahead_are_those_that_are_served_before(
        places in prop::collection::vec((0u16..3, 0u16..3, 0u128..3), 1..12),
    ) {
        // None of them reaches its limit.
        let mut admission = Admission::new(300);
        let origin = |(network, subnet, user): (u16, u16, u128)| {
            let source = from_v6(network, subnet);
            if user == 0 { source } else { by_user(source, u128::from(network * 3 + subnet) * 3 + user) }
        };
        let waiting: Vec<(u32, AttemptOrigin)> = (0..).zip(places.into_iter().map(origin)).collect();
        let none = ConnectingPermits { left: 0, ..PERMITS };
        for (number, origin) in &waiting {
            waits(admission.request_turn(START, key(*number), *origin, none));
        }
        let ahead: Vec<u32> = waiting
            .iter()
            .map(|(number, origin)| waits(admission.request_turn(START, key(*number), *origin, none)))
            .collect();
        let order = order(&mut admission, &waiting);
        for (place, number) in order.iter().enumerate() {
            prop_assert_eq!(ahead[*number as usize] as usize, place, "number {} of {:?}", number, order);
        }
    }
}
