//! Converts successful responses of OwnerRez: the result is always a JSON object, and all pages have one shape.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::{Result, Value, json, value::RawValue};

use super::{
    data::{AnswerKind, OperationData},
    request::{path_values, query_number},
};
use crate::domain::{RawJson, UpstreamRequest};

/// The default page size of OwnerRez.
const DEFAULT_LIMIT: u64 = 20;

/// A successful response of OwnerRez that is JSON but cannot be parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// The HTTP status.
    pub status: u16,
}

/// A whole response: an object. Unchanged parts are not parsed before they are shown.
pub(super) enum Whole<'a> {
    /// The original text of an object.
    Text(&'a str),
    /// The members, which may have been changed.
    Members(Members<'a>),
}

pub(super) type Members<'a> = BTreeMap<String, Part<'a>>;

/// A member of a whole response.
pub(super) enum Part<'a> {
    /// The original text.
    Text(&'a str),
    /// A value made by the gateway.
    Value(Value),
}

impl Whole<'_> {
    /// Parses all of it.
    pub(super) fn into_value(self) -> Result<Value> {
        match self {
            Self::Text(text) => serde_json::from_str(text),
            Self::Members(members) => members.into_iter().map(|(name, part)| Ok((name, part.into_value()?))).collect(),
        }
    }
}

impl Part<'_> {
    pub(super) fn into_value(self) -> Result<Value> {
        match self {
            Self::Text(text) => serde_json::from_str(text),
            Self::Value(value) => Ok(value),
        }
    }

    pub(super) fn is_list(&self) -> bool {
        match self {
            Self::Text(text) => Shape::of(text) == Shape::List,
            Self::Value(value) => value.is_array(),
        }
    }

    fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Value(value) => value.as_u64(),
        }
    }
}

/// The kind of a JSON text, by its first character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Null,
    List,
    Object,
    Other,
}

impl Shape {
    fn of(text: &str) -> Self {
        match text.trim_ascii_start().bytes().next() {
            None | Some(b'n') => Self::Null,
            Some(b'[') => Self::List,
            Some(b'{') => Self::Object,
            Some(_) => Self::Other,
        }
    }
}

pub(super) fn answer<'a>(
    data: &OperationData,
    request: &UpstreamRequest,
    status: u16,
    body: &'a RawJson,
) -> Result<Whole<'a>> {
    let text = body.text();
    Ok(match (data.answer, Shape::of(text)) {
        (AnswerKind::Page | AnswerKind::CountedPage, shape) => page(request, text, shape)?,
        (AnswerKind::List, Shape::List) => only("items", Part::Text(text)),
        (AnswerKind::List, Shape::Null) => only("items", Part::Value(json!([]))),
        (AnswerKind::None, _) => done(data, request, body),
        (AnswerKind::Record | AnswerKind::List, shape) if status == 204 || shape == Shape::Null => {
            done(data, request, body)
        }
        (AnswerKind::Record, Shape::Object) => Whole::Text(text),
        (AnswerKind::List, Shape::Object) => Whole::Members(apart(text)?),
        (AnswerKind::Record | AnswerKind::List, _) => only("value", Part::Text(text)),
    })
}

/// Returns the members of an object without parsing them.
fn apart(text: &str) -> Result<Members<'_>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    Ok(members.into_iter().map(|(name, raw)| (name, Part::Text(raw.get()))).collect())
}

fn only<'a>(name: &str, part: Part<'a>) -> Whole<'a> {
    Whole::Members([(name.to_owned(), part)].into())
}

/// Reports that a write to a record was done. OwnerRez answers a deletion with 204, or (by one description) with
/// `{id, success}`.
fn done<'a>(data: &OperationData, request: &UpstreamRequest, body: &RawJson) -> Whole<'a> {
    let says_no = body.value().get("success") == Some(&Value::Bool(false));
    let values = path_values(data, request).into_iter().map(|(name, value)| (name, Part::Value(value)));
    let done = ("done".to_owned(), Part::Value((!says_no).into()));
    Whole::Members(values.chain([done]).collect())
}

/// Normalizes a page. OwnerRez omits `items` if a page is empty, and gives the next page as a URL; the result always
/// has a list, and `next_offset` if there is a next page.
fn page<'a>(request: &UpstreamRequest, text: &'a str, shape: Shape) -> Result<Whole<'a>> {
    let mut page: Members<'a> = match shape {
        Shape::Object => apart(text)?,
        Shape::Null => Members::new(),
        // Without the envelope it is unknown whether more records follow.
        Shape::List => return Ok(only("items", Part::Text(text))),
        Shape::Other => [("items".to_owned(), Part::Text(text))].into(),
    };
    let items = match page.remove("items") {
        Some(items) if items.is_list() => items,
        Some(single) => Part::Value(match single.into_value()? {
            Value::Null => json!([]),
            single => json!([single]),
        }),
        None => Part::Value(json!([])),
    };
    let number = |page: &Members<'_>, name: &str| page.get(name).and_then(Part::as_u64);
    let limit = number(&page, "limit").or_else(|| query_number(request, "limit")).unwrap_or(DEFAULT_LIMIT);
    let offset = number(&page, "offset").or_else(|| query_number(request, "offset")).unwrap_or(0);
    let more = page.remove("next_page_url").map(Part::into_value).transpose()?;
    if more.is_some_and(|url| url.as_str().is_some_and(|url| !url.is_empty())) {
        let shown = match &items {
            Part::Text(items) => serde_json::from_str::<Vec<IgnoredAny>>(items)?.len(),
            Part::Value(items) => items.as_array().map_or(0, Vec::len),
        };
        // An empty page is always the last one: its next offset would be its own, which would loop forever.
        let next = offset.saturating_add(shown as u64);
        if shown > 0 && number(&page, "count").is_none_or(|count| next < count) {
            page.insert("next_offset".to_owned(), Part::Value(next.into()));
        }
    }
    page.insert("items".to_owned(), items);
    page.insert("limit".to_owned(), Part::Value(limit.into()));
    page.insert("offset".to_owned(), Part::Value(offset.into()));
    Ok(Whole::Members(page))
}
