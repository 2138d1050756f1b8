//! From OwnerRez's success reply to what the model gets: always a JSON object, pages always of one shape.

use serde_json::{Map, Value, json};

use super::{
    data::{AnswerKind, OperationData},
    request::{path_values, query_number},
};
use crate::domain::UpstreamRequest;

/// The page size OwnerRez takes where none is asked for.
const DEFAULT_LIMIT: u64 = 20;

pub(super) fn answer(data: &OperationData, request: &UpstreamRequest, status: u16, body: Value) -> Value {
    match (data.answer, body) {
        (AnswerKind::Page | AnswerKind::CountedPage, body) => page(request, body),
        (AnswerKind::List, Value::Array(items)) => json!({"items": items}),
        (AnswerKind::List, Value::Null) => json!({"items": []}),
        (AnswerKind::None, body) => done(data, request, &body),
        (AnswerKind::Record | AnswerKind::List, body) if status == 204 || body.is_null() => done(data, request, &body),
        (AnswerKind::Record | AnswerKind::List, Value::Object(record)) => Value::Object(record),
        (AnswerKind::Record | AnswerKind::List, other) => json!({"value": other}),
    }
}

/// Says what was done to which record. OwnerRez answers a deletion with 204, or (by one description) with
/// `{id, success}`.
fn done(data: &OperationData, request: &UpstreamRequest, body: &Value) -> Value {
    let mut answer = path_values(data, request);
    answer.insert("done".into(), json!(body["success"] != json!(false)));
    Value::Object(answer)
}

/// One page. OwnerRez leaves `items` out when a page is empty, and names the next page by an address of its own; a
/// model gets a list in any case, and the `offset` to ask for next.
fn page(request: &UpstreamRequest, body: Value) -> Value {
    let mut page = match body {
        Value::Object(page) => page,
        Value::Null => Map::new(),
        // Whether this is all of it, only the envelope would tell.
        Value::Array(items) => return json!({"items": items}),
        bare => Map::from_iter([("items".to_owned(), bare)]),
    };
    let items = match page.remove("items") {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(single) => vec![single],
    };
    let limit =
        page.get("limit").and_then(Value::as_u64).or_else(|| query_number(request, "limit")).unwrap_or(DEFAULT_LIMIT);
    let offset = page.get("offset").and_then(Value::as_u64).or_else(|| query_number(request, "offset")).unwrap_or(0);
    let more = page.remove("next_page_url").is_some_and(|url| url.as_str().is_some_and(|url| !url.is_empty()));
    // An empty page is the end whatever it says: its "next" offset would be its own, for ever.
    let next = offset.saturating_add(items.len() as u64);
    if more && !items.is_empty() && page.get("count").and_then(Value::as_u64).is_none_or(|count| next < count) {
        page.insert("next_offset".into(), json!(next));
    }
    page.insert("items".into(), Value::Array(items));
    page.insert("limit".into(), json!(limit));
    page.insert("offset".into(), json!(offset));
    Value::Object(page)
}
