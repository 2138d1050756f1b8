//! Problems with arguments, in words that a model can act on.

use std::{fmt, sync::Arc};

use jsonschema::{ValidationError, error::ValidationErrorKind, paths::LocationSegment};
use serde::Serialize;
use serde_json::Value;

use super::{closest::closest, json_schema};

/// Further problems would not help.
const PROBLEMS_SHOWN: usize = 10;
/// Longer values are described by their size: the text is the caller's own, and it would fill the model's context.
const SHOWN_CHARACTERS: usize = 40;

/// The arguments of a call are invalid; nothing was sent to OwnerRez.
#[derive(Clone, PartialEq, Debug, thiserror::Error, Serialize)]
pub struct ArgumentError {
    /// The tool that was called.
    pub tool: Arc<str>,
    /// All problems, at least one.
    pub problems: Vec<ArgumentProblem>,
}

/// One problem with the arguments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ArgumentProblem {
    /// The argument, as a path: `limit`, `addresses[0].type`; `a|b` if one of several is missing.
    pub argument: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.tool)?;
        match self.problems.as_slice() {
            [only] => write!(f, " {}.", only.message)?,
            many => {
                for problem in many.iter().take(PROBLEMS_SHOWN) {
                    write!(f, "\n- {}.", problem.message)?;
                }
                if many.len() > PROBLEMS_SHOWN {
                    write!(f, "\n- and {} more.", many.len() - PROBLEMS_SHOWN)?;
                }
                f.write_str("\n")?;
            }
        }
        let gap = if self.problems.len() == 1 { " " } else { "" };
        write!(f, "{gap}Nothing was sent to OwnerRez.")
    }
}

impl ArgumentProblem {
    pub(super) fn new(argument: impl Into<String>, message: impl Into<String>) -> ArgumentProblem {
        ArgumentProblem { argument: argument.into(), message: message.into() }
    }
}

/// Converts the validator's errors into messages: one problem per argument.
pub(super) fn from_validation<'a>(
    errors: impl Iterator<Item = ValidationError<'a>>,
    schema: &Value,
) -> Vec<ArgumentProblem> {
    let mut problems: Vec<ArgumentProblem> = Vec::new();
    for problem in errors.flat_map(|error| explain(&error, schema)) {
        if problems.iter().all(|known| known.argument != problem.argument) {
            problems.push(problem);
        }
    }
    problems
}

fn explain(error: &ValidationError<'_>, schema: &Value) -> Vec<ArgumentProblem> {
    let (path, schema) = locate(error, schema);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|name| unknown(&path, name, schema)).collect()
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let allowed = json_schema::describe(&schema["properties"][name]);
            let argument = join(&path, name);
            vec![ArgumentProblem::new(&argument, format!("`{argument}` is missing: give {allowed}"))]
        }
        kind => {
            let allowed = match kind {
                // Only the validator knows this bound, see `compiled_schema::bounded`.
                ValidationErrorKind::Maximum { .. } if schema["maximum"].is_null() => {
                    "give a smaller number".to_owned()
                }
                _ => format!("give {}", json_schema::describe(schema)),
            };
            vec![ArgumentProblem::new(&path, format!("`{path}` is {}: {allowed}", show(error.instance())))]
        }
    }
}

fn unknown(path: &str, name: &str, schema: &Value) -> ArgumentProblem {
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let hint = match closest(name, known.iter().copied()) {
        Some(meant) => format!("perhaps `{meant}` is meant"),
        None if known.is_empty() => "this tool takes no arguments".to_owned(),
        None => format!("known are `{}`", known.join("`, `")),
    };
    let argument = join(path, &sanitize(name));
    let message = format!("unknown argument `{argument}`: {hint}");
    ArgumentProblem::new(argument, message)
}

/// Returns the argument of an error, as a path, and its schema.
fn locate<'a>(error: &ValidationError<'_>, schema: &'a Value) -> (String, &'a Value) {
    let mut path = String::new();
    let mut schema = schema;
    for segment in error.instance_path().segments() {
        match segment {
            LocationSegment::Property(name) => {
                schema = &schema["properties"][name.as_ref()];
                path = join(&path, &sanitize(&name));
            }
            LocationSegment::Index(index) => {
                schema = &schema["items"];
                path = format!("{path}[{index}]");
            }
        }
    }
    (path, schema)
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Returns a value as text, or its size if it is long.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().nth(SHOWN_CHARACTERS).is_some() => {
            format!("a text of {} characters", text.chars().count())
        }
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(members) => format!("an object with {} members", members.len()),
        short => short.to_string(),
    }
}

/// Returns a name as the caller wrote it, truncated and without control characters.
pub(super) fn sanitize(name: &str) -> String {
    let shown = name.chars().take(SHOWN_CHARACTERS).map(|c| if c.is_control() || c == '`' { '?' } else { c });
    let more = if name.chars().nth(SHOWN_CHARACTERS).is_some() { "…" } else { "" };
    shown.collect::<String>() + more
}

/// Returns a caller's name safe to be shown: cut, and without control characters.
pub fn shown_name(name: &str) -> String {
    sanitize(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_values_are_not_echoed() {
        assert_eq!(show(&json!("short")), "\"short\"");
        assert_eq!(show(&json!("x".repeat(5000))), "a text of 5000 characters");
        assert_eq!(show(&json!([1, 2])), "a list of 2");
        assert_eq!(show(&json!({"a": 1})), "an object with 1 members");
        assert_eq!(sanitize(&"x".repeat(5000)).chars().count(), SHOWN_CHARACTERS + 1);
        assert_eq!(sanitize("a\nb`c"), "a?b?c");
    }

    #[test]
    fn many_problems_are_listed_up_to_a_bound() {
        let problems: Vec<ArgumentProblem> =
            (0..12).map(|n| ArgumentProblem::new(format!("a{n}"), format!("`a{n}` is wrong"))).collect();
        let one = ArgumentError { tool: "t".into(), problems: problems[..1].to_vec() };
        assert_eq!(one.to_string(), "t: `a0` is wrong. Nothing was sent to OwnerRez.");
        let many = ArgumentError { tool: "t".into(), problems }.to_string();
        assert!(many.contains("\n- `a9` is wrong.\n- and 2 more.\nNothing was sent"), "{many}");
    }
}
