//! From OwnerRez's success reply to what the model gets: always a JSON object, pages always of one shape.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::{Result, Value, json, value::RawValue};

use super::{
    data::{AnswerKind, OperationData},
    request::{path_values, query_number},
};
use crate::domain::{JsonText, UpstreamRequest};

/// The page size OwnerRez takes where none is asked for.
const DEFAULT_LIMIT: u64 = 20;

/// A success of OwnerRez's that is JSON and cannot be read all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// Its HTTP status.
    pub status: u16,
}

/// A whole answer: an object. What nobody changed is not read before it is shown.
pub(super) enum Whole<'a> {
    /// As it came: the text of an object.
    Text(&'a str),
    /// Taken apart and put together.
    Members(Members<'a>),
}

pub(super) type Members<'a> = BTreeMap<String, Part<'a>>;

/// A member of a whole answer.
pub(super) enum Part<'a> {
    /// As it came.
    Text(&'a str),
    /// Made here.
    Value(Value),
}

impl Whole<'_> {
    /// All of it as values.
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

/// What a text of JSON is, by how it begins.
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
    body: &'a JsonText,
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

/// The members of an object, none of them read.
fn apart(text: &str) -> Result<Members<'_>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    Ok(members.into_iter().map(|(name, raw)| (name, Part::Text(raw.get()))).collect())
}

fn only<'a>(name: &str, part: Part<'a>) -> Whole<'a> {
    Whole::Members([(name.to_owned(), part)].into())
}

/// Says what was done to which record. OwnerRez answers a deletion with 204, or (by one description) with
/// `{id, success}`.
fn done<'a>(data: &OperationData, request: &UpstreamRequest, body: &JsonText) -> Whole<'a> {
    let says_no = body.value().get("success") == Some(&Value::Bool(false));
    let values = path_values(data, request).into_iter().map(|(name, value)| (name, Part::Value(value)));
    let done = ("done".to_owned(), Part::Value((!says_no).into()));
    Whole::Members(values.chain([done]).collect())
}

/// One page. OwnerRez leaves `items` out when a page is empty, and names the next page by an address of its own; a
/// model gets a list in any case, and the `offset` to ask for next.
fn page<'a>(request: &UpstreamRequest, text: &'a str, shape: Shape) -> Result<Whole<'a>> {
    let mut page: Members<'a> = match shape {
        Shape::Object => apart(text)?,
        Shape::Null => Members::new(),
        // Whether this is all of it, only the envelope would tell.
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
        // An empty page is the end whatever it says: its "next" offset would be its own, for ever.
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
