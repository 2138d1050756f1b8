//! Messages belong to threads, and sending one cannot be undone.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    records::{Record, Records, number},
    timestamp::utc,
    view::public,
};

/// Creates a message that the host sends now.
pub(super) fn write(
    records: &mut Records,
    members: &Map<String, Value>,
    role: &str,
    now: DateTime<Utc>,
) -> Result<Record, Vec<String>> {
    let thread_id = number(members, "thread_id").unwrap_or_default();
    if records.get("threads", thread_id).is_none() {
        return Err(vec![format!("thread_id: Expected entity Thread:Id:{thread_id} not found.")]);
    }
    let attachment = members.get("attachment_url").filter(|url| !url.is_null()).map(|url| json!([{"url": url}]));
    let message = json!({
        "id": records.new_id(),
        "thread_id": thread_id,
        "body": members.get("body"),
        "date_utc": utc(now),
        "from_role": role,
        "is_draft": false,
        "attachments": attachment,
    });
    Ok(message.as_object().cloned().unwrap_or_default())
}

/// Returns the members of a message page that describe the thread.
pub(super) fn thread_and_guest(records: &Records, thread: &Record) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("thread".into(), public(Value::Object(thread.clone())));
    if let Some(guest) = number(thread, "_guest_id").and_then(|guest| records.get("guests", guest)) {
        let names = ["id", "first_name", "last_name"].into_iter();
        let members = names.filter_map(|name| Some((name.to_owned(), guest.get(name)?.clone())));
        shown.insert("guest".into(), Value::Object(members.collect()));
    }
    shown
}
