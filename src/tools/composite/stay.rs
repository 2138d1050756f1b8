//! Classification of booking records: a guest's stay, or something else that takes nights.

use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::{
    days::{Days, Nights, later},
    property_set::PropertySet,
    query_context::{CompositeError, QueryContext},
};

/// The usual number of days per booking of a property.
const USUAL_DAYS: i64 = 9;
/// The usual number of days that properties are booked ahead.
const BOOKED_AHEAD: u64 = 240;

/// The occupant of the nights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StayKind {
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
    pub(super) kind: StayKind,
    pub(super) status: Status,
    pub(super) record: Value,
}

impl Stay {
    /// Parses a record; `None` without id, property or dates.
    pub(super) fn read(record: Value) -> Option<Stay> {
        let day = |name: &str| record[name].as_str()?.get(..10)?.parse::<NaiveDate>().ok();
        let nights = Nights { arrival: day("arrival")?, departure: day("departure")? };
        let kind = match record["type"].as_str() {
            Some("owner") => StayKind::Owner,
            Some("block" | "quote_hold" | "linked_availability") => StayKind::Block,
            _ if record["is_block"] == json!(true) => StayKind::Block,
            _ => StayKind::Guest,
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
    /// property set, and the response notes that.
    pub(super) async fn within(
        context: &mut QueryContext<'_>,
        property_set: &mut PropertySet,
        days: Days,
        filters: &Value,
    ) -> Result<Vec<Stay>, CompositeError> {
        let mut filters = filters.clone();
        filters["from_date"] = json!(days.first);
        filters["to_date"] = json!(days.last);
        let read = context
            .bookings(&property_set.ids(), &filters, expected_bookings(days, context.now().date_naive()))
            .await?;
        let mut stays = Stay::read_all(context, read.records);
        stays.retain(|stay| !read.unread.contains(&stay.property));
        property_set.exclude(context, &read.unread);
        Ok(stays)
    }

    /// Parses all records. Invalid ones are omitted, and the response notes that.
    pub(super) fn read_all(context: &mut QueryContext<'_>, records: Vec<Value>) -> Vec<Stay> {
        let all = records.len();
        let mut stays: Vec<Stay> = records.into_iter().filter_map(Stay::read).collect();
        if stays.len() < all {
            context.note_missing(format!("{} bookings have no dates and are left out.", all - stays.len()));
        }
        stays.sort_by_key(|stay| (stay.nights.arrival, stay.property, stay.id));
        // A record that moved between two pages is read twice.
        stays.dedup_by_key(|stay| stay.id);
        stays
    }

    /// Returns whether it is the confirmed stay of a guest.
    pub(super) fn is_guest(&self) -> bool {
        self.kind == StayKind::Guest && self.status == Status::Active
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
    pub(super) fn to_json(&self, context: &QueryContext<'_>, property_set: &PropertySet) -> Value {
        let mut members = Map::new();
        let mut insert = |name: &str, value: Value| {
            if !value.is_null() {
                members.insert(name.to_owned(), value);
            }
        };
        insert("booking_id", json!(self.id));
        insert("property_id", json!(self.property));
        insert("property", json!(property_set.name(self.property)));
        if self.kind == StayKind::Guest {
            insert("guest_id", self.record["guest_id"].clone());
            insert("guest", json!(guest_name(&self.record)));
        }
        insert("arrival", json!(self.nights.arrival));
        insert("check_in", self.record["check_in"].clone());
        insert("departure", json!(self.nights.departure));
        insert("check_out", self.record["check_out"].clone());
        insert("nights", json!(self.nights.count()));
        for name in ["adults", "children", "infants", "pets"] {
            insert(name, Some(&self.record[name]).filter(|value| **value != json!(0)).cloned().unwrap_or_default());
        }
        insert("channel", self.record["listing_site"].clone());
        if self.kind != StayKind::Guest {
            insert("type", self.record["type"].clone());
            insert("title", self.record["title"].clone());
        }
        if self.record["total_owed"].as_f64().is_some_and(|owed| owed > 0.0) {
            insert("total_owed", self.record["total_owed"].clone());
            insert("currency", self.record["currency_code"].clone());
        }
        if self.status == Status::Pending {
            insert("pending_until_utc", self.record["pending_until_utc"].clone());
        }
        insert("url", json!(context.record_url("bookings", self.id)));
        Value::Object(members)
    }
}

/// Estimates the number of bookings of a property in these days. Few are made for days far ahead.
pub(super) fn expected_bookings(days: Days, today: NaiveDate) -> usize {
    let booked = Days { last: days.last.min(later(today, BOOKED_AHEAD)), ..days };
    usize::try_from(booked.nights().count() / USUAL_DAYS).map_or(1, |bookings| bookings + 1)
}

/// Returns the guest's name, if the record has one.
pub(super) fn guest_name(record: &Value) -> Option<String> {
    full_name(&record["guest"])
}

/// Returns first and last name.
pub(super) fn full_name(record: &Value) -> Option<String> {
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
            (json!({"type": "booking"}), StayKind::Guest, Status::Active, true),
            (json!({}), StayKind::Guest, Status::Active, true),
            (json!({"type": "booking", "status": "pending"}), StayKind::Guest, Status::Pending, false),
            (json!({"type": "booking", "status": "canceled"}), StayKind::Guest, Status::Canceled, false),
            (json!({"type": "owner"}), StayKind::Owner, Status::Active, false),
            (json!({"type": "block", "is_block": true}), StayKind::Block, Status::Active, false),
            (json!({"is_block": true}), StayKind::Block, Status::Active, false),
            (json!({"type": "quote_hold", "status": "pending"}), StayKind::Block, Status::Pending, false),
            (json!({"type": "linked_availability"}), StayKind::Block, Status::Active, false),
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
