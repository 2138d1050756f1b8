//! A JSON Schema with its validator.

use std::sync::OnceLock;

use chrono::DateTime;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::json_schema::{LARGEST_INTEGER, date, kind};

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

/// Checks only what every address has; OwnerRez decides about the rest.
fn is_email(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()) && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_bounded_at_every_depth() {
        let validator = validator(&json!({"type": "array", "items": {"type": "integer", "minimum": 1}})).unwrap();
        assert!(validator.is_valid(&json!([LARGEST_INTEGER])));
        assert!(!validator.is_valid(&json!([LARGEST_INTEGER + 1])));
        assert!(!validator.is_valid(&json!([1e300])));
    }
}
