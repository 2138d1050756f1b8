//! Classification of booking records: a guest's stay, or something else that takes nights.

use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::{
    asking::{Asking, Stop},
    days::{Days, Nights, later},
    portfolio::Portfolio,
};

/// The usual number of days per booking of a property.
const USUAL_DAYS: i64 = 9;
/// The usual number of days that properties are booked ahead.
const BOOKED_AHEAD: u64 = 240;

/// The occupant of the nights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A guest.
    Guest,
    /// The owner.
    Owner,
    /// No occupant: a block, dates held for a quote, or another listing of the same property.
    Block,
}

/// The status of the booking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// Confirmed.
    Active,
    /// Not decided yet; the nights are taken until then.
    Pending,
    /// Canceled; the nights are free.
    Canceled,
}

/// A booking record.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    pub(super) id: i64,
    pub(super) property: i64,
    pub(super) nights: Nights,
    pub(super) kind: Kind,
    pub(super) status: Status,
    pub(super) record: Value,
}

impl Stay {
    /// Parses a record; `None` without id, property or dates.
    pub(super) fn read(record: Value) -> Option<Stay> {
        let day = |name: &str| record[name].as_str()?.get(..10)?.parse::<NaiveDate>().ok();
        let nights = Nights { arrival: day("arrival")?, departure: day("departure")? };
        let kind = match record["type"].as_str() {
            Some("owner") => Kind::Owner,
            Some("block" | "quote_hold" | "linked_availability") => Kind::Block,
            _ if record["is_block"] == json!(true) => Kind::Block,
            _ => Kind::Guest,
        };
        let status = match record["status"].as_str() {
            Some("canceled" | "cancelled") => Status::Canceled,
            Some("pending") => Status::Pending,
            _ => Status::Active,
        };
        let (id, property) = (record["id"].as_i64()?, record["property_id"].as_i64()?);
        Some(Stay { id, property, nights, kind, status, record })
    }

    /// Returns all stays that touch some days. Properties of which not all bookings could be read are removed from the
    /// portfolio, and the response notes that.
    pub(super) async fn within(
        asking: &mut Asking<'_>,
        portfolio: &mut Portfolio,
        days: Days,
        filters: &Value,
    ) -> Result<Vec<Stay>, Stop> {
        let mut filters = filters.clone();
        filters["from_date"] = json!(days.first);
        filters["to_date"] = json!(days.last);
        let read = asking.bookings(&portfolio.ids(), &filters, expected(days, asking.now().date_naive())).await?;
        let mut stays = Stay::read_all(asking, read.records);
        stays.retain(|stay| !read.unread.contains(&stay.property));
        portfolio.leave_out(asking, &read.unread);
        Ok(stays)
    }

    /// Parses all records. Invalid ones are omitted, and the response notes that.
    pub(super) fn read_all(asking: &mut Asking<'_>, records: Vec<Value>) -> Vec<Stay> {
        let all = records.len();
        let mut stays: Vec<Stay> = records.into_iter().filter_map(Stay::read).collect();
        if stays.len() < all {
            asking.lacks(format!("{} bookings have no dates and are left out.", all - stays.len()));
        }
        stays.sort_by_key(|stay| (stay.nights.arrival, stay.property, stay.id));
        // A record that moved between two pages is read twice.
        stays.dedup_by_key(|stay| stay.id);
        stays
    }

    /// Returns whether it is the confirmed stay of a guest.
    pub(super) fn is_guest(&self) -> bool {
        self.kind == Kind::Guest && self.status == Status::Active
    }

    /// Returns whether the nights are not available to others.
    pub(super) fn takes_nights(&self) -> bool {
        self.status != Status::Canceled
    }

    /// Returns the channel of the booking.
    pub(super) fn channel(&self) -> &str {
        self.record["listing_site"].as_str().unwrap_or("not stated")
    }

    /// Returns the JSON for a response.
    pub(super) fn told(&self, asking: &Asking<'_>, portfolio: &Portfolio) -> Value {
        let mut told = Map::new();
        let mut tell = |name: &str, value: Value| {
            if !value.is_null() {
                told.insert(name.to_owned(), value);
            }
        };
        tell("booking_id", json!(self.id));
        tell("property_id", json!(self.property));
        tell("property", json!(portfolio.name(self.property)));
        if self.kind == Kind::Guest {
            tell("guest_id", self.record["guest_id"].clone());
            tell("guest", json!(guest_name(&self.record)));
        }
        tell("arrival", json!(self.nights.arrival));
        tell("check_in", self.record["check_in"].clone());
        tell("departure", json!(self.nights.departure));
        tell("check_out", self.record["check_out"].clone());
        tell("nights", json!(self.nights.count()));
        for name in ["adults", "children", "infants", "pets"] {
            tell(name, Some(&self.record[name]).filter(|value| **value != json!(0)).cloned().unwrap_or_default());
        }
        tell("channel", self.record["listing_site"].clone());
        if self.kind != Kind::Guest {
            tell("type", self.record["type"].clone());
            tell("title", self.record["title"].clone());
        }
        if self.record["total_owed"].as_f64().is_some_and(|owed| owed > 0.0) {
            tell("total_owed", self.record["total_owed"].clone());
            tell("currency", self.record["currency_code"].clone());
        }
        if self.status == Status::Pending {
            tell("pending_until_utc", self.record["pending_until_utc"].clone());
        }
        tell("url", json!(asking.page("bookings", self.id)));
        Value::Object(told)
    }
}

/// Estimates the number of bookings of a property in these days. Few are made for days far ahead.
pub(super) fn expected(days: Days, today: NaiveDate) -> usize {
    let booked = Days { last: days.last.min(later(today, BOOKED_AHEAD)), ..days };
    usize::try_from(booked.nights().count() / USUAL_DAYS).map_or(1, |bookings| bookings + 1)
}

/// Returns the guest's name, if the record has one.
pub(super) fn guest_name(record: &Value) -> Option<String> {
    person(&record["guest"])
}

/// Returns first and last name.
pub(super) fn person(record: &Value) -> Option<String> {
    let names: Vec<&str> = ["first_name", "last_name"].iter().filter_map(|name| record[*name].as_str()).collect();
    Some(names.join(" ").trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: Value) -> Option<Stay> {
        let mut record =
            json!({"id": 1, "property_id": 2, "arrival": "2026-06-01", "departure": "2026-06-04", "status": "active"});
        record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Stay::read(record)
    }

    #[test]
    fn only_confirmed_bookings_are_guests() {
        for (changes, kind, status, is_guest) in [
            (json!({"type": "booking"}), Kind::Guest, Status::Active, true),
            (json!({}), Kind::Guest, Status::Active, true),
            (json!({"type": "booking", "status": "pending"}), Kind::Guest, Status::Pending, false),
            (json!({"type": "booking", "status": "canceled"}), Kind::Guest, Status::Canceled, false),
            (json!({"type": "owner"}), Kind::Owner, Status::Active, false),
            (json!({"type": "block", "is_block": true}), Kind::Block, Status::Active, false),
            (json!({"is_block": true}), Kind::Block, Status::Active, false),
            (json!({"type": "quote_hold", "status": "pending"}), Kind::Block, Status::Pending, false),
            (json!({"type": "linked_availability"}), Kind::Block, Status::Active, false),
        ] {
            let stay = read(changes.clone()).unwrap();
            assert_eq!((stay.kind, stay.status, stay.is_guest()), (kind, status, is_guest), "{changes}");
            assert_eq!(stay.takes_nights(), status != Status::Canceled);
            assert_eq!(stay.nights.count(), 3);
        }
    }

    #[test]
    fn a_record_without_dates_is_no_stay() {
        assert!(read(json!({"arrival": null})).is_none());
        assert!(read(json!({"departure": "soon"})).is_none());
        assert!(read(json!({"arrival": "2026-06-01T00:00:00"})).is_some());
    }
}
