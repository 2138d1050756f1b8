//! The JSON format of a log line.

use log::{
    Record,
    kv::{self, Key, Value, VisitSource, VisitValue},
};
use serde_json::{Map, Value as Json, json};

use super::escaped::Escaped;

/// Returns one object: time, level, target and message, and the record's fields next to them. Texts are escaped before
/// they become JSON, so that they are harmless even if a program prints the decoded text.
pub(super) fn json_line(record: &Record<'_>, time: &str) -> Json {
    let mut members = Members(Map::new());
    // Inserting fields into a map cannot fail; and a line without them is better than no line.
    let _ = record.key_values().visit(&mut members);
    let Members(mut line) = members;
    line.insert("time".to_owned(), json!(time));
    line.insert("level".to_owned(), json!(record.level().as_str()));
    line.insert("target".to_owned(), json!(Escaped(record.target()).to_string()));
    line.insert("message".to_owned(), json!(Escaped(record.args()).to_string()));
    Json::Object(line)
}

struct Members(Map<String, Json>);

impl<'kvs> VisitSource<'kvs> for Members {
    fn visit_pair(&mut self, name: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let mut typed = Typed(Json::Null);
        value.visit(&mut typed)?;
        self.0.insert(Escaped(name.as_str()).to_string(), typed.0);
        Ok(())
    }
}

/// A field's value. Numbers stay numbers, so that queries can compare them.
struct Typed(Json);

impl<'v> VisitValue<'v> for Typed {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.0 = json!(Escaped(value).to_string());
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    #[test]
    fn a_line_is_one_object_of_harmless_texts() {
        let fields = vec![
            ("status", Value::from(200_u16)),
            ("ms", Value::from(-1_i64)),
            ("tool", Value::from("list_owners")),
            ("cause", Value::from("two words,\na \"quote\"\u{202e}")),
            ("level", Value::from("no field takes the place of a part of the line")),
            ("do\u{200b}ne", Value::from(true)),
        ];
        let record = Record::builder()
            .level(Level::Warn)
            .target("here")
            .args(format_args!("it happened\nagain\u{1b}[2J"))
            .key_values(&fields)
            .build();
        let line = json_line(&record, "2026-06-15T12:00:00.000Z").to_string();
        assert!(!line.contains('\n'), "{line}");
        let expected = json!({
            "time": "2026-06-15T12:00:00.000Z", "level": "WARN", "target": "here",
            "message": "it happened\\nagain\\u{1b}[2J", "status": 200, "ms": -1, "tool": "list_owners",
            "cause": "two words,\\na \"quote\"\\u{202e}", "do\\u{200b}ne": true,
        });
        assert_eq!(line.parse::<Json>().unwrap(), expected);
    }
}
