//! Lenient parsing of arguments. Models write numbers as text, copy dates from responses, and fill unused arguments
//! with null or empty text. If the meaning is certain, the value is corrected before it is checked; otherwise it is
//! left unchanged and the check reports it.

use chrono::{DateTime, NaiveDate, SecondsFormat};
use serde_json::{Map, Number, Value, json};

use super::{
    argument_names::CLEAR,
    json_schema::{self, LARGEST_INTEGER},
    problem::{ArgumentProblem, join},
    spec::SynonymSpec,
};

/// Merges `data`, the format of this gateway's predecessor (`{id, data: {…}}`), into the surrounding arguments. If the
/// body is open, members that are not `known` stay in `data`.
pub(super) fn merge_data(arguments: &mut Map<String, Value>, known: Option<&Value>) -> Vec<ArgumentProblem> {
    let inner = match arguments.remove("data") {
        None => return Vec::new(),
        Some(nothing) if is_absent(&nothing) => return Vec::new(),
        Some(Value::Array(items)) if items.is_empty() => return Vec::new(),
        Some(Value::Object(inner)) => inner,
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(Value::Object(inner)) => inner,
            _ => {
                return vec![ArgumentProblem::new(
                    "data",
                    "`data` is not an object: give its members as separate arguments",
                )];
            }
        },
        Some(_) => {
            return vec![ArgumentProblem::new(
                "data",
                "`data` is not an object: give its members as separate arguments",
            )];
        }
    };
    let mut problems = Vec::new();
    let mut rest = Map::new();
    for (name, value) in inner.into_iter().filter(|(_, value)| !value.is_null()) {
        match arguments.get(&name).filter(|outer| !outer.is_null()) {
            _ if known.is_some_and(|known| known[name.as_str()].is_null()) => {
                rest.insert(name, value);
            }
            Some(outer) if *outer != value => {
                let message = format!(
                    "`{name}` is given both at the top level and in `data`, with different values: give it once"
                );
                problems.push(ArgumentProblem::new(name, message));
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

/// Returns whether a value counts as absent for every tool: null, or blank text.
fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Moves the values of older and likely names to the arguments that are meant.
pub(super) fn apply_synonyms(arguments: &mut Map<String, Value>, synonyms: &[SynonymSpec]) -> Vec<ArgumentProblem> {
    let mut problems = Vec::new();
    for SynonymSpec { name, argument, member, values } in synonyms {
        if let Some(values) = values {
            let written =
                arguments.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            if let Some(value) = written.and_then(|written| values.get(&written.to_ascii_lowercase())) {
                arguments.insert(argument.clone(), value.clone());
            }
            continue;
        }
        let Some(value) = arguments.remove(name).filter(|value| !is_absent(value)) else { continue };
        let given = arguments.get(argument).filter(|given| !is_absent(given));
        if given.is_some_and(|given| *given != value) {
            let message = format!("`{name}` and `{argument}` are the same argument: give `{argument}` only");
            problems.push(ArgumentProblem::new(argument, message));
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

/// Parses arguments by their schema.
pub(super) struct Coercer {
    /// Whether they are the arguments of a write operation.
    writes: bool,
    /// Problems that the schema check would not find.
    pub(super) problems: Vec<ArgumentProblem>,
}

impl Coercer {
    pub(super) fn new(writes: bool) -> Self {
        Self { writes, problems: Vec::new() }
    }

    /// Parses the members of an object and leaves out absent ones. Null always counts as absent: clients send it for
    /// every argument that the model did not give (CrewAI, mcp-use for Python).
    pub(super) fn coerce_object(
        &mut self,
        schema: &Value,
        members: Map<String, Value>,
        path: &str,
    ) -> Map<String, Value> {
        let required = schema["required"].as_array();
        let mut coerced = Map::new();
        for (name, value) in members {
            let member = &schema["properties"][name.as_str()];
            let is_required = required.is_some_and(|required| required.iter().any(|one| *one == name));
            if value.is_null() || (!is_required && is_empty_text(member, &value)) {
                continue;
            }
            let value = self.coerce_value(member, value, &join(path, &name));
            let is_empty = json_schema::kind(member) == "array" && value.as_array().is_some_and(Vec::is_empty);
            if is_empty && !is_required {
                if self.writes && name != CLEAR {
                    self.problems.push(empty_list(schema, &join(path, &name)));
                }
                continue;
            }
            coerced.insert(name, value);
        }
        coerced
    }

    /// Corrects a value according to its schema.
    fn coerce_value(&mut self, schema: &Value, value: Value, path: &str) -> Value {
        match (json_schema::kind(schema), value) {
            ("integer", value) => integer(value),
            ("number", Value::String(text)) => number(&text).unwrap_or(Value::String(text)),
            ("boolean", Value::String(text)) => boolean(&text).unwrap_or(Value::String(text)),
            ("string", Value::String(text)) => string(schema, text),
            // Postal codes and phone numbers that were written as numbers.
            ("string", Value::Number(number)) if is_free_text(schema) && !number.is_f64() => json!(number.to_string()),
            ("array", value) => {
                let items = list(json_schema::kind(&schema["items"]), value).into_iter().filter(|item| !item.is_null());
                let items = items.enumerate();
                items
                    .map(|(index, item)| self.coerce_value(&schema["items"], item, &format!("{path}[{index}]")))
                    .collect()
            }
            ("object", Value::String(text)) => match serde_json::from_str(&text) {
                Ok(Value::Object(members)) => Value::Object(self.coerce_object(schema, members, path)),
                _ => Value::String(text),
            },
            ("object", Value::Object(members)) => Value::Object(self.coerce_object(schema, members, path)),
            // Some languages have one empty value for lists and objects.
            ("object", Value::Array(items)) if items.is_empty() => Value::Object(Map::new()),
            (_, value) => without_nulls(value),
        }
    }
}

/// Returns whether a value is empty text, unless the schema lists that as a choice. Clients that have to give every
/// argument write it for "not given" (OpenAI's strict mode), so it clears nothing: `clear` does.
fn is_empty_text(schema: &Value, value: &Value) -> bool {
    let is_empty = value.as_str().is_some_and(|text| text.trim().is_empty());
    let is_choice = || schema["enum"].as_array().is_some_and(|choices| choices.iter().any(|choice| choice == ""));
    is_empty && !json_schema::kind(schema).is_empty() && !is_choice()
}

/// Explains that an empty list changes nothing.
fn empty_list(schema: &Value, path: &str) -> ArgumentProblem {
    let clears = schema["properties"][CLEAR]["items"]["enum"].as_array().into_iter().flatten();
    let clears: Vec<&str> = clears.filter_map(Value::as_str).collect();
    let how = if clears.is_empty() {
        "this operation has no `clear`, so it cannot empty a list; tools named delete_… remove single entries"
            .to_owned()
    } else {
        format!("`clear` empties `{}`, and tools named delete_… remove single entries of a list", clears.join("`, `"))
    };
    ArgumentProblem::new(path, format!("`{path}` is an empty list, which changes nothing: leave it out; {how}"))
}

/// Leaves out members that are null, at every depth. Items of a list without a schema stay, because their positions may
/// have a meaning.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let given = members.into_iter().filter(|(_, member)| !member.is_null());
            given.map(|(name, member)| (name, without_nulls(member))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn integer(value: Value) -> Value {
    match &value {
        Value::String(text) => text.trim().parse::<i64>().map_or(value, |whole| json!(whole)),
        Value::Number(number) => number.as_f64().filter(|_| number.is_f64()).and_then(whole).unwrap_or(value),
        _ => value,
    }
}

/// 12.0 is the integer 12 in JSON Schema; on the wire it should look like one.
fn whole(float: f64) -> Option<Value> {
    let exact = float.fract() == 0.0 && float.abs() <= LARGEST_INTEGER as f64;
    exact.then_some(json!(float as i64))
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(whole) => Some(json!(whole)),
        // Rejects values that JSON cannot represent, such as infinity.
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

/// Parses a day without leading zeros, or one copied from OwnerRez's calendar, which writes `2026-07-01T00:00:00`.
fn day(text: &str) -> Option<String> {
    let text = text.strip_suffix("T00:00:00").unwrap_or(text);
    Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.format("%Y-%m-%d").to_string())
}

/// Converts a time to UTC, as OwnerRez's `…_utc` names require.
fn moment(text: &str) -> Option<String> {
    let moment = DateTime::parse_from_rfc3339(text).ok()?;
    Some(moment.to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Converts a value to a list: a list, its JSON, numbers separated by commas, or a single entry.
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
