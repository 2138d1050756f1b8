//! Tests over the whole table, whatever it holds; single rules are tested in the files below.

mod answers;
mod arguments;
mod properties;
mod table;

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// The embedded catalogue.
fn catalog() -> Catalog {
    Catalog::embedded().unwrap_or_else(|error| panic!("{error}"))
}

/// What `tools/list` carries, as JSON.
fn tools() -> Vec<Value> {
    catalog().tools(Scope::Full).iter().map(|tool| serde_json::to_value(tool).unwrap()).collect()
}

#[test]
fn the_catalogue_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Catalog>();
}

#[test]
fn tools_come_in_a_stable_order_under_the_names_of_their_operations() {
    let catalog = catalog();
    let names: Vec<&str> = catalog.operations().map(Operation::name).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(catalog.tools(Scope::Full).iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>(), names);
    for name in names {
        assert_eq!(catalog.get(name).map(Operation::name), Some(name));
    }
}

#[test]
fn names_titles_and_descriptions_fit_their_bounds() {
    for tool in tools() {
        let name = tool["name"].as_str().unwrap();
        assert!(name.len() <= 64 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!((4..=40).contains(&tool["title"].as_str().unwrap().len()), "{name}");
        let description = tool["description"].as_str().unwrap();
        assert!((20..=300).contains(&description.len()) && description.ends_with('.'), "{name}: {description}");
    }
}

#[test]
fn every_hint_is_explicit_and_agrees_with_the_method() {
    let catalog = catalog();
    for tool in tools() {
        let operation = catalog.get(tool["name"].as_str().unwrap()).unwrap();
        for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{}: {hint}", operation.name());
        }
        assert_eq!(tool["annotations"]["readOnlyHint"], operation.is_read_only(), "{}", operation.name());
        assert_eq!(tool["annotations"]["destructiveHint"], operation.is_destructive(), "{}", operation.name());
    }
}

#[test]
fn input_schemas_are_what_clients_can_read() {
    for tool in tools() {
        let (name, schema) = (&tool["name"], &tool["inputSchema"]);
        assert_eq!(schema["type"], "object", "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for word in ["anyOf", "oneOf", "allOf", "not", "if", "$ref", "$defs", "enum"] {
            assert!(schema[word].is_null(), "{name}: {word}");
        }
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(schema["properties"][required.as_str().unwrap()].is_object(), "{name}: {required}");
        }
    }
}

#[test]
fn lists_take_limit_and_offset() {
    for operation in catalog().operations().filter(|operation| operation.name().starts_with("list_")) {
        let properties = &operation.tool().schema_as_json_value()["properties"];
        assert_eq!(properties["limit"]["maximum"], 100, "{}", operation.name());
        assert_eq!(properties["limit"]["default"], 20, "{}", operation.name());
        assert_eq!(properties["offset"]["minimum"], 0, "{}", operation.name());
    }
}

#[test]
fn the_list_of_tools_stays_small() {
    let bytes = serde_json::to_string(&tools()).unwrap().len();
    let each = bytes / tools().len();
    assert!(each < 1_300, "{bytes} bytes, {each} per tool: every connected model reads all of it");
}

#[test]
fn an_unknown_tool_has_a_suggestion() {
    let catalog = catalog();
    assert!(catalog.get("list_booking").is_none());
    assert_eq!(catalog.suggest("list_booking"), Some("list_bookings"));
    assert_eq!(catalog.suggest("launch_rocket"), None);
}

/// What clients see changes only on purpose.
#[test]
fn tools_are_as_in_the_snapshot() {
    let now = serde_json::to_string_pretty(&tools()).unwrap() + "\n";
    if now != include_str!("tools.snapshot.json") {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tmp");
        let file = format!("{folder}/tools.snapshot.json");
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, now)).unwrap();
        panic!(
            "tools/list differs from src/catalog/tools.snapshot.json. If that is meant:\n\
             cp target/tmp/tools.snapshot.json src/catalog/tools.snapshot.json"
        );
    }
}
