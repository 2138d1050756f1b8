//! Conversion of the schema that arguments are checked against into the one that clients see. Clients convert it to
//! other formats, and many support only a part of JSON Schema. Rules that the published schema lacks are reported by
//! the check when they are violated.
//!
//! `src/tools/tests/consumers.rs` names each rule and the clients that need it.

use serde_json::{Map, Value, json};

/// A day in RFC 3339 notation (`full-date`). It replaces the format `date`, which Gemini rejects.
const DAY: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";
const DAY_IN_WORDS: &str = "YYYY-MM-DD";

/// Returns the schema of a tool's arguments in a form that clients can load.
pub(super) fn published(schema: &Value) -> Map<String, Value> {
    schema.as_object().map(loadable).unwrap_or_default()
}

fn loadable(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut shown: Map<String, Value> =
        schema.iter().map(|(word, value)| (word.clone(), loadable_word(schema, word, value))).collect();
    match schema.get("format").and_then(Value::as_str) {
        Some("date") => {
            shown.remove("format");
            shown.insert("pattern".to_owned(), json!(DAY));
            let described = schema.get("description").and_then(Value::as_str);
            let described = described.map_or(DAY_IN_WORDS.to_owned(), |words| format!("{words}, {DAY_IN_WORDS}"));
            shown.insert("description".to_owned(), json!(described));
        }
        // Gemini accepts this one.
        Some("date-time") | None => {}
        Some(_) => {
            shown.remove("format");
        }
    }
    shown
}

fn loadable_word(schema: &Map<String, Value>, word: &str, value: &Value) -> Value {
    match (word, value) {
        ("items", Value::Object(items)) => Value::Object(loadable(items)),
        ("properties", Value::Object(members)) => {
            let required = schema.get("required").and_then(Value::as_array);
            let is_required = |name: &str| required.is_some_and(|required| required.iter().any(|one| one == name));
            let (first, then): (Vec<_>, Vec<_>) = members.iter().partition(|(name, _)| is_required(name));
            let members = first.into_iter().chain(then);
            members.map(|(name, member)| (name.clone(), Value::Object(published(member)))).collect()
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_come_first_at_every_depth() {
        let entry = json!({"type": "object", "required": ["z", "b"], "properties": {
            "a": {"type": "string"}, "b": {"type": "string"}, "y": {"type": "string"}, "z": {"type": "string"},
        }});
        let schema = json!({"type": "object", "required": ["rates"], "properties": {
            "again": {"type": "boolean"}, "rates": {"type": "array", "items": entry},
        }});
        let shown = published(&schema);
        let names = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&Value::Object(shown.clone())), ["rates", "again"]);
        assert_eq!(names(&shown["properties"]["rates"]["items"]), ["b", "z", "a", "y"]);
    }

    #[test]
    fn formats_become_what_every_client_takes_at_every_depth() {
        let schema = json!({"type": "object", "properties": {
            "day": {"type": "string", "format": "date"},
            "format": {"type": "string", "enum": ["json"]},
            "at": {"type": "string", "format": "date-time"},
            "nights": {"type": "array", "items": {"type": "object", "properties": {
                "date": {"type": "string", "format": "date", "description": "Night"},
                "mail": {"type": "string", "format": "email"},
            }}},
        }});
        assert_eq!(
            Value::Object(published(&schema)),
            json!({"type": "object", "properties": {
                "day": {"type": "string", "pattern": DAY, "description": "YYYY-MM-DD"},
                "format": {"type": "string", "enum": ["json"]},
                "at": {"type": "string", "format": "date-time"},
                "nights": {"type": "array", "items": {"type": "object", "properties": {
                    "date": {"type": "string", "pattern": DAY, "description": "Night, YYYY-MM-DD"},
                    "mail": {"type": "string"},
                }}},
            }})
        );
    }
}
