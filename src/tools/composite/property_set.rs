//! The properties that a call covers, and the current day at each.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::{
    days::{Days, later, today},
    query_context::{CompositeError, PAGE, QueryContext},
};

/// The most pages of properties that are read per state; the other requests are for their bookings.
const MOST_PAGES: usize = 4;

/// The properties that a call covers.
pub(super) struct PropertySet {
    pub(super) properties: Vec<Property>,
    /// A note about the time zone that was used for properties without one.
    zones_note: Option<String>,
}

/// A property.
pub(super) struct Property {
    pub(super) id: i64,
    pub(super) name: String,
    zone: Option<Tz>,
    pub(super) record: Value,
}

impl PropertySet {
    /// Returns all properties, active or not, or the requested ones. OwnerRez lists the inactive ones only on request,
    /// so this takes two requests, and one more for each further hundred properties.
    pub(super) async fn read(
        context: &mut QueryContext<'_>,
        wanted: Option<&[i64]>,
    ) -> Result<PropertySet, CompositeError> {
        let mut records = Vec::new();
        let mut more = false;
        for active in [true, false] {
            let some = context.first_pages("list_properties", json!({"active": active}), MOST_PAGES).await?;
            records.extend(some.records);
            more |= some.more;
        }
        let mut property_set = PropertySet::of(records);
        if let Some(wanted) = wanted {
            let known: BTreeSet<i64> = property_set.properties.iter().map(|property| property.id).collect();
            let unknown: Vec<String> =
                wanted.iter().filter(|id| !known.contains(id)).map(|id| id.to_string()).collect();
            if !unknown.is_empty() {
                let (ids, all) = (unknown.join(", "), known.len());
                return Err(CompositeError::Rejected(if more {
                    format!(
                        "There is no property {ids} among the first {all} of this account, and no more are read. \
                         list_properties shows the ids; list_bookings takes them all."
                    )
                } else {
                    format!("There is no property {ids} in this account. list_properties shows the ids.")
                }));
            }
            property_set.properties.retain(|property| wanted.contains(&property.id));
        } else if more {
            let all = property_set.properties.len();
            context.note_missing(format!("Properties beyond the first {all} of this account: they were not read."));
        }
        Ok(property_set)
    }

    /// Creates it from records of OwnerRez, each property once.
    pub(super) fn of(records: Vec<Value>) -> PropertySet {
        let mut seen = BTreeSet::new();
        let property = |record: Value| {
            let id = record["id"].as_i64().filter(|id| seen.insert(*id))?;
            let name = record["name"].as_str().unwrap_or("unnamed").to_owned();
            Some(Property { id, name, zone: zone(&record), record })
        };
        PropertySet { properties: records.into_iter().filter_map(property).collect(), zones_note: None }
    }

    /// Removes the properties of which not all bookings were read and notes that in the response, because some of the
    /// bookings would give wrong figures.
    pub(super) fn exclude(&mut self, context: &mut QueryContext<'_>, unread: &BTreeSet<i64>) {
        if unread.is_empty() {
            return;
        }
        self.properties.retain(|property| !unread.contains(&property.id));
        context.note_missing(format!(
            "{} properties, because all their bookings take too many requests. Ask again for fewer days, or with \
             `property_ids` of `missing_properties`, at most 100 at once.",
            unread.len()
        ));
        context.note_missing_properties(unread);
    }

    pub(super) fn ids(&self) -> Vec<i64> {
        self.properties.iter().map(|property| property.id).collect()
    }

    pub(super) fn name(&self, id: i64) -> Option<&str> {
        self.get(id).map(|property| property.name.as_str())
    }

    pub(super) fn get(&self, id: i64) -> Option<&Property> {
        self.properties.iter().find(|property| property.id == id)
    }

    /// Returns the requested days, or `length` days from today. The current day depends on the time zone of the
    /// property, otherwise of the account (one request, only if needed), otherwise UTC.
    pub(super) async fn days(
        &mut self,
        context: &mut QueryContext<'_>,
        asked: Option<Days>,
        length: u64,
    ) -> Result<PropertyDays, CompositeError> {
        if let Some(days) = asked {
            return Ok(PropertyDays::Same(days));
        }
        let without = self.properties.iter().filter(|property| property.zone.is_none()).count();
        let mut rest = Tz::UTC;
        if without > 0 {
            let account = context.call("get_current_user", json!({})).await?;
            let of_account = zone(&account);
            rest = of_account.unwrap_or_default();
            let whose = if of_account.is_some() { "the account's time zone" } else { "UTC, as the account has none" };
            self.zones_note =
                Some(format!("{without} properties have no time zone; today is computed in {whose}: {}", rest.name()));
        }
        let now = context.now();
        let each = self.properties.iter().map(|property| {
            let first = today(now, property.zone.unwrap_or(rest));
            (property.id, Days { first, last: later(first, length - 1) })
        });
        Ok(PropertyDays::Each(each.collect()))
    }

    /// Returns the member `covered`, which all responses have.
    pub(super) fn covered(&self, days: Days) -> Value {
        let zones: BTreeSet<&str> =
            self.properties.iter().filter_map(|property| property.zone.map(|zone| zone.name())).collect();
        let properties: Vec<Value> =
            self.properties.iter().map(|property| json!({"id": property.id, "name": property.name})).collect();
        let mut covered = json!({
            "from": days.first,
            "to": days.last,
            "days_are": "in each property's local time",
            "time_zones": zones,
            "properties": properties,
        });
        if let Some(note) = &self.zones_note {
            covered["time_zone_note"] = json!(note);
        }
        covered
    }
}

/// Returns the record of one property. It is looked up in the first page of active properties, which most composite
/// tools read and which is cached; a property that is not in it takes a separate request.
pub(super) async fn property(context: &mut QueryContext<'_>, id: i64) -> Result<Option<Value>, CompositeError> {
    let page = context.call("list_properties", json!({"active": true, "limit": PAGE})).await?;
    let listed = page["items"].as_array().into_iter().flatten().find(|property| property["id"] == json!(id));
    match listed {
        Some(property) => Ok(Some(property.clone())),
        None => context.get_optional("get_property", json!({"id": id})).await,
    }
}

fn zone(record: &Value) -> Option<Tz> {
    record["time_zone"].as_str()?.parse().ok()
}

/// The days of each property.
pub(super) enum PropertyDays {
    /// The same everywhere.
    Same(Days),
    /// Counted from each property's own today.
    Each(Vec<(i64, Days)>),
}

impl PropertyDays {
    pub(super) fn at(&self, property: i64) -> Option<Days> {
        match self {
            PropertyDays::Same(days) => Some(*days),
            PropertyDays::Each(each) => each.iter().find(|(id, _)| *id == property).map(|(_, days)| *days),
        }
    }

    /// Returns the span of all; without properties, `now`.
    pub(super) fn span(&self, now: NaiveDate) -> Days {
        match self {
            PropertyDays::Same(days) => *days,
            PropertyDays::Each(each) => {
                let first = each.iter().map(|(_, days)| days.first).min().unwrap_or(now);
                let last = each.iter().map(|(_, days)| days.last).max().unwrap_or(now);
                Days { first, last }
            }
        }
    }
}
