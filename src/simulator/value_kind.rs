//! Value types: the type names in `api.json` for members and parameters, and the parsing of their values.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::argument::Argument;

/// The type of a value.
#[derive(Clone, Debug)]
pub(super) enum ValueKind {
    /// A type that needs no further description.
    Plain(Plain),
    /// One of a few words.
    Word(Arc<Words>),
    /// A record of this name.
    Record(String),
    /// A list of such values.
    List(Box<ValueKind>),
}

/// The types that `api.json` names without describing them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Plain {
    Any,
    Object,
    Boolean,
    Integer,
    Number,
    String,
    /// `2026-11-23`
    Day,
    /// ISO 8601; UTC if it has no zone.
    Moment,
    /// Only the day of a date-time counts.
    DayOrMoment,
    /// `2026-11-23T00:00:00`, the day without a zone.
    Midnight,
    /// `16:00`
    Time,
    Uri,
    Email,
    Guid,
    /// ISO 4217
    Currency,
    /// `1,2,3`
    Ids,
    /// `name[0]=1&name[1]=2`
    IndexedIds,
}

/// A closed vocabulary.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    pub(super) names: Vec<String>,
    #[serde(default)]
    spelling: Spelling,
}

/// The accepted spellings of a word; OwnerRez returns the first one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Spelling {
    #[default]
    Exact,
    AnyCase,
    /// Any case, with or without separators: `EntityUpdate`, `entity_update`.
    Loose,
}

impl Words {
    /// Returns the word in the spelling of OwnerRez's responses.
    pub(super) fn read(&self, text: &str) -> Option<&str> {
        let bare = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
        let means = |name: &&String| match self.spelling {
            Spelling::Exact => name.as_str() == text,
            Spelling::AnyCase => name.eq_ignore_ascii_case(text),
            Spelling::Loose => bare(name) == bare(text),
        };
        self.names.iter().find(means).map(String::as_str)
    }
}

/// A member of a record or body, or a parameter.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) kind: ValueKind,
    /// Whether it is always present in a response, and required in a request.
    pub(super) always: bool,
}

impl Member {
    /// Parses a type as `api.json` writes it: `integer!`, `charge[]`, `string~`.
    pub(super) fn parse(
        text: &str,
        words: &BTreeMap<String, Arc<Words>>,
        is_record: impl Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let always = text.ends_with('!');
        let text = text.trim_end_matches(['!', '~']);
        let one = text.strip_suffix("[]").unwrap_or(text);
        let plain = serde_json::from_value::<Plain>(one.into()).ok().map(ValueKind::Plain);
        let word = || words.get(one).cloned().map(ValueKind::Word);
        let record = || is_record(one).then(|| ValueKind::Record(one.to_owned()));
        let kind = plain.or_else(word).or_else(record).ok_or_else(|| format!("'{one}' is not a type"))?;
        let kind = if one.len() < text.len() { ValueKind::List(Box::new(kind)) } else { kind };
        Ok(Member { kind, always })
    }
}

impl ValueKind {
    /// Parses a value of a path or query.
    pub(super) fn read_text(&self, text: &str) -> Option<Argument> {
        match self {
            ValueKind::Plain(plain) => plain.read_text(text),
            ValueKind::Word(words) => words.read(text).map(|word| Argument::Text(word.to_owned())),
            ValueKind::Record(_) | ValueKind::List(_) => None,
        }
    }

    /// Returns the expected type for a complaint.
    pub(super) fn expected(&self) -> String {
        match self {
            ValueKind::Plain(plain) => plain.expected().to_owned(),
            ValueKind::Word(words) => format!("one of {}", words.names.join(", ")),
            ValueKind::Record(_) => "an object".to_owned(),
            ValueKind::List(_) => "a list".to_owned(),
        }
    }
}

impl Plain {
    fn read_text(self, text: &str) -> Option<Argument> {
        match self {
            Plain::Integer => text.parse().ok().map(Argument::Integer),
            Plain::Number => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Argument::Number),
            Plain::Boolean => text.to_ascii_lowercase().parse().ok().map(Argument::Boolean),
            Plain::Day | Plain::Midnight => day(text).map(Argument::Date),
            Plain::DayOrMoment => day_of(text).map(Argument::Date),
            Plain::Moment => instant(text).map(Argument::Instant),
            Plain::Ids => {
                text.split(',').map(|id| id.trim().parse().ok()).collect::<Option<_>>().map(Argument::Integers)
            }
            Plain::IndexedIds | Plain::Object => None,
            Plain::Any | Plain::String | Plain::Time | Plain::Uri | Plain::Email | Plain::Guid | Plain::Currency => {
                Some(Argument::Text(text.to_owned()))
            }
        }
    }

    /// Returns whether a value of a body or a response has this type.
    pub(super) fn holds(self, value: &Value) -> bool {
        let text = |test: &dyn Fn(&str) -> bool| value.as_str().is_some_and(test);
        match self {
            Plain::Any => true,
            Plain::Object => value.is_object(),
            Plain::Boolean => value.is_boolean(),
            Plain::Integer | Plain::Ids | Plain::IndexedIds => value.is_i64(),
            Plain::Number => value.is_number(),
            Plain::String => value.is_string(),
            Plain::Day => text(&|text| day(text).is_some()),
            Plain::Moment => text(&|text| instant(text).is_some()),
            Plain::DayOrMoment => text(&|text| day_of(text).is_some()),
            Plain::Midnight => text(&|text| text.strip_suffix("T00:00:00").and_then(day).is_some()),
            Plain::Time => text(&|text| text.len() == 5 && NaiveTime::parse_from_str(text, "%H:%M").is_ok()),
            Plain::Uri => text(&|text| url::Url::parse(text).is_ok()),
            Plain::Email => text(&|text| text.split_once('@').is_some_and(|(_, host)| !host.is_empty())),
            Plain::Guid => text(&|text| uuid::Uuid::parse_str(text).is_ok()),
            Plain::Currency => text(&|text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Plain::Any => "a value",
            Plain::Object => "an object",
            Plain::Boolean => "true or false",
            Plain::Integer => "an integer",
            Plain::Number => "a number",
            Plain::String => "a text",
            Plain::Day => "a date",
            Plain::Moment => "a date-time",
            Plain::DayOrMoment => "a date or date-time",
            Plain::Midnight => "a midnight",
            Plain::Time => "a time HH:mm",
            Plain::Uri => "a URI",
            Plain::Email => "an e-mail address",
            Plain::Guid => "a GUID",
            Plain::Currency => "a currency code",
            Plain::Ids | Plain::IndexedIds => "ids",
        }
    }
}

/// Accepts four-digit years only: chrono parses more, up to days without a successor.
fn day(text: &str) -> Option<NaiveDate> {
    let plain = text.len() == 10 && !text.starts_with(['+', '-']);
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| plain)
}

/// Returns the day of a date or a date-time.
pub(super) fn day_of(text: &str) -> Option<NaiveDate> {
    day(text).or_else(|| instant(text).and_then(|_| day(text.get(..10)?)))
}

/// Parses an ISO 8601 time; UTC if it has no zone.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|moment| moment.and_utc());
    let midnight = || day(text)?.and_hms_opt(0, 0, 0).map(|at| at.and_utc());
    zoned.or_else(plain).or_else(midnight)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(spelling: &str) -> Words {
        serde_json::from_value(json!({"names": ["active", "entity_update"], "spelling": spelling})).expect("words")
    }

    #[test]
    fn words_are_read_in_the_accepted_spellings() {
        for (spelling, text, expected) in [
            ("exact", "active", Some("active")),
            ("exact", "Active", None),
            ("any_case", "Active", Some("active")),
            ("any_case", "EntityUpdate", None),
            ("loose", "EntityUpdate", Some("entity_update")),
            ("loose", "entity-update", Some("entity_update")),
            ("loose", "entity", None),
        ] {
            assert_eq!(words(spelling).read(text), expected, "{spelling} {text}");
        }
    }

    #[test]
    fn types_are_parsed_or_refused() {
        let parse = |text: &str| Member::parse(text, &BTreeMap::new(), |name| name == "charge");
        assert!(matches!(parse("integer!"), Ok(Member { kind: ValueKind::Plain(Plain::Integer), always: true })));
        assert!(matches!(parse("charge[]~"), Ok(Member { kind: ValueKind::List(_), always: false })));
        assert!(parse("charges[]").is_err() && parse("").is_err());
    }

    #[test]
    fn values_are_of_their_type_or_not() {
        for (plain, good, bad) in [
            (Plain::Day, json!("2026-11-23"), json!("2026-11-23T00:00:00Z")),
            (Plain::DayOrMoment, json!("2026-11-23T10:00:00Z"), json!("1 May")),
            (Plain::Midnight, json!("2026-11-23T00:00:00"), json!("2026-11-23T00:00:00Z")),
            (Plain::Time, json!("16:00"), json!("4 pm")),
            (Plain::Integer, json!(4), json!(4.5)),
            (Plain::Number, json!(4.5), json!("4.5")),
            (Plain::Currency, json!("EUR"), json!("Euro")),
            (Plain::Uri, json!("https://a.example"), json!("a.example")),
            (Plain::Email, json!("a@b.example"), json!("a")),
            (Plain::Guid, json!("00000000-0000-4000-8000-000000000001"), json!("1")),
        ] {
            assert!(plain.holds(&good) && !plain.holds(&bad), "{plain:?}");
        }
    }
}
