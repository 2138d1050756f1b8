//! A published schema, closed: it rejects members that its types do not define.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The types of one revision.
pub(super) struct Schema {
    /// The member with the type definitions; it depends on the JSON Schema draft.
    definitions: &'static str,
    document: Value,
}

impl Schema {
    /// Reads the schema of a revision and closes it.
    pub(super) fn of(revision: &str) -> Self {
        let text = match revision {
            "2024-11-05" => include_str!("../schemas/2024-11-05.json"),
            "2025-03-26" => include_str!("../schemas/2025-03-26.json"),
            "2025-06-18" => include_str!("../schemas/2025-06-18.json"),
            "2025-11-25" => include_str!("../schemas/2025-11-25.json"),
            "2026-07-28" => include_str!("../schemas/2026-07-28.json"),
            _ => panic!("no schema of {revision}"),
        };
        let mut document: Value = serde_json::from_str(text).unwrap();
        let definitions = if document.get("$defs").is_some() { "$defs" } else { "definitions" };
        for (name, definition) in document[definitions].as_object_mut().unwrap() {
            // The sender chooses the members of these types.
            if !name.ends_with("MetaObject") {
                close(definition);
            }
        }
        Self { definitions, document }
    }

    /// Returns whether the revision has a type with that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.document[self.definitions].get(name).is_some()
    }

    /// Returns the errors in a value of that type.
    pub(super) fn mistakes(&self, name: &str, value: &Value) -> Vec<String> {
        assert!(self.has(name), "there is no {name}");
        self.validator(name).iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect()
    }

    fn validator(&self, name: &str) -> Validator {
        let mut document = Map::new();
        document.insert("$schema".to_owned(), self.document["$schema"].clone());
        document.insert(self.definitions.to_owned(), self.document[self.definitions].clone());
        document.insert("$ref".to_owned(), json!(format!("#/{}/{name}", self.definitions)));
        jsonschema::validator_for(&Value::Object(document)).unwrap()
    }
}

/// Forbids undefined members in a schema and in all schemas within it. The schemas were generated from TypeScript
/// types, which allow additional members everywhere.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
                for (name, property) in properties.iter_mut() {
                    // Schemas of tools are JSON Schema, of which these types define only a part.
                    if !["inputSchema", "outputSchema", "requestedSchema"].contains(&name.as_str()) {
                        close(property);
                    }
                }
                let is_open = members.get("additionalProperties").is_none_or(|more| *more == json!({}));
                if is_open && !members["properties"].as_object().unwrap().is_empty() {
                    members.insert("additionalProperties".to_owned(), json!(false));
                }
            }
            for (name, inner) in members.iter_mut().filter(|(name, _)| *name != "properties") {
                // The parts of an `allOf` would reject each other's members.
                if name != "allOf" {
                    close(inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn a_member_of_a_newer_revision_is_found() {
    let implementation = |extra: Value| {
        let mut value = json!({"name": "x", "version": "1"});
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        value
    };
    let icons = implementation(json!({"icons": [{"src": "data:,", "sizes": ["any"]}]}));
    let title = implementation(json!({"title": "X"}));
    for (revision, value, fits) in [
        ("2025-11-25", &icons, true),
        ("2025-06-18", &icons, false),
        ("2025-06-18", &title, true),
        ("2025-03-26", &title, false),
        ("2024-11-05", &title, false),
    ] {
        assert_eq!(Schema::of(revision).mistakes("Implementation", value).is_empty(), fits, "{revision}: {value}");
    }
    let lifetime = json!({"tools": [], "ttlMs": 1, "cacheScope": "private", "resultType": "complete"});
    assert!(Schema::of("2026-07-28").mistakes("ListToolsResult", &lifetime).is_empty());
    assert!(!Schema::of("2025-11-25").mistakes("ListToolsResult", &lifetime).is_empty());
    assert!(!Schema::of("2026-07-28").mistakes("ListToolsResult", &json!({"tools": []})).is_empty());
    assert!(!Schema::of("2025-06-18").mistakes("EmptyResult", &json!({"resultType": "complete"})).is_empty());
}
