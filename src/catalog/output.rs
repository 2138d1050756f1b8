//! The output schema of a tool, if the shape of its responses is confirmed, and the check of a response against it.
//!
//! No member is required, since responses are reduced, and additional members are allowed. Formats and choices are not
//! promised: OwnerRez adds new ones, and a client that checks them would then lose the whole response.

use rmcp::model::JsonObject;
use serde_json::{Map, Value, json};

use super::{
    record::{Member, RecordSchema},
    render::TABLE,
    spec::{OperationSpec, ParameterLocation, ResponseKind},
};

/// Returns the output schema of an operation, if the shape of its response is confirmed.
pub(super) fn of_operation(spec: &OperationSpec, kind: &RecordSchema) -> Option<JsonObject> {
    let is_known = !kind.members.is_empty() && !spec.answer_unconfirmed;
    let mut properties = match spec.answer {
        ResponseKind::None => {
            let ids = spec.parameters.iter().filter(|parameter| parameter.location == ParameterLocation::Path);
            let ids = ids.map(|id| (id.name.clone(), json!({"type": id.schema.get("type")})));
            ids.chain([("done".to_owned(), json!({"type": "boolean"}))]).collect()
        }
        _ if !is_known => return None,
        ResponseKind::Record => properties(&kind.members),
        ResponseKind::Page | ResponseKind::CountedPage | ResponseKind::List => {
            let record = json!({"type": "object", "properties": properties(&kind.members)});
            Map::from_iter([("items".to_owned(), json!({"type": "array", "items": record}))])
        }
    };
    if spec.answer.is_page() {
        for name in ["count", "limit", "next_offset", "offset"] {
            properties.insert(name.to_owned(), json!({"type": "integer"}));
        }
        if spec.answer == ResponseKind::Page {
            properties.remove("count");
        }
    }
    if spec.takes_format(kind) {
        properties.insert(TABLE.to_owned(), json!({"type": "string"}));
    }
    Some(object(properties))
}

/// Returns the output schema of a tool that responds with such a record.
pub(super) fn of_record(kind: &RecordSchema) -> Option<JsonObject> {
    (!kind.members.is_empty()).then(|| object(properties(&kind.members)))
}

fn object(properties: Map<String, Value>) -> JsonObject {
    Map::from_iter([("type".to_owned(), json!("object")), ("properties".to_owned(), Value::Object(properties))])
}

/// Returns the top-level members of a record, each with its nested members.
fn properties(members: &[Member]) -> Map<String, Value> {
    let mut properties = Map::new();
    for member in members.iter().filter(|member| !member.path.contains('.')) {
        let prefix = format!("{}.", member.path);
        let inner = members.iter().filter_map(|one| {
            let path = one.path.strip_prefix(&prefix)?.to_owned();
            Some(Member { path, ..one.clone() })
        });
        let inner: Vec<Member> = inner.collect();
        let mut schema = match member.type_name.as_str() {
            "any" => json!({}),
            holds => json!({"type": holds}),
        };
        if !inner.is_empty() {
            schema["properties"] = Value::Object(self::properties(&inner));
        }
        if member.many {
            schema = json!({"type": "array", "items": schema});
        }
        properties.insert(member.path.clone(), schema);
    }
    properties
}

/// Returns whether a response matches the output schema that clients were given, a schema made by this module.
/// `jsonschema` gives the same result, but needs more memory.
pub fn matches_schema(value: &Value, schema: &JsonObject) -> bool {
    let fits = match schema.get("type").and_then(Value::as_str) {
        Some("array") => value.is_array(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Some("number") => value.is_number(),
        Some("object") => value.is_object(),
        Some("string") => value.is_string(),
        _ => true,
    };
    let inner = |value: &Value, schema: Option<&Value>| {
        schema.and_then(Value::as_object).is_none_or(|schema| matches_schema(value, schema))
    };
    fits && match value {
        Value::Array(items) => items.iter().all(|item| inner(item, schema.get("items"))),
        Value::Object(members) => match schema.get("properties") {
            Some(properties) => members.iter().all(|(name, member)| inner(member, properties.get(name))),
            None => true,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> JsonObject {
        let members = ["id:integer", "name", "sum:number", "on:boolean", "tags:string[]", "odd:any", "odd.x:integer"];
        let parts = ["parts:object[]", "parts.id:integer", "parts.deep:object", "parts.deep.er:integer[]"];
        let members = members.iter().chain(&parts).map(|text| Member::from((*text).to_owned())).collect();
        of_record(&RecordSchema { members, ..RecordSchema::default() }).unwrap()
    }

    #[test]
    fn members_become_a_schema_without_required_ones() {
        assert_eq!(
            Value::Object(schema()),
            json!({"type": "object", "properties": {
                "id": {"type": "integer"}, "name": {"type": "string"}, "sum": {"type": "number"},
                "on": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}},
                "odd": {"properties": {"x": {"type": "integer"}}},
                "parts": {"type": "array", "items": {"type": "object", "properties": {
                    "id": {"type": "integer"},
                    "deep": {"type": "object", "properties": {"er": {"type": "array", "items": {"type": "integer"}}}},
                }}},
            }})
        );
    }

    #[test]
    fn an_answer_keeps_to_its_schema_exactly_if_jsonschema_says_so() {
        let schema = schema();
        let judge = jsonschema::validator_for(&Value::Object(schema.clone())).unwrap();
        for (answer, fits) in [
            (json!({}), true),
            (json!({"id": 1, "name": "", "sum": 1.5, "on": false, "tags": ["a"], "more": [null]}), true),
            (json!({"id": 1.0, "sum": 1, "parts": [{}, {"id": 2, "deep": {"er": [1, 2]}}]}), true),
            (json!({"odd": 7}), true),
            (json!({"odd": {"x": 7}}), true),
            (json!({"odd": {"x": "7"}}), false),
            (json!([]), false),
            (json!({"id": "1"}), false),
            (json!({"id": 1.5}), false),
            (json!({"id": null}), false),
            (json!({"name": 7}), false),
            (json!({"tags": "a"}), false),
            (json!({"tags": [1]}), false),
            (json!({"parts": [7]}), false),
            (json!({"parts": [{"deep": {"er": ["x"]}}]}), false),
        ] {
            assert_eq!((matches_schema(&answer, &schema), judge.is_valid(&answer)), (fits, fits), "{answer}");
        }
    }
}
