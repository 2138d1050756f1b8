//! Conversion of a record of the table into the JSON Schema that clients see and that its validator uses.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use super::{
    argument_names::{CLEAR, CONFIRM, DRAFT_ID, FIELDS, FORMAT},
    published::published,
    record::RecordSchema,
    spec::{DraftSpec, GuestVisible, OperationSpec, ParameterSpec, ResponseKind},
};

/// Returns one flat object with the parameters and the members of the body. Other names are rejected, so that a
/// misspelt name costs no request. No `anyOf` and the like: many clients reject them at the top level.
pub(super) fn input_schema(spec: &OperationSpec, kind: &RecordSchema) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in &spec.parameters {
        properties.insert(parameter.name.clone(), parameter_schema(parameter));
        if parameter.required {
            required.push(json!(parameter.name));
        }
    }
    match (&spec.body, &spec.body_argument) {
        (Some(body), Some(name)) => {
            let mut body = body.clone();
            if !spec.clears.is_empty() {
                body["items"]["properties"][CLEAR] = clear_schema(spec);
            }
            properties.insert(name.clone(), body);
            required.push(json!(name));
        }
        (Some(body), None) => {
            if spec.open_body {
                let description = "Members not named here, sent as they are";
                properties.insert("data".into(), json!({"type": "object", "description": description}));
            }
            let members = body["properties"].as_object().into_iter().flatten();
            properties.extend(members.map(|(name, schema)| (name.clone(), schema.clone())));
            if !spec.clears.is_empty() {
                properties.insert(CLEAR.into(), clear_schema(spec));
            }
            required.extend(body["required"].as_array().into_iter().flatten().cloned());
        }
        (None, _) => {}
    }
    if spec.read_only && spec.answer != ResponseKind::None {
        properties.insert(FIELDS.into(), json!({"type": "array", "items": {"type": "string"}}));
        if spec.takes_format(kind) {
            properties.insert(FORMAT.into(), json!({"type": "string", "enum": ["json", "table"]}));
        }
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = Value::Array(required);
    }
    schema
}

fn clear_schema(spec: &OperationSpec) -> Value {
    json!({"type": "array", "items": {"type": "string", "enum": spec.clears}, "description": "Members to empty"})
}

fn parameter_schema(parameter: &ParameterSpec) -> Value {
    let mut schema = parameter.schema.clone();
    if parameter.is_csv() {
        schema.remove("format");
        schema.insert("type".into(), json!("array"));
        schema.insert("items".into(), json!({"type": "integer", "minimum": 1}));
        schema.insert("minItems".into(), json!(1));
    }
    Value::Object(schema)
}

/// Returns the tool as `tools/list` shows it. Every hint is explicit: the defaults of the protocol are "writes,
/// destroys".
pub(super) fn tool(spec: &OperationSpec, schema: &Value) -> Tool {
    let annotations = ToolAnnotations::new()
        .read_only(spec.read_only)
        .destructive(spec.destructive)
        .idempotent(spec.idempotent)
        // The records in OwnerRez also change independently of the gateway: guests, channels and other clients write to
        // them.
        .open_world(true);
    Tool::new(spec.tool.clone(), spec.description.clone(), Arc::new(listed(spec, schema)))
        .with_title(spec.title.clone())
        .with_annotations(annotations)
}

/// Returns the schema that clients see: the operation's own arguments, and the token of a second step if there may be
/// one.
fn listed(spec: &OperationSpec, schema: &Value) -> Map<String, Value> {
    let mut schema = schema.clone();
    if let Some(draft) = &spec.draft {
        let given = json!({"type": "string", "description": format!("From {}", draft.tool)});
        schema["properties"] = json!({DRAFT_ID: given});
        schema["required"] = json!([DRAFT_ID]);
    } else if spec.destructive || spec.guest_visible != GuestVisible::Always(false) {
        schema["properties"][CONFIRM] = json!({"type": "string", "description": "From the first answer"});
    }
    published(&schema)
}

/// Returns the tool that takes the arguments of an operation and only shows what would be sent.
pub(super) fn draft_tool(draft: &DraftSpec, schema: &Value) -> Tool {
    let hints = ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(draft.tool.clone(), draft.description.clone(), Arc::new(published(schema)))
        .with_title(draft.title.clone())
        .with_annotations(hints)
}
