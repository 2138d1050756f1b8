//! Lenient reading of arguments. Models write numbers as text, copy dates out of answers and fill what they do not
//! need with null. Where the meaning is certain the value is set right before it is checked; where it is not, it stays
//! as it is and the check explains.

use chrono::{DateTime, NaiveDate, SecondsFormat};
use serde_json::{Map, Number, Value, json};

use super::{
    data::SynonymData,
    problem::Problem,
    schema::{self, LARGEST_INTEGER},
};

/// What about null where the schema knows none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    /// "Nothing given": left out.
    Drop,
    /// A change to null might be meant: kept, so that the check can explain.
    Keep,
}

/// Merges `data`, the shape of this gateway's predecessor (`{id, data: {…}}`), into the arguments around it. Where the
/// body is open, what is not among its `known` members stays in `data`.
pub(super) fn merge_data(arguments: &mut Map<String, Value>, known: Option<&Value>) -> Vec<Problem> {
    let inner = match arguments.remove("data") {
        Some(Value::Object(inner)) => inner,
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(Value::Object(inner)) => inner,
            _ => return vec![Problem::new("data", "`data` is no object: give its members as arguments of their own")],
        },
        None | Some(Value::Null) => return Vec::new(),
        Some(_) => {
            return vec![Problem::new("data", "`data` is no object: give its members as arguments of their own")];
        }
    };
    let mut problems = Vec::new();
    let mut rest = Map::new();
    for (name, value) in inner {
        match arguments.get(&name) {
            _ if known.is_some_and(|known| known[name.as_str()].is_null()) => {
                rest.insert(name, value);
            }
            Some(outer) if *outer != value => {
                let message = format!("`{name}` stands both beside and in `data`, with different values: give it once");
                problems.push(Problem::new(name, message));
            }
            _ => {
                arguments.insert(name, value);
            }
        }
    }
    if !rest.is_empty() {
        arguments.insert("data".to_owned(), Value::Object(rest));
    }
    problems
}

/// Puts older and likely names under the arguments that are meant.
pub(super) fn translate(arguments: &mut Map<String, Value>, synonyms: &[SynonymData]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for SynonymData { name, argument, member, values } in synonyms {
        if let Some(values) = values {
            let written =
                arguments.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            if let Some(value) = written.and_then(|written| values.get(&written.to_ascii_lowercase())) {
                arguments.insert(argument.clone(), value.clone());
            }
            continue;
        }
        let Some(value) = arguments.remove(name).filter(|value| !value.is_null()) else { continue };
        if arguments.get(argument).is_some_and(|given| !given.is_null()) {
            let message = format!("`{name}` and `{argument}` are the same argument: give `{argument}` only");
            problems.push(Problem::new(argument, message));
            continue;
        }
        let value = match member {
            Some(member) => json!([{ member: value }]),
            None => value,
        };
        arguments.insert(argument.clone(), value);
    }
    problems
}

/// Sets a value right under its schema.
pub(super) fn coerce(schema: &Value, value: Value, nulls: Nulls) -> Value {
    match (schema::kind(schema), value) {
        ("integer", value) => integer(value),
        ("number", Value::String(text)) => number(&text).unwrap_or(Value::String(text)),
        ("boolean", Value::String(text)) => boolean(&text).unwrap_or(Value::String(text)),
        ("string", Value::String(text)) => string(schema, text),
        // Postal codes and phone numbers that were written as numbers.
        ("string", Value::Number(number)) if is_free_text(schema) && !number.is_f64() => json!(number.to_string()),
        ("array", value) if !value.is_null() => {
            let items = list(schema::kind(&schema["items"]), value);
            items.into_iter().map(|item| coerce(&schema["items"], item, nulls)).collect()
        }
        ("object", Value::String(text)) => match serde_json::from_str(&text) {
            Ok(Value::Object(members)) => coerce(schema, Value::Object(members), nulls),
            _ => Value::String(text),
        },
        ("object", Value::Object(members)) => members
            .into_iter()
            .filter(|(name, member)| !is_dropped(&schema["properties"][name.as_str()], member, nulls))
            .map(|(name, member)| {
                let member = coerce(&schema["properties"][name.as_str()], member, nulls);
                (name, member)
            })
            .collect(),
        (_, value) => value,
    }
}

/// Whether a member says nothing.
pub(super) fn is_dropped(schema: &Value, value: &Value, nulls: Nulls) -> bool {
    value.is_null() && nulls == Nulls::Drop && !schema::allows_null(schema)
}

fn integer(value: Value) -> Value {
    match &value {
        Value::String(text) => text.trim().parse::<i64>().map_or(value, |whole| json!(whole)),
        Value::Number(number) => number.as_f64().filter(|_| number.is_f64()).and_then(whole).unwrap_or(value),
        _ => value,
    }
}

/// 12.0 is the integer 12 in JSON Schema; on the wire it shall look like one.
fn whole(float: f64) -> Option<Value> {
    let exact = float.fract() == 0.0 && float.abs() <= LARGEST_INTEGER as f64;
    exact.then_some(json!(float as i64))
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(whole) => Some(json!(whole)),
        // Refuses what JSON cannot say, such as infinity.
        Err(_) => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
    }
}

fn boolean(text: &str) -> Option<Value> {
    ["true", "false"].iter().position(|word| text.trim().eq_ignore_ascii_case(word)).map(|index| json!(index == 0))
}

fn is_free_text(schema: &Value) -> bool {
    ["enum", "format", "pattern"].iter().all(|word| schema[word].is_null())
}

fn string(schema: &Value, text: String) -> Value {
    let trimmed = text.trim();
    let right = match schema["format"].as_str() {
        Some("date") => day(trimmed),
        Some("date-time") => moment(trimmed),
        Some("email" | "uri") => Some(trimmed.to_owned()),
        _ => schema["enum"].as_array().and_then(|choices| {
            choices
                .iter()
                .filter_map(Value::as_str)
                .find(|choice| choice.eq_ignore_ascii_case(trimmed))
                .map(str::to_owned)
        }),
    };
    Value::String(right.unwrap_or(text))
}

/// A day without leading zeros, or one copied from OwnerRez's calendar, which writes `2026-07-01T00:00:00`.
fn day(text: &str) -> Option<String> {
    let text = text.strip_suffix("T00:00:00").unwrap_or(text);
    Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.format("%Y-%m-%d").to_string())
}

/// The same moment in UTC, which is what OwnerRez's `…_utc` names ask for.
fn moment(text: &str) -> Option<String> {
    let moment = DateTime::parse_from_rfc3339(text).ok()?;
    Some(moment.to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// What stands for a list: the list, its JSON, numbers with commas between, or a single entry.
fn list(item_kind: &str, value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Array(items)) => items,
            Ok(Value::Object(only)) if item_kind == "object" => vec![Value::Object(only)],
            _ if item_kind == "integer" => text.split(',').map(|item| json!(item.trim())).collect(),
            _ => vec![Value::String(text)],
        },
        single => vec![single],
    }
}
