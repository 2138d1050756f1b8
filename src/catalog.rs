//! The tools, as data: `config/operations.json` contains one record for each operation of OwnerRez. This module
//! validates the table once, then converts arguments to upstream requests and upstream responses to tool responses. It
//! does no I/O and depends on no tool name: a new operation is a new record.
//!
//! - `spec`: a record of the table, as written
//! - `lint`: validation of a record
//! - `schema`: record → the JSON Schema that clients see and the validator built from it
//! - `published`: the schema of the validator → the one that every known client can load
//! - `extras`: arguments that clients send in addition to those of a tool
//! - `tool_definition`: the arguments of any tool: an operation of OwnerRez, or one of the gateway's own tools
//! - `coerce`: lenient parsing of arguments, where the meaning is certain
//! - `problem`: what is wrong with arguments, in words a model can act on
//! - `request`: arguments → [`UpstreamRequest`]
//! - `normalize`: the response of OwnerRez → the whole response
//! - `record`: the known members of the records in it
//! - `view`: the whole response → the part that the model gets
//! - `output`: the output schemas of responses
//! - `options`: the options of every write: repetition, idempotency key, confirmation
//! - `effect`: the records that a write changes, its arguments, and the read that shows whether it was made
//! - `probe`: the requests of a probe of the real OwnerRez, and how its responses differ from this description
//! - `closest`: "did you mean"; `act`: never suggests another act than the requested one; `unsupported`: what no
//!   operation does

mod act;
mod closest;
mod coerce;
mod effect;
mod extras;
mod fill;
mod lint;
mod normalize;
mod operation;
mod options;
mod output;
pub mod probe;
mod problem;
mod published;
mod record;
mod request;
mod schema;
mod spec;
mod tool_definition;
mod unsupported;
mod view;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

pub use self::{
    effect::VerificationRead,
    normalize::UnreadableResponse,
    operation::Operation,
    options::WriteOptions,
    problem::{ArgumentError, ArgumentProblem},
    spec::Toolset,
    tool_definition::ToolDefinition,
    view::{RenderedResponse, View},
};
use self::{record::RecordSchema, spec::OperationSpec, tool_definition::ToolSpec};
use crate::domain::{Scope, UpstreamRequest};

/// The table of record kinds.
const RECORD_SCHEMAS: &str = include_str!("../config/records.json");

/// Every operation of the gateway, validated and ready.
pub struct Catalog {
    operations: BTreeMap<String, Operation>,
}

/// The table is invalid. Lists every mistake found, so that all can be corrected at once.
#[derive(Debug, thiserror::Error)]
#[error("the table of operations has {} mistake(s):\n- {}", .errors.len(), .errors.join("\n- "))]
pub struct CatalogError {
    /// One sentence per mistake, beginning with the operation's name where it is known.
    pub errors: Vec<String>,
}

impl Catalog {
    /// Returns the catalogue that is compiled into the program.
    pub fn embedded() -> Result<Catalog, CatalogError> {
        Catalog::parse(include_str!("../config/operations.json"), RECORD_SCHEMAS)
    }

    fn parse(table: &str, schemas: &str) -> Result<Catalog, CatalogError> {
        let schemas = record::record_schemas(schemas).map_err(|errors| CatalogError { errors })?;
        let records: Vec<Value> =
            serde_json::from_str(table).map_err(|error| CatalogError { errors: vec![error.to_string()] })?;
        let mut operations = BTreeMap::new();
        let mut errors = Vec::new();
        for (index, record) in records.into_iter().enumerate() {
            let name = record["tool"].as_str().map_or_else(|| format!("record {index}"), str::to_owned);
            match build(record, &schemas) {
                Ok(operation) => {
                    if operations.insert(name.clone(), operation).is_some() {
                        errors.push(format!("{name}: the name is used twice"));
                    }
                }
                Err(found) => errors.extend(found.into_iter().map(|mistake| format!("{name}: {mistake}"))),
            }
        }
        if errors.is_empty() { Ok(Catalog { operations }) } else { Err(CatalogError { errors }) }
    }

    /// Returns the operation of a tool name.
    pub fn get(&self, name: &str) -> Option<&Operation> {
        self.operations.get(name)
    }

    /// Returns all operations, ordered by name.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.values()
    }

    /// Returns the tools of a scope as `tools/list` shows them by default, ordered by name: only the most commonly
    /// needed ones, because every connected model reads the whole list. The others can also be called.
    pub fn tools(&self, scope: Scope) -> Vec<Tool> {
        self.select(scope, Operation::is_default)
    }

    /// Returns all tools of a scope, ordered by name.
    pub fn all_tools(&self, scope: Scope) -> Vec<Tool> {
        self.select(scope, |_| true)
    }

    /// Copies tools. They were made once, when the catalogue was built; a copy shares their schemas.
    fn select(&self, scope: Scope, wanted: impl Fn(&Operation) -> bool) -> Vec<Tool> {
        let within = self.operations().filter(|operation| operation.is_allowed_for(scope) && wanted(operation));
        within.map(|operation| operation.tool().clone()).collect()
    }

    /// Returns the tools that show what others would send, ordered by name.
    pub fn drafts(&self) -> impl Iterator<Item = &Tool> {
        self.operations().filter_map(Operation::draft)
    }

    /// Returns the operation for which the tool of this name makes drafts.
    pub fn drafted_by(&self, name: &str) -> Option<&Operation> {
        self.operations().find(|operation| operation.draft().is_some_and(|tool| tool.name == name))
    }

    /// Returns the read that shows whether a write sent at this time was made: of the same record, or of the list that
    /// would contain it.
    pub fn verification_read(
        &self,
        write: &Operation,
        request: &UpstreamRequest,
        sent_at: DateTime<Utc>,
    ) -> Option<VerificationRead> {
        let at = |path: &str| self.operations().find(|other| other.is_read_only() && other.path() == path);
        let read = effect::ancestor_paths(write.path()).find_map(at)?;
        let arguments = effect::arguments_for(read.spec(), &write.arguments_of(request), sent_at);
        Some(VerificationRead { tool: read.name().to_owned(), arguments })
    }

    /// Returns the name that was probably meant by one that does not exist.
    pub fn suggest(&self, name: &str) -> Option<&str> {
        suggest(name, self.operations.keys().map(String::as_str)).or_else(|| self.same_act(name))
    }
}

fn build(record: Value, schemas: &BTreeMap<String, Arc<RecordSchema>>) -> Result<Operation, Vec<String>> {
    let spec: OperationSpec = serde_json::from_value(record).map_err(|error| vec![error.to_string()])?;
    let mut errors = lint::lint_operation(&spec);
    let kind = match &spec.record {
        Some(name) => schemas.get(name).cloned().unwrap_or_else(|| {
            errors.push(format!("`record` names `{name}`, which is not in the table of kinds"));
            Arc::default()
        }),
        None => Arc::default(),
    };
    if errors.is_empty() { Operation::new(spec, kind) } else { Err(errors) }
}

/// Returns the gateway's own tools that a table describes, in its order.
pub fn tool_definitions(table: &str) -> Result<Vec<ToolDefinition>, CatalogError> {
    let records: Vec<ToolSpec> =
        serde_json::from_str(table).map_err(|error| CatalogError { errors: vec![error.to_string()] })?;
    let schemas = record::record_schemas(RECORD_SCHEMAS).map_err(|errors| CatalogError { errors })?;
    let (mut definitions, mut errors) = (Vec::new(), Vec::new());
    for record in records {
        let name = record.tool.clone();
        let found = lint::lint_tool(&record);
        let definition = if found.is_empty() { ToolDefinition::of(record, &schemas) } else { Err(found) };
        match definition {
            Ok(definition) => definitions.push(definition),
            Err(found) => errors.extend(found.into_iter().map(|mistake| format!("{name}: {mistake}"))),
        }
    }
    if errors.is_empty() { Ok(definitions) } else { Err(CatalogError { errors }) }
}

/// Returns whether a response matches the output schema that clients were given.
pub fn matches_schema(answer: &Value, schema: &JsonObject) -> bool {
    output::matches_schema(answer, schema)
}

/// Returns the one of these names that was probably meant by one that does not exist. If both names state an act, it is
/// the same act.
pub fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    closest::closest(name, known.filter(|candidate| act::acts_agree(name, candidate)))
}

/// Returns a caller's name safe to be shown: cut, and without control characters.
pub fn shown_name(name: &str) -> String {
    problem::sanitize(name)
}
