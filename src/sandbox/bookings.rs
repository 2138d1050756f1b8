//! What a booking write means beyond its members: free nights, stay rules, totals.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};

use super::{
    calendar,
    records::{Record, Records, date, id},
    seed::utc,
};

/// Two decimals, as money is written.
pub(super) fn money(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

/// The charge lines of a stay.
pub(super) fn charges(rent: f64, channel: &str) -> Vec<Value> {
    let managed = channel != "Direct";
    [
        ("rent", "Rent", rent, None),
        ("surcharge", "Cleaning", 95.0, None),
        ("tax", "Lodging tax", rent * 0.08, Some(8.0)),
    ]
    .into_iter()
    .enumerate()
    .map(|(position, (kind, description, amount, percent))| {
        json!({
            "type": kind,
            "description": description,
            "amount": money(amount),
            "position": position,
            "rate": percent,
            "rate_is_percent": percent.map(|_| true),
            "is_taxable": kind == "rent",
            "is_channel_managed": managed,
            "owner_amount": money(if kind == "rent" { amount * 0.8 } else { 0.0 }),
            "commission_amount": money(if kind == "rent" { amount * 0.2 } else { 0.0 }),
        })
    })
    .collect()
}

/// Turns checked members into the record to store: a new one, or `current` changed.
pub(super) fn write(
    records: &Records,
    current: Option<&Record>,
    members: Map<String, Value>,
    new_id: i64,
    now: DateTime<Utc>,
) -> Result<Record, Vec<String>> {
    let fresh = current.is_none();
    let mut booking = current.cloned().unwrap_or_else(|| blank(new_id, &members, now));
    booking.extend(writable(members));
    booking.insert("updated_utc".into(), utc(now).into());

    let block = booking.get("is_block") == Some(&Value::Bool(true));
    if current.is_some_and(|old| old.get("is_block") != booking.get("is_block")) {
        booking.insert("type".into(), if block { "block" } else { "booking" }.into());
    }
    let property_id = booking.get("property_id").and_then(Value::as_i64).unwrap_or_default();
    let guest_id = booking.get("guest_id").and_then(Value::as_i64);
    let mut complaints = Vec::new();
    let property = records.get("properties", property_id);
    if property.is_none() {
        complaints.push(format!("property_id: Expected entity Property:Id:{property_id} not found."));
    }
    match guest_id {
        Some(_) if block => complaints.push("guest_id must not be set on a block.".to_owned()),
        None if !block => complaints.push("guest_id is required unless is_block is true.".to_owned()),
        // A guest deleted later must not stop changes to old bookings.
        Some(guest) if fresh && records.get("guests", guest).is_none() => {
            complaints.push(format!("guest_id: Expected entity Guest:Id:{guest} not found."));
        }
        _ => {}
    }
    let Some((property, (arrival, departure))) = property.zip(dates(&booking, &mut complaints)) else {
        return Err(complaints);
    };
    let moved = fresh
        || ["arrival", "departure", "property_id"]
            .iter()
            .any(|name| current.and_then(|old| old.get(*name)) != booking.get(*name));
    let holds = booking.get("status") != Some(&Value::String("canceled".into()));
    if moved && holds {
        if !calendar::is_free(records, property_id, arrival, departure, id(&booking)) {
            complaints.push(format!("The dates {arrival} to {departure} conflict with an existing booking or block."));
        } else if !block {
            complaints.extend(calendar::violations(records, property, arrival, departure));
        }
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    if fresh {
        booking.insert("owner_id".into(), property.get("owner_id").cloned().unwrap_or_default());
        booking.insert("currency_code".into(), property.get("currency_code").cloned().unwrap_or_default());
        if !block {
            price(records, &mut booking, property_id, arrival, departure);
        }
    }
    Ok(booking)
}

/// Members the edit model does not have are ignored, so that no client can set an id or a total.
fn writable(members: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    const NAMES: [&str; 13] = [
        "property_id",
        "guest_id",
        "is_block",
        "arrival",
        "departure",
        "check_in",
        "check_in_end",
        "check_out",
        "cleaning_date",
        "title",
        "notes",
        "adults",
        "children",
    ];
    members.into_iter().filter(|(name, _)| NAMES.contains(&name.as_str()))
}

fn blank(id: i64, members: &Map<String, Value>, now: DateTime<Utc>) -> Record {
    let block = members.get("is_block") == Some(&Value::Bool(true));
    let blank = json!({
        "id": id,
        "type": if block { "block" } else { "booking" },
        "status": "active",
        "is_block": block,
        "listing_site": (!block).then_some("Direct"),
        "booked_utc": (!block).then(|| utc(now)),
        "created_utc": utc(now),
        "check_in": (!block).then_some("16:00"),
        "check_out": (!block).then_some("10:00"),
    });
    match blank {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

pub(super) fn dates(booking: &Record, complaints: &mut Vec<String>) -> Option<(NaiveDate, NaiveDate)> {
    let dates = date(booking, "arrival").zip(date(booking, "departure"));
    match dates {
        None => complaints.push("arrival and departure must be dates.".to_owned()),
        Some((arrival, departure)) if departure <= arrival => {
            complaints.push("departure must be after arrival.".to_owned());
            return None;
        }
        // Nobody stays for years, and the nights are walked one by one.
        Some((arrival, departure)) if (departure - arrival).num_days() > calendar::LONGEST_CALENDAR => {
            complaints.push("departure is too long after arrival.".to_owned());
            return None;
        }
        Some(_) => {}
    }
    dates
}

fn price(records: &Records, booking: &mut Record, property: i64, arrival: NaiveDate, departure: NaiveDate) {
    let lines = charges(calendar::rent(records, property, arrival, departure), "Direct");
    let total: f64 = lines.iter().filter_map(|line| line.get("amount")?.as_f64()).sum();
    for (name, amount) in [("total_amount", total), ("total_owed", total), ("total_paid", 0.0), ("total_refunded", 0.0)]
    {
        booking.insert(name.into(), money(amount).into());
    }
    booking.insert("charges".into(), lines.into());
}
