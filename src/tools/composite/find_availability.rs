//! Available stays for dates, guests, pets and a budget: `find_availability`.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    days::{Days, Nights, earlier, later},
    money::{amount, cents},
    property_set::{Property, PropertySet},
    query_context::{CompositeError, QueryContext},
    stay::{Stay, expected_bookings},
};

const COUNTING_RULES: &str = "Nights that a booking, an owner stay, a block or a pending booking takes are not free. `rent` is \
the sum of the nightly rates, without taxes, fees and discounts; create_quote gives the full price. Inactive and snoozed \
properties are never offered.";

/// Why a property that was requested by its id was not checked.
const NOT_OFFERED: &str =
    "it is taken, or inactive, or snoozed, or too small, or takes no pets, or is not in this account.";

#[derive(Deserialize)]
pub(super) struct Arguments {
    arrival: NaiveDate,
    departure: NaiveDate,
    flexible_days: Option<u64>,
    guests: Option<u64>,
    pets: Option<u64>,
    bedrooms: Option<u64>,
    max_rent: Option<f64>,
    prices: Option<bool>,
    property_ids: Option<Vec<i64>>,
}

impl Arguments {
    fn nights(&self) -> Nights {
        Nights { arrival: self.arrival, departure: self.departure }
    }

    /// Returns the requested nights, then earlier and later ones, the nearest first.
    fn shifts(&self) -> Vec<Nights> {
        let asked = self.nights();
        let mut shifts = vec![asked];
        for days in 1..=self.flexible_days.unwrap_or(0) {
            let move_by = |shift: fn(NaiveDate, u64) -> NaiveDate| Nights {
                arrival: shift(asked.arrival, days),
                departure: shift(asked.departure, days),
            };
            shifts.extend([move_by(earlier), move_by(later)]);
        }
        // Excludes years that cannot be written with four digits.
        shifts.retain(|nights| (0..=9999).contains(&nights.arrival.year()) && nights.departure.year() <= 9999);
        shifts
    }
}

/// Returns available stays. For exact dates one request covers all properties, including stay rules. Flexible dates
/// take one more for a hundred bookings. Prices, and the stay rules of shifted dates, take one request for each
/// property with free nights.
pub(super) async fn find_availability(
    context: &mut QueryContext<'_>,
    arguments: Arguments,
) -> Result<Value, CompositeError> {
    let shifts = arguments.shifts();
    let flexible = shifts.len() > 1;
    let records = context.list_all("search_properties", search(&arguments, flexible)).await?;
    let mut property_set = PropertySet::of(records);
    property_set.properties.retain(|property| matches_criteria(property, &arguments));
    let first = shifts.iter().map(|nights| nights.arrival).min().unwrap_or(arguments.arrival);
    let last = shifts.iter().map(|nights| nights.departure).max().unwrap_or(arguments.departure);
    let stays = if flexible && !property_set.properties.is_empty() {
        // If not all bookings were read, the calendar shows which nights are taken.
        let filters = json!({"from_date": first, "to_date": last});
        let read = context
            .bookings(
                &property_set.ids(),
                &filters,
                expected_bookings(Days { first, last }, context.now().date_naive()),
            )
            .await?;
        Stay::read_all(context, read.records)
    } else {
        Vec::new()
    };
    let by_night = flexible || arguments.max_rent.is_some() || arguments.prices == Some(true);

    let (mut found, mut unsuited, mut unchecked) = (Vec::new(), Vec::new(), Vec::new());
    for property in &property_set.properties {
        let free = |nights: &Nights| {
            !stays
                .iter()
                .any(|stay| stay.property == property.id && stay.takes_nights() && stay.nights.overlaps(*nights))
        };
        let candidates: Vec<Nights> = shifts.iter().copied().filter(free).collect();
        if candidates.is_empty() {
            continue;
        }
        let about = json!({"property_id": property.id, "property": property.name});
        // For exact dates the search evaluates the stay rules.
        let violations = property.record["rule_violations"].as_array().filter(|broken| !flexible && !broken.is_empty());
        if let Some(violations) = violations {
            unsuited.push(with(about, "why", json!(violations)));
        } else if !by_night {
            found.push(offer(context, property, arguments.nights(), None));
        } else if context.requests_left() == 0 {
            unchecked.push(about);
        } else {
            let asked = json!({"property_id": property.id, "from_date": first, "to_date": last});
            let calendar = context.call("get_property_calendar", asked).await?;
            let CheckedStays { offers, unknown, reasons } =
                check_all(&calendar, &candidates, arguments.max_rent.map(cents), !flexible);
            if !unknown.is_empty() {
                unchecked.push(with(about, "why", json!(unknown)));
            } else if offers.is_empty() {
                unsuited.push(with(about, "why", json!(reasons)));
            }
            found.extend(offers.into_iter().map(|(nights, rent)| offer(context, property, nights, Some(rent))));
        }
    }
    let mentioned = [&found, &unsuited, &unchecked].into_iter().flatten();
    let mentioned: BTreeSet<i64> = mentioned.filter_map(|one| one["property_id"].as_i64()).collect();
    let others = arguments.property_ids.iter().flatten().filter(|id| !mentioned.contains(id));
    unsuited.extend(others.map(|id| json!({"property_id": id, "why": [NOT_OFFERED]})));
    note_unchecked(context, &unchecked);
    let answer = json!({
        "asked": {"arrival": arguments.arrival, "departure": arguments.departure, "nights": arguments.nights().count()},
        "free": found,
        "not_possible": unsuited,
        "unchecked": unchecked,
        "counted": COUNTING_RULES,
    });
    Ok(context.finish(property_set.covered(Days { first, last }), answer))
}

/// Marks the response as incomplete if properties were not checked: the requests did not suffice, or data is missing.
fn note_unchecked(context: &mut QueryContext<'_>, unchecked: &[Value]) {
    if unchecked.iter().any(|one| one["why"].is_null()) {
        context.note_missing("`unchecked` names properties that may be free too: ask again with their `property_ids`.");
    }
    if unchecked.iter().any(|one| !one["why"].is_null()) {
        context.note_missing(
            "`unchecked` names properties whose calendar lacks data (`why`): they may be free; look at them in OwnerRez.",
        );
    }
}

fn search(arguments: &Arguments, flexible: bool) -> Value {
    let mut search = json!({});
    for (name, value) in [("guests_min", arguments.guests), ("bedrooms_min", arguments.bedrooms)] {
        if let Some(value) = value {
            search[name] = json!(value);
        }
    }
    if arguments.pets.is_some_and(|pets| pets > 0) {
        search["pets_allowed"] = json!(true);
    }
    if let Some(ids) = &arguments.property_ids {
        search["property_ids"] = json!(ids);
    }
    if !flexible {
        search["available_from"] = json!(arguments.arrival);
        search["available_to"] = json!(arguments.departure);
        search["evaluate_rules"] = json!(true);
    }
    search
}

/// Returns whether a property meets the criteria that the search does not check.
fn matches_criteria(property: &Property, arguments: &Arguments) -> bool {
    let is_open = property.record["active"] != json!(false) && property.record["is_snoozed"] != json!(true);
    let most_pets = property.record["max_pets"].as_u64();
    is_open && arguments.pets.is_none_or(|pets| most_pets.is_none_or(|most| pets <= most))
}

fn offer(context: &QueryContext<'_>, property: &Property, nights: Nights, rent: Option<i64>) -> Value {
    let mut offer = json!({
        "property_id": property.id,
        "property": property.name,
        "arrival": nights.arrival,
        "departure": nights.departure,
        "max_guests": property.record["max_guests"],
        "bedrooms": property.record["bedrooms"],
        "url": context.record_url("properties", property.id),
    });
    if let Some(rent) = rent {
        offer["rent"] = amount(rent);
        offer["currency"] = property.record["currency_code"].clone();
    }
    offer
}

fn with(mut record: Value, name: &str, value: Value) -> Value {
    record[name] = value;
    record
}

/// The candidate stays of one property, checked against its calendar.
#[derive(Debug, Default, PartialEq)]
struct CheckedStays {
    /// The possible stays, with their rent in cents.
    offers: Vec<(Nights, i64)>,
    /// The reasons why others could not be checked.
    unknown: Vec<String>,
    /// The reasons why the rest is not possible.
    reasons: Vec<String>,
}

/// Why a stay is not offered.
#[derive(Debug, PartialEq)]
enum Obstacle {
    /// A night is taken, or a stay rule forbids it.
    Impossible(String),
    /// OwnerRez sends no data for a night, no rate, or no stay rules (evidence: calendar days can be missing, or lack
    /// rules), so the stay may be possible.
    Unknown(String),
}

/// Checks stays against the calendar. `rules_known` means that the search has already checked the stay rules, so that
/// days without rules do not matter.
fn check_all(calendar: &Value, candidates: &[Nights], most: Option<i64>, rules_known: bool) -> CheckedStays {
    let mut checked = CheckedStays::default();
    for nights in candidates {
        match possible(calendar, *nights, rules_known) {
            Ok(rent) if most.is_none_or(|most| rent <= most) => checked.offers.push((*nights, rent)),
            Ok(rent) => checked.reasons.push(format!("{}: the rent is {}.", nights.arrival, amount(rent))),
            Err(Obstacle::Impossible(why)) => checked.reasons.push(format!("{}: {why}", nights.arrival)),
            Err(Obstacle::Unknown(why)) => checked.unknown.push(format!("{}: {why}", nights.arrival)),
        }
    }
    checked
}

/// Returns the rent in cents, or the obstacle. A definite obstacle on any night takes precedence over missing data.
///
/// The day of arrival has the rules about length and arrival. The rules of the other days are booleans that are present
/// only when true, so their absence has no meaning.
fn possible(calendar: &Value, nights: Nights, rules_known: bool) -> Result<i64, Obstacle> {
    let impossible = |why: String| Err(Obstacle::Impossible(why));
    let day = |date: NaiveDate| {
        let date = date.to_string();
        let days = calendar["days"].as_array().into_iter().flatten();
        days.into_iter().find(|day| day["date"].as_str().and_then(|text| text.get(..10)) == Some(&date))
    };
    let (mut rent, mut unknown) = (0, None);
    for night in nights.each() {
        let Some(known) = day(night) else {
            unknown.get_or_insert_with(|| format!("the calendar has no data for the night of {night}."));
            continue;
        };
        // A gap is free, but shorter than the shortest stay; the rules below say whether it fits.
        if !matches!(known["status"].as_str(), Some("available" | "gap")) {
            return impossible(format!("the night of {night} is {}.", known["status"].as_str().unwrap_or("not free")));
        }
        if known["rules"]["is_stay_disallowed"] == json!(true) {
            return impossible(format!("no stays on {night}."));
        }
        match known["rate"]["rent"].as_f64().or_else(|| known["rate"]["amount"].as_f64()) {
            Some(rate) => rent += cents(rate),
            None => {
                unknown.get_or_insert_with(|| format!("there is no rate for the night of {night}."));
            }
        }
    }
    let rules = day(nights.arrival).map(|day| &day["rules"]).unwrap_or(&Value::Null);
    if rules["is_arrival_disallowed"] == json!(true) {
        return impossible("no arrivals on that day.".to_owned());
    }
    if let Some(least) = rules["min_nights"].as_i64().filter(|least| nights.count() < *least) {
        return impossible(format!("stays have at least {least} nights."));
    }
    if let Some(most) = rules["max_nights"].as_i64().filter(|most| nights.count() > *most) {
        return impossible(format!("stays have at most {most} nights."));
    }
    if !rules_known && rules.is_null() {
        unknown.get_or_insert_with(|| format!("the calendar has no stay rules for an arrival on {}.", nights.arrival));
    }
    if day(nights.departure).is_some_and(|day| day["rules"]["is_departure_disallowed"] == json!(true)) {
        return impossible(format!("no departures on {}.", nights.departure));
    }
    unknown.map_or(Ok(rent), |why| Err(Obstacle::Unknown(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay(arrival: &str, departure: &str) -> Nights {
        Nights { arrival: arrival.parse().unwrap(), departure: departure.parse().unwrap() }
    }

    /// The first ten days of June at 100.50 a night.
    fn calendar(change: impl Fn(u32, &mut Value)) -> Value {
        let days: Vec<Value> = (1..=10)
            .map(|number| {
                let mut day = json!({"date": format!("2026-06-{number:02}T00:00:00"), "status": "available",
                    "rate": {"amount": 100.5}, "rules": {"min_nights": 2, "max_nights": 5}});
                change(number, &mut day);
                day
            })
            .collect();
        json!({"days": days})
    }

    #[test]
    fn rent_is_the_sum_of_the_nights() {
        assert_eq!(possible(&calendar(|_, _| {}), stay("2026-06-02", "2026-06-04"), false), Ok(20_100));
    }

    #[test]
    fn each_rule_speaks_against_a_stay() {
        let asked = stay("2026-06-02", "2026-06-05");
        let against = |number: u32, path: &'static str, value: Value| {
            let calendar = calendar(move |day, record| {
                if day == number {
                    *record.pointer_mut(path).unwrap() = value.clone();
                }
            });
            possible(&calendar, asked, false)
        };
        for (day, path, value) in [
            (3, "/status", json!("booked")),
            (4, "/status", json!("unavailable")),
            (2, "/rules", json!({"is_arrival_disallowed": true})),
            (2, "/rules", json!({"min_nights": 4})),
            (2, "/rules", json!({"max_nights": 2})),
            (3, "/rules", json!({"is_stay_disallowed": true})),
            (5, "/rules", json!({"is_departure_disallowed": true})),
        ] {
            let found = against(day, path, value.clone());
            assert!(matches!(found, Err(Obstacle::Impossible(_))), "{day} {path} {value}: {found:?}");
        }
        for (path, value) in [("/rate", json!({})), ("/date", json!("2026-07-03T00:00:00"))] {
            let found = against(3, path, value.clone());
            assert!(matches!(found, Err(Obstacle::Unknown(_))), "{path} {value}: {found:?}");
        }
        // A night without data does not hide that another one is taken.
        let mut calendar = calendar(|day, record| {
            if day == 4 {
                record["status"] = json!("booked");
            }
        });
        calendar["days"].as_array_mut().unwrap().retain(|day| day["date"] != "2026-06-02T00:00:00");
        assert!(matches!(possible(&calendar, asked, false), Err(Obstacle::Impossible(_))));
        // Rules of other days do not matter.
        for (day, path, value) in [
            (5, "/status", json!("booked")),
            (3, "/rules", json!({"is_arrival_disallowed": true})),
            (3, "/rules", json!({"min_nights": 7})),
            (3, "/status", json!("gap")),
        ] {
            assert_eq!(against(day, path, value.clone()), Ok(30_150), "{day} {path} {value}");
        }
    }

    #[test]
    fn the_day_of_arrival_needs_rules_unless_the_search_has_checked_them() {
        let asked = stay("2026-06-02", "2026-06-05");
        let without_rules = |number: u32| {
            calendar(move |day, record| {
                if day == number {
                    record.as_object_mut().unwrap().remove("rules");
                }
            })
        };
        let found = possible(&without_rules(2), asked, false);
        assert!(matches!(&found, Err(Obstacle::Unknown(why)) if why.contains("no stay rules")), "{found:?}");
        assert_eq!(possible(&without_rules(2), asked, true), Ok(30_150));
        for other in [3, 5] {
            assert_eq!(possible(&without_rules(other), asked, false), Ok(30_150), "{other}");
        }
    }

    #[test]
    fn the_budget_and_the_nearest_dates_decide() {
        let calendar = calendar(|day, record| {
            if day < 4 {
                record["rate"]["amount"] = json!(90);
            }
        });
        let candidates = [stay("2026-06-04", "2026-06-06"), stay("2026-06-02", "2026-06-04")];
        let all = check_all(&calendar, &candidates, None, false).offers;
        assert_eq!(all, [(candidates[0], 20_100), (candidates[1], 18_000)]);
        assert_eq!(check_all(&calendar, &candidates, Some(18_000), false).offers, [(candidates[1], 18_000)]);
        let none = check_all(&calendar, &candidates, Some(17_999), false);
        assert_eq!((none.offers.len(), none.reasons.len(), none.unknown.len()), (0, 2, 0));
    }

    #[test]
    fn shifts_go_from_near_to_far() {
        let arguments = |days: u64| {
            let arguments = json!({"arrival": "2026-06-04", "departure": "2026-06-06", "flexible_days": days});
            let arguments: Arguments = serde_json::from_value(arguments).unwrap();
            arguments.shifts().iter().map(|nights| nights.arrival.to_string()[8..].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(arguments(0), ["04"]);
        assert_eq!(arguments(2), ["04", "03", "05", "02", "06"]);
    }
}
