//! The check of `find_availability`: each offer is a possible stay at the right rent, each refusal is right, and each
//! property that may be free is offered or reported as unchecked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, TimeDelta};
use ownerrez_gateway::domain::AccountId;
use serde_json::{Value, json};

use super::full_data::{FullData, Ids, cents, day};
use crate::world::{Gateway, Person};

/// The calendars of an account as OwnerRez returns them: its variations hide nights and rules.
pub(super) struct Calendars<'a> {
    gateway: &'a Gateway,
    owner: Person,
    /// The days of each property that have data, and whether they have rules.
    read: BTreeMap<i64, BTreeMap<NaiveDate, bool>>,
}

impl<'a> Calendars<'a> {
    pub(super) fn of(gateway: &'a Gateway, account: AccountId) -> Self {
        let grant = gateway.ownerrez().grant(account);
        let token = grant["access_token"].as_str().unwrap();
        let owner = Person::visitor(&gateway.simulator.url()).with_key(token, "");
        Self { gateway, owner, read: BTreeMap::new() }
    }

    /// Returns whether the calendar lacks data for a night of a stay, or the rules for its arrival.
    async fn lacks(&mut self, property: i64, (arrival, departure): Stay) -> bool {
        if !self.read.contains_key(&property) {
            let path = format!("/v2/calendar/{property}?from=2026-06-15&to=2027-06-14");
            let reply = self.owner.send("GET", &path, &[("user-agent", "a test")], None).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            self.gateway.ownerrez().forget_allowance();
            let days = reply.body["days"].as_array().unwrap().iter();
            let days = days.map(|one| (day(one["date"].as_str().unwrap()), one["rules"].is_object()));
            self.read.insert(property, days.collect());
        }
        let known = &self.read[&property];
        let mut nights = arrival.iter_days().take_while(|night| *night < departure);
        known.get(&arrival) != Some(&true) || nights.any(|night| !known.contains_key(&night))
    }
}

/// Arrival and departure.
type Stay = (NaiveDate, NaiveDate);

/// Returns whether guests may book a stay, according to the full data.
fn is_possible(full: &FullData, of: i64, (arrival, departure): Stay, budget: Option<i64>) -> bool {
    let fits = |rent: i64| budget.is_none_or(|most| rent <= most);
    full.open().contains(&of)
        && !full.is_taken(of, arrival, departure)
        && !full.breaks_a_rule(of, arrival, departure)
        && full.rent(of, arrival, departure).is_some_and(fits)
}

fn parts<'a>(answer: &'a Value, part: &str) -> impl Iterator<Item = (i64, &'a Value)> {
    let list = answer[part].as_array().unwrap().iter();
    list.map(|one| (one["property_id"].as_i64().unwrap(), one))
}

/// Checks a response for these arguments.
pub(super) async fn check_availability(
    full: &FullData,
    calendars: &mut Calendars<'_>,
    arguments: &Value,
    answer: &Value,
) {
    let flexible = arguments["flexible_days"].as_i64().unwrap_or(0);
    let budget = arguments["max_rent"].as_f64().map(|_| cents(&arguments["max_rent"]));
    let asked = |member: &str| day(arguments[member].as_str().unwrap());
    let shift = |days: i64| (asked("arrival") + TimeDelta::days(days), asked("departure") + TimeDelta::days(days));
    let stays: Vec<Stay> = (-flexible..=flexible).map(shift).collect();
    let has_rents = flexible > 0 || budget.is_some() || arguments["prices"] == true;

    let mut offered: BTreeSet<(i64, Stay)> = BTreeSet::new();
    for (property, offer) in parts(answer, "free") {
        let at = |member: &str| day(offer[member].as_str().unwrap());
        let stay = (at("arrival"), at("departure"));
        assert!(stays.contains(&stay) && is_possible(full, property, stay, budget), "{arguments}: {offer}");
        let rent = offer["rent"].is_number().then(|| cents(&offer["rent"]));
        let expected = full.rent(property, stay.0, stay.1).filter(|_| has_rents);
        assert_eq!(rent, expected, "{arguments}: {offer}");
        assert!(offered.insert((property, stay)), "twice: {offer}");
    }
    let with_offers: Ids = offered.iter().map(|(property, _)| *property).collect();

    for (property, refusal) in parts(answer, "not_possible") {
        assert!(!refusal["why"].as_array().unwrap().is_empty() && !with_offers.contains(&property), "{refusal}");
        let possible = stays.iter().find(|stay| is_possible(full, property, **stay, budget));
        assert_eq!(possible, None, "{arguments}: {refusal}");
    }

    let mut unchecked: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for (property, one) in parts(answer, "unchecked") {
        let why: Vec<&str> = one["why"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for reason in &why {
            // A reason begins with the arrival of the stay.
            let stay = *stays.iter().find(|stay| reason.starts_with(&stay.0.to_string())).unwrap();
            assert!(calendars.lacks(property, stay).await, "{arguments}: {one}");
            assert!(!full.is_taken(property, stay.0, stay.1), "{arguments}: {one}");
        }
        unchecked.insert(property, why);
    }
    assert_eq!(answer["complete"], json!(unchecked.is_empty()), "{arguments}: {}", answer["missing"]);

    for property in full.open() {
        for stay in stays.iter().filter(|stay| is_possible(full, property, **stay, budget)) {
            let is_unchecked = unchecked
                .get(&property)
                .is_some_and(|why| why.is_empty() || why.iter().any(|reason| reason.starts_with(&stay.0.to_string())));
            assert!(offered.contains(&(property, *stay)) != is_unchecked, "{arguments}: {property} {stay:?}: {answer}");
        }
    }
    // Every property that is free is in the response, also if stay rules forbid the stay.
    let mentioned: Ids =
        ["free", "not_possible", "unchecked"].iter().flat_map(|part| parts(answer, part)).map(|(id, _)| id).collect();
    let is_free = |id: &i64| stays.iter().any(|stay| !full.is_taken(*id, stay.0, stay.1));
    let free: Ids = full.open().into_iter().filter(is_free).collect();
    assert!(free.is_subset(&mentioned), "{arguments}: {answer}");
}
