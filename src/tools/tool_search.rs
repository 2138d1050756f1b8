//! Access to the operations that `tools/list` leaves out: finding an operation by words, and calling it by its name.
//! The two tools and the synonyms are in `config/on_demand.json`.

mod index;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rmcp::model::{Tool, ToolAnnotations};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::index::Index;
use super::tool_selection::{ToolInfo, ToolSelection};
use crate::catalog::{self, Catalog, CatalogError, Operation, ToolDefinition, WriteOptions};

/// Finds operations that are not listed.
pub(super) const FIND_OPERATION: &str = "find_operation";
/// Calls operations that are not listed.
pub(super) const CALL_OPERATION: &str = "call_operation";

/// The number of found operations that are shown with their arguments: these are long, and one of the first results is
/// usually meant.
const SCHEMAS_SHOWN: usize = 3;
/// The default in the tool's schema.
const DEFAULT_LIMIT: u64 = 5;

/// The two tools, validated and ready.
pub struct ToolSearch {
    find: ToolDefinition,
    call: ToolDefinition,
    index: Index,
}

/// A call that is forwarded to another tool.
pub(super) struct ForwardedCall {
    /// Name of that tool.
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    /// A notice for each ignored name.
    pub(super) ignored: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    tools: Value,
    /// Words that are not significant for a search.
    #[serde(rename = "passed_over")]
    stop_words: BTreeSet<String>,
    /// For a word that users say, the words that operations use.
    synonyms: BTreeMap<String, Vec<String>>,
}

impl ToolSearch {
    /// Returns the tools that are compiled into the program, for this catalogue.
    pub fn embedded(catalog: &Catalog) -> Result<Self, CatalogError> {
        let broken = |what: String| CatalogError { errors: vec![format!("the tools on demand: {what}")] };
        let table: Table = serde_json::from_str(include_str!("../../config/on_demand.json"))
            .map_err(|error| broken(error.to_string()))?;
        let mut definitions = catalog::tool_definitions(&table.tools.to_string())?.into_iter();
        let (Some(find), Some(call), None) = (definitions.next(), definitions.next(), definitions.next()) else {
            return Err(broken("there must be exactly two".to_owned()));
        };
        if (find.name(), call.name()) != (FIND_OPERATION, CALL_OPERATION) {
            return Err(broken("they have unexpected names".to_owned()));
        }
        Ok(Self { find, call, index: Index::new(catalog, &table.stop_words, &table.synonyms) })
    }

    /// Returns both tools, as `tools/list` shows them.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        [self.find.tool(), self.call.tool()].into_iter()
    }

    /// Returns both tools with the attributes for the selection. In a read-only selection, calling is limited to
    /// reading.
    pub(super) fn tool_infos(&self) -> impl Iterator<Item = (ToolInfo<'_>, &Tool)> {
        [&self.find, &self.call]
            .into_iter()
            .map(|definition| (ToolInfo::of_tool_search(definition.name()), definition.tool()))
    }

    /// Returns the tool as a read-only selection shows it.
    pub(super) fn reading(tool: Tool) -> Tool {
        let hints = ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(true);
        if tool.name == CALL_OPERATION { tool.with_annotations(hints) } else { tool }
    }

    /// Returns the operations that match these arguments, as far as the selection allows them.
    pub(super) fn find(
        &self,
        catalog: &Catalog,
        selection: &ToolSelection,
        arguments: Map<String, Value>,
    ) -> Result<Value, String> {
        let arguments = self.find.check(arguments).map_err(|problem| problem.to_string())?;
        let query = arguments.get("query").and_then(Value::as_str).unwrap_or_default();
        let limit = arguments.get("limit").and_then(Value::as_u64).unwrap_or(DEFAULT_LIMIT);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut listed, mut found) = (Vec::new(), Vec::new());
        let best = self.index.search(query);
        let cannot = if catalog.get(query.trim()).is_some() {
            None
        } else {
            catalog.impossible(&self.index.significant_words(query))
        };
        let operations = best.iter().filter_map(|name| catalog.get(name));
        // If the requested act is impossible, no operation that changes something else is offered instead.
        let operations = operations.filter(|operation| cannot.is_none() || operation.is_read_only());
        for operation in operations.filter(|operation| selection.can_call(ToolInfo::from(*operation))) {
            if !selection.lists(ToolInfo::from(operation)) {
                found.push(operation);
            } else if found.is_empty() {
                // Only operations that match better than all found ones.
                listed.push(operation.name());
            }
        }
        let shown = found.iter().take(limit).enumerate().map(|(rank, operation)| {
            let tool = operation.tool();
            let mut shown = json!({
                "name": tool.name,
                "title": tool.title,
                "description": tool.description,
                "read_only": operation.is_read_only(),
                "destructive": operation.is_destructive(),
            });
            if rank < SCHEMAS_SHOWN {
                shown["input_schema"] = json!(tool.input_schema);
            }
            if tool.name == query.trim()
                && let Some(schema) = operation.output_schema()
            {
                shown["output_schema"] = json!(schema);
            }
            shown
        });
        let mut answer = json!({"operations": shown.collect::<Vec<_>>()});
        let is_possible = cannot.is_none();
        if let Some(cannot) = cannot {
            answer["cannot"] = json!(cannot);
        }
        listed.truncate(SCHEMAS_SHOWN);
        if !listed.is_empty() {
            answer["already_listed"] = json!(listed);
        }
        answer["note"] = json!(match (found.is_empty(), listed.is_empty()) {
            _ if !is_possible => "No operation does what was asked, see `cannot`. The operations shown only read.",
            (false, _) =>
                "Call one with call_operation. Where input_schema is missing, find the operation by its name.",
            (true, false) => "The tools already in your list cover this; no other operation matches.",
            (true, true) if selection.allows_unlisted() =>
                "No operation matches. Use other words, such as the kind of record.",
            (true, true) => "This connection has a tool selection, and all of its tools are listed.",
        });
        Ok(answer)
    }

    /// Returns the definition of the tool that finds operations.
    pub(super) fn find_definition(&self) -> &ToolDefinition {
        &self.find
    }

    /// Parses which operation is to be called, and with which arguments.
    ///
    /// # Errors
    /// What is wrong with the arguments, in words.
    pub(super) fn unwrap_call(
        &self,
        catalog: &Catalog,
        mut arguments: Map<String, Value>,
    ) -> Result<ForwardedCall, String> {
        let named = arguments.get("name").and_then(Value::as_str).unwrap_or_default();
        let reads = catalog.get(named).is_none_or(Operation::is_read_only) && catalog.drafted_by(named).is_none();
        let ignored = self.call.remove_ignored(&mut arguments, reads);
        // The schema checks the listed options; the unlisted ones are options of every write.
        let properties = self.call.tool().input_schema.get("properties");
        let is_listed = |name: &str| properties.is_some_and(|properties| properties.get(name).is_some());
        let mut unlisted = Map::new();
        for name in WriteOptions::NAMES.into_iter().filter(|name| !is_listed(name)) {
            unlisted.extend(arguments.remove_entry(name));
        }
        let mut arguments = self.call.check(arguments).map_err(|problem| problem.to_string())?;
        arguments.extend(unlisted);
        let options = WriteOptions::NAMES.into_iter().filter_map(|name| Some((name, arguments.remove(name)?)));
        let options: Vec<(&str, Value)> = options.filter(|(name, value)| WriteOptions::is_given(name, value)).collect();
        let name = arguments.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut inner = match arguments.remove("arguments") {
            Some(Value::Object(inner)) => inner,
            _ => Map::new(),
        };
        for (option, value) in options {
            let within = inner.entry(option).or_insert_with(|| value.clone());
            if *within != value {
                return Err(format!(
                    "call_operation: `{option}` is next to `name` and in `arguments`, with different values: give \
                     it once. Nothing was sent to OwnerRez."
                ));
            }
        }
        Ok(ForwardedCall { name, arguments: inner, ignored })
    }
}
