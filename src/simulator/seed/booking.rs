//! One booking of a property.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{names::CHANNELS, properties::Property, seeder::Seeder, stay::Stay};
use crate::simulator::{
    bookings::{Charged, charges, money, sum},
    calendar::Seasons,
    timestamp::utc,
};

/// Added to a booking's id to get the id of its thread.
const THREAD_OF_A_BOOKING: i64 = 5_000_000;

/// The values of a booking that only its own record contains.
struct Details {
    arrival: NaiveDate,
    updated: DateTime<Utc>,
    changed: bool,
    pets: i64,
    lines: Vec<Value>,
    total: f64,
    owed: f64,
    code: String,
    labelled: bool,
}

impl Seeder<'_> {
    pub(super) fn booking(
        &mut self,
        property: &Property,
        seasons: &Seasons,
        days: (NaiveDate, NaiveDate),
        status: &'static str,
    ) {
        let (stay, details) = self.draw_booking(property, seasons, days, status);
        let mut record = self.guest_and_days(property, &stay, &details);
        let moments_and_money = moments_and_money(property, &stay, &details, self.now);
        let extras = self.extras(&stay, details);
        if let Value::Object(members) = &mut record {
            for part in [moments_and_money, extras] {
                members.extend(part.as_object().cloned().unwrap_or_default());
            }
        }
        self.put("bookings", record);
        self.stays.push(stay);
    }

    fn draw_booking(
        &mut self,
        property: &Property,
        seasons: &Seasons,
        (arrival, departure): (NaiveDate, NaiveDate),
        status: &'static str,
    ) -> (Stay, Details) {
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
        let owed = if canceled { 0.0 } else { total - paid };
        let code =
            format!("{prefix}{}", self.guid().to_uppercase().replace('-', "").chars().take(8).collect::<String>());
        let labelled = self.rng.u8(0..3) == 0;
        let stay = Stay {
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
        };
        (stay, Details { arrival, updated, changed, pets, lines, total, owed, code, labelled })
    }

    fn guest_and_days(&mut self, property: &Property, stay: &Stay, details: &Details) -> Value {
        let Stay { id, channel, status, departure, .. } = *stay;
        let direct = channel == "Direct";
        json!({
            "id": id,
            "property_id": property.id,
            "guest_id": stay.guest,
            "owner_id": property.owner,
            "type": "booking",
            "status": status,
            "is_block": false,
            "has_problem": (status == "active" && self.rng.u8(0..40) == 0).then_some(true),
            "arrival": details.arrival,
            "departure": departure,
            "check_in": "16:00",
            "check_in_end": direct.then_some("20:00"),
            "check_out": "10:00",
            "cleaning_date": format!("{departure}T11:00:00Z"),
            "adults": self.rng.i64(1..=4),
            "children": self.rng.i64(0..=2),
            "infants": 0,
            "pets": details.pets,
            "notes": self.rng.u8(0..5).eq(&0).then(|| format!("{}: late arrival", self.plan.tenant_label)),
            "listing_site": channel,
            "platform_reservation_number": (!direct).then_some(&details.code),
            "platform_email_address": (!direct).then(|| format!("{id}@{}.relay.example", self.handle())),
            "form_key": self.guid(),
        })
    }

    fn extras(&mut self, stay: &Stay, Details { lines, labelled, .. }: Details) -> Value {
        let direct = stay.channel == "Direct";
        json!({
            "thread_ids": stay.thread.map(|thread| [thread]),
            "charges": lines,
            "door_codes": [{"code": format!("{:04}", self.rng.u16(0..10_000)), "lock_names": "Front door"}],
            "cancellation_policy_description": "Full refund until 30 days before arrival, half until 14 days.",
            "agreements": [{
                "name": "Rental agreement",
                "date": utc(stay.booked),
                "url": format!("https://docs.example/{}", stay.id),
            }],
            "tags": labelled.then_some(if direct { ["direct", "returning"].as_slice() } else { &["channel"] }),
            "fields": labelled.then(|| json!([{"code": "ARRIVE", "value": "by car"}])),
        })
    }
}

fn moments_and_money(property: &Property, stay: &Stay, details: &Details, now: DateTime<Utc>) -> Value {
    let total = details.total;
    let fee = if stay.channel == "Airbnb" { total * 0.03 } else { 0.0 };
    json!({
        "booked_utc": utc(stay.booked),
        "created_utc": utc(stay.booked),
        "updated_utc": utc(details.updated),
        "_never_changed": !details.changed,
        "canceled_utc": stay.canceled.map(utc),
        "pending_until_utc": (stay.status == "pending").then(|| utc(now + TimeDelta::days(2))),
        "currency_code": property.currency,
        "total_amount": money(total),
        "total_paid": stay.paid,
        "total_owed": money(details.owed),
        "total_refunded": stay.refunded,
        "total_host_fees": money(fee),
    })
}
