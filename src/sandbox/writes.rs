//! From checked members to the record to store: each kind of record by its rule.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    bookings, guests, labels, messages,
    operations::WriteRule,
    quotes,
    records::{Record, Records, id},
    seed::utc,
};

/// A new record, or `current` changed. One that comes without an id is not to be stored.
pub(super) fn write(
    records: &mut Records,
    account: i64,
    rule: Option<WriteRule>,
    current: Option<&Record>,
    members: Map<String, Value>,
    now: DateTime<Utc>,
) -> Result<Record, Vec<String>> {
    match rule {
        Some(WriteRule::Booking) => {
            let new_id = records.new_id();
            bookings::write(records, current, members, new_id, now)
        }
        Some(WriteRule::Guest) => guests::write(current, members, &mut || records.new_id(), now),
        Some(WriteRule::Quote) => quotes::write(records, current, members, now),
        Some(WriteRule::Message) => messages::write(records, &members, now),
        Some(WriteRule::Tag) => labels::tag(records, account, members),
        Some(WriteRule::TagDefinition) => labels::tag_definition(records, current, members),
        Some(WriteRule::Field) => labels::field(records, account, current, members),
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
