//! The daily briefing of a host: `todays_briefing`.

use std::collections::BTreeSet;

use chrono::{SecondsFormat, TimeDelta};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    days::{Days, later},
    property_set::PropertySet,
    query_context::{CompositeError, QueryContext},
    stay::{Status, Stay, StayKind, guest_name},
    who_is_staying::{COUNTING_RULES, Sorted},
};

/// The members that need the bookings of today and the coming week.
const THESE_DAYS: [&str; 7] =
    ["arrivals", "departures", "changeovers", "in_house", "owner_stays", "owed_by_arrivals_of_7_days", "pending"];

#[derive(Deserialize)]
pub(super) struct Arguments {
    property_ids: Option<Vec<i64>>,
}

/// Returns arrivals, departures, changeovers, balances owed, pending bookings, and new records since yesterday. Five
/// requests for up to a hundred properties, and one more if a property has no time zone; fewer if `fields` selects a
/// part.
pub(super) async fn todays_briefing(
    context: &mut QueryContext<'_>,
    arguments: Arguments,
) -> Result<Value, CompositeError> {
    let mut property_set = PropertySet::read(context, arguments.property_ids.as_deref()).await?;
    let days = property_set.days(context, None, 1).await?;
    let span = days.span(context.now().date_naive());
    let coming = later(span.last, 7);
    let stays = if THESE_DAYS.iter().any(|part| context.wants(part)) {
        let week = Days { first: span.first, last: coming };
        Stay::within(context, &mut property_set, week, &json!({"include_guest": true})).await?
    } else {
        Vec::new()
    };
    let ids = property_set.ids();
    let since = (context.now() - TimeDelta::days(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let lately = json!({"since_utc": since, "include_guest": true});
    let wants_bookings = context.wants("last_24_hours.new_bookings") || context.wants("last_24_hours.canceled");
    let (booked, unread) =
        if wants_bookings { changed_bookings(context, &ids, &lately).await? } else { (Vec::new(), BTreeSet::new()) };
    let wants_inquiries = !ids.is_empty() && context.wants("last_24_hours.inquiries");
    let inquiries = if wants_inquiries {
        context
            .list_pages("list_inquiries", lately, 2, "list_inquiries with `since_utc` and `offset` reads the rest")
            .await?
    } else {
        Vec::new()
    };

    let sorted = Sorted::of(&stays, &days);
    let to_json = |stays: &mut dyn Iterator<Item = &Stay>| -> Vec<Value> {
        stays.map(|stay| stay.to_json(context, &property_set)).collect()
    };
    let is_changeover = |leaving: &Stay| sorted.arrivals.iter().any(|coming| coming.property == leaving.property);
    let changeovers: Vec<i64> =
        sorted.departures.iter().filter(|stay| is_changeover(stay)).map(|stay| stay.property).collect();
    let owes = |stay: &&Stay| stay.is_guest() && stay.record["total_owed"].as_f64().is_some_and(|owed| owed > 0.0);
    let soon = |stay: &&Stay| days.at(stay.property).is_some_and(|today| stay.nights.arrival >= today.first);
    let is_new = |member: &str| {
        let since = since.clone();
        let member = member.to_owned();
        move |stay: &&Stay| stay.record[member.as_str()].as_str().is_some_and(|at| at > since.as_str())
    };
    let inquiries: Vec<Value> = inquiries
        .iter()
        .filter(|inquiry| inquiry["property_id"].as_i64().is_none_or(|id| ids.contains(&id)))
        .map(|inquiry| inquiry_json(inquiry, &property_set))
        .collect();
    let mut answer = json!({
        "arrivals": to_json(&mut sorted.arrivals.iter().copied()),
        "departures": to_json(&mut sorted.departures.iter().copied()),
        "changeovers": changeovers,
        "in_house": sorted.in_house.len(),
        "owner_stays": to_json(&mut sorted.owner_stays.iter().copied()),
        "owed_by_arrivals_of_7_days": to_json(&mut stays.iter().filter(owes).filter(soon)),
        "pending": to_json(&mut stays.iter().filter(|stay| stay.kind == StayKind::Guest && stay.status == Status::Pending)),
        "last_24_hours": {
            "new_bookings": to_json(&mut booked.iter().filter(|stay| stay.is_guest()).filter(is_new("created_utc"))),
            "canceled": to_json(&mut booked.iter().filter(|stay| stay.status == Status::Canceled).filter(is_new("canceled_utc"))),
            "inquiries": inquiries,
        },
        "counted": format!("{COUNTING_RULES} `changeovers` are properties with a departure and an arrival today."),
    });
    if !unread.is_empty() {
        answer["last_24_hours"]["missing_properties"] = json!(unread);
    }
    Ok(context.finish(property_set.covered(span), answer))
}

/// Returns the bookings that changed, and the properties of which not all were read.
async fn changed_bookings(
    context: &mut QueryContext<'_>,
    ids: &[i64],
    lately: &Value,
) -> Result<(Vec<Stay>, BTreeSet<i64>), CompositeError> {
    let changed = context.bookings(ids, lately, 1).await?;
    if !changed.unread.is_empty() {
        context.note_missing(
            "`last_24_hours` lacks bookings of the properties in its `missing_properties`: ask again with these \
             `property_ids`, at most 100 at once.",
        );
    }
    Ok((Stay::read_all(context, changed.records), changed.unread))
}

fn inquiry_json(inquiry: &Value, property_set: &PropertySet) -> Value {
    json!({
        "inquiry_id": inquiry["id"],
        "property": inquiry["property_id"].as_i64().and_then(|id| property_set.name(id)),
        "guest": guest_name(inquiry),
        "arrival": inquiry["arrival"],
        "departure": inquiry["departure"],
        "thread_ids": inquiry["thread_ids"],
    })
}
