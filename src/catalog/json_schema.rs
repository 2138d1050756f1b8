//! Words for what a JSON Schema allows, and the limits of the values that it describes.

use chrono::NaiveDate;
use serde_json::Value;

/// The largest integer that is exact in the JSON numbers of every language; JSON Schema also accepts 1e300 as an
/// integer.
pub(super) const LARGEST_INTEGER: i64 = (1 << 53) - 1;

/// Parses a calendar day in ISO 8601 notation.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let written = |date: &NaiveDate| date.format("%Y-%m-%d").to_string() == text;
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(written)
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
    use serde_json::json;

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
}
