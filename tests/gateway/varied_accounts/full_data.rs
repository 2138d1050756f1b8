//! The expected responses of the composite tools, computed from the simulator's full data.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, Weekday};
use ownerrez_gateway::{domain::AccountId, simulator::Controls};
use serde_json::Value;

pub(super) type Ids = BTreeSet<i64>;

/// All records of an account that the tools use.
pub(super) struct FullData {
    pub(super) properties: Vec<Value>,
    pub(super) bookings: Vec<Value>,
    pub(super) inquiries: Vec<Value>,
    /// The prices and stay rules of stretches of nights, by property.
    seasons: BTreeMap<i64, Vec<Value>>,
    /// The prices and stay rules of single nights, which take precedence, by property.
    spot_rates: BTreeMap<i64, Vec<Value>>,
    /// Arrival and departure of the bookings that take nights, by property.
    taken: BTreeMap<i64, Vec<(NaiveDate, NaiveDate)>>,
}

pub(super) fn day(text: &str) -> NaiveDate {
    text[..10].parse().unwrap()
}

pub(super) fn id(record: &Value) -> i64 {
    record["id"].as_i64().unwrap()
}

fn property(record: &Value) -> i64 {
    record["property_id"].as_i64().unwrap()
}

fn on(record: &Value, member: &str) -> NaiveDate {
    day(record[member].as_str().unwrap())
}

fn is_active(booking: &Value) -> bool {
    booking["status"] == "active"
}

/// Returns whether a booking is of a guest, whatever its status.
pub(super) fn is_of_guest(booking: &Value) -> bool {
    booking["type"] == "booking"
}

/// Guest nights, other taken nights and free nights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Nights {
    pub(super) guests: usize,
    pub(super) others: usize,
    pub(super) free: usize,
}

/// The day on which `revenue_summary` counts an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CountBy {
    Arrival,
    Night,
}

/// A group of a revenue summary: currency, part of the response, and property, month or channel.
pub(super) type Group = (String, &'static str, String);

/// The sums of a group. Amounts are in cents and not rounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// The stays with nights in the group.
    pub(super) stays: Ids,
    pub(super) bookings: i64,
    pub(super) nights: i64,
    pub(super) rent: f64,
    pub(super) taxes: f64,
    pub(super) other: f64,
}

/// The part of `guest_history` that is computed from all bookings of the guest.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct History {
    pub(super) stays: i64,
    pub(super) nights: i64,
    pub(super) canceled: i64,
    /// In cents, by currency.
    pub(super) spent: BTreeMap<String, i64>,
    pub(super) status: BTreeMap<i64, &'static str>,
}

impl FullData {
    pub(super) fn of(ownerrez: &Controls, account: AccountId) -> Self {
        let records = |collection: &str| ownerrez.records(account, collection);
        let by_property = |collection: &str| {
            let mut all: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
            records(collection).into_iter().for_each(|one| all.entry(property(&one)).or_default().push(one));
            all
        };
        let stays = |all: Vec<Value>| {
            let taking = all.iter().filter(|one| one["status"] != "canceled");
            taking.map(|one| (on(one, "arrival"), on(one, "departure"))).collect()
        };
        Self {
            properties: records("properties"),
            bookings: records("bookings"),
            inquiries: records("inquiries"),
            seasons: by_property("seasons"),
            spot_rates: by_property("spot_rates"),
            taken: by_property("bookings").into_iter().map(|(id, all)| (id, stays(all))).collect(),
        }
    }

    pub(super) fn ids(&self) -> Ids {
        self.properties.iter().map(id).collect()
    }

    pub(super) fn inactive(&self) -> Ids {
        self.properties.iter().filter(|one| one["active"] == false).map(id).collect()
    }

    /// Returns the properties that guests may book.
    pub(super) fn open(&self) -> Ids {
        let open = |one: &&Value| one["active"] == true && one["is_snoozed"] != true;
        self.properties.iter().filter(open).map(id).collect()
    }

    /// Returns the bookings of some properties that a predicate selects.
    fn found(&self, of: &Ids, wanted: impl Fn(&Value) -> bool) -> Ids {
        self.bookings.iter().filter(|one| of.contains(&property(one)) && wanted(one)).map(id).collect()
    }

    /// Returns the parts of `who_is_staying` for these days.
    pub(super) fn staying(&self, of: &Ids, first: NaiveDate, last: NaiveDate) -> BTreeMap<&'static str, Ids> {
        let within = |day: NaiveDate| first <= day && day <= last;
        let sleeps = |one: &Value| on(one, "arrival") <= last && on(one, "departure") > first;
        let is_guest = |one: &Value| is_of_guest(one) && is_active(one);
        let taken = |one: &Value| one["status"] != "canceled";
        let is_owner = |one: &Value| one["type"] == "owner";
        BTreeMap::from([
            ("arrivals", self.found(of, |one| is_guest(one) && within(on(one, "arrival")))),
            ("departures", self.found(of, |one| is_guest(one) && within(on(one, "departure")))),
            ("in_house", self.found(of, |one| is_guest(one) && sleeps(one))),
            (
                "owner_stays",
                self.found(of, |one| is_owner(one) && taken(one) && (sleeps(one) || within(on(one, "departure")))),
            ),
            ("blocks", self.found(of, |one| !is_of_guest(one) && !is_owner(one) && taken(one) && sleeps(one))),
            ("pending", self.found(of, |one| is_of_guest(one) && one["status"] == "pending" && sleeps(one))),
        ])
    }

    /// Returns the active bookings of guests with money owed that arrive in these days.
    pub(super) fn owed(&self, of: &Ids, first: NaiveDate, last: NaiveDate) -> Ids {
        self.found(of, |one| {
            let arrival = on(one, "arrival");
            is_of_guest(one)
                && is_active(one)
                && first <= arrival
                && arrival <= last
                && one["total_owed"].as_f64().is_some_and(|owed| owed > 0.0)
        })
    }

    /// Returns the bookings of this status in which this time is later than `since`.
    pub(super) fn since(&self, of: &Ids, member: &str, status: &str, since: &str) -> Ids {
        self.found(of, |one| {
            (is_of_guest(one) || status == "canceled")
                && one["status"] == status
                && one[member].as_str().is_some_and(|at| at > since)
        })
    }

    /// Returns the nights from `first` to `last` of each property.
    pub(super) fn nights(&self, first: NaiveDate, last: NaiveDate) -> BTreeMap<i64, Nights> {
        let mut taken: BTreeMap<i64, BTreeMap<NaiveDate, bool>> = BTreeMap::new();
        for one in self.bookings.iter().filter(|one| one["status"] != "canceled") {
            let (arrival, departure) = (on(one, "arrival").max(first), on(one, "departure"));
            let of_property = taken.entry(property(one)).or_default();
            for night in arrival.iter_days().take_while(|night| *night < departure && *night <= last) {
                *of_property.entry(night).or_default() |= is_of_guest(one) && is_active(one);
            }
        }
        let all = first.iter_days().take_while(|night| *night <= last).count();
        let counted = self.ids().into_iter().map(|id| {
            let taken = taken.remove(&id).unwrap_or_default();
            let guests = taken.values().filter(|by_guest| **by_guest).count();
            (id, Nights { guests, others: taken.len() - guests, free: all - taken.len() })
        });
        counted.collect()
    }

    /// Returns the pending bookings of guests with a day in this span.
    pub(super) fn pending(&self, of: &Ids, first: NaiveDate, last: NaiveDate) -> Ids {
        let touches = |one: &Value| on(one, "arrival") <= last && on(one, "departure") >= first;
        self.found(of, |one| is_of_guest(one) && one["status"] == "pending" && touches(one))
    }

    /// Returns the properties at which one guest departs and another one arrives on this day.
    pub(super) fn changeovers(&self, of: &Ids, today: NaiveDate) -> Ids {
        let at = |member: &str| -> Ids {
            let guests = self.bookings.iter().filter(|one| is_of_guest(one) && is_active(one));
            guests.filter(|one| on(one, member) == today).map(property).filter(|id| of.contains(id)).collect()
        };
        &at("arrival") & &at("departure")
    }

    /// Returns the inquiries that changed later than `since` and concern one of the properties or none.
    pub(super) fn inquiries_since(&self, of: &Ids, since: &str) -> Ids {
        let concerns = |one: &&Value| one["property_id"].as_i64().is_none_or(|id| of.contains(&id));
        let is_new = |one: &&Value| one["updated_utc"].as_str().is_some_and(|at| at > since);
        self.inquiries.iter().filter(concerns).filter(is_new).map(id).collect()
    }

    /// Returns the sums of the charges of all groups of `revenue_summary` for these days.
    pub(super) fn revenue(
        &self,
        of: &Ids,
        first: NaiveDate,
        last: NaiveDate,
        count_by: CountBy,
    ) -> BTreeMap<Group, Sums> {
        let within = |day: &NaiveDate| first <= *day && *day <= last;
        let month = |day: NaiveDate| day.format("%Y-%m").to_string();
        let mut all: BTreeMap<Group, Sums> = BTreeMap::new();
        for one in self.bookings.iter().filter(|one| of.contains(&property(one)) && is_of_guest(one) && is_active(one))
        {
            let (arrival, departure) = (on(one, "arrival"), on(one, "departure"));
            let nights: Vec<NaiveDate> = arrival.iter_days().take_while(|night| *night < departure).collect();
            // The month of each counted night.
            let months: Vec<String> = match count_by {
                CountBy::Arrival if within(&arrival) => nights.iter().map(|_| month(arrival)).collect(),
                CountBy::Arrival => Vec::new(),
                CountBy::Night => nights.iter().copied().filter(within).map(month).collect(),
            };
            let mut of_night = [0.0; 3];
            for line in one["charges"].as_array().unwrap() {
                let place = match line["type"].as_str().unwrap() {
                    "rent" => 0,
                    "tax" | "tax_other" => 1,
                    _ => 2,
                };
                of_night[place] += cents(&line["amount"]) as f64 / nights.len() as f64;
            }
            for (index, month) in months.into_iter().enumerate() {
                let text = |member: &str| one[member].as_str().unwrap().to_owned();
                for (part, name) in [
                    ("all", String::new()),
                    ("by_property", property(one).to_string()),
                    ("by_month", month),
                    ("by_channel", text("listing_site")),
                ] {
                    let sums = all.entry((text("currency_code"), part, name)).or_default();
                    sums.stays.insert(id(one));
                    sums.bookings += i64::from(index == 0);
                    sums.nights += 1;
                    sums.rent += of_night[0];
                    sums.taxes += of_night[1];
                    sums.other += of_night[2];
                }
            }
        }
        all
    }

    /// Returns the season of a night.
    fn season(&self, of: i64, night: NaiveDate) -> Option<&Value> {
        let contains = |one: &&Value| on(one, "start") <= night && night <= on(one, "end");
        self.seasons.get(&of)?.iter().find(contains)
    }

    /// Returns a price or a rule of a single night.
    fn spot<'a>(&'a self, of: i64, night: NaiveDate, member: &str) -> Option<&'a Value> {
        let rates = self.spot_rates.get(&of)?.iter().filter(|one| on(one, "date") == night);
        rates.map(|one| &one[member]).find(|value| !value.is_null())
    }

    /// Returns the rent of a stay in cents; `None` if a night has no price.
    pub(super) fn rent(&self, of: i64, arrival: NaiveDate, departure: NaiveDate) -> Option<i64> {
        let price = |night: NaiveDate| {
            let season = self.season(of, night)?;
            let is_weekend = [Weekday::Fri, Weekday::Sat].contains(&night.weekday());
            let of_season = &season[if is_weekend { "weekend" } else { "nightly" }];
            Some(cents(self.spot(of, night, "amount").unwrap_or(of_season)))
        };
        arrival.iter_days().take_while(|night| *night < departure).map(price).sum()
    }

    /// Returns whether a stay breaks a stay rule, whether or not its nights are taken.
    pub(super) fn breaks_a_rule(&self, of: i64, arrival: NaiveDate, departure: NaiveDate) -> bool {
        let Some(season) = self.season(of, arrival) else { return true };
        let nights = (departure - arrival).num_days();
        let rule = |member: &str| self.spot(of, arrival, member);
        let of_season = season["min_nights"].as_i64().unwrap();
        let least = rule("min_nights").and_then(Value::as_i64).unwrap_or(of_season);
        // Weekly stays begin on Saturdays.
        let is_disallowed = of_season >= 5 && arrival.weekday() != Weekday::Sat;
        nights < least || rule("is_arrival_disallowed").and_then(Value::as_bool).unwrap_or(is_disallowed)
    }

    /// Returns whether a booking takes one of the nights of a stay.
    pub(super) fn is_taken(&self, of: i64, arrival: NaiveDate, departure: NaiveDate) -> bool {
        let overlaps = |other: &(NaiveDate, NaiveDate)| other.0 < departure && other.1 > arrival;
        self.taken.get(&of).is_some_and(|stays| stays.iter().any(overlaps))
    }

    /// Returns all bookings of a guest since a day.
    pub(super) fn of_guest(&self, guest: i64, first: NaiveDate) -> Ids {
        self.found(&self.ids(), |one| one["guest_id"] == guest && on(one, "departure") >= first)
    }

    /// Returns the counts and sums of these bookings of a guest.
    pub(super) fn history(&self, stays: &Ids, today: NaiveDate) -> History {
        let mut history = History::default();
        for one in self.bookings.iter().filter(|one| stays.contains(&id(one))) {
            let (arrival, departure) = (on(one, "arrival"), on(one, "departure"));
            let status = match one["status"].as_str().unwrap() {
                "active" if departure <= today => "past",
                "active" if arrival <= today => "in house",
                "active" => "coming",
                "pending" => "pending",
                _ => "canceled",
            };
            history.status.insert(id(one), status);
            history.canceled += i64::from(status == "canceled");
            if is_active(one) && is_of_guest(one) {
                history.stays += 1;
                history.nights += (departure - arrival).num_days();
                let charges = one["charges"].as_array().unwrap().iter();
                let currency = one["currency_code"].as_str().unwrap().to_owned();
                *history.spent.entry(currency).or_default() += charges.map(|line| cents(&line["amount"])).sum::<i64>();
            }
        }
        history
    }
}

pub(super) fn cents(amount: &Value) -> i64 {
    (amount.as_f64().unwrap() * 100.0).round() as i64
}
