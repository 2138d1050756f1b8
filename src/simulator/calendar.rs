//! Nights: which are taken, their prices and rules. Everything here is derived from seasons and bookings.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};
use serde_json::{Map, Value, json};

use super::records::{Record, Records, date, id, number, text};

/// The longest stretch that one calendar call may request.
pub(super) const LONGEST_CALENDAR: i64 = 366;

/// One stretch of taken nights, departure day excluded.
struct Stay {
    id: i64,
    arrival: NaiveDate,
    departure: NaiveDate,
    block: bool,
}

fn stays(records: &Records, property: i64) -> Vec<Stay> {
    let mut stays: Vec<Stay> = records
        .naming("bookings", "property_id", property)
        .filter(|booking| text(booking, "status") != "canceled")
        .filter_map(|booking| {
            Some(Stay {
                id: id(booking)?,
                arrival: date(booking, "arrival")?,
                departure: date(booking, "departure")?,
                block: booking.get("is_block") == Some(&Value::Bool(true)),
            })
        })
        .collect();
    stays.sort_by_key(|stay| stay.arrival);
    stays
}

/// Returns whether guests may book the property at all.
pub(super) fn is_open(property: &Record) -> bool {
    property.get("active") == Some(&Value::Bool(true)) && property.get("is_snoozed") != Some(&Value::Bool(true))
}

/// Returns whether all nights from `arrival` to the one before `departure` are free; the booking `except` is ignored.
pub(super) fn is_free(
    records: &Records,
    property: i64,
    arrival: NaiveDate,
    departure: NaiveDate,
    except: Option<i64>,
) -> bool {
    !stays(records, property)
        .iter()
        .any(|stay| Some(stay.id) != except && stay.arrival < departure && stay.departure > arrival)
}

/// A span of nights with one price.
struct Season {
    id: Option<i64>,
    start: NaiveDate,
    end: NaiveDate,
    nightly: f64,
    weekend: f64,
    min_nights: i64,
}

impl Season {
    fn read(record: &Record) -> Option<Self> {
        let price = |member: &str| record.get(member).and_then(Value::as_f64).unwrap_or_default();
        Some(Season {
            id: id(record),
            start: date(record, "start")?,
            end: date(record, "end")?,
            nightly: price("nightly"),
            weekend: price("weekend"),
            min_nights: number(record, "min_nights").unwrap_or(1),
        })
    }

    fn price(&self, night: NaiveDate) -> f64 {
        if matches!(night.weekday(), Weekday::Fri | Weekday::Sat) { self.weekend } else { self.nightly }
    }

    /// Seasons with week-long stays allow arrivals on Saturdays only.
    fn is_arrival_disallowed(&self, day: NaiveDate) -> bool {
        self.min_nights >= 5 && day.weekday() != Weekday::Sat
    }
}

/// The seasons of one property and the overrides of single nights, read once for many nights.
pub(super) struct Seasons {
    seasons: Vec<Season>,
    overrides: BTreeMap<NaiveDate, Record>,
}

impl Seasons {
    pub(super) fn of(records: &Records, property: i64) -> Self {
        let spot = records.naming("spot_rates", "property_id", property);
        Seasons {
            seasons: records.naming("seasons", "property_id", property).filter_map(Season::read).collect(),
            overrides: spot.filter_map(|rate| Some((date(rate, "date")?, rate.clone()))).collect(),
        }
    }

    /// Returns the sum of the nightly prices; nights outside every season cost nothing.
    pub(super) fn rent(&self, arrival: NaiveDate, departure: NaiveDate) -> f64 {
        nights(arrival, departure).filter_map(|night| Some(self.price(self.at(night)?, night))).sum()
    }

    /// Returns the override of a member on this night.
    fn spot(&self, night: NaiveDate, member: &str) -> Option<&Value> {
        self.overrides.get(&night)?.get(member).filter(|value| !value.is_null())
    }

    fn price(&self, season: &Season, night: NaiveDate) -> f64 {
        self.spot(night, "amount").and_then(Value::as_f64).unwrap_or_else(|| season.price(night))
    }

    /// Returns the shortest stay that may begin on this day.
    fn shortest_stay(&self, season: &Season, day: NaiveDate) -> i64 {
        self.spot(day, "min_nights").and_then(Value::as_i64).unwrap_or(season.min_nights)
    }

    fn is_arrival_disallowed(&self, season: &Season, day: NaiveDate) -> bool {
        let spot = self.spot(day, "is_arrival_disallowed").and_then(Value::as_bool);
        spot.unwrap_or_else(|| season.is_arrival_disallowed(day))
    }

    /// Returns the season of a night; after the last season there are no rates.
    fn at(&self, night: NaiveDate) -> Option<&Season> {
        self.seasons.iter().find(|season| (season.start..=season.end).contains(&night))
    }
}

/// Returns the nights of a stay.
pub(super) fn nights(arrival: NaiveDate, departure: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    arrival.iter_days().take_while(move |night| *night < departure)
}

/// Returns the rent of a stay.
pub(super) fn rent(records: &Records, property: i64, arrival: NaiveDate, departure: NaiveDate) -> f64 {
    Seasons::of(records, property).rent(arrival, departure)
}

/// Returns the rules that a stay violates although the nights are free.
pub(super) fn violations(
    records: &Records,
    property: &Record,
    arrival: NaiveDate,
    departure: NaiveDate,
) -> Vec<String> {
    let mut found = Vec::new();
    let seasons = Seasons::of(records, id(property).unwrap_or_default());
    match seasons.at(arrival) {
        Some(season) => {
            let shortest = seasons.shortest_stay(season, arrival);
            if (departure - arrival).num_days() < shortest {
                found.push(format!("A minimum stay of {shortest} nights is required."));
            }
            if seasons.is_arrival_disallowed(season, arrival) {
                found.push(format!("Arrival on {arrival} is not allowed."));
            }
        }
        None => found.push("There are no rates for the requested dates.".to_owned()),
    }
    found
}

/// Returns the nights `from` to `to`, both included. Nights that are incomplete in some accounts are marked.
pub(super) fn days(records: &Records, property: &Record, from: NaiveDate, to: NaiveDate) -> Vec<Value> {
    let property_id = id(property).unwrap_or_default();
    let stays = stays(records, property_id);
    let seasons = Seasons::of(records, property_id);
    let open = is_open(property);
    nights(from, to + TimeDelta::days(1))
        .map(|night| {
            let stay = stays.iter().find(|stay| stay.arrival <= night && night < stay.departure);
            let season = seasons.at(night);
            let mut day = Map::new();
            day.insert("_without_rules".into(), is_picked(property_id, night, 7).into());
            let free = stay.is_none();
            day.insert(
                "_without_data".into(),
                (free && (season.is_none() || is_picked(property_id, night, 23))).into(),
            );
            day.insert("date".into(), format!("{night}T00:00:00").into());
            let status = match (stay, season) {
                (Some(stay), _) if stay.block => "blocked",
                (Some(_), _) => "booked",
                (None, None) => "unavailable",
                (None, Some(_)) if !open => "unavailable",
                (None, Some(season)) if is_gap(&stays, night, seasons.shortest_stay(season, night)) => "gap",
                (None, Some(_)) => "available",
            };
            day.insert("status".into(), status.into());
            if let Some(stay) = stay {
                day.insert("booking_id".into(), stay.id.into());
                if stay.arrival == night {
                    day.insert("is_arrival".into(), true.into());
                }
            }
            if stays.iter().any(|stay| stay.departure == night) {
                day.insert("is_departure".into(), true.into());
            }
            if let Some(season) = season {
                let price = seasons.price(season, night);
                let rate = json!({
                    "amount": price,
                    "rent": price,
                    "is_spot_rate": seasons.spot(night, "amount").is_some(),
                    "season_id": season.id,
                });
                day.insert("rate".into(), rate);
                let mut rules = Map::new();
                rules.insert("min_nights".into(), seasons.shortest_stay(season, night).into());
                rules.insert(
                    "max_nights".into(),
                    seasons.spot(night, "max_nights").cloned().unwrap_or_else(|| 28.into()),
                );
                // Rule booleans are present only when true.
                if seasons.is_arrival_disallowed(season, night) {
                    rules.insert("is_arrival_disallowed".into(), true.into());
                }
                day.insert("rules".into(), rules.into());
            }
            Value::Object(day)
        })
        .collect()
}

/// Returns whether the free nights around this one are too few for the shortest stay.
fn is_gap(stays: &[Stay], night: NaiveDate, shortest: i64) -> bool {
    let before = stays.iter().map(|stay| stay.departure).filter(|departure| *departure <= night).max();
    let after = stays.iter().map(|stay| stay.arrival).filter(|arrival| *arrival > night).min();
    before.zip(after).is_some_and(|(before, after)| (after - before).num_days() < shortest)
}

/// Picks about one night in `every`, always the same ones.
fn is_picked(property: i64, night: NaiveDate, every: i64) -> bool {
    (property * 31 + i64::from(night.num_days_from_ce()) * 17).rem_euclid(every) == 0
}
