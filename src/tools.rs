//! The tools that models call, on top of the sessions. This module is independent of HTTP; the MCP server calls it.
//!
//! - `toolbox`: all tools: their list, and one path for every call; `target`: what a name leads to; `access`: whether
//!   the caller may call it; `tool_call`, `outcome`, `call_log_info`: a call, its outcome, and the logged part
//! - `run`: runs an operation of OwnerRez; `by_word`: the second attempt of a search for several words
//! - `writes`: the checks for every write; `confirm`: the user's consent; `drafts`: messages in two steps; `question`:
//!   the confirmation question; `write_messages`: the texts
//! - `composite`: composite tools that combine several operations
//! - `tool_selection`: the tools of a connection; `tool_search`: finding and calling the others
//! - `links`: connect links; `error_messages`: error texts; `resources`, `prompts`: MCP resources and prompts

mod access;
mod by_word;
mod call_log_info;
mod client_elicitation;
mod composite;
mod confirm;
mod drafts;
mod error_messages;
mod invocation;
mod links;
mod outcome;
mod prompts;
mod question;
mod request_digests;
mod resources;
mod run;
mod target;
#[cfg(test)]
mod tests;
mod tool_call;
mod tool_deps;
mod tool_search;
mod tool_selection;
mod toolbox;
mod unknown_tool;
mod write_messages;
mod writes;

pub use self::{
    call_log_info::CallLogInfo,
    client_elicitation::{ClientElicitation, ElicitationReply},
    composite::CompositeTools,
    links::{ACCOUNT_PATH, ConnectLinks, ConnectMode, LINK_PATH, LinkError, OpenLink},
    outcome::{CompletedCall, Outcome},
    prompts::Prompts,
    resources::{ReadError, Resources},
    tool_call::{CallContext, ToolCall},
    tool_deps::ToolDeps,
    tool_search::ToolSearch,
    tool_selection::{NameKind, ToolSelection, ToolSelectionRequest, Toolsets, UnknownName},
    toolbox::{ToolTables, Toolbox},
    unknown_tool::UnknownTool,
};
