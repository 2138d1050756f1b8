//! A table with mistakes is rejected, and every mistake is named.

use serde_json::{Value, json};

use super::*;

fn record(changes: Value) -> Value {
    let mut record = json!({
        "tool": "get_thing", "group": "things", "method": "GET", "path": "/v2/things/{id}",
        "toolset": "content", "default": false,
        "title": "Read a thing", "description": "Reads one thing of the account.",
        "read_only": true, "destructive": false, "idempotent": true, "answer": "record",
        "parameters": [{"name": "id", "in": "path", "type": "integer", "required": true}],
    });
    for (name, value) in changes.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

fn mistakes(records: &[Value]) -> Vec<String> {
    Catalog::parse(&json!(records).to_string(), "[]").err().map(|error| error.errors).unwrap_or_default()
}

#[test]
fn a_right_record_is_accepted() {
    assert_eq!(mistakes(&[record(json!({}))]), Vec::<String>::new());
}

/// Returns the required parameter of the record.
fn id() -> Value {
    json!({"name": "id", "in": "path", "type": "integer", "required": true})
}

/// Returns changes that add a query parameter with this schema.
fn query(schema: Value) -> Value {
    let mut parameter = json!({"name": "x", "in": "query", "required": false});
    parameter.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
    json!({"parameters": [id(), parameter]})
}

/// Returns changes that make the record a POST, and further changes.
fn post(changes: Value) -> Value {
    let mut record = json!({"method": "POST", "read_only": false, "idempotent": false, "body": {
        "type": "object", "properties": {"name": {"type": "string"}},
    }});
    record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    record
}

/// Checks that a record with these changes has a mistake whose description contains the words.
fn assert_named(cases: &[(Value, &str)]) {
    for (changes, words) in cases {
        let found = mistakes(&[record(changes.clone())]);
        assert!(found.iter().any(|mistake| mistake.contains(words)), "{changes}\nwants {words}, has {found:#?}");
    }
}

#[test]
fn mistakes_of_names_texts_and_paths_are_named() {
    assert_named(&[
        (json!({"tool": "GetThing"}), "snake_case"),
        (json!({"tool": "x".repeat(65)}), "at most 64"),
        (json!({"title": ""}), "`title`"),
        (json!({"description": "Short."}), "`description`"),
        (json!({"unheard_of": 1}), "unheard_of"),
        (json!({"toolset": "things"}), "things"),
        (json!({"default": "yes"}), "boolean"),
        (json!({"open_body": true}), "`open_body` needs"),
        (
            json!({"method": "POST", "read_only": false, "open_body": true, "body": {
                "type": "object", "properties": {"data": {"type": "string"}},
            }}),
            "reserves the argument `data`",
        ),
        (json!({"synonyms": [{"name": "a", "argument": "b"}]}), "`b`, which is no argument"),
        (json!({"synonyms": [{"name": "id", "argument": "id"}]}), "another meaning"),
        (json!({"method": "PUT"}), "PUT"),
        (json!({"method": "DELETE"}), "`read_only`"),
        (json!({"method": "DELETE", "read_only": false}), "`destructive`"),
        (json!({"destructive": true}), "`destructive`"),
        (json!({"path": "/v1/things/{id}"}), "/v2/"),
        (json!({"path": "/v2/things"}), "not in `path`"),
        (json!({"path": "/v2/things/{id}/{part}"}), "{part}"),
        (json!({"path": "/v2/{id}/{id}"}), "twice"),
        (json!({"path": "/v2/../{id}"}), "\"..\""),
        (json!({"path": "/v2/things//{id}"}), "\"\""),
        (json!({"path": "/v2/things/x{id}"}), "\"x{id}\""),
    ]);
}

#[test]
fn mistakes_of_parameters_are_named() {
    assert_named(&[
        (
            json!({"parameters": [{"name": "id", "in": "path", "type": "integer", "required": false}]}),
            "no required path",
        ),
        (json!({"parameters": [id(), id()]}), "declared twice"),
        (json!({"parameters": [{"name": "id", "in": "header", "type": "integer", "required": true}]}), "header"),
        (query(json!({})), "one `type`"),
        (query(json!({"type": ["integer", "null"]})), "one `type`"),
        (query(json!({"type": "thing"})), "one `type`"),
        (query(json!({"type": "object"})), "cannot be sent"),
        (query(json!({"type": "array", "items": {"type": "integer"}})), "cannot be sent"),
        (query(json!({"type": "array", "style": "indexed"})), "`items`"),
        (query(json!({"type": "integer", "minium": 1})), "minium"),
        (query(json!({"type": "string", "format": "dates"})), "format"),
        (query(json!({"type": "string", "anyOf": []})), "anyOf"),
    ]);
}

#[test]
fn mistakes_of_answers_rules_and_writes_are_named() {
    assert_named(&[
        (json!({"answer": "page"}), "`limit`"),
        (json!({"answer": "page"}), "`offset`"),
        (json!({"body": {"type": "object", "properties": {}}}), "no `body`"),
        (json!({"method": "PATCH", "read_only": false}), "a PATCH has"),
        (json!({"one_of_required": [["id"]]}), "two names"),
        (json!({"one_of_required": [["id", "name"]], "one_of_why": "so"}), "`name`, which is no argument"),
        (json!({"one_of_required": [["id", "name"]], "one_of_why": "so"}), "`description` has to name `id`"),
        (json!({"one_of_why": "so"}), "belong together"),
        (json!({"ranges": [{"from": "a", "to": "id"}]}), "`a`"),
        (json!({"checks": [{"argument": "a", "holds": {}, "explain": "so"}]}), "`a`"),
        (json!({"guest_visible": true}), "neither reaches a guest"),
        (json!({"touches": ["things/{id}"]}), "nor `touches` a record"),
        (post(json!({"guest_visible": "loud"})), "`loud`, which is no argument"),
        (post(json!({"dry_run": "loud"})), "`loud`, which is no argument"),
        (post(json!({"touches": ["things/{other}"]})), "`other`, which is no argument"),
        (
            post(json!({"body": {"type": "object", "properties": {"again": {"type": "string"}}}})),
            "reserved for write options",
        ),
        (
            post(json!({"draft": {
                "tool": "draft_thing", "title": "Draft a thing", "description": "Shows a thing and sends nothing.",
            }})),
            "always reaches a guest",
        ),
        (post(json!({"clears": ["name"]})), "reserves the argument `clear` of a PATCH"),
        (post(json!({"clears": ["loud"]})), "`loud`, which is no member"),
    ]);
}

#[test]
fn all_mistakes_of_all_records_come_together() {
    let wrong = record(json!({"title": "", "path": "/v3/things/{id}", "tool": "wrong_thing"}));
    let found = mistakes(&[record(json!({})), wrong, record(json!({})), json!({"tool": "half"})]);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found.iter().any(|mistake| mistake.starts_with("get_thing: the name is used twice")));
    assert!(found.iter().filter(|mistake| mistake.starts_with("wrong_thing: ")).count() == 2);
    assert!(found.iter().any(|mistake| mistake.starts_with("half: ")));
    assert!(Catalog::parse("[", "[]").is_err());
}
