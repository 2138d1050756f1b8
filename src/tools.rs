//! What a model can do: the tools, over the sessions. This room knows nothing of HTTP; whatever speaks MCP calls it.

mod links;
mod text;
mod trace;

use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, Tool};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

pub use self::{
    links::{ConnectLinks, LINK_PATH, LinkError, LinkWay, OpenLink},
    trace::Trace,
};
use crate::{
    catalog::{Catalog, Operation},
    domain::Caller,
    metrics::Metrics,
    session::Sessions,
};

/// The outcome of a call that the caller's key does not allow.
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";
/// The outcome of a call whose arguments were refused before anything was sent.
const BAD_ARGUMENTS: &str = "invalid_arguments";

/// The predecessor's tool that told where to connect. Its users' clients may still call it; it is not listed, because
/// every tool tells that address when it is needed.
const CONNECT_TOOL: &str = "get_oauth_url";

/// Every tool. Cheap to clone.
#[derive(Clone)]
pub struct Toolbox(Arc<Parts>);

/// What the tools work with.
pub struct Parts {
    /// The operations of OwnerRez.
    pub catalog: Catalog,
    /// The way to the users' accounts.
    pub sessions: Sessions,
    /// For users who have not connected an account.
    pub links: ConnectLinks,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Called {
    /// The tool's name, as logs and counters know it.
    pub tool: String,
    /// What the model gets.
    pub result: CallToolResult,
    /// What the log learns.
    pub trace: Trace,
}

/// There is no tool of that name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownTool {
    /// One that may have been meant.
    pub near: Option<String>,
}

impl Toolbox {
    /// A toolbox over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The tools that this caller may use, as `tools/list` shows them.
    pub fn list(&self, caller: &Caller) -> Vec<Tool> {
        self.0.catalog.tools(caller.scope)
    }

    /// One tool by its name.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        self.0.catalog.get(name).map(|operation| operation.tool().clone())
    }

    /// Calls a tool. Cancelling drops what waits and gives a running read up; a write that was sent runs to its end.
    pub async fn call(
        &self,
        caller: &Caller,
        name: &str,
        arguments: Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Result<Called, UnknownTool> {
        if name == CONNECT_TOOL {
            let text = text::how_to_connect(&self.0.links, caller).await;
            let result = CallToolResult::success(vec![ContentBlock::text(text)]);
            return Ok(Called { tool: CONNECT_TOOL.to_owned(), result, trace: Trace::default() });
        }
        let Some(operation) = self.0.catalog.get(name) else {
            return Err(UnknownTool { near: self.0.catalog.suggest(name).map(str::to_owned) });
        };
        let (result, trace) = self.run(operation, caller, &arguments, cancel).await;
        self.0.metrics.tool_call(operation.name(), trace.error.unwrap_or("ok"));
        Ok(Called { tool: operation.name().to_owned(), result, trace })
    }

    async fn run(
        &self,
        operation: &Operation,
        caller: &Caller,
        arguments: &Map<String, Value>,
        cancel: &CancellationToken,
    ) -> (CallToolResult, Trace) {
        if !operation.is_within(caller.scope) {
            return (failed(text::beyond_scope(operation.name())), Trace::error(INSUFFICIENT_SCOPE));
        }
        let request = match operation.request(arguments) {
            Ok(request) => request,
            Err(problem) => return (failed(problem.to_string()), Trace::error(BAD_ARGUMENTS)),
        };
        let outcome = self.0.sessions.call(caller.user, request.clone(), cancel).await;
        let trace = Trace::of(&outcome);
        let result = match outcome {
            Ok(answer) => answered(operation.answer(&request, answer.status, answer.body)),
            Err(error) => failed(text::explain(&self.0.links, caller, operation, &error).await),
        };
        (result, trace)
    }
}

fn answered(answer: Value) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(answer.to_string())]);
    result.structured_content = Some(answer);
    result
}

fn failed(text: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
