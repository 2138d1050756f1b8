//! How a response is to be shown: the requested members, as a table or as JSON.

use serde_json::{Map, Value};

use super::{
    argument_names::{FIELDS, FORMAT},
    problem::ArgumentProblem,
    record::RecordSchema,
};

/// How a response is to be shown.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct View {
    /// Paths of members; empty for the default members.
    pub(super) fields: Vec<String>,
    /// Whether records are shown as a table.
    pub(super) table: bool,
    /// Whether long texts are shown in full.
    pub(super) uncut: bool,
}

impl View {
    /// Returns the view that these validated arguments select.
    pub(super) fn of(arguments: &Map<String, Value>) -> Self {
        let fields = arguments.get(FIELDS).and_then(Value::as_array).into_iter().flatten();
        Self {
            fields: fields.filter_map(Value::as_str).map(in_record).collect(),
            table: arguments.get(FORMAT).is_some_and(|format| format == "table"),
            uncut: false,
        }
    }

    /// Returns the same with long texts in full, for readers that cannot request a text again.
    pub fn uncut(self) -> Self {
        Self { uncut: true, ..self }
    }

    /// Returns an error for each requested member that does not exist.
    pub(super) fn validate_fields(&self, kind: &RecordSchema) -> Vec<ArgumentProblem> {
        self.fields.iter().filter_map(|path| kind.validate_path(path)).collect()
    }

    /// Returns whether any part of this member is requested.
    pub fn wants(&self, path: &str) -> bool {
        let leads = |field: &String| field == path || within(path, field) || within(field, path);
        self.fields.is_empty() || self.fields.iter().any(leads)
    }
}

/// Returns a path relative to the record: models also copy paths from whole responses.
fn in_record(path: &str) -> String {
    path.trim().strip_prefix("items.").unwrap_or(path.trim()).replace("[]", "")
}

/// The default view.
pub(super) static DEFAULT_VIEW: View = View { fields: Vec::new(), table: false, uncut: false };

/// Returns whether one path is below another.
pub(super) fn within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}
