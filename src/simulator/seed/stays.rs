//! Consecutive stays of a property, with gaps between them.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{CHANNELS, Seeder, plan::Extent, properties::Property, utc};
use crate::simulator::{
    bookings::{Charged, charges, money, sum},
    calendar::Seasons,
};

/// Added to a booking's id to get the id of its thread.
const THREAD_OF_A_BOOKING: i64 = 5_000_000;
/// Average number of days from one stay's arrival to the next one's.
const DAYS_OF_A_STAY: i64 = 9;
/// The number of days in advance for which a portfolio with a given number of bookings is booked.
const BOOKED_AHEAD: i64 = 240;

/// The attributes of a booking that other records need.
pub(super) struct Stay {
    pub(super) id: i64,
    pub(super) property: i64,
    pub(super) guest: i64,
    pub(super) channel: &'static str,
    pub(super) status: &'static str,
    pub(super) departure: NaiveDate,
    pub(super) booked: DateTime<Utc>,
    pub(super) canceled: Option<DateTime<Utc>>,
    pub(super) paid: f64,
    pub(super) refunded: f64,
    pub(super) thread: Option<i64>,
}

impl Seeder<'_> {
    /// Returns the first day with bookings.
    pub(super) fn first_day(&self) -> NaiveDate {
        let back = match self.plan.extent {
            Extent::Days { past, .. } => past,
            Extent::Bookings(_) => DAYS_OF_A_STAY * self.bookings_of(0) as i64 - BOOKED_AHEAD,
        };
        self.now.date_naive() - TimeDelta::days(back.max(30))
    }

    /// Returns the number of bookings and blocks of a property; unlimited if the days limit it.
    fn bookings_of(&self, index: usize) -> usize {
        match self.plan.extent {
            Extent::Days { .. } => usize::MAX,
            Extent::Bookings(all) => {
                let properties = self.plan.properties.max(1);
                all / properties + usize::from(index < all % properties)
            }
        }
    }

    /// Iterates over the days and adds stay after stay, so that active ones never overlap.
    pub(super) fn stays_of(&mut self, property: &Property, index: usize) {
        let today = self.now.date_naive();
        let last = match self.plan.extent {
            Extent::Days { future, .. } => today + TimeDelta::days(future),
            Extent::Bookings(_) => NaiveDate::MAX,
        };
        let seasons = Seasons::of(self.records, property.id);
        let mut left = self.bookings_of(index);
        let mut count = 0;
        let mut day = self.first_day() + TimeDelta::days(self.rng.i64(0..6));
        while day < last && left > 0 {
            let departure = day + TimeDelta::days(self.rng.i64(2..=8));
            let days = (day, departure);
            left -= 1;
            count += 1;
            // Even a small portfolio has one block and one canceled booking.
            let kind = match count {
                2 => 0,
                3 => 8,
                _ => self.rng.u8(0..100),
            };
            match kind {
                0..8 => self.block(property, day, departure),
                8..16 => {
                    self.booking(property, &seasons, days, "canceled");
                    // Some of the canceled nights are booked again.
                    if self.rng.bool() && left > 0 {
                        left -= 1;
                        self.booking(property, &seasons, days, "active");
                    }
                }
                16..24 if day > today => self.booking(property, &seasons, days, "pending"),
                _ => self.booking(property, &seasons, days, "active"),
            }
            day = departure + TimeDelta::days(self.rng.i64(0..8));
        }
    }

    /// Returns a booking time, 1 to 150 days before the arrival and before now, and a time between that and now.
    fn moments(&mut self, arrival: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
        let ahead = TimeDelta::minutes(self.rng.i64(1_440..150 * 1_440));
        let booked = (arrival.and_time(chrono::NaiveTime::MIN).and_utc() - ahead)
            .min(self.now - TimeDelta::minutes(self.rng.i64(1..60 * 1_440)));
        let since = (self.now - booked).num_minutes().max(2);
        (booked, booked + TimeDelta::minutes(self.rng.i64(1..since)))
    }

    fn block(&mut self, property: &Property, arrival: NaiveDate, departure: NaiveDate) {
        let (created, updated) = self.moments(arrival);
        let changed = self.rng.bool();
        let blocks = [
            ("block", "maintenance"),
            ("block", "deep clean"),
            ("owner", "owner stay"),
            ("owner", "visit of the owner"),
            ("linked_availability", "linked calendar"),
        ];
        let (kind, title) = self.rng.choice(blocks).unwrap_or(("block", "blocked"));
        let record = json!({
            "id": self.id(),
            "property_id": property.id,
            "type": kind,
            "status": "active",
            "is_block": true,
            "arrival": arrival,
            "departure": departure,
            "title": format!("{} {title}", self.plan.tenant_label),
            "created_utc": utc(created),
            "updated_utc": utc(if changed { updated } else { created }),
            "_never_changed": !changed,
            "currency_code": property.currency,
        });
        self.put("bookings", record);
    }

    fn booking(
        &mut self,
        property: &Property,
        seasons: &Seasons,
        (arrival, departure): (NaiveDate, NaiveDate),
        status: &'static str,
    ) {
        let (booked, changed_at) = self.moments(arrival);
        let changed = status == "canceled" || self.rng.u8(0..5) < 3;
        let updated = if changed { changed_at } else { booked };
        let guest = self.guest(booked);
        let id = self.id();
        let (channel, prefix) = self.rng.choice(CHANNELS).unwrap_or(("Direct", ""));
        let direct = channel == "Direct";
        let pets = if property.pets { self.rng.i64(0..=1) } else { 0 };
        let rent = seasons.rent(arrival, departure);
        let lines = charges(&Charged { rent, channel, pets, owner_percent: property.owner_percent });
        let total = sum(&lines);
        let canceled = status == "canceled";
        let past = departure <= self.now.date_naive();
        let paid = match status {
            "active" if past || !direct => total,
            "active" | "canceled" => total / 2.0,
            _ => 0.0,
        };
        let refunded = if canceled { paid } else { 0.0 };
        let fee = if channel == "Airbnb" { total * 0.03 } else { 0.0 };
        let code =
            format!("{prefix}{}", self.guid().to_uppercase().replace('-', "").chars().take(8).collect::<String>());
        let labelled = self.rng.u8(0..3) == 0;
        let mut record = json!({
            "id": id,
            "property_id": property.id,
            "guest_id": guest,
            "owner_id": property.owner,
            "type": "booking",
            "status": status,
            "is_block": false,
            "has_problem": (status == "active" && self.rng.u8(0..40) == 0).then_some(true),
            "arrival": arrival,
            "departure": departure,
            "check_in": "16:00",
            "check_in_end": direct.then_some("20:00"),
            "check_out": "10:00",
            "cleaning_date": format!("{departure}T11:00:00Z"),
            "adults": self.rng.i64(1..=4),
            "children": self.rng.i64(0..=2),
            "infants": 0,
            "pets": pets,
            "notes": self.rng.u8(0..5).eq(&0).then(|| format!("{}: late arrival", self.plan.tenant_label)),
            "listing_site": channel,
            "platform_reservation_number": (!direct).then_some(code),
            "platform_email_address": (!direct).then(|| format!("{id}@{}.relay.example", self.handle())),
            "form_key": self.guid(),
        });
        let moments_and_money = json!({
            "booked_utc": utc(booked),
            "created_utc": utc(booked),
            "updated_utc": utc(updated),
            "_never_changed": !changed,
            "canceled_utc": canceled.then(|| utc(updated)),
            "pending_until_utc": (status == "pending").then(|| utc(self.now + TimeDelta::days(2))),
            "currency_code": property.currency,
            "total_amount": money(total),
            "total_paid": money(paid),
            "total_owed": money(if canceled { 0.0 } else { total - paid }),
            "total_refunded": money(refunded),
            "total_host_fees": money(fee),
        });
        let extras = json!({
            "thread_ids": (!direct).then(|| [id + THREAD_OF_A_BOOKING]),
            "charges": lines,
            "door_codes": [{"code": format!("{:04}", self.rng.u16(0..10_000)), "lock_names": "Front door"}],
            "cancellation_policy_description": "Full refund until 30 days before arrival, half until 14 days.",
            "agreements": [{"name": "Rental agreement", "date": utc(booked), "url": format!("https://docs.example/{id}")}],
            "tags": labelled.then_some(if direct { ["direct", "returning"].as_slice() } else { &["channel"] }),
            "fields": labelled.then(|| json!([{"code": "ARRIVE", "value": "by car"}])),
        });
        if let Value::Object(members) = &mut record {
            for part in [moments_and_money, extras] {
                members.extend(part.as_object().cloned().unwrap_or_default());
            }
        }
        self.put("bookings", record);
        self.stays.push(Stay {
            id,
            property: property.id,
            guest,
            channel,
            status,
            departure,
            booked,
            canceled: canceled.then_some(updated),
            paid: money(paid),
            refunded: money(refunded),
            thread: (!direct).then_some(id + THREAD_OF_A_BOOKING),
        });
    }
}
