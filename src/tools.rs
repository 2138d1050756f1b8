//! What a model can do: the tools, over the sessions. This room knows nothing of HTTP; whatever speaks MCP calls it.
//!
//! - `answers`: tools that answer a question, over many operations
//! - `writes`: the gate that every write passes; `confirm` whether a person agreed, `drafts` messages in two steps,
//!   `write_words` its texts
//! - `links`: connect links; `text`: errors in words; `trace`: what the log learns

mod answers;
mod confirm;
mod drafts;
mod links;
mod prompts;
mod resources;
mod text;
mod trace;
mod write_words;
mod writes;

use std::sync::Arc;

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, Tool};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    answers::Answers,
    confirm::{Person, PersonReply, QUESTION},
    links::{ConnectLinks, LINK_PATH, LinkError, LinkWay, OpenLink},
    prompts::Prompts,
    resources::{Resources, Unread},
    trace::Trace,
};
use self::{confirm::Consent, writes::Write};
use crate::{
    catalog::{self, ArgumentError, Catalog, Operation, WriteOptions},
    crypto::KeyRing,
    domain::{Caller, Scope, UpstreamRequest},
    metrics::Metrics,
    session::{CallError, Sessions},
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
    /// Seals drafts and confirmations, and makes the digests under which writes are recorded.
    pub ring: Arc<KeyRing>,
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
    /// What the model gets, or what its person is asked.
    pub response: CallToolResponse,
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
        if caller.scope == Scope::Full {
            tools.extend(self.0.catalog.drafts().cloned());
        }
        tools.sort_by(|one, other| one.name.cmp(&other.name));
        tools
    }

    /// One tool by its name.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        let answer = self.0.answers.get(name);
        answer
            .map(|answer| answer.tool().clone())
            .or_else(|| Some(self.0.catalog.get(name)?.tool().clone()))
            .or_else(|| self.0.catalog.drafted_by(name)?.draft().cloned())
    }

    /// Calls a tool. Cancelling drops what waits and gives a running read up; a write that was sent runs to its end.
    pub async fn call(
        &self,
        caller: &Caller,
        name: &str,
        arguments: Map<String, Value>,
        person: &Person,
        cancel: &CancellationToken,
    ) -> Result<Called, UnknownTool> {
        if name == CONNECT_TOOL {
            let text = text::how_to_connect(&self.0.links, caller).await;
            let result = CallToolResult::success(vec![ContentBlock::text(text)]);
            return Ok(Called { tool: CONNECT_TOOL.to_owned(), response: result.into(), trace: Trace::default() });
        }
        let (tool, response, trace) = if let Some(answer) = self.0.answers.get(name) {
            let (given, trace) = answer.give(&self.0, caller, arguments, cancel).await;
            (answer.name().to_owned(), given.map_or_else(failed, answered).into(), trace)
        } else if let Some(operation) = self.0.catalog.get(name) {
            let (response, trace) = self.run(operation, caller, arguments, person, cancel).await;
            (operation.name().to_owned(), response, trace)
        } else if let Some(operation) = self.0.catalog.drafted_by(name) {
            let (result, trace) = self.draft(name, operation, caller, &arguments).await;
            (name.to_owned(), result.into(), trace)
        } else {
            return Err(self.unknown(name));
        };
        self.0.metrics.tool_call(&tool, trace.error.unwrap_or("ok"));
        Ok(Called { tool, response, trace })
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
        let ours = self.0.answers.tools().chain(self.0.catalog.drafts());
        let known = operations.chain(ours.map(|tool| tool.name.as_ref()));
        UnknownTool { near: catalog::suggest(name, known).map(str::to_owned) }
    }

    /// The one way to an operation of OwnerRez's, by whatever tool.
    async fn run(
        &self,
        operation: &Operation,
        caller: &Caller,
        arguments: Map<String, Value>,
        person: &Person,
        cancel: &CancellationToken,
    ) -> (CallToolResponse, Trace) {
        if !operation.is_within(caller.scope) {
            return (failed(text::beyond_scope(operation.name())).into(), Trace::error(INSUFFICIENT_SCOPE));
        }
        let (request, options, draft) = match self.understood(operation, caller, arguments) {
            Ok(understood) => understood,
            Err((told, code)) => return (failed(told).into(), Trace::error(code)),
        };
        if operation.changes(&request) {
            return Write { parts: &self.0, caller, operation, request, options, draft, person, cancel }.pass().await;
        }
        let outcome = self.0.sessions.call(caller.user, request.clone(), cancel).await;
        let trace = Trace::of(&outcome);
        let result = match outcome {
            Ok(answer) => answered(operation.answer(&request, answer.status, answer.body)),
            Err(error) => failed(text::explain(&self.0.links, caller, operation, &error).await),
        };
        (result.into(), trace)
    }

    /// The request that the arguments ask for, how it is to be made, and the draft that it is made from; or what is wrong
    /// with them, and its code. What stands beside the id of a draft is held against that draft later.
    fn understood(
        &self,
        operation: &Operation,
        caller: &Caller,
        mut arguments: Map<String, Value>,
    ) -> Result<(UpstreamRequest, WriteOptions, Option<Consent>), (String, &'static str)> {
        let wrong = |problem: ArgumentError| (problem.to_string(), BAD_ARGUMENTS);
        let options = operation.options(&mut arguments).map_err(wrong)?;
        let beside = match operation.request(&arguments) {
            Ok(request) => Some(request),
            Err(_) if options.draft_id.is_some() && arguments.is_empty() => None,
            Err(problem) => {
                let told = match operation.draft() {
                    Some(tool) => format!("{problem} {}", write_words::or_a_draft(&tool.name)),
                    None => problem.to_string(),
                };
                return Err((told, BAD_ARGUMENTS));
            }
        };
        let draft = drafts::opened(&self.0, caller, &options)
            .map_err(|refusal| (write_words::refused(refusal, operation), refusal.code()))?;
        let request = match (beside, &draft) {
            (Some(request), _) => request,
            (None, draft) => {
                let arguments = draft.as_ref().map(|draft| draft.arguments.clone()).unwrap_or_default();
                operation.request(&arguments).map_err(wrong)?
            }
        };
        Ok((request, options, draft))
    }

    /// Shows what an operation would send. Asks nobody and sends nothing.
    async fn draft(
        &self,
        name: &str,
        operation: &Operation,
        caller: &Caller,
        arguments: &Map<String, Value>,
    ) -> (CallToolResult, Trace) {
        if !operation.is_within(caller.scope) {
            return (failed(text::beyond_scope(operation.name())), Trace::error(INSUFFICIENT_SCOPE));
        }
        let request = match operation.request(arguments) {
            Ok(request) => request,
            Err(problem) => {
                let problem = ArgumentError { tool: name.into(), ..problem };
                return (failed(problem.to_string()), Trace::error(BAD_ARGUMENTS));
            }
        };
        match drafts::draft(&self.0, caller, operation, &request) {
            Ok(draft) => (answered(draft), Trace::default()),
            Err(error) => {
                let error = CallError::from(error);
                let told = text::explain(&self.0.links, caller, operation, &error).await;
                (failed(told), Trace::of(&Err(error)))
            }
        }
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
