//! Conversion of a record of the table into the JSON Schema that clients see and into its validator.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, NaiveDate};
use jsonschema::{Draft, Validator};
use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use super::{
    options::{CONFIRM, DRAFT_ID},
    published::published,
    record::RecordSchema,
    spec::{DraftSpec, GuestVisible, OperationSpec, ParameterSpec, ResponseKind},
    view::{FIELDS, FORMAT},
};

/// The argument that lists members to clear, in operations that support it.
pub(super) const CLEAR: &str = "clear";

/// The largest integer that is exact in the JSON numbers of every language; JSON Schema also accepts 1e300 as an
/// integer.
pub(super) const LARGEST_INTEGER: i64 = (1 << 53) - 1;

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

/// A schema and its validator. The validator is built on first use: building all of them would take longer than the
/// rest of the start and more memory than all other data, and few processes need all of them.
pub(super) struct CompiledSchema {
    schema: Value,
    validator: OnceLock<Result<Validator, String>>,
}

impl CompiledSchema {
    pub(super) fn new(schema: Value) -> Self {
        Self { schema, validator: OnceLock::new() }
    }

    pub(super) fn schema(&self) -> &Value {
        &self.schema
    }

    /// Returns the validator, or the error in the schema itself. A test proves that the table's schemas have none.
    pub(super) fn validator(&self) -> Result<&Validator, &str> {
        self.validator.get_or_init(|| validator(&self.schema)).as_ref().map_err(String::as_str)
    }
}

/// Returns the validator of a schema, with format checks.
fn validator(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .with_format("date", |text: &str| date(text).is_some())
        .with_format("date-time", |text: &str| DateTime::parse_from_rfc3339(text).is_ok())
        .with_format("email", is_email)
        .build(&bounded(schema))
        .map_err(|error| format!("the schema is invalid: {error}"))
}

/// Returns the same schema with exact bounds on every integer. Not published: it has no use for a model.
fn bounded(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut members: Map<String, Value> =
                members.iter().map(|(name, member)| (name.clone(), bounded(member))).collect();
            if kind(schema) == "integer" {
                members.entry("minimum").or_insert(json!(-LARGEST_INTEGER));
                members.entry("maximum").or_insert(json!(LARGEST_INTEGER));
            }
            Value::Object(members)
        }
        Value::Array(items) => items.iter().map(bounded).collect(),
        other => other.clone(),
    }
}

/// Parses a calendar day in ISO 8601 notation.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let written = |date: &NaiveDate| date.format("%Y-%m-%d").to_string() == text;
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(written)
}

/// Checks only what every address has; OwnerRez decides about the rest.
fn is_email(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()) && !text.contains(char::is_whitespace)
}

/// Returns the type in a schema.
pub(super) fn kind(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or_default()
}

/// Describes in words what a schema allows.
pub(super) fn describe(schema: &Value) -> String {
    if let Some(choices) = schema["enum"].as_array() {
        format!("one of {}", choices.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
    } else {
        match kind(schema) {
            "integer" => format!("a whole number{}", bounds(schema, "minimum", "maximum")),
            "number" => format!("a number{}", bounds(schema, "minimum", "maximum")),
            "boolean" => "true or false".to_owned(),
            "string" => describe_text(schema),
            "array" => {
                let bounds = bounds(schema, "minItems", "maxItems");
                let items = describe(&schema["items"]);
                format!("a list{}, each {items}", bounds.replacen(" of", " with a length of", 1))
            }
            "object" => {
                let members = schema["properties"].as_object().into_iter().flatten();
                let names: Vec<String> = members.map(|(name, _)| format!("`{name}`")).collect();
                if names.is_empty() {
                    "an object".to_owned()
                } else {
                    format!("an object with members like {}", names.join(", "))
                }
            }
            _ => "another value".to_owned(),
        }
    }
}

fn describe_text(schema: &Value) -> String {
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("date"), _) => "a day of the calendar such as \"2026-07-01\"".to_owned(),
        (Some("date-time"), _) => "a moment with its zone such as \"2026-07-01T00:00:00Z\"".to_owned(),
        (Some("email"), _) => "an e-mail address".to_owned(),
        (Some("uri"), _) => "an address such as \"https://example.com/\"".to_owned(),
        (_, Some(pattern)) => format!("text in the form {}", schema["description"].as_str().unwrap_or(pattern)),
        _ => format!("text{}", bounds(schema, "minLength", "maxLength").replacen(" of", " with a length of", 1)),
    }
}

fn bounds(schema: &Value, least: &str, most: &str) -> String {
    match (&schema[least], &schema[most]) {
        (Value::Null, Value::Null) => String::new(),
        (least, Value::Null) => format!(" of at least {least}"),
        (Value::Null, most) => format!(" of at most {most}"),
        (least, most) => format!(" of {least} to {most}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_days_of_the_calendar() {
        assert!(date("2028-02-29").is_some());
        for wrong in ["2027-02-29", "2027-13-01", "2027-1-1", "27-01-01", "+2027-01-01", "2027-01-01 ", "tomorrow", ""]
        {
            assert!(date(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_allowed_reads_as_words() {
        for (schema, words) in [
            (json!({"type": "integer", "minimum": 1}), "a whole number of at least 1"),
            (json!({"type": "integer", "minimum": 1, "maximum": 100}), "a whole number of 1 to 100"),
            (json!({"type": "string", "enum": ["a", "b"]}), "one of \"a\", \"b\""),
            (json!({"type": "string", "minLength": 1, "maxLength": 9}), "text with a length of 1 to 9"),
            (
                json!({"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 9}),
                "a list with a length of 1 to 9, each a whole number of at least 1",
            ),
        ] {
            assert_eq!(describe(&schema), words);
        }
    }

    #[test]
    fn integers_are_bounded_at_every_depth() {
        let validator = validator(&json!({"type": "array", "items": {"type": "integer", "minimum": 1}})).unwrap();
        assert!(validator.is_valid(&json!([LARGEST_INTEGER])));
        assert!(!validator.is_valid(&json!([LARGEST_INTEGER + 1])));
        assert!(!validator.is_valid(&json!([1e300])));
    }
}
