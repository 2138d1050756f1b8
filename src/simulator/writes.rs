//! Converts validated members to the record to store, by the rule of each kind of record.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    bookings, guests, labels, messages,
    operations::WriteRule,
    quotes,
    records::{Record, Records, id},
    timestamp::utc,
    variations::{Variation, Variations},
};

/// The context of a write, in addition to the sent members.
pub(super) struct Written<'a> {
    pub(super) account: i64,
    pub(super) now: DateTime<Utc>,
    pub(super) variations: &'a Variations,
}

/// Returns a new record, or `current` changed. A record without an id is not to be stored.
pub(super) fn write(
    records: &mut Records,
    rule: Option<WriteRule>,
    current: Option<&Record>,
    members: Map<String, Value>,
    context: &Written<'_>,
) -> Result<Record, Vec<String>> {
    let Written { now, variations, .. } = *context;
    match rule {
        Some(WriteRule::Booking) => {
            let new_id = records.new_id();
            bookings::write(records, current, members, new_id, now)
        }
        Some(WriteRule::Guest) => guests::write(current, members, &mut || records.new_id(), now),
        Some(WriteRule::Quote) => {
            quotes::write(records, current, members, variations.has(Variation::ChargesOnRequest), now)
        }
        Some(WriteRule::Message) => {
            let role = if variations.has(Variation::CoHostReplies) { "co_host" } else { "owner" };
            messages::write(records, &members, role, now)
        }
        Some(WriteRule::Tag) => labels::tag(records, members),
        Some(WriteRule::TagDefinition) => labels::tag_definition(records, current, members),
        Some(WriteRule::Field) => labels::field(records, context.account, current, members),
        Some(WriteRule::FieldDefinition) => labels::field_definition(records, current, members),
        None => {
            let mut record = current.cloned().unwrap_or_default();
            let id = id(&record).unwrap_or_else(|| records.new_id());
            record.extend(members);
            record.insert("id".into(), id.into());
            record.insert("_updated_utc".into(), utc(now).into());
            Ok(record)
        }
    }
}
