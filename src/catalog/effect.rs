//! The effect of a write: the records that it changes, its arguments, and the read that shows whether it was made.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    request::{as_arguments, path_values, query_values},
    spec::{GuestVisible, OperationSpec, Segment, segments},
};
use crate::domain::UpstreamRequest;

/// The largest assumed difference between OwnerRez's clock and the gateway's.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

/// The read that shows whether a write was made.
#[derive(Clone, PartialEq, Debug)]
pub struct VerificationRead {
    /// Name of the tool.
    pub tool: String,
    /// Its arguments, as far as the write determines them.
    pub arguments: Map<String, Value>,
}

/// Returns everything in a request as arguments that make the same request.
pub(super) fn arguments_of(spec: &OperationSpec, request: &UpstreamRequest) -> Map<String, Value> {
    let mut arguments = path_values(spec, request);
    arguments.extend(query_values(spec, request));
    match (&request.body, &spec.body_argument) {
        (Some(Value::Array(entries)), Some(name)) => {
            let entry =
                |entry: &Value| entry.as_object().map_or_else(|| entry.clone(), |e| as_arguments(spec, e).into());
            arguments.insert(name.clone(), entries.iter().map(entry).collect());
        }
        (Some(body), Some(name)) => {
            arguments.insert(name.clone(), body.clone());
        }
        (Some(Value::Object(members)), None) => arguments.extend(as_arguments(spec, members)),
        _ => {}
    }
    arguments
}

/// Returns whether a guest notices the write.
pub(super) fn reaches_guest(spec: &OperationSpec, request: &UpstreamRequest) -> bool {
    match &spec.guest_visible {
        GuestVisible::Always(always) => *always,
        GuestVisible::If(name) => arguments_of(spec, request).get(name).is_some_and(|value| *value == json!(true)),
    }
}

/// Returns whether OwnerRez is only asked for a calculation.
pub(super) fn is_dry_run(spec: &OperationSpec, request: &UpstreamRequest) -> bool {
    spec.dry_run.as_ref().is_some_and(|name| arguments_of(spec, request).get(name) == Some(&json!(true)))
}

/// Returns the records that a request changes, such as `guests/5`, as far as they are known before it is sent.
pub(super) fn affected_records(spec: &OperationSpec, request: &UpstreamRequest) -> Vec<String> {
    let mut records = Vec::new();
    let mut path = segments(&spec.path).skip(1);
    if let (Some(Segment::Literal(kind)), Some(Segment::Placeholder(name))) = (path.next(), path.next())
        && let Some(id) = path_values(spec, request).get(name)
    {
        records.push(format!("{kind}/{}", plain(id)));
    }
    let arguments = arguments_of(spec, request);
    let entries: Vec<&Map<String, Value>> = match &request.body {
        Some(Value::Array(entries)) => entries.iter().filter_map(Value::as_object).collect(),
        _ => vec![&arguments],
    };
    let filled = spec.touches.iter().flat_map(|template| entries.iter().filter_map(|entry| fill(template, entry)));
    records.extend(filled);
    records.sort();
    records.dedup();
    records
}

/// Returns the record with the id in the response, if the request created one.
pub(super) fn created(spec: &OperationSpec, id: i64) -> Option<String> {
    let mut path = segments(&spec.path).skip(1);
    match (path.next(), path.next()) {
        (Some(Segment::Literal(kind)), None) => Some(format!("{kind}/{id}")),
        _ => None,
    }
}

/// Replaces the names in braces with the entry's values of these names. Returns `None` if a value is missing.
fn fill(template: &str, entry: &Map<String, Value>) -> Option<String> {
    let mut filled = template.to_owned();
    for name in placeholder_names(template) {
        filled = filled.replace(&format!("{{{name}}}"), &plain(entry.get(name)?));
    }
    // Records are separated by spaces.
    Some(filled.replace(char::is_whitespace, "_"))
}

/// Returns the names in braces of a template.
pub(super) fn placeholder_names(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the paths at which a write's outcome may be read, nearest first: its own, and those above it.
pub(super) fn ancestor_paths(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
}

/// Returns the arguments of a read that shows the effect of a write: those of the same name, and the time before it was
/// sent.
pub(super) fn arguments_for(
    read: &OperationSpec,
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
        if let Some((_, value)) = write.iter().find(|(known, _)| eq_ignoring_case_style(known, name)) {
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
fn eq_ignoring_case_style(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.replace('_', "").to_ascii_lowercase();
    bare(one) == bare(other)
}
