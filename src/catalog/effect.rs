//! The effect of a write: the records that it changes, its arguments, and the read that shows whether it was made.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    data::{GuestVisible, OperationData, Segment, segments},
    request::{as_arguments, path_values, query_values},
};
use crate::domain::UpstreamRequest;

/// The largest assumed difference between OwnerRez's clock and the gateway's.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

/// The read that shows whether a write was made.
#[derive(Clone, PartialEq, Debug)]
pub struct SettlingRead {
    /// Name of the tool.
    pub tool: String,
    /// Its arguments, as far as the write determines them.
    pub arguments: Map<String, Value>,
}

/// Returns everything in a request as arguments that make the same request.
pub(super) fn said(data: &OperationData, request: &UpstreamRequest) -> Map<String, Value> {
    let mut said = path_values(data, request);
    said.extend(query_values(data, request));
    match (&request.body, &data.body_argument) {
        (Some(Value::Array(entries)), Some(name)) => {
            let entry =
                |entry: &Value| entry.as_object().map_or_else(|| entry.clone(), |e| as_arguments(data, e).into());
            said.insert(name.clone(), entries.iter().map(entry).collect());
        }
        (Some(body), Some(name)) => {
            said.insert(name.clone(), body.clone());
        }
        (Some(Value::Object(members)), None) => said.extend(as_arguments(data, members)),
        _ => {}
    }
    said
}

/// Returns whether a guest notices the write.
pub(super) fn reaches_guest(data: &OperationData, request: &UpstreamRequest) -> bool {
    match &data.guest_visible {
        GuestVisible::Always(always) => *always,
        GuestVisible::If(name) => said(data, request).get(name).is_some_and(|value| *value == json!(true)),
    }
}

/// Returns whether OwnerRez is only asked for a calculation.
pub(super) fn is_dry_run(data: &OperationData, request: &UpstreamRequest) -> bool {
    data.dry_run.as_ref().is_some_and(|name| said(data, request).get(name) == Some(&json!(true)))
}

/// Returns the records that a request changes, such as `guests/5`, as far as they are known before it is sent.
pub(super) fn touched(data: &OperationData, request: &UpstreamRequest) -> Vec<String> {
    let mut touched = Vec::new();
    let mut path = segments(&data.path).skip(1);
    if let (Some(Segment::Literal(kind)), Some(Segment::Placeholder(name))) = (path.next(), path.next())
        && let Some(id) = path_values(data, request).get(name)
    {
        touched.push(format!("{kind}/{}", plain(id)));
    }
    let said = said(data, request);
    let entries: Vec<&Map<String, Value>> = match &request.body {
        Some(Value::Array(entries)) => entries.iter().filter_map(Value::as_object).collect(),
        _ => vec![&said],
    };
    let filled = data.touches.iter().flat_map(|template| entries.iter().filter_map(|entry| fill(template, entry)));
    touched.extend(filled);
    touched.sort();
    touched.dedup();
    touched
}

/// Returns the record with the id in the response, if the request created one.
pub(super) fn created(data: &OperationData, id: i64) -> Option<String> {
    let mut path = segments(&data.path).skip(1);
    match (path.next(), path.next()) {
        (Some(Segment::Literal(kind)), None) => Some(format!("{kind}/{id}")),
        _ => None,
    }
}

/// Replaces the names in braces with the entry's values of these names. Returns `None` if a value is missing.
fn fill(template: &str, entry: &Map<String, Value>) -> Option<String> {
    let mut filled = template.to_owned();
    for name in names_in(template) {
        filled = filled.replace(&format!("{{{name}}}"), &plain(entry.get(name)?));
    }
    // Records are separated by spaces.
    Some(filled.replace(char::is_whitespace, "_"))
}

/// Returns the names in braces of a template.
pub(super) fn names_in(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the paths at which a write's outcome may be read, nearest first: its own, and those above it.
pub(super) fn paths_above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
}

/// Returns the arguments of a read that shows the effect of a write: those of the same name, and the time before it was
/// sent.
pub(super) fn arguments_for(
    read: &OperationData,
    write: &Map<String, Value>,
    sent_at: DateTime<Utc>,
) -> Map<String, Value> {
    let since = (sent_at - CLOCKS_DIFFER).to_rfc3339_opts(SecondsFormat::Secs, true);
    let entries = write.values().filter_map(Value::as_array).flatten().filter_map(Value::as_object);
    let entries: Vec<&Map<String, Value>> = entries.collect();
    let find = |name: &str| -> Option<Value> {
        if name.ends_with("since_utc") {
            return Some(json!(since));
        }
        if let Some((_, value)) = write.iter().find(|(known, _)| alike(known, name)) {
            return Some(value.clone());
        }
        let single = name.strip_suffix('s').unwrap_or(name);
        if let Some(one) = write.get(single) {
            return Some(json!([one]));
        }
        let mut many: Vec<&Value> = Vec::new();
        for value in entries.iter().filter_map(|entry| entry.get(single)) {
            if !many.contains(&value) {
                many.push(value);
            }
        }
        if !many.is_empty() {
            return Some(json!(many));
        }
        let days = entries.iter().filter_map(|entry| entry.get("date")?.as_str());
        match name {
            "from_date" => days.min().map(Value::from),
            "to_date" => days.max().map(Value::from),
            _ => None,
        }
    };
    let parameters = read.parameters.iter();
    parameters.filter_map(|parameter| Some((parameter.name.clone(), find(&parameter.name)?))).collect()
}

/// OwnerRez writes the same name as `thread_id` and as `threadId`.
fn alike(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.replace('_', "").to_ascii_lowercase();
    bare(one) == bare(other)
}
