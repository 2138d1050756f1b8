//! The gateway's own tools that a table describes.

use super::{
    catalog_error::CatalogError,
    lint,
    record::{RECORD_SCHEMAS, record_schemas},
    tool_definition::{ToolDefinition, ToolSpec},
};

/// Returns the gateway's own tools that a table describes, in its order.
pub fn tool_definitions(table: &str) -> Result<Vec<ToolDefinition>, CatalogError> {
    let records: Vec<ToolSpec> =
        serde_json::from_str(table).map_err(|error| CatalogError { errors: vec![error.to_string()] })?;
    let schemas = record_schemas(RECORD_SCHEMAS).map_err(|errors| CatalogError { errors })?;
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
