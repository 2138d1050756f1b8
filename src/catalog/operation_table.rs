//! The table of operations: read, validated, and searched by name, scope and path.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use rmcp::model::Tool;
use serde_json::Value;

use super::{
    catalog_error::CatalogError,
    effect::{self, VerificationRead},
    lint,
    operation::Operation,
    record::{RECORD_SCHEMAS, RecordSchema, record_schemas},
    spec::OperationSpec,
};
use crate::domain::{Scope, UpstreamRequest};

/// Every operation of the gateway, validated and ready.
pub struct Catalog {
    operations: BTreeMap<String, Operation>,
}

impl Catalog {
    /// Returns the catalogue that is compiled into the program.
    pub fn embedded() -> Result<Catalog, CatalogError> {
        Catalog::parse(include_str!("../../config/operations.json"), RECORD_SCHEMAS)
    }

    pub(super) fn parse(table: &str, schemas: &str) -> Result<Catalog, CatalogError> {
        let schemas = record_schemas(schemas).map_err(|errors| CatalogError { errors })?;
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
