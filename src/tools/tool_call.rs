//! A call of a tool, and its context.

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{client_elicitation::ClientElicitation, tool_selection::ToolSelection};
use crate::domain::Principal;

/// The parsed parameters of `tools/call`.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolCall {
    /// The requested tool.
    pub name: String,
    /// Its arguments, not checked yet.
    pub arguments: Map<String, Value>,
}

/// The context of a call: the user, the connection, and the client's abilities.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// The caller.
    pub caller: &'a Principal,
    /// The tools of the connection.
    pub selection: &'a ToolSelection,
    /// How the client can ask its user, and the user's reply.
    pub elicitation: &'a ClientElicitation,
    /// Removes a waiting call and aborts a running read. A write that was sent runs to completion.
    pub cancel: &'a CancellationToken,
}
