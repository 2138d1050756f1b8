//! Rules of a booking write beyond its members: free nights, stay rules, totals.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};

use super::{
    calendar,
    records::{Record, Records, date, id, number},
    timestamp::utc,
};

/// Rounds an amount to two decimals.
pub(super) fn money(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

/// The input of a stay's charges.
pub(super) struct Charged<'a> {
    pub(super) rent: f64,
    pub(super) channel: &'a str,
    pub(super) pets: i64,
    /// The owner's share of the rent; the rest is the manager's commission.
    pub(super) owner_percent: i64,
}

/// A line of a stay's charges: type, category, description, amount, percent.
type Line = (&'static str, &'static str, &'static str, f64, Option<f64>);

/// Returns the charge lines of a stay.
pub(super) fn charges(stay: &Charged<'_>) -> Vec<Value> {
    let Charged { rent, channel, pets, owner_percent } = *stay;
    let managed = channel != "Direct";
    let share = owner_percent as f64 / 100.0;
    let channel_category = if channel == "Airbnb" { "booking" } else { "administrative" };
    let lines: [Option<Line>; 6] = [
        Some(("rent", "rent", "Rent", rent, None)),
        Some(("surcharge", "cleaning", "Cleaning", 95.0, None)),
        (pets > 0).then_some(("surcharge", "pet", "Pet fee", 40.0 * pets as f64, None)),
        managed.then_some(("surcharge_other", channel_category, "Channel administration", 25.0, None)),
        Some(("tax", "tax", "Lodging tax", rent * 0.08, Some(8.0))),
        managed.then_some(("tax_other", "resort", "Resort tax", rent * 0.01, Some(1.0))),
    ];
    let line = |(position, (kind, category, description, amount, percent)): (usize, Line)| {
        let is_rent = kind == "rent";
        json!({
            "type": kind,
            "category": category,
            "description": description,
            "amount": money(amount),
            "position": position,
            "rate": percent,
            "rate_is_percent": percent.map(|_| true),
            "is_taxable": is_rent,
            "is_channel_managed": managed,
            "owner_amount": money(if is_rent { amount * share } else { 0.0 }),
            "commission_amount": money(if is_rent { amount * (1.0 - share) } else { 0.0 }),
            "owner_commission_percent": is_rent.then_some(100 - owner_percent),
        })
    };
    lines.into_iter().flatten().enumerate().map(line).collect()
}

/// Returns the sum of some charges.
pub(super) fn sum(lines: &[Value]) -> f64 {
    lines.iter().filter_map(|line| line.get("amount")?.as_f64()).sum()
}

/// Returns the share of the rent for the owner of a property.
pub(super) fn owner_percent(records: &Records, property: &Record) -> i64 {
    let owner = number(property, "owner_id").and_then(|owner| records.get("owners", owner));
    owner.and_then(|owner| number(owner, "_percent")).unwrap_or(100)
}

/// Converts validated members into the record to store: a new one, or `current` changed.
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
    booking.insert("_never_changed".into(), fresh.into());

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
        // A guest deleted later must not prevent changes to old bookings.
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
            let percent = owner_percent(records, property);
            price(records, &mut booking, property_id, (arrival, departure), percent);
        }
    }
    Ok(booking)
}

/// Members that the edit model does not have are ignored, so that no client can set an id or a total.
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
        // Stays are limited, because the nights are iterated one by one.
        Some((arrival, departure)) if (departure - arrival).num_days() > calendar::LONGEST_CALENDAR => {
            complaints.push("departure is too long after arrival.".to_owned());
            return None;
        }
        Some(_) => {}
    }
    dates
}

fn price(
    records: &Records,
    booking: &mut Record,
    property: i64,
    (arrival, departure): (NaiveDate, NaiveDate),
    owner_percent: i64,
) {
    let rent = calendar::rent(records, property, arrival, departure);
    let lines = charges(&Charged { rent, channel: "Direct", pets: 0, owner_percent });
    let total = sum(&lines);
    for (name, amount) in [("total_amount", total), ("total_owed", total), ("total_paid", 0.0), ("total_refunded", 0.0)]
    {
        booking.insert(name.into(), money(amount).into());
    }
    booking.insert("charges".into(), lines.into());
}
