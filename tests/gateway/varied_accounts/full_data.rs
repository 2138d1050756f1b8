//! The expected responses of the composite tools, computed from the simulator's full data.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use ownerrez_gateway::{domain::AccountId, simulator::Controls};
use serde_json::Value;

pub(super) type Ids = BTreeSet<i64>;

/// All records of an account that the tools use.
pub(super) struct FullData {
    pub(super) properties: Vec<Value>,
    pub(super) bookings: Vec<Value>,
}

pub(super) fn day(text: &str) -> NaiveDate {
    text[..10].parse().unwrap()
}

pub(super) fn id(record: &Value) -> i64 {
    record["id"].as_i64().unwrap()
}

fn property(booking: &Value) -> i64 {
    booking["property_id"].as_i64().unwrap()
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

impl FullData {
    pub(super) fn of(ownerrez: &Controls, account: AccountId) -> Self {
        let records = |collection: &str| ownerrez.records(account, collection);
        Self { properties: records("properties"), bookings: records("bookings") }
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

    /// Returns the sum of the charges of stays that begin in these days, in cents, by currency and property.
    pub(super) fn revenue(&self, of: &Ids, first: NaiveDate, last: NaiveDate) -> BTreeMap<(String, i64), i64> {
        let mut sums = BTreeMap::new();
        for one in self.bookings.iter().filter(|one| of.contains(&property(one)) && is_of_guest(one) && is_active(one))
        {
            let arrival = on(one, "arrival");
            if first <= arrival && arrival <= last {
                let charges = one["charges"].as_array().unwrap().iter();
                let sum: i64 = charges.map(|line| cents(&line["amount"])).sum();
                let currency = one["currency_code"].as_str().unwrap().to_owned();
                *sums.entry((currency, property(one))).or_default() += sum;
            }
        }
        sums
    }

    /// Returns whether a booking takes one of the nights of a stay.
    pub(super) fn is_taken(&self, of: i64, arrival: NaiveDate, departure: NaiveDate) -> bool {
        let overlaps = |one: &Value| on(one, "arrival") < departure && on(one, "departure") > arrival;
        !self.found(&Ids::from([of]), |one| one["status"] != "canceled" && overlaps(one)).is_empty()
    }

    /// Returns all bookings of a guest since a day.
    pub(super) fn of_guest(&self, guest: i64, first: NaiveDate) -> Ids {
        self.found(&self.ids(), |one| one["guest_id"] == guest && on(one, "departure") >= first)
    }
}

pub(super) fn cents(amount: &Value) -> i64 {
    (amount.as_f64().unwrap() * 100.0).round() as i64
}
