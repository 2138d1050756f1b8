//! Converts successful responses of OwnerRez: the result is always a JSON object, and all pages have one shape.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::{Result, Value, json, value::RawValue};

use super::{
    request::{path_values, query_number},
    spec::{OperationSpec, ResponseKind},
};
use crate::domain::{RawJson, UpstreamRequest};

/// The default page size of OwnerRez.
const DEFAULT_LIMIT: u64 = 20;

/// A successful response of OwnerRez that is JSON but cannot be parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnreadableResponse {
    /// The HTTP status.
    pub status: u16,
}

/// A whole response: an object. Unchanged parts are not parsed before they are shown.
pub(super) enum NormalizedResponse<'a> {
    /// The original text of an object.
    Raw(&'a str),
    /// The members, which may have been changed.
    Members(Members<'a>),
}

pub(super) type Members<'a> = BTreeMap<String, FieldValue<'a>>;

/// A member of a whole response.
pub(super) enum FieldValue<'a> {
    /// The original text.
    Raw(&'a str),
    /// A value made by the gateway.
    Owned(Value),
}

impl NormalizedResponse<'_> {
    /// Parses all of it.
    pub(super) fn into_value(self) -> Result<Value> {
        match self {
            Self::Raw(text) => serde_json::from_str(text),
            Self::Members(members) => members.into_iter().map(|(name, part)| Ok((name, part.into_value()?))).collect(),
        }
    }
}

impl FieldValue<'_> {
    pub(super) fn into_value(self) -> Result<Value> {
        match self {
            Self::Raw(text) => serde_json::from_str(text),
            Self::Owned(value) => Ok(value),
        }
    }

    pub(super) fn is_list(&self) -> bool {
        match self {
            Self::Raw(text) => JsonKind::of(text) == JsonKind::List,
            Self::Owned(value) => value.is_array(),
        }
    }

    fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Raw(text) => text.parse().ok(),
            Self::Owned(value) => value.as_u64(),
        }
    }
}

/// The kind of a JSON text, by its first character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JsonKind {
    Null,
    List,
    Object,
    Other,
}

impl JsonKind {
    fn of(text: &str) -> Self {
        match text.trim_ascii_start().bytes().next() {
            None | Some(b'n') => Self::Null,
            Some(b'[') => Self::List,
            Some(b'{') => Self::Object,
            Some(_) => Self::Other,
        }
    }
}

pub(super) fn normalize<'a>(
    spec: &OperationSpec,
    request: &UpstreamRequest,
    status: u16,
    body: &'a RawJson,
) -> Result<NormalizedResponse<'a>> {
    let text = body.text();
    Ok(match (spec.answer, JsonKind::of(text)) {
        (ResponseKind::Page | ResponseKind::CountedPage, shape) => page(request, text, shape)?,
        (ResponseKind::List, JsonKind::List) => single_field("items", FieldValue::Raw(text)),
        (ResponseKind::List, JsonKind::Null) => single_field("items", FieldValue::Owned(json!([]))),
        (ResponseKind::None, _) => ack(spec, request, body),
        (ResponseKind::Record | ResponseKind::List, shape) if status == 204 || shape == JsonKind::Null => {
            ack(spec, request, body)
        }
        (ResponseKind::Record, JsonKind::Object) => NormalizedResponse::Raw(text),
        (ResponseKind::List, JsonKind::Object) => NormalizedResponse::Members(split_object(text)?),
        (ResponseKind::Record | ResponseKind::List, _) => single_field("value", FieldValue::Raw(text)),
    })
}

/// Returns the members of an object without parsing them.
fn split_object(text: &str) -> Result<Members<'_>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    Ok(members.into_iter().map(|(name, raw)| (name, FieldValue::Raw(raw.get()))).collect())
}

fn single_field<'a>(name: &str, part: FieldValue<'a>) -> NormalizedResponse<'a> {
    NormalizedResponse::Members([(name.to_owned(), part)].into())
}

/// Reports that a write to a record was done. OwnerRez answers a deletion with 204, or (by one description) with
/// `{id, success}`.
fn ack<'a>(spec: &OperationSpec, request: &UpstreamRequest, body: &RawJson) -> NormalizedResponse<'a> {
    let is_refused = body.value().get("success") == Some(&Value::Bool(false));
    let values = path_values(spec, request).into_iter().map(|(name, value)| (name, FieldValue::Owned(value)));
    let done = ("done".to_owned(), FieldValue::Owned((!is_refused).into()));
    NormalizedResponse::Members(values.chain([done]).collect())
}

/// Normalizes a page. OwnerRez omits `items` if a page is empty, and gives the next page as a URL; the result always
/// has a list, and `next_offset` if there is a next page.
fn page<'a>(request: &UpstreamRequest, text: &'a str, shape: JsonKind) -> Result<NormalizedResponse<'a>> {
    let mut page: Members<'a> = match shape {
        JsonKind::Object => split_object(text)?,
        JsonKind::Null => Members::new(),
        // Without the envelope it is unknown whether more records follow.
        JsonKind::List => return Ok(single_field("items", FieldValue::Raw(text))),
        JsonKind::Other => [("items".to_owned(), FieldValue::Raw(text))].into(),
    };
    let items = match page.remove("items") {
        Some(items) if items.is_list() => items,
        Some(single) => FieldValue::Owned(match single.into_value()? {
            Value::Null => json!([]),
            single => json!([single]),
        }),
        None => FieldValue::Owned(json!([])),
    };
    let number = |page: &Members<'_>, name: &str| page.get(name).and_then(FieldValue::as_u64);
    let limit = number(&page, "limit").or_else(|| query_number(request, "limit")).unwrap_or(DEFAULT_LIMIT);
    let offset = number(&page, "offset").or_else(|| query_number(request, "offset")).unwrap_or(0);
    let more = page.remove("next_page_url").map(FieldValue::into_value).transpose()?;
    if more.is_some_and(|url| url.as_str().is_some_and(|url| !url.is_empty())) {
        let shown = match &items {
            FieldValue::Raw(items) => serde_json::from_str::<Vec<IgnoredAny>>(items)?.len(),
            FieldValue::Owned(items) => items.as_array().map_or(0, Vec::len),
        };
        // An empty page is always the last one: its next offset would be its own, which would loop forever.
        let next = offset.saturating_add(shown as u64);
        if shown > 0 && number(&page, "count").is_none_or(|count| next < count) {
            page.insert("next_offset".to_owned(), FieldValue::Owned(next.into()));
        }
    }
    page.insert("items".to_owned(), items);
    page.insert("limit".to_owned(), FieldValue::Owned(limit.into()));
    page.insert("offset".to_owned(), FieldValue::Owned(offset.into()));
    Ok(NormalizedResponse::Members(page))
}
