//! The generated portfolios.

use fastrand::Rng;

use crate::simulator::{
    operations::Operations,
    records::{Record, Records, date, id, number, text},
    seed::{Plan, Portfolio, Seeder},
};

fn seeded(seed: u64) -> Records {
    let properties = 12;
    filled(&Plan::of_size("Heron", Portfolio { properties, bookings: 720 }), seed)
}

fn filled(plan: &Plan, seed: u64) -> Records {
    let now = "2026-11-23T12:00:00Z".parse().expect("a moment");
    let mut records = Records::new(1_000);
    Seeder::new(plan, Rng::with_seed(seed), now, &mut records).fill();
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
        ("type", "owner"),
        ("type", "linked_availability"),
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

#[test]
fn a_portfolio_has_the_size_that_is_asked_for() {
    for (properties, bookings) in [(1, 7), (3, 100), (40, 1_001)] {
        let records = filled(&Plan::of_size("Large", Portfolio { properties, bookings }), 7);
        assert_eq!(records.all("properties").count(), properties);
        assert_eq!(records.all("bookings").count(), bookings);
    }
    assert_eq!(Portfolio::asked(None, None), None);
    assert_eq!(Portfolio::asked(Some(3), None), Some(Portfolio { properties: 3, bookings: 300 }));
    assert_eq!(Portfolio::asked(None, Some(50)), Some(Portfolio { properties: 12, bookings: 50 }));
}

#[test]
fn a_portfolio_has_several_currencies_places_and_shares() {
    let records = seeded(7);
    let values = |collection: &str, member: &str| -> std::collections::BTreeSet<String> {
        records.all(collection).filter_map(|record| Some(record.get(member)?.to_string())).collect()
    };
    assert!(values("properties", "currency_code").len() >= 3);
    assert!(values("properties", "time_zone").len() >= 3);
    assert_eq!(values("owners", "_percent").len(), 3);
    let names: Vec<&str> = records.all("properties").map(|property| text(property, "name")).collect();
    let all = names.iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(all.len(), names.len());
    for booking in records.all("bookings") {
        let property = records.get("properties", number(booking, "property_id").expect("an id")).expect("a property");
        assert_eq!(text(booking, "currency_code"), text(property, "currency_code"));
        let owner = records.get("owners", number(property, "owner_id").expect("an id")).expect("an owner");
        let percent = number(owner, "_percent").expect("a share");
        for charge in booking.get("charges").and_then(serde_json::Value::as_array).into_iter().flatten() {
            if charge["type"] == "rent" {
                assert_eq!(charge["owner_commission_percent"], 100 - percent);
                let (amount, share) = (charge["amount"].as_f64(), charge["owner_amount"].as_f64());
                let expected = amount.expect("an amount") * percent as f64 / 100.0;
                assert!((share.expect("a share") - expected).abs() < 0.01, "{charge}");
            }
        }
    }
}

#[test]
fn some_guests_are_entered_again_under_another_spelling() {
    let records = seeded(7);
    let again: Vec<_> = records.all("guests").filter(|guest| number(guest, "_same_as").is_some()).collect();
    assert!(again.len() > 10, "{}", again.len());
    for guest in again {
        let first = records.get("guests", number(guest, "_same_as").expect("an id")).expect("the first record");
        let name = |guest: &Record| format!("{} {}", text(guest, "first_name"), text(guest, "last_name"));
        assert_ne!(name(first), name(guest));
        assert_eq!(first["phones"][0]["number"], guest["phones"][0]["number"]);
        assert!(records.naming("bookings", "guest_id", id(guest).expect("an id")).count() <= 20);
    }
}

#[test]
fn the_demo_accounts_reach_two_years_back() {
    let two_years_ago = "2024-11-23".parse().expect("a day");
    for plan in Plan::demo_accounts() {
        let records = filled(&plan, 7);
        let arrivals = || records.all("bookings").filter_map(|booking| date(booking, "arrival"));
        assert!(arrivals().any(|day| day < two_years_ago), "{}", plan.tenant_label);
        let priced = records.all("bookings").filter(|one| text(one, "type") == "booking");
        assert!(priced.map(|one| one["total_amount"].as_f64()).all(|total| total > Some(0.0)), "{}", plan.tenant_label);
    }
}
