//! The form of a response as a table.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::catalog::{
    record::RecordSchema,
    rendered_response::RenderedResponse,
    view::{View, within},
};

/// The member that contains the records of a response as a table.
pub(in crate::catalog) const TABLE: &str = "table";

/// Returns a table: the other members in one line of JSON, then a line of names, then a line for each record, separated
/// by tabs. `rows` is the member that contains the records, and whether paths are relative to it.
pub(super) fn table(
    kind: &RecordSchema,
    view: &View,
    rendered: &RenderedResponse,
    rows: (&str, bool),
) -> serde_json::Result<RenderedResponse> {
    let mut envelope: Map<String, Value> = serde_json::from_str(&rendered.json)?;
    let (rows, is_list) = rows;
    let prefix = if is_list { String::new() } else { format!("{rows}.") };
    let records = envelope.remove(rows).unwrap_or_default();
    let flat: Vec<Map<String, Value>> =
        records.as_array().into_iter().flatten().map(|record| flattened(record, "")).collect();
    let mut columns: Vec<&String> = flat.iter().flat_map(Map::keys).collect::<BTreeSet<_>>().into_iter().collect();
    let wanted = |path: &str| view.fields.iter().position(|field| *field == path || within(path, field));
    columns.sort_by_key(|path| {
        let path = format!("{prefix}{path}");
        (wanted(&path).unwrap_or(usize::MAX), kind.position(&path))
    });
    let mut lines = Vec::new();
    if flat.is_empty() {
        lines.push("No records.".to_owned());
    } else {
        lines.push(columns.iter().map(|path| path.as_str()).collect::<Vec<_>>().join("\t"));
        let cell = |record: &Map<String, Value>, path: &str| record.get(path).map(plain).unwrap_or_default();
        lines.extend(
            flat.iter().map(|record| columns.iter().map(|path| cell(record, path)).collect::<Vec<_>>().join("\t")),
        );
    }
    let table = lines.join("\n");
    let first = if envelope.is_empty() { String::new() } else { serde_json::to_string(&envelope)? + "\n" };
    let text = format!("{first}{table}");
    envelope.insert(TABLE.to_owned(), table.into());
    Ok(RenderedResponse { table: Some(text), ..RenderedResponse::unreduced(&envelope) })
}

/// Returns the members of a record and of its nested objects, by their paths.
fn flattened(record: &Value, path: &str) -> Map<String, Value> {
    let mut flat = Map::new();
    let Some(members) = record.as_object() else {
        flat.insert("value".to_owned(), record.clone());
        return flat;
    };
    for (name, value) in members {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(_) => flat.extend(flattened(value, &path)),
            value => {
                flat.insert(path, value.clone());
            }
        }
    }
    flat
}

/// Returns the text of a cell: characters that would end the cell or the line are escaped as in JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => {
            text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
        }
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
