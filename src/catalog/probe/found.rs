//! The closed sets of types, formats and forms that take the place of values in a report.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// What takes the place of a value in a report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Found {
    /// A value of this type.
    One(ValueType),
    /// A list with items of this type.
    ListOf(ValueType),
    /// A list without items.
    EmptyList,
    /// A text in this format.
    Format(TextFormat),
    /// An address of the next page in this form.
    NextPage(NextPage),
    /// A value that was not expected.
    Present,
    /// An expected value that is missing.
    Absent,
    /// A text that is not a word of a closed vocabulary.
    NoWord,
    /// A body that is not JSON.
    NotJson,
}

/// The type of a JSON value, with integers as a separate type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ValueType {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// An integer.
    Integer,
    /// Another number.
    Number,
    /// A text.
    String,
    /// A list.
    List,
    /// An object.
    Object,
}

/// The format of a text that is a day, a time or a date-time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TextFormat {
    /// `2026-11-30`
    Day,
    /// `16:00` or `16:00:00`
    Time,
    /// `2026-11-30T16:00:00Z`
    MomentUtc,
    /// `2026-11-30T16:00:00+01:00`
    MomentOffset,
    /// `2026-11-30T16:00:00`
    MomentWithoutZone,
    /// Anything else.
    Other,
}

/// The form of the address of the next page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NextPage {
    /// It is absent, as the documentation describes for the last page.
    Absent,
    /// It is null.
    Null,
    /// It is an empty text.
    Empty,
    /// It has no host.
    Relative,
    /// It is a complete URL.
    Absolute,
    /// It is not an address.
    Other,
}

impl ValueType {
    /// Returns the type of a value.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::List => "list",
            Self::Object => "object",
        }
    }
}

impl TextFormat {
    /// Returns the format of a text.
    pub(super) fn of(text: &str) -> Self {
        let is_time = ["%H:%M", "%H:%M:%S"].iter().any(|form| NaiveTime::parse_from_str(text, form).is_ok());
        if text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
            Self::Day
        } else if is_time {
            Self::Time
        } else if DateTime::parse_from_rfc3339(text).is_ok() {
            if text.ends_with('Z') { Self::MomentUtc } else { Self::MomentOffset }
        } else if NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok() {
            Self::MomentWithoutZone
        } else {
            Self::Other
        }
    }

    /// Returns its name in a report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Time => "time",
            Self::MomentUtc => "moment_utc",
            Self::MomentOffset => "moment_offset",
            Self::MomentWithoutZone => "moment_without_zone",
            Self::Other => "other_text",
        }
    }
}

impl NextPage {
    /// Returns the form of a page's `next_page_url`.
    pub(super) fn of(value: Option<&Value>) -> Self {
        match value {
            None => Self::Absent,
            Some(Value::Null) => Self::Null,
            Some(Value::String(url)) if url.is_empty() => Self::Empty,
            Some(Value::String(url)) if url.starts_with('/') => Self::Relative,
            Some(Value::String(url)) if url.starts_with("https://") || url.starts_with("http://") => Self::Absolute,
            Some(_) => Self::Other,
        }
    }

    /// Returns whether there is a next page.
    pub(super) fn is_address(self) -> bool {
        matches!(self, Self::Relative | Self::Absolute)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Null => "null",
            Self::Empty => "empty",
            Self::Relative => "relative",
            Self::Absolute => "absolute",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(kind) => f.write_str(kind.name()),
            Self::ListOf(kind) => write!(f, "{}[]", kind.name()),
            Self::EmptyList => f.write_str("[]"),
            Self::Format(format) => f.write_str(format.name()),
            Self::NextPage(form) => f.write_str(form.name()),
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
            Self::NoWord => f.write_str("no word"),
            Self::NotJson => f.write_str("no JSON"),
        }
    }
}

impl Serialize for Found {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
