//! Free stays for dates, guests, pets and a budget: `find_availability`.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    asking::{Asking, Stop},
    days::{Days, Nights, earlier, later},
    money::{amount, cents},
    portfolio::{Portfolio, Property},
    stay::{Stay, expected},
};

const TREATMENT: &str = "Nights that a booking, an owner stay, a block or a pending booking takes are not free. `rent` is \
the sum of the nightly rates, without taxes, fees and discounts; create_quote tells the full price. Inactive and snoozed properties are never offered.";

/// Why a property that was asked for by its id is not among those that were looked at.
const NOT_OFFERED: &str =
    "it is taken, or inactive, or snoozed, or too small, or takes no pets, or is not in this account.";

#[derive(Deserialize)]
pub(super) struct Question {
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

impl Question {
    fn nights(&self) -> Nights {
        Nights { arrival: self.arrival, departure: self.departure }
    }

    /// The nights as they are asked for, then those a little earlier and later, the nearest first.
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
        // Years that cannot be written with four digits.
        shifts.retain(|nights| (0..=9999).contains(&nights.arrival.year()) && nights.departure.year() <= 9999);
        shifts
    }
}

/// Free stays. For exact dates one request answers for all properties, stay rules included. Flexible dates take one
/// more for a hundred bookings. Prices, and the stay rules of other dates than those asked for, take one request for
/// each property that has free nights.
pub(super) async fn find_availability(asking: &mut Asking<'_>, question: Question) -> Result<Value, Stop> {
    let shifts = question.shifts();
    let flexible = shifts.len() > 1;
    let records = asking.list("search_properties", search(&question, flexible)).await?;
    let mut portfolio = Portfolio::of(records);
    portfolio.properties.retain(|property| suits(property, &question));
    let first = shifts.iter().map(|nights| nights.arrival).min().unwrap_or(question.arrival);
    let last = shifts.iter().map(|nights| nights.departure).max().unwrap_or(question.departure);
    let stays = if flexible && !portfolio.properties.is_empty() {
        // Where not all were read, the calendar says that a night is taken.
        let filters = json!({"from_date": first, "to_date": last});
        let read = asking
            .bookings(&portfolio.ids(), &filters, expected(Days { first, last }, asking.now().date_naive()))
            .await?;
        Stay::read_all(asking, read.records)
    } else {
        Vec::new()
    };
    let by_night = flexible || question.max_rent.is_some() || question.prices == Some(true);

    let (mut found, mut unsuited, mut unchecked) = (Vec::new(), Vec::new(), Vec::new());
    for property in &portfolio.properties {
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
        if !by_night {
            let violations = property.record["rule_violations"].as_array().cloned().unwrap_or_default();
            if violations.is_empty() {
                found.push(offer(asking, property, question.nights(), None));
            } else {
                unsuited.push(with(about, "why", json!(violations)));
            }
        } else if asking.left() == 0 {
            unchecked.push(about);
        } else {
            let asked = json!({"property_id": property.id, "from_date": first, "to_date": last});
            let calendar = asking.one("get_property_calendar", asked).await?;
            match best(&calendar, &candidates, question.max_rent.map(cents)) {
                Ok(offers) => {
                    found.extend(offers.into_iter().map(|(nights, rent)| offer(asking, property, nights, Some(rent))))
                }
                Err(why) => unsuited.push(with(about, "why", json!(why))),
            }
        }
    }
    let told = [&found, &unsuited, &unchecked].into_iter().flatten();
    let told: BTreeSet<i64> = told.filter_map(|one| one["property_id"].as_i64()).collect();
    let others = question.property_ids.iter().flatten().filter(|id| !told.contains(id));
    unsuited.extend(others.map(|id| json!({"property_id": id, "why": [NOT_OFFERED]})));
    if !unchecked.is_empty() {
        asking.lacks("`unchecked` names properties that may be free too: ask again with their `property_ids`.");
    }
    let answer = json!({
        "asked": {"arrival": question.arrival, "departure": question.departure, "nights": question.nights().count()},
        "free": found,
        "not_possible": unsuited,
        "unchecked": unchecked,
        "counted": TREATMENT,
    });
    Ok(asking.finish(portfolio.covered(Days { first, last }), answer))
}

fn search(question: &Question, flexible: bool) -> Value {
    let mut search = json!({});
    for (name, value) in [("guests_min", question.guests), ("bedrooms_min", question.bedrooms)] {
        if let Some(value) = value {
            search[name] = json!(value);
        }
    }
    if question.pets.is_some_and(|pets| pets > 0) {
        search["pets_allowed"] = json!(true);
    }
    if let Some(ids) = &question.property_ids {
        search["property_ids"] = json!(ids);
    }
    if !flexible {
        search["available_from"] = json!(question.arrival);
        search["available_to"] = json!(question.departure);
        search["evaluate_rules"] = json!(true);
    }
    search
}

/// What the search does not look at.
fn suits(property: &Property, question: &Question) -> bool {
    let is_open = property.record["active"] != json!(false) && property.record["is_snoozed"] != json!(true);
    let most_pets = property.record["max_pets"].as_u64();
    is_open && question.pets.is_none_or(|pets| most_pets.is_none_or(|most| pets <= most))
}

fn offer(asking: &Asking<'_>, property: &Property, nights: Nights, rent: Option<i64>) -> Value {
    let mut offer = json!({
        "property_id": property.id,
        "property": property.name,
        "arrival": nights.arrival,
        "departure": nights.departure,
        "max_guests": property.record["max_guests"],
        "bedrooms": property.record["bedrooms"],
        "url": asking.page("properties", property.id),
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

/// The possible stays among these, with their rent, or why there is none: the reasons against the first.
fn best(calendar: &Value, candidates: &[Nights], most: Option<i64>) -> Result<Vec<(Nights, i64)>, Vec<String>> {
    let mut offers = Vec::new();
    let mut reasons = Vec::new();
    for nights in candidates {
        match possible(calendar, *nights) {
            Ok(rent) if most.is_none_or(|most| rent <= most) => offers.push((*nights, rent)),
            Ok(rent) => reasons.push(format!("{}: the rent is {}.", nights.arrival, amount(rent))),
            Err(why) => reasons.push(format!("{}: {why}", nights.arrival)),
        }
    }
    if offers.is_empty() { Err(reasons) } else { Ok(offers) }
}

/// The rent in cents, or what the calendar has against the stay.
fn possible(calendar: &Value, nights: Nights) -> Result<i64, String> {
    let day = |date: NaiveDate| {
        let date = date.to_string();
        let days = calendar["days"].as_array().into_iter().flatten();
        days.into_iter().find(|day| day["date"].as_str().and_then(|text| text.get(..10)) == Some(&date))
    };
    let mut rent = 0;
    for night in nights.each() {
        let known = day(night).ok_or_else(|| format!("the calendar has no data for the night of {night}."))?;
        // A gap is free, but shorter than the shortest stay; the rules below say whether it fits.
        if !matches!(known["status"].as_str(), Some("available" | "gap")) {
            return Err(format!("the night of {night} is {}.", known["status"].as_str().unwrap_or("not free")));
        }
        if known["rules"]["is_stay_disallowed"] == json!(true) {
            return Err(format!("no stays on {night}."));
        }
        let rate = known["rate"]["rent"].as_f64().or_else(|| known["rate"]["amount"].as_f64());
        rent += rate.map(cents).ok_or_else(|| format!("there is no rate for the night of {night}."))?;
    }
    let rules = day(nights.arrival).map(|day| &day["rules"]).unwrap_or(&Value::Null);
    if rules["is_arrival_disallowed"] == json!(true) {
        return Err("no arrivals on that day.".to_owned());
    }
    if let Some(least) = rules["min_nights"].as_i64().filter(|least| nights.count() < *least) {
        return Err(format!("stays have at least {least} nights."));
    }
    if let Some(most) = rules["max_nights"].as_i64().filter(|most| nights.count() > *most) {
        return Err(format!("stays have at most {most} nights."));
    }
    if day(nights.departure).is_some_and(|day| day["rules"]["is_departure_disallowed"] == json!(true)) {
        return Err(format!("no departures on {}.", nights.departure));
    }
    Ok(rent)
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
        assert_eq!(possible(&calendar(|_, _| {}), stay("2026-06-02", "2026-06-04")), Ok(20_100));
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
            possible(&calendar, asked)
        };
        for (day, path, value) in [
            (3, "/status", json!("booked")),
            (4, "/status", json!("unavailable")),
            (2, "/rules", json!({"is_arrival_disallowed": true})),
            (2, "/rules", json!({"min_nights": 4})),
            (2, "/rules", json!({"max_nights": 2})),
            (3, "/rules", json!({"is_stay_disallowed": true})),
            (5, "/rules", json!({"is_departure_disallowed": true})),
            (3, "/rate", json!({})),
            (3, "/date", json!("2026-07-03T00:00:00")),
        ] {
            assert!(against(day, path, value.clone()).is_err(), "{day} {path} {value}");
        }
        // What concerns other days.
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
    fn the_budget_and_the_nearest_dates_decide() {
        let calendar = calendar(|day, record| {
            if day < 4 {
                record["rate"]["amount"] = json!(90);
            }
        });
        let candidates = [stay("2026-06-04", "2026-06-06"), stay("2026-06-02", "2026-06-04")];
        let all = best(&calendar, &candidates, None).unwrap();
        assert_eq!(all, [(candidates[0], 20_100), (candidates[1], 18_000)]);
        assert_eq!(best(&calendar, &candidates, Some(18_000)).unwrap(), [(candidates[1], 18_000)]);
        assert_eq!(best(&calendar, &candidates, Some(17_999)).unwrap_err().len(), 2);
    }

    #[test]
    fn shifts_go_from_near_to_far() {
        let question = |days: u64| {
            let question = json!({"arrival": "2026-06-04", "departure": "2026-06-06", "flexible_days": days});
            let question: Question = serde_json::from_value(question).unwrap();
            question.shifts().iter().map(|nights| nights.arrival.to_string()[8..].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(question(0), ["04"]);
        assert_eq!(question(2), ["04", "03", "05", "02", "06"]);
    }
}
