//! The API as `api.json` describes it: the parameters and responses of each operation, and the members of its records.
//!
//! It is not derived from the gateway's catalogue; `tests/gateway/descriptions.rs` compares the two.

use std::{collections::BTreeMap, io, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    value_kind::{Member, Plain, ValueKind, Words, day_of},
    variations::Hidden,
};

const API: &str = include_str!("api.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiText {
    #[serde(rename = "about")]
    _about: String,
    values: BTreeMap<String, Words>,
    errors: Vec<KnownError>,
    records: BTreeMap<String, RecordText>,
    operations: BTreeMap<String, OperationText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordText {
    #[serde(default)]
    open: bool,
    members: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyText {
    #[serde(default)]
    list: bool,
    #[serde(default)]
    open: bool,
    members: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationText {
    #[serde(default)]
    gate: Option<Gate>,
    #[serde(default)]
    path: BTreeMap<String, String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default)]
    one_of_required: Vec<Vec<String>>,
    #[serde(default)]
    refuses_unknown_names: bool,
    #[serde(default)]
    body: Option<BodyText>,
    answer: ResponseShape,
}

/// An error code that OwnerRez documents or returns.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownError {
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares it with what the simulator sends"))]
    pub(super) code: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares it with what the simulator sends"))]
    pub(super) status: u16,
    #[serde(rename = "when")]
    _when: String,
}

/// A requirement on the account or its access.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Gate {
    /// An app's token and a messaging agreement.
    Messaging,
    /// An app's token.
    App,
    /// The entitlement for listings.
    Listings,
}

/// The response of an operation. The text names the kind of record.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResponseShape {
    /// No body.
    Nothing,
    /// An object without a description.
    Object,
    Record(String),
    /// `{items, limit, offset, next_page_url}`
    Page(String),
    /// The same with `count`.
    CountedPage(String),
    /// The same with `thread` and `guest`.
    ThreadPage(String),
    List(String),
}

impl ResponseShape {
    /// Returns the kind of the records in the response.
    pub(super) fn record(&self) -> Option<&str> {
        match self {
            ResponseShape::Nothing | ResponseShape::Object => None,
            ResponseShape::Record(name)
            | ResponseShape::Page(name)
            | ResponseShape::CountedPage(name)
            | ResponseShape::ThreadPage(name)
            | ResponseShape::List(name) => Some(name),
        }
    }
}

/// The members of a kind of record.
#[derive(Clone, Debug)]
pub(super) struct RecordShape {
    /// Whether members that are not described may occur.
    pub(super) open: bool,
    pub(super) members: BTreeMap<String, Member>,
}

/// The content of a body.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Object(RecordShape),
    /// A list of such objects.
    List(RecordShape),
}

/// The description of one operation.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) in_path: BTreeMap<String, Member>,
    pub(super) in_query: BTreeMap<String, Member>,
    pub(super) one_of_required: Vec<Vec<String>>,
    /// Whether the operation rejects unknown query names instead of ignoring them.
    pub(super) refuses_unknown_names: bool,
    pub(super) body: Option<Body>,
    pub(super) answer: ResponseShape,
    pub(super) gate: Option<Gate>,
}

/// The whole description.
pub(super) struct Description {
    pub(super) records: BTreeMap<String, RecordShape>,
    /// By method and path: `GET /v2/bookings/{id}`.
    pub(super) operations: BTreeMap<String, Described>,
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares them with what the simulator sends"))]
    pub(super) errors: Vec<KnownError>,
}

impl Description {
    pub(super) fn load() -> io::Result<Self> {
        let ApiText { values, errors, records, operations, .. } = serde_json::from_str(API)?;
        let names: Vec<String> = records.keys().cloned().collect();
        let words: BTreeMap<String, Arc<Words>> =
            values.into_iter().map(|(name, words)| (name, Arc::new(words))).collect();
        let parse = |place: &str, texts: BTreeMap<String, String>| -> io::Result<BTreeMap<String, Member>> {
            let member = |(name, text): (String, String)| {
                let member = Member::parse(&text, &words, |one| names.iter().any(|known| known == one));
                member.map_err(|why| io::Error::other(format!("{place}: {name}: {why}"))).map(|member| (name, member))
            };
            texts.into_iter().map(member).collect()
        };
        let shape = |(name, RecordText { open, members }): (String, RecordText)| -> io::Result<(String, RecordShape)> {
            let members = parse(&name, members)?;
            Ok((name, RecordShape { open, members }))
        };
        let records = records.into_iter().map(shape).collect::<io::Result<_>>()?;
        let described = |(key, text): (String, OperationText)| -> io::Result<(String, Described)> {
            let missing = || io::Error::other(format!("{key} is not a method and a path"));
            let (method, path) = key.split_once(' ').ok_or_else(missing)?;
            let body = text.body.map(|BodyText { list, open, members }| {
                parse(&key, members).map(|members| {
                    let shape = RecordShape { open, members };
                    if list { Body::List(shape) } else { Body::Object(shape) }
                })
            });
            let described = Described {
                method: method.to_owned(),
                path: path.to_owned(),
                in_path: parse(&key, text.path)?,
                in_query: parse(&key, text.query)?,
                one_of_required: text.one_of_required,
                refuses_unknown_names: text.refuses_unknown_names,
                body: body.transpose()?,
                answer: text.answer,
                gate: text.gate,
            };
            Ok((key, described))
        };
        let operations = operations.into_iter().map(described).collect::<io::Result<_>>()?;
        Ok(Description { records, operations, errors })
    }

    /// Parses a value of a body by its type: words get the spelling of OwnerRez's responses, dates lose their time.
    /// Null clears an optional member.
    pub(super) fn read(&self, member: &Member, value: Value, at: &str, complaints: &mut Vec<String>) -> Value {
        let mut complain = |value: &Value, kind: &ValueKind| {
            complaints.push(format!("{at}: {value} is not valid, {} expected.", kind.expected()));
        };
        match (&member.kind, value) {
            (_, Value::Null) if !member.always => Value::Null,
            (ValueKind::Word(words), Value::String(text)) => match words.read(&text) {
                Some(word) => word.into(),
                None => {
                    complain(&text.into(), &member.kind);
                    Value::Null
                }
            },
            (ValueKind::Record(name), Value::Object(members)) => match self.records.get(name) {
                Some(shape) => self.read_members(shape, members, at, complaints).into(),
                None => members.into(),
            },
            (ValueKind::List(kind), Value::Array(elements)) => {
                let element = Member { kind: (**kind).clone(), always: true };
                let read = |(index, value)| self.read(&element, value, &format!("{at}[{index}]"), complaints);
                elements.into_iter().enumerate().map(read).collect()
            }
            (ValueKind::Plain(Plain::DayOrMoment), Value::String(text)) => match day_of(&text) {
                Some(day) => day.to_string().into(),
                None => {
                    complain(&text.into(), &member.kind);
                    Value::Null
                }
            },
            (ValueKind::Plain(plain), value) if plain.holds(&value) => value,
            (kind, value) => {
                complain(&value, kind);
                value
            }
        }
    }

    /// Parses an object of a body. Members without a description stay unchanged.
    pub(super) fn read_members(
        &self,
        shape: &RecordShape,
        members: Map<String, Value>,
        at: &str,
        complaints: &mut Vec<String>,
    ) -> Map<String, Value> {
        let place = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        // No member of a nested record is required in a request, because nested records use the shape of responses.
        let missing = shape
            .members
            .iter()
            .filter(|(name, member)| at.is_empty() && member.always && members.get(*name).is_none_or(Value::is_null));
        complaints.extend(missing.map(|(name, _)| format!("{} is required.", place(name))));
        let read = members.into_iter().map(|(name, value)| match shape.members.get(&name) {
            Some(member) => {
                let value = self.read(member, value, &place(&name), complaints);
                (name, value)
            }
            None => (name, value),
        });
        read.collect()
    }

    /// Reduces a record to the members of its kind that no variation hides.
    pub(super) fn shown(&self, name: &str, value: Value, hidden: &[&Hidden]) -> Value {
        let (Some(shape), Value::Object(members)) = (self.records.get(name), value) else { return Value::Null };
        let is_marked = |mark: &String| members.get(mark) == Some(&Value::Bool(true));
        let here = hidden.iter().filter(|hides| hides.record == name && hides.marked.as_ref().is_none_or(is_marked));
        let left_out: Vec<&String> = here.flat_map(|hides| &hides.members).collect();
        let member = |(name, value): (String, Value)| {
            if left_out.contains(&&name) {
                return None;
            }
            let kind = shape.members.get(&name).map(|member| &member.kind);
            match kind {
                None => shape.open.then_some((name, value)),
                Some(kind) => Some((name, self.shown_as(kind, value, hidden))),
            }
        };
        Value::Object(members.into_iter().filter_map(member).collect())
    }

    fn shown_as(&self, kind: &ValueKind, value: Value, hidden: &[&Hidden]) -> Value {
        match (kind, value) {
            (ValueKind::Record(name), value) if value.is_object() => self.shown(name, value, hidden),
            (ValueKind::List(kind), Value::Array(elements)) => {
                elements.into_iter().map(|element| self.shown_as(kind, element, hidden)).collect()
            }
            (_, value) => value,
        }
    }
}
