//! Rules of a quote write beyond its members: a price, optional checks of stay rules, dates that may be held.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    bookings::{Charged, charges, dates, owner_percent},
    calendar,
    records::{Record, Records, id, number},
    timestamp::utc,
};

/// How long an offer is valid.
const QUOTE_LIFE: TimeDelta = TimeDelta::days(3);
/// Requested actions, as opposed to the content of the quote.
const QUOTE_ACTIONS: [&str; 5] = ["test", "generate_charges", "generate_email", "hold_dates", "validate_rules"];

/// Converts validated members into the record to store. A quote that was only requested for its price has no id.
pub(super) fn write(
    records: &mut Records,
    current: Option<&Record>,
    mut members: Map<String, Value>,
    charges_on_request: bool,
    now: DateTime<Utc>,
) -> Result<Record, Vec<String>> {
    let actions: Vec<&str> =
        QUOTE_ACTIONS.into_iter().filter(|action| members.remove(*action) == Some(Value::Bool(true))).collect();
    let wants = |action: &str| actions.contains(&action);
    let mut quote = current.cloned().unwrap_or_default();
    quote.extend(members);

    let mut complaints = Vec::new();
    let property_id = number(&quote, "property_id").unwrap_or_default();
    let property = records.get("properties", property_id).cloned();
    if property.is_none() {
        complaints.push(format!("property_id: Expected entity Property:Id:{property_id} not found."));
    }
    match number(&quote, "guest_id") {
        None if !wants("test") => complaints.push("guest_id is required.".to_owned()),
        Some(guest) if records.get("guests", guest).is_none() => {
            complaints.push(format!("guest_id: Expected entity Guest:Id:{guest} not found."));
        }
        _ => {}
    }
    let Some((property, (arrival, departure))) = property.zip(dates(&quote, &mut complaints)) else {
        return Err(complaints);
    };
    let held = current.and_then(id).and_then(|quote| records.naming("bookings", "quote_id", quote).find_map(id));
    if (wants("validate_rules") || wants("hold_dates"))
        && !calendar::is_free(records, property_id, arrival, departure, held)
    {
        complaints.push(format!("The dates {arrival} to {departure} conflict with an existing booking or block."));
    }
    if wants("validate_rules") {
        complaints.extend(calendar::violations(records, &property, arrival, departure));
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    if wants("generate_charges") || (current.is_none() && !charges_on_request) {
        let stay = Charged {
            rent: calendar::rent(records, property_id, arrival, departure),
            channel: "Direct",
            pets: number(&quote, "pets").unwrap_or_default(),
            owner_percent: owner_percent(records, &property),
        };
        quote.insert("charges".into(), charges(&stay).into());
    }
    quote.insert("updated_utc".into(), utc(now).into());
    if current.is_none() {
        begin(&mut quote, now);
    }
    if wants("test") {
        quote.remove("id");
        return Ok(quote);
    }
    let quote_id = id(&quote).unwrap_or_else(|| records.new_id());
    quote.insert("id".into(), quote_id.into());
    quote.entry("key").or_insert_with(|| key(quote_id).into());
    if wants("hold_dates") {
        hold(records, &quote, held, now);
    }
    Ok(quote)
}

fn begin(quote: &mut Record, now: DateTime<Utc>) {
    for (name, moment) in [("created_utc", now), ("quoted_utc", now), ("expires_utc", now + QUOTE_LIFE)] {
        quote.insert(name.into(), utc(moment).into());
    }
    quote.insert("listing_site".into(), "Direct".into());
    quote.insert("check_in".into(), "16:00".into());
    quote.insert("check_out".into(), "10:00".into());
}

fn key(quote: i64) -> String {
    let bytes = u128::from(quote.unsigned_abs()).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// Holds the nights while the guest decides.
fn hold(records: &mut Records, quote: &Record, held: Option<i64>, now: DateTime<Utc>) {
    let booking = held.unwrap_or_else(|| records.new_id());
    let of_quote = |name: &str| quote.get(name).cloned().unwrap_or_default();
    let record = json!({
        "id": booking,
        "type": "quote_hold",
        "status": "pending",
        "is_block": true,
        "quote_id": of_quote("id"),
        "property_id": of_quote("property_id"),
        "arrival": of_quote("arrival"),
        "departure": of_quote("departure"),
        "created_utc": utc(now),
        "updated_utc": utc(now),
        "_never_changed": true,
        "pending_until_utc": of_quote("expires_utc"),
    });
    if let Value::Object(record) = record {
        records.put("bookings", booking, record);
    }
}
