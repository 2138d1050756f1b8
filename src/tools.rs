//! What a model can do: the tools, over the sessions. This room knows nothing of HTTP; whatever speaks MCP calls it.

mod answers;
mod links;
mod prompts;
mod resources;
mod text;
mod trace;

use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, Tool};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    answers::Answers,
    links::{ConnectLinks, LINK_PATH, LinkError, LinkWay, OpenLink},
    prompts::Prompts,
    resources::{Resources, Unread},
    trace::Trace,
};
use crate::{
    catalog::{self, Catalog, Operation},
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
    /// The tools that ask several of them.
    pub answers: Answers,
    /// Records with addresses.
    pub resources: Resources,
    /// What clients show as commands.
    pub prompts: Prompts,
    /// The way to the users' accounts.
    pub sessions: Sessions,
    /// For users who have not connected an account.
    pub links: ConnectLinks,
    /// OwnerRez's own application, for links to its pages.
    pub app_url: Url,
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
        let mut tools = self.0.catalog.tools(caller.scope);
        tools.extend(self.0.answers.tools().cloned());
        tools.sort_by(|one, other| one.name.cmp(&other.name));
        tools
    }

    /// One tool by its name.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        let answer = self.0.answers.get(name);
        answer.map(|answer| answer.tool().clone()).or_else(|| Some(self.0.catalog.get(name)?.tool().clone()))
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
        let (tool, result, trace) = if let Some(answer) = self.0.answers.get(name) {
            let (given, trace) = answer.give(&self.0, caller, arguments, cancel).await;
            (answer.name().to_owned(), given.map_or_else(failed, answered), trace)
        } else if let Some(operation) = self.0.catalog.get(name) {
            let (result, trace) = self.run(operation, caller, &arguments, cancel).await;
            (operation.name().to_owned(), result, trace)
        } else {
            return Err(self.unknown(name));
        };
        self.0.metrics.tool_call(&tool, trace.error.unwrap_or("ok"));
        Ok(Called { tool, result, trace })
    }

    /// Records with addresses of their own, and those of which there are many.
    pub fn resources(&self) -> &Resources {
        &self.0.resources
    }

    /// What clients show as commands.
    pub fn prompts(&self) -> &Prompts {
        &self.0.prompts
    }

    /// Reads the record at an address; also the operation's name and what the log learns.
    pub async fn read(
        &self,
        caller: &Caller,
        uri: &str,
        cancel: &CancellationToken,
    ) -> (Result<Value, Unread>, String, Trace) {
        let (outcome, operation, trace) = self.0.resources.read(&self.0, caller, uri, cancel).await;
        self.0.metrics.tool_call(&operation, trace.error.unwrap_or("ok"));
        (outcome, operation, trace)
    }

    /// Ids of this kind of record that fit what was typed.
    pub async fn complete(&self, caller: &Caller, kind: &str, typed: &str, cancel: &CancellationToken) -> Vec<String> {
        self.0.resources.complete(&self.0, caller, kind, typed, cancel).await
    }

    fn unknown(&self, name: &str) -> UnknownTool {
        let operations = self.0.catalog.operations().map(Operation::name);
        let known = operations.chain(self.0.answers.tools().map(|tool| tool.name.as_ref()));
        UnknownTool { near: catalog::suggest(name, known).map(str::to_owned) }
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
    // Straight into a string; `Display` goes through a formatter, which takes several times as long. A value always
    // has a text.
    let text = serde_json::to_string(&answer).unwrap_or_default();
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(answer);
    result
}

fn failed(text: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
