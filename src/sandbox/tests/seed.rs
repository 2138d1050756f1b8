//! The invented portfolios.

use fastrand::Rng;

use crate::sandbox::{
    operations::Operations,
    records::{Record, Records, date, id, number, text},
    seed::{Plan, Seeder},
};

fn seeded(seed: u64) -> Records {
    let plan = Plan { properties: 12, past_days: 300, future_days: 240, ..Plan::small("Heron") };
    let now = "2026-11-23T12:00:00Z".parse().expect("a moment");
    let mut records = Records::new(1_000);
    Seeder { plan: &plan, rng: Rng::with_seed(seed), now, records: &mut records }.fill();
    records
}

fn dump(records: &Records) -> Vec<Record> {
    records.collections().flat_map(|name| records.all(name)).cloned().collect()
}

#[test]
fn the_same_seed_gives_the_same_data() {
    assert_eq!(dump(&seeded(7)), dump(&seeded(7)));
    assert_ne!(dump(&seeded(7)), dump(&seeded(8)));
}

#[test]
fn stays_that_hold_their_nights_never_overlap() {
    let records = seeded(7);
    assert!(records.all("bookings").count() > 300);
    for property in records.all("properties").filter_map(id) {
        let mut stays: Vec<_> = records
            .all("bookings")
            .filter(|booking| booking.get("property_id") == Some(&property.into()))
            .filter(|booking| text(booking, "status") != "canceled")
            .map(|booking| (date(booking, "arrival"), date(booking, "departure")))
            .collect();
        stays.sort();
        assert!(stays.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{stays:?}");
    }
}

#[test]
fn every_kind_of_booking_occurs() {
    let records = seeded(7);
    for (member, value) in [
        ("status", "active"),
        ("status", "pending"),
        ("status", "canceled"),
        ("type", "block"),
        ("listing_site", "Airbnb"),
        ("listing_site", "Vrbo"),
        ("listing_site", "Booking.com"),
        ("listing_site", "Direct"),
    ] {
        assert!(records.all("bookings").any(|booking| text(booking, member) == value), "{member} {value}");
    }
}

#[test]
fn every_collection_of_an_account_holds_something() {
    let records = seeded(7);
    for collection in Operations::load().expect("embedded data").collections.keys() {
        assert!(records.all(collection).next().is_some(), "{collection}");
    }
}

#[test]
fn what_records_name_is_there() {
    let records = seeded(7);
    for (collection, key, other) in [
        ("bookings", "property_id", "properties"),
        ("bookings", "guest_id", "guests"),
        ("quotes", "guest_id", "guests"),
        ("inquiries", "guest_id", "guests"),
        ("messages", "thread_id", "threads"),
        ("threads", "booking_id", "bookings"),
        ("threads", "inquiry_id", "inquiries"),
        ("reviews", "booking_id", "bookings"),
        ("payments", "booking_id", "bookings"),
        ("refunds", "linked_payment_id", "payments"),
        ("fees", "payment_id", "payments"),
        ("spot_rates", "property_id", "properties"),
        ("surcharges", "property_id", "properties"),
        ("tags", "tag_definition_id", "tag_definitions"),
        ("fields", "field_definition_id", "field_definitions"),
    ] {
        let named: Vec<i64> = records.all(collection).filter_map(|record| number(record, key)).collect();
        assert!(!named.is_empty(), "{collection} {key}");
        assert!(named.iter().all(|id| records.get(other, *id).is_some()), "{collection} {key}");
    }
}
