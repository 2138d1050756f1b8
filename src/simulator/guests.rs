//! Rules of a guest write beyond its members: the entries of addresses, e-mail addresses and phones have ids.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{records::Record, timestamp::utc};

const PARTS: [&str; 3] = ["addresses", "email_addresses", "phones"];
const PLAIN: [&str; 7] = [
    "first_name",
    "last_name",
    "notes",
    "is_banned",
    "opt_out_marketing_email",
    "opt_out_marketing_sms",
    "opt_out_transactional_sms",
];

/// Converts validated members into the record to store. List entries with an id change that entry, entries without an
/// id are added; separate calls remove entries.
pub(super) fn write(
    current: Option<&Record>,
    members: Map<String, Value>,
    new_id: &mut impl FnMut() -> i64,
    now: DateTime<Utc>,
) -> Result<Record, Vec<String>> {
    let mut guest = current.cloned().unwrap_or_default();
    if current.is_none() {
        guest.insert("id".into(), new_id().into());
        guest.insert("_created_utc".into(), utc(now).into());
        for part in PARTS {
            guest.insert(part.into(), json!([]));
        }
    }
    let mut complaints = Vec::new();
    for (name, value) in members {
        match value {
            Value::Array(entries) if PARTS.contains(&name.as_str()) => {
                let list = guest.entry(name.clone()).or_insert_with(|| json!([]));
                if let Value::Array(list) = list {
                    merge(&name, list, entries, new_id, &mut complaints);
                }
            }
            value if PLAIN.contains(&name.as_str()) => {
                guest.insert(name, value);
            }
            _ => {}
        }
    }
    if complaints.is_empty() { Ok(guest) } else { Err(complaints) }
}

fn merge(
    name: &str,
    list: &mut Vec<Value>,
    entries: Vec<Value>,
    new_id: &mut impl FnMut() -> i64,
    complaints: &mut Vec<String>,
) {
    for entry in entries {
        let Value::Object(mut entry) = entry else { continue };
        match entry.get("id").and_then(Value::as_i64) {
            None => {
                entry.insert("id".into(), new_id().into());
                list.push(entry.into());
            }
            Some(id) => {
                let known = list.iter_mut().find(|known| known.get("id").and_then(Value::as_i64) == Some(id));
                match known.and_then(Value::as_object_mut) {
                    Some(known) => known.extend(entry),
                    None => complaints.push(format!("{name}: no entry has the id {id}.")),
                }
            }
        }
    }
}

/// Removes one entry of a list. Returns false if it does not exist.
pub(super) fn remove_part(record: &mut Record, member: &str, id: i64) -> bool {
    let Some(Value::Array(list)) = record.get_mut(member) else { return false };
    let before = list.len();
    list.retain(|entry| entry.get("id").and_then(Value::as_i64) != Some(id));
    list.len() < before
}
