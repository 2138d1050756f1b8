//! The tools, as data: `config/operations.json` contains one record for each operation of OwnerRez. This module
//! validates the table once, then converts arguments to upstream requests and upstream responses to tool responses. It
//! does no I/O and depends on no tool name: a new operation is a new record.
//!
//! - `spec`: a record of the table, as written
//! - `lint`: validation of a record
//! - `operation_table`: all operations of the table, validated
//! - `schema`: record → the JSON Schema that clients see
//! - `json_schema`, `compiled_schema`: what a schema allows in words, and the validator built from it
//! - `published`: the schema of the validator → the one that every known client can load
//! - `extras`: arguments that clients send in addition to those of a tool
//! - `tool_definition`: the arguments of any tool: an operation of OwnerRez, or one of the gateway's own tools
//! - `own_tools`: the gateway's own tools that a table describes
//! - `argument_names`: the arguments that the gateway adds to those of an operation
//! - `coerce`: lenient parsing of arguments, where the meaning is certain
//! - `problem`: what is wrong with arguments, in words a model can act on
//! - `request`: arguments → [`UpstreamRequest`](crate::domain::UpstreamRequest)
//! - `normalize`: the response of OwnerRez → the whole response
//! - `record`: the known members of the records in it
//! - `view`, `render`, `rendered_response`: the whole response → the part that the model gets
//! - `output`: the output schemas of responses
//! - `options`: the options of every write: repetition, idempotency key, confirmation
//! - `effect`: the records that a write changes, its arguments, and the read that shows whether it was made
//! - `probe`: the requests of a probe of the real OwnerRez, and how its responses differ from this description
//! - `suggestions`: "did you mean", with the help of `closest`, of `act`, which never suggests another act than the
//!   requested one, and of `unsupported`, what no operation does

mod act;
mod argument_names;
mod catalog_error;
mod closest;
mod coerce;
mod compiled_schema;
mod effect;
mod extras;
mod fill;
mod json_schema;
mod lint;
mod normalize;
mod operation;
mod operation_table;
mod options;
mod output;
mod own_tools;
pub mod probe;
mod problem;
mod published;
mod record;
mod render;
mod rendered_response;
mod request;
mod schema;
mod spec;
mod suggestions;
mod tool_definition;
mod unsupported;
mod view;

#[cfg(test)]
mod tests;

pub use self::{
    catalog_error::CatalogError,
    effect::VerificationRead,
    normalize::UnreadableResponse,
    operation::Operation,
    operation_table::Catalog,
    options::WriteOptions,
    output::matches_schema,
    own_tools::tool_definitions,
    problem::{ArgumentError, ArgumentProblem, shown_name},
    rendered_response::RenderedResponse,
    spec::Toolset,
    suggestions::suggest,
    tool_definition::ToolDefinition,
    view::View,
};
