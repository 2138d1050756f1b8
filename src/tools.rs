//! What a model can do: the tools, over the sessions. This room knows nothing of HTTP; whatever speaks MCP calls it.

mod answers;
mod choice;
mod links;
mod on_demand;
mod prompts;
mod resources;
#[cfg(test)]
mod tests;
mod text;
mod trace;

use std::{collections::BTreeSet, sync::Arc};

use rmcp::model::{CallToolResult, ContentBlock, Tool};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    answers::Answers,
    choice::{Choice, Toolsets, UnknownName, Wishes, is_yes},
    links::{ConnectLinks, LINK_PATH, LinkError, LinkWay, OpenLink},
    on_demand::OnDemand,
    prompts::Prompts,
    resources::{Resources, Unread},
    trace::Trace,
};
use self::{
    choice::Kind,
    on_demand::{CALL_OPERATION, FIND_OPERATION},
};
use crate::{
    catalog::{self, Catalog, Operation, Shown},
    domain::{Caller, Scope},
    metrics::Metrics,
    session::Sessions,
};

/// The outcome of a call that the caller's key does not allow.
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";
/// The outcome of a call whose arguments were refused before anything was sent.
const BAD_ARGUMENTS: &str = "invalid_arguments";

/// The outcome of a call of an operation that there is not.
const UNKNOWN_OPERATION: &str = "unknown_operation";
/// The outcome of a call of a tool that the connection did not choose.
const NOT_CHOSEN: &str = "tool_not_chosen";

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
    /// The ways to what is not listed.
    pub on_demand: OnDemand,
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

    /// The tools that a request of this caller chooses.
    ///
    /// # Errors
    /// A name that is no toolset's or no tool's.
    pub fn choose(&self, caller: &Caller, wishes: &Wishes) -> Result<Choice, UnknownName> {
        let known: BTreeSet<&str> = self.kinds().map(|(kind, _)| kind.name).collect();
        Choice::new(caller, wishes, &known, CALL_OPERATION)
    }

    /// The chosen tools as `tools/list` shows them, ordered by name: the same list for the same choice.
    pub fn list(&self, choice: &Choice) -> Vec<Tool> {
        let chosen = self.kinds().filter(|(kind, _)| choice.lists(*kind));
        let mut tools: Vec<Tool> = chosen.map(|(_, tool)| tool.clone()).collect();
        if choice.is_read_only() {
            tools = tools.into_iter().map(OnDemand::reading).collect();
        }
        tools.sort_by(|one, other| one.name.cmp(&other.name));
        tools
    }

    /// Every tool, and what there is to choose it by.
    fn kinds(&self) -> impl Iterator<Item = (Kind<'_>, &Tool)> {
        let operations = self.0.catalog.operations().map(|operation| (Kind::from(operation), operation.tool()));
        let answers = self.0.answers.all().map(|answer| (answer.kind(), answer.tool()));
        operations.chain(answers).chain(self.0.on_demand.kinds())
    }

    /// One tool by its name.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        self.kinds().find(|(kind, _)| kind.name == name).map(|(_, tool)| tool.clone())
    }

    /// Calls a tool. Cancelling drops what waits and gives a running read up; a write that was sent runs to its end.
    pub async fn call(
        &self,
        caller: &Caller,
        choice: &Choice,
        name: &str,
        arguments: Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Result<Called, UnknownTool> {
        if name == CONNECT_TOOL && choice.is_open() {
            let text = text::how_to_connect(&self.0.links, caller).await;
            let result = CallToolResult::success(vec![ContentBlock::text(text)]);
            return Ok(Called { tool: CONNECT_TOOL.to_owned(), result, trace: Trace::default() });
        }
        let called = match name {
            CALL_OPERATION if self.not_chosen(choice, caller, name).is_none() => {
                match self.0.on_demand.passed_on(arguments) {
                    Ok((inner, arguments)) => match self.call_tool(caller, choice, &inner, arguments, cancel).await {
                        Ok(called) => called,
                        Err(UnknownTool { near }) => {
                            let (result, trace) = (failed(text::no_operation(near)), Trace::error(UNKNOWN_OPERATION));
                            Called { tool: CALL_OPERATION.to_owned(), result, trace }
                        }
                    },
                    Err(problem) => {
                        let (result, trace) = (failed(problem), Trace::error(BAD_ARGUMENTS));
                        Called { tool: CALL_OPERATION.to_owned(), result, trace }
                    }
                }
            }
            name => self.call_tool(caller, choice, name, arguments, cancel).await?,
        };
        self.0.metrics.tool_call(&called.tool, called.trace.error.unwrap_or("ok"));
        Ok(called)
    }

    /// Calls anything but what calls others.
    async fn call_tool(
        &self,
        caller: &Caller,
        choice: &Choice,
        name: &str,
        arguments: Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Result<Called, UnknownTool> {
        let (tool, result, trace) = if let Some(refused) = self.not_chosen(choice, caller, name) {
            (name.to_owned(), failed(refused), Trace::error(NOT_CHOSEN))
        } else if let Some(answer) = self.0.answers.get(name) {
            let (given, trace) = answer.give(&self.0, caller, arguments, cancel).await;
            (answer.name().to_owned(), given.map_or_else(failed, answered), trace)
        } else if name == FIND_OPERATION {
            let found = self.0.on_demand.find(&self.0.catalog, choice, arguments);
            let trace = found.as_ref().map_or(Trace::error(BAD_ARGUMENTS), |_| Trace::default());
            (name.to_owned(), found.map_or_else(failed, answered), trace)
        } else if let Some(operation) = self.0.catalog.get(name) {
            let (result, trace) = self.run(operation, caller, &arguments, cancel).await;
            (operation.name().to_owned(), result, trace)
        } else {
            return Err(self.unknown(name));
        };
        Ok(Called { tool, result, trace })
    }

    /// Why a tool that there is cannot be called here.
    fn not_chosen(&self, choice: &Choice, caller: &Caller, name: &str) -> Option<String> {
        let (kind, _) = self.kinds().find(|(kind, _)| kind.name == name)?;
        if !choice.holds(kind) {
            return Some(text::not_chosen(name));
        }
        // What the key's own scope forbids is told as that.
        (!choice.reaches(kind) && caller.scope == Scope::Full).then(|| text::reads_only(name))
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
        UnknownTool {
            near: catalog::suggest(name, self.kinds().map(|(kind, _)| kind.name).filter(|known| *known != name))
                .map(str::to_owned),
        }
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
            Ok(answer) => {
                let whole = operation.answer(&request, answer.status, answer.body);
                shown(operation.show(&operation.view(arguments), whole))
            }
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

/// What a lean answer is on the wire.
fn shown(shown: Shown) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(shown.text)]);
    result.structured_content = shown.structured;
    result
}

fn failed(text: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
